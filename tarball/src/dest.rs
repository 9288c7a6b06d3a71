//! Writing beneath a directory handle, whatever else happens to the tree meanwhile.
//!
//! Every name is opened component by component, each from the handle of the one before, never
//! following a link except through the system's own "beneath the root" resolution; the last
//! component is always created anew, never opened.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;

use cap_fs_ext::DirExt;
use cap_std::fs::{Dir, DirBuilder, File, Metadata, OpenOptions};

use crate::undo::{Journal, id};
use crate::{Cleanup, Existing, OnFailure, RelPath, UnpackOptions};

/// Why something could not be put in its place.
pub(crate) enum PlaceError {
    /// What is there already is in the way.
    Blocked(&'static str),
    /// More directories are implied than there may be entries.
    Implied,
    Io(&'static str, io::Error),
}

pub(crate) struct Dest<'a> {
    root: &'a Dir,
    /// The directories on the way to the last entry's parent, held open: entries come in tree order,
    /// so most share it.
    open: Vec<Level>,
    builder: DirBuilder,
    dirs: u64,
    /// Directories made that had no entry, and how many there may be.
    implied: u64,
    max_implied: u64,
    existing: Existing,
    journal: Option<Journal>,
}

struct Level {
    name: OsString,
    dir: Dir,
    /// Whether a link led here, so that the real depth is not known.
    linked: bool,
    /// Its number in the journal, once something was made in it.
    node: Option<u32>,
}

/// A place for an entry: a directory handle and a single name in it.
pub(crate) struct Place<'a> {
    dir: &'a Dir,
    name: &'a OsStr,
    existing: Existing,
}

/// What became of a hard link.
pub(crate) enum Linked {
    Made,
    /// The name was one of the file's already.
    Already,
    /// The target is not, or no longer, a regular file.
    NotAFile,
}

impl<'a> Dest<'a> {
    pub(crate) fn new(root: &'a Dir, options: &UnpackOptions) -> Self {
        #[cfg_attr(not(unix), allow(unused_mut))]
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        {
            use cap_std::fs::DirBuilderExt;
            builder.mode(0o755);
        }
        Self {
            root,
            open: Vec::new(),
            builder,
            dirs: 0,
            implied: 0,
            max_implied: u64::MAX,
            existing: options.existing,
            journal: (options.on_failure == OnFailure::Remove).then(Journal::default),
        }
    }

    /// How many directories may have been made in all without an entry of their own.
    pub(crate) fn allow_implied(&mut self, max: u64) {
        self.max_implied = max;
    }

    /// Removes what was made, if that was asked for.
    pub(crate) fn undo(&mut self) -> Option<Cleanup> {
        self.open.clear();
        Some(self.journal.take()?.undo(self.root))
    }

    /// Directories made so far.
    pub(crate) fn dirs(&self) -> u64 {
        self.dirs
    }

    /// Makes the directory and those above it, where they are missing.
    pub(crate) fn make_dir(&mut self, path: &RelPath) -> Result<(), PlaceError> {
        let Some((name, parents)) = path.split_last() else {
            return Ok(());
        };
        self.enter(parents)?;
        match self.here().create_dir_with(name, &self.builder) {
            Ok(()) => {
                self.dirs += 1;
                self.record(path)
            }
            // Whether what is there can serve is found out by opening it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.enter(path.parts()),
            Err(error) => Err(PlaceError::Io("cannot make directory", error)),
        }
    }

    /// Opens, and where missing makes, the directory an entry goes to.
    pub(crate) fn reach(&mut self, path: &RelPath) -> Result<(), PlaceError> {
        match path.split_last() {
            Some((_, parents)) => self.enter(parents),
            None => Err(PlaceError::Blocked("the directory itself")),
        }
    }

    /// The place of an entry whose directory was [reached](Self::reach) last.
    pub(crate) fn place<'p>(&'p self, path: &'p RelPath) -> Place<'p> {
        Place {
            dir: self.here(),
            // A root was not reached.
            name: path
                .split_last()
                .map_or_else(Default::default, |(name, _)| name),
            existing: self.existing,
        }
    }

    /// Whether any directory on the way to the place was reached through a link.
    pub(crate) fn is_linked(&self) -> bool {
        self.open.iter().any(|level| level.linked)
    }

