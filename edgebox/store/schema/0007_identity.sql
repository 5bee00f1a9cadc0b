-- Under which keys this database has lived, the present one last. One that differs from the key on the disk was copied,
-- restored, or left behind by a power cut between the two.
CREATE TABLE identity (
    no       INTEGER PRIMARY KEY,
    key_id   BLOB NOT NULL,
    reason   TEXT NOT NULL CHECK (reason IN ('first', 'copied', 'restored', 'hub')),
    since_ms INTEGER NOT NULL
) STRICT;

-- What the hub has to know of this box's key before it takes its bundles: a request made of a ticket, and the
-- succession of its keys.
CREATE TABLE introduction (
    kind        INTEGER PRIMARY KEY,                      -- see sync.introduction; the order in which they are told
    content     BLOB NOT NULL,
    made_ms     INTEGER NOT NULL,
    answered_ms INTEGER                                   -- null until the hub's signed answer, or an ack, was here
) STRICT;
