//! `mutlog stats`: what a log is made of.

use std::{
    collections::BTreeMap,
    io::{BufWriter, Write},
    ops::ControlFlow,
};

use maintner::proto::view::{self, View};
use serde::Serialize;

use crate::{
    Outcome,
    cli::{Kind, Stats},
    dump,
    files::{self, each_record},
    progress,
};

/// Records and their bytes, framing included.
#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Count {
    records: u64,
    bytes: u64,
}

impl Count {
    fn add(&mut self, bytes: u64) {
        self.records += 1;
        self.bytes += bytes;
    }
}

#[derive(Debug, Default, Serialize)]
struct Summary {
    files: usize,
    #[serde(flatten)]
    all: Count,
    largest: u64,
    /// Records whose payload is no mutation.
    unreadable: u64,
    kinds: BTreeMap<Kind, Count>,
    /// What is counted within mutations.
    parts: BTreeMap<&'static str, u64>,
    repositories: BTreeMap<String, Count>,
}

pub(crate) fn run(args: &Stats) -> anyhow::Result<Outcome> {
    let files = files::find(&args.logs)?;
    let bar = progress::over(files::total(&files), false);
    let mut summary = Summary {
        files: files.len(),
        ..Summary::default()
    };
    let outcome = each_record(&files, 0, &bar, |_, record| {
        let bytes = record.end() - record.offset;
        summary.all.add(bytes);
        summary.largest = summary.largest.max(bytes);
        match view::Mutation::decode(record.payload) {
            Ok(mutation) => summary.take(&mutation, bytes),
            Err(_) => summary.unreadable += 1,
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let mut out = BufWriter::new(example_cli::stdout());
    if args.json {
        serde_json::to_writer_pretty(&mut out, &summary)?;
        writeln!(out)?;
    } else {
        summary.print(&mut out, args.top)?;
    }
    out.flush()?;
    let is_damaged = outcome == Outcome::Damaged || summary.unreadable > 0;
    Ok(if is_damaged {
        Outcome::Damaged
    } else {
        Outcome::Good
    })
}

impl Summary {
    fn take(&mut self, mutation: &view::Mutation<'_>, bytes: u64) {
        for kind in dump::kinds(mutation) {
            self.kinds.entry(kind).or_default().add(bytes);
        }
        if let Some(issue) = &mutation.github_issue {
            self.repository(format!("{}/{}", issue.owner, issue.repo), bytes);
            self.part("new issues", usize::from(issue.created.is_some()));
            self.part("comments", issue.comment.len());
            self.part("events", issue.event.len());
            self.part("reviews", issue.review.len());
        }
        if let Some(github) = &mutation.github {
            self.repository(format!("{}/{}", github.owner, github.repo), bytes);
            self.part("labels", github.labels.len());
            self.part("milestones", github.milestones.len());
        }
        if let Some(git) = &mutation.git {
            let name = git.repo.unwrap_or_default().go_repo;
            self.repository(format!("git {name}"), bytes);
            self.part("commits", usize::from(git.commit.is_some()));
        }
        if let Some(gerrit) = &mutation.gerrit {
            self.repository(gerrit.project.into(), bytes);
            self.part("commits", gerrit.commits.len());
            self.part("refs", gerrit.refs.len());
            self.part("deleted refs", gerrit.deleted_refs.len());
        }
    }

    fn repository(&mut self, name: String, bytes: u64) {
        self.repositories.entry(name).or_default().add(bytes);
    }

    fn part(&mut self, name: &'static str, count: usize) {
        if count > 0 {
            *self.parts.entry(name).or_default() += count as u64;
        }
    }

    fn print(&self, out: &mut impl Write, top: usize) -> std::io::Result<()> {
        let Count { records, bytes } = self.all;
        let files = match self.files {
            1 => "1 file".to_owned(),
            n => format!("{n} files"),
        };
        writeln!(
            out,
            "{records} records, {bytes} bytes, in {files}; the largest record has {} bytes",
            self.largest
        )?;
        if self.unreadable > 0 {
            writeln!(out, "{} records hold no mutation", self.unreadable)?;
        }
        let rows = self
            .kinds
            .iter()
            .map(|(kind, count)| (format!("{kind:?}").to_lowercase(), *count));
        table(out, "kind", rows)?;
        writeln!(out, "\n{:>12}  part", "count")?;
        for (name, count) in &self.parts {
            writeln!(out, "{count:>12}  {name}")?;
        }
        let mut repositories: Vec<_> = self.repositories.iter().collect();
        repositories.sort_by_key(|(name, count)| (std::cmp::Reverse(count.bytes), *name));
        let rows = repositories
            .iter()
            .take(top)
            .map(|(name, count)| ((*name).clone(), **count));
        table(out, "repository", rows)?;
        if repositories.len() > top {
            writeln!(
                out,
                "and {} more; --top shows more of them",
                repositories.len() - top
            )?;
        }
        Ok(())
    }
}

fn table(
    out: &mut impl Write,
    what: &str,
    rows: impl Iterator<Item = (String, Count)>,
) -> std::io::Result<()> {
    writeln!(out, "\n{:>12} {:>15}  {what}", "records", "bytes")?;
    for (name, Count { records, bytes }) in rows {
        // Names are from the log: a terminal obeys none of them.
        let name: String = name.chars().filter(|c| !c.is_control()).collect();
        writeln!(out, "{records:>12} {bytes:>15}  {name}")?;
    }
    Ok(())
}
