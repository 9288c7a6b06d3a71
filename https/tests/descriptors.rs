//! A server that runs out of file descriptors goes on when there are some again. Alone in its program, because the
//! limit is the whole process's.
#![cfg(unix)]

mod common;

use std::fs::File;

use buildfarm_https::{Limits, Plain};
use common::{ask, start};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::TcpStream;

#[tokio::test]
async fn survives_running_out_of_file_descriptors() {
    let running = start(None, Plain::Loopback, Limits::default()).await;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 64, hard).unwrap();

    let mut hoard = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        hoard.push(file);
    }
    // One for the client's end; none is left for the server's.
    hoard.pop();
    let client = TcpStream::connect(running.addr).await.unwrap();
    assert!(File::open("/dev/null").is_err());
    let request = tokio::spawn(ask(client, "/"));
    while !request.is_finished() {
        // Lets the server fail at least once before there is room again.
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        hoard.clear();
    }
    assert!(request.await.unwrap().ends_with("plain 127.0.0.1"));
    running.finish().await;
}
