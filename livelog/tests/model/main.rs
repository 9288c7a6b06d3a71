//! Any mixture of appends, readers that come, give up, resume and leave, questions for lines and ranges, and ends, over all
//! backings and limits, compared with a vector of everything that was appended.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, may stop a test")]

mod naive;

use std::io::{self, Write};
use std::ops::Range;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use livelog::{Backing, Bytes, Config, Limit, Log, Outcome, ReadError, Writer};
use proptest::prelude::*;
use tokio::io::AsyncReadExt;

use crate::naive::{Checked, GAP, Model, Place, TEXT};

#[derive(Debug, Clone)]
enum Step {
    Append(How, usize),
    /// A new reader at this permille of the length (more than 1000: beyond the end), until so many bytes further on.
    Join(u64, Option<u64>),
    /// One poll of this reader's `next`, or of it as a stream, which is then dropped.
    Poll(usize, bool),
    /// One poll of an `AsyncRead` of so many bytes.
    PollRead(usize, usize),
    /// Another reader goes on where this one was.
    Resume(usize),
    Leave(usize),
    /// Between these permilles.
    Range(u64, u64),
    /// The line there.
    Line(u64),
    Tail(u64),
    /// Lets other threads run, so that file reads complete.
    Breathe,
}

#[derive(Debug, Clone, Copy)]
enum How {
    Shared,
    Slice,
    Write,
}

fn step() -> impl Strategy<Value = Step> {
    let how = prop_oneof![Just(How::Shared), Just(How::Slice), Just(How::Write)];
    let len = prop_oneof![
        8 => 0_usize..300,
        4 => 0_usize..20_000,
        2 => 60_000_usize..140_000,
        1 => 300_000_usize..900_000,
    ];
    let until = prop::option::weighted(0.3, 0_u64..100_000);
    let permille = || 0_u64..1100;
    prop_oneof![
        6 => (how, len).prop_map(|(how, len)| Step::Append(how, len)),
        2 => (permille(), until).prop_map(|(at, until)| Step::Join(at, until)),
        6 => (any::<usize>(), any::<bool>()).prop_map(|(reader, stream)| Step::Poll(reader, stream)),
        3 => (any::<usize>(), 1_usize..5000).prop_map(|(reader, len)| Step::PollRead(reader, len)),
        1 => any::<usize>().prop_map(Step::Resume),
        1 => any::<usize>().prop_map(Step::Leave),
        1 => (permille(), permille()).prop_map(|(from, to)| Step::Range(from, to)),
        1 => permille().prop_map(Step::Line),
        1 => prop_oneof![0_u64..10, 0_u64..10_000].prop_map(Step::Tail),
        2 => Just(Step::Breathe),
    ]
}

fn limit() -> impl Strategy<Value = Limit> {
    let part = || {
        prop_oneof![
            Just(0),
            1_u64..100,
            1000_u64..50_000,
            100_000_u64..1_000_000
        ]
    };
    let cut = prop_oneof![Just(&b""[..]), Just(&b"\ncut\n"[..]), Just(&b"\n..."[..])];
    let gap = prop_oneof![Just(&b""[..]), Just(GAP)];
    prop_oneof![
        2 => Just(Limit::Unlimited),
        1 => (prop_oneof![0_u64..20, part()], cut).prop_map(|(max, marker)| {
            let marker = Bytes::from_static(marker);
            Limit::HeadOnly { max, marker }
        }),
        2 => (part(), part(), gap).prop_map(|(head, tail, marker)| {
            let marker = Bytes::from_static(marker);
            Limit::HeadAndTail { head, tail, marker }
        }),
    ]
}

fn place() -> impl Strategy<Value = Place> {
    // From 1 MiB on, a spill is written in the background.
    let memory = || prop_oneof![Just(0), 1_usize..1000, 1000_usize..200_000, Just(1 << 20)];
    prop_oneof![
        1 => Just(Place::Memory),
        3 => memory().prop_map(Place::Spill),
        2 => memory().prop_map(Place::File),
    ]
}

