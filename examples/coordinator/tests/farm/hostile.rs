//! Whoever is not a worker gets nowhere, and does no harm.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{Coordinator, Repo};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

const LIMIT: Duration = Duration::from_secs(20);

fn tls(farm: &Coordinator) -> StreamOwned<ClientConnection, TcpStream> {
    let stream = TcpStream::connect(farm.address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let config = buildfarm_https::client::danger_no_verification();
    StreamOwned::new(
        ClientConnection::new(Arc::clone(&config), name).unwrap(),
        stream,
    )
}

/// Sends bytes and returns all that comes back until the server closes. A reset counts as a close.
fn exchange(mut stream: impl Read + Write, bytes: &[u8]) -> String {
    let _ = stream.write_all(bytes);
    let _ = stream.flush();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        answer.extend_from_slice(&buffer[..n]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn reverse(headers: &str) -> Vec<u8> {
    format!("GET /reverse HTTP/1.1\r\nHost: \r\nConnection: close\r\n{headers}\r\n").into_bytes()
}

const GOOD: &str = "X-Revdial-Version: 2\r\nX-Go-Builder-Hostname: evil\r\nX-Go-Host-Type: linux-amd64\r\nX-Go-Builder-Version: 29\r\n";

#[test]
fn hostile_bytes_at_the_gate_are_refused_without_harm() {
    let repo = Repo::new();
    let farm_toml = "[builder.x]\nsteps = [{ name = \"x\", run = \"true\" }]\n";
    repo.commit("one", &[("farm.toml", farm_toml)]);
    let data = tempfile::tempdir().unwrap();
    let farm = Coordinator::start(&repo, data.path(), &["--workers", "0"]);

    let cases = [
        ("", "400", "buildlet binary is too old"),
        ("X-Revdial-Version: 1\r\n", "400", "unknown revdial version"),
        (
            "X-Revdial-Version: 2\r\n",
            "400",
            "missing X-Go-Builder-Hostname header",
        ),
        (
            "X-Revdial-Version: 2\r\nX-Go-Builder-Hostname: h\r\n",
            "400",
            "missing X-Go-Host-Type; old buildlet binary?",
        ),
        (GOOD, "412", "invalid build key"),
        (
            &format!("{GOOD}X-Go-Builder-Key: \r\n"),
            "412",
            "invalid build key",
        ),
        (
            &format!("{GOOD}X-Go-Builder-Key: bcf798775e29660e5e44a4f43647f0c5\r\n"),
            "412",
            "invalid build key",
        ),
        (
            &format!("{GOOD}X-Go-Builder-Key: \u{fe}\u{fe}\r\n"),
            "412",
            "invalid build key",
        ),
    ];
    for (headers, status, text) in cases {
        let answer = exchange(tls(&farm), &reverse(headers));
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(text),
            "{headers:?} got {answer:?}"
        );
    }
    let plain = exchange(TcpStream::connect(farm.address).unwrap(), &reverse(GOOD));
    assert!(
        plain.starts_with("HTTP/1.1 500") && plain.contains("buildlet registration requires SSL"),
        "{plain:?}"
    );

    let pickup = b"GET /revdial?revdial.dialer=00112233445566778899aabbccddeeff HTTP/1.1\r\nHost: \r\nConnection: close\r\n\r\n";
    let answer = exchange(tls(&farm), pickup);
    assert!(
        answer.starts_with("HTTP/1.1 400") && answer.contains("unknown dialer"),
        "{answer:?}"
    );

    // Heads without end, in one header or in many, and bytes that are no HTTP at all.
    let huge = format!("{GOOD}X-Filler: {}\r\n", "a".repeat(1 << 20));
    let many: String = (0..20_000).map(|n| format!("X-{n}: {n}\r\n")).collect();
    for head in [
        reverse(&huge),
        reverse(&many),
        vec![0xff; 1 << 20],
        b"\r\n\r\n\r\n".repeat(10_000),
    ] {
        let answer = exchange(tls(&farm), &head);
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
            "{answer:?}"
        );
    }
    // A TLS handshake that is none.
    let answer = exchange(
        TcpStream::connect(farm.address).unwrap(),
        &[&[0x16_u8, 3, 1][..], &[0xee; 4096]].concat(),
    );
    assert!(!answer.contains("HTTP/1.1 2"));

    // A head that comes a byte at a time, for ever: the server does not wait as long.
    let began = Instant::now();
    let mut slow = tls(&farm);
    for byte in reverse(GOOD).into_iter().cycle() {
        if slow.write_all(&[byte]).and_then(|()| slow.flush()).is_err() {
            break;
        }
        assert!(began.elapsed() < LIMIT, "slow-loris is still served");
        std::thread::sleep(Duration::from_millis(200));
        if slow
            .get_mut()
            .set_read_timeout(Some(Duration::from_millis(1)))
            .is_ok()
            && matches!(slow.read(&mut [0; 64]), Ok(0))
        {
            break;
        }
    }

    // All that time nobody got in, and an honest worker does.
    assert_eq!(farm.json("/api/v1/workers").as_array().unwrap().len(), 0);
    let _worker = farm.worker("honest");
    let builds = farm.wait_for_builds(Duration::from_secs(20), |b| {
        b.len() == 1 && b[0]["state"] == "done"
    });
    assert_eq!(
        (&builds[0]["outcome"], &builds[0]["worker"]),
        (&"passed".into(), &"honest".into())
    );
}
