//! What is done with hostile bytes. The fuzz targets call these, and so does
//! `tests/link_fuzz.rs`, with random bytes and with every input that once broke something.

use std::{convert::Infallible, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body_util::Full;
use revdial::{
    Registry, Stream,
    control::{Decoder, MAX_LINE, Message, ProtocolError},
    mux::{Batch, Dialect, Event, Limits, OpenError, Read, Role, Session, StreamError},
    server::{ServeConfig, answer_pickup, serve_connection, switching_protocols},
    upgrade::{self, Request, ResponseHead},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_util::sync::CancellationToken;

/// Control lines: cuts mean nothing, and what was understood can be said again.
pub(crate) fn control(data: &[u8]) {
    fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Message>, Option<ProtocolError>) {
        let (mut decoder, mut messages) = (Decoder::new(), Vec::new());
        for piece in pieces {
            decoder.feed(piece);
            loop {
                match decoder.next_message() {
                    Ok(Some(message)) => messages.push(message),
                    Ok(None) => break,
                    Err(error) => return (messages, Some(error)),
                }
            }
        }
        (messages, None)
    }
    let Some((&cut, data)) = data.split_first() else {
        return;
    };
    let whole = decode([data].into_iter());
    assert_eq!(whole, decode(data.chunks(usize::from(cut) + 1)));
    for message in whole.0 {
        let line = message.to_line();
        assert!(line.len() <= MAX_LINE, "{} bytes", line.len());
        let (again, error) = decode([&line[..]].into_iter());
        assert_eq!(error, None, "{message:?}");
        assert!(again.len() <= 1);
    }
}

/// A server's answer to an upgrade: what is a head stays one, whatever follows.
pub(crate) fn answer(data: &[u8]) {
    let whole = ResponseHead::parse(data);
    if let Ok(Some((head, len))) = &whole {
        assert!(*len <= data.len());
        let again = ResponseHead::parse(&data[..*len]);
        assert_eq!(again, Ok(Some((head.clone(), *len))));
    }
    in_a_moment(async {
        let (near, mut far) = duplex(1 << 16);
        let script = async {
            let _ = far.write_all(data).await;
            let _ = far.shutdown().await;
            let _ = far.read_to_end(&mut Vec::new()).await;
        };
        let exchange = async {
            let request = Request::get("/reverse").header("X-Revdial-Version", "2");
            let limits = upgrade::Limits::default();
            let Ok((mut stream, head)) =
                upgrade::request(Stream::new(near), &request, &limits).await
            else {
                return;
            };
            assert_eq!(head.status, 101);
            // What follows the head is all there.
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
            assert!(data.ends_with(&rest));
        };
        tokio::join!(script, exchange);
    });
}

/// Whatever a client sends to a server whose every answer is a switch or a refusal.
pub(crate) fn request(data: &[u8]) {
    in_a_moment(async {
        let (near, mut far) = duplex(1 << 16);
        let registry = Registry::new();
        let service =
            hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let request = request.into_parts().0;
                let answer: http::Response<Full<Bytes>> = if request.uri.path() == "/reverse" {
                    switching_protocols(async |mut stream: Stream| {
                        let _ = stream.read_to_end(&mut Vec::new()).await;
                    })
                } else {
                    answer_pickup(&registry, &request, true)
                };
                async { Ok::<_, Infallible>(answer) }
            });
        let stop = CancellationToken::new();
        let served = serve_connection(near, service, ServeConfig::default(), stop);
        let script = async {
            let _ = far.write_all(data).await;
            let _ = far.shutdown().await;
            let _ = far.read_to_end(&mut Vec::new()).await;
        };
        let _ = tokio::join!(served, script);
    });
}

fn in_a_moment(f: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(async { tokio::time::timeout(Duration::from_secs(3600), f).await })
        .expect("ends within its limits");
}

/// Frames of version 1.
pub(crate) fn v1(data: &[u8]) {
    session(Dialect::V1, data);
}

/// Frames of the mux.
pub(crate) fn mux(data: &[u8]) {
    session(Dialect::Mux, data);
}

fn session(dialect: Dialect, data: &[u8]) {
    let [setup, cut, data @ ..] = data else {
        return;
    };
    let role = if setup & 1 == 0 {
        Role::Listener
    } else {
        Role::Dialer
    };
    cuts_mean_nothing(dialect, role, usize::from(*cut) + 1, data);
    random_use(dialect, role, data);
}

