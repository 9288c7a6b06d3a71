//! How a piece of a log is taken in: in two steps, on one thread or two.
//!
//! Reading finds the records, decodes them, and applies what is about GitHub. Adding takes in commits
//! and what is about Gerrit. The two halves of a corpus share nothing, and each is applied in the
//! log's order, so it makes no difference whether one thread takes turns at both or each has its own.
//! Of two, the one that is ahead prepares commits for the other.

use std::{
    panic, slice,
    sync::mpsc::{self, TrySendError},
    thread,
};

use super::{
    ApplyError,
    commits::{AddError, Commits, Path, Prepared, Preparer, Waiting, passed_over},
    gerrit, github,
    state::State,
};
use crate::{
    log::Position,
    proto::{
        Text,
        view::{self, View},
    },
    reclog::Records,
    store::Origin,
};

/// Bytes below which a second thread is not worth its while.
pub(super) const LARGE: usize = 256 << 10;

/// Bytes of records that are read before they are added, about: so few that they stay in the cache.
const CHUNK: u64 = 64 << 10;

/// Chunks that reading may be ahead.
const AHEAD: usize = 3;

/// What some records say of git and Gerrit.
#[derive(Default)]
struct Chunk<'a> {
    steps: Vec<Step<'a>>,
    is_prepared: bool,
    /// The commits of all steps, once they are prepared.
    commits: Vec<Result<Prepared<'a>, AddError>>,
    paths: Vec<Path<'a>>,
}

enum Step<'a> {
    Git(view::GitCommit<'a>),
    Gerrit(view::GerritMutation<'a>),
}

impl<'a> Chunk<'a> {
    /// Prepares the commits, unless they are.
    fn prepare(&mut self, preparer: Preparer<'_>, origin: Origin<'a>) {
        if std::mem::replace(&mut self.is_prepared, true) {
            return;
        }
        let (commits, paths) = (&mut self.commits, &mut self.paths);
        for step in &self.steps {
            match step {
                Step::Git(commit) => commits.push(preparer.prepare(origin, commit, paths)),
                Step::Gerrit(mutation) => {
                    for commit in mutation.commits {
                        let commit = commit.map_err(AddError::from);
                        commits.push(
                            commit.and_then(|commit| preparer.prepare(origin, &commit, paths)),
                        );
                    }
                }
            }
        }
    }

    /// Forgets everything.
    fn clear(&mut self) {
        self.steps.clear();
        self.commits.clear();
        self.paths.clear();
        self.is_prepared = false;
    }
}

/// Takes in `records`, which stand in a segment, on as many threads.
pub(super) fn apply<'a>(
    threads: usize,
    state: &mut State,
    waiting: &mut Waiting,
    origin: Origin<'a>,
    segment: u32,
    records: Records<'a>,
) -> Result<(), ApplyError> {
    let names = state.commits.names().clone();
    let texts = state.commits.texts().hasher().clone();
    let preparer = Preparer {
        names: &names,
        texts: &texts,
    };
    let mut reader = Reader {
        github: &mut state.github,
        origin,
        segment,
        records,
        position: state.position,
        skipped: 0,
    };
    let mut adder = Adder {
        commits: &mut state.commits,
        gerrit: &mut state.gerrit,
        waiting,
        preparer,
        origin,
        project: None,
        skipped: 0,
    };
    let result = match threads {
        0 | 1 => take_turns(&mut reader, &mut adder),
        _ => side_by_side(&mut reader, &mut adder, preparer),
    };
    state.skipped += reader.skipped + adder.skipped;
    state.position = reader.position;
    result
}

fn take_turns<'a>(
    reader: &mut Reader<'_, 'a>,
    adder: &mut Adder<'_, 'a>,
) -> Result<(), ApplyError> {
    let mut chunk = Chunk::default();
    loop {
        let more = reader.read(&mut chunk);
        adder.add(&mut chunk).map_err(|_| ApplyError::Full)?;
        if !more? {
            return Ok(());
        }
    }
}

fn side_by_side<'a>(
    reader: &mut Reader<'_, 'a>,
    adder: &mut Adder<'_, 'a>,
    preparer: Preparer<'_>,
) -> Result<(), ApplyError> {
    let origin = adder.origin;
    let (give, take) = mpsc::sync_channel(AHEAD);
    let ahead = &mut *reader;
    let result = thread::scope(|scope| {
        let reading = thread::Builder::new().spawn_scoped(scope, move || {
            loop {
                let mut chunk = Chunk::default();
                let more = ahead.read(&mut chunk);
                let mut given = give.try_send(chunk);
                if let Err(TrySendError::Full(mut chunk)) = given {
                    chunk.prepare(preparer, origin);
                    given = give.send(chunk).map_err(Into::into);
                }
                // Nobody takes it if adding has failed.
                if given.is_err() || !more? {
                    return Ok(());
                }
            }
        });
        let reading = reading.ok()?;
        let mut chunks = take.iter();
        let added = chunks.try_for_each(|mut chunk| adder.add(&mut chunk));
        // Reading stops if there is nobody to give to.
        drop(take);
        let read = reading.join();
        let read = read.unwrap_or_else(|panic| panic::resume_unwind(panic));
        Some(added.map_err(|_| ApplyError::Full).and(read))
    });
    // The system may have no thread to give.
    result.unwrap_or_else(|| take_turns(reader, adder))
}

/// Reads, and has the half that is about GitHub.
struct Reader<'s, 'a> {
    github: &'s mut github::State,
    origin: Origin<'a>,
    segment: u32,
    records: Records<'a>,
    position: Position,
    skipped: u64,
}

