use std::{fs, net::TcpListener};

use tempfile::TempDir;

use super::*;
use crate::log::names;

/// A server that accepts requests and says nothing, and somebody who asks it.
fn fetcher(dir: &TempDir, listener: &TcpListener) -> Fetcher {
    let url = format!("http://{}/logs", listener.local_addr().unwrap());
    Fetcher {
        server: Server::new(Url::parse(&url).unwrap(), String::new()).unwrap(),
        cache: Cache {
            dir: dir.path().to_owned(),
        },
        verify: false,
        retry: Duration::from_secs(1),
        ahead: Mutex::default(),
    }
}

fn remote(fetcher: &Fetcher, number: u32, bytes: &[u8]) -> Remote {
    Remote {
        segment: Segment::of(number, bytes),
        url: fetcher.server.url.clone(),
        is_sealed: true,
    }
}

/// Fetches a segment that is all there, but not sealed, and asks ahead for `next`.
async fn fetch_first(fetcher: &Fetcher, next: &Remote) {
    let growing = fetcher.cache.dir.join(names::growing(0));
    fs::write(growing, "first").unwrap();
    let first = remote(fetcher, 0, b"first");
    fetcher.fetch(&first, None, Some(next)).await.unwrap();
}

fn asks_ahead(fetcher: &Fetcher) -> bool {
    fetcher.ahead.lock().unwrap().is_some()
}

#[tokio::test]
async fn nothing_is_asked_of_an_empty_segment() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let fetcher = fetcher(&dir, &listener);
    fetch_first(&fetcher, &remote(&fetcher, 1, b"")).await;
    assert!(!asks_ahead(&fetcher));
}

#[tokio::test]
async fn what_another_process_was_faster_with_is_not_waited_for() {
    for is_sealed in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let fetcher = fetcher(&dir, &listener);
        let next = remote(&fetcher, 1, b"next");
        fetch_first(&fetcher, &next).await;
        assert!(asks_ahead(&fetcher));
        let name = match is_sealed {
            true => names::sealed(&next.segment),
            false => names::growing(1),
        };
        fs::write(dir.path().join(name), "next").unwrap();
        let fetched = fetcher.fetch(&next, None, None).await.unwrap();
        assert!(matches!(fetched, Fetched::Sealed(bytes) if bytes == "next"));
        assert!(!asks_ahead(&fetcher));
    }
}
