//! Checks a `farm.toml`, or proposes one for a folder that has none:
//!
//! ```text
//! cargo run -p buildfarm-dashboard --example check -- path/to/farm.toml
//! cargo run -p buildfarm-dashboard --example check -- path/to/repository
//! ```

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use buildfarm_dashboard::{Farm, LoadError, detect::detect};

fn main() -> ExitCode {
    let mut path = std::env::args_os()
        .nth(1)
        .map_or_else(|| PathBuf::from("."), PathBuf::from);
    if path.join("farm.toml").is_file() {
        path.push("farm.toml");
    }
    let answer = if path.is_dir() {
        propose(&path)
    } else {
        check(&path)
    };
    match answer {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn check(path: &Path) -> Result<String, Box<dyn std::error::Error>> {
    let farm = Farm::load(path).map_err(|error| match error {
        LoadError::Read { path, source } => format!("cannot read {}: {source}", path.display()),
        other => other.to_string(),
    })?;
    let names: Vec<&str> = farm.builders.iter().map(|b| b.name.as_str()).collect();
    Ok(format!(
        "{} is good; builders: {}",
        path.display(),
        names.join(", ")
    ))
}

fn propose(dir: &Path) -> Result<String, Box<dyn std::error::Error>> {
    let files: Vec<String> = std::fs::read_dir(dir)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    let found = detect(&files, |file| std::fs::read_to_string(dir.join(file)).ok())?;
    Ok(format!(
        "# This is {} ({}).\n{}",
        found.kind,
        found.file,
        found.farm.to_toml()
    ))
}
