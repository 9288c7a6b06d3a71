//! Asking the server of a log.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{Client, Response, StatusCode, Url, header};
use serde::Deserialize;

use crate::log::{Segment, Sha224Sum, SourceError};

/// The longest index that is read: 100,000 segments.
const MAX_INDEX: usize = 32 << 20;

/// Silence of the server that ends a request. It answers a request for news within 55 s.
const SILENCE: Duration = Duration::from_secs(90);

/// A segment, and where to find it.
#[derive(Debug, Clone)]
pub(super) struct Remote {
    pub(super) segment: Segment,
    pub(super) url: Url,
    pub(super) is_sealed: bool,
}

/// Why a request did not give what was asked for.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nobody was there.
    Offline(reqwest::Error),
    /// It may work later.
    Passing(Box<dyn std::error::Error + Send + Sync>),
    /// It will not.
    Fatal(SourceError),
}

/// A server's index.
#[derive(Debug)]
pub(super) enum Index {
    Segments(Vec<Remote>),
    /// The log still has the length that was told.
    Unchanged,
}

#[derive(Debug, Clone)]
pub(super) struct Server {
    client: Client,
    pub(super) url: Url,
    sealed_prefix: String,
}

#[derive(Deserialize)]
struct Entry {
    number: i64,
    size: i64,
    sha224: String,
    url: String,
    #[serde(default)]
    sealed: bool,
}

impl Server {
    pub(super) fn new(url: Url, sealed_prefix: String) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .connect_timeout(Duration::from_secs(30))
            .read_timeout(SILENCE)
            .build()?;
        Ok(Self {
            client,
            url,
            sealed_prefix,
        })
    }

    /// Asks for the segments; with `not_len`, as soon as the log has another length.
    pub(super) async fn index(&self, not_len: Option<u64>) -> Result<Index, Failure> {
        let mut url = self.url.clone();
        if let Some(len) = not_len {
            url.query_pairs_mut()
                .append_pair("waitsizenot", &len.to_string());
        }
        let response = self.client.get(url).send().await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED => return Ok(Index::Unchanged),
            status => return Err(self.unexpected(&self.url, status)),
        }
        let body = whole(response).await?;
        let entries: Vec<Entry> = serde_json::from_slice(&body)
            .map_err(|error| self.wrong(format!("its index is no list of segments: {error}")))?;
        let last = entries.len().saturating_sub(1);
        let remotes = entries.into_iter().enumerate();
        let remotes = remotes.map(|(at, entry)| self.remote(entry, at, at == last));
        Ok(Index::Segments(remotes.collect::<Result<_, _>>()?))
    }

    fn remote(&self, entry: Entry, at: usize, is_last: bool) -> Result<Remote, Failure> {
        let Some(number) = u32::try_from(entry.number)
            .ok()
            .filter(|n| *n as usize == at)
        else {
            return Err(self.wrong(format!(
                "its index has segment {} in place of {at}",
                entry.number
            )));
        };
        let size = u64::try_from(entry.size).map_err(|_| {
            self.wrong(format!(
                "its index says that segment {number} has {} bytes",
                entry.size
            ))
        })?;
        if size > u64::from(u32::MAX) {
            let segment = number;
            return Err(Failure::Fatal(SourceError::TooLarge { segment, size }));
        }
        let sha224 = Sha224Sum::from_hex(&entry.sha224)
            .ok_or_else(|| self.wrong(format!("its index has no digest of segment {number}")))?;
        let url = self.url.join(&entry.url).map_err(|error| {
            self.wrong(format!(
                "its index has a bad address of segment {number}: {error}"
            ))
        })?;
        Ok(Remote {
            segment: Segment {
                number,
                size,
                sha224,
            },
            url,
            is_sealed: entry.sealed || !is_last || entry.url.starts_with(&self.sealed_prefix),
        })
    }

    /// Asks for the bytes of a segment from `start` on, of which there is at least one. Gives the answer, and where it starts.
    pub(super) async fn segment(
        &self,
        remote: &Remote,
        start: u64,
    ) -> Result<(Response, u64), Failure> {
        let size = remote.segment.size;
        let range = format!("bytes={start}-{}", size - 1);
        let request = self
            .client
            .get(remote.url.clone())
            .header(header::RANGE, range);
        let response = request.send().await?;
        let starts_at = match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let range = response.headers().get(header::CONTENT_RANGE);
                let range = range.and_then(|range| range.to_str().ok());
                let first = range.and_then(|range| range.strip_prefix("bytes ")?.split_once('-'));
                match first {
                    None => start,
                    Some((first, _)) if first.parse() == Ok(start) => start,
                    Some(_) => return Err(Failure::Passing("answered with another range".into())),
                }
            }
            // A server that does not know ranges sends everything; one that does, but does not say
            // so, is known by the length.
            StatusCode::OK => match response.content_length() {
                Some(len) if start > 0 && len == size - start && len != size => start,
                _ => 0,
            },
            status => return Err(self.unexpected(&remote.url, status)),
        };
        Ok((response, starts_at))
    }

    fn unexpected(&self, url: &Url, status: StatusCode) -> Failure {
        if status.is_server_error() {
            return Failure::Passing(format!("it answered {status}").into());
        }
        Failure::Fatal(SourceError::Server {
            url: url.to_string(),
            reason: format!("it answered {status}"),
        })
    }

    fn wrong(&self, reason: String) -> Failure {
        Failure::Fatal(SourceError::Server {
            url: self.url.to_string(),
            reason,
        })
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        // The address is told by whoever tells of the failure.
        let error = error.without_url();
        if error.is_connect() {
            return Self::Offline(error);
        }
        Self::Passing(error.into())
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        Self::Fatal(error)
    }
}

/// All of an answer.
async fn whole(mut response: Response) -> Result<Bytes, Failure> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_INDEX {
            return Err(Failure::Passing(
                format!("its index is longer than {MAX_INDEX} bytes").into(),
            ));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