struct Play {
    writer: Writer,
    log: Log,
    model: Model,
    readers: Vec<Checked>,
}

impl Play {
    fn new(limit: Limit, place: Place) -> Self {
        let backing = match place {
            Place::Memory => Backing::Memory,
            Place::Spill(memory) => Backing::Spill { memory, dir: None },
            Place::File(memory) => Backing::File(tempfile::tempfile().unwrap(), memory),
        };
        let (writer, log) = livelog::log(Config {
            limit: limit.clone(),
            backing,
        });
        let model = Model {
            limit,
            place,
            appended: 0,
            log: Vec::new(),
        };
        Self {
            writer,
            log,
            model,
            readers: Vec::new(),
        }
    }

    fn reader(&mut self, i: usize) -> Option<&mut Checked> {
        let i = i.checked_rem(self.readers.len())?;
        self.readers.get_mut(i)
    }

    async fn step(&mut self, step: Step) -> io::Result<()> {
        match step {
            Step::Append(how, n) => self.append(how, n)?,
            Step::Join(at, until) => {
                let checked = Checked::new(&self.log, self.model.at(at), until);
                self.readers.push(checked);
            }
            Step::Poll(i, stream) => self.poll(i, stream)?,
            Step::PollRead(i, n) => {
                let i = i.checked_rem(self.readers.len());
                let Some(checked) = i.map(|i| &mut self.readers[i]) else {
                    return Ok(());
                };
                let mut data = vec![0; n];
                let read = checked.reader.read(&mut data).now_or_never();
                let n = read.transpose()?;
                checked.take_read(&data[..n.unwrap_or(0)], &self.model);
                assert!(n != Some(0) || checked.next >= checked.until);
            }
            Step::Resume(i) => {
                let log = self.log.clone();
                if let Some(checked) = self.reader(i) {
                    checked.reader = log.reader_at(checked.reader.offset()).until(checked.until);
                    checked.marker_left.clear();
                }
            }
            Step::Leave(i) => {
                if let Some(i) = i.checked_rem(self.readers.len()) {
                    self.readers.swap_remove(i);
                }
            }
            Step::Range(from, to) => self.range(self.model.at(from)..self.model.at(to)).await,
            Step::Line(at) => self.line(self.model.at(at)).await,
            Step::Tail(lines) => self.tail(lines).await,
            Step::Breathe => tokio::time::sleep(Duration::from_micros(200)).await,
        }
        let Self { log, model, .. } = self;
        assert_eq!((log.len(), self.writer.len()), (model.len(), model.len()));
        assert_eq!((log.gap(), log.dropped()), (model.gap(), model.dropped()));
        assert_eq!(log.in_memory() as u64, model.in_memory());
        assert_eq!(log.outcome(), None);
        Ok(())
    }

    fn append(&mut self, how: How, n: usize) -> io::Result<()> {
        let begin = self.model.appended;
        let n = n.min(TEXT.len() - begin);
        let (data, before) = (&TEXT[begin..begin + n], self.model.dropped());
        self.model.append(n);
        let appended = match how {
            How::Write => return self.writer.write_all(data),
            How::Shared => self.writer.append(Bytes::from_static(data))?,
            How::Slice => self.writer.append_slice(data)?,
        };
        assert_eq!(appended.dropped as u64, self.model.dropped() - before);
        assert_eq!(appended.accepted, n - appended.dropped);
        Ok(())
    }

    fn poll(&mut self, i: usize, stream: bool) -> Result<(), ReadError> {
        let Some(i) = i.checked_rem(self.readers.len()) else {
            return Ok(());
        };
        let checked = &mut self.readers[i];
        let polled = if stream {
            let polled = StreamExt::next(&mut checked.reader).now_or_never();
            polled.map(Option::transpose)
        } else {
            checked.reader.next().now_or_never()
        };
        match polled {
            None => {}
            Some(chunk) => match chunk? {
                Some(chunk) => checked.take(chunk, &self.model),
                None => assert!(checked.next >= checked.until, "the log goes on"),
            },
        }
        Ok(())
    }

