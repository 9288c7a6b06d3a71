//! A farm inside a program of one's own: pages, workers that join, nothing else.
//!
//! ```text
//! cargo run -p buildfarm-coordinator --example embed -- REPOSITORY
//! ```
//! REPOSITORY is a folder or a URL. It prints the line that starts a worker; without one, builds wait.

use std::path::Path;
use std::sync::Arc;

use buildfarm_coordinator::logs::FileLogs;
use buildfarm_coordinator::pool::{self, Gate, Pool, ReversePool};
use buildfarm_coordinator::store::{SqliteStore, Store, WorkerKey};
use buildfarm_coordinator::web::{self, View};
use buildfarm_coordinator::work::{ConfigFrom, GitConfig, GitSource};
use buildfarm_coordinator::{Event, Farm, FarmConfig};
use buildfarm_dashboard::{default_host_type, keys::JoinKey};
use buildfarm_https::{Identity, Server};
use jiff::Timestamp;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let repository = std::env::args().nth(1).ok_or("usage: embed REPOSITORY")?;
    let data = std::env::temp_dir().join(format!("embedded-farm-{}", std::process::id()));
    std::fs::create_dir(&data)?;
    let ended = run(repository, &data).await;
    std::fs::remove_dir_all(&data)?;
    ended
}

async fn run(repository: String, data: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let (events, mut happenings) = broadcast::channel(4096);
    let store = Arc::new(SqliteStore::open(&data.join("farm.db")).await?);
    let logs = Arc::new(FileLogs::open(&data.join("logs"))?);
    let workers = ReversePool::new(events.clone());
    let pools: Vec<Arc<dyn Pool>> = vec![Arc::new(workers.clone())];
    let source = GitSource::open(GitConfig {
        url: repository.clone(),
        cache_dir: data.join("git"),
        config: ConfigFrom::Commit(None),
        default_host: default_host_type(),
        recent: Some(1),
        poll: None,
        archive_budget: 1 << 30,
    })
    .await?;

    // Whoever holds the word may join: the store keeps its hash, and the word the fingerprint of our certificate.
    let identity = Identity::dev(data, &[])?;
    let key = JoinKey::generate()?.with_pin(identity.spki_sha256());
    let admitted = WorkerKey {
        hash: *key.hash().as_bytes(),
        scope: "*".to_owned(),
    };
    store.add_worker_key(&admitted, Timestamp::now()).await?;

    let server = Server::bind("127.0.0.1:0").await?.identity(identity);
    let address = server.local_addr();
    let pages = View {
        project: repository,
        store: store.clone(),
        logs: logs.clone(),
        pools: pools.clone(),
        events: events.clone(),
        join_hint: format!("buildlet --coordinator {address} --key …"),
    };
    let gate = Gate {
        pool: workers,
        store: store.clone(),
        registry: Default::default(),
        legacy_master: None,
    };
    let app = web::router(pages).merge(pool::router(gate));
    let stop = CancellationToken::new();
    let serving = tokio::spawn(server.serve(app, stop.clone()));
    let farm = Farm::start(FarmConfig {
        store: store.clone(),
        logs,
        pools,
        sources: vec![Arc::new(source)],
        events,
    })
    .await?;

    println!("pages:    http://{address}/");
    println!(
        "a worker: cargo run --bin buildlet -- --coordinator {address} --key {}",
        key.word()
    );
    loop {
        tokio::select! {
            event = happenings.recv() => tell(event),
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    farm.shutdown().await;
    stop.cancel();
    serving.await??;
    store.close().await;
    Ok(())
}

fn tell(event: Result<Event, RecvError>) {
    match event {
        Ok(Event::Worker(worker)) => println!("worker {}: {:?}", worker.name, worker.state),
        Ok(Event::Started(build)) => println!("{}: started", build.builder),
        Ok(Event::Finished(build)) => println!("{}: ended, {:?}", build.builder, build.outcome),
        Ok(Event::Notice(text)) => println!("{text}"),
        _ => {}
    }
}
