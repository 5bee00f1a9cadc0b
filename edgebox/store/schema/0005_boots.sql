-- Stretches of the box's clock. Within one it only ever went on; when it is found to have been wrong, the offset says by how
-- much, and every time it told in that stretch is repaired when it is read. The times themselves stay as they were told.
CREATE TABLE boot (
    no           INTEGER PRIMARY KEY,
    run_id       TEXT NOT NULL,                           -- the run of the machine: its boots are wrong by one amount
    first_change INTEGER NOT NULL,                        -- the first change in the log that belongs to it
    start_ms     INTEGER NOT NULL,                        -- what the clock told when it began
    offset_ms    INTEGER NOT NULL DEFAULT 0,              -- what is to be added to what it told
    quality      INTEGER NOT NULL                         -- 0 unknown, 1 restored, 2 tablets, 3 hub, 4 hardware
) STRICT;
CREATE INDEX boot_start ON boot (start_ms, offset_ms);
CREATE INDEX boot_repaired ON boot (no) WHERE offset_ms <> 0;
