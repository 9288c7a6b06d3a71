//! Two sessions and a wire that cuts anywhere, against a model.

use std::collections::HashMap;

use bytes::BytesMut;
use proptest::prelude::*;

use super::{
    Batch, Dialect, Limits, OpenError, Overflow, ProtocolError, Read, Role, Session, StreamError,
};

/// Everything a session has to send.
fn sent(session: &mut Session) -> Vec<u8> {
    let mut bytes = Vec::new();
    while session.has_output() {
        let mut batch = Batch::new();
        session.transmit(&mut batch);
        while !batch.is_empty() {
            let mut slots = Batch::slots();
            let n: usize = batch
                .slices(&mut slots)
                .iter()
                .map(|slice| {
                    bytes.extend_from_slice(slice);
                    slice.len()
                })
                .sum();
            batch.advance(n);
        }
    }
    bytes
}

fn receive(session: &mut Session, bytes: &[u8]) -> Result<(), ProtocolError> {
    session.receive(&mut BytesMut::from(bytes))
}

fn read_all(session: &mut Session, id: u32) -> (Vec<u8>, Result<Read, StreamError>) {
    let mut all = Vec::new();
    loop {
        match session.read(id) {
            Ok(Read::Data(data)) => all.extend_from_slice(&data),
            other => return (all, other),
        }
    }
}

fn dialer() -> Session {
    Session::new(Dialect::V1, Role::Dialer, Limits::default())
}

fn listener(limits: Limits) -> Session {
    Session::new(Dialect::V1, Role::Listener, limits)
}

#[test]
fn dialer_transcript_of_the_original() {
    let mut session = dialer();
    let one = session.open().unwrap();
    let mut out = sent(&mut session);
    session.release(one);
    out.extend(sent(&mut session));
    let two = session.open().unwrap();
    assert_eq!((one, two, session.stream_count()), (1, 2, 1));
    session.write(two, b"hello, world").unwrap();
    out.extend(sent(&mut session));
    assert_eq!(
        out,
        b"N\0\0\0\x01\0\0C\0\0\0\x01\0\0N\0\0\0\x02\0\0W\0\0\0\x02\0\x0chello, world"
    );

    let input = b"W\0\0\0\x02\0\x01bW\0\0\0\x01\0\x04dataW\0\0\0\x02\0\x02arC\0\0\0\x02\0\0";
    receive(&mut session, input).unwrap();
    assert_eq!(
        read_all(&mut session, two),
        (b"bar".to_vec(), Ok(Read::End))
    );
}

#[test]
fn listener_transcript_of_the_original() {
    let mut session = listener(Limits::default());
    let input = b"N\0\0\0\x42\0\0W\0\0\0\x42\0\x03fooW\0\0\0\x42\0\x03barC\0\0\0\x42\0\0";
    receive(&mut session, input).unwrap();
    let id = session.accept().unwrap();
    assert_eq!(id, 0x42);
    assert_eq!(
        read_all(&mut session, id),
        (b"foobar".to_vec(), Ok(Read::End))
    );
    session.refuse_streams();
    let mut out = Vec::new();
    for text in [b"first write".as_slice(), b"second write"] {
        session.write(id, text).unwrap();
        out.extend(sent(&mut session));
    }
    session.release(id);
    out.extend(sent(&mut session));
    let expected =
        b"W\0\0\0\x42\0\x0bfirst writeW\0\0\0\x42\0\x0csecond writeC\0\0\0\x42\0\0".as_slice();
    assert_eq!(out, expected);
    assert_eq!(session.stream_count(), 0);
}

#[test]
fn a_write_of_65536_bytes_is_split_like_the_original_splits_it() {
    let mut session = dialer();
    let id = session.open().unwrap();
    sent(&mut session);
    assert_eq!(session.write(id, b""), Ok(0));
    assert_eq!(sent(&mut session), b"", "an empty write sends nothing");
    session.write(id, &[7; 65_536]).unwrap();
    let out = sent(&mut session);
    assert_eq!(out.len(), 65_550);
    assert_eq!(out[..7], *b"W\0\0\0\x01\xff\xff");
    assert_eq!(out[65_542..], *b"W\0\0\0\x01\0\x01\x07");
}

