-- Bundles of closing results that went ahead of the main ones of an epoch. The main ones bring the same rows.
CREATE TABLE express_out (
    epoch          INTEGER NOT NULL,
    seq            INTEGER NOT NULL,                      -- numbers of their own
    from_change    INTEGER NOT NULL,                      -- the part of the log that was looked through
    through_change INTEGER NOT NULL,
    hash           BLOB NOT NULL,
    size_bytes     INTEGER NOT NULL,
    created_ms     INTEGER NOT NULL,
    acked_ms       INTEGER,                               -- null while it is of use: until the hub has it or its rows
    PRIMARY KEY (epoch, seq)
) STRICT, WITHOUT ROWID;
