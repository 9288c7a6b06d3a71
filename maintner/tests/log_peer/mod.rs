//! A log server on this machine that fails when told to.
#![allow(dead_code, reason = "not every test needs all of it")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use maintner::log::{Feed, server::LogServer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
    task::JoinHandle,
};
use tower::ServiceExt;

/// What to do with a request instead of answering it.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    None,
    Status(u16),
    /// Answer with this, and 200.
    Say(String),
    /// Break the connection after so many bytes of the answer.
    Cut(usize),
    /// End the answer, properly, after so many bytes.
    Short(usize),
    /// Send everything, whatever range was asked for.
    IgnoreRange,
    /// Answer to a range as if it were everything.
    RangeWithout206,
    /// Change the last byte.
    Corrupt,
    /// Answer when told to.
    Hold(Arc<Notify>),
    /// Break the connection, and all others from then on.
    GoAway,
}

#[derive(Clone)]
pub(crate) struct Peer {
    router: watch::Sender<Router>,
    requests: Arc<Mutex<Vec<String>>>,
    index_faults: Arc<Mutex<VecDeque<Fault>>>,
    segment_faults: Arc<Mutex<VecDeque<Fault>>>,
    pub(crate) url: String,
    is_gone: Arc<AtomicBool>,
    task: Arc<JoinHandle<()>>,
}

impl Peer {
    pub(crate) async fn serve(feed: &Feed) -> Self {
        Self::serve_as(LogServer::new(feed.clone())).await
    }

    pub(crate) async fn serve_as(server: LogServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/logs", listener.local_addr().unwrap());
        let mut peer = Self {
            router: watch::Sender::new(server.router()),
            requests: Arc::default(),
            index_faults: Arc::default(),
            segment_faults: Arc::default(),
            url,
            is_gone: Arc::default(),
            task: Arc::new(tokio::spawn(async {})),
        };
        let app = Router::new().fallback(answer).with_state(peer.clone());
        peer.task = Arc::new(tokio::spawn(async {
            axum::serve(listener, app).await.unwrap();
        }));
        peer
    }

    /// Has another log from now on.
    pub(crate) fn change_log(&self, feed: &Feed) {
        let _old = self
            .router
            .send_replace(LogServer::new(feed.clone()).router());
    }

    pub(crate) fn fail_index(&self, faults: impl IntoIterator<Item = Fault>) {
        self.index_faults.lock().unwrap().extend(faults);
    }

    pub(crate) fn fail_segments(&self, faults: impl IntoIterator<Item = Fault>) {
        self.segment_faults.lock().unwrap().extend(faults);
    }

    /// The requests since the last call: the path, and the range asked for.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }

    pub(crate) fn segment_requests(&self) -> Vec<String> {
        let mut requests = self.requests();
        requests.retain(|request| request.starts_with("/logs/"));
        requests
    }

    /// Nobody is there any more.
    pub(crate) async fn stop(&self) {
        self.task.abort();
        let address = self.url["http://".len()..].trim_end_matches("/logs");
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }
}

async fn answer(State(peer): State<Peer>, mut request: Request) -> Response {
    let target = request.uri().path_and_query().unwrap().to_string();
    let is_segment = target.starts_with("/logs/");
    let range = request.headers().get(header::RANGE);
    let range = range.map_or(String::new(), |range| {
        format!(" {}", range.to_str().unwrap())
    });
    let path = target.split("?sha224=").next().unwrap();
    peer.requests.lock().unwrap().push(format!("{path}{range}"));
    let faults = if is_segment {
        &peer.segment_faults
    } else {
        &peer.index_faults
    };
    let fault = faults.lock().unwrap().pop_front().unwrap_or(Fault::None);
    if matches!(fault, Fault::GoAway) {
        peer.is_gone.store(true, Ordering::Relaxed);
    }
    let is_gone = peer.is_gone.load(Ordering::Relaxed);
    let fault = if is_gone { Fault::Cut(0) } else { fault };
    match &fault {
        Fault::Status(status) => return StatusCode::from_u16(*status).unwrap().into_response(),
        Fault::Say(text) => return text.clone().into_response(),
        Fault::IgnoreRange => drop(request.headers_mut().remove(header::RANGE)),
        _ => {}
    }
    if let Fault::Hold(until) = &fault {
        until.notified().await;
    }
    let mut router = peer.router.subscribe();
    let response = loop {
        let app = router.borrow_and_update().clone();
        let mut again = Request::new(Body::empty());
        *again.uri_mut() = request.uri().clone();
        *again.headers_mut() = request.headers().clone();
        tokio::select! {
            response = app.oneshot(again) => break response.unwrap(),
            _ = router.changed() => {}
        }
    };
    let (mut head, body) = response.into_parts();
    let mut body = body.collect().await.unwrap().to_bytes();
    match fault {
        Fault::Cut(at) => {
            let begin = body.split_to(at.min(body.len()));
            // What comes before the end is on its way first.
            let end = stream::once(async {
                tokio::task::yield_now().await;
                Err(io::Error::other("cut"))
            });
            let pieces = stream::once(async { Ok(begin) }).chain(end);
            return Response::from_parts(head, Body::from_stream(pieces));
        }
        Fault::Short(at) => {
            head.headers.remove(header::CONTENT_LENGTH);
            body.truncate(at);
        }
        Fault::RangeWithout206 => {
            head.status = StatusCode::OK;
            head.headers.remove(header::CONTENT_RANGE);
        }
        Fault::Corrupt => {
            let mut bytes = body.to_vec();
            *bytes.last_mut().unwrap() ^= 1;
            body = Bytes::from(bytes);
        }
        _ => {}
    }
    Response::from_parts(head, Body::from(body))
}
