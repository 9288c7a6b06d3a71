//! The bodies of the fuzz targets (`fuzz/`), with random bytes that look like what they parse.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test program")]

#[path = "link_fuzz/bodies.rs"]
mod bodies;

use proptest::{collection::vec, prelude::*};

/// Pieces that belong to the format, and noise.
fn soup(words: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => proptest::sample::select(words).prop_map(<[u8]>::to_vec),
        1 => vec(any::<u8>(), 0..20),
    ];
    (any::<u8>(), vec(piece, 0..60)).prop_map(|(first, pieces)| {
        let mut bytes = vec![first];
        bytes.extend(pieces.concat());
        bytes
    })
}

fn frames(kinds: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    let kind = proptest::sample::select(kinds);
    let id = prop_oneof![4 => 0..4_u32, 1 => any::<u32>()];
    let len = prop_oneof![Just(0), Just(4), Just(8), 0..40_usize];
    let frame = (kind, id, len, any::<u8>()).prop_map(|(kind, id, len, fill)| {
        let mut frame = vec![kind];
        frame.extend(id.to_be_bytes());
        frame.extend((len as u16).to_be_bytes());
        frame.extend(std::iter::repeat_n(fill, len));
        frame
    });
    (vec(any::<u8>(), 2..40), vec(frame, 0..40)).prop_map(|(mut bytes, frames)| {
        bytes.extend(frames.concat());
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn control(bytes in soup(&[
        b"{\"command\":\"", b"keep-alive", b"conn-ready", b"pickup-failed", b"close", b"\",\"connPath\":\"/x\"",
        b",\"err\":\"", b"\\u0000", b"\"}", b"}\n", b"\r\n", b"\n", b"null", b"\xff", b"\"every_ms\":5000",
    ])) {
        bodies::control(&bytes);
    }

    #[test]
    fn answer(bytes in soup(&[
        b"HTTP/1.1 ", b"HTTP/0.0 ", b"101 Switching Protocols", b"307 x", b"200 OK", b"\r\n", b"\n", b"\r\n\r\n",
        b"Location: /x", b"Content-Length: 3", b"Transfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n", b": ", b" ",
    ])) {
        bodies::answer(&bytes[1..]);
    }

    #[test]
    fn request(bytes in soup(&[
        b"GET ", b"POST ", b"/reverse", b"/revdial?revdial.dialer=", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b"Host: \r\n",
        b"\r\n", b"\r\n\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n",
    ])) {
        bodies::request(&bytes[1..]);
    }

    #[test]
    fn v1(bytes in frames(b"NCWKx")) {
        bodies::v1(&bytes);
    }

    #[test]
    fn mux(bytes in frames(b"NCWKERAPQGSTDx")) {
        bodies::mux(&bytes);
    }
}

/// Well-formed exchanges are part of the corpus.
#[test]
fn examples() {
    bodies::control(b"\x03{\"command\":\"keep-alive\"}\n{\"command\":\"conn-ready\",\"connPath\":\"/r?a=b\\u0026c\"}\n");
    bodies::answer(b"HTTP/0.0 101 Switching Protocols\r\n\r\nN\0\0\0\x01\0\0");
    bodies::request(b"GET /reverse HTTP/1.1\r\nHost: \r\n\r\nearly");
    bodies::v1(b"\x00\x02NN\0\0\0\x01\0\0W\0\0\0\x01\0\x02hiC\0\0\0\x01\0\0");
    bodies::mux(b"\x01\x02W\0\0\0\x01\0\x02hi");
}
