-- Files that learners handed in, by the hash of their content; they lie in the folder `hand-ins`. What is said of each is
-- in `hand_in`; that the hub has it, in a fact of the hub.
CREATE TABLE file (
    no          INTEGER PRIMARY KEY AUTOINCREMENT,        -- names its bundle, so it is never given out twice
    hash        BLOB NOT NULL UNIQUE,
    size_bytes  INTEGER NOT NULL,
    stored_ms   INTEGER NOT NULL,
    is_released INTEGER NOT NULL DEFAULT 0,               -- staff let it go over the line, large as it is
    sent_ms     INTEGER                                   -- the hub answered to the last of its bytes
) STRICT;

CREATE INDEX hand_in_of_assignment ON hand_in (assignment, learner);
CREATE INDEX hand_in_of_file ON hand_in (hash);

-- Lessons that teachers made of resources of packs; they follow from facts.
CREATE TABLE own_lesson (
    no        INTEGER PRIMARY KEY,
    id        BLOB NOT NULL UNIQUE,
    title     TEXT NOT NULL,
    resources TEXT NOT NULL,                              -- pack/resource, one a line, in order
    is_active INTEGER NOT NULL DEFAULT 1
) STRICT;
