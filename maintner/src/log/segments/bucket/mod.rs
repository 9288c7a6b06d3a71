//! A leader's segments in an object store.

mod cache;
mod head;
mod objects;
mod open;
mod place;

use std::{path::PathBuf, sync::Arc, time::Duration};

use object_store::{ObjectStore, path::Path};
use tokio::runtime::Handle;

use self::{cache::Cache, objects::Objects, place::Led};
use super::{Feed, OpenError, SegmentOptions};

/// A place in an object store for the log of one leader: `SegmentLog::open_bucket` opens it.
///
/// The store must be able to replace an object on condition that it is still the one that was
/// read. Those of Amazon, Google and Microsoft are, as are many that speak the same protocols;
/// `object_store`'s `LocalFileSystem` is not.
///
/// | object | is |
/// |---|---|
/// | `NNNN.<sha224>.mutlog` | a sealed segment, as the original has it; it never changes |
/// | `log.head` | the list of the segments, who leads, and the newest records |
/// | `NNNN.growing.E-N` | records of the segment that grows, when they are many: write N of leader E |
///
/// Every append replaces `log.head`, and only what it replaced is seen by readers. A leader that
/// has not seen the newest one fails to, so there is never more than one that writes: whoever comes
/// last. Objects that nobody needs any more are removed.
///
/// Stores limit how often an object is replaced: Google's to about once a second. What they refuse
/// (429, 503) is tried again, after longer and longer waits. Appends that wait meanwhile, those of
/// clones of the log, go out in one write; one after the other, each takes as long as the store
/// wants. A [`Leader`](crate::leader::Leader) appends what has piled up, and never gives up.
///
/// When the log is closed, the segment that grows becomes a `NNNN.<sha224>.mutlog`, too. Then the
/// original's programs have all of the log in the bucket, and may go on with it; to come back after
/// that, remove `log.head`.
///
/// Remove it only then. Of a leader that was killed it has the newest records, and it alone knows the
/// objects with those before: without it, all that was not sealed is gone, though followers have seen
/// it. They are told of a split.
///
/// ```
/// use std::sync::Arc;
/// use bytes::Bytes;
/// use maintner::log::{Bucket, SegmentLog, SegmentOptions, Sink, object_store::memory::InMemory};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Arc::new(InMemory::new());
/// let bucket = Bucket::new(store, "logs/go");
/// let mut log = SegmentLog::open_bucket(bucket, SegmentOptions::default()).await?;
/// log.append(&[Bytes::new()]).await?;
/// log.close().await;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Bucket {
    objects: Objects,
    cache: Cache,
}

/// Why there is no [`Bucket`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BucketError {
    /// The address is none.
    #[error("{url:?} is no address of a bucket; it looks like s3://bucket/folder")]
    Url {
        /// The address.
        url: String,
    },
    /// The store cannot be used as it is configured, or is not compiled in.
    #[error("cannot use {url} as a bucket")]
    Store {
        /// The address.
        url: String,
        /// What is wrong.
        #[source]
        source: object_store::Error,
    },
}

impl Bucket {
    /// The objects of `store` whose names begin with the folder `prefix`, which may be empty.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: &str) -> Self {
        Self {
            objects: Objects {
                store,
                prefix: Path::from(prefix),
                retry: Duration::from_secs(1),
            },
            cache: Cache::default(),
        }
    }

    /// The bucket at an address: `s3://bucket/folder` (feature `s3`), `gs://bucket/folder`
    /// (feature `gcs`), `az://container/folder` (feature `azure`), `memory:///`.
    ///
    /// `options` are the store's, by the names that the crate `object_store` gives them, such as
    /// `aws_access_key_id`, in any case; names that it does not know are left alone. So
    /// all environment variables may be passed.
    ///
    /// # Errors
    /// See [`BucketError`]. Nothing is asked of the store yet.
    pub fn from_url(
        url: &str,
        options: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, BucketError> {
        let parsed = url.parse().ok();
        let parsed = parsed.ok_or_else(|| BucketError::Url { url: url.into() })?;
        let store = object_store::parse_url_opts(&parsed, options);
        let (store, prefix) = store.map_err(|source| BucketError::Store {
            url: url.into(),
            source,
        })?;
        Ok(Self::new(store.into(), prefix.as_ref()))
    }

    /// Keeps copies of the sealed segments in the directory `dir`, under their names, and maps them
    /// from there: nothing is fetched twice, and segments take no memory. Without it, all of the
    /// log is in memory.
    ///
    /// It must be a directory for this log's copies only: they have the names of a
    /// [`LocalDir`](crate::log::LocalDir)'s segments, and it is not locked. A log that were there
    /// would be mixed with them.
    #[must_use]
    pub fn cache(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cache = Cache::in_dir(dir.into());
        self
    }

    /// The wait after a first failure; each one after that is twice as long, and the fifth failure
    /// is told. Default one second. For tests.
    #[must_use]
    pub fn retry(mut self, first: Duration) -> Self {
        self.objects.retry = first;
        self
    }

    /// Takes the log over and shows it in `feed`. Blocks.
    pub(super) fn open(
        self,
        options: &SegmentOptions,
        feed: &Feed,
        runtime: Handle,
    ) -> Result<Led, OpenError> {
        let led = runtime.clone();
        runtime.block_on(open::open(self.objects, self.cache, options, feed, led))
    }
}
