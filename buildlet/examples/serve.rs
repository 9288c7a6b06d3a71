//! Serves a worker on a loopback port, without a password, until Ctrl-C.
//!
//! `cargo run -p buildlet --example serve`, then
//! `curl -s http://127.0.0.1:5936/exec -d cmd=uname -d cmdArg=-a`

use buildlet::{Buildlet, Config, EnvPolicy};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut config = Config::new(std::env::temp_dir().join("buildlet-example"));
    config.env = EnvPolicy::inherit(std::env::vars_os()).without(["AWS_*"]);
    // This process does nothing else, so no process of a command can hide from it.
    config.adopt_orphans = true;
    let buildlet = Buildlet::new(config)?;
    let listener = TcpListener::bind("127.0.0.1:5936").await?;
    println!(
        "listening on http://{}, working in {}, until Ctrl-C",
        listener.local_addr()?,
        buildlet.work_dir().display()
    );
    let stop = CancellationToken::new();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break,
            () = buildlet.halted() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                let (buildlet, stop) = (buildlet.clone(), stop.clone());
                connections.spawn(async move { buildlet.serve_connection(stream, stop).await });
            }
        }
    }
    buildlet.shutdown().await;
    Ok(())
}
