//! Requests to the store, tried again if they fail in passing.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::{
    Attribute, AttributeValue, Attributes, Error, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode,
    PutOptions, PutPayload, Result, UpdateVersion, path::Path,
};

/// How often a request is tried, as in the original.
pub(super) const TRIES: u32 = 5;

/// Objects whose names begin with the same folder.
#[derive(Debug, Clone)]
pub(super) struct Objects {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) prefix: Path,
    /// The wait after a first failure.
    pub(super) retry: Duration,
}

impl Objects {
    fn path(&self, name: &str) -> Path {
        self.prefix.clone().join(name)
    }

    /// All of an object, which has at most `limit` bytes, and which version of it this is.
    pub(super) async fn get(&self, name: &str, limit: u64) -> Result<(Bytes, UpdateVersion)> {
        self.again(async || self.get_once(name, limit).await).await
    }

    pub(super) async fn get_once(&self, name: &str, limit: u64) -> Result<(Bytes, UpdateVersion)> {
        let found = self.store.get(&self.path(name)).await?;
        let ObjectMeta {
            size,
            e_tag,
            version,
            ..
        } = found.meta.clone();
        if size > limit {
            return Err(Error::Generic {
                store: "bucket",
                source: TooLong { size, limit }.into(),
            });
        }
        Ok((found.bytes().await?, UpdateVersion { e_tag, version }))
    }

    /// Writes an object whose bytes are always the same.
    pub(super) async fn put(
        &self,
        name: &str,
        parts: impl IntoIterator<Item = Bytes>,
    ) -> Result<()> {
        let payload = PutPayload::from_iter(parts);
        self.again(async || {
            self.put_once(name, payload.clone(), PutMode::Overwrite)
                .await
        })
        .await
        .map(drop)
    }

    /// Writes an object, or not: a lost answer is an error.
    pub(super) async fn put_once(
        &self,
        name: &str,
        payload: PutPayload,
        mode: PutMode,
    ) -> Result<UpdateVersion> {
        let content_type = AttributeValue::from("application/octet-stream");
        let options = PutOptions {
            mode,
            attributes: Attributes::from_iter([(Attribute::ContentType, content_type)]),
            ..Default::default()
        };
        let path = self.path(name);
        let put = self.store.put_opts(&path, payload, options).await;
        put.map(Into::into)
    }

    /// The objects in the folder itself, with their names in it.
    pub(super) async fn list(&self) -> Result<Vec<(String, ObjectMeta)>> {
        let prefix = (!self.prefix.is_root()).then_some(&self.prefix);
        let listed = self.again(async || self.store.list_with_delimiter(prefix).await);
        let named = |object: ObjectMeta| {
            let name = object.location.filename()?.to_owned();
            Some((name, object))
        };
        Ok(listed
            .await?
            .objects
            .into_iter()
            .filter_map(named)
            .collect())
    }

    /// Removes objects; those that could not be removed are left in `names`.
    pub(super) async fn remove(&self, names: &mut Vec<String>) {
        if names.is_empty() {
            return;
        }
        let paths: Vec<_> = names.iter().map(|name| Ok(self.path(name))).collect();
        let removed = self.store.delete_stream(stream::iter(paths).boxed());
        let gone = |removed| match removed {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        };
        match removed.map(gone).try_collect::<()>().await {
            Ok(()) => names.clear(),
            Err(error) => tracing::debug!(%error, "objects that nobody needs are left"),
        }
    }

    /// Does it again if it fails and may work later.
    async fn again<T>(&self, request: impl AsyncFn() -> Result<T>) -> Result<T> {
        let mut failures = 0;
        loop {
            match request().await {
                Err(error) if failures + 1 < TRIES && may_pass(&error) => {
                    self.pause(&error, failures).await;
                    failures += 1;
                }
                ended => return ended,
            }
        }
    }

    /// Waits after a failure: 1, 2, 4, 8 s.
    pub(super) async fn pause(&self, error: &Error, failures: u32) {
        tracing::debug!(%error, "the bucket did not do it; trying again");
        tokio::time::sleep(self.retry * 2_u32.pow(failures)).await;
    }
}

pub(super) fn may_pass(error: &Error) -> bool {
    match error {
        Error::Generic { source, .. } => !source.is::<TooLong>(),
        Error::Precondition { .. } => true,
        _ => false,
    }
}

/// An object is not what is looked for.
#[derive(Debug, thiserror::Error)]
#[error("it has {size} bytes, more than {limit}")]
struct TooLong {
    size: u64,
    limit: u64,
}