    /// Notes what was made at the place reached last, so that it can be removed.
    pub(crate) fn record(&mut self, path: &RelPath) -> Result<(), PlaceError> {
        let (Some(_), Some((name, _))) = (&self.journal, path.split_last()) else {
            return Ok(());
        };
        // Gone already, or another's: nothing to remove later.
        match self.here().symlink_metadata(name) {
            Ok(metadata) => self.note(name, &metadata),
            Err(_) => Ok(()),
        }
    }

    /// As [`record`](Self::record), for a file that is open.
    pub(crate) fn record_file(&mut self, path: &RelPath, file: &File) -> Result<(), PlaceError> {
        let (Some(_), Some((name, _))) = (&self.journal, path.split_last()) else {
            return Ok(());
        };
        match file.metadata() {
            Ok(metadata) => self.note(name, &metadata),
            Err(error) => Err(PlaceError::Io("cannot look at", error)),
        }
    }

    fn note(&mut self, name: &OsStr, metadata: &Metadata) -> Result<(), PlaceError> {
        let Some(journal) = &mut self.journal else {
            return Ok(());
        };
        let mut parent = None;
        for level in &mut self.open {
            let node = *level
                .node
                .get_or_insert_with(|| journal.node(parent, &level.name));
            parent = Some(node);
        }
        // Names that wind through links imply directories without end, none of which has to be made.
        if journal.nodes() > self.max_implied.saturating_add(NODES) {
            return Err(PlaceError::Implied);
        }
        journal.made(parent, name, metadata);
        Ok(())
    }

    /// Opens the place of an existing entry, without links on the way and without making anything.
    pub(crate) fn find(&self, path: &RelPath) -> io::Result<Option<(Dir, OsString)>> {
        let Some((name, parents)) = path.split_last() else {
            return Ok(None);
        };
        let mut dir = self.root.try_clone()?;
        for part in parents {
            dir = dir.open_dir_nofollow(part)?;
        }
        Ok(Some((dir, name.to_os_string())))
    }

    fn here(&self) -> &Dir {
        self.open.last().map_or(self.root, |level| &level.dir)
    }

    fn enter(&mut self, parts: &[OsString]) -> Result<(), PlaceError> {
        let shared = self
            .open
            .iter()
            .zip(parts)
            .take_while(|(level, part)| level.name == **part)
            .count();
        self.open.truncate(shared);
        for i in shared..parts.len() {
            let level = self.descend(&parts[..=i])?;
            self.open.push(level);
        }
        Ok(())
    }

    /// Opens the last of `parts`, those before it being open already.
    fn descend(&mut self, parts: &[OsString]) -> Result<Level, PlaceError> {
        let Some(name) = parts.last() else {
            return Err(PlaceError::Blocked("the directory itself"));
        };
        // Somebody else may make and remove things here; a few rounds settle every honest case.
        for _ in 0..ROUNDS {
            let error = match self.here().open_dir_nofollow(name) {
                Ok(dir) => {
                    return Ok(Level {
                        name: name.clone(),
                        dir,
                        linked: false,
                        node: None,
                    });
                }
                Err(error) => error,
            };
            if error.kind() == io::ErrorKind::NotFound {
                if self.implied >= self.max_implied {
                    return Err(PlaceError::Implied);
                }
                match self.here().create_dir_with(name, &self.builder) {
                    Ok(()) => {
                        self.dirs += 1;
                        self.implied += 1;
                        if self.journal.is_some()
                            && let Ok(metadata) = self.here().symlink_metadata(name)
                        {
                            self.note(name, &metadata)?;
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    Err(error) => return Err(PlaceError::Io("cannot make directory for", error)),
                }
                continue;
            }
            let kind = match self.here().symlink_metadata(name) {
                Ok(metadata) => metadata.file_type(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(PlaceError::Io("cannot look at directory of", error)),
            };
            if kind.is_symlink() {
                // From before this archive, or from it. It serves if it leads to a directory
                // beneath the root, which only the system can tell without a race.
                let path: PathBuf = parts.iter().collect();
                return match self.root.open_dir(&path) {
                    Ok(dir) => Ok(Level {
                        name: name.clone(),
                        dir,
                        linked: true,
                        node: None,
                    }),
                    Err(error) if is_dead_end(&error) => Err(PlaceError::Blocked(
                        "a link that leads to no directory inside",
                    )),
                    Err(error) => Err(PlaceError::Io("cannot follow a link on the way to", error)),
                };
            }
            if !kind.is_dir() {
                return Err(PlaceError::Blocked("a file where it needs a directory"));
            }
            return Err(PlaceError::Io("cannot open directory of", error));
        }
        Err(PlaceError::Blocked("a directory that keeps changing"))
    }
}

impl Place<'_> {
    /// Creates a new file, in place of what has the name. Never writes through a link, hard or
    /// symbolic, or into a fifo or device.
    pub(crate) fn create_file(&self, mode: u32) -> Result<File, PlaceError> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use cap_std::fs::OpenOptionsExt;
            options.mode(mode & 0o777);
        }
        #[cfg(not(unix))]
        let _ = mode;
        self.anew("cannot create file", || {
            self.dir.open_with(self.name, &options)
        })
    }

