//! `coordinator worker`: the worker process that the coordinator starts on its own machine.

use std::fs;

use anyhow::Context;
use buildfarm_dashboard::keys::JoinKey;
use buildlet::reverse::{self, Registration};
use buildlet::{Buildlet, Config, EnvPolicy};
use tokio_util::sync::CancellationToken;

use crate::cli;

pub(crate) async fn run(args: cli::Worker) -> anyhow::Result<()> {
    let text = fs::read_to_string(&args.key_file)
        .with_context(|| format!("{} cannot be read", args.key_file.display()))?;
    let key: JoinKey = text.trim().parse()?;
    let pin = key
        .pin()
        .context("the key carries no certificate fingerprint")?;
    let mut config = Config::new(args.workdir);
    config.env = EnvPolicy::inherit(std::env::vars_os());
    config.adopt_orphans = true;
    let buildlet = Buildlet::new(config)?;
    let stop = CancellationToken::new();
    // Whatever ends the coordinator, kill -9 included, closes our standard input: nothing is left behind.
    let ended = stop.clone();
    tokio::spawn(async move {
        buildlet::stdin_closed().await;
        ended.cancel();
    });
    let registration = Registration::new(
        args.coordinator,
        args.host_type,
        args.hostname,
        key.secret_text(),
        buildfarm_https::client::pinned(pin),
    );
    reverse::run(registration, buildlet.clone(), stop, |_| {}).await?;
    buildlet.shutdown().await;
    Ok(())
}
