//! Sessions of version 1, frame by frame.

use bytes::BytesMut;

use crate::mux::{
    Batch, Dialect, Limits, OpenError, Overflow, ProtocolError, Read, Role, Session, StreamError,
};

/// Everything a session has to send.
pub(super) fn sent(session: &mut Session) -> Vec<u8> {
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

pub(super) fn receive(session: &mut Session, bytes: &[u8]) -> Result<(), ProtocolError> {
    session.receive(&mut BytesMut::from(bytes))
}

pub(super) fn read_all(session: &mut Session, id: u32) -> (Vec<u8>, Result<Read, StreamError>) {
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
