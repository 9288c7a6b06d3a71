//! A reverse connection over real sockets: a dialer, and the listener of a worker that dialled home.

#![allow(dead_code, clippy::unwrap_used, reason = "shared by tests and figures")]

use std::io;
use std::net::SocketAddr;

use revdial::{Dialer, DialerConfig, Listener, ListenerConfig, Registry, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) async fn pair() -> (Dialer, Listener) {
    let home = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = home.local_addr().unwrap();
    let (control, accepted) = tokio::join!(connect(addr), home.accept());
    let registry = Registry::new();
    let dialer = registry.register(Stream::new(accepted.unwrap().0), DialerConfig::default());
    tokio::spawn({
        let dialer = dialer.clone();
        async move {
            loop {
                tokio::select! {
                    _ = dialer.closed() => return,
                    accepted = home.accept() => {
                        let (tcp, _) = accepted.unwrap();
                        tokio::spawn(answer_pickup(registry.clone(), tcp));
                    }
                }
            }
        }
    });
    let listener = Listener::new(
        control.unwrap(),
        move || connect(addr),
        ListenerConfig::default(),
    );
    (dialer, listener)
}

async fn connect(addr: SocketAddr) -> io::Result<Stream> {
    let tcp = TcpStream::connect(addr).await?;
    tcp.set_nodelay(true)?;
    Ok(Stream::new(tcp))
}

/// What a coordinator does with `GET /revdial?...`.
async fn answer_pickup(registry: Registry, mut tcp: TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = tcp.read_u8().await else {
            return;
        };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap();
    if let Ok(pickup) = registry.pickup(target) {
        tcp.set_nodelay(true).unwrap();
        tcp.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
            .await
            .unwrap();
        pickup.deliver(Stream::new(tcp));
    }
}
