//! Unpacking.

use std::fs::FileTimes;
use std::io::{self, Read, Write};

use cap_std::fs::Dir;

use crate::dest::{Dest, Linked, PlaceError};
use crate::feed::{Clock, Feed, Gzip, Plain};
use crate::member::{Member, MemberKind, Members};
use crate::name::os_string;
use crate::pipe::{self, piped};
use crate::{
    Limit, Links, NameError, OnFailure, RelPath, UnpackError, UnpackErrorKind, UnpackOptions,
    Unpacked, gotext, validate_name,
};

/// Unpacks a plain tar stream beneath `into`, and reads it to its end.
///
/// Nothing outside `into` is written, removed or changed, whatever the archive holds, whatever links
/// lie in the tree already, and whoever changes the tree meanwhile. An existing file is replaced by
/// a new one, not written through; an existing directory is used as it is. Links that lie in the
/// tree already are followed where a directory is needed, if they stay beneath `into`.
///
/// Files get the archive's permission bits less the process's umask, never set-user-id, set-group-id
/// or sticky bits; directories get 0755 less the umask. Owners are not restored. Modification times
/// of files are, but never beyond [`UnpackOptions::now`].
///
/// This blocks, and uses one more thread: one reads, one writes files. To stop it early, let the
/// reader fail. A failure is returned as soon as the reader comes back from the read it is in.
///
/// # Errors
///
/// [`UnpackError`], which says whose fault it is and how far it came. Entries before the failing one
/// stay, or go, by [`UnpackOptions::on_failure`]; a file that was being written is removed in any case.
pub fn unpack(
    reader: impl Read,
    into: &Dir,
    options: &UnpackOptions,
) -> Result<Unpacked, UnpackError> {
    unpack_then(reader, into, options, &|| {})
}

/// As [`unpack`]; calls `done` when nothing more will be written, which may be while the reader still
/// blocks.
pub(crate) fn unpack_then(
    reader: impl Read,
    into: &Dir,
    options: &UnpackOptions,
    done: &(dyn Fn() + Sync),
) -> Result<Unpacked, UnpackError> {
    let clock = Clock::start(&options.limits);
    piped(
        Plain::new(reader, clock),
        &Order {
            into,
            options,
            clock,
            done,
        },
    )
}

/// As [`unpack`], for a tar stream compressed with gzip, of one or more members.
///
/// The checksum of every member is verified, and nothing but zeros may follow the last one.
///
/// # Errors
///
/// As [`unpack`], and [`UnpackErrorKind::NotGzip`] if the stream does not start as gzip.
pub fn unpack_gz(
    reader: impl Read,
    into: &Dir,
    options: &UnpackOptions,
) -> Result<Unpacked, UnpackError> {
    unpack_gz_then(reader, into, options, &|| {})
}

/// To [`unpack_gz`] what [`unpack_then`] is to [`unpack`].
pub(crate) fn unpack_gz_then(
    reader: impl Read,
    into: &Dir,
    options: &UnpackOptions,
    done: &(dyn Fn() + Sync),
) -> Result<Unpacked, UnpackError> {
    let clock = Clock::start(&options.limits);
    match Gzip::new(reader, clock) {
        Ok(feed) => piped(
            feed,
            &Order {
                into,
                options,
                clock,
                done,
            },
        ),
        Err(kind) => {
            let progress = Unpacked {
                elapsed: clock.elapsed(),
                ..Unpacked::default()
            };
            let cleanup = (options.on_failure == OnFailure::Remove).then(Default::default);
            Err(UnpackError::new(kind, progress).cleaned(cleanup))
        }
    }
}

/// What is to be done with a stream.
struct Order<'a> {
    into: &'a Dir,
    options: &'a UnpackOptions,
    clock: Clock,
    done: &'a (dyn Fn() + Sync),
}

