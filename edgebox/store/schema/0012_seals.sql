-- What shows damage to statements, and what was done about it; see edgebox.store.seals.

ALTER TABLE statement ADD COLUMN seal INTEGER NOT NULL DEFAULT 0; -- 8 bytes of BLAKE2b over the other columns

-- What a device's statements come to together; 0 for those of outside clients.
CREATE TABLE chain (
    device_no  INTEGER PRIMARY KEY,
    statements INTEGER NOT NULL,
    joined     INTEGER NOT NULL                           -- exclusive-or of their seals
) STRICT;

-- Statements found damaged, as they were found: out of sight, and their ids free for a good copy.
CREATE TABLE damaged_statement (
    no       INTEGER PRIMARY KEY,
    id       BLOB NOT NULL,
    found_ms INTEGER NOT NULL,
    content  TEXT NOT NULL                                -- names and values of the columns
) STRICT;

-- What was found wrong with the records, for the pages of teachers.
CREATE TABLE repair (
    no         INTEGER PRIMARY KEY,
    kind       TEXT NOT NULL CHECK (kind IN ('rebuilt', 'damaged', 'missing')),
    at_ms      INTEGER NOT NULL,
    statements INTEGER NOT NULL,                          -- that are not there any more
    is_settled INTEGER NOT NULL DEFAULT 0                 -- of a rebuilding: the hub was asked for what it has
) STRICT;
