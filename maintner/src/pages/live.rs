//! Tells browsers that there is something new.

use std::{collections::HashMap, convert::Infallible, time::Duration};

use axum::{
    extract::{Query, State},
    http::HeaderMap,
    response::sse::{Event, KeepAlive, Sse},
};
use futures_core::Stream;
use tokio::time::sleep;

use super::Pages;

/// At most one event in this time: pages are made anew for each.
const PACE: Duration = Duration::from_millis(500);

/// `GET /-/live?since=GENERATION`: an event when there is something newer than that, and for each
/// change from then on, as server-sent events. What came while a browser was away comes at once.
pub(super) async fn events(
    State(pages): State<Pages>,
    Query(params): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let corpus = pages.corpus;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let since = params.get("since").map(String::as_str);
    let generation = |text: &str| text.parse::<u64>().ok();
    let since = last
        .and_then(generation)
        .or_else(|| since.and_then(generation));
    let now = corpus.snapshot().generation();
    let seen = match since {
        // Of another run of this program, so anything may be new.
        Some(since) if since > now => now.saturating_sub(1),
        Some(since) => since,
        None => now,
    };
    let begin = (corpus, seen, Duration::ZERO);
    let events = futures_util::stream::unfold(begin, async |(corpus, seen, pause)| {
        sleep(pause).await;
        let newest = corpus.newer_than(seen).await?.generation().to_string();
        let event = Event::default().id(&newest).data(&newest);
        let seen = newest.parse().unwrap_or(seen);
        Some((Ok(event), (corpus, seen, PACE)))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}