impl pipe::Work for Order<'_> {
    type Done = Result<Unpacked, UnpackError>;

    fn run(&self, feed: impl Feed) -> Self::Done {
        let mut job = Job {
            members: Members::new(feed, self.options.limits, self.clock),
            dest: Dest::new(self.into, self.options),
            options: self.options,
            clock: self.clock,
            done: Unpacked::default(),
            last: None,
        };
        let result = job.all();
        let mut done = job.done;
        done.entries = job.members.entries();
        done.dirs = job.dest.dirs();
        let result = result.map_err(|kind| (kind, job.dest.undo()));
        done.elapsed = self.clock.elapsed();
        (self.done)();
        match result {
            Ok(()) => Ok(done),
            Err((kind, cleanup)) => Err(UnpackError::new(kind, done).at(job.last).cleaned(cleanup)),
        }
    }
}

struct Job<'a, F> {
    members: Members<F>,
    dest: Dest<'a>,
    options: &'a UnpackOptions,
    clock: Clock,
    done: Unpacked,
    /// The entry that failed.
    last: Option<Vec<u8>>,
}

impl<F: Feed> Job<'_, F> {
    fn all(&mut self) -> Result<(), UnpackErrorKind> {
        let mut last = None;
        let result = loop {
            let member = match self.members.next() {
                Ok(Some(member)) => member,
                Ok(None) => return Ok(()),
                Err(kind) => break Err(kind),
            };
            let result = self.member(&member);
            last = Some(member.name);
            if result.is_err() {
                break result;
            }
        };
        self.last = last.map(|mut name| {
            name.truncate(MAX_LAST);
            name
        });
        result
    }

    fn member(&mut self, member: &Member) -> Result<(), UnpackErrorKind> {
        self.clock.check()?;
        let path = validate_name(&member.name).map_err(|reason| invalid(member, reason))?;
        // What names imply counts as if it had entries of its own.
        let max = self.options.limits.max_entries;
        self.dest
            .allow_implied(max.saturating_sub(self.members.entries()));
        match member.kind {
            MemberKind::Dir => {
                return self
                    .dest
                    .make_dir(&path)
                    .map_err(|e| self.misplaced(member, e));
            }
            _ if path.is_root() || member.name.ends_with(b"/") => {
                return Err(invalid(member, NameError::Directory));
            }
            MemberKind::File => return self.file(member, &path),
            MemberKind::Symlink | MemberKind::HardLink => {}
        }
        match self.options.links {
            Links::Refuse => return Err(unsupported(member)),
            Links::Ignore => self.done.skipped += 1,
            Links::Inside if member.kind == MemberKind::Symlink => self.symlink(member, &path)?,
            Links::Inside => self.hard_link(member, &path)?,
        }
        Ok(())
    }

    fn file(&mut self, member: &Member, path: &RelPath) -> Result<(), UnpackErrorKind> {
        self.reach(member, path)?;
        let file = self
            .dest
            .place(path)
            .create_file(member.mode)
            .map_err(|e| self.misplaced(member, e))?;
        self.dest
            .record_file(path, &file)
            .map_err(|e| self.misplaced(member, e))?;
        // The handle alone is used from here on: nobody can slip another file under it.
        let mut file = file.into_std();
        let mut written = 0;
        let copied = loop {
            let bytes = match self.members.content() {
                Ok([]) => break Ok(()),
                Ok(bytes) => bytes,
                Err(kind) => break Err(kind),
            };
            if let Err(error) = file.write_all(bytes) {
                break Err(UnpackErrorKind::io("error writing to", &member.name, error));
            }
            let n = bytes.len();
            written += n as u64;
            self.members.consume(n);
        };
        if let Err(kind) = copied {
            drop(file);
            self.dest.place(path).discard();
            return Err(kind);
        }
        debug_assert_eq!(written, member.size);
        if let Some(mtime) = member.mtime {
            let mtime = mtime.min(self.options.now);
            let times = FileTimes::new().set_accessed(mtime).set_modified(mtime);
            // A file with the wrong time is still the right file.
            if file.set_times(times).is_err() {
                self.done.times_not_set += 1;
            }
        }
        self.done.files += 1;
        self.done.bytes += written;
        Ok(())
    }

    fn symlink(&mut self, member: &Member, path: &RelPath) -> Result<(), UnpackErrorKind> {
        let refused = |reason| link_error(member, reason);
        let climb = climb(&member.link).map_err(refused)?;
        if climb >= path.depth() {
            return Err(refused("leads outside"));
        }
        let target =
            os_string(&member.link).ok_or_else(|| refused("has a target that is not utf-8"))?;
        self.reach(member, path)?;
        if self.dest.is_linked() {
            return Err(refused("lies behind another link"));
        }
        self.dest
            .place(path)
            .create_symlink(&target)
            .and_then(|()| self.dest.record(path))
            .map_err(|e| self.misplaced(member, e))?;
        self.done.links += 1;
        Ok(())
    }

    fn hard_link(&mut self, member: &Member, path: &RelPath) -> Result<(), UnpackErrorKind> {
        let refused = |reason| link_error(member, reason);
        let target = validate_name(&member.link).map_err(|_| refused("leads outside"))?;
        // Looked up first: a place is not made for a link that cannot be.
        let (from, from_name) = match self.dest.find(&target) {
            Ok(Some(found)) => found,
            Ok(None) => return Err(refused("is the directory itself")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(refused("does not exist"));
            }
            Err(_) => return Err(refused("is not reached without links")),
        };
        match from.symlink_metadata(&from_name) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => return Err(refused("is no regular file")),
            Err(_) => return Err(refused("does not exist")),
        }
        self.reach(member, path)?;
        if self.dest.is_linked() {
            return Err(refused("is to be linked behind another link"));
        }
        let linked = self
            .dest
            .place(path)
            .create_hard_link(&from, &from_name)
            .map_err(|e| self.misplaced(member, e))?;
        match linked {
            Linked::Made => self
                .dest
                .record(path)
                .map_err(|e| self.misplaced(member, e))?,
            Linked::Already => {}
            Linked::NotAFile => return Err(refused("is no regular file")),
        }
        self.done.links += 1;
        Ok(())
    }

    /// Opens, and where missing makes, the directory an entry goes to.
    fn reach(&mut self, member: &Member, path: &RelPath) -> Result<(), UnpackErrorKind> {
        self.dest.reach(path).map_err(|e| self.misplaced(member, e))
    }

    fn misplaced(&self, member: &Member, error: PlaceError) -> UnpackErrorKind {
        match error {
            PlaceError::Blocked(obstacle) => UnpackErrorKind::Blocked {
                name: member.name.clone(),
                obstacle,
            },
            PlaceError::Implied => {
                let max = self.options.limits.max_entries;
                UnpackErrorKind::limit(Limit::Entries, max, Some(&member.name))
            }
            PlaceError::Io(action, source) => UnpackErrorKind::io(action, &member.name, source),
        }
    }
}

