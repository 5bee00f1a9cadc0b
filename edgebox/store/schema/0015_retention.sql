-- Statements that left the box after the hub had them: what stays of them. See edgebox.store.retention.

-- Those of our own pages, so that one that comes again is known: 64 numbers of a device at a time, 4 bytes each, of which
-- 2 are a hash of the id and 2 one of the content; zeros are a number that was not removed.
CREATE TABLE removed_own (
    device_no INTEGER NOT NULL,
    block     INTEGER NOT NULL,                           -- device_seq / 64
    marks     BLOB NOT NULL,
    PRIMARY KEY (device_no, block)
) STRICT, WITHOUT ROWID;

-- Those of outside clients, and what is under a number of which another was removed before.
CREATE TABLE removed_other (
    id_hash INTEGER PRIMARY KEY,                          -- 8 bytes of BLAKE2b over the id
    content INTEGER NOT NULL                              -- 2 bytes of one over the content, 0 when that is not known
) STRICT;

-- What they come to together; with the statements that are left it gives `progress` again.
CREATE TABLE removed_progress (
    person_no    INTEGER NOT NULL,
    activity_no  INTEGER NOT NULL,                        -- the resource, never an item
    statements   INTEGER NOT NULL,
    progress     REAL NOT NULL,
    is_complete  INTEGER NOT NULL,
    score_scaled REAL,
    attempts     INTEGER NOT NULL,
    duration_ms  INTEGER NOT NULL,
    first_ms     INTEGER NOT NULL,
    last_ms      INTEGER NOT NULL,
    version      INTEGER,
    stored_ms    INTEGER NOT NULL,
    PRIMARY KEY (person_no, activity_no)
) STRICT, WITHOUT ROWID;
