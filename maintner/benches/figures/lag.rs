//! How long it takes from the disk of a leader to the corpus of a follower.

use std::time::{Duration, Instant};

use bytes::Bytes;
use maintner::{
    corpus::{Corpus, Writer},
    log::{
        Event, FollowOptions, Follower, LocalDir, SegmentLog, SegmentOptions, Sink, Source,
        server::LogServer,
    },
    testing::History,
};
use prost::Message;
use tokio::net::TcpListener;

const RECORDS: usize = 300;

/// Over HTTP on loopback; the directories are in the target directory.
pub(crate) fn lag() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut lags = runtime.block_on(measure());
    runtime.shutdown_background();
    lags.sort_by(f64::total_cmp);
    println!(
        "# follower's lag: median {:.2} ms, worst {:.2} ms of {RECORDS}",
        lags[RECORDS / 2],
        lags[RECORDS - 1]
    );
    super::figure_at_most("follower-lag-p99", lags[RECORDS * 99 / 100], "ms", 50.0);
}

async fn measure() -> Vec<f64> {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let place = LocalDir::new(dir.path().join("leader")).expect("a directory for the log");
    let log = SegmentLog::open(place, SegmentOptions::default()).await;
    let mut log = log.expect("a log");
    let mut mutations = History::new(2).map(|mutation| Bytes::from(mutation.encode_to_vec()));
    let beginning: Vec<Bytes> = mutations.by_ref().take(1000).collect();
    log.append(&beginning).await.expect("a durable beginning");

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = LogServer::new(log.feed().clone()).router::<()>();
    tokio::spawn(async move { axum::serve(listener, router).await });

    let writer = Writer::new();
    let corpus = writer.corpus();
    let url = format!("http://{address}/logs");
    let follower = Follower::new(&url, dir.path().join("cache"), FollowOptions::default());
    tokio::spawn(follow(writer, follower.expect("a follower")));
    reaches(&corpus, log.feed().len()).await;

    let mut lags = Vec::with_capacity(RECORDS);
    for mutation in mutations.take(RECORDS) {
        log.append(&[mutation]).await.expect("a durable record");
        let durable = Instant::now();
        reaches(&corpus, log.feed().len()).await;
        lags.push(durable.elapsed().as_secs_f64() * 1e3);
        // The next one comes when the follower waits again.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    lags
}

async fn follow(mut writer: Writer, mut follower: Follower) {
    loop {
        match follower.next().await.expect("a good log") {
            Event::Batch(batch) => {
                let applied = writer.apply(batch.segment, batch.offset, &batch.bytes);
                applied.expect("good records");
            }
            Event::CaughtUp { .. } => drop(writer.publish()),
            _ => {}
        }
    }
}

/// Waits until readers see so many bytes of the log.
async fn reaches(corpus: &Corpus, bytes: u64) {
    let mut snapshot = corpus.snapshot();
    while snapshot.log_bytes() < bytes {
        snapshot = corpus
            .newer_than(snapshot.generation())
            .await
            .expect("a writer");
    }
}
