//! Any mixture of appends, readers and cancellations, compared with a plain vector.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, may stop a test")]

use std::io;
use std::time::Duration;

use futures_util::FutureExt;
use livelog::{Backing, Bytes, Chunk, Config, Log, Reader, Writer};
use proptest::prelude::*;
use tokio::io::AsyncReadExt;
use tokio::task::JoinSet;

#[derive(Debug, Clone)]
enum Step {
    Append(usize),
    AppendSlice(usize),
    /// A new reader, at this permille of the length (more than 1000: beyond the end).
    Join(u64),
    /// One poll of this reader's `next`, which is then dropped.
    Poll(usize),
    /// One poll of an `AsyncRead` of so many bytes.
    PollRead(usize, usize),
    /// Lets other tasks run, so that file reads complete.
    Breathe,
    Leave(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![4 => 0_usize..300, 2 => 0_usize..20_000, 1 => 60_000_usize..140_000];
    prop_oneof![
        3 => len.clone().prop_map(Step::Append),
        3 => len.prop_map(Step::AppendSlice),
        2 => (0_u64..1100).prop_map(Step::Join),
        6 => any::<usize>().prop_map(Step::Poll),
        2 => (any::<usize>(), 1_usize..5000).prop_map(|(reader, len)| Step::PollRead(reader, len)),
        2 => Just(Step::Breathe),
        1 => any::<usize>().prop_map(Step::Leave),
    ]
}

/// The byte at an offset; long period, so that misplaced bytes show.
fn byte(offset: u64) -> u8 {
    (offset.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

fn bytes(offset: u64, len: usize) -> Vec<u8> {
    (offset..offset + len as u64).map(byte).collect()
}

struct Checked {
    reader: Reader,
    next: u64,
}

impl Checked {
    fn take(&mut self, chunk: &Chunk) {
        assert_eq!(chunk.offset, self.next);
        assert!(!chunk.data.is_empty());
        self.take_bytes(&chunk.data);
    }

    fn take_bytes(&mut self, data: &[u8]) {
        assert!(
            data == bytes(self.next, data.len()),
            "wrong bytes at {}",
            self.next
        );
        self.next += data.len() as u64;
        assert_eq!(self.reader.offset(), self.next);
    }
}

async fn play(config: Config, steps: Vec<Step>) -> io::Result<()> {
    let memory_tail = match &config.backing {
        Backing::Memory => None,
        Backing::File(_, tail) => Some(*tail),
        Backing::Spill { memory, .. } => Some(*memory),
        other => panic!("a backing of which this knows nothing: {other:?}"),
    };
    let (mut writer, log) = livelog::log(config);
    let mut readers = Vec::<Checked>::new();
    let mut len = 0;
    for step in steps {
        match step {
            Step::Append(n) => {
                writer.append(Bytes::from(bytes(len, n)))?;
                len += n as u64;
            }
            Step::AppendSlice(n) => {
                writer.append_slice(&bytes(len, n))?;
                len += n as u64;
            }
            Step::Join(permille) => {
                let next = len * permille / 1000;
                let reader = log.reader_at(next);
                readers.push(Checked { reader, next });
            }
            Step::Poll(i) if !readers.is_empty() => {
                let i = i % readers.len();
                let checked = &mut readers[i];
                if let Some(chunk) = checked.reader.next().now_or_never() {
                    checked.take(&chunk?.expect("the end of a log that goes on"));
                }
            }
            Step::PollRead(i, n) if !readers.is_empty() => {
                let i = i % readers.len();
                let checked = &mut readers[i];
                let mut data = vec![0; n];
                if let Some(n) = checked.reader.read(&mut data).now_or_never() {
                    checked.take_bytes(&data[..n?]);
                }
            }
            Step::Breathe => tokio::time::sleep(Duration::from_micros(200)).await,
            Step::Leave(i) if !readers.is_empty() => {
                readers.swap_remove(i % readers.len());
            }
            Step::Poll(_) | Step::PollRead(..) | Step::Leave(_) => {}
        }
        assert_eq!((log.len(), writer.len()), (len, len));
        let expected = memory_tail.map_or(len, |tail| len.min(tail as u64));
        assert_eq!(log.in_memory() as u64, expected);
    }
    writer.finish();
    for next in [0, len / 2] {
        let reader = log.reader_at(next);
        readers.push(Checked { reader, next });
    }
    for mut checked in readers {
        while let Some(chunk) = checked.reader.next().await? {
            checked.take(&chunk);
        }
        assert_eq!(checked.next, len.max(checked.next));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_reader_sees_the_same_bytes(
        steps in prop::collection::vec(step(), 0..80),
        memory_tail in prop_oneof![
            Just(None),
            prop_oneof![Just(0), 1_usize..1000, 1000_usize..200_000].prop_map(Some),
        ],
        spill in any::<bool>(),
    ) {
        let backing = match memory_tail {
            None => Backing::Memory,
            Some(memory) if spill => Backing::Spill { memory, dir: None },
            Some(tail) => Backing::File(tempfile::tempfile().unwrap(), tail),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let played = play(Config { backing, ..Config::default() }, steps);
        runtime.block_on(async {
            let played = tokio::time::timeout(Duration::from_secs(20), played).await;
            played.expect("a reader waits for ever").unwrap();
        });
    }
}

/// Real threads: appends of all sizes against readers that give up waiting again and again.
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
        let n = n.min(total - len) as usize;
        writer.append(bytes(len, n).into()).unwrap();
        len += n as u64;
        if random >> 33 & 3 == 0 {
            tokio::task::yield_now().await;
        }
    }
    writer.finish();
    len
}

async fn follow(log: Log, seed: u64) -> u64 {
    let reader = log.reader();
    let mut checked = Checked { reader, next: 0 };
    let mut round = seed;
    loop {
        round += 1;
        // Some readers start over with another reader, as a browser that was cut off does.
        if round.is_multiple_of(50) {
            checked.reader = log.reader_at(checked.next);
        }
        let chunk = if round.is_multiple_of(3) {
            tokio::select! {
                biased;
                chunk = checked.reader.next() => chunk,
                () = tokio::task::yield_now() => continue,
            }
        } else {
            checked.reader.next().await
        };
        match chunk.unwrap() {
            Some(chunk) => checked.take(&chunk),
            None => return checked.next,
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