/// How many directories a symlink's target climbs, all at its start.
///
/// A `..` after a name is refused: through a link of that name it climbs from somewhere else. With
/// the link's own directory reached without links, every hop of its resolution then starts at a
/// known depth and stays inside.
fn climb(target: &[u8]) -> Result<usize, &'static str> {
    if target.is_empty() {
        return Err("is empty");
    }
    if target[0] == b'/' {
        return Err("is absolute");
    }
    if target.contains(&0) {
        return Err("has a nul byte");
    }
    let (mut climb, mut named) = (0, false);
    for part in target.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." if named => return Err("climbs after a name"),
            b".." => climb += 1,
            _ => named = true,
        }
    }
    Ok(climb)
}

fn invalid(member: &Member, reason: NameError) -> UnpackErrorKind {
    UnpackErrorKind::InvalidName {
        name: member.name.clone(),
        reason,
    }
}

fn unsupported(member: &Member) -> UnpackErrorKind {
    UnpackErrorKind::UnsupportedType {
        name: member.name.clone(),
        mode: gotext::mode_string(member.typeflag, member.mode),
        typeflag: member.typeflag,
    }
}

fn link_error(member: &Member, reason: &'static str) -> UnpackErrorKind {
    UnpackErrorKind::Link {
        name: member.name.clone(),
        target: member.link.clone(),
        reason,
    }
}

/// What is kept of a name for a report.
const MAX_LAST: usize = 4096;
