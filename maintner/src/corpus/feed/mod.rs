//! What changes, as it does.
//!
//! A [`Feed`] tells to which issues and changes something happened, and what; which refs moved, which
//! commits came; from any place of the log on. It is derived from the log itself, so that who was
//! away misses nothing.

mod changes;
mod cls;
mod cursor;

pub use changes::What;
pub use cls::ClWhat;
pub use cursor::{Cursor, ParseCursorError};

use self::changes::{Change, Changes};
use super::{Commit, Corpus, Hash, Issue, Label, Milestone, Snapshot};
use crate::{
    log::Position,
    proto::view::{self, View},
    reclog::Records,
    store::Origin,
};

/// A batch is made of no more bytes of the log than this, and the last record: some milliseconds'
/// work.
const LONGEST_BATCH: u64 = 1 << 20;

/// Where to begin to follow a corpus.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct FollowOptions {
    /// What was handled before. Nothing: the first batch says that everything is to be looked at.
    pub from: Option<Cursor>,
}

impl FollowOptions {
    /// After what was handled before.
    pub fn from(cursor: Cursor) -> Self {
        Self { from: Some(cursor) }
    }
}

/// Tells what changes in a corpus.
///
/// Keep the [`cursor`](Batch::cursor) of each batch that was handled: from there, the next run goes
/// on, and is told exactly what it missed. A batch that was given and not handled is given again.
///
/// ```
/// use maintner::{corpus::{Writer, feed::FollowOptions}, testing::History};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let mut writer = Writer::new();
/// # let corpus = writer.corpus();
/// # writer.apply(0, 0, &History::new(1).log(100_000).into())?;
/// # writer.publish();
/// let mut feed = corpus.follow(FollowOptions::default());
/// let everything = feed.next().await.ok_or("stopped")?;
/// assert!(everything.resynced());
/// // … all of everything.snapshot() is looked at …
/// let handled = everything.cursor().to_string();
///
/// # let mut log = History::new(1).log(100_000);
/// # let more = History::new(1).log(150_000).split_off(log.len());
/// # writer.apply(0, log.len() as u64, &more.into())?;
/// # writer.publish();
/// // Another day.
/// let mut feed = corpus.follow(FollowOptions::from(handled.parse()?));
/// let batch = feed.next().await.ok_or("stopped")?;
/// for change in batch.issues().filter(|change| change.what.commented()) {
///     println!("{}: {} comments", change.issue.reference(), change.issue.comment_count());
/// }
/// # assert!(!batch.resynced() && batch.issues().count() > 0);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Feed {
    corpus: Corpus,
    from: Option<Cursor>,
    /// Where it is, and in the log of which epoch.
    at: Option<(Position, u64)>,
}

/// What a piece of the log has.
enum Step {
    Changes(Batch),
    None,
    /// There is no more of it.
    End,
}

/// Changes that belong together.
#[derive(Debug)]
pub struct Batch {
    snapshot: Snapshot,
    changes: Vec<Change>,
    cursor: Cursor,
    resynced: bool,
}

/// An issue that is not as it was.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct IssueChange<'s> {
    /// The issue, as the batch's snapshot has it.
    pub issue: Issue<'s>,
    /// What happened to it.
    pub what: What,
}

/// A change on Gerrit that is not as it was.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ClChange<'s> {
    /// The change, as the batch's snapshot has it. It may be private.
    pub cl: super::Change<'s>,
    /// What happened to it.
    pub what: ClWhat,
}

/// A ref that points elsewhere, is new, or is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefChange<'s> {
    /// The project: host, slash, path.
    pub project: &'s str,
    /// The ref's name.
    pub name: &'s str,
    /// Where it points; nothing if it is gone.
    pub target: Option<Hash>,
}

impl Corpus {
    /// Tells what changes.
    pub fn follow(&self, options: FollowOptions) -> Feed {
        Feed {
            corpus: self.clone(),
            from: options.from,
            at: None,
        }
    }
}

impl Feed {
    /// The next changes. Waits for some. None if nobody writes to the corpus any more, and all was
    /// told.
    ///
    /// The snapshot of a batch is the newest there is: it may be ahead of the changes, which then
    /// come with the next ones.
    ///
    /// May be dropped at any time without losing anything.
    pub async fn next(&mut self) -> Option<Batch> {
        loop {
            let snapshot = self.corpus.snapshot();
            match self.step(&snapshot) {
                Step::Changes(batch) => return Some(batch),
                // A long way without changes is not to keep others from running.
                Step::None => tokio::task::yield_now().await,
                Step::End => drop(self.corpus.newer_than(snapshot.generation()).await?),
            }
        }
    }

    /// The next changes, if there are any: for programs that run once in a while and do not wait.
    pub fn next_now(&mut self) -> Option<Batch> {
        loop {
            match self.step(&self.corpus.snapshot()) {
                Step::Changes(batch) => return Some(batch),
                Step::None => {}
                Step::End => return None,
            }
        }
    }

