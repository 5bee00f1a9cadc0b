-- Sticks that staff said are always to be exchanged with, by the random id that is in a file on each.
CREATE TABLE known_stick (
    id       BLOB PRIMARY KEY,
    added_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
