//! A hundred requests for the archive of the same commit, one download.
//!
//! `cargo run -p buildfarm-singleflight --example archive`

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use buildfarm_singleflight::Group;
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let archives = Group::new();
    let downloads = Arc::new(AtomicUsize::new(0));
    let mut requests = JoinSet::new();
    for _ in 0..100 {
        let (archives, downloads) = (archives.clone(), downloads.clone());
        requests.spawn(async move {
            let download = || async move {
                downloads.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(200)).await;
                Arc::<[u8]>::from(*b"a large archive")
            };
            archives.run(("go", "3f2a9c1"), download).await
        });
    }
    let mut shared = 0;
    while let Some(request) = requests.join_next().await {
        let archive = request??;
        shared += usize::from(archive.shared);
    }
    println!(
        "downloads for {shared} requests: {}",
        downloads.load(Ordering::Relaxed)
    );
    Ok(())
}
