use std::collections::VecDeque;
use std::io;
use std::task::Waker;

use super::batch::Batch;
use super::builder::ReaderBuilder;
use super::error::ReadError;
use super::gathered::Gathered;
use super::sequential::{Limits, Outcome, Sequential, Step};
use super::split::{More, Plan, Splitter};

/// Input that is gathered before it is needed.
const AHEAD: usize = 512 << 10;

/// Input for the sequential decoder at once.
const PIECE_INPUT: usize = 256 << 10;

/// Output of the sequential decoder at once.
const PIECE_OUTPUT: usize = 256 << 10;

/// Everything between the source and the output: decides, and holds what is under way, but does no work.
#[derive(Debug)]
pub(super) struct State {
    limits: Limits,
    gathered: Gathered,
    pub(super) source: Source,
    more: More,
    splitter: Splitter,
    mode: Mode,
    /// The splitter waits for more input.
    starving: bool,
    /// A batch was not what it claimed: there will be no more of them.
    distrust: bool,
    /// Batches are being taken back; this comes before them.
    recovering: Option<Vec<u8>>,
    /// Input and output up to the end of the last batch that went out.
    planned: (u64, u64),
    /// Numbers of batches to be decoded.
    jobs: VecDeque<u64>,
    slots: VecDeque<Slot>,
    /// The number of the first slot.
    first: u64,
    max_slots: usize,
    sequential: Decoding,
    /// Output of the sequential decoder, to be delivered before any slot.
    ready: VecDeque<Block>,
    /// An end, or an error that stays; after what is ready.
    over: Option<Result<(), ReadError>>,
    garbage: Option<u64>,
    spare: Vec<Vec<u8>>,
    /// Threads that may be started, are there, and have nothing to do.
    pub(super) workers: usize,
    pub(super) started: usize,
    pub(super) idle: usize,
    /// The sequential decoder is left to the thread that reads: to hand its output from thread to thread costs more than is
    /// gained by decoding ahead.
    reader_decodes: bool,
    pub(super) waker: Option<Waker>,
    /// Something has changed since the last poll.
    pub(super) news: bool,
    pub(super) panicked: bool,
}

#[derive(Debug)]
pub(super) enum Source {
    Open,
    Ended,
    Failed(Option<io::Error>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Batches,
    /// One member, or all that is left.
    Sequential,
}

#[derive(Debug)]
enum Slot {
    Waiting(Batch),
    Running,
    Done(Batch),
}

#[derive(Debug)]
enum Decoding {
    Idle(Box<Piece>),
    Waiting(Box<Piece>),
    Running,
}

/// The sequential decoder with what it works on.
#[derive(Debug)]
pub(super) struct Piece {
    decoder: Sequential,
    input: Vec<u8>,
    /// Consumed of `input`.
    at: usize,
    /// There is more to do even without more input.
    resume: bool,
    eof: bool,
    output: Vec<u8>,
}

/// Output: as much as `len` of `data`.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) data: Vec<u8>,
    pub(super) len: usize,
}

pub(super) enum Polled {
    Block(Block),
    End,
    /// A job must be done, or input given, first.
    Blocked,
}

/// Work that needs no lock.
pub(super) enum Job {
    Batch(u64, Batch),
    Piece(Box<Piece>),
}

impl State {
    pub(super) fn new(builder: &ReaderBuilder, workers: usize) -> Self {
        let decoder = Sequential::new(builder.limits(), builder.trailing_rule());
        let mut state = Self {
            limits: builder.limits(),
            gathered: Gathered::default(),
            source: Source::Open,
            more: More::Perhaps,
            splitter: Splitter::new(builder.member_limit()),
            mode: Mode::Batches,
            starving: true,
            distrust: false,
            recovering: None,
            planned: (0, 0),
            jobs: VecDeque::new(),
            slots: VecDeque::new(),
            first: 0,
            max_slots: 1,
            sequential: Decoding::Idle(Box::new(Piece::new(decoder))),
            ready: VecDeque::new(),
            over: None,
            garbage: None,
            spare: Vec::new(),
            workers: 0,
            started: 0,
            idle: 0,
            reader_decodes: false,
            waker: None,
            news: true,
            panicked: false,
        };
        state.set_workers(workers);
        state
    }

    pub(super) fn set_workers(&mut self, workers: usize) {
        self.workers = workers;
        self.max_slots = (2 * workers).max(1);
    }

    pub(super) fn let_reader_decode(&mut self) {
        self.reader_decodes = true;
    }

    /// Where garbage was ignored.
    pub(super) fn garbage(&self) -> Option<u64> {
        self.garbage
    }