#[test]
fn odd_frames_are_skipped() {
    let mut session = listener(Limits::default());
    let input = b"?\0\0\0\x01\0\x03xyzN\0\0\0\0\0\x02abW\0\0\0\0\0\0W\0\0\0\x09\0\x01zC\0\0\0\x09\0\0W\0\0\0\0\0\x02okC\0\0\0\0\0\x01!C\0\0\0\0\0\0";
    receive(&mut session, input).unwrap();
    assert_eq!(session.accept(), Some(0), "id 0 is legal");
    assert_eq!(read_all(&mut session, 0), (b"ok".to_vec(), Ok(Read::End)));
    assert_eq!(session.receive_end(), Ok(()));
}

#[test]
fn data_after_the_end_still_counts_until_the_end_was_seen() {
    let mut session = dialer();
    let id = session.open().unwrap();
    receive(&mut session, b"C\0\0\0\x01\0\0W\0\0\0\x01\0\x02hi").unwrap();
    assert_eq!(read_all(&mut session, id), (b"hi".to_vec(), Ok(Read::End)));
    receive(&mut session, b"W\0\0\0\x01\0\x02hi").unwrap();
    assert_eq!(session.read(id), Ok(Read::End));
}

#[test]
fn protocol_errors_end_the_session() {
    let new = b"N\0\0\0\x01\0\0";
    assert_eq!(
        receive(&mut dialer(), new),
        Err(ProtocolError::NewFromListener(1))
    );
    let mut session = listener(Limits::default());
    receive(&mut session, new).unwrap();
    assert_eq!(
        receive(&mut session, new),
        Err(ProtocolError::DuplicateStream(1))
    );
    for cut in [b"W\0\0".as_slice(), b"W\0\0\0\x01\0\x05ab"] {
        let mut session = listener(Limits::default());
        receive(&mut session, cut).unwrap();
        assert_eq!(session.receive_end(), Err(ProtocolError::Cut));
    }
}

#[test]
fn a_full_accept_queue_refuses_without_stopping_anyone() {
    let mut session = listener(Limits {
        accept_backlog: 2,
        ..Limits::default()
    });
    for id in 1..=4 {
        receive(&mut session, &[b'N', 0, 0, 0, id, 0, 0]).unwrap();
    }
    receive(&mut session, b"W\0\0\0\x03\0\x02noW\0\0\0\x01\0\x03yes").unwrap();
    assert_eq!(sent(&mut session), b"C\0\0\0\x03\0\0C\0\0\0\x04\0\0");
    assert_eq!(session.accept(), Some(1));
    assert_eq!(read_all(&mut session, 1).0, b"yes");
    receive(&mut session, b"N\0\0\0\x05\0\0").unwrap();
    assert_eq!((session.accept(), session.accept()), (Some(2), Some(5)));
}

#[test]
fn a_flood_of_streams_is_stopped() {
    let mut session = listener(Limits::default());
    let mut flood = || {
        (0_u32..).find_map(|n| {
            let [a, b, c, d] = n.to_be_bytes();
            receive(&mut session, &[b'N', a, b, c, d, 0, 0])
                .err()
                .map(|error| (n, error))
        })
    };
    assert_eq!(flood(), Some((65_536 + 128, ProtocolError::Flood)));
}

#[test]
fn ids_skip_what_is_in_use_after_the_wrap() {
    let mut session = dialer();
    let one = session.open().unwrap();
    let closed_by_us = session.open().unwrap();
    session.release(closed_by_us);
    let closed_by_both = session.open().unwrap();
    receive(&mut session, b"C\0\0\0\x03\0\0").unwrap();
    session.release(closed_by_both);
    sent(&mut session);
    session.set_next_id(u32::MAX);
    let ids: Vec<_> = (0..4).map(|_| session.open().unwrap()).collect();
    assert_eq!(one, 1);
    assert_eq!(
        ids,
        [u32::MAX, 0, 3, 4],
        "1 lives, 2 was not closed by the peer"
    );
    receive(&mut session, b"C\0\0\0\x02\0\0").unwrap();
    session.set_next_id(1);
    assert_eq!(session.open(), Ok(2));
}

