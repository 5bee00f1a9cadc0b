-- What crossed the line that costs, headers and TLS included, both ways. The day is counted from 1970 in the time of the
-- place; for the lanes see docs/technician.md.
CREATE TABLE line_day (
    day        INTEGER NOT NULL,
    lane       INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    PRIMARY KEY (day, lane)
) STRICT, WITHOUT ROWID;

-- Until now one day was kept, of large packs only.
INSERT INTO line_day (day, lane, size_bytes)
SELECT CAST(substr(value, 1, instr(value, ' ') - 1) AS INTEGER), 3, CAST(substr(value, instr(value, ' ') + 1) AS INTEGER)
FROM setting WHERE name = 'fetch_spent';
DELETE FROM setting WHERE name = 'fetch_spent';