    /// What comes next.
    pub(super) fn poll(&mut self) -> io::Result<Polled> {
        self.news = false;
        if self.panicked {
            return Err(io::Error::other("the decompressor panicked"));
        }
        loop {
            if let Some(block) = self.ready.pop_front() {
                self.advance();
                return Ok(Polled::Block(block));
            }
            if let Some(over) = &self.over {
                return over.clone().map(|()| Polled::End).map_err(io::Error::from);
            }
            if self.recovering.is_some() && !self.recover() {
                return Ok(Polled::Blocked);
            }
            match self.slots.pop_front() {
                Some(Slot::Done(batch)) => {
                    self.first += 1;
                    self.take_batch(batch);
                    continue;
                }
                Some(slot) => {
                    self.slots.push_front(slot);
                    return Ok(Polled::Blocked);
                }
                None => {}
            }
            self.advance();
            if self.is_idle()
                && self.mode == Mode::Sequential
                && let Source::Failed(error) = &mut self.source
            {
                return Err(error
                    .take()
                    .unwrap_or_else(|| io::Error::other("the source has failed before")));
            }
            return Ok(Polled::Blocked);
        }
    }

    /// Takes input; none with [`More::Nothing`] is the end.
    pub(super) fn feed(&mut self, input: &[u8], more: More) {
        self.more = more;
        self.gathered.append(input);
        if input.is_empty() && more == More::Nothing {
            self.source = Source::Ended;
        }
        self.fed();
    }

    /// The source gives no more.
    pub(super) fn fail(&mut self, error: io::Error) {
        self.more = More::Nothing;
        self.source = Source::Failed(Some(error));
        self.fed();
    }

    fn fed(&mut self) {
        self.advance();
        // If there is work it will tell the reader when done.
        self.news |= self.started == 0
            || self.is_idle()
            || self.reader_decodes && matches!(self.sequential, Decoding::Waiting(_));
    }

    fn is_idle(&self) -> bool {
        self.slots.is_empty() && matches!(self.sequential, Decoding::Idle(_))
    }

    /// Whether input would be of use.
    pub(super) fn wants_input(&self) -> bool {
        self.gathered.bytes().len() < AHEAD && self.takes_input() || self.is_starving()
    }

    /// Whether input is wanted so much that who reads the source should be woken.
    pub(super) fn needs_input(&self) -> bool {
        self.gathered.bytes().len() < AHEAD / 2 && self.takes_input() || self.is_starving()
    }

    fn takes_input(&self) -> bool {
        matches!(self.source, Source::Open)
    }

    fn is_starving(&self) -> bool {
        self.takes_input() && self.starving && self.mode == Mode::Batches
    }

    /// How many threads could work.
    pub(super) fn jobs(&self) -> usize {
        let piece = !self.reader_decodes && matches!(self.sequential, Decoding::Waiting(_));
        self.jobs.len() + usize::from(piece)
    }

    /// Something to do for a worker, or for the thread that reads.
    pub(super) fn next_job(&mut self, reader: bool) -> Option<Job> {
        let alone = reader && self.started == 0;
        if (!reader || alone)
            && let Some(number) = self.jobs.pop_front()
            && let Some(slot) = self.slots.get_mut((number - self.first) as usize)
            && let Slot::Waiting(batch) = std::mem::replace(slot, Slot::Running)
        {
            return Some(Job::Batch(number, batch));
        }
        if reader != self.reader_decodes && !alone {
            return None;
        }
        match std::mem::replace(&mut self.sequential, Decoding::Running) {
            Decoding::Waiting(piece) => Some(Job::Piece(piece)),
            other => {
                self.sequential = other;
                None
            }
        }
    }

    /// A batch has been decoded.
    pub(super) fn batch_done(&mut self, number: u64, batch: Batch) {
        let place = (number - self.first) as usize;
        // Only slots that are done are taken away, so it is there.
        if let Some(slot) = self.slots.get_mut(place) {
            *slot = Slot::Done(batch);
        }
        self.news |= place == 0 || self.recovering.is_some();
    }

    /// The sequential decoder made a step.
    pub(super) fn piece_done(&mut self, mut piece: Box<Piece>, step: Step) {
        let block = Block {
            data: std::mem::take(&mut piece.output),
            len: step.produced,
        };
        if block.len > 0 {
            self.ready.push_back(block);
        } else {
            self.keep(block.data);
        }
        piece.at += step.consumed;
        piece.resume = false;
        match step.outcome {
            Ok(Outcome::NeedInput) => {}
            Ok(Outcome::OutputFull) => piece.resume = true,
            Ok(Outcome::MemberEnd) if self.distrust => piece.resume = true,
            Ok(Outcome::MemberEnd) => {
                self.gathered.put_back(&piece.input[piece.at..]);
                piece.at = piece.input.len();
                self.planned = piece.decoder.position();
                self.mode = Mode::Batches;
            }
            Ok(Outcome::End) => {
                self.garbage = piece.decoder.garbage();
                self.over = Some(Ok(()));
            }
            Err(error) => self.over = Some(Err(error)),
        }
        self.sequential = Decoding::Idle(piece);
        self.advance();
        self.news |= !self.ready.is_empty() || self.over.is_some() || self.is_idle();
    }