#[test]
fn too_many_streams() {
    let mut session = Session::new(
        Dialect::V1,
        Role::Dialer,
        Limits {
            max_streams: 1,
            ..Limits::default()
        },
    );
    let id = session.open().unwrap();
    assert_eq!(session.open(), Err(OpenError::TooMany(1)));
    session.release(id);
    sent(&mut session);
    session.open().unwrap();
}

fn two_streams(overflow: Overflow) -> Session {
    let mut session = listener(Limits {
        stream_limit: 100,
        session_limit: 250,
        overflow,
        ..Limits::default()
    });
    for id in 1..=4 {
        receive(&mut session, &[b'N', 0, 0, 0, id, 0, 0]).unwrap();
        session.accept().unwrap();
    }
    session
}

fn data(id: u8, len: u8) -> Vec<u8> {
    let mut frame = vec![b'W', 0, 0, 0, id, 0, len];
    frame.resize(7 + usize::from(len), b'x');
    frame
}

#[test]
fn pausing_waits_for_the_reader_first_and_then_only_for_the_session() {
    let mut session = two_streams(Overflow::PauseSession);
    receive(&mut session, &data(1, 100)).unwrap();
    assert!(!session.wants_input());
    session.overlook();
    assert!(session.wants_input(), "its reader had its chance");
    receive(&mut session, &data(1, 100)).unwrap();
    assert!(session.wants_input(), "not asked again");
    receive(&mut session, &data(2, 60)).unwrap();
    assert!(!session.wants_input(), "the session is full");
    session.overlook();
    assert!(!session.wants_input());
    assert_eq!(read_all(&mut session, 1).0.len(), 200);
    assert!(session.wants_input());
    receive(&mut session, &data(1, 100)).unwrap();
    assert!(!session.wants_input(), "it has caught up and counts again");
    session.release(1);
    assert!(session.wants_input());
    assert_eq!(session.unread(), 60);
}

#[test]
fn resetting_closes_the_greedy_stream_only() {
    let mut session = two_streams(Overflow::ResetStream);
    receive(&mut session, &data(1, 100)).unwrap();
    assert_eq!(sent(&mut session), b"C\0\0\0\x01\0\0");
    assert_eq!(session.read(1), Err(StreamError::Reset));
    assert_eq!(session.write(1, b"x"), Err(StreamError::Reset));
    for id in 2..=4 {
        receive(&mut session, &data(id, 81 + id)).unwrap();
    }
    assert_eq!(session.read(4), Err(StreamError::Reset), "the fullest");
    assert_eq!(session.unread(), 83 + 84);
    receive(&mut session, &data(1, 50)).unwrap();
    assert_eq!(session.unread(), 83 + 84, "what it still gets is discarded");
    assert!(session.wants_input());
}

#[test]
fn unbounded_takes_everything() {
    let mut session = two_streams(Overflow::Unbounded);
    for _ in 0..100 {
        receive(&mut session, &data(1, 200)).unwrap();
    }
    assert!(session.wants_input());
    assert_eq!(read_all(&mut session, 1).0.len(), 20_000);
}

#[test]
fn streams_take_turns() {
    let mut session = Session::new(
        Dialect::V1,
        Role::Dialer,
        Limits {
            quantum: 10,
            ..Limits::default()
        },
    );
    for _ in 0..3 {
        let id = session.open().unwrap();
        session.write(id, &[b'x'; 20]).unwrap();
    }
    let out = sent(&mut session);
    let order: Vec<_> = out
        .windows(7)
        .filter(|w| w[0] == b'W')
        .map(|w| (w[4], w[6]))
        .collect();
    assert_eq!(
        order,
        [(1, 10), (2, 10), (3, 10), (1, 10), (2, 10), (3, 10)]
    );
}

