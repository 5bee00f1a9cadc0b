-- The record store outside the school that statements are forwarded to; see edgebox.store.forwards.

-- At most one row; another store is another number, so that what is on its way to the one before moves no cursor.
CREATE TABLE forward (
    no             INTEGER PRIMARY KEY AUTOINCREMENT,
    url            TEXT NOT NULL,                         -- of its statements
    login          TEXT NOT NULL,
    secret         TEXT NOT NULL,                         -- as it has to be sent; no page shows it
    version        TEXT NOT NULL CHECK (version IN ('1.0.3', '2.0.0')),
    sends_given    INTEGER NOT NULL,                      -- 1: also statements as other apps sent them, names and all
    is_paused      INTEGER NOT NULL DEFAULT 0,
    is_denied      INTEGER NOT NULL DEFAULT 0,            -- 1: it does not let the box in, until staff do something
    error          TEXT,                                  -- JSON: code and fields of the last failure
    failures       INTEGER NOT NULL DEFAULT 0,            -- in a row
    next_try_ms    INTEGER,
    seq            INTEGER NOT NULL DEFAULT 0,            -- the last change of the log that is done with
    sent           INTEGER NOT NULL DEFAULT 0,
    kept           INTEGER NOT NULL DEFAULT 0,            -- of other apps, which may hold names
    damaged        INTEGER NOT NULL DEFAULT 0,
    last_seq       INTEGER NOT NULL DEFAULT 0,            -- of the last statement that it took
    last_id        BLOB,
    last_stored_ms INTEGER,
    proof_seq      INTEGER NOT NULL DEFAULT 0,            -- of the last statement that it gave back when asked
    proof_id       BLOB,
    proof_ms       INTEGER
) STRICT;

-- Statements that it does not take.
CREATE TABLE forward_aside (
    seq    INTEGER PRIMARY KEY,                        -- its change in the log
    id     BLOB NOT NULL,
    cause  TEXT NOT NULL,                              -- see edgebox.domain.forwarding.Cause
    reason TEXT NOT NULL,                              -- what the store said, "" for nothing
    at_ms  INTEGER NOT NULL
) STRICT;
