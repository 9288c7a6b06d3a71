//! `coordinator init` and `coordinator check`.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, bail};
use buildfarm_dashboard::config::Farm;
use buildfarm_dashboard::detect::{self, Detected};
use example_cli::say;

use crate::cli;

/// What the files in a folder say about how to build it.
pub(crate) fn detect_folder(folder: &Path) -> anyhow::Result<Detected> {
    let mut names = Vec::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?
    {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(detect::detect(&names, |name| {
        fs::read_to_string(folder.join(name)).ok()
    })?)
}

pub(crate) fn init(args: &cli::Init) -> anyhow::Result<()> {
    let detected = detect_folder(&args.repo)?;
    let text = detected.farm.to_toml();
    if args.print {
        return Ok(example_cli::stdout().write_all(text.as_bytes())?);
    }
    let path = args.repo.join("farm.toml");
    if path.exists() && !args.force {
        bail!(
            "{} is there already: look it over with `coordinator check`, or replace it with --force",
            path.display()
        );
    }
    fs::write(&path, &text).with_context(|| format!("{} cannot be written", path.display()))?;
    say(format_args!(
        "Wrote {} for {}:\n",
        path.display(),
        detected.kind
    ));
    show(&detected.farm);
    say("\nCommit it, and run `coordinator`.");
    Ok(())
}

pub(crate) fn check(args: &cli::Check) -> anyhow::Result<()> {
    let farm = Farm::load(&args.file)?;
    say(format_args!("{} is fine:\n", args.file.display()));
    show(&farm);
    Ok(())
}

fn show(farm: &Farm) {
    for builder in &farm.builders {
        say(format_args!("  {:<16} on {}", builder.name, builder.host));
        for step in &builder.steps {
            say(format_args!("    {:<14} {}", step.name, step.run));
        }
    }
}
