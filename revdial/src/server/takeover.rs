//! How a handler asks for the raw connection.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use http::{Response, StatusCode};

use crate::Stream;

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;
/// What runs once the connection is free.
pub(super) type Start = Box<dyn FnOnce(Stream) -> Running + Send>;

/// Travels in the response's extensions, which demand `Clone`.
#[derive(Clone)]
struct Takeover(Arc<Mutex<Option<Start>>>);

impl fmt::Debug for Takeover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Takeover")
    }
}

/// A `101 Switching Protocols`. Once it is on the wire, `f` gets the connection, bytes that were
/// read ahead included, and its future is run by [`serve_connection`](super::serve_connection).
///
/// Header fields may be added to the response. When it never reaches the wire, `f` is dropped
/// without being called. Middleware must pass the response's extensions on.
pub fn switching_protocols<B, F, Fut>(f: F) -> Response<B>
where
    B: Default,
    F: FnOnce(Stream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let start: Start = Box::new(move |stream| Box::pin(f(stream)));
    let mut response = Response::new(B::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response
        .extensions_mut()
        .insert(Takeover(Arc::new(Mutex::new(Some(start)))));
    response
}

/// Takes what [`switching_protocols`] put into `response`, if it still is a 101.
pub(super) fn take<B>(response: &mut Response<B>) -> Option<Start> {
    let takeover = response.extensions_mut().remove::<Takeover>()?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return None;
    }
    takeover
        .0
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take()
}
