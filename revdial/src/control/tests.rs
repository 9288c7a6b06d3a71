use proptest::prelude::*;

use super::*;

fn decode_all(bytes: &[u8]) -> Result<Vec<Message>, ProtocolError> {
    let mut decoder = Decoder::new();
    decoder.feed(bytes);
    let mut all = Vec::new();
    while let Some(message) = decoder.next_message()? {
        all.push(message);
    }
    Ok(all)
}

fn line(message: &Message) -> String {
    String::from_utf8(message.to_line()).unwrap()
}

fn failed(path: Option<&str>, err: &str) -> Message {
    Message::PickupFailed {
        conn_path: path.map(str::to_owned),
        err: err.to_owned(),
    }
}

fn ready(path: &str) -> Message {
    Message::ConnReady {
        conn_path: path.to_owned(),
    }
}

/// Every line the Go programs were seen to write, byte for byte.
fn golden() -> Vec<(Message, &'static str)> {
    vec![
        (
            Message::KeepAlive { every: None },
            "{\"command\":\"keep-alive\"}\n",
        ),
        (
            ready("/revdial?revdial.dialer=e97a716ef5a0c77c3488a2bba14069a9"),
            "{\"command\":\"conn-ready\",\"connPath\":\"/revdial?revdial.dialer=e97a716ef5a0c77c3488a2bba14069a9\"}\n",
        ),
        (
            ready("/revdial?a=b&revdial.dialer=00"),
            "{\"command\":\"conn-ready\",\"connPath\":\"/revdial?a=b\\u0026revdial.dialer=00\"}\n",
        ),
        (
            failed(Some("/x?revdial.dialer=1"), "no route"),
            "{\"command\":\"pickup-failed\",\"connPath\":\"/x?revdial.dialer=1\",\"err\":\"no route\"}\n",
        ),
        (
            failed(
                None,
                "switch failed: want HTTP status 101 or 307; got 400 Bad Request:\n\tunknown\n",
            ),
            "{\"command\":\"pickup-failed\",\"err\":\"switch failed: want HTTP status 101 or 307; got 400 Bad Request:\\n\\tunknown\\n\"}\n",
        ),
        (
            failed(Some("/y"), "too many redirects"),
            "{\"command\":\"pickup-failed\",\"connPath\":\"/y\",\"err\":\"too many redirects\"}\n",
        ),
    ]
}

#[test]
fn lines_are_written_as_go_writes_them_and_read_back() {
    for (message, bytes) in golden() {
        assert_eq!(line(&message), bytes);
        assert_eq!(decode_all(bytes.as_bytes()).unwrap(), [message]);
    }
}

#[test]
fn our_own_additions_on_the_wire() {
    let every = Some(Duration::from_secs(5));
    assert_eq!(
        line(&Message::KeepAlive { every }),
        "{\"command\":\"keep-alive\",\"every_ms\":5000}\n"
    );
    assert_eq!(
        line(&Message::Close {
            why: "bye".to_owned()
        }),
        "{\"command\":\"close\",\"err\":\"bye\"}\n"
    );
    assert_eq!(line(&Message::Unknown), "");
}

#[test]
fn reading_is_lenient() {
    let alive = Message::KeepAlive { every: None };
    for good in [
        "{\"command\":\"keep-alive\"}\r\n",
        "\n \r\n\t{\"command\":\"keep-alive\"} \n",
        "{\"COMMAND\":\"keep-alive\",\"extra\":[1,{\"a\":null}],\"every_ms\":\"soon\"}\n",
        "{\"command\":\"x\",\"Command\":\"keep-alive\",\"err\":null}\n",
        "{\"command\":\"keep-alive\",\"every_ms\":0}\n",
        "{\"command\":\"\\u006beep-alive\"}\n",
    ] {
        assert_eq!(
            decode_all(good.as_bytes()).unwrap(),
            std::slice::from_ref(&alive),
            "{good:?}"
        );
    }
    for ignored in [
        "{}\n",
        "null\n",
        "{\"command\":\"later-invention\"}\n",
        "{\"connPath\":\"/x\"}\n",
    ] {
        assert_eq!(
            decode_all(ignored.as_bytes()).unwrap(),
            [Message::Unknown],
            "{ignored:?}"
        );
    }
    assert_eq!(
        decode_all(b"{\"command\":\"conn-ready\",\"connPath\":\"/\xff\"}\n").unwrap(),
        [ready("/\u{fffd}")]
    );
    for bad in [
        "x\n",
        "{\n",
        "[]\n",
        "{}{}\n",
        "{\"command\":5}\n",
        "{\"command\":\"a\"\n",
    ] {
        let error = decode_all(bad.as_bytes()).unwrap_err();
        assert!(
            matches!(error, ProtocolError::Malformed(_)),
            "{bad:?}: {error}"
        );
    }
}

