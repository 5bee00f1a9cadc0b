-- What comes down from the hub: bundles in streams, each of one hub, to one key of this box, in one epoch.

CREATE TABLE inbox_cursor (
    hub            BLOB NOT NULL,                         -- key id
    box            BLOB NOT NULL,                         -- key id of this box that the bundles are sealed to
    epoch          INTEGER NOT NULL,
    through_seq    INTEGER NOT NULL DEFAULT 0,            -- every bundle up to here is applied or set aside
    through_change INTEGER NOT NULL DEFAULT 0,
    tail           BLOB NOT NULL DEFAULT x'0000000000000000', -- start of the hash of bundle through_seq
    is_forked      INTEGER NOT NULL DEFAULT 0,            -- two contents under one number: nothing more is applied
    PRIMARY KEY (hub, box, epoch)
) STRICT, WITHOUT ROWID;

-- Every bundle that came. Those that are not applied have their file in spool/in.
CREATE TABLE inbox_bundle (
    hub         BLOB NOT NULL,
    box         BLOB NOT NULL,
    epoch       INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    hash        BLOB NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('applied', 'held', 'aside', 'forked')),
    reason      TEXT,                                     -- of one set aside: the code of the error
    received_ms INTEGER NOT NULL,
    PRIMARY KEY (hub, box, epoch, seq, hash)
) STRICT, WITHOUT ROWID;

-- Which teacher has put away which message of the hub.
CREATE TABLE message_read (
    message_no INTEGER NOT NULL REFERENCES message (no),
    person_no  INTEGER NOT NULL REFERENCES person (no),
    PRIMARY KEY (message_no, person_no)
) STRICT, WITHOUT ROWID;