    /// Looks at the next piece of the snapshot's log.
    fn step(&mut self, snapshot: &Snapshot) -> Step {
        if snapshot.generation() == 0 {
            return Step::End;
        }
        let Some(position) = self.position_in(snapshot) else {
            return Step::Changes(self.resync(snapshot));
        };
        if position.bytes >= snapshot.position().bytes {
            return Step::End;
        }
        let Some((changes, position)) = read(snapshot, position) else {
            return Step::Changes(self.resync(snapshot));
        };
        self.at = Some((position, snapshot.epoch()));
        if changes.len() == 0 {
            return Step::None;
        }
        let cursor = Cursor::at(snapshot.segments(), position);
        self.from = Some(cursor);
        Step::Changes(Batch {
            snapshot: snapshot.clone(),
            changes: changes.into_list(),
            cursor,
            resynced: false,
        })
    }

    /// Where it is in the snapshot's log; nothing if it was in another one.
    fn position_in(&mut self, snapshot: &Snapshot) -> Option<Position> {
        if let Some((position, epoch)) = self.at
            && epoch == snapshot.epoch()
        {
            return Some(position);
        }
        // The place is kept as a cursor, which knows its log again.
        let found = self.from?.find(snapshot.segments(), snapshot.position())?;
        self.at = Some((found, snapshot.epoch()));
        Some(found)
    }

    /// Everything is to be looked at anew.
    fn resync(&mut self, snapshot: &Snapshot) -> Batch {
        let cursor = Cursor::at(snapshot.segments(), snapshot.position());
        self.from = Some(cursor);
        self.at = Some((snapshot.position(), snapshot.epoch()));
        Batch {
            snapshot: snapshot.clone(),
            changes: Vec::new(),
            cursor,
            resynced: true,
        }
    }
}

/// Changes from a place on, and where they end. None if no record begins there.
fn read(snapshot: &Snapshot, from: Position) -> Option<(Changes, Position)> {
    let segments = snapshot.segments();
    let end = snapshot.position();
    let mut changes = Changes::default();
    let mut position = from;
    while position.bytes < end.bytes && position.bytes - from.bytes < LONGEST_BATCH {
        let size = if position.segment == end.segment {
            end.offset
        } else {
            segments.end(position.segment)
        };
        if position.offset >= size {
            position.segment += 1;
            position.offset = 0;
            continue;
        }
        let (at, bytes) = segments
            .read(position.segment, position.offset, size)
            .next()?;
        let origin = Origin::new(position.segment, at, &bytes);
        for record in Records::new(&bytes, at) {
            let record = record.ok()?;
            if let Ok(mutation) = view::Mutation::decode(record.payload) {
                changes.add(snapshot, origin, &mutation);
            }
            position.bytes += record.end() - record.offset;
            position.offset = record.end();
            if position.bytes - from.bytes >= LONGEST_BATCH {
                break;
            }
        }
    }
    changes.add_cls(snapshot, from, position);
    Some((changes, position))
}

impl Batch {
    /// The corpus, as new as it was when the batch was made.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Nobody knows what changed: everything is to be looked at anew. Because it is the first batch,
    /// or because the log is another one than before.
    pub fn resynced(&self) -> bool {
        self.resynced
    }

    /// What to go on [from](FollowOptions::from) once this batch is handled.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Issues and pull requests to which something happened, each once, in the order in which it
    /// first did.
    pub fn issues(&self) -> impl Iterator<Item = IssueChange<'_>> {
        self.changes.iter().filter_map(|change| match *change {
            Change::Issue(at, what) => {
                let issue = self.snapshot.github().issue_at(at)?;
                Some(IssueChange { issue, what })
            }
            _ => None,
        })
    }

    /// Changes on Gerrit to which something happened, each once, in the order in which it first did.
    ///
    /// A change is told of once there is enough of it to see it
    /// ([`Project::cl`](super::Project::cl)), with all that happened before.
    pub fn cls(&self) -> impl Iterator<Item = ClChange<'_>> {
        self.changes.iter().filter_map(|change| match *change {
            Change::Cl(at, what) => {
                let cl = self.snapshot.gerrit().change_at(at)?;
                Some(ClChange { cl, what })
            }
            _ => None,
        })
    }

    /// Labels that are new or renamed, each once.
    pub fn labels(&self) -> impl Iterator<Item = Label<'_>> {
        self.changes.iter().filter_map(|change| match *change {
            Change::Label(at) => self.snapshot.github().label_at(at),
            _ => None,
        })
    }

    /// Milestones that are new or changed, each once.
    pub fn milestones(&self) -> impl Iterator<Item = Milestone<'_>> {
        self.changes.iter().filter_map(|change| match *change {
            Change::Milestone(at) => self.snapshot.github().milestone_at(at),
            _ => None,
        })
    }

    /// Commits that were told, meta commits of changes included.
    pub fn commits(&self) -> impl Iterator<Item = Commit<'_>> {
        self.changes.iter().filter_map(|change| match *change {
            Change::Commit(name) => self.snapshot.commits().get(name),
            _ => None,
        })
    }

    /// Refs of projects on Gerrit that moved, as often as they did. Those of changes are among them;
    /// what they mean is for [`cls`](Self::cls) to tell.
    pub fn refs(&self) -> impl Iterator<Item = RefChange<'_>> {
        let segments = self.snapshot.segments();
        self.changes.iter().filter_map(|change| match *change {
            Change::Ref {
                project,
                name,
                target,
            } => Some(RefChange {
                project: segments.text(project),
                name: segments.text(name),
                target,
            }),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests;
