//! Sessions of the mux, frame by frame.

use proptest::prelude::*;

use super::v1::{read_all, receive, sent};
use crate::mux::{
    Dialect, Event, Goodbye, GoodbyeCode, INITIAL_WINDOW, Limits, OpenError, ProtocolError, Read,
    Reset, ResetCode, Role, Session, StreamError,
};

fn dialer() -> Session {
    Session::new(Dialect::Mux, Role::Dialer, Limits::default())
}

fn listener() -> Session {
    Session::new(Dialect::Mux, Role::Listener, Limits::default())
}

/// A listener with stream 1 accepted.
fn accepted() -> Session {
    let mut session = listener();
    receive(&mut session, b"N\0\0\0\x01\0\0").unwrap();
    assert_eq!(session.accept(), Some(1));
    session
}

/// A dialer with stream 1 opened.
fn opened() -> Session {
    let mut session = dialer();
    assert_eq!(session.open(), Ok(1));
    assert_eq!(sent(&mut session), b"N\0\0\0\x01\0\0");
    session
}

fn data(id: u8, len: u16) -> Vec<u8> {
    let [a, b] = len.to_be_bytes();
    let mut frame = vec![b'W', 0, 0, 0, id, a, b];
    frame.resize(7 + usize::from(len), b'x');
    frame
}

/// As much data as a stream may get at first.
fn window(id: u8) -> Vec<u8> {
    let mut all = Vec::new();
    for _ in 0..8 {
        all.extend(data(id, 32 * 1024));
    }
    assert_eq!(all.len(), INITIAL_WINDOW + 8 * 7);
    all
}

#[test]
fn transcript_of_a_dialer() {
    let mut session = dialer();
    session.ping(7);
    let one = session.open().unwrap();
    session.write(one, b"ask").unwrap();
    session.finish(one);
    assert_eq!(
        sent(&mut session),
        b"P\0\0\0\0\0\x08\0\0\0\0\0\0\0\x07\
          N\0\0\0\x01\0\0W\0\0\0\x01\0\x03askE\0\0\0\x01\0\0"
    );
    let two = session.open().unwrap();
    session.write(two, b"x").unwrap();
    session.release(two);
    assert_eq!(
        sent(&mut session),
        b"N\0\0\0\x02\0\0W\0\0\0\x02\0\x01xC\0\0\0\x02\0\0"
    );
    let three = session.open().unwrap();
    sent(&mut session);
    session.release(three);
    assert_eq!(sent(&mut session), b"C\0\0\0\x03\0\0");
    let four = session.open().unwrap();
    session.abort(four, "no");
    assert_eq!(
        sent(&mut session),
        b"N\0\0\0\x04\0\0R\0\0\0\x04\0\x03\x03no"
    );
    session.go_away(GoodbyeCode::Drain, "bye");
    assert_eq!(sent(&mut session), b"G\0\0\0\0\0\x04\0bye");

    receive(&mut session, b"W\0\0\0\x01\0\x02okC\0\0\0\x01\0\0").unwrap();
    assert_eq!(read_all(&mut session, one), (b"ok".to_vec(), Ok(Read::End)));
    session.release(one);
    session.release(four);
    assert_eq!(sent(&mut session), b"");
    assert_eq!(session.stream_count(), 0);
}

#[test]
fn transcript_of_a_listener() {
    let mut session = listener();
    let input =
        b"P\0\0\0\0\0\x08\0\0\0\0\0\0\x01\x02N\0\0\0\x01\0\0W\0\0\0\x01\0\x03askE\0\0\0\x01\0\0";
    receive(&mut session, input).unwrap();
    assert_eq!(sent(&mut session), b"Q\0\0\0\0\0\x08\0\0\0\0\0\0\x01\x02");
    let id = session.accept().unwrap();
    assert_eq!(read_all(&mut session, id), (b"ask".to_vec(), Ok(Read::End)));
    session.write(id, b"answer").unwrap();
    session.release(id);
    assert_eq!(
        sent(&mut session),
        b"W\0\0\0\x01\0\x06answerE\0\0\0\x01\0\0"
    );
    assert_eq!(session.stream_count(), 0);
}

