-- Stretches of the log in which statements follow each other in the order of the times at which the box says it stored them:
-- a new one begins with each boot, and wherever the clock was set back or older statements were logged again.
CREATE TABLE stretch (
    first_change INTEGER PRIMARY KEY,                     -- of its first statement; it ends before that of the next one
    first_ms     INTEGER,                                 -- when that was stored, as the clock told; null: nobody knows
    last_ms      INTEGER,                                 -- when its last one was; null while it goes on, or unknown
    seal         INTEGER NOT NULL                         -- see edgebox.store.seals
) STRICT;
