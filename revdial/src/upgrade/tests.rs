use std::time::Duration;

use proptest::prelude::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    time::Instant,
};

use super::*;
use crate::Stream;

/// What the Go original answers every upgrade with.
const GO_101: &[u8] = b"HTTP/0.0 101 Switching Protocols\r\n\r\n";

type Outcome = Result<(Stream, ResponseHead), UpgradeError>;

/// Plays a server that answers each request head with the next of `answers` and then goes away.
/// Gives the outcome and all that the server read.
async fn play(request: &Request, answers: &[&[u8]]) -> (Outcome, String) {
    let (near, mut far) = duplex(1 << 20);
    let server = async {
        let mut seen = Vec::new();
        for answer in answers {
            if read_head(&mut far, &mut seen).await {
                far.write_all(answer).await.unwrap();
            }
        }
        drop(far);
        String::from_utf8(seen).unwrap()
    };
    let limits = Limits::default();
    tokio::join!(super::request(Stream::new(near), request, &limits), server)
}

async fn read_head(far: &mut DuplexStream, seen: &mut Vec<u8>) -> bool {
    let start = seen.len();
    while !seen[start..].ends_with(b"\r\n\r\n") {
        match far.read_u8().await {
            Ok(byte) => seen.push(byte),
            Err(_) => return false,
        }
    }
    true
}

async fn error_of(answers: &[&[u8]]) -> UpgradeError {
    play(&Request::get("/reverse"), answers)
        .await
        .0
        .map(|(_, head)| head)
        .expect_err("must be refused")
}

#[tokio::test]
async fn requests_are_written_as_go_writes_them() {
    let (_, seen) = play(
        &Request::get("/revdial?revdial.dialer=00112233445566778899aabbccddeeff"),
        &[GO_101],
    )
    .await;
    assert_eq!(
        seen,
        "GET /revdial?revdial.dialer=00112233445566778899aabbccddeeff HTTP/1.1\r\nHost: \r\nUser-Agent: Go-http-client/1.1\r\n\r\n"
    );

    let registration = Request::get("/reverse")
        .header("X-Revdial-Version", "2")
        .header("X-Go-Builder-Hostname", "h1")
        .header("X-Go-Builder-Version", "23")
        .header("X-Go-Host-Type", "host-linux-x")
        .header("X-Go-Builder-Key", "<key>");
    let (_, seen) = play(&registration, &[GO_101]).await;
    assert_eq!(
        seen,
        "GET /reverse HTTP/1.1\r\nHost: \r\nUser-Agent: Go-http-client/1.1\r\nX-Go-Builder-Hostname: h1\r\n\
         X-Go-Builder-Key: <key>\r\nX-Go-Builder-Version: 23\r\nX-Go-Host-Type: host-linux-x\r\n\
         X-Revdial-Version: 2\r\n\r\n"
    );

    let ssh = Request {
        method: "POST".into(),
        ..Request::get("/connect-ssh")
    }
    .header("X-Go-Ssh-User", "root")
    .header(
        "X-Go-Authorized-Key",
        "ssh-ed25519 AAAA comment\r\n ".trim(),
    );
    let (_, seen) = play(&ssh, &[GO_101]).await;
    assert_eq!(
        seen,
        "POST /connect-ssh HTTP/1.1\r\nHost: \r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: 0\r\n\
         X-Go-Authorized-Key: ssh-ed25519 AAAA comment\r\nX-Go-Ssh-User: root\r\n\r\n"
    );

    let legacy = Request::get("/reverse")
        .header("B", "2")
        .header("A", "x")
        .header("B", "1");
    let (_, seen) = play(&legacy, &[GO_101]).await;
    assert!(seen.ends_with("A: x\r\nB: 2\r\nB: 1\r\n\r\n"), "{seen}");
}

#[tokio::test]
async fn requests_that_would_smuggle_are_not_written() {
    for bad in [
        Request::get("/a b"),
        Request::get("/x\r\nEvil: 1"),
        Request::get("http://elsewhere/"),
        Request {
            method: "GET /".into(),
            ..Request::get("/")
        },
        Request {
            host: "a\r\nb".into(),
            ..Request::get("/")
        },
        Request::get("/").header("A:", "b"),
        Request::get("/").header("A", "b\r\nC: d"),
    ] {
        let (outcome, seen) = play(&bad, &[GO_101]).await;
        assert!(
            matches!(
                outcome,
                Err(UpgradeError::BadTarget(_) | UpgradeError::BadRequest(_))
            ),
            "{bad:?}"
        );
        assert_eq!(seen, "");
    }
}

