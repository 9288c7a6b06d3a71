use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tempfile::TempPath;

use crate::args::Args;
use crate::progress::Progress;
use crate::stream::{self, Sizes};
use crate::{name, watched};

/// Why a file is not as it was wanted.
pub(crate) enum Trouble {
    /// It was left alone, or something about it is odd: exit code 2.
    Warning(String),
    /// Exit code 1.
    Error(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Error(error)
    }
}

/// The output being written, to be removed if we are told to stop.
static UNFINISHED: Mutex<Option<PathBuf>> = Mutex::new(None);

fn unfinished() -> MutexGuard<'static, Option<PathBuf>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn remove_on_signals() -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(|| {
        // Kept locked, so that no output gets its name any more.
        let path = unfinished();
        if let Some(path) = &*path {
            let _ = fs::remove_file(path);
        }
        std::process::exit(130);
    })
}

pub(crate) fn process(path: &Path, args: &Args) -> Result<(), Trouble> {
    let decompress = args.decompress || args.test || args.list;
    let begun = Instant::now();
    let (source, metadata) = open(path, args)?;
    let len = metadata.as_ref().map(Metadata::len);
    let mut progress = Progress::new(&name(path).to_string(), len, watched(args));
    let sizes = if args.test || args.list {
        stream::decompress(source, io::sink(), args, &mut progress)?
    } else if let Some(target) = target(path, args)? {
        let output = Output::create(&target, args.force)?;
        let sink = output.sink()?;
        let sizes = if decompress {
            stream::decompress(source, sink, args, &mut progress)?
        } else {
            stream::compress(source, sink, args, &mut progress)?
        };
        output.keep(metadata.as_ref(), args.force)?;
        // After its replacement has got its name.
        if metadata.is_some() && !args.keep && args.output.is_none() {
            fs::remove_file(path)?;
        }
        sizes
    } else if decompress {
        stream::decompress(source, io::stdout().lock(), args, &mut progress)?
    } else if io::stdout().is_terminal() && !args.force {
        return Err(Trouble::Error(io::Error::other(
            "compressed data are not written to a terminal; use -f to do so, -o for a file",
        )));
    } else {
        stream::compress(source, io::stdout(), args, &mut progress)?
    };
    drop(progress);
    report(path, args, sizes, begun);
    match sizes.garbage {
        Some(offset) => Err(Trouble::Warning(format!(
            "decompressed, ignoring garbage from byte {offset} on"
        ))),
        None => Ok(()),
    }
}

/// The source, and what is known of it if it is a file.
fn open(path: &Path, args: &Args) -> Result<(Box<dyn Read + Send>, Option<Metadata>), Trouble> {
    if path.as_os_str() == "-" {
        let decompress = args.decompress || args.test || args.list;
        if decompress && io::stdin().is_terminal() && !args.force {
            return Err(Trouble::Error(io::Error::other(
                "compressed data are not read from a terminal; use -f to do so, --help for help",
            )));
        }
        return Ok((Box::new(io::stdin()), None));
    }
    let may_be_anything = args.force || args.stdout || args.test || args.list;
    if !may_be_anything && fs::symlink_metadata(path)?.is_symlink() {
        return Err(Trouble::Warning("a symbolic link, left alone".into()));
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(Trouble::Warning("a directory, left alone".into()));
    }
    if !metadata.is_file() && !may_be_anything {
        return Err(Trouble::Warning("not a regular file, left alone".into()));
    }
    let known = metadata.is_file().then_some(metadata);
    Ok((Box::new(file), known))
}

/// The file to be written; none means standard output.
fn target(path: &Path, args: &Args) -> Result<Option<PathBuf>, Trouble> {
    if args.stdout {
        return Ok(None);
    }
    if let Some(output) = &args.output {
        if args.files.len() > 1 {
            return Err(Trouble::Error(io::Error::other("-o takes one input")));
        }
        return Ok(Some(output.clone()).filter(|output| output.as_os_str() != "-"));
    }
    if path.as_os_str() == "-" {
        return Ok(None);
    }
    let extension = path.extension().and_then(|extension| extension.to_str());
    if args.decompress {
        return match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("gz" | "z" | "bgz") => Ok(Some(path.with_extension(""))),
            Some("tgz" | "taz") => Ok(Some(path.with_extension("tar"))),
            _ => Err(Trouble::Warning(
                "its name does not end in .gz, left alone; use -c or -o".into(),
            )),
        };
    }
    if let Some("gz" | "tgz" | "taz" | "bgz") = extension
        && !args.force
    {
        return Err(Trouble::Warning(
            "its name says that it is compressed, left alone".into(),
        ));
    }
    let mut name = OsString::from(path);
    name.push(".gz");
    Ok(Some(name.into()))
}

/// A file that gets its name when it is whole.
struct Output<'a> {
    file: File,
    path: TempPath,
    target: &'a Path,
}

impl<'a> Output<'a> {
    fn create(target: &'a Path, force: bool) -> Result<Self, Trouble> {
        if !force && fs::symlink_metadata(target).is_ok() {
            return Err(Self::exists(target));
        }
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut slot = unfinished();
        let mut builder = tempfile::Builder::new();
        builder.prefix(".pargzip-");
        // As ordinary new files have it; the mask applies.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let (file, path) = builder.tempfile_in(folder)?.into_parts();
        *slot = Some(path.to_path_buf());
        Ok(Self { file, path, target })
    }

    fn exists(target: &Path) -> Trouble {
        Trouble::Warning(format!(
            "{} is there already; use -f to overwrite it",
            target.display()
        ))
    }

    fn sink(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Gives the file its name, and the mode and time of what it was made from.
    fn keep(self, like: Option<&Metadata>, force: bool) -> Result<(), Trouble> {
        if let Some(like) = like {
            self.file.set_permissions(like.permissions())?;
            // Some file systems keep no times.
            if let Ok(time) = like.modified() {
                let _ = self.file.set_modified(time);
            }
        }
        let mut slot = unfinished();
        let kept = if force {
            self.path.persist(self.target)
        } else {
            self.path.persist_noclobber(self.target)
        };
        *slot = None;
        kept.map_err(|failed| match failed.error.kind() {
            io::ErrorKind::AlreadyExists => Self::exists(self.target),
            _ => Trouble::Error(failed.error),
        })
    }
}

fn report(path: &Path, args: &Args, sizes: Sizes, begun: Instant) {
    let (plain, packed) = if args.decompress || args.test || args.list {
        (sizes.output, sizes.input)
    } else {
        (sizes.input, sizes.output)
    };
    let ratio = plain as f64 / packed.max(1) as f64;
    if args.list {
        let line = format!("{packed:>14} {plain:>14} {ratio:>8.3} {}\n", name(path));
        let _ = io::stdout().write_all(line.as_bytes());
    } else if args.verbose {
        let speed = plain as f64 / 1e6 / begun.elapsed().as_secs_f64().max(1e-9);
        eprintln!(
            "{}: {plain} bytes, {packed} compressed, ratio {ratio:.3}, {speed:.0} MB/s",
            name(path)
        );
    }
}