    async fn range(&self, range: Range<u64>) {
        let _ = self.log.read_range(range.clone()).now_or_never();
        let model = &self.model;
        let within = range.start..range.end.min(model.len());
        match self.log.read_range(range).await {
            Ok(data) => assert!(data == model.slice(within)),
            Err(ReadError::Lost { from, to }) => {
                assert_eq!(model.gap(), Some(from..to));
                assert!(within.start.max(from) < within.end.min(to));
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// The line that is there, and where it begins.
    async fn line(&self, offset: u64) {
        let (log, model) = (&self.log, &self.model);
        let lines = model.lines();
        let unfinished = *lines.last().unwrap() < model.len();
        assert_eq!(log.lines(), (lines.len() - usize::from(!unfinished)) as u64);
        let _ = log.line_of_offset(offset).now_or_never();
        let at = offset.min(model.len());
        let line = lines.partition_point(|begin| *begin <= at) - 1;
        match log.line_of_offset(offset).await {
            Ok(found) => assert_eq!(found, line as u64),
            Err(ReadError::Lost { .. }) => assert!(model.is_lost(at)),
            Err(error) => panic!("{error}"),
        }
        for line in [line, line + 1, line + 100, 0] {
            let _ = log.offset_of_line(line as u64).now_or_never();
            match log.offset_of_line(line as u64).await {
                Ok(found) => assert_eq!(found, lines.get(line).copied()),
                // The end of the line before is what is looked for.
                Err(ReadError::Lost { from, to }) => {
                    assert_eq!(model.gap(), Some(from..to));
                    assert!(model.is_lost(lines[line] - 1));
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    async fn tail(&self, lines: u64) {
        let (log, model) = (&self.log, &self.model);
        let _ = log.tail_lines(lines).now_or_never();
        let found = log.tail_lines(lines).await.unwrap();
        if lines == 0 {
            assert_eq!(found, model.len());
            return;
        }
        let begins = model.lines();
        let first = log.lines().saturating_sub(lines) as usize;
        let begin = begins[first];
        if found != begin {
            assert!(model.is_lost(begin - 1));
            assert_eq!(found, model.gap().unwrap().end);
        }
    }

    /// Readers that were there, and some that come now, come to the end, and learn which it was.
    async fn end(mut self, finish: bool) {
        let expected = if finish {
            self.writer.finish();
            Outcome::Finished
        } else {
            drop(self.writer);
            Outcome::Aborted
        };
        assert_eq!(self.log.outcome(), Some(expected));
        assert_eq!(self.log.ended().await, expected);
        for next in [0, self.model.len() / 2] {
            self.readers.push(Checked::new(&self.log, next, None));
        }
        for mut checked in self.readers {
            let mut gaps = 0;
            let end = loop {
                match checked.reader.next().await {
                    Ok(Some(chunk)) => {
                        gaps += u32::from(chunk.missing > 0);
                        checked.take(chunk, &self.model);
                    }
                    end => break end,
                }
            };
            assert!(gaps <= 1, "nothing is lost any more");
            assert!(checked.next >= checked.until.min(self.model.len()));
            match end {
                Err(ReadError::Aborted) => assert!(!finish),
                end => assert!(end.unwrap().is_none() && (finish || checked.next >= checked.until)),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn as_a_vector_would(
        steps in prop::collection::vec(step(), 0..80),
        limit in limit(),
        place in place(),
        finish in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let played = async {
            let mut play = Play::new(limit, place);
            for step in steps {
                play.step(step).await.unwrap();
            }
            play.end(finish).await;
        };
        runtime.block_on(async {
            let played = tokio::time::timeout(Duration::from_secs(20), played).await;
            played.expect("somebody waits for ever");
        });
    }
}