    /// Creates a symlink, in place of what has the name.
    pub(crate) fn create_symlink(&self, target: &OsStr) -> Result<(), PlaceError> {
        self.anew("cannot create link", || {
            #[cfg(unix)]
            return self.dir.symlink(target, self.name);
            #[cfg(not(unix))]
            {
                let _ = target;
                return Err(io::ErrorKind::Unsupported.into());
            }
        })
    }

    /// Makes the name another one of the file `from`, in place of what has it.
    pub(crate) fn create_hard_link(
        &self,
        from: &Dir,
        from_name: &OsStr,
    ) -> Result<Linked, PlaceError> {
        let failed = |error| PlaceError::Io("cannot link to the target of", error);
        let source = from.symlink_metadata(from_name).map_err(failed)?;
        if !source.is_file() {
            return Ok(Linked::NotAFile);
        }
        if self.existing == Existing::Replace
            && self
                .dir
                .symlink_metadata(self.name)
                .is_ok_and(|there| id(&there) == id(&source))
        {
            // The same file already; replacing it would remove the last name of it.
            return Ok(Linked::Already);
        }
        self.anew("cannot create link", || {
            from.hard_link(from_name, self.dir, self.name)
        })?;
        // A link moved to another directory leads elsewhere, so one that slipped in must go.
        let made = self.dir.symlink_metadata(self.name).map_err(failed)?;
        if !made.is_file() {
            self.discard();
            return Ok(Linked::NotAFile);
        }
        Ok(Linked::Made)
    }

    /// Removes what this place got, after a failure.
    pub(crate) fn discard(&self) {
        // Best effort: the error that led here is the one to tell.
        drop(self.dir.remove_file_or_symlink(self.name));
    }

    fn anew<T>(
        &self,
        action: &'static str,
        create: impl Fn() -> io::Result<T>,
    ) -> Result<T, PlaceError> {
        for _ in 0..ROUNDS {
            match create() {
                Ok(made) => return Ok(made),
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(PlaceError::Io(action, error));
                }
                Err(_) if self.existing == Existing::Refuse => {
                    return Err(PlaceError::Blocked(
                        "something of its name that is to be kept",
                    ));
                }
                Err(_) => {}
            }
            match self.dir.symlink_metadata(self.name) {
                Ok(there) if there.is_dir() => {
                    return Err(PlaceError::Blocked("a directory of its name"));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(PlaceError::Io("cannot look at", error)),
            }
            match self.dir.remove_file_or_symlink(self.name) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(PlaceError::Io("cannot replace", error)),
            }
        }
        Err(PlaceError::Blocked("a file that keeps coming back"))
    }
}

/// Whether the way itself is at fault, not this machine: it ends nowhere, in a loop, or outside.
fn is_dead_end(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    // There is no stable kind for a loop of links.
    const TOO_MANY_LINKS: &str = "symbolic link";
    matches!(error.kind(), NotFound | NotADirectory | PermissionDenied)
        || error.to_string().contains(TOO_MANY_LINKS)
}

/// Directories a journal may know beyond the entries there may be.
const NODES: u64 = 4096;

/// Tries against somebody who changes the tree at the same time.
const ROUNDS: usize = 16;
