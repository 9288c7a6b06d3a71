//! Unpacks a `.tar.gz` from standard input into a directory.
//!
//! ```text
//! cargo run -p tarball --example untar -- DIRECTORY < archive.tar.gz
//! ```

use std::process::ExitCode;

use cap_std::{ambient_authority, fs::Dir};
use tarball::{Links, UnpackOptions, unpack_gz};

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: untar DIRECTORY < archive.tar.gz");
        return ExitCode::from(2);
    };
    let dir = std::fs::create_dir_all(&path)
        .and_then(|()| Dir::open_ambient_dir(&path, ambient_authority()));
    let dir = match dir {
        Ok(dir) => dir,
        Err(error) => {
            eprintln!("untar: cannot open {}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    };
    let options = UnpackOptions {
        links: Links::Inside,
        ..UnpackOptions::default()
    };
    match unpack_gz(std::io::stdin().lock(), &dir, &options) {
        Ok(report) => {
            println!(
                "{} files, {} directories, {} links, {} bytes in {:?}",
                report.files, report.dirs, report.links, report.bytes, report.elapsed
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            let blame = if error.is_input_fault() {
                "the archive"
            } else {
                "this machine"
            };
            eprintln!(
                "untar: {blame}: {} (after {} files)",
                error.message(),
                error.progress().files
            );
            ExitCode::FAILURE
        }
    }
}
