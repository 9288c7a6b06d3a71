PRAGMA user_version = 1;

-- Up to where of the log all of it is.
CREATE TABLE log (id INTEGER PRIMARY KEY CHECK (id = 1), cursor TEXT NOT NULL);

CREATE TABLE users (id INTEGER PRIMARY KEY, login TEXT NOT NULL);

CREATE TABLE labels (repo TEXT NOT NULL, id INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY (repo, id)) WITHOUT ROWID;
CREATE INDEX labels_by_name ON labels (name);

CREATE TABLE milestones (
    repo TEXT NOT NULL, id INTEGER NOT NULL,
    title TEXT NOT NULL, number INTEGER NOT NULL, closed INTEGER NOT NULL,
    PRIMARY KEY (repo, id)
) WITHOUT ROWID;

CREATE TABLE issues (
    id INTEGER PRIMARY KEY,
    repo TEXT NOT NULL, number INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'closed', 'gone')),
    pull_request INTEGER NOT NULL, locked INTEGER NOT NULL,
    title TEXT NOT NULL, body TEXT NOT NULL,
    author INTEGER, milestone INTEGER,
    created TEXT, updated TEXT, closed TEXT,
    UNIQUE (repo, number)
);
CREATE INDEX issues_by_state ON issues (state, repo);
CREATE INDEX issues_by_author ON issues (author);
CREATE INDEX issues_by_milestone ON issues (milestone);
CREATE INDEX issues_by_updated ON issues (updated);

CREATE TABLE issue_labels (
    issue INTEGER NOT NULL REFERENCES issues (id), label INTEGER NOT NULL,
    PRIMARY KEY (issue, label)
) WITHOUT ROWID;
CREATE INDEX issue_labels_by_label ON issue_labels (label);

CREATE TABLE assignees (
    issue INTEGER NOT NULL REFERENCES issues (id), user INTEGER NOT NULL,
    PRIMARY KEY (issue, user)
) WITHOUT ROWID;
CREATE INDEX assignees_by_user ON assignees (user);

CREATE TABLE comments (
    issue INTEGER NOT NULL REFERENCES issues (id), id INTEGER NOT NULL,
    user INTEGER, created TEXT, updated TEXT, body TEXT NOT NULL,
    UNIQUE (issue, id)
);
CREATE INDEX comments_by_user ON comments (user);
CREATE INDEX comments_by_created ON comments (created);

CREATE TABLE events (
    issue INTEGER NOT NULL REFERENCES issues (id), id INTEGER NOT NULL,
    kind TEXT NOT NULL, actor INTEGER, created TEXT,
    label TEXT, milestone TEXT, assignee INTEGER, reviewer INTEGER,
    commit_name TEXT, renamed_from TEXT, renamed_to TEXT,
    PRIMARY KEY (issue, id)
) WITHOUT ROWID;
CREATE INDEX events_by_kind ON events (kind, created);

CREATE TABLE reviews (
    issue INTEGER NOT NULL REFERENCES issues (id), id INTEGER NOT NULL,
    actor INTEGER, created TEXT, state TEXT NOT NULL, commit_name TEXT, body TEXT NOT NULL,
    PRIMARY KEY (issue, id)
) WITHOUT ROWID;
