//! A page over TLS and, for this machine, over plain HTTP, on one port:
//!
//! ```text
//! cargo run -p buildfarm-https --example hello
//! curl http://127.0.0.1:8119/            # served: this machine's own program
//! curl -k https://127.0.0.1:8119/        # served, with the development certificate
//! ```

use std::io::IsTerminal as _;

use axum::{Extension, Router, routing::get};
use buildfarm_https::{Identity, Peer, Server};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .with_ansi(std::io::stdout().is_terminal())
        .init();
    let server = Server::bind("127.0.0.1:8119")
        .await?
        .identity(Identity::dev(".buildfarm", &[])?);
    println!(
        "http://{0}/ and https://{0}/, until Ctrl-C",
        server.local_addr()
    );

    let stop = CancellationToken::new();
    tokio::spawn({
        let stop = stop.clone();
        async move {
            // Without a signal to wait for, the program just runs until it is killed.
            if tokio::signal::ctrl_c().await.is_ok() {
                stop.cancel();
            }
        }
    });
    let app = Router::new().route("/", get(hello));
    server.serve(app, stop).await?;
    println!("stopped");
    Ok(())
}

async fn hello(Extension(peer): Extension<Peer>) -> String {
    let how = if peer.tls { "over TLS" } else { "in the clear" };
    format!("hello {} {how}\n", peer.addr)
}