impl<'a> Reader<'_, 'a> {
    /// Reads some records into an empty chunk; gives whether there may be more. What was read before
    /// an error is there.
    fn read(&mut self, chunk: &mut Chunk<'a>) -> Result<bool, ApplyError> {
        let end = self.position.bytes + CHUNK;
        while self.position.bytes < end {
            let Some(record) = self.records.next() else {
                return Ok(false);
            };
            let record = record?;
            let mut mutation = view::Mutation::default();
            let read = mutation.read(record.payload);
            read.map_err(|source| ApplyError::Mutation {
                segment: self.segment,
                offset: record.offset,
                source,
            })?;
            self.apply(&mutation)?;
            let commit = mutation.git.as_ref().and_then(|git| git.commit);
            chunk.steps.extend(commit.map(Step::Git));
            chunk.steps.extend(mutation.gerrit.map(Step::Gerrit));
            self.position = Position {
                bytes: self.position.bytes + (record.end() - record.offset),
                segment: self.segment,
                offset: record.end(),
            };
        }
        Ok(true)
    }

    fn apply(&mut self, mutation: &view::Mutation<'a>) -> Result<(), ApplyError> {
        let (origin, skipped) = (self.origin, &mut self.skipped);
        if let Some(issue) = &mutation.github_issue {
            let applied = self.github.apply_issue(origin, issue, skipped);
            applied.map_err(|_| ApplyError::Full)?;
        }
        if let Some(mutation) = &mutation.github {
            let applied = self.github.apply(origin, mutation, skipped);
            applied.map_err(|_| ApplyError::Full)?;
        }
        Ok(())
    }
}

/// Adds, and has the half that is about git and Gerrit.
struct Adder<'s, 'a> {
    commits: &'s mut Commits,
    gerrit: &'s mut gerrit::State,
    waiting: &'s mut Waiting,
    preparer: Preparer<'s>,
    origin: Origin<'a>,
    /// The project of the last mutation.
    project: Option<(Text<'a>, u32)>,
    skipped: u64,
}

impl<'a> Adder<'_, 'a> {
    /// Adds what a chunk says, which is empty then.
    fn add(&mut self, chunk: &mut Chunk<'a>) -> Result<(), AddError> {
        chunk.prepare(self.preparer, self.origin);
        self.commits.warm(&chunk.commits, &chunk.paths);
        let mut new = chunk.commits.drain(..);
        let mut paths = chunk.paths.iter();
        for step in &chunk.steps {
            match step {
                Step::Git(_) => self.add_commits(new.by_ref().take(1), &mut paths)?,
                Step::Gerrit(mutation) => {
                    let project = self.project(mutation.project)?;
                    let count = mutation.commits.len();
                    self.add_commits(new.by_ref().take(count), &mut paths)?;
                    self.gerrit.apply(
                        self.commits,
                        self.waiting,
                        self.origin,
                        project,
                        mutation,
                        &mut self.skipped,
                    )?;
                }
            }
        }
        drop(new);
        chunk.clear();
        Ok(())
    }

    /// The row of a project, if it has a name.
    fn project(&mut self, name: Text<'a>) -> Result<Option<u32>, AddError> {
        // Most mutations are about the project of the one before.
        if self.project.is_none_or(|(last, _)| last != name) {
            let row = self.gerrit.project(self.commits, self.origin, name)?;
            self.project = row.map(|row| (name, row));
        }
        Ok(self.project.map(|(_, row)| row))
    }

    fn add_commits(
        &mut self,
        new: impl Iterator<Item = Result<Prepared<'a>, AddError>>,
        paths: &mut slice::Iter<'_, Path<'a>>,
    ) -> Result<(), AddError> {
        for new in new {
            let added = new.and_then(|new| self.commits.add(self.origin, new, paths, self.waiting));
            passed_over(added, &mut self.skipped)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use prost::Message;

    use crate::{
        corpus::{ApplyError, Writer},
        reclog::Header,
        testing::{History, difference, dump, mischief},
    };

    fn applied(threads: usize, log: &Bytes) -> (Writer, Result<(), ApplyError>) {
        let mut writer = Writer::new();
        let result = writer.apply_on(threads, 0, 0, log);
        (writer, result)
    }

    /// Fails unless two threads make of a log what one does.
    fn compare(log: &Bytes) -> Result<(), TestCaseError> {
        let (mut one, expected) = applied(1, log);
        let (mut two, result) = applied(2, log);
        prop_assert_eq!(result, expected);
        let (one, two) = (one.publish(), two.publish());
        prop_assert_eq!(one.skipped(), two.skipped());
        prop_assert_eq!(one.position(), two.position());
        prop_assert_eq!(difference(&dump(&one), &dump(&two)), None);
        // Rows have the same numbers.
        prop_assert!(one.commits().iter().eq(two.commits().iter()));
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(6))]
        #[test]
        fn two_threads_do_what_one_does(
            seed: u64,
            numbers in prop::collection::vec(any::<u64>(), 0..300),
            damage in any::<Option<(prop::sample::Index, u8)>>(),
        ) {
            let mut log = Vec::new();
            let mut numbers = numbers.into_iter();
            for mutation in History::new(seed) {
                for mutation in [Some(mutation), numbers.next().map(mischief)].into_iter().flatten() {
                    let payload = mutation.encode_to_vec();
                    log.extend_from_slice(&Header::new(log.len() as u64, payload.len() as u64));
                    log.extend(payload);
                }
                if log.len() > 150_000 {
                    break;
                }
            }
            compare(&Bytes::copy_from_slice(&log))?;
            if let Some((at, damage)) = damage {
                let at = at.index(log.len());
                log[at] ^= damage;
                compare(&log.clone().into())?;
                log.truncate(at);
                compare(&log.into())?;
            }
        }
    }
}
