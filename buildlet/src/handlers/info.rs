//! What the worker says of itself.

use std::os::unix::ffi::OsStrExt;

use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::form::Form;
use crate::http1::{Abort, Exchange, Reply};
use crate::service::Worker;

/// Most letters `/debug/x` gives.
const MAX_LETTERS: i64 = 1 << 20;

/// What this worker can do beyond the Go worker.
const FEATURES: [&str; 3] = ["exec-outcome", "kill-tree", "symlinks"];

/// `/status`. Go clients read `Version` and ignore the rest.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Status<'a> {
    version: u32,
    #[serde(rename = "Impl")]
    implementation: &'static str,
    features: &'a [&'static str],
    running_execs: usize,
    boot_id: &'a str,
}

/// The operating system and architecture in Go's words, `linux-amd64`.
pub fn go_platform() -> String {
    let os = match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "x86" => "386",
        "aarch64" => "arm64",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        "powerpc64" => "ppc64",
        "loongarch64" => "loong64",
        other => other,
    };
    format!("{os}-{arch}")
}

pub(crate) async fn root<T>(exchange: &mut Exchange<T>) -> Result<(), Abort>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let text = format!("buildlet running on {}\n", go_platform());
    exchange.reply(Reply::text(text)).await
}

pub(crate) async fn letters<T>(exchange: &mut Exchange<T>) -> Result<(), Abort>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let form = Form::from_query(&exchange.head().query);
    let count = std::str::from_utf8(form.value("n"))
        .ok()
        .and_then(|text| text.parse::<i64>().ok())
        .unwrap_or_default()
        .clamp(0, MAX_LETTERS);
    let count = usize::try_from(count).unwrap_or_default();
    exchange.reply(Reply::text(vec![b'X'; count])).await
}

pub(crate) async fn status<T>(worker: &Worker, exchange: &mut Exchange<T>) -> Result<(), Abort>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let status = Status {
        version: worker.config.version,
        implementation: "buildfarm",
        features: &FEATURES,
        running_execs: worker.running(),
        boot_id: &worker.boot_id,
    };
    let reply = match serde_json::to_vec(&status) {
        Ok(json) => Reply::new(200)
            .header("Content-Type", "application/json; charset=utf-8")
            .body(json),
        Err(error) => Reply::error(500, &error.to_string()),
    };
    exchange.reply(reply).await
}

pub(crate) async fn work_dir<T>(worker: &Worker, exchange: &mut Exchange<T>) -> Result<(), Abort>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let path = worker.work_dir.path().as_os_str().as_bytes().to_vec();
    exchange.reply(Reply::text(path)).await
}

/// The nearest thing to Go's dump of goroutines.
pub(crate) async fn tasks<T>(worker: &Worker, exchange: &mut Exchange<T>) -> Result<(), Abort>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let metrics = tokio::runtime::Handle::current().metrics();
    let text = format!(
        "commands running: {}\ntasks alive: {}\nworker threads: {}\n",
        worker.running(),
        metrics.num_alive_tasks(),
        metrics.num_workers(),
    );
    exchange.reply(Reply::text(text)).await
}
