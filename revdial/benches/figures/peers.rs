//! What others use for many streams over one connection: the `yamux` crate and HTTP/2 `CONNECT`.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{RecvStream, SendStream, client::ResponseFuture, client::SendRequest};
use http::{Method, Request, Response};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{mpsc, oneshot},
};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt, TokioAsyncReadCompatExt};

use crate::{
    far::behave,
    net::{Net, pair},
    systems::Opener,
};

/// Enough for the streams of every measurement.
const STREAMS: usize = 20_000;

type Order = oneshot::Sender<yamux::Stream>;

#[derive(Clone)]
pub(crate) struct Yamux(mpsc::Sender<Order>);

impl Yamux {
    pub(crate) async fn new<N: Net>(net: &N) -> Self {
        let (near, far) = pair(net).await;
        let mut config = yamux::Config::default();
        config.set_max_connection_receive_window(None);
        config.set_max_num_streams(STREAMS);
        let mut accepting =
            yamux::Connection::new(near.compat(), config.clone(), yamux::Mode::Client);
        tokio::spawn(async move {
            while let Some(Ok(stream)) = poll_fn(|cx| accepting.poll_next_inbound(cx)).await {
                tokio::spawn(behave(stream.compat()));
            }
        });
        let mut opening = yamux::Connection::new(far.compat(), config, yamux::Mode::Server);
        let (orders, mut queue) = mpsc::channel::<Order>(64);
        tokio::spawn(async move {
            let mut order: Option<Order> = None;
            poll_fn(|cx| {
                loop {
                    if order.is_none() {
                        match queue.poll_recv(cx) {
                            Poll::Ready(Some(next)) => order = Some(next),
                            Poll::Ready(None) => return Poll::Ready(()),
                            Poll::Pending => {}
                        }
                    }
                    if order.is_some()
                        && let Poll::Ready(opened) = opening.poll_new_outbound(cx)
                    {
                        if let Some(order) = order.take() {
                            let _ = order.send(opened.unwrap());
                        }
                        continue;
                    }
                    // This is also what moves the bytes.
                    match opening.poll_next_inbound(cx) {
                        Poll::Ready(Some(Ok(_))) => {}
                        Poll::Ready(_) => return Poll::Ready(()),
                        Poll::Pending => return Poll::Pending,
                    }
                }
            })
            .await;
        });
        Self(orders)
    }
}

impl Opener for Yamux {
    type Stream = Compat<yamux::Stream>;

    async fn open(&self) -> Self::Stream {
        let (order, answer) = oneshot::channel();
        self.0.send(order).await.unwrap();
        answer.await.unwrap().compat()
    }
}

#[derive(Clone)]
pub(crate) struct H2(SendRequest<Bytes>);

impl H2 {
    const WINDOW: u32 = 16 << 20;

    pub(crate) async fn new<N: Net>(net: &N) -> Self {
        let (near, far) = pair(net).await;
        tokio::spawn(async move {
            let mut server = h2::server::Builder::new();
            server
                .initial_window_size(Self::WINDOW)
                .initial_connection_window_size(Self::WINDOW)
                .max_frame_size(64 * 1024)
                .max_send_buffer_size(Self::WINDOW as usize)
                .max_concurrent_streams(STREAMS as u32);
            let mut connection = server.handshake::<_, Bytes>(near).await.unwrap();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let Ok(out) = respond.send_response(Response::new(()), false) else {
                    continue;
                };
                tokio::spawn(behave(Tunnel::new(
                    out,
                    Incoming::Body(request.into_body()),
                )));
            }
        });
        let mut client = h2::client::Builder::new();
        client
            .initial_window_size(Self::WINDOW)
            .initial_connection_window_size(Self::WINDOW)
            .max_frame_size(64 * 1024)
            .max_send_buffer_size(Self::WINDOW as usize)
            .initial_max_send_streams(STREAMS)
            .max_concurrent_reset_streams(STREAMS);
        let (requests, connection) = client.handshake(far).await.unwrap();
        tokio::spawn(connection);
        Self(requests)
    }
}

impl Opener for H2 {
    type Stream = Tunnel;

    async fn open(&self) -> Tunnel {
        let request = Request::builder()
            .method(Method::CONNECT)
            .uri("machine:80")
            .body(())
            .unwrap();
        let mut requests = self.0.clone().ready().await.unwrap();
        let (response, out) = requests.send_request(request, false).unwrap();
        Tunnel::new(out, Incoming::Answer(response))
    }
}

enum Incoming {
    Answer(ResponseFuture),
    Body(RecvStream),
}

/// The bytes of a `CONNECT`. The client does not wait for the answer before it writes.
pub(crate) struct Tunnel {
    out: SendStream<Bytes>,
    incoming: Incoming,
    data: Bytes,
    finished: bool,
}

impl Tunnel {
    fn new(out: SendStream<Bytes>, incoming: Incoming) -> Self {
        Self {
            out,
            incoming,
            data: Bytes::new(),
            finished: false,
        }
    }

    fn finish(&mut self) {
        if !self.finished {
            self.finished = true;
            let _ = self.out.send_data(Bytes::new(), true);
        }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.finish();
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.data.is_empty() {
            match &mut this.incoming {
                Incoming::Answer(answer) => {
                    let answer = ready!(Pin::new(answer).poll(cx)).map_err(io::Error::other)?;
                    this.incoming = Incoming::Body(answer.into_body());
                }
                Incoming::Body(body) => match ready!(body.poll_data(cx)) {
                    Some(data) => {
                        this.data = data.map_err(io::Error::other)?;
                        let len = this.data.len();
                        let released = body.flow_control().release_capacity(len);
                        released.map_err(io::Error::other)?;
                    }
                    None => return Poll::Ready(Ok(())),
                },
            }
        }
        let n = this.data.len().min(buf.remaining());
        buf.put_slice(&this.data.split_to(n));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.out.reserve_capacity(buf.len());
        while self.out.capacity() == 0 {
            match ready!(self.out.poll_capacity(cx)) {
                Some(capacity) => drop(capacity.map_err(io::Error::other)?),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let n = self.out.capacity().min(buf.len());
        let data = Bytes::copy_from_slice(&buf[..n]);
        self.out.send_data(data, false).map_err(io::Error::other)?;
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.finish();
        Poll::Ready(Ok(()))
    }
}