fn small() -> Limits {
    Limits {
        stream_limit: 1000,
        session_limit: 4000,
        accept_backlog: 8,
        max_streams: 16,
        ..Limits::default()
    }
}

/// A session with two streams of its own, if it may have some.
fn start(dialect: Dialect, role: Role) -> Session {
    let mut session = Session::new(dialect, role, small());
    for _ in 0..2 {
        let opened = session.open();
        assert_eq!(opened.is_ok(), role == Role::Dialer);
    }
    transmitted(&mut session);
    session
}

fn transmitted(session: &mut Session) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut batch = Batch::new();
    while session.has_output() {
        session.transmit(&mut batch);
        while !batch.is_empty() {
            let mut slots = Batch::slots();
            let written = batch.slices(&mut slots)[0].to_vec();
            assert!(!written.is_empty());
            batch.advance(written.len());
            bytes.extend(written);
        }
    }
    bytes
}

#[derive(Debug, PartialEq)]
struct Seen {
    result: Result<(), String>,
    accepted: Vec<u32>,
    read: Vec<(u32, Vec<u8>, Result<bool, StreamError>)>,
    sent: Vec<u8>,
    between_frames: bool,
}

fn see(dialect: Dialect, role: Role, chunks: &[&[u8]]) -> Seen {
    let mut session = start(dialect, role);
    let mut result = Ok(());
    for chunk in chunks {
        let mut input = BytesMut::from(*chunk);
        result = session
            .receive(&mut input)
            .map_err(|error| error.to_string());
        if result.is_err() {
            break;
        }
        assert!(input.is_empty(), "everything is taken in");
        assert!(session.stream_count() <= 16);
    }
    let sent = transmitted(&mut session);
    let accepted: Vec<u32> = std::iter::from_fn(|| session.accept()).collect();
    let mut ids = accepted.clone();
    ids.extend([1, 2]);
    let read = ids.into_iter().map(|id| {
        let mut all = Vec::new();
        loop {
            match session.read(id) {
                Ok(Read::Data(data)) => all.extend_from_slice(&data),
                Ok(other) => return (id, all, Ok(other == Read::End)),
                Err(error) => return (id, all, Err(error)),
            }
        }
    });
    let read = read.collect();
    Seen {
        between_frames: result.is_ok() && session.receive_end().is_ok(),
        result,
        accepted,
        read,
        sent,
    }
}

fn cuts_mean_nothing(dialect: Dialect, role: Role, cut: usize, data: &[u8]) {
    let pieces: Vec<&[u8]> = data.chunks(cut).collect();
    assert_eq!(see(dialect, role, &[data]), see(dialect, role, &pieces));
}

/// The first bytes of `data` say what is done, the rest is what comes in.
fn random_use(dialect: Dialect, role: Role, data: &[u8]) {
    let mut session = start(dialect, role);
    let (ops, mut incoming) = data.split_at(data.len().min(64) / 2);
    let mut ids = vec![1, 2];
    for op in ops {
        let id = ids[usize::from(op >> 4) % ids.len()];
        match op & 15 {
            0..4 => {
                let n = incoming.len().min(usize::from(op >> 2) + 1);
                let (now, later) = incoming.split_at(n);
                incoming = later;
                if session.wants_input() && session.receive(&mut BytesMut::from(now)).is_err() {
                    break;
                }
            }
            4 => ids.extend(session.accept()),
            5 => {
                if let Ok(Read::Data(data)) = session.read(id) {
                    assert!(!data.is_empty());
                    session.consumed(id);
                }
            }
            6 => drop(session.write(id, &[*op; 700])),
            7 => session.finish(id),
            8 => session.release(id),
            9 => session.abort(id, "enough"),
            10 => drop(transmitted(&mut session)),
            11 => match session.open() {
                Ok(id) => ids.push(id),
                Err(OpenError::Ended | OpenError::TooMany(_)) => {}
                Err(_) => unreachable!("no further errors"),
            },
            12 => session.keep_alive(5000),
            13 => session.refuse_streams(),
            14 => drop(session.reset_fullest()),
            _ => session.overlook(),
        }
        while let Some(event) = session.next_event() {
            if let Event::Readable(id) | Event::Writable(id) = event {
                assert!(ids.contains(&id) || role == Role::Listener);
            }
        }
        assert!(session.stream_count() <= 16);
    }
    session.end();
    for id in ids {
        session.release(id);
    }
    while let Some(id) = session.accept() {
        session.release(id);
    }
    assert_eq!((session.stream_count(), session.unread()), (0, 0));
}
