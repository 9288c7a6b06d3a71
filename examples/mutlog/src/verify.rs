//! `mutlog verify`: is a log whole, and can everybody read it?

use std::{
    collections::HashSet,
    fs::File,
    io::{BufRead, BufReader},
    path::PathBuf,
};

use anyhow::Context;
use indicatif::ProgressBar;
use maintner::{
    log::{Sha224Sum, check},
    proto::{
        Text,
        view::{self, View},
    },
    reclog::{DEFAULT_MAX_PAYLOAD, Reader, Report, SumsState, verify},
};
use sha2::{Digest, Sha224};

use crate::{
    Outcome,
    cli::Verify,
    files::{self, LogFile, say},
    progress,
};

/// Troubles of a kind that are told of one by one.
const SHOWN: u64 = 10;

pub(crate) fn run(args: &Verify) -> anyhow::Result<Outcome> {
    let files = files::find(&args.logs)?;
    // Each file is read twice: for the framing, and for what is in it.
    let bar = progress::over(2 * files::total(&files), false);
    let mut outcome = Outcome::Good;
    let mut known = Known::default();
    for file in &files {
        let report = framing(file)?;
        bar.inc(file.len);
        let mut troubles = framing_troubles(&report);
        troubles.extend(name_trouble(file)?);
        troubles.extend(contents(file, &mut known, &bar)?);
        if troubles.is_empty() {
            if !args.quiet {
                let Report { records, len, .. } = report;
                let sums = match report.sums {
                    SumsState::Good if report.confirmed == records => ", confirmed by checksums",
                    SumsState::Good => ", some confirmed by checksums",
                    _ => "",
                };
                let path = file.path.display();
                bar.suspend(|| {
                    example_cli::say(format_args!(
                        "{path}: good: {records} records, {len} bytes{sums}"
                    ))
                });
            }
            continue;
        }
        outcome = Outcome::Damaged;
        for trouble in troubles {
            let path = file.path.display();
            bar.suspend(|| example_cli::say(format_args!("{path}: {trouble}")));
        }
    }
    bar.finish_and_clear();
    if outcome == Outcome::Damaged {
        say(
            &bar,
            "mutlog: `mutlog repair` mends what can be mended; `--dry-run` says what that is",
        );
    }
    Ok(outcome)
}

/// Looks at the framing of a file, and at its checksums if it has some.
pub(crate) fn framing(file: &LogFile) -> anyhow::Result<Report> {
    let read = || format!("cannot read {}", file.path.display());
    let log = File::open(&file.path).with_context(read)?;
    let mut sums = file.path.clone().into_os_string();
    sums.push(".sum");
    let sums = File::open(PathBuf::from(sums)).ok();
    verify(&log, sums.as_ref(), DEFAULT_MAX_PAYLOAD).with_context(read)
}

pub(crate) fn framing_troubles(report: &Report) -> Vec<String> {
    let mut troubles: Vec<String> = report
        .damage
        .iter()
        .map(|damage| {
            let bytes = damage.end - damage.offset;
            let where_to = if damage.end == report.len {
                "to the end".to_owned()
            } else {
                format!("to the good record at offset {}", damage.end)
            };
            format!("{} ({bytes} bytes {where_to})", damage.fault)
        })
        .collect();
    if report.damaged > troubles.len() as u64 {
        troubles.push(format!("{} damaged places in all", report.damaged));
    }
    if report.missing > 0 {
        troubles.push(format!(
            "{} records are gone from its end: their checksums are there",
            report.missing
        ));
    }
    if let SumsState::Damaged(record) = report.sums {
        troubles.push(format!("its checksums are damaged from record {record} on"));
    }
    troubles
}

/// A sealed segment's name has the digest of its bytes.
fn name_trouble(file: &LogFile) -> anyhow::Result<Option<String>> {
    let name = file.path.file_name().unwrap_or_default().to_string_lossy();
    let Some(expected) = name.split('.').nth(1).and_then(Sha224Sum::from_hex) else {
        return Ok(None);
    };
    let mut input = BufReader::with_capacity(1 << 18, File::open(&file.path)?);
    let mut digest = Sha224::new();
    loop {
        let bytes = input.fill_buf()?;
        if bytes.is_empty() {
            break;
        }
        digest.update(bytes);
        let taken = bytes.len();
        input.consume(taken);
    }
    let found = Sha224Sum(digest.finalize().into());
    Ok((found != expected)
        .then(|| format!("its bytes have SHA-224 {found}, not what its name says")))
}

/// What earlier records told of, for those that rely on it.
#[derive(Debug, Default)]
struct Known {
    commits: HashSet<[u8; 20]>,
    issues: HashSet<(String, String, i32)>,
}

/// Looks at the messages.
fn contents(file: &LogFile, known: &mut Known, bar: &ProgressBar) -> anyhow::Result<Vec<String>> {
    let input = File::open(&file.path)?;
    let mut reader = Reader::new(BufReader::with_capacity(1 << 18, input), 0);
    let mut troubles = Vec::new();
    let (mut refused, mut early) = (0, 0);
    // Where the framing is damaged has been told already.
    while let Ok(Some(record)) = reader.next() {
        let at = record.offset;
        let has = |owner: &str, repo: &str, number| {
            !known
                .issues
                .insert((owner.to_owned(), repo.to_owned(), number))
        };
        let checked = check::check(record.payload);
        if let Err(error) = checked.and_then(|()| check::first_of_issue(record.payload, has)) {
            refused += 1;
            if refused <= SHOWN {
                let why = anyhow::Error::from(error);
                troubles.push(format!(
                    "record at offset {at} would stop a Go reader: {why:#}"
                ));
            }
        }
        let Ok(mutation) = view::Mutation::decode(record.payload) else {
            continue;
        };
        if let Some(name) = known.unknown_ref(&mutation) {
            early += 1;
            if early <= SHOWN {
                troubles.push(format!("record at offset {at}: ref {name} points to a commit that no earlier record has"));
            }
        }
    }
    bar.inc(file.len);
    for (count, what) in [
        (refused, "would stop a Go reader"),
        (early, "have refs without their commits"),
    ] {
        if count > SHOWN {
            troubles.push(format!("{count} records in all {what}"));
        }
    }
    Ok(troubles)
}

impl Known {
    /// The first ref of a mutation whose commit is not known by then.
    fn unknown_ref(&mut self, mutation: &view::Mutation<'_>) -> Option<String> {
        let hash = |hex: Text<'_>| maintner::parse::commit::parse_hash(hex);
        if let Some(commit) = mutation.git.and_then(|git| git.commit) {
            self.commits.extend(hash(commit.sha1));
        }
        let gerrit = mutation.gerrit?;
        for commit in gerrit.commits.flatten() {
            self.commits.extend(hash(commit.sha1));
        }
        let mut refs = gerrit.refs.flatten();
        let unknown =
            refs.find(|found| hash(found.sha1).is_none_or(|hash| !self.commits.contains(&hash)))?;
        Some(unknown.reference.into())
    }
}
