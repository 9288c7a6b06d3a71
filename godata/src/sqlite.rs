//! Issues as tables (feature `sqlite`).

use std::{collections::HashSet, path::Path};

use maintner::corpus::{
    Comment, Event, Issue, Label, Milestone, Review, Timestamp, User,
    feed::{Batch, Cursor, FollowOptions},
};
use sqlx::{
    Connection, Row, SqliteConnection, Transaction,
    sqlite::{Sqlite, SqliteConnectOptions, SqliteSynchronous},
};

/// Another number in a file means other tables.
const VERSION: i32 = 1;

const SCHEMA: &str = include_str!("sqlite.sql");

/// Issues, comments, labels, events and all about them in an SQLite file, for questions in SQL.
///
/// Each [`write`](Self::write) is one transaction, and keeps with it the place in the log: a program
/// that comes back goes on [from there](Self::from), and the file is never half of anything.
///
/// ```
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let corpus = godata::open(concat!(env!("CARGO_MANIFEST_DIR"), "/data")).await?;
/// # let dir = tempfile::tempdir()?;
/// # let file = dir.path().join("issues.db");
/// let mut tables = godata::sqlite::Tables::open(&file).await?;
/// let mut feed = corpus.follow(tables.from());
/// while let Some(batch) = feed.next_now() {
///     tables.write(&batch).await?;
/// }
/// # Ok(()) }
/// # tokio::runtime::Runtime::new().unwrap().block_on(run()).unwrap();
/// ```
///
/// The tables: `issues` (`repo`, `number`, `state`: open, closed or gone, …), `comments`, `events`,
/// `reviews`, `issue_labels`, `assignees`, which have the `id` of the issue in a column `issue`;
/// `labels`, `milestones`, `users`, which others name by `id`; `log`, the place. Times are texts as in
/// RFC 3339, which SQLite's functions of time read.
#[derive(Debug)]
pub struct Tables {
    file: SqliteConnection,
    cursor: Option<Cursor>,
}

/// Why tables cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TablesError {
    /// The file system or SQLite says no.
    #[error("cannot use the SQLite file")]
    Sqlite(#[from] sqlx::Error),
    /// The file has other tables: of another version, or of another program.
    #[error("the SQLite file has tables of version {0}, not {VERSION}; give another file")]
    Version(i32),
}

impl Tables {
    /// Opens the tables of a file, which is made if there is none.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be opened, or has other tables.
    pub async fn open(file: impl AsRef<Path>) -> Result<Self, TablesError> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true);
        let mut file = SqliteConnection::connect_with(&options).await?;
        let mut transaction = file.begin_with("BEGIN IMMEDIATE").await?;
        let version = sqlx::query("PRAGMA user_version");
        let version: i32 = version.fetch_one(&mut *transaction).await?.try_get(0)?;
        let tables = sqlx::query("SELECT count(*) FROM sqlite_schema");
        let tables: i32 = tables.fetch_one(&mut *transaction).await?.try_get(0)?;
        match version {
            VERSION => {}
            0 if tables == 0 => {
                sqlx::raw_sql(SCHEMA).execute(&mut *transaction).await?;
            }
            version => return Err(TablesError::Version(version)),
        }
        let cursor = sqlx::query("SELECT cursor FROM log").fetch_optional(&mut *transaction);
        let cursor = cursor.await?;
        let cursor: Option<String> = cursor.map(|row| row.try_get(0)).transpose()?;
        transaction.commit().await?;
        // The file keeps this: not before it is known to be ours.
        sqlx::raw_sql("PRAGMA journal_mode = WAL")
            .execute(&mut file)
            .await?;
        let cursor = cursor.and_then(|cursor| cursor.parse().ok());
        Ok(Self { file, cursor })
    }

    /// Where to [follow](maintner::corpus::Corpus::follow) a corpus from: what the file does not have.
    pub fn from(&self) -> FollowOptions {
        self.cursor
            .map_or_else(FollowOptions::default, FollowOptions::from)
    }

    /// Writes what changed; everything, if the batch says so.
    ///
    /// May be dropped at any time: then nothing of it was written.
    ///
    /// # Errors
    ///
    /// Fails if SQLite does; nothing of it was written.
    pub async fn write(&mut self, batch: &Batch) -> Result<(), TablesError> {
        let transaction = self.file.begin_with("BEGIN IMMEDIATE").await?;
        let mut writer = Writer {
            to: transaction,
            seen: HashSet::new(),
        };
        if batch.resynced() {
            sqlx::raw_sql(
                "DELETE FROM issue_labels; DELETE FROM assignees; DELETE FROM comments;
                 DELETE FROM events; DELETE FROM reviews; DELETE FROM issues; DELETE FROM labels;
                 DELETE FROM milestones; DELETE FROM users;",
            )
            .execute(&mut *writer.to)
            .await?;
            for repo in batch.snapshot().github().repos() {
                let repo_name = repo.to_string();
                for label in repo.labels() {
                    writer.label(&repo_name, label).await?;
                }
                for milestone in repo.milestones() {
                    writer.milestone(&repo_name, milestone).await?;
                }
                for issue in repo.issues() {
                    writer.issue(issue).await?;
                }
            }
        }
        for label in batch.labels() {
            if let Some(repo) = label.repo() {
                writer.label(&repo.to_string(), label).await?;
            }
        }
        for milestone in batch.milestones() {
            if let Some(repo) = milestone.repo() {
                writer.milestone(&repo.to_string(), milestone).await?;
            }
        }
        for change in batch.issues() {
            writer.issue(change.issue).await?;
        }
        sqlx::query("INSERT OR REPLACE INTO log (id, cursor) VALUES (1, ?)")
            .bind(batch.cursor().to_string())
            .execute(&mut *writer.to)
            .await?;
        writer.to.commit().await?;
        self.cursor = Some(batch.cursor());
        Ok(())
    }

    /// Closes the file.
    ///
    /// # Errors
    ///
    /// Fails if SQLite does; what was written stays.
    pub async fn close(self) -> Result<(), TablesError> {
        Ok(self.file.close().await?)
    }
}