#[tokio::test]
async fn bytes_behind_the_101_belong_to_the_next_protocol() {
    for head in [
        GO_101,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: revdial\r\nConnection: Upgrade\r\nDate: x\r\n\r\n",
        b"HTTP/1.0 101\n\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 101 OK\r\nContent-Length: 5\r\n\r\n",
    ] {
        let answer = [head, b"{\"command\":\"keep-alive\"}\n"].concat();
        let (outcome, _) = play(&Request::get("/reverse"), &[&answer]).await;
        let (mut stream, head) = outcome.unwrap();
        assert_eq!(head.status, 101);
        let mut rest = String::new();
        stream.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "{\"command\":\"keep-alive\"}\n");
    }
}

#[tokio::test]
async fn a_head_may_come_byte_by_byte() {
    let (near, mut far) = duplex(1);
    let server = async {
        read_head(&mut far, &mut Vec::new()).await;
        far.write_all(&[GO_101, b"N"].concat()).await.unwrap();
    };
    let (get, limits) = (Request::get("/reverse"), Limits::default());
    let (outcome, ()) = tokio::join!(request(Stream::new(near), &get, &limits), server);
    assert_eq!(outcome.unwrap().0.read_u8().await.unwrap(), b'N');
}

#[tokio::test]
async fn one_relative_redirect_is_followed_on_the_same_connection() {
    for body in [
        &b"Content-Length: 9\r\n\r\n<a>x</a>\n"[..],
        b"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0A\r\n0123456789\r\n0\r\nT: 1\r\n\r\n",
        b"Content-Length: 0\r\n\r\n",
    ] {
        let redirect = [
            b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /redirected/reverse?a=b:c\r\n",
            body,
        ]
        .concat();
        let (outcome, seen) = play(
            &Request::get("/reverse").header("K", "v"),
            &[&redirect, GO_101],
        )
        .await;
        outcome.unwrap();
        let heads: Vec<_> = seen.split_inclusive("\r\n\r\n").collect();
        assert_eq!(heads.len(), 2);
        assert_eq!(
            heads[1],
            heads[0].replace("/reverse", "/redirected/reverse?a=b:c")
        );
    }
}

#[tokio::test]
async fn other_redirects_are_errors_with_the_texts_of_the_original() {
    let to = |location: &str| {
        format!(
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
        )
        .into_bytes()
    };
    let relative = "redirect Location must be relative: URL";
    for (location, text) in [
        (
            "https://x/y",
            format!("{relative} \"https://x/y\" is not relative: contains scheme"),
        ),
        (
            "//host/x",
            format!("{relative} \"//host/x\" is not relative: contains host"),
        ),
        (
            "next",
            format!("{relative} \"next\" is not relative: does not start with a slash"),
        ),
        (
            "/a b",
            format!("{relative} \"/a b\" is not relative: cannot be written into a request"),
        ),
        (
            "",
            "redirect missing Location header; got 307 Temporary Redirect".to_owned(),
        ),
    ] {
        assert_eq!(error_of(&[&to(location), GO_101]).await.to_string(), text);
    }
    let none = b"HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\n\r\n";
    assert!(matches!(
        error_of(&[none]).await,
        UpgradeError::NoLocation { .. }
    ));
    assert_eq!(
        error_of(&[&to("/a"), &to("/b"), GO_101]).await.to_string(),
        "too many redirects"
    );
    let found = b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(
        error_of(&[found, GO_101]).await.to_string(),
        "want HTTP status 101 or 307; got 302 Found:\n\t"
    );
    // A body that ends with the connection leaves nothing to ask the second question on.
    let closing = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /x\r\n\r\nbody";
    assert!(matches!(error_of(&[closing]).await, UpgradeError::ClosedByRedirect(to) if to == "/x"));
}

#[tokio::test]
async fn a_refusal_carries_status_and_body() {
    for answer in [
        &b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n\r\nunknown\n"[..],
        b"HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nunk\r\n5\r\nnown\n\r\n0\r\n\r\n",
        b"HTTP/1.0 400 Bad Request\r\n\r\nunknown\n",
    ] {
        let error = error_of(&[answer]).await;
        assert_eq!(error.to_string(), "want HTTP status 101 or 307; got 400 Bad Request:\n\tunknown\n");
        assert!(matches!(error, UpgradeError::Refused { status: 400, .. }));
    }
}

