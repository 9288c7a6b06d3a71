//! Two sessions and a wire that cuts anywhere, against a model, in both dialects.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::v1::{read_all, receive, sent};
use crate::mux::{Dialect, Limits, Read, Role, Session, StreamError};

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
    /// Only in the mux.
    Abort {
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
        1 => at().prop_map(|(end, stream)| Op::Abort { end, stream }),
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
    dialect: Dialect,
    ends: [Session; 2],
    /// Bytes on their way to each end.
    wire: [Vec<u8>; 2],
    held: [Vec<u32>; 2],
    sides: [HashMap<u32, Side>; 2],
    broken: HashSet<u32>,
    dropped: [HashSet<u32>; 2],
}

impl World {
    fn new(dialect: Dialect) -> Self {
        let limits = Limits {
            stream_limit: 4000,
            session_limit: 9000,
            stream_send_limit: 2000,
            session_send_limit: 5000,
            quantum: 700,
            max_window: 4000,
            window_growth: 6000,
            ..Limits::default()
        };
        let mut ends = [
            Session::new(dialect, Role::Dialer, limits.clone()),
            Session::new(dialect, Role::Listener, limits),
        ];
        ends[0].set_window(1000);
        ends[1].set_window(1000);
        Self {
            dialect,
            ends,
            wire: Default::default(),
            held: Default::default(),
            sides: Default::default(),
            broken: HashSet::new(),
            dropped: Default::default(),
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
        match self.ends[end].read(id) {
            Ok(Read::Data(data)) => side.read.extend_from_slice(&data),
            Ok(Read::End) => side.saw_end = true,
            Ok(Read::Blocked) => {}
            Err(StreamError::Reset | StreamError::PeerReset(_)) if self.broken.contains(&id) => {}
            Err(error) => panic!("stream {id}: {error}"),
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
                    Err(StreamError::Finished) => assert!(side.finished),
                    Err(StreamError::Stopped) => {
                        assert!(self.dialect == Dialect::Mux && self.dropped[1 - end].contains(&id))
                    }
                    Err(StreamError::Reset | StreamError::PeerReset(_)) => {
                        assert!(self.broken.contains(&id))
                    }
                    Err(error) => panic!("stream {id}: {error}"),
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
                    self.dropped[end].insert(id);
                    self.sides[end].get_mut(&id).unwrap().finished = true;
                }
            }
            Op::Abort { end, stream } => {
                if let Some(id) = self.pick(end, stream)
                    && self.dialect == Dialect::Mux
                {
                    self.ends[end].abort(id, "enough");
                    self.broken.insert(id);
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
            let most = match self.dialect {
                Dialect::V1 => 9000 + 5000,
                Dialect::Mux => self.ends[end].stream_count() * 1000 + 6000,
            };
            assert!(self.ends[end].unread() <= most);
        }
    }
}

proptest! {
    #[test]
    fn any_run_delivers_everything_in_order_and_leaves_nothing(
        ops in prop::collection::vec(op(), 0..300),
        mux in any::<bool>(),
    ) {
        let mut world = World::new(if mux { Dialect::Mux } else { Dialect::V1 });
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
                if !world.broken.contains(&id) {
                    prop_assert_eq!(world.sides[end][&id].saw_end, other_finished);
                }
                world.ends[end].release(id);
            }
            world.carry(end, usize::MAX);
        }
        for end in [0, 1, 0, 1] {
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
            any::<u8>(), Just(0), Just(0), Just(0), Just(1), Just(b'W'), Just(b'N'), Just(b'C'),
            Just(b'E'), Just(b'S'), Just(b'R'), Just(b'A'), Just(b'B'), Just(b'P'), Just(b'G'),
        ], 0..600),
        listens in any::<bool>(),
        mux in any::<bool>(),
    ) {
        let dialect = if mux { Dialect::Mux } else { Dialect::V1 };
        let role = if listens { Role::Listener } else { Role::Dialer };
        let mut session = Session::new(dialect, role, Limits::default());
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
