-- The learner database of a box. Times are integer milliseconds UTC and end in _ms; numbers named `no` are small local
-- numbers that statements and bundles use instead of 16-byte ids; `id` is always 16 bytes unless it says otherwise.

-- What the box knows about itself: box id, epoch, school, language, switches.
CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Learners and teachers. Names never leave the school: bundles carry `no` and the random pseudonym only.
CREATE TABLE person (
    no          INTEGER PRIMARY KEY,
    pseudonym   BLOB NOT NULL UNIQUE,                     -- 16 random bytes
    role        TEXT NOT NULL CHECK (role IN ('learner', 'teacher')),
    given_name  TEXT NOT NULL,
    family_name TEXT NOT NULL DEFAULT '',
    avatar      TEXT NOT NULL DEFAULT 'fox',              -- name of a drawing shipped with the pages
    login       TEXT UNIQUE,                              -- teachers only
    secret_kind TEXT CHECK (secret_kind IN ('picture', 'pin', 'password')),
    secret_hash TEXT,                                     -- Argon2id; null until a secret was given
    language    TEXT,                                     -- interface language chosen by the person
    created_ms  INTEGER NOT NULL,
    removed_ms  INTEGER                                   -- null while active
) STRICT;

CREATE TABLE class (
    no         INTEGER PRIMARY KEY,
    pseudonym  BLOB NOT NULL UNIQUE,                      -- 16 random bytes
    code       TEXT NOT NULL UNIQUE,                      -- short code that may leave the school, e.g. K7QF
    title      TEXT NOT NULL,                             -- stays in the school
    created_ms INTEGER NOT NULL,
    removed_ms INTEGER
) STRICT;

CREATE TABLE enrollment (
    class_no  INTEGER NOT NULL REFERENCES class (no),
    person_no INTEGER NOT NULL REFERENCES person (no),
    is_active INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (class_no, person_no)
) STRICT, WITHOUT ROWID;

-- Tablets and browsers, by the random id each made for itself.
CREATE TABLE device (
    no       INTEGER PRIMARY KEY,
    id       BLOB NOT NULL UNIQUE,
    box_seq  INTEGER NOT NULL DEFAULT 0,                  -- every sequence number up to this one is stored or was refused
    ahead    TEXT NOT NULL DEFAULT '',                    -- ranges stored beyond the first gap, such as 7-9,12-12
    hub_seq  INTEGER NOT NULL DEFAULT 0,                  -- ... and up to this one at the hub
    first_ms INTEGER NOT NULL,
    refused  INTEGER NOT NULL DEFAULT 0,                  -- events on the tablet that were not taken, as it last said
    refused_ms INTEGER NOT NULL DEFAULT 0                 -- ... and when that number changed
) STRICT;

