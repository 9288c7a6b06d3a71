//! Packs a directory to a `.tar.gz` on standard output; the same tree always gives the same bytes.
//!
//! ```text
//! cargo run -p tarball --example pack -- DIRECTORY > archive.tar.gz
//! ```

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use cap_std::{ambient_authority, fs::Dir};
use tarball::{Metadata, PackOptions, pack_gz};

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: pack DIRECTORY > archive.tar.gz");
        return ExitCode::from(2);
    };
    match pack(&path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pack: {}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}

fn pack(path: &OsString) -> Result<(), Box<dyn Error>> {
    let stdout = io::stdout();
    if stdout.is_terminal() {
        return Err("not writing an archive to a terminal".into());
    }
    let dir = Dir::open_ambient_dir(path, ambient_authority())?;
    let options = PackOptions {
        metadata: Metadata::Fixed { mtime: 0 },
        ..PackOptions::default()
    };
    let report = pack_gz(&dir, "", stdout.lock(), &options)?;
    eprintln!(
        "{} files, {} directories, {} bytes",
        report.files, report.dirs, report.bytes
    );
    for skipped in &report.skipped_names {
        eprintln!("left out {} ({:?})", skipped.name.display(), skipped.kind);
    }
    Ok(())
}
