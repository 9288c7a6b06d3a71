//! Packs a directory to a `.tar.gz` on standard output; the same tree always gives the same bytes.
//!
//! ```text
//! cargo run -p tarball --example pack -- DIRECTORY > archive.tar.gz
//! ```

use std::error::Error;
use std::io::{self, IsTerminal};

use cap_std::{ambient_authority, fs::Dir};
use tarball::{Metadata, PackOptions, pack_gz};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os()
        .nth(1)
        .ok_or("usage: pack DIRECTORY > archive.tar.gz")?;
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
