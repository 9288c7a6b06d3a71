-- The truth of a farm. Times are milliseconds since 1970, UTC.

CREATE TABLE commits (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of discovery; higher is newer
    source       TEXT    NOT NULL,                   -- name of the work source that has its tree
    hash         TEXT    NOT NULL,
    subject      TEXT    NOT NULL,
    author       TEXT    NOT NULL,
    committed_at INTEGER NOT NULL,
    branch       TEXT    NOT NULL,
    UNIQUE (hash, source)
) STRICT;

CREATE TABLE builds (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    commit_seq     INTEGER NOT NULL REFERENCES commits (seq),
    builder        TEXT    NOT NULL,
    host_type      TEXT    NOT NULL,
    plan           TEXT,                             -- JSON; NULL where nothing is to be run
    state          TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'done')),
    outcome        TEXT,
    reason         TEXT,
    attempt        INTEGER NOT NULL DEFAULT 0,
    infra_failures INTEGER NOT NULL DEFAULT 0,
    worker         TEXT,
    queued_at      INTEGER NOT NULL,
    not_before     INTEGER,
    started_at     INTEGER,
    ended_at       INTEGER,
    CHECK ((state = 'done') = (outcome IS NOT NULL)),
    UNIQUE (commit_seq, builder)                     -- one build, so one final result, for each commit and builder
) STRICT;

CREATE INDEX builds_live ON builds (state) WHERE state <> 'done';

CREATE TABLE attempts (
    build      INTEGER NOT NULL REFERENCES builds (id),
    number     INTEGER NOT NULL,
    worker     TEXT    NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER,
    outcome    TEXT,
    reason     TEXT,
    log_bytes  INTEGER NOT NULL DEFAULT 0,
    log_sha256 TEXT,
    PRIMARY KEY (build, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX attempts_running ON attempts (build) WHERE outcome IS NULL;

CREATE TABLE steps (
    build      INTEGER NOT NULL,
    attempt    INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    name       TEXT    NOT NULL,
    started_at INTEGER,
    ended_at   INTEGER,
    outcome    TEXT,
    status     TEXT,
    log_offset INTEGER,
    PRIMARY KEY (build, attempt, position),
    FOREIGN KEY (build, attempt) REFERENCES attempts (build, number)
) STRICT, WITHOUT ROWID;

-- How far each source of work has been read.
CREATE TABLE cursors (
    source TEXT PRIMARY KEY,
    value  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Keys that workers register with: hashes only.
CREATE TABLE worker_keys (
    hash       BLOB PRIMARY KEY,
    scope      TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