#[tokio::test]
async fn every_part_of_an_answer_is_bounded() {
    let cut = |error: UpgradeError| match error {
        UpgradeError::Refused { body, .. } => body.len(),
        other => panic!("{other}"),
    };
    let long = "x".repeat(100_000);
    let sized = format!(
        "HTTP/1.1 500 No\r\nContent-Length: {}\r\n\r\n{long}",
        u64::MAX
    );
    assert_eq!(cut(error_of(&[sized.as_bytes()]).await), 64 * 1024);
    let unsized_ = format!("HTTP/1.1 500 No\r\n\r\n{long}");
    assert_eq!(cut(error_of(&[unsized_.as_bytes()]).await), 64 * 1024);
    let chunk = format!("HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\nfffffff0\r\n{long}");
    assert_eq!(cut(error_of(&[chunk.as_bytes()]).await), 64 * 1024);
    let head = format!("HTTP/1.1 101 OK\r\nA: {long}");
    assert!(matches!(
        error_of(&[head.as_bytes()]).await,
        UpgradeError::HeadTooLarge(16384)
    ));
    let hints = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(9);
    assert!(matches!(
        error_of(&[hints.as_bytes()]).await,
        UpgradeError::HeadTooLarge(_)
    ));
}

#[tokio::test]
async fn nonsense_is_told_from_silence() {
    for bad in [
        "SSH-2.0-x\r\n",
        "HTTP/1.1 1x1 OK\r\n\r\n",
        "HTTP/11 101\r\n\r\n",
        "HTTP/1.1 101 OK\r\nno colon\r\n\r\n",
    ] {
        let error = error_of(&[bad.as_bytes()]).await;
        assert!(
            matches!(error, UpgradeError::Malformed(_)),
            "{bad:?}: {error}"
        );
        assert_eq!(error.to_string(), "error reading response");
    }
    for broken in [
        &b""[..],
        b"HTTP/1.1 101 Swi",
        b"HTTP/1.1 400 X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ] {
        assert!(
            matches!(error_of(&[broken]).await, UpgradeError::Read(_)),
            "{broken:?}"
        );
    }
    for broken in [
        "zz\r\n",
        "+1\r\na\r\n",
        "1\r\nab",
        "\r\n",
        "ffffffffffffffffff\r\n",
    ] {
        let answer = format!("HTTP/1.1 400 X\r\nTransfer-Encoding: chunked\r\n\r\n{broken}");
        assert!(
            matches!(error_of(&[answer.as_bytes()]).await, UpgradeError::Read(_)),
            "{broken:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stalls_costs_30_seconds() {
    for stall in [
        &b""[..],
        b"HTTP/1.1 101 Sw",
        b"HTTP/1.1 400 X\r\nContent-Length: 9\r\n\r\nx",
    ] {
        let (near, mut far) = duplex(1024);
        far.write_all(stall).await.unwrap();
        let start = Instant::now();
        let outcome = request(Stream::new(near), &Request::get("/"), &Limits::default()).await;
        assert!(matches!(outcome, Err(UpgradeError::Timeout(_))));
        assert_eq!(start.elapsed(), Duration::from_secs(30));
        drop(far);
    }
}

#[test]
fn heads_are_read_as_they_are_meant() {
    let bytes = b"HTTP/1.1  200   Fine by me \r\nA:b\r\nC : d\r\n";
    assert!(matches!(
        ResponseHead::parse(bytes),
        Err(HeadError::HeaderLine(_))
    ));
    let bytes = b"HTTP/1.1 200 Fine by me \r\nA:b\r\nLong: one\r\n  two\r\nempty:\r\n\r\nrest";
    let (head, len) = ResponseHead::parse(bytes).unwrap().unwrap();
    assert_eq!(&bytes[len..], b"rest");
    assert_eq!(
        (head.version, head.status, head.reason.as_str()),
        ((1, 1), 200, "Fine by me")
    );
    assert_eq!(head.header("LONG"), Some("one two"));
    assert_eq!(head.header("Empty"), Some(""));
    assert_eq!(head.header("b"), None);
    assert_eq!(head.status_text().to_string(), "200 Fine by me");
}

proptest! {
    #[test]
    fn no_head_makes_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = ResponseHead::parse(&bytes);
        let _ = ResponseHead::parse(&[b"HTTP/1.1 200 OK\r\n", &bytes[..]].concat());
    }

    #[test]
    fn a_front_of_a_good_head_is_never_refused(cut in 0_usize..72) {
        let whole = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n";
        let front = &whole[..cut.min(whole.len())];
        prop_assert_eq!(ResponseHead::parse(front).unwrap().is_some(), front.len() == whole.len());
    }
}
