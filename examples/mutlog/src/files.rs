//! The files of a log.

use std::{
    fs::{self, File},
    io::BufReader,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use indicatif::ProgressBar;
use maintner::reclog::{Reader, Record};

use crate::Outcome;

/// One file of a log.
#[derive(Debug, Clone)]
pub(crate) struct LogFile {
    pub(crate) path: PathBuf,
    pub(crate) len: u64,
}

/// The files that `paths` stand for, in the order of the log: a file for itself, a folder for all it has.
pub(crate) fn find(paths: &[PathBuf]) -> anyhow::Result<Vec<LogFile>> {
    let mut files = Vec::new();
    for path in paths {
        let read = || format!("cannot read {}", path.display());
        let metadata = fs::metadata(path).with_context(read)?;
        if metadata.is_dir() {
            files.extend(of_folder(path).with_context(read)?);
        } else {
            let (path, len) = (path.clone(), metadata.len());
            files.push(LogFile { path, len });
        }
    }
    Ok(files)
}

fn of_folder(folder: &Path) -> anyhow::Result<Vec<LogFile>> {
    let mut files: Vec<LogFile> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, metadata) = (entry.path(), entry.metadata()?);
        if metadata.is_file()
            && path
                .extension()
                .is_some_and(|extension| extension == "mutlog")
        {
            let len = metadata.len();
            files.push(LogFile { path, len });
        }
    }
    if files.is_empty() {
        bail!("no file of it is named *.mutlog");
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    // A follower may have been stopped between writing a sealed segment and removing the growing one.
    files.dedup_by(|later, earlier| {
        let number = segment_number(&later.path);
        number.is_some() && number == segment_number(&earlier.path)
    });
    Ok(files)
}

/// The number of a segment's file.
fn segment_number(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?;
    let (number, _) = name.split_once('.')?;
    (number.len() == 4).then(|| number.parse().ok()).flatten()
}

/// Bytes of all files.
pub(crate) fn total(files: &[LogFile]) -> u64 {
    files.iter().map(|file| file.len).sum()
}

/// Shows `record` each record, the first file from byte `from` on, until it breaks. What damage there
/// is, is said on standard error; the rest of that file is left out.
pub(crate) fn each_record(
    files: &[LogFile],
    from: u64,
    bar: &ProgressBar,
    mut record: impl FnMut(&LogFile, &Record<'_>) -> anyhow::Result<ControlFlow<()>>,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::Good;
    let mut from = from;
    for file in files {
        let offset = std::mem::take(&mut from);
        let input = open_at(file, offset)?;
        let mut reader = Reader::new(input, offset);
        let mut shown = 0;
        loop {
            match reader.next() {
                Ok(Some(found)) => {
                    let done = found.end();
                    if record(file, &found)?.is_break() {
                        bar.finish_and_clear();
                        return Ok(outcome);
                    }
                    if done - shown > 1 << 20 {
                        bar.inc(done - shown);
                        shown = done;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    let why = anyhow::Error::from(error);
                    say(bar, &format!("mutlog: {}: {why:#}", file.path.display()));
                    outcome = Outcome::Damaged;
                    break;
                }
            }
        }
        bar.inc(file.len.saturating_sub(shown));
    }
    bar.finish_and_clear();
    Ok(outcome)
}

fn open_at(file: &LogFile, offset: u64) -> anyhow::Result<impl std::io::BufRead> {
    use std::io::{Seek, SeekFrom};
    let open = || -> std::io::Result<File> {
        let mut input = File::open(&file.path)?;
        input.seek(SeekFrom::Start(offset))?;
        Ok(input)
    };
    let input = open().with_context(|| format!("cannot read {}", file.path.display()))?;
    Ok(BufReader::with_capacity(1 << 18, input))
}

/// A line on standard error that does not disturb the bar.
pub(crate) fn say(bar: &ProgressBar, line: &str) {
    bar.suspend(|| example_cli::note(line));
}
