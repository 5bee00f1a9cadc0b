-- What shows damage to the rows that statements name by a number, and to what is kept beside those of outside clients: 8
-- bytes of BLAKE2b over what of them never changes, null while nobody sealed them. See edgebox.store.row_seals.

ALTER TABLE verb ADD COLUMN seal INTEGER;
ALTER TABLE activity ADD COLUMN seal INTEGER;
ALTER TABLE device ADD COLUMN seal INTEGER;
ALTER TABLE person ADD COLUMN seal INTEGER;
ALTER TABLE outside ADD COLUMN seal INTEGER;