#[test]
fn the_end_of_the_session_is_no_end_of_a_stream() {
    let mut session = dialer();
    let (whole, torn) = (session.open().unwrap(), session.open().unwrap());
    receive(
        &mut session,
        b"W\0\0\0\x01\0\x01aC\0\0\0\x01\0\0W\0\0\0\x02\0\x01b",
    )
    .unwrap();
    session.end();
    assert_eq!(
        read_all(&mut session, whole),
        (b"a".to_vec(), Ok(Read::End))
    );
    let end = Err(StreamError::SessionEnded);
    assert_eq!(read_all(&mut session, torn), (b"b".to_vec(), end));
    assert_eq!(session.write(torn, b"x"), Err(StreamError::SessionEnded));
    assert_eq!(session.open(), Err(OpenError::Ended));
    session.release(whole);
    session.release(torn);
    assert_eq!(session.stream_count(), 0);
}

#[derive(Debug, Clone)]
enum Op {
    Open,
    Write {
        end: usize,
        stream: usize,
        len: usize,
    },
    Read {
        end: usize,
        stream: usize,
    },
    Finish {
        end: usize,
        stream: usize,
    },
    Drop {
        end: usize,
        stream: usize,
    },
    Carry {
        to: usize,
        len: usize,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let at = || (0..2_usize, 0..8_usize);
    prop_oneof![
        1 => Just(Op::Open),
        4 => (at(), 0..3000_usize).prop_map(|((end, stream), len)| Op::Write { end, stream, len }),
        4 => at().prop_map(|(end, stream)| Op::Read { end, stream }),
        1 => at().prop_map(|(end, stream)| Op::Finish { end, stream }),
        1 => at().prop_map(|(end, stream)| Op::Drop { end, stream }),
        8 => (0..2_usize, 0..5000_usize).prop_map(|(to, len)| Op::Carry { to, len }),
    ]
}

/// What one end knows of one stream.
#[derive(Default)]
struct Side {
    written: Vec<u8>,
    read: Vec<u8>,
    finished: bool,
    saw_end: bool,
}

struct World {
    ends: [Session; 2],
    /// Bytes on their way to each end.
    wire: [Vec<u8>; 2],
    held: [Vec<u32>; 2],
    sides: [HashMap<u32, Side>; 2],
}

impl World {
    fn new() -> Self {
        let limits = Limits {
            stream_limit: 4000,
            session_limit: 9000,
            stream_send_limit: 2000,
            session_send_limit: 5000,
            quantum: 700,
            ..Limits::default()
        };
        Self {
            ends: [
                Session::new(Dialect::V1, Role::Dialer, limits.clone()),
                Session::new(Dialect::V1, Role::Listener, limits),
            ],
            wire: Default::default(),
            held: Default::default(),
            sides: Default::default(),
        }
    }

    fn pick(&self, end: usize, stream: usize) -> Option<u32> {
        let held = &self.held[end];
        (!held.is_empty()).then(|| held[stream % held.len()])
    }

    fn add(&mut self, end: usize, id: u32) {
        self.held[end].push(id);
        self.sides[end].insert(id, Side::default());
    }

    fn read(&mut self, end: usize, id: u32) {
        let side = self.sides[end].get_mut(&id).unwrap();
        match self.ends[end].read(id).unwrap() {
            Read::Data(data) => side.read.extend_from_slice(&data),
            Read::End => side.saw_end = true,
            Read::Blocked => {}
        }
    }