#[test]
fn a_line_may_have_4096_bytes_and_not_one_more() {
    let wrap = |fill: usize| {
        format!(
            "{{\"command\":\"keep-alive\",\"x\":\"{}\"}}\n",
            "y".repeat(fill)
        )
    };
    let fixed = wrap(0).len();
    assert_eq!(
        decode_all(wrap(MAX_LINE - fixed).as_bytes()).unwrap().len(),
        1
    );
    assert_eq!(
        decode_all(wrap(MAX_LINE - fixed + 1).as_bytes()).unwrap_err(),
        ProtocolError::LineTooLong
    );
    // No LF at all: noticed at the limit, not when memory is gone.
    assert_eq!(decode_all(&[b'{'; MAX_LINE - 1]).unwrap(), []);
    assert_eq!(
        decode_all(&[b'{'; MAX_LINE]).unwrap_err(),
        ProtocolError::LineTooLong
    );
}

#[test]
fn what_is_sent_is_bounded() {
    let text = line(&failed(Some("/x"), &"e".repeat(5000)));
    assert_eq!(
        text.matches('e').count(),
        MAX_ERR + "pickup-failed\"\"err".matches('e').count()
    );
    // The worst that escaping can do, next to a long path.
    let path = format!("/{}", "p".repeat(3000));
    let long = line(&failed(Some(&path), &"<".repeat(5000)));
    assert!(
        long.len() <= MAX_LINE && long.len() > MAX_LINE - 6,
        "{}",
        long.len()
    );
    assert!(
        matches!(&decode_all(long.as_bytes()).unwrap()[..], [Message::PickupFailed { conn_path: Some(p), .. }] if *p == path)
    );
    // A path that leaves no room for a reason.
    for room in 0..20 {
        let path = format!("/{}", "p".repeat(4096 - 44 - room));
        let line = failed(Some(&path), "why").to_line();
        assert!(
            line.len() <= MAX_LINE && line.ends_with(b"\"}\n"),
            "{room}: {}",
            line.len()
        );
    }
    // A path that cannot be sent whole is not sent in part.
    let huge = line(&failed(Some(&"/".repeat(5000)), "why"));
    assert_eq!(huge, "{\"command\":\"pickup-failed\",\"err\":\"why\"}\n");
    assert_eq!(
        line(&failed(None, "a\x1b[31m\r\u{85}b")),
        "{\"command\":\"pickup-failed\",\"err\":\"a [31m  b\"}\n"
    );
}

prop_compose! {
    fn any_message()(kind in 0..4, ms in 1_u64..1_000_000, path in "/[!-~]{0,200}", err in "\\PC{1,80}", with in any::<bool>()) -> Message {
        match kind {
            0 => Message::KeepAlive { every: with.then(|| Duration::from_millis(ms)) },
            1 => ready(&path),
            2 => failed(with.then_some(path.as_str()), &err),
            _ => Message::Close { why: err },
        }
    }
}

proptest! {
    #[test]
    fn messages_survive_any_cutting(messages in prop::collection::vec(any_message(), 0..12), cuts in prop::collection::vec(1_usize..40, 1..50)) {
        let mut bytes = Vec::new();
        for message in &messages {
            message.encode(&mut bytes);
        }
        let mut decoder = Decoder::new();
        let mut seen = Vec::new();
        let mut sizes = cuts.iter().cycle();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, next) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
            decoder.feed(piece);
            while let Some(message) = decoder.next_message().unwrap() {
                seen.push(message);
            }
            rest = next;
        }
        prop_assert_eq!(seen, messages);
    }

    #[test]
    fn nothing_sent_is_too_long_or_unreadable(path in prop::option::of(any::<String>()), err in any::<String>(), repeat in 1_usize..200) {
        let message = Message::PickupFailed { conn_path: path.map(|p| p.repeat(repeat)), err: err.repeat(repeat) };
        let bytes = message.to_line();
        prop_assert!(bytes.len() <= MAX_LINE);
        prop_assert_eq!(bytes.iter().filter(|&&b| b == b'\n').count(), 1);
        prop_assert_eq!(decode_all(&bytes).unwrap().len(), 1);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..6000)) {
        let _ = decode_all(&bytes);
    }
}
