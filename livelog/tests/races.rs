//! Real threads: appends of all sizes against readers that give up waiting again and again.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, may stop a test")]

use std::time::Duration;

use livelog::{Backing, Config, Log, Writer};
use tokio::task::JoinSet;

fn bytes(from: u64, to: u64) -> Vec<u8> {
    let byte = |offset: u64| (offset.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
    (from..to).map(byte).collect()
}

async fn race(backing: Backing, total: u64) {
    let (writer, log) = livelog::log(Config {
        backing,
        ..Config::default()
    });
    let mut tasks = JoinSet::new();
    for i in 0..40_u64 {
        tasks.spawn(follow(log.clone(), i));
    }
    tasks.spawn(write(writer, total));
    let all = async {
        while let Some(task) = tasks.join_next().await {
            assert_eq!(task.unwrap(), total);
        }
    };
    let all = tokio::time::timeout(Duration::from_secs(20), all).await;
    all.expect("a wake-up was lost");
}

async fn write(mut writer: Writer, total: u64) -> u64 {
    let mut len = 0;
    let mut random = 1_u64;
    while len < total {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let n = match random >> 60 {
            0 => 20_000 + (random >> 50) % 20_000,
            1..8 => 1 + (random >> 40) % 1000,
            _ => 1 + (random >> 40) % 8,
        };
        let n = n.min(total - len);
        writer.append(bytes(len, len + n).into()).unwrap();
        len += n;
        if random >> 33 & 3 == 0 {
            tokio::task::yield_now().await;
        }
    }
    writer.finish();
    len
}

async fn follow(log: Log, seed: u64) -> u64 {
    let mut reader = log.reader();
    let mut round = seed;
    loop {
        round += 1;
        // Some readers start over with another reader, as a browser that was cut off does.
        if round.is_multiple_of(50) {
            reader = log.reader_at(reader.offset());
        }
        let next = reader.offset();
        let chunk = if round.is_multiple_of(3) {
            tokio::select! {
                biased;
                chunk = reader.next() => chunk,
                () = tokio::task::yield_now() => continue,
            }
        } else {
            reader.next().await
        };
        match chunk.unwrap() {
            Some(chunk) => {
                assert_eq!((chunk.offset, chunk.end()), (next, reader.offset()));
                assert!(chunk.data == bytes(next, chunk.end()), "at {next}");
            }
            None => return next,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn no_wake_up_is_lost_in_memory() {
    race(Backing::Memory, 1_000_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn no_wake_up_is_lost_with_a_file() {
    let file = tempfile::tempfile().unwrap();
    race(Backing::File(file, 100_000), 1_000_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn no_wake_up_is_lost_while_spilling() {
    let backing = Backing::Spill {
        memory: 100_000,
        dir: None,
    };
    race(backing, 1_000_000).await;
}
