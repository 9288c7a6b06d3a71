//! Issues as tables, read back with SQLite.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::path::Path;

use bytes::Bytes;
use godata::{
    maintner::{
        corpus::{Issue, Snapshot, Writer},
        proto::{GithubIssueMutation, GithubLabel, GithubUser, Mutation},
        reclog::{Header, Records},
        testing::History,
    },
    sqlite::{Tables, TablesError},
};
use prost::Message;
use sqlx::{Connection, Row, SqliteConnection};

/// A log that a corpus has bit by bit.
#[derive(Default)]
struct Log {
    writer: Writer,
    written: usize,
}

impl Log {
    fn write(&mut self, bytes: &[u8]) {
        let bytes = Bytes::copy_from_slice(bytes);
        self.writer.apply(0, self.written as u64, &bytes).unwrap();
        self.written += bytes.len();
        self.writer.publish();
    }

    fn say(&mut self, issue: GithubIssueMutation) {
        let mutation = Mutation {
            github_issue: Some(GithubIssueMutation {
                owner: "o".into(),
                repo: "r".into(),
                number: 1,
                ..issue
            }),
            ..Default::default()
        };
        let payload = mutation.encode_to_vec();
        let header = Header::new(self.written as u64, payload.len() as u64);
        self.write(&[&header[..], &payload].concat());
    }

    fn snapshot(&self) -> Snapshot {
        self.writer.corpus().snapshot()
    }

    /// Brings a file up to date, as a program does that runs once in a while.
    async fn export(&self, file: &Path) {
        let mut tables = Tables::open(file).await.unwrap();
        let corpus = self.writer.corpus();
        let mut feed = corpus.follow(tables.from());
        while let Some(batch) = feed.next_now() {
            tables.write(&batch).await.unwrap();
        }
        tables.close().await.unwrap();
    }
}

/// The columns of a query's rows, as texts.
async fn ask(file: &Path, query: &'static str) -> Vec<Vec<String>> {
    let url = format!("sqlite://{}", file.display());
    let mut file = SqliteConnection::connect(&url).await.unwrap();
    let rows = sqlx::query(query).fetch_all(&mut file).await.unwrap();
    let text = |row: &sqlx::sqlite::SqliteRow, column: usize| {
        row.try_get_unchecked::<Option<String>, _>(column)
            .unwrap()
            .unwrap_or_else(|| "NULL".to_owned())
    };
    let rows = rows.iter();
    rows.map(|row| (0..row.len()).map(|column| text(row, column)).collect())
        .collect()
}

/// All that is in the tables but numbers that SQLite gave.
async fn dump(file: &Path) -> Vec<Vec<Vec<String>>> {
    let mut all = Vec::new();
    for query in [
        "SELECT repo, number, state, pull_request, locked, title, body, author, milestone, created, updated, closed
         FROM issues ORDER BY repo, number",
        "SELECT repo, number, comments.id, user, comments.created, comments.updated, comments.body
         FROM comments JOIN issues ON issues.id = issue ORDER BY repo, number, comments.id",
        "SELECT repo, number, events.id, kind, actor, events.created, label, events.milestone, assignee,
             reviewer, commit_name, renamed_from, renamed_to
         FROM events JOIN issues ON issues.id = issue ORDER BY repo, number, events.id",
        "SELECT repo, number, reviews.id, actor, reviews.created, reviews.state, commit_name, reviews.body
         FROM reviews JOIN issues ON issues.id = issue ORDER BY repo, number, reviews.id",
        "SELECT issues.repo, number, label, name FROM issue_labels JOIN issues ON issues.id = issue
         JOIN labels ON labels.id = label AND labels.repo = issues.repo ORDER BY issues.repo, number, label",
        "SELECT repo, number, user FROM assignees JOIN issues ON issues.id = issue ORDER BY repo, number, user",
        "SELECT * FROM labels ORDER BY repo, id",
        "SELECT * FROM milestones ORDER BY repo, id",
        "SELECT * FROM users ORDER BY id",
        "PRAGMA integrity_check",
        "PRAGMA foreign_key_check",
    ] {
        all.push(ask(file, query).await);
    }
    all
}

fn issues(snapshot: &Snapshot) -> impl Iterator<Item = Issue<'_>> {
    snapshot.github().repos().flat_map(|repo| repo.issues())
}

