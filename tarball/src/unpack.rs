//! Unpacking.

use std::fs::FileTimes;
use std::io::{self, Read, Write};
use std::time::Instant;

use cap_std::fs::Dir;

use crate::dest::{Dest, PlaceError};
use crate::feed::{Feed, Gzip, Plain};
use crate::member::{Member, MemberKind, Members};
use crate::name::os_string;
use crate::{
    Links, NameError, RelPath, UnpackError, UnpackErrorKind, UnpackOptions, Unpacked, gotext,
    validate_name,
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
/// This blocks. To stop it early, let the reader fail.
///
/// # Errors
///
/// [`UnpackError`], which says whose fault it is and how far it came. Entries before the failing one
/// stay; a file that was being written is removed.
pub fn unpack(
    reader: impl Read,
    into: &Dir,
    options: &UnpackOptions,
) -> Result<Unpacked, UnpackError> {
    let start = Instant::now();
    run(Plain::new(reader), into, options, start)
}

/// As [`unpack`], for a tar stream compressed with gzip, of one or more members.
///
/// The checksum of every member is verified, and what follows the last one must be another.
///
/// # Errors
///
/// As [`unpack`], and [`UnpackErrorKind::NotGzip`] if the stream does not start as gzip.
pub fn unpack_gz(
    reader: impl Read,
    into: &Dir,
    options: &UnpackOptions,
) -> Result<Unpacked, UnpackError> {
    let start = Instant::now();
    match Gzip::new(reader) {
        Ok(feed) => run(feed, into, options, start),
        Err(kind) => {
            let progress = Unpacked {
                elapsed: start.elapsed(),
                ..Unpacked::default()
            };
            Err(UnpackError::new(kind, progress))
        }
    }
}

fn run(
    feed: impl Feed,
    into: &Dir,
    options: &UnpackOptions,
    start: Instant,
) -> Result<Unpacked, UnpackError> {
    let mut job = Job {
        members: Members::new(feed, options.limits),
        dest: Dest::new(into),
        options,
        done: Unpacked::default(),
    };
    let result = job.all();
    let mut done = job.done;
    done.dirs = job.dest.dirs();
    done.elapsed = start.elapsed();
    match result {
        Ok(()) => Ok(done),
        Err(kind) => Err(UnpackError::new(kind, done)),
    }
}

struct Job<'a, F> {
    members: Members<F>,
    dest: Dest<'a>,
    options: &'a UnpackOptions,
    done: Unpacked,
}

impl<F: Feed> Job<'_, F> {
    fn all(&mut self) -> Result<(), UnpackErrorKind> {
        while let Some(member) = self.members.next()? {
            let path = validate_name(&member.name).map_err(|reason| invalid(&member, reason))?;
            match member.kind {
                MemberKind::Dir => {
                    self.dest
                        .make_dir(&path)
                        .map_err(|e| misplaced(&member, e))?;
                    continue;
                }
                _ if path.is_root() || member.name.ends_with(b"/") => {
                    return Err(invalid(&member, NameError::Directory));
                }
                MemberKind::File => {
                    self.file(&member, &path)?;
                    continue;
                }
                MemberKind::Symlink | MemberKind::HardLink => {}
            }
            match self.options.links {
                Links::Refuse => return Err(unsupported(member)),
                Links::Ignore => self.done.skipped += 1,
                Links::Inside if member.kind == MemberKind::Symlink => {
                    self.symlink(&member, &path)?
                }
                Links::Inside => self.hard_link(&member, &path)?,
            }
        }
        Ok(())
    }

    fn file(&mut self, member: &Member, path: &RelPath) -> Result<(), UnpackErrorKind> {
        let place = self.dest.place(path).map_err(|e| misplaced(member, e))?;
        let file = place
            .create_file(member.mode)
            .map_err(|e| misplaced(member, e))?;
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
            place.discard();
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
        let place = self.dest.place(path).map_err(|e| misplaced(member, e))?;
        if place.linked {
            return Err(refused("lies behind another link"));
        }
        place
            .create_symlink(&target)
            .map_err(|e| misplaced(member, e))?;
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
        let place = self.dest.place(path).map_err(|e| misplaced(member, e))?;
        if place.linked {
            return Err(refused("is to be linked behind another link"));
        }
        if !place
            .create_hard_link(&from, &from_name)
            .map_err(|e| misplaced(member, e))?
        {
            return Err(refused("is no regular file"));
        }
        self.done.links += 1;
        Ok(())
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

fn unsupported(member: Member) -> UnpackErrorKind {
    let mode = gotext::mode_string(member.typeflag, member.mode);
    UnpackErrorKind::UnsupportedType {
        name: member.name,
        mode,
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

fn misplaced(member: &Member, error: PlaceError) -> UnpackErrorKind {
    match error {
        PlaceError::Blocked(obstacle) => UnpackErrorKind::Blocked {
            name: member.name.clone(),
            obstacle,
        },
        PlaceError::Io(action, source) => UnpackErrorKind::io(action, &member.name, source),
    }
}