#[test]
fn pings_are_answered_once_each_and_only_the_newest_if_they_pile_up() {
    let mut session = dialer();
    for n in 1..=3 {
        receive(
            &mut session,
            &[b'P', 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, n],
        )
        .unwrap();
    }
    assert_eq!(sent(&mut session), b"Q\0\0\0\0\0\x08\0\0\0\0\0\0\0\x03");
    assert!(!session.has_output());
    receive(&mut session, b"Q\0\0\0\0\0\x08\0\0\0\0\0\0\0\x09").unwrap();
    assert_eq!(session.take_pong(), Some(9));
    assert_eq!(session.take_pong(), None);
}

#[test]
fn a_writer_stops_at_its_allowance_says_so_once_and_goes_on_with_the_next() {
    let mut session = opened();
    let limits = Limits::default();
    let mut taken = 0;
    loop {
        let n = session.write(1, &[0; 10_000]).unwrap();
        if n == 0 {
            break;
        }
        taken += n;
        assert!(session.unsent() <= limits.stream_send_limit);
        sent(&mut session);
    }
    assert_eq!(taken, INITIAL_WINDOW);
    assert_eq!(sent(&mut session), b"B\0\0\0\x01\0\0");
    assert_eq!(session.write(1, b"x"), Ok(0));
    assert_eq!(session.bypass(1, 1), Ok(0));
    assert!(!session.has_output());
    while session.next_event().is_some() {}
    receive(&mut session, b"A\0\0\0\x01\0\x04\0\0\0\x02").unwrap();
    assert_eq!(session.next_event(), Some(Event::Writable(1)));
    assert_eq!(session.write(1, b"xyz"), Ok(2));
    assert_eq!(sent(&mut session), b"W\0\0\0\x01\0\x02xy");
    assert_eq!(session.write(1, b"z"), Ok(0));
    assert_eq!(sent(&mut session), b"B\0\0\0\x01\0\0");
}

