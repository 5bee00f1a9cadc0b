-- Outside clients of the record store, and what they bring besides statements.

-- Credentials that staff made. The secret itself was shown once.
CREATE TABLE client (
    no          INTEGER PRIMARY KEY,
    login       TEXT NOT NULL UNIQUE,
    secret_hash BLOB NOT NULL,                            -- BLAKE2b-256: the secret is 160 random bits
    title       TEXT NOT NULL,
    may_write   INTEGER NOT NULL,
    reach       TEXT NOT NULL CHECK (reach IN ('none', 'own', 'class', 'all')),
    class_no    INTEGER REFERENCES class (no),            -- whose learners' statements it reads, for 'class'
    person_no   INTEGER,                                  -- the teacher who made it
    created_ms  INTEGER NOT NULL,
    revoked_ms  INTEGER                                   -- null while it is good
) STRICT;

-- Agents and groups that outside clients named. They never leave the school.
CREATE TABLE agent (
    no         INTEGER PRIMARY KEY,
    identifier TEXT NOT NULL UNIQUE,                      -- see edgebox.domain.xapi.agents
    name       TEXT                                       -- as it was last given
) STRICT;

-- The credential that a statement came with; what `outside` says of it is made again from the statement when it is lost.
ALTER TABLE statement ADD COLUMN client_no INTEGER;

-- What a statement of an outside client has besides its row in `statement`.
CREATE TABLE outside (
    id        BLOB PRIMARY KEY,
    seq       INTEGER NOT NULL,                           -- its change in the log
    client_no INTEGER,                                    -- null: a page in which a learner was signed in
    target    BLOB,                                       -- the statement it is about
    is_void   INTEGER NOT NULL DEFAULT 0,                 -- 1 when its client took it back
    voids     INTEGER NOT NULL,                           -- 1 when it takes `target` back
    terms     BLOB NOT NULL                               -- all its terms in `mention`, 8 bytes each
) STRICT, WITHOUT ROWID;
CREATE INDEX outside_target ON outside (target) WHERE target IS NOT NULL;

-- Whom and what statements of outside clients mention: a term is a number and a role, see edgebox.domain.xapi.mentions.
CREATE TABLE mention (
    term INTEGER NOT NULL,
    seq  INTEGER NOT NULL,
    PRIMARY KEY (term, seq)
) STRICT, WITHOUT ROWID;

-- The same for statements of our own pages, made later and in blocks, because it follows from their columns: the places
-- in one block of the log as 2 bytes each.
CREATE TABLE listing (
    term   INTEGER NOT NULL,
    block  INTEGER NOT NULL,
    places BLOB NOT NULL,
    PRIMARY KEY (term, block)
) STRICT, WITHOUT ROWID;

-- 1: only statements that stay on the box have it, or others around their object; it is not in the log.
ALTER TABLE verb ADD COLUMN stays INTEGER NOT NULL DEFAULT 0;
ALTER TABLE activity ADD COLUMN stays INTEGER NOT NULL DEFAULT 0;

CREATE TABLE definition (
    activity_no INTEGER PRIMARY KEY,
    content     TEXT NOT NULL                             -- JSON
) STRICT;

-- Files that came with statements. They are in attachments/, under their hash. Who only names a hash gets no file.
CREATE TABLE attachment (
    statement_id BLOB NOT NULL,
    sha2         TEXT NOT NULL,                           -- lower case
    content_type TEXT NOT NULL,
    PRIMARY KEY (statement_id, sha2)
) STRICT, WITHOUT ROWID;
CREATE INDEX attachment_sha2 ON attachment (sha2);

-- Profiles of activities and agents, and state documents of agents who are nobody of this box. They stay here.
CREATE TABLE document (
    resource     INTEGER NOT NULL,                        -- 1 state, 2 activity profile, 3 agent profile
    agent_no     INTEGER NOT NULL,                        -- 0 for activity profiles
    activity_iri TEXT NOT NULL,                           -- empty for agent profiles
    registration BLOB NOT NULL,                           -- empty when none was given
    name         TEXT NOT NULL,
    content_type TEXT NOT NULL,
    content      BLOB NOT NULL,
    updated_ms   INTEGER NOT NULL,
    PRIMARY KEY (resource, agent_no, activity_iri, registration, name)
) STRICT, WITHOUT ROWID;
