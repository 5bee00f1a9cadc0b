-- cmi5: who takes which course, and every launch of a unit (docs/cmi5.md).

-- Courses as they were when they were launched: what satisfies them is known when the pack is gone.
CREATE TABLE cmi5_course (
    no      INTEGER PRIMARY KEY,
    pack    TEXT NOT NULL,
    version INTEGER NOT NULL,
    content BLOB NOT NULL,                                -- JSON, see content_packs.format.cmi5
    UNIQUE (pack, version)
) STRICT;

-- A learner's turn with a course; it stays the same until the course is taken again.
CREATE TABLE cmi5_registration (
    no        INTEGER PRIMARY KEY,
    id        BLOB NOT NULL UNIQUE,                       -- UUID
    course_no INTEGER NOT NULL REFERENCES cmi5_course (no),
    pack      TEXT NOT NULL,
    agent     TEXT NOT NULL,                              -- identifier of the actor, see edgebox.domain.xapi.agents
    actor     TEXT NOT NULL,                              -- JSON
    person_no INTEGER,                                    -- null: nobody of this box
    ended_ms  INTEGER                                     -- null while it is the one of its learner
) STRICT;
CREATE INDEX cmi5_registration_person ON cmi5_registration (person_no) WHERE person_no IS NOT NULL;
CREATE UNIQUE INDEX cmi5_registration_current ON cmi5_registration (agent, pack) WHERE ended_ms IS NULL;

-- Verbs of cmi5 by unit: what the unit said, and whether it was waived.
CREATE TABLE cmi5_unit (
    registration_no INTEGER NOT NULL REFERENCES cmi5_registration (no),
    publisher_id    TEXT NOT NULL,                        -- of the unit: it stays where the order of the course changes
    verbs           INTEGER NOT NULL,                     -- bits, see edgebox.domain.cmi5.vocabulary
    PRIMARY KEY (registration_no, publisher_id)
) STRICT, WITHOUT ROWID;

-- What the box called satisfied.
CREATE TABLE cmi5_satisfied (
    registration_no INTEGER NOT NULL REFERENCES cmi5_registration (no),
    block           TEXT NOT NULL,                        -- its publisher's id; empty is the course
    PRIMARY KEY (registration_no, block)
) STRICT, WITHOUT ROWID;

CREATE TABLE cmi5_launch (
    no              INTEGER PRIMARY KEY,
    session         BLOB NOT NULL UNIQUE,                 -- UUID; the secrets of a launch are made of it and the box's key
    registration_no INTEGER NOT NULL REFERENCES cmi5_registration (no),
    activity_iri    TEXT NOT NULL,
    publisher_id    TEXT NOT NULL,
    mode            TEXT NOT NULL CHECK (mode IN ('Normal', 'Browse', 'Review')),
    mastery_score   REAL,
    launched_ms     INTEGER NOT NULL,
    last_ms         INTEGER NOT NULL,                     -- of the unit's last statement
    verbs           INTEGER NOT NULL DEFAULT 0,           -- that the unit used in this session
    documents       INTEGER NOT NULL DEFAULT 0,           -- 1: it read the launch data, 2: the preferences
    fetched_ms      INTEGER,                              -- null until its token was given out
    ended_ms        INTEGER                               -- null while it may speak
) STRICT;
CREATE INDEX cmi5_launch_activity ON cmi5_launch (registration_no, activity_iri);
CREATE INDEX cmi5_launch_open ON cmi5_launch (registration_no) WHERE ended_ms IS NULL;

-- 1: this credential may bring courses and launch units in the name of anybody.
ALTER TABLE client ADD COLUMN may_launch INTEGER NOT NULL DEFAULT 0;
