//! Pairs of ends and patience, for the tests of sessions that share a connection.
#![allow(dead_code, reason = "every test program uses a part")]

use std::{future::Future, time::Duration};

use revdial::{
    Stream,
    mux::{Config, Dialect, Dialer, Listener},
};
use tokio::{
    io::{AsyncReadExt, DuplexStream, duplex},
    net::{TcpListener, TcpStream},
    time::timeout,
};

pub(crate) const MIB: usize = 1024 * 1024;

pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), what).await.expect("hangs")
}

pub(crate) fn dialer(dialect: Dialect, transport: Stream, config: &Config) -> Dialer {
    match dialect {
        Dialect::V1 => Dialer::v1(transport, config.clone()),
        Dialect::Mux => Dialer::new(transport, config.clone()),
    }
}

pub(crate) fn listener(dialect: Dialect, transport: Stream, config: &Config) -> Listener {
    match dialect {
        Dialect::V1 => Listener::v1(transport, config.clone()),
        Dialect::Mux => Listener::new(transport, config.clone()),
    }
}

/// Both ends over a pipe that holds `room` bytes each way.
pub(crate) fn pair(dialect: Dialect, room: usize, config: &Config) -> (Dialer, Listener) {
    let (near, far) = duplex(room);
    (
        dialer(dialect, Stream::new(near), config),
        listener(dialect, Stream::new(far), config),
    )
}

pub(crate) async fn tcp() -> (TcpStream, TcpStream) {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(socket.local_addr().unwrap());
    let (near, far) = tokio::join!(near, socket.accept());
    let (near, far) = (near.unwrap(), far.unwrap().0);
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    (near, far)
}

pub(crate) async fn tcp_pair(dialect: Dialect, config: &Config) -> (Dialer, Listener) {
    let (near, far) = tcp().await;
    (
        dialer(dialect, Stream::new(near), config),
        listener(dialect, Stream::new(far), config),
    )
}

/// A dialer whose peer is a script.
pub(crate) fn scripted_dialer(dialect: Dialect, config: &Config) -> (Dialer, DuplexStream) {
    let (near, script) = duplex(1 << 20);
    (dialer(dialect, Stream::new(near), config), script)
}

/// A listener whose peer is a script.
pub(crate) fn scripted_listener(dialect: Dialect, config: &Config) -> (Listener, DuplexStream) {
    let (near, script) = duplex(1 << 20);
    (listener(dialect, Stream::new(near), config), script)
}

pub(crate) async fn expect(script: &mut DuplexStream, bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    soon(script.read_exact(&mut got)).await.unwrap();
    assert_eq!(got, bytes);
}

pub(crate) async fn read_all(stream: &mut Stream) -> Vec<u8> {
    let mut all = Vec::new();
    soon(stream.read_to_end(&mut all)).await.unwrap();
    all
}

/// Until neither end has a stream left.
pub(crate) async fn emptied(dialer: &Dialer, listener: &Listener) {
    let empty = async {
        while dialer.stream_count() + listener.stream_count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    soon(empty).await;
}

/// Bytes that differ from their neighbours near and far.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n ^ (n >> 8) ^ (n >> 16)) as u8).collect()
}