type Written = Result<(), sqlx::Error>;

struct Writer<'a> {
    to: Transaction<'a, Sqlite>,
    /// Written in this transaction.
    seen: HashSet<Seen>,
}

#[derive(PartialEq, Eq, Hash)]
enum Seen {
    User(i64),
    Label(String, i64),
    Milestone(String, i64),
}

impl Writer<'_> {
    /// An issue and all that belongs to it, in the place of what there was.
    async fn issue(&mut self, issue: Issue<'_>) -> Written {
        let repo = issue.repo().to_string();
        let author = self.user(issue.author()).await?;
        let milestone = issue.milestone();
        if let Some(milestone) = milestone {
            self.milestone(&repo, milestone).await?;
        }
        let state = match (issue.not_exist(), issue.is_closed()) {
            (true, _) => "gone",
            (_, true) => "closed",
            _ => "open",
        };
        let row = sqlx::query(
            "INSERT INTO issues (repo, number, state, pull_request, locked, title, body, author,
                 milestone, created, updated, closed)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (repo, number) DO UPDATE SET state = excluded.state,
                 pull_request = excluded.pull_request, locked = excluded.locked,
                 title = excluded.title, body = excluded.body, author = excluded.author,
                 milestone = excluded.milestone, created = excluded.created,
                 updated = excluded.updated, closed = excluded.closed
             RETURNING id",
        )
        .bind(&repo)
        .bind(issue.number())
        .bind(state)
        .bind(issue.is_pull_request())
        .bind(issue.is_locked())
        .bind(issue.title())
        .bind(issue.body())
        .bind(author)
        .bind(milestone.map(|milestone| milestone.id().0))
        .bind(time(issue.created()))
        .bind(time(issue.updated()))
        .bind(time(issue.closed_at()).filter(|_| issue.is_closed()))
        .fetch_one(&mut *self.to)
        .await?;
        let id: i64 = row.try_get(0)?;
        for table in [
            "DELETE FROM issue_labels WHERE issue = ?",
            "DELETE FROM assignees WHERE issue = ?",
            "DELETE FROM comments WHERE issue = ?",
            "DELETE FROM events WHERE issue = ?",
            "DELETE FROM reviews WHERE issue = ?",
        ] {
            sqlx::query(table).bind(id).execute(&mut *self.to).await?;
        }
        for label in issue.labels() {
            self.label(&repo, label).await?;
            sqlx::query("INSERT INTO issue_labels (issue, label) VALUES (?, ?)")
                .bind(id)
                .bind(label.id().0)
                .execute(&mut *self.to)
                .await?;
        }
        for user in issue.assignees() {
            self.user(Some(user)).await?;
            sqlx::query("INSERT OR IGNORE INTO assignees (issue, user) VALUES (?, ?)")
                .bind(id)
                .bind(user.id().0)
                .execute(&mut *self.to)
                .await?;
        }
        for comment in issue.comments() {
            self.comment(id, comment).await?;
        }
        for event in issue.events() {
            self.event(id, event).await?;
        }
        for review in issue.reviews() {
            self.review(id, review).await?;
        }
        Ok(())
    }

    async fn comment(&mut self, issue: i64, comment: Comment<'_>) -> Written {
        let user = self.user(comment.user()).await?;
        sqlx::query(
            "INSERT INTO comments (issue, id, user, created, updated, body)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(issue)
        .bind(comment.id().0)
        .bind(user)
        .bind(time(comment.created()))
        .bind(time(comment.updated()))
        .bind(comment.body())
        .execute(&mut *self.to)
        .await?;
        Ok(())
    }

    async fn event(&mut self, issue: i64, event: Event<'_>) -> Written {
        let actor = self.user(event.actor()).await?;
        let assignee = self.user(event.assignee()).await?;
        let reviewer = self.user(event.reviewer()).await?;
        sqlx::query(
            "INSERT INTO events (issue, id, kind, actor, created, label, milestone, assignee,
                 reviewer, commit_name, renamed_from, renamed_to)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(issue)
        .bind(event.id().0)
        .bind(event.kind())
        .bind(actor)
        .bind(time(event.created()))
        .bind(event.label())
        .bind(event.milestone())
        .bind(assignee)
        .bind(reviewer)
        .bind(some(event.commit_id()))
        .bind(some(event.from()))
        .bind(some(event.to()))
        .execute(&mut *self.to)
        .await?;
        Ok(())
    }

    async fn review(&mut self, issue: i64, review: Review<'_>) -> Written {
        let actor = self.user(review.actor()).await?;
        sqlx::query(
            "INSERT INTO reviews (issue, id, actor, created, state, commit_name, body)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(issue)
        .bind(review.id().0)
        .bind(actor)
        .bind(time(review.created()))
        .bind(review.state())
        .bind(some(review.commit_id()))
        .bind(review.body())
        .execute(&mut *self.to)
        .await?;
        Ok(())
    }

    /// A user's id, under which they can be found.
    async fn user(&mut self, user: Option<User<'_>>) -> Result<Option<i64>, sqlx::Error> {
        let Some(user) = user else {
            return Ok(None);
        };
        let id = user.id().0;
        if self.seen.insert(Seen::User(id)) {
            sqlx::query("INSERT OR REPLACE INTO users (id, login) VALUES (?, ?)")
                .bind(id)
                .bind(user.login())
                .execute(&mut *self.to)
                .await?;
        }
        Ok(Some(id))
    }

    async fn label(&mut self, repo: &str, label: Label<'_>) -> Written {
        let id = label.id().0;
        if self.seen.insert(Seen::Label(repo.to_owned(), id)) {
            sqlx::query("INSERT OR REPLACE INTO labels (repo, id, name) VALUES (?, ?, ?)")
                .bind(repo)
                .bind(id)
                .bind(label.name())
                .execute(&mut *self.to)
                .await?;
        }
        Ok(())
    }

    async fn milestone(&mut self, repo: &str, milestone: Milestone<'_>) -> Written {
        let id = milestone.id().0;
        if self.seen.insert(Seen::Milestone(repo.to_owned(), id)) {
            sqlx::query(
                "INSERT OR REPLACE INTO milestones (repo, id, title, number, closed)
                 VALUES (?, ?, ?, ?, ?)",
            )
            .bind(repo)
            .bind(id)
            .bind(milestone.title())
            .bind(milestone.number())
            .bind(milestone.is_closed())
            .execute(&mut *self.to)
            .await?;
        }
        Ok(())
    }
}

fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

/// As RFC 3339 has it.
fn time(time: Option<Timestamp>) -> Option<String> {
    time.map(|time| time.to_string())
}
