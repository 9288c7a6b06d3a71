//! `mutlog convert`: the same records in other files.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use maintner::{log::Sha224Sum, reclog::Header};
use sha2::{Digest, Sha224};

use crate::{
    Outcome,
    cli::{Convert, Form},
    files::{self, LogFile, each_record},
    progress,
};

/// How long a segment grows before the next one begins.
const SEGMENT_SIZE: u64 = maintner::log::SEGMENT_SIZE;

pub(crate) fn run(args: &Convert) -> anyhow::Result<Outcome> {
    let files = files::find(&args.logs)?;
    let mut writer = prepare(args, &files)?;
    let bar = progress::over(files::total(&files), false);
    let mut records = 0_u64;
    let outcome = each_record(&files, 0, &bar, |_, record| {
        let written = writer.append(record.payload);
        written.with_context(|| format!("cannot write to {}", args.out.display()))?;
        records += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    if outcome == Outcome::Damaged {
        bail!(
            "the log is damaged; repair it first (what was written to {} is not all of it)",
            args.out.display()
        );
    }
    let written = writer.finish();
    let written = written.with_context(|| format!("cannot write to {}", args.out.display()))?;
    let plural = if written == 1 { "" } else { "s" };
    example_cli::say(format_args!(
        "{records} records in {written} file{plural} in {}",
        args.out.display()
    ));
    Ok(Outcome::Good)
}

fn prepare(args: &Convert, files: &[LogFile]) -> anyhow::Result<Writer> {
    let out = &args.out;
    if args.to == Form::File {
        if out.exists() {
            bail!("{} is there already", out.display());
        }
        return Ok(Writer::new(Names::One(out.clone())));
    }
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    if fs::read_dir(out)?.next().is_some() {
        bail!("{} is not empty", out.display());
    }
    let names = if args.to == Form::Segments {
        Names::Segments(out.clone())
    } else {
        let date = args.date.clone().or_else(|| date_of(&files.last()?.path));
        let date = date.unwrap_or_else(|| jiff::Timestamp::now().strftime("%Y-%m-%d").to_string());
        Names::One(out.join(format!("maintner-{date}.mutlog")))
    };
    Ok(Writer::new(names))
}

/// The date in the name of a disk log's file.
fn date_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let date = name.strip_prefix("maintner-")?.strip_suffix(".mutlog")?;
    let date: jiff::civil::Date = date.parse().ok()?;
    Some(date.to_string())
}

enum Names {
    /// All records in one file.
    One(PathBuf),
    /// A folder of segments.
    Segments(PathBuf),
}

/// Writes records into files.
struct Writer {
    names: Names,
    number: u32,
    current: Option<Current>,
}

/// The file that grows.
struct Current {
    path: PathBuf,
    file: BufWriter<File>,
    digest: Sha224,
    len: u64,
}

impl Writer {
    fn new(names: Names) -> Self {
        Self {
            names,
            number: 0,
            current: None,
        }
    }

    fn append(&mut self, payload: &[u8]) -> anyhow::Result<()> {
        let len = payload.len() as u64;
        let is_full = |current: &Current| current.len > 0 && current.len + len > SEGMENT_SIZE;
        if matches!(self.names, Names::Segments(_)) && self.current.as_ref().is_some_and(is_full) {
            self.seal()?;
        }
        let current = match &mut self.current {
            Some(current) => current,
            none => none.insert(Current::create(self.names.path(self.number))?),
        };
        let header = Header::new(current.len, len);
        for part in [&header[..], payload] {
            current.file.write_all(part)?;
            current.digest.update(part);
        }
        current.len += header.len() as u64 + len;
        Ok(())
    }

    /// Names the segment by its digest; the next record begins another.
    fn seal(&mut self) -> anyhow::Result<()> {
        let (Some(current), Names::Segments(folder)) = (self.current.take(), &self.names) else {
            return Ok(());
        };
        let sum = Sha224Sum(current.digest.clone().finalize().into());
        let name = format!("{:04}.{sum}.mutlog", self.number);
        fs::rename(current.finish()?, folder.join(name))?;
        self.number += 1;
        Ok(())
    }

    /// The number of files written.
    fn finish(self) -> anyhow::Result<u32> {
        let Some(current) = self.current else {
            return Ok(self.number);
        };
        current.finish()?;
        Ok(self.number + 1)
    }
}

impl Names {
    fn path(&self, number: u32) -> PathBuf {
        match self {
            Self::One(path) => path.clone(),
            Self::Segments(folder) => folder.join(format!("{number:04}.growing.mutlog")),
        }
    }
}

impl Current {
    fn create(path: PathBuf) -> anyhow::Result<Self> {
        let mut options = File::options();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options
            .open(&path)
            .with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self {
            path,
            file: BufWriter::with_capacity(1 << 18, file),
            digest: Sha224::new(),
            len: 0,
        })
    }

    /// Everything is on disk; gives where.
    fn finish(mut self) -> anyhow::Result<PathBuf> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        Ok(self.path)
    }
}