    fn carry(&mut self, to: usize, len: usize) {
        let out = sent(&mut self.ends[1 - to]);
        self.wire[to].extend(out);
        if self.ends[to].wants_input() {
            let len = len.min(self.wire[to].len());
            let now: Vec<u8> = self.wire[to].drain(..len).collect();
            receive(&mut self.ends[to], &now).unwrap();
        }
        while let Some(id) = self.ends[1].accept() {
            self.add(1, id);
        }
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Open => {
                let id = self.ends[0].open().unwrap();
                self.add(0, id);
            }
            Op::Write { end, stream, len } => {
                let Some(id) = self.pick(end, stream) else {
                    return;
                };
                let side = self.sides[end].get_mut(&id).unwrap();
                let from = side.written.len();
                let bytes: Vec<u8> = (from..from + len)
                    .map(|n| (n % 251) as u8 ^ id as u8)
                    .collect();
                match self.ends[end].write(id, &bytes) {
                    Ok(taken) => side.written.extend_from_slice(&bytes[..taken]),
                    Err(error) => assert!(side.finished && error == StreamError::Finished),
                }
            }
            Op::Read { end, stream } => {
                if let Some(id) = self.pick(end, stream) {
                    self.read(end, id);
                }
            }
            Op::Finish { end, stream } => {
                if let Some(id) = self.pick(end, stream) {
                    self.ends[end].finish(id);
                    self.sides[end].get_mut(&id).unwrap().finished = true;
                }
            }
            Op::Drop { end, stream } => {
                if let Some(id) = self.pick(end, stream) {
                    self.ends[end].release(id);
                    self.held[end].retain(|held| *held != id);
                    self.sides[end].get_mut(&id).unwrap().finished = true;
                }
            }
            Op::Carry { to, len } => self.carry(to, len),
        }
    }

    /// What was read is a beginning of what the other end wrote, and the end is seen only after
    /// everything.
    fn check(&self) {
        for end in 0..2 {
            for (id, side) in &self.sides[end] {
                let empty = Side::default();
                let other = self.sides[1 - end].get(id).unwrap_or(&empty);
                assert!(other.written.starts_with(&side.read), "stream {id}");
                if side.saw_end {
                    assert!(other.finished);
                    assert_eq!(side.read.len(), other.written.len(), "stream {id}");
                }
            }
            assert!(self.ends[end].unsent() <= 5000);
            assert!(self.ends[end].unread() <= 9000 + 5000);
        }
    }
}

proptest! {
    #[test]
    fn any_run_delivers_everything_in_order_and_leaves_nothing(
        ops in prop::collection::vec(op(), 0..300),
    ) {
        let mut world = World::new();
        for op in ops {
            world.run(op);
            world.check();
        }
        for end in 0..2 {
            for id in world.held[end].clone() {
                world.ends[end].finish(id);
                world.sides[end].get_mut(&id).unwrap().finished = true;
            }
        }
        // More rounds than bytes can need.
        for _ in 0..200 {
            for end in 0..2 {
                world.carry(end, usize::MAX);
                for id in world.held[end].clone() {
                    world.read(end, id);
                }
            }
        }
        world.check();
        for end in 0..2 {
            for id in world.held[end].clone() {
                let other_finished = world.sides[1 - end].get(&id).is_some_and(|s| s.finished);
                prop_assert_eq!(world.sides[end][&id].saw_end, other_finished);
                world.ends[end].release(id);
            }
            world.carry(end, usize::MAX);
        }
        for end in &mut world.ends {
            sent(end);
            prop_assert_eq!((end.stream_count(), end.unread(), end.unsent()), (0, 0, 0));
        }
    }

    #[test]
    fn no_bytes_break_a_session(
        bytes in prop::collection::vec(prop_oneof![
            any::<u8>(), Just(0), Just(0), Just(b'W'), Just(b'N'), Just(b'C'), Just(3),
        ], 0..600),
        listens in any::<bool>(),
    ) {
        let mut session = if listens { listener(Limits::default()) } else { dialer() };
        if !listens {
            session.open().unwrap();
        }
        for chunk in bytes.chunks(50) {
            if receive(&mut session, chunk).is_err() {
                break;
            }
            while let Some(id) = session.accept() {
                let _ = read_all(&mut session, id);
                if id % 2 == 0 {
                    session.release(id);
                }
            }
            sent(&mut session);
        }
    }
}
