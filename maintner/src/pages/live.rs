//! Tells browsers that there is something new.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
};
use futures_core::Stream;
use tokio::time::sleep;

use super::Pages;

/// At most one event in this time: pages are made anew for each.
const PACE: Duration = Duration::from_millis(500);

/// `GET /-/live`: an event for each change, as server-sent events.
pub(super) async fn events(
    State(pages): State<Pages>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let corpus = pages.corpus;
    let seen = corpus.snapshot().generation();
    let events = futures_util::stream::unfold((corpus, seen), async |(corpus, seen)| {
        let newest = corpus.newer_than(seen).await?.generation();
        sleep(PACE).await;
        let event = Event::default().data(newest.to_string());
        Some((Ok(event), (corpus, newest)))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}
