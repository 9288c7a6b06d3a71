//! `mutlog repair`: cuts off torn ends; leaves out damage when asked.

use std::{
    fs::{self, File},
    io::BufReader,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use maintner::reclog::{Appender, Options, Reader, Report};

use crate::{
    Outcome,
    cli::Repair,
    files::{self, LogFile},
    verify,
};

pub(crate) fn run(args: &Repair) -> anyhow::Result<Outcome> {
    let mut left = 0;
    for file in files::find(&args.logs)? {
        let report = verify::framing(&file)?;
        let path = file.path.display();
        if report.damaged == 0 {
            let missing = match report.missing {
                0 => String::new(),
                n => format!("; {n} records are gone from its end, and nobody can bring them back"),
            };
            example_cli::say(format_args!("{path}: nothing to mend{missing}"));
        } else if let Some(torn) = report.torn_tail() {
            let bytes = report.len - torn.offset;
            if args.dry_run {
                example_cli::say(format_args!(
                    "{path}: would cut {bytes} bytes off its end, at offset {}",
                    torn.offset
                ));
                continue;
            }
            let saved = cut(&file)?;
            example_cli::say(format_args!("{path}: cut {bytes} bytes off its end{saved}"));
        } else if args.drop_damaged {
            if args.dry_run {
                let (damaged, records) = (report.damaged, report.records);
                example_cli::say(format_args!(
                    "{path}: would leave {damaged} damaged places out and keep {records} records"
                ));
                continue;
            }
            drop_damaged(&file, &report)?;
        } else {
            for trouble in verify::framing_troubles(&report) {
                example_cli::say(format_args!("{path}: {trouble}"));
            }
            left += 1;
        }
    }
    if left > 0 {
        bail!(
            "good records follow damage in {left} files, which were left as they are; \
             --drop-damaged writes them anew without the damage"
        );
    }
    Ok(Outcome::Good)
}

/// Opening a log for appending cuts its torn end off, and keeps it aside.
fn cut(file: &LogFile) -> anyhow::Result<String> {
    let mut sums = file.path.clone().into_os_string();
    sums.push(".sum");
    let options = Options {
        create: false,
        checksums: PathBuf::from(sums).exists(),
        ..Options::default()
    };
    let (_, recovery) = Appender::open(&file.path, &options)?;
    let saved = recovery.cut.and_then(|cut| cut.saved_to);
    Ok(saved.map_or_else(String::new, |saved| {
        format!("; they are kept in {}", saved.display())
    }))
}

/// Copies the good records into a new file that takes the old one's place.
fn drop_damaged(file: &LogFile, report: &Report) -> anyhow::Result<()> {
    let beside = |suffix: &str| {
        let mut name = file.path.clone().into_os_string();
        name.push(suffix);
        PathBuf::from(name)
    };
    let (fresh, old) = (beside(".repaired"), beside(".damaged"));
    for path in [&fresh, &old] {
        if path.exists() {
            bail!("{} is in the way: move it aside", path.display());
        }
    }
    let kept = copy_good(&file.path, &fresh, report)
        .with_context(|| format!("cannot write {}", fresh.display()))?;
    fs::rename(&file.path, &old)?;
    fs::rename(&fresh, &file.path)?;
    // They are about records at other offsets.
    let _ = fs::rename(beside(".sum"), beside(".damaged.sum"));
    example_cli::say(format_args!(
        "{}: kept {kept} records, left {} damaged places out; the old file is {}",
        file.path.display(),
        report.damaged,
        old.display()
    ));
    Ok(())
}

fn copy_good(from: &Path, to: &Path, report: &Report) -> anyhow::Result<u64> {
    let options = Options {
        checksums: false,
        ..Options::default()
    };
    let (mut out, _) = Appender::open(to, &options)?;
    let mut good_from = 0;
    let ends = report
        .damage
        .iter()
        .map(|damage| (damage.offset, damage.end));
    for (until, next) in ends.chain([(report.len, report.len)]) {
        let mut input = File::open(from)?;
        std::io::Seek::seek(&mut input, std::io::SeekFrom::Start(good_from))?;
        let mut reader = Reader::new(BufReader::new(input), good_from);
        while reader.offset() < until {
            let Some(record) = reader.next()? else { break };
            out.append(record.payload)?;
        }
        good_from = next;
    }
    out.sync()?;
    // More damage than a report lists: better to stop than to lose records behind it.
    anyhow::ensure!(
        out.records() == report.records,
        "{} places are damaged, too many to mend at once",
        report.damaged
    );
    Ok(out.records())
}
