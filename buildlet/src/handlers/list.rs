//! `GET /ls`: one line for each file.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;

use cap_std::fs::{Dir, Metadata, MetadataExt};
use sha1::{Digest, Sha1};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{bad_path, joined};
use crate::bridge::{BlockWriter, download};
use crate::form::{Form, go_bool};
use crate::gomode::GoMode;
use crate::http1::{Abort, Exchange, Reply};
use crate::path::RelPath;
use crate::service::Worker;
use crate::workdir::{hex, open_real_dir, open_real_file};

/// Directories are listed no deeper than this: each on the way is held open.
const MAX_DEPTH: usize = 256;

struct Options {
    recursive: bool,
    digest: bool,
    skip: Vec<Vec<u8>>,
}

pub(crate) async fn handle<T>(worker: &Worker, exchange: &mut Exchange<T>) -> Result<(), Abort>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let form = Form::from_query(&exchange.head().query);
    let path = match RelPath::parse_or_root(form.value("dir")) {
        Ok(path) => path,
        Err(error) => return bad_path(exchange, "dir", &error).await,
    };
    let options = Options {
        recursive: go_bool(form.value("recursive")),
        digest: go_bool(form.value("digest")),
        skip: form
            .all("skip")
            .filter(|name| !name.is_empty())
            .map(<[u8]>::to_vec)
            .collect(),
    };
    let root = worker.work_dir.dir();
    let (mut lines, mut receiver) = download();
    let task = tokio::task::spawn_blocking(move || {
        list(&root?, &path, &options, &mut lines)?;
        lines.flush()
    });
    // Nothing is sent before the first block is there, so that early failures get a proper answer.
    let Some(first) = receiver.recv().await else {
        let reply = match joined(task).await {
            Ok(()) => Reply::text(""),
            Err(error) => Reply::error(500, &format!("Walk error: {error}")),
        };
        return exchange.reply(reply).await;
    };
    let head = Reply::new(200).header("Content-Type", "text/plain; charset=utf-8");
    let (mut output, _peer) = exchange.stream(head).await?;
    output.write(&first).await?;
    while let Some(block) = receiver.recv().await {
        output.write(&block).await?;
    }
    match joined(task).await {
        Ok(()) => output.finish(&[]).await,
        Err(error) => Err(Abort::Handler(format!("walk failed: {error}"))),
    }
}

fn list(dir: &Dir, path: &RelPath, options: &Options, out: &mut BlockWriter) -> io::Result<()> {
    let Some((parent, name)) = path.split() else {
        return walk(dir, &[], options, 0, out);
    };
    let found = dir.metadata(path.as_path())?;
    if found.is_dir() {
        return walk(&dir.open_dir(path.as_path())?, &[], options, 0, out);
    }
    line(&dir.open_dir(parent)?, name, &[], &found, options, out)
}

fn walk(
    dir: &Dir,
    prefix: &[u8],
    options: &Options,
    depth: usize,
    out: &mut BlockWriter,
) -> io::Result<()> {
    if depth > MAX_DEPTH {
        return Err(io::Error::other(format!(
            "deeper than {MAX_DEPTH} directories"
        )));
    }
    let mut names: Vec<OsString> = dir
        .entries()?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<io::Result<_>>()?;
    names.sort_unstable();
    for name in names {
        let found = match dir.symlink_metadata(&name) {
            Ok(found) => found,
            // Commands may run meanwhile: what vanished is not there.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let mut rel = prefix.to_vec();
        rel.extend_from_slice(name.as_bytes());
        if !found.is_dir() {
            line(dir, &name, &rel, &found, options, out)?;
            continue;
        }
        if options.skip.contains(&rel) {
            continue;
        }
        rel.push(b'/');
        line(dir, &name, &rel, &found, options, out)?;
        if options.recursive {
            match open_real_dir(dir, &name) {
                Ok(child) => walk(&child, &rel, options, depth + 1, out)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

fn line(
    dir: &Dir,
    name: &OsStr,
    rel: &[u8],
    found: &Metadata,
    options: &Options,
    out: &mut BlockWriter,
) -> io::Result<()> {
    let mut text = format!("{}\t", GoMode::from_unix(found.mode())).into_bytes();
    escape(rel, &mut text);
    if found.is_file() {
        let time = jiff::Timestamp::from_second(found.mtime()).unwrap_or_default();
        let time = time.strftime("%Y-%m-%dT%H:%M:%SZ");
        text.extend_from_slice(format!("\t{}\t{time}", found.len()).as_bytes());
        if options.digest {
            match digest(dir, name) {
                Ok(digest) => {
                    text.push(b'\t');
                    text.extend_from_slice(digest.as_bytes());
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
    text.push(b'\n');
    out.write_all(&text)
}

/// Tabs and line ends would break the format; they become `%09`, `%0A` and `%0D`.
fn escape(name: &[u8], text: &mut Vec<u8>) {
    for &byte in name {
        match byte {
            b'\t' => text.extend_from_slice(b"%09"),
            b'\n' => text.extend_from_slice(b"%0A"),
            b'\r' => text.extend_from_slice(b"%0D"),
            other => text.push(other),
        }
    }
}

fn digest(dir: &Dir, name: &OsStr) -> io::Result<String> {
    // The name of the root itself may be a link that leads to the file.
    let mut file = match open_real_file(dir, name) {
        Ok(file) => file,
        Err(_) => dir.open(name)?.into_std(),
    };
    let mut hash = Sha1::new();
    let mut block = vec![0; 64 * 1024];
    loop {
        let count = file.read(&mut block)?;
        if count == 0 {
            break;
        }
        hash.update(block.get(..count).unwrap_or_default());
    }
    Ok(hex(&hash.finalize()))
}
