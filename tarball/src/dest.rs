//! Writing beneath a directory handle, whatever else happens to the tree meanwhile.
//!
//! Every name is opened component by component, each from the handle of the one before, never
//! following a link except through the system's own "beneath the root" resolution; the last
//! component is always created anew, never opened.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;

use cap_fs_ext::{DirExt, MetadataExt};
use cap_std::fs::{Dir, DirBuilder, File, OpenOptions};

use crate::RelPath;

/// Why something could not be put in its place.
pub(crate) enum PlaceError {
    /// What is there already is in the way.
    Blocked(&'static str),
    Io(&'static str, io::Error),
}

pub(crate) struct Dest<'a> {
    root: &'a Dir,
    /// The directories on the way to the last entry's parent, held open: entries come in tree order,
    /// so most share it.
    open: Vec<Level>,
    builder: DirBuilder,
    dirs: u64,
}

struct Level {
    name: OsString,
    dir: Dir,
    /// Whether a link led here, so that the real depth is not known.
    linked: bool,
}

/// A place for an entry: a directory handle and a single name in it.
pub(crate) struct Place<'a> {
    pub(crate) dir: &'a Dir,
    pub(crate) name: &'a OsStr,
    /// Whether any directory on the way was reached through a link.
    pub(crate) linked: bool,
}

impl<'a> Dest<'a> {
    pub(crate) fn new(root: &'a Dir) -> Self {
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
        }
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
                Ok(())
            }
            // Whether what is there can serve is found out by opening it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.enter(path.parts()),
            Err(error) => Err(PlaceError::Io("cannot make directory", error)),
        }
    }

    /// Opens, and where missing makes, the directory an entry goes to. `path` is not the root.
    pub(crate) fn place<'p>(&'p mut self, path: &'p RelPath) -> Result<Place<'p>, PlaceError> {
        let Some((name, parents)) = path.split_last() else {
            return Err(PlaceError::Blocked("the directory itself"));
        };
        self.enter(parents)?;
        let linked = self.open.iter().any(|level| level.linked);
        Ok(Place {
            dir: self.here(),
            name,
            linked,
        })
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
                    });
                }
                Err(error) => error,
            };
            if error.kind() == io::ErrorKind::NotFound {
                match self.here().create_dir_with(name, &self.builder) {
                    Ok(()) => self.dirs += 1,
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

    /// Makes the name another one of the file `from`, in place of what has it. `Ok(false)` if `from`
    /// is not a regular file.
    pub(crate) fn create_hard_link(
        &self,
        from: &Dir,
        from_name: &OsStr,
    ) -> Result<bool, PlaceError> {
        let failed = |error| PlaceError::Io("cannot link to the target of", error);
        let source = from.symlink_metadata(from_name).map_err(failed)?;
        if !source.is_file() {
            return Ok(false);
        }
        let id = |m: &cap_std::fs::Metadata| (MetadataExt::dev(m), MetadataExt::ino(m));
        if self
            .dir
            .symlink_metadata(self.name)
            .is_ok_and(|there| id(&there) == id(&source))
        {
            // The same file already; replacing it would remove the last name of it.
            return Ok(true);
        }
        self.anew("cannot create link", || {
            from.hard_link(from_name, self.dir, self.name)
        })?;
        // A link moved to another directory leads elsewhere, so one that slipped in must go.
        let made = self.dir.symlink_metadata(self.name).map_err(failed)?;
        if !made.is_file() {
            self.discard();
            return Ok(false);
        }
        Ok(true)
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

/// Tries against somebody who changes the tree at the same time.
const ROUNDS: usize = 16;
