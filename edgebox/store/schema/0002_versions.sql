-- Which version of a pack something belongs to: what a class was given stays as it was given, what a learner has begun
-- stays as it was begun, and a statement says on which version it was made.

-- The version the lesson was given in; null when it was given before boxes knew, then it follows the newest.
ALTER TABLE assignment ADD COLUMN version INTEGER;
UPDATE assignment SET version = (SELECT version FROM pack WHERE pack.id = assignment.pack AND pack.is_active = 1)
WHERE is_active = 1;

-- The version of the pack that was on the page; null for outside clients and for older pages.
ALTER TABLE statement ADD COLUMN pack_version INTEGER;

-- Of the last statement: its version, and when the box stored it. A learner who did something lately is at work in it.
ALTER TABLE progress ADD COLUMN version INTEGER;
ALTER TABLE progress ADD COLUMN stored_ms INTEGER NOT NULL DEFAULT 0;

-- Resources that a newer version does not have any more, so that reports can still name what was done in them.
CREATE TABLE dropped_resource (
    pack     TEXT NOT NULL,
    resource TEXT NOT NULL,
    lesson   TEXT NOT NULL,
    kind     TEXT NOT NULL,
    title    TEXT NOT NULL,                               -- JSON, by language
    version  INTEGER NOT NULL,                            -- the last one that had it
    PRIMARY KEY (pack, resource)
) STRICT, WITHOUT ROWID;
