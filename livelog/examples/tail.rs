//! One build writes, four people watch: `cargo run -p livelog --example tail`.
//!
//! The first is there from the start, the second comes late and gets everything, the third is cut off and goes on where it
//! was, the fourth falls asleep. The build notices none of it.

use std::error::Error;
use std::time::Duration;

use livelog::{Config, Log, ReadError, Reader, Writer};
use tokio::time::sleep;

const TICK: Duration = Duration::from_millis(100);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let (writer, log) = livelog::log(Config::file(tempfile::tempfile()?));
    let mut sleeper = log.reader();
    let building = tokio::spawn(build(writer));
    let watching = [
        tokio::spawn(watch("first", log.reader())),
        tokio::spawn(join_late(log.clone())),
        tokio::spawn(reconnect(log.clone())),
    ];
    sleeper.next().await?;

    building.await??;
    for watcher in watching {
        watcher.await??;
    }
    println!(
        "the log has ended: {} bytes, of which the sleeper read {}",
        log.len(),
        sleeper.offset()
    );
    Ok(())
}

async fn build(mut writer: Writer) -> Result<(), Box<dyn Error + Send + Sync>> {
    for step in ["cmd/dist", "runtime", "net/http", "go/types", "all tests"] {
        writer.append(format!("##### {step}\n").into())?;
        sleep(TICK).await;
        writer.append(format!("ok {step}\n").into())?;
    }
    writer.sync().await?;
    writer.finish();
    Ok(())
}

async fn watch(who: &str, mut reader: Reader) -> Result<(), ReadError> {
    while let Some(chunk) = reader.next().await? {
        let text = String::from_utf8_lossy(&chunk.data);
        println!("{who:>8} @{:<4} {text:?}", chunk.offset);
    }
    Ok(())
}

async fn join_late(log: Log) -> Result<(), ReadError> {
    sleep(TICK * 5 / 2).await;
    watch("late", log.reader()).await
}

async fn reconnect(log: Log) -> Result<(), ReadError> {
    let mut reader = log.reader();
    let cut = sleep(TICK * 3 / 2);
    tokio::pin!(cut);
    loop {
        tokio::select! {
            // Cancelling `next` loses nothing.
            chunk = reader.next() => if chunk?.is_none() { return Ok(()) },
            () = &mut cut => break,
        }
    }
    watch("resumed", log.reader_at(reader.offset())).await
}
