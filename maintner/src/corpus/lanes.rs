//! A large piece of a log, on two threads.
//!
//! One reads: finds the records, decodes them, applies what is about GitHub, and prepares commits.
//! The other applies those, and what is about Gerrit. The two halves of a corpus share nothing, and
//! each is applied in the log's order, so the result is what one thread makes of it.

use std::sync::mpsc;

use super::{
    ApplyError,
    commits::{AddError, Commits, Path, Prepared, Preparer, Waiting, passed_over},
    state::{Origins, State},
    writer::decode,
};
use crate::{
    log::Position,
    proto::view,
    reclog::{Record, Records},
};

/// Bytes below which a second thread is not worth its while.
pub(super) const LARGE: usize = 1 << 20;

/// Bytes of records that are handed over together, about.
const CHUNK: u64 = 128 << 10;

/// Chunks that the reader may be ahead.
const AHEAD: usize = 8;

/// What some records say of git and Gerrit.
#[derive(Default)]
struct Chunk<'a> {
    steps: Vec<Step<'a>>,
    commits: Vec<Result<Prepared<'a>, AddError>>,
    paths: Vec<Path<'a>>,
    bytes: u64,
}

enum Step<'a> {
    /// The next commit.
    Commit,
    /// The next commits, so many, and the rest of the mutation.
    Gerrit(usize, view::GerritMutation<'a>),
}

/// What became of a thread's part.
struct Done {
    position: Position,
    skipped: u64,
}

pub(super) fn apply<'a>(
    state: &mut State,
    waiting: &mut Waiting,
    origins: Origins<'a>,
    segment: u32,
    records: Records<'a>,
) -> Result<(), ApplyError> {
    let State {
        github,
        commits,
        gerrit,
        position,
        skipped,
        ..
    } = state;
    let mut done = Done {
        position: *position,
        skipped: 0,
    };
    let Preparer { names, texts } = commits.preparer();
    let (names, texts) = (names.clone(), texts.clone());
    let (give, take) = mpsc::sync_channel::<Chunk<'a>>(AHEAD);

    let read = move |done: &mut Done| -> Result<(), ApplyError> {
        let preparer = Preparer {
            names: &names,
            texts: &texts,
        };
        let mut chunk = Chunk::default();
        let mut read = |chunk: &mut Chunk<'a>, record: Record<'a>| -> Result<(), ApplyError> {
            let mutation = decode(segment, &record)?;
            if let Some(issue) = &mutation.github_issue {
                let applied = github.apply_issue(origins.github, issue, &mut done.skipped);
                applied.map_err(|_| ApplyError::Full)?;
            }
            if let Some(mutation) = &mutation.github {
                let applied = github.apply(origins.github, mutation, &mut done.skipped);
                applied.map_err(|_| ApplyError::Full)?;
            }
            let Chunk {
                steps,
                commits,
                paths,
                bytes,
            } = chunk;
            if let Some(commit) = mutation.git.and_then(|git| git.commit) {
                commits.push(preparer.prepare(origins.git, &commit, paths));
                steps.push(Step::Commit);
            }
            if let Some(gerrit) = mutation.gerrit {
                let before = commits.len();
                commits.extend(gerrit.commits.map(|commit| {
                    let commit = commit.map_err(AddError::from)?;
                    preparer.prepare(origins.git, &commit, paths)
                }));
                steps.push(Step::Gerrit(commits.len() - before, gerrit));
            }
            let len = record.end() - record.offset;
            *bytes += len;
            done.position = Position {
                bytes: done.position.bytes + len,
                segment,
                offset: record.end(),
            };
            Ok(())
        };
        for record in records {
            let result = record
                .map_err(Into::into)
                .and_then(|record| read(&mut chunk, record));
            if result.is_err() || chunk.bytes >= CHUNK {
                // Nobody takes it if the other thread has failed.
                if give.send(std::mem::take(&mut chunk)).is_err() {
                    return Ok(());
                }
                result?;
            }
        }
        let _ = give.send(chunk);
        Ok(())
    };
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let result = read(&mut done);
            (done, result)
        });
        let mut add = |chunk: Chunk<'a>| -> Result<(), AddError> {
            let mut new = chunk.commits.into_iter();
            let mut paths = chunk.paths.iter();
            for step in chunk.steps {
                let mut add = |commits: &mut Commits, waiting: &mut Waiting, new| {
                    commits.add_prepared(origins.git, new, &mut paths, waiting)
                };
                match step {
                    Step::Commit => {
                        let new = new.next().into_iter();
                        for new in new {
                            let added = new.and_then(|new| add(commits, waiting, new));
                            passed_over(added, skipped)?;
                        }
                    }
                    Step::Gerrit(count, mutation) => {
                        let new = new.by_ref().take(count);
                        let origin = origins.git;
                        gerrit
                            .apply_with(commits, waiting, origin, &mutation, skipped, new, add)?;
                    }
                }
            }
            Ok(())
        };
        let added = take.iter().try_for_each(&mut add);
        // The reader stops if there is nobody to give to.
        drop(take);
        let (done, read) = reader
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        *position = done.position;
        *skipped += done.skipped;
        added.map_err(|_| ApplyError::Full).and(read)
    })
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
