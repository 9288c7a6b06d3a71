//! `mutlog serve`: a folder's log for followers.

use std::time::Duration;

use anyhow::{Context, bail};
use maintner::log::{Tail, server::LogServer};
use tokio::{net::TcpListener, sync::watch};

use crate::{Outcome, cli::Serve};

/// How long requests may take to their end after the server was asked to stop. Followers that wait
/// for news are cut off; they ask again.
const GRACE: Duration = Duration::from_secs(1);

pub(crate) fn run(args: &Serve) -> anyhow::Result<Outcome> {
    example_cli::block_on(serve(args)).map(|()| Outcome::Good)
}

async fn serve(args: &Serve) -> anyhow::Result<()> {
    let dir = args.dir.display();
    let read = || format!("cannot read {dir}");
    if !std::fs::metadata(&args.dir).with_context(read)?.is_dir() {
        bail!("{dir} is no folder; name the one that has the log's files");
    }
    // Before the log is read, which may take long: who cannot listen should know at once.
    let listener = TcpListener::bind(args.listen).await.with_context(|| {
        let address = args.listen;
        format!("cannot listen on {address}; take another address with --listen")
    })?;
    let tail = Tail::open(&args.dir).await;
    let tail = tail.with_context(|| format!("cannot serve the log in {dir}"))?;
    let feed = tail.feed().clone();
    if feed.is_empty() {
        bail!(
            "no file of {dir} is a log's: maintner-YYYY-MM-DD.mutlog, NNNN.SHA224.mutlog, NNNN.growing.mutlog"
        );
    }
    let (segments, bytes) = (feed.segments().len(), feed.len());
    let address = listener.local_addr()?;
    let plural = if segments == 1 { "" } else { "s" };
    example_cli::say(format_args!(
        "http://{address}/logs serves {segments} segment{plural}, {bytes} bytes; stop with Ctrl-C"
    ));
    let (stop, mut stopped) = watch::channel(false);
    let app = LogServer::new(feed).router();
    let served = axum::serve(listener, app).with_graceful_shutdown(async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    });
    let mut served = tokio::spawn(served.into_future());
    tokio::select! {
        signal = example_cli::stop_signal() => signal?,
        ended = &mut served => return Ok(ended??),
    }
    stop.send_replace(true);
    if tokio::time::timeout(GRACE, &mut served).await.is_err() {
        served.abort();
    }
    Ok(())
}