-- Signed-in browsers. The token itself is only in the cookie.
CREATE TABLE session (
    token_hash BLOB PRIMARY KEY,                          -- BLAKE2b-256 of the token
    person_no  INTEGER NOT NULL REFERENCES person (no),
    device_key TEXT NOT NULL,                             -- the long-lived cookie of the browser
    created_ms INTEGER NOT NULL,
    seen_ms    INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Wrong secrets per person and browser, so that a delay survives a restart and never hits a classmate. The empty
-- device_key counts for all browsers that never signed in as the person; negative person_no are unknown log-ins.
CREATE TABLE sign_in_failure (
    person_no   INTEGER NOT NULL,
    device_key  TEXT NOT NULL,
    failures    INTEGER NOT NULL,
    last_ms     INTEGER NOT NULL,
    is_familiar INTEGER NOT NULL DEFAULT 0,               -- this browser has signed in as the person
    PRIMARY KEY (person_no, device_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE verb (
    no  INTEGER PRIMARY KEY,
    iri TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE activity (
    no       INTEGER PRIMARY KEY,
    iri      TEXT NOT NULL UNIQUE,
    pack     TEXT,                                        -- null for activities of outside clients
    resource TEXT,
    item     TEXT
) STRICT;
CREATE INDEX activity_of_resource ON activity (pack, resource);

-- Every xAPI statement. Ids are time-ordered where we make them, so neighbours in time share pages. A statement of our
-- own page is columns only and is written out on request; one of an outside client keeps its exact JSON in `body`.
CREATE TABLE statement (
    id           BLOB PRIMARY KEY,
    person_no    INTEGER,                                 -- null for an outside actor
    verb_no      INTEGER NOT NULL,
    activity_no  INTEGER NOT NULL,
    device_no    INTEGER,                                 -- with device_seq: the id is derived from them
    device_seq   INTEGER,
    attempt_seq  INTEGER,                                 -- device_seq of the event that opened the attempt
    registration BLOB,                                    -- given registration of an outside client
    timestamp_ms INTEGER NOT NULL,
    stored_ms    INTEGER NOT NULL,
    success      INTEGER,
    completion   INTEGER,
    score_raw    REAL,
    score_max    REAL,
    score_scaled REAL,
    duration_ms  INTEGER,
    progress     REAL,                                    -- 0 to 1
    response     TEXT,
    body         BLOB,                                    -- JSON of an outside client's statement
    digest       BLOB NOT NULL                            -- 8 bytes of BLAKE2b over the content, to tell same from other
) STRICT, WITHOUT ROWID;

-- The same id with another content: kept, shown to the teacher, never dropped.
CREATE TABLE statement_conflict (
    no          INTEGER PRIMARY KEY,
    id          BLOB NOT NULL,
    received_ms INTEGER NOT NULL,
    body        BLOB NOT NULL                             -- JSON as received
) STRICT;
CREATE INDEX statement_conflict_of_id ON statement_conflict (id);

-- Latest progress per learner and resource, kept current in the transaction of each statement.
CREATE TABLE progress (
    person_no    INTEGER NOT NULL,
    activity_no  INTEGER NOT NULL,                        -- the resource, never an item
    progress     REAL NOT NULL DEFAULT 0,                 -- 0 to 1
    is_complete  INTEGER NOT NULL DEFAULT 0,
    score_scaled REAL,                                    -- best score
    attempts     INTEGER NOT NULL DEFAULT 0,
    duration_ms  INTEGER NOT NULL DEFAULT 0,
    first_ms     INTEGER NOT NULL,
    last_ms      INTEGER NOT NULL,
    PRIMARY KEY (person_no, activity_no)
) STRICT, WITHOUT ROWID;

-- xAPI state documents.
CREATE TABLE activity_state (
    person_no    INTEGER NOT NULL,
    activity_iri TEXT NOT NULL,
    registration BLOB NOT NULL DEFAULT x'',               -- empty when none was given
    state_id     TEXT NOT NULL,
    content_type TEXT NOT NULL,
    content      BLOB NOT NULL,
    updated_ms   INTEGER NOT NULL,
    PRIMARY KEY (person_no, activity_iri, registration, state_id)
) STRICT, WITHOUT ROWID;

-- Packs installed on this box. Their manifests are files in packs/; this table is what may travel and who installed them.
CREATE TABLE pack (
    id           TEXT NOT NULL,
    version      INTEGER NOT NULL,
    root         BLOB NOT NULL,
    signer       BLOB NOT NULL,                           -- key id
    size_bytes   INTEGER NOT NULL,
    installed_ms INTEGER NOT NULL,
    is_active    INTEGER NOT NULL DEFAULT 1,
    PRIMARY KEY (id, version)
) STRICT, WITHOUT ROWID;

-- One row per install that was asked for, so that its progress survives a reload and a restart.
CREATE TABLE install_job (
    no          INTEGER PRIMARY KEY,
    folder      TEXT NOT NULL,                            -- where the pack was offered
    pack        TEXT NOT NULL,
    version     INTEGER NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('waiting', 'copying', 'stick_gone', 'done', 'cancelled', 'failed')),
    done_bytes  INTEGER NOT NULL DEFAULT 0,
    total_bytes INTEGER NOT NULL DEFAULT 0,
    error       TEXT,                                     -- JSON of code and fields
    started_ms  INTEGER NOT NULL,
    updated_ms  INTEGER NOT NULL
) STRICT;

CREATE TABLE assignment (
    no          INTEGER PRIMARY KEY,
    class_no    INTEGER NOT NULL REFERENCES class (no),
    pack        TEXT NOT NULL,
    lesson      TEXT NOT NULL,
    assigned_ms INTEGER NOT NULL,
    person_no   INTEGER,                                  -- the teacher who assigned it
    is_active   INTEGER NOT NULL DEFAULT 1,
    UNIQUE (class_no, pack, lesson)
) STRICT;

-- The one log: whatever travels has its row above and one row here, written in the same transaction.
CREATE TABLE change (
    seq  INTEGER PRIMARY KEY AUTOINCREMENT,
    kind INTEGER NOT NULL,                                -- number of the record kind, see sync.records.kinds
    key  BLOB NOT NULL                                    -- statement id, or the row's number as 8 bytes big-endian
) STRICT;

-- The centre this box is enrolled with: at most one row.
CREATE TABLE hub (
    no          INTEGER PRIMARY KEY CHECK (no = 1),
    url         TEXT NOT NULL,
    verify_key  BLOB NOT NULL,
    sealing_key BLOB NOT NULL,
    box_no      INTEGER NOT NULL,
    enrolled_ms INTEGER NOT NULL
) STRICT;

-- Bundles made and not yet forgotten. The file is in spool/out and never changes.
CREATE TABLE bundle_out (
    epoch          INTEGER NOT NULL,
    seq            INTEGER NOT NULL,
    from_change    INTEGER NOT NULL,
    through_change INTEGER NOT NULL,
    hash           BLOB NOT NULL,
    size_bytes     INTEGER NOT NULL,
    created_ms     INTEGER NOT NULL,
    acked_ms       INTEGER,                               -- null until the hub's signed ack covers it
    PRIMARY KEY (epoch, seq)
) STRICT, WITHOUT ROWID;
