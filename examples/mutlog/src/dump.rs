//! `mutlog dump`: mutations as text or JSON.

use std::{
    io::{BufWriter, Write},
    ops::ControlFlow,
};

use maintner::{
    proto::{
        Text,
        view::{self, View},
    },
    reclog::Record,
};

use crate::{
    Outcome,
    cli::{Dump, Kind},
    files::{self, LogFile, each_record},
    progress,
    schema::Printer,
};

pub(crate) fn run(args: &Dump) -> anyhow::Result<Outcome> {
    let files = files::find(&args.logs)?;
    let printer = Printer::new()?;
    let bar = progress::over(files::total(&files), true);
    let mut out = BufWriter::with_capacity(1 << 16, example_cli::stdout());
    let mut left = args.limit.unwrap_or(u64::MAX);
    let mut unreadable = false;
    let outcome = each_record(&files, args.from, &bar, |file, record| {
        if left == 0 {
            return Ok(ControlFlow::Break(()));
        }
        match view::Mutation::decode(record.payload) {
            Ok(mutation) if !is_wanted(args, &mutation) => return Ok(ControlFlow::Continue(())),
            Ok(_) => {}
            Err(error) => {
                let (path, offset) = (file.path.display(), record.offset);
                files::say(
                    &bar,
                    &format!(
                        "mutlog: {path}: record at offset {offset} holds no mutation: {error}"
                    ),
                );
                unreadable = true;
                return Ok(ControlFlow::Continue(()));
            }
        }
        left -= 1;
        print(&mut out, &printer, args.json, file, record)?;
        Ok(ControlFlow::Continue(()))
    })?;
    out.flush()?;
    Ok(if unreadable {
        Outcome::Damaged
    } else {
        outcome
    })
}

fn print(
    out: &mut impl Write,
    printer: &Printer,
    json: bool,
    file: &LogFile,
    record: &Record<'_>,
) -> anyhow::Result<()> {
    let name = file.path.file_name().unwrap_or_default().to_string_lossy();
    let (offset, size) = (record.offset, record.payload.len());
    if json {
        let line = serde_json::json!({
            "file": name,
            "offset": offset,
            "size": size,
            "mutation": printer.json(record.payload)?,
        });
        writeln!(out, "{line}")?;
    } else {
        writeln!(out, "# {name} at {offset:#x}, {size} bytes")?;
        writeln!(out, "{}\n", printer.text(record.payload)?)?;
    }
    Ok(())
}

fn is_wanted(args: &Dump, mutation: &view::Mutation<'_>) -> bool {
    let of_kind = args.kind.is_empty() || kinds(mutation).any(|kind| args.kind.contains(&kind));
    let about = args.only.is_empty() || args.only.iter().any(|what| is_about(mutation, what));
    of_kind && about
}

/// What a mutation says something about.
pub(crate) fn kinds(mutation: &view::Mutation<'_>) -> impl Iterator<Item = Kind> + use<> {
    let parts = [
        (mutation.github_issue.is_some(), Kind::Issue),
        (mutation.github.is_some(), Kind::Github),
        (mutation.git.is_some(), Kind::Git),
        (mutation.gerrit.is_some(), Kind::Gerrit),
    ];
    let is_empty = parts.iter().all(|(is, _)| !is);
    let kinds = parts
        .into_iter()
        .filter_map(|(is, kind)| is.then_some(kind));
    kinds.chain(is_empty.then_some(Kind::Empty))
}

/// Whether it says something about `owner/repo`, `owner/repo#number`, `host/project`, or a git
/// repository's bare name.
fn is_about(mutation: &view::Mutation<'_>, what: &str) -> bool {
    let (repo, number) = match what.rsplit_once('#') {
        Some((repo, number)) => (repo, number.parse::<i32>().ok()),
        None => (what, None),
    };
    let is_repo = |owner: Text<'_>, name: Text<'_>| {
        repo.split_once('/').is_some_and(|(o, n)| {
            o.eq_ignore_ascii_case(owner.as_str()) && n.eq_ignore_ascii_case(name.as_str())
        })
    };
    if let Some(issue) = &mutation.github_issue
        && is_repo(issue.owner, issue.repo)
        && number.is_none_or(|number| number == issue.number)
    {
        return true;
    }
    if number.is_some() {
        return false;
    }
    mutation
        .github
        .is_some_and(|github| is_repo(github.owner, github.repo))
        || mutation.gerrit.is_some_and(|gerrit| gerrit.project == repo)
        || mutation
            .git
            .and_then(|git| git.repo)
            .is_some_and(|git| git.go_repo == repo)
}