    /// Makes work of what there is, as much as may be under way.
    fn advance(&mut self) {
        if self.over.is_some() {
            return;
        }
        self.plan();
        if self.mode == Mode::Sequential
            && self.slots.is_empty()
            && self.recovering.is_none()
            && self.ready.len() < self.max_slots
        {
            self.submit();
        }
    }

    /// Sends out batches.
    fn plan(&mut self) {
        self.starving = false;
        while self.mode == Mode::Batches
            && self.recovering.is_none()
            && self.slots.len() < self.max_slots
        {
            let spans = match self.splitter.plan(self.gathered.bytes(), self.more) {
                Plan::Batch(spans) => spans,
                Plan::NeedInput => {
                    self.starving = true;
                    return;
                }
                Plan::Sequential => {
                    self.mode = Mode::Sequential;
                    return;
                }
            };
            let (input, output) = Batch::claimed(&spans);
            let planned = (
                self.planned.0 + input as u64,
                self.planned.1 + output as u64,
            );
            // The sequential decoder knows exactly where a limit is met.
            if !self.limits.allow(planned.0, planned.1) {
                self.mode = Mode::Sequential;
                return;
            }
            self.planned = planned;
            let mut batch = Batch {
                input: Vec::new(),
                spans,
                output: self.spare.pop().unwrap_or_default(),
                good: 0,
            };
            self.gathered.cut(input, &mut batch.input);
            self.jobs.push_back(self.first + self.slots.len() as u64);
            self.slots.push_back(Slot::Waiting(batch));
        }
    }

    /// Gives the sequential decoder something to do, if there is anything.
    fn submit(&mut self) {
        let Decoding::Idle(piece) = &mut self.sequential else {
            return;
        };
        if piece.at == piece.input.len() && !piece.resume {
            piece.at = 0;
            self.gathered.cut(PIECE_INPUT, &mut piece.input);
            if piece.input.is_empty() && !matches!(self.source, Source::Ended) {
                return;
            }
        }
        piece.eof = matches!(self.source, Source::Ended) && self.gathered.bytes().is_empty();
        piece.output = self.spare.pop().unwrap_or_default();
        if let Decoding::Idle(piece) = std::mem::replace(&mut self.sequential, Decoding::Running) {
            self.sequential = Decoding::Waiting(piece);
        }
    }

    /// Makes what a batch gave ready. If that is not all it claimed, the rest and all after it are taken back.
    fn take_batch(&mut self, mut batch: Batch) {
        let (input, output) = batch.decoded();
        if let Decoding::Idle(piece) = &mut self.sequential {
            piece.decoder.skip(batch.good, input, output);
        }
        if !batch.is_good() {
            batch.input.drain(..input);
            self.recovering = Some(batch.input);
            self.distrust = true;
            self.jobs.clear();
        }
        if output > 0 {
            self.ready.push_back(Block {
                data: batch.output,
                len: output,
            });
        } else {
            self.keep(batch.output);
        }
    }

    /// Makes the batches under way input again; false if some are still being decoded.
    fn recover(&mut self) -> bool {
        if self.slots.iter().any(|slot| matches!(slot, Slot::Running)) {
            return false;
        }
        if let Some(mut input) = self.recovering.take() {
            self.first += self.slots.len() as u64;
            for slot in self.slots.drain(..) {
                if let Slot::Waiting(batch) | Slot::Done(batch) = slot {
                    input.extend_from_slice(&batch.input);
                }
            }
            self.gathered.put_back(&input);
            self.mode = Mode::Sequential;
        }
        true
    }

    /// Keeps a buffer for later.
    pub(super) fn keep(&mut self, data: Vec<u8>) {
        if data.capacity() > 0 && self.spare.len() <= self.max_slots {
            self.spare.push(data);
        }
    }
}

impl Piece {
    fn new(decoder: Sequential) -> Self {
        Self {
            decoder,
            input: Vec::new(),
            at: 0,
            resume: false,
            eof: false,
            output: Vec::new(),
        }
    }

    pub(super) fn run(&mut self) -> Step {
        if self.output.len() < PIECE_OUTPUT {
            self.output.resize(PIECE_OUTPUT, 0);
        }
        self.decoder.decode(
            &self.input[self.at..],
            &mut self.output[..PIECE_OUTPUT],
            self.eof,
        )
    }
}
