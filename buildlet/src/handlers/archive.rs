//! `/writetgz` and `/tgz`: trees in and out.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use tarball::{Growing, PackError, PackOptions, Tree, UnpackOptions};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{bad_path, joined};
use crate::bridge::{download, upload};
use crate::form::Form;
use crate::http1::{Abort, Exchange, Reply};
use crate::path::RelPath;
use crate::service::{Worker, body_error};

/// The directory a Go client may ask for again and again; it is unpacked once.
const BOOTSTRAP: &str = "go1.4";

/// `/writetgz?dir=D`: `PUT` unpacks the body; `POST`, which would have the worker fetch a URL, is refused.
pub(crate) async fn put<T>(worker: &Worker, exchange: &mut Exchange<T>) -> Result<(), Abort>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let form = Form::from_query(&exchange.head().query);
    let dir = match RelPath::parse_or_root(form.query("dir")) {
        Ok(dir) => dir,
        Err(error) => return bad_path(exchange, "dir", &error).await,
    };
    if exchange.head().method == "POST" {
        return fetch(worker, exchange, &dir).await;
    }
    let options = UnpackOptions {
        limits: worker.config.limits.archive,
        links: worker.config.links,
        ..UnpackOptions::default()
    };
    let (sender, mut reader) = upload();
    let root = worker.work_dir.dir();
    let task = tokio::task::spawn_blocking(move || {
        let root = root?;
        let into = if dir.is_root() {
            root
        } else {
            root.create_dir_all(dir.as_path())
                .and_then(|()| root.open_dir(dir.as_path()))
                .map_err(|error| io::Error::new(error.kind(), format!("mkdir of base: {error}")))?
        };
        Ok(tarball::unpack_gz(&mut reader, &into, &options))
    });
    let pumped = sender.pump(exchange).await;
    let unpacked = joined(task).await;
    if let Err(error) = pumped {
        return body_error(exchange, &error).await;
    }
    let reply = match unpacked {
        Ok(Ok(done)) => {
            tracing::debug!(files = done.files, bytes = done.bytes, "archive unpacked");
            Reply::text("OK")
        }
        Ok(Err(error)) if error.is_input_fault() => Reply::error(400, &error.message()),
        Ok(Err(error)) => Reply::error(500, &error.message()),
        Err(error) => Reply::error(500, &error.to_string()),
    };
    exchange.reply(reply).await
}

async fn fetch<T>(worker: &Worker, exchange: &mut Exchange<T>, dir: &RelPath) -> Result<(), Abort>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let form = match Form::read(exchange, worker.config.limits.form).await {
        Ok(form) => form,
        Err(error) => return body_error(exchange, &error).await,
    };
    if dir.as_path().as_os_str() == BOOTSTRAP {
        let root = worker.work_dir.dir();
        let there = tokio::task::spawn_blocking(move || Ok(root?.is_dir(BOOTSTRAP)));
        if joined(there).await.unwrap_or_default() {
            return exchange.reply(Reply::text("SKIP")).await;
        }
    }
    if form.value("url").is_empty() {
        return exchange
            .reply(Reply::error(400, "missing url POST param"))
            .await;
    }
    // Whoever could make a worker fetch any URL could read whatever the worker's network trusts it with.
    let text = "this worker fetches no URLs; send the archive with PUT instead";
    exchange.reply(Reply::error(501, text)).await
}

/// `GET /tgz?dir=D`: the tree as tar.gz. A failure after the head cuts the connection.
pub(crate) async fn get<T>(worker: &Worker, exchange: &mut Exchange<T>) -> Result<(), Abort>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let form = Form::from_query(&exchange.head().query);
    let dir = match RelPath::parse_or_root(form.value("dir")) {
        Ok(dir) => dir,
        Err(error) => return bad_path(exchange, "dir", &error).await,
    };
    let Some(name) = dir.as_path().to_str().map(ToOwned::to_owned) else {
        let reply = Reply::error(400, "invalid 'dir' parameter: not UTF-8");
        return exchange.reply(reply).await;
    };
    let single = form.value("pargzip") == b"0";
    let root = worker.work_dir.dir();
    let open = tokio::task::spawn_blocking(move || Ok(Tree::open(&root?, &name)));
    let tree = match joined(open).await {
        Ok(Ok(tree)) => tree,
        Ok(Err(error)) => return exchange.reply(refusal(&error)).await,
        Err(error) => return exchange.reply(Reply::error(500, &error.to_string())).await,
    };
    let head = Reply::new(200).header("Content-Type", "application/x-gzip");
    let (mut output, _peer) = exchange.stream(head).await?;
    let (mut blocks, mut receiver) = download();
    let task = tokio::task::spawn_blocking(move || {
        let options = PackOptions {
            // What runs meanwhile may be writing its logs.
            growing: Growing::Cut,
            ..PackOptions::default()
        };
        let packed = if single {
            let mut gzip = GzEncoder::new(&mut blocks, Compression::new(options.gzip_level));
            let packed = tree.pack(&mut gzip, &options).map_err(io::Error::other)?;
            gzip.finish()?;
            packed
        } else {
            let mut gzip = pargzip::Builder::new().build(blocks);
            let packed = tree.pack(&mut gzip, &options).map_err(io::Error::other)?;
            blocks = gzip.finish()?;
            packed
        };
        blocks.flush()?;
        Ok(packed)
    });
    while let Some(block) = receiver.recv().await {
        output.write(&block).await?;
    }
    match joined(task).await {
        Ok(packed) => {
            let mut trailers = Vec::new();
            if packed.skipped > 0 {
                trailers.push(("Buildlet-Skipped", packed.skipped.to_string()));
            }
            output.finish(&trailers).await
        }
        Err(error) => Err(Abort::Handler(format!("packing failed: {error}"))),
    }
}

fn refusal(error: &PackError) -> Reply {
    match error {
        PackError::Root { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            Reply::error(404, "no such file or directory")
        }
        PackError::Root { source, .. } => Reply::error(500, &source.to_string()),
        other => Reply::error(400, &other.to_string()),
    }
}