#[tokio::test]
async fn tables_have_what_the_corpus_has() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("issues.db");
    let mut log = Log::default();
    log.write(&History::new(4).log(400_000));
    log.export(&file).await;
    assert_eq!(ask(&file, "PRAGMA journal_mode").await, [["wal"]]);
    let snapshot = log.snapshot();

    let rows = ask(
        &file,
        "SELECT i.repo || '#' || i.number, i.title, i.state, login, i.updated,
             (SELECT count(*) FROM comments WHERE issue = i.id),
             (SELECT count(*) FROM events WHERE issue = i.id),
             (SELECT group_concat(name, ',') FROM (SELECT name FROM issue_labels
                 JOIN labels ON labels.id = label AND labels.repo = i.repo WHERE issue = i.id ORDER BY labels.id))
         FROM issues i LEFT JOIN users ON users.id = author ORDER BY i.repo, i.number",
    )
    .await;
    let null = || "NULL".to_owned();
    let expected: Vec<Vec<String>> = issues(&snapshot)
        .map(|issue| {
            let labels: Vec<&str> = issue.labels().map(|label| label.name()).collect();
            let state = match (issue.not_exist(), issue.is_closed()) {
                (true, _) => "gone",
                (_, true) => "closed",
                _ => "open",
            };
            vec![
                issue.reference().to_string(),
                issue.title().to_owned(),
                state.to_owned(),
                issue
                    .author()
                    .map_or_else(null, |user| user.login().to_owned()),
                issue.updated().map_or_else(null, |at| at.to_string()),
                issue.comment_count().to_string(),
                issue.event_count().to_string(),
                if labels.is_empty() {
                    null()
                } else {
                    labels.join(",")
                },
            ]
        })
        .collect();
    assert!(expected.len() > 10);
    assert_eq!(rows, expected);
    let bodies = ask(
        &file,
        "SELECT comments.body FROM comments JOIN issues ON issues.id = issue ORDER BY repo, number, comments.created, comments.id",
    );
    let expected = issues(&snapshot).flat_map(|issue| issue.comments());
    let expected: Vec<_> = expected
        .map(|comment| vec![comment.body().to_owned()])
        .collect();
    assert_eq!(bodies.await, expected);

    let plan = "EXPLAIN QUERY PLAN SELECT issue FROM issue_labels JOIN labels ON labels.id = label WHERE name = 'NeedsFix'";
    let plan = ask(&file, plan).await;
    let steps = plan.iter().map(|row| &row[3]);
    assert!(
        steps.clone().all(|step| step.starts_with("SEARCH")),
        "{plan:?}"
    );
}

#[tokio::test]
async fn who_comes_again_and_again_has_what_who_comes_once_has() {
    let dir = tempfile::tempdir().unwrap();
    let (often, once) = (dir.path().join("often.db"), dir.path().join("once.db"));
    let history = History::new(6).log(300_000);
    let ends = Records::new(&history, 0).map(|record| record.unwrap().end() as usize);
    let ends: Vec<usize> = ends.step_by(97).chain([history.len()]).collect();
    let mut log = Log::default();
    for end in ends {
        log.write(&history[log.written..end]);
        log.export(&often).await;
    }
    log.export(&once).await;
    assert_eq!(dump(&often).await, dump(&once).await);

    // Another log begins anew.
    let mut other = Log::default();
    other.write(&History::new(7).log(100_000));
    other.export(&often).await;
    std::fs::remove_file(&once).unwrap();
    other.export(&once).await;
    assert_eq!(dump(&often).await, dump(&once).await);
}

#[tokio::test]
async fn names_that_change_change_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("issues.db");
    let mut log = Log::default();
    let told = |label: &str, login: &str| GithubIssueMutation {
        add_label: vec![GithubLabel {
            id: 1,
            name: label.into(),
        }],
        user: Some(GithubUser {
            id: 2,
            login: login.into(),
        }),
        ..Default::default()
    };
    let names = "SELECT name, login FROM labels, users";
    log.say(told("bug", "ann"));
    log.export(&file).await;
    assert_eq!(ask(&file, names).await, [["bug", "ann"]]);
    log.say(told("defect", "anne"));
    log.say(GithubIssueMutation {
        not_exist: true,
        ..Default::default()
    });
    log.export(&file).await;
    assert_eq!(ask(&file, names).await, [["defect", "anne"]]);
    assert_eq!(ask(&file, "SELECT state FROM issues").await, [["gone"]]);
}

#[tokio::test]
async fn other_files_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("other.db");
    let url = format!("sqlite://{}?mode=rwc", file.display());
    let mut other = SqliteConnection::connect(&url).await.unwrap();
    let table = "CREATE TABLE precious (x)";
    sqlx::raw_sql(table).execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    let before = std::fs::read(&file).unwrap();
    let refused = Tables::open(&file).await.map(|_| ()).unwrap_err();
    assert!(matches!(refused, TablesError::Version(0)), "{refused}");
    assert!(std::fs::read(&file).unwrap() == before, "was changed");
    assert_eq!(ask(&file, "PRAGMA journal_mode").await, [["delete"]]);

    let text = dir.path().join("text");
    std::fs::write(&text, "no database".repeat(1000)).unwrap();
    let refused = Tables::open(&text).await.map(|_| ()).unwrap_err();
    assert!(matches!(refused, TablesError::Sqlite(_)), "{refused}");
    assert!(
        std::fs::read_to_string(&text)
            .unwrap()
            .starts_with("no database")
    );
}