#[test]
fn a_reader_grants_what_it_has_read_and_not_a_byte_more() {
    let mut session = accepted();
    receive(&mut session, &window(1)).unwrap();
    assert_eq!(session.unread(), INITIAL_WINDOW);
    assert!(session.wants_input(), "others may go on");
    let mut read = 0;
    while read < INITIAL_WINDOW / 2 {
        assert_eq!(sent(&mut session), b"");
        match session.read(1) {
            Ok(Read::Data(data)) => read += data.len(),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(sent(&mut session), b"", "lent, not worked off");
    assert_eq!(session.unread(), INITIAL_WINDOW / 2 + 32 * 1024);
    session.consumed(1);
    assert_eq!(session.unread(), INITIAL_WINDOW / 2);
    assert_eq!(sent(&mut session), b"A\0\0\0\x01\0\x04\0\x02\0\0");
    for _ in 0..4 {
        receive(&mut session, &data(1, 32 * 1024)).unwrap();
    }
    let over = receive(&mut session, &data(1, 1));
    assert_eq!(over, Err(ProtocolError::OverWindow(1)));
}

#[test]
fn windows_grow_only_where_the_reader_waits_for_a_starved_peer() {
    let mut session = accepted();
    // The peer is starved, and everything is read: the window doubles.
    receive(&mut session, &window(1)).unwrap();
    receive(&mut session, b"B\0\0\0\x01\0\0").unwrap();
    assert_eq!(read_all(&mut session, 1).0.len(), INITIAL_WINDOW);
    assert_eq!(sent(&mut session), b"A\0\0\0\x01\0\x04\0\x08\0\0");
    // The peer is starved, but the reader has something left until more comes: it does not.
    receive(&mut session, &window(1)).unwrap();
    receive(&mut session, &window(1)).unwrap();
    receive(&mut session, b"B\0\0\0\x01\0\0").unwrap();
    for _ in 0..9 {
        session.read(1).unwrap();
    }
    let allowed = sent(&mut session);
    assert_eq!(allowed, b"A\0\0\0\x01\0\x04\0\x04\0\0");
    receive(&mut session, &data(1, 1)).unwrap();
    assert_eq!(
        read_all(&mut session, 1).0.len(),
        INITIAL_WINDOW - 32 * 1024 + 1
    );
    let allowed = sent(&mut session);
    assert_eq!(allowed, b"A\0\0\0\x01\0\x04\0\x04\0\0", "no growth");
}

#[test]
fn windows_grow_within_the_bounds_and_give_back_what_they_took() {
    let limits = Limits {
        max_window: 4 * INITIAL_WINDOW,
        window_growth: 5 * INITIAL_WINDOW,
        ..Limits::default()
    };
    let mut session = Session::new(Dialect::Mux, Role::Listener, limits);
    for id in 1..=3 {
        receive(&mut session, &[b'N', 0, 0, 0, id, 0, 0]).unwrap();
        session.accept().unwrap();
    }
    let starve = |session: &mut Session, id: u8| -> usize {
        receive(session, &[b'B', 0, 0, 0, id, 0, 0]).unwrap();
        let out = sent(session);
        out.get(7..11)
            .map_or(0, |n| u32::from_be_bytes(n.try_into().unwrap()) as usize)
    };
    let steps: Vec<_> = [1, 1, 1, 2, 2, 3]
        .map(|id| starve(&mut session, id) / INITIAL_WINDOW)
        .into();
    assert_eq!(steps, [1, 2, 0, 1, 1, 0]);
    receive(&mut session, b"C\0\0\0\x01\0\0").unwrap();
    session.release(1);
    assert_eq!(starve(&mut session, 3) / INITIAL_WINDOW, 1);
}

#[test]
fn beyond_the_session_s_bound_the_fullest_stream_is_reset() {
    let limits = Limits {
        unread_limit: INITIAL_WINDOW + 50_000,
        ..Limits::default()
    };
    let mut session = Session::new(Dialect::Mux, Role::Listener, limits);
    for id in 1..=2 {
        receive(&mut session, &[b'N', 0, 0, 0, id, 0, 0]).unwrap();
        session.accept().unwrap();
    }
    receive(&mut session, &window(1)).unwrap();
    receive(&mut session, &data(2, 50_000)).unwrap();
    assert_eq!(sent(&mut session), b"");
    receive(&mut session, &data(2, 1)).unwrap();
    assert_eq!(session.unread(), 50_001);
    assert_eq!(session.read(1), Err(StreamError::Reset));
    assert_eq!(sent(&mut session), b"R\0\0\0\x01\0\x0f\x02nobody read it");
    assert_eq!(read_all(&mut session, 2).0.len(), 50_001);
    receive(&mut session, &data(1, 10)).unwrap();
    assert_eq!(session.unread(), 0, "what was under way is ignored");
    session.release(1);
    assert_eq!(session.stream_count(), 1);
}

#[test]
fn refusals_have_reasons() {
    let limits = Limits {
        accept_backlog: 1,
        ..Limits::default()
    };
    let mut session = Session::new(Dialect::Mux, Role::Listener, limits);
    receive(
        &mut session,
        b"N\0\0\0\x01\0\0N\0\0\0\x02\0\0W\0\0\0\x02\0\x01x",
    )
    .unwrap();
    let refusal = sent(&mut session);
    assert_eq!(
        refusal,
        b"R\0\0\0\x02\0\x25\x01too many streams wait to be accepted"
    );
    session.accept();
    session.refuse_streams();
    receive(&mut session, b"N\0\0\0\x03\0\0").unwrap();
    assert_eq!(
        sent(&mut session),
        b"R\0\0\0\x03\0\x21\x01no streams are accepted any more"
    );

    let mut session = opened();
    session.open().unwrap();
    receive(&mut session, b"").unwrap();
    sent(&mut session);
    receive(&mut session, &refusal).unwrap();
    let Err(StreamError::PeerReset(reset)) = session.read(2) else {
        panic!("that was a refusal");
    };
    assert_eq!(reset.code, ResetCode::Refused);
    assert_eq!(reset.reason, "too many streams wait to be accepted");
    assert_eq!(session.write(2, b"x"), Err(StreamError::PeerReset(reset)));
}

#[test]
fn after_a_reset_what_had_come_is_read_and_then_the_reason() {
    let mut session = opened();
    receive(&mut session, b"W\0\0\0\x01\0\x02hiR\0\0\0\x01\0\x04\x09out").unwrap();
    let reset = std::sync::Arc::new(Reset {
        code: ResetCode::Other(9),
        reason: "out".to_owned(),
    });
    let error = Err(StreamError::PeerReset(reset));
    assert_eq!(read_all(&mut session, 1), (b"hi".to_vec(), error));
    session.release(1);
    assert_eq!((session.stream_count(), sent(&mut session)), (0, vec![]));

    let mut session = opened();
    receive(&mut session, b"E\0\0\0\x01\0\0R\0\0\0\x01\0\x01\x03").unwrap();
    assert_eq!(session.read(1), Ok(Read::End), "the end came first");
}

#[test]
fn a_peer_that_reads_no_more_stops_the_writer_and_only_it() {
    let mut session = opened();
    session.write(1, b"lost").unwrap();
    receive(&mut session, b"S\0\0\0\x01\0\0W\0\0\0\x01\0\x02hi").unwrap();
    assert_eq!(session.unsent(), 0);
    assert_eq!(session.write(1, b"x"), Err(StreamError::Stopped));
    assert_eq!(
        read_all(&mut session, 1),
        (b"hi".to_vec(), Ok(Read::Blocked))
    );
    receive(&mut session, b"E\0\0\0\x01\0\0").unwrap();
    assert_eq!(session.read(1), Ok(Read::End));
    session.release(1);
    assert_eq!((session.stream_count(), sent(&mut session)), (0, vec![]));
}

#[test]
fn farewells() {
    let mut session = dialer();
    receive(&mut session, b"G\0\0\0\0\0\x05\0rest").unwrap();
    assert_eq!(session.next_event(), Some(Event::GoAway));
    let goodbye = Goodbye {
        code: GoodbyeCode::Drain,
        reason: "rest".to_owned(),
    };
    assert_eq!(session.goodbye(), Some(&goodbye));
    assert_eq!(session.open(), Err(OpenError::Ended));
    receive(&mut session, b"G\0\0\0\0\0\x01\x02").unwrap();
    assert_eq!(session.goodbye().unwrap().code, GoodbyeCode::Protocol);
}

#[test]
fn ids_wrap_without_zero_and_without_those_in_use() {
    let (mut near, mut far) = (dialer(), listener());
    let carry = |near: &mut Session, far: &mut Session| {
        receive(far, &sent(near)).unwrap();
        receive(near, &sent(far)).unwrap();
        far.accept().unwrap()
    };
    near.open().unwrap();
    assert_eq!(carry(&mut near, &mut far), 1);
    // As if many streams had come and gone; the listener follows in steps it can tell apart.
    for id in [1 << 30, 1 << 31, 3 << 30, u32::MAX] {
        near.set_next_id(id);
        near.open().unwrap();
        assert_eq!(carry(&mut near, &mut far), id);
    }
    near.open().unwrap();
    assert_eq!(carry(&mut near, &mut far), 2, "0 is no id, 1 lives");
}

#[test]
fn every_violation_has_its_error() {
    use ProtocolError::*;
    let long = [b"R\0\0\0\x01\x01\x01".as_slice(), &[0; 257]].concat();
    let too_much = [window(1), data(1, 1)].concat();
    let cases: Vec<(&[u8], ProtocolError)> = vec![
        (b"?\0\0\0\x01\0\0", UnknownKind(b'?')),
        (b"K\0\0\0\x01\0\0", UnknownKind(b'K')),
        (b"W\0\0\0\x01\0\0", BadLength { kind: b'W', len: 0 }),
        (b"N\0\0\0\x02\0\x01", BadLength { kind: b'N', len: 1 }),
        (b"E\0\0\0\x01\0\x01", BadLength { kind: b'E', len: 1 }),
        (b"A\0\0\0\x01\0\x03", BadLength { kind: b'A', len: 3 }),
        (b"P\0\0\0\0\0\x09", BadLength { kind: b'P', len: 9 }),
        (b"R\0\0\0\x01\0\0", BadLength { kind: b'R', len: 0 }),
        (
            &long,
            BadLength {
                kind: b'R',
                len: 257,
            },
        ),
        (b"W\0\0\0\0\0\x01", BadId { kind: b'W', id: 0 }),
        (b"N\0\0\0\0\0\0", BadId { kind: b'N', id: 0 }),
        (b"P\0\0\0\x01\0\x08", BadId { kind: b'P', id: 1 }),
        (b"G\0\0\0\x01\0\x01", BadId { kind: b'G', id: 1 }),
        (b"N\0\0\0\x01\0\0", DuplicateStream(1)),
        (b"N\xff\xff\xff\xff\0\0", DuplicateStream(u32::MAX)),
        (b"W\0\0\0\x02\0\x01", UnknownStream(2)),
        (b"E\0\0\0\x02\0\0", UnknownStream(2)),
        (b"A\0\0\0\x02\0\x04", UnknownStream(2)),
        (b"E\0\0\0\x01\0\0W\0\0\0\x01\0\x01", AfterEnd(1)),
        (b"E\0\0\0\x01\0\0E\0\0\0\x01\0\0", AfterEnd(1)),
        (b"E\0\0\0\x01\0\0C\0\0\0\x01\0\0", AfterEnd(1)),
        (b"S\0\0\0\x01\0\0S\0\0\0\x01\0\0", AfterEnd(1)),
        (b"R\0\0\0\x01\0\x01\x03W\0\0\0\x01\0\x01", AfterEnd(1)),
        (&too_much, OverWindow(1)),
        (b"A\0\0\0\x01\0\x04\0\0\0\0", BadAllowance(1)),
        (b"A\0\0\0\x01\0\x04\x40\0\0\0", BadAllowance(1)),
    ];
    for (bytes, error) in cases {
        assert_eq!(receive(&mut accepted(), bytes), Err(error), "{bytes:?}");
    }
    let new = receive(&mut opened(), b"N\0\0\0\x02\0\0");
    assert_eq!(new, Err(NewFromListener(2)));
    let mut early = dialer();
    early.open().unwrap();
    let early = receive(&mut early, b"E\0\0\0\x01\0\0");
    assert_eq!(early, Err(UnknownStream(1)), "the peer cannot know of it");
    let mut cut = accepted();
    receive(&mut cut, b"A\0\0\0\x01\0\x04\0").unwrap();
    assert_eq!(cut.receive_end(), Err(Cut));
}

#[test]
fn frames_that_crossed_the_end_of_their_stream_are_ignored() {
    let mut session = opened();
    session.release(1);
    sent(&mut session);
    assert_eq!(session.stream_count(), 0);
    receive(
        &mut session,
        b"W\0\0\0\x01\0\x02hiA\0\0\0\x01\0\x04\0\0\0\x01B\0\0\0\x01\0\0E\0\0\0\x01\0\0R\0\0\0\x01\0\x01\x03",
    )
    .unwrap();
    assert_eq!((session.unread(), session.has_output()), (0, false));
}

#[test]
fn a_dropped_stream_stops_the_peer_before_all_its_data_is_out() {
    let mut session = opened();
    session.write(1, &[1; 65_536]).unwrap();
    session.release(1);
    let out = sent(&mut session);
    assert_eq!(
        out[7 + 65_535..],
        *b"S\0\0\0\x01\0\0W\0\0\0\x01\0\x01\x01E\0\0\0\x01\0\0"
    );
    assert_eq!(session.stream_count(), 0);
}

#[test]
fn a_dropped_stream_delivers_what_was_written_even_if_the_peer_reads_late() {
    let mut session = opened();
    while session.write(1, &[1; 50_000]).unwrap() > 0 {
        sent(&mut session);
    }
    receive(&mut session, b"A\0\0\0\x01\0\x04\0\0\0\x09").unwrap();
    assert_eq!(session.write(1, b"the rest!"), Ok(9));
    session.release(1);
    assert_eq!(
        sent(&mut session),
        b"W\0\0\0\x01\0\x09the rest!C\0\0\0\x01\0\0"
    );
    assert_eq!(session.stream_count(), 0);
}

proptest! {
    #[test]
    fn texts_of_peers_are_bounded_lines(text in prop::collection::vec(any::<u8>(), 0..255)) {
        let mut session = opened();
        let mut frame = vec![b'R', 0, 0, 0, 1, 0, 1 + text.len() as u8, 3];
        frame.extend(&text);
        receive(&mut session, &frame).unwrap();
        let Err(StreamError::PeerReset(reset)) = session.read(1) else {
            panic!("that was a reset");
        };
        prop_assert!(reset.reason.len() <= 3 * 255);
        prop_assert!(!reset.reason.chars().any(char::is_control));
    }
}
