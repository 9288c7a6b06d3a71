//! A store that fails on purpose.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use futures_util::{
    StreamExt, TryStreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use maintner::log::object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    memory::InMemory, path::Path,
};

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing is done.
    Before,
    /// It is done, but nobody is told.
    Lost,
    /// The client is told that it failed; it is done just before the next call but one.
    Late,
    /// The store cannot do that.
    Unsupported,
    /// From then on nothing is written.
    ReadOnly,
    /// From then on nothing works, and nothing of this call is done.
    Dead,
    /// From then on nothing works, but this call is done.
    DeadAfter,
}

/// One client's view of a store. Others see the same objects.
#[derive(Clone)]
pub(crate) struct Faulty {
    pub(crate) store: Arc<InMemory>,
    state: Arc<Mutex<State>>,
}

type Hook = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

#[derive(Default)]
struct State {
    calls: usize,
    fault: Option<(usize, Fault)>,
    hook: Option<(usize, Hook)>,
    dead: bool,
    read_only: bool,
    /// How often an object that is replaced is refused first, and how often it was since.
    busy: (u32, u32),
    /// A call that is still under way, and before which call it arrives.
    late: Option<(usize, Put)>,
}

type Put = (Path, PutPayload, PutOptions);

enum Now {
    Go,
    Fail(Fault),
}

impl Faulty {
    pub(crate) fn over(store: &Arc<InMemory>) -> Self {
        Self {
            store: Arc::clone(store),
            state: Arc::default(),
        }
    }

    pub(crate) fn fail(self, call: usize, fault: Fault) -> Self {
        self.state.lock().unwrap().fault = Some((call, fault));
        self
    }

    /// Does something before a call.
    pub(crate) fn before(
        self,
        call: usize,
        hook: impl FnOnce() -> BoxFuture<'static, ()> + Send + 'static,
    ) -> Self {
        self.state.lock().unwrap().hook = Some((call, Box::new(hook)));
        self
    }

    /// Refuses to replace an object so often each time, as stores do when it is replaced too often.
    pub(crate) fn busy(self, times: u32) -> Self {
        self.state.lock().unwrap().busy = (times, 0);
        self
    }

    /// Works again.
    pub(crate) fn revive(&self) {
        self.state.lock().unwrap().dead = false;
    }

    pub(crate) fn calls(&self) -> usize {
        self.state.lock().unwrap().calls
    }

    async fn call(&self) -> Result<Now> {
        let (call, late, hook) = {
            let mut state = self.state.lock().unwrap();
            state.calls += 1;
            let call = state.calls;
            let late = state.late.take_if(|(at, _)| *at <= call);
            let hook = state.hook.take_if(|(at, _)| *at == call);
            (call, late, hook)
        };
        if let Some((_, (path, payload, options))) = late {
            // Nobody hears of it.
            let _ = self.store.put_opts(&path, payload, options).await;
        }
        if let Some((_, hook)) = hook {
            hook().await;
        }
        let mut state = self.state.lock().unwrap();
        if state.dead {
            return Err(broken());
        }
        Ok(match state.fault {
            Some((at, fault)) if at == call => {
                state.dead = matches!(fault, Fault::Dead | Fault::DeadAfter);
                state.read_only = fault == Fault::ReadOnly;
                Now::Fail(fault)
            }
            _ => Now::Go,
        })
    }

    fn is_busy(&self, options: &PutOptions) -> bool {
        let (times, refused) = &mut self.state.lock().unwrap().busy;
        let is_busy = matches!(options.mode, PutMode::Update(_)) && refused < times;
        *refused = if is_busy { *refused + 1 } else { 0 };
        is_busy
    }

    async fn wrap<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        match self.call().await? {
            Now::Go => work.await,
            Now::Fail(Fault::Before | Fault::Dead | Fault::Late | Fault::ReadOnly) => Err(broken()),
            Now::Fail(Fault::Unsupported) => Err(unsupported()),
            Now::Fail(Fault::Lost | Fault::DeadAfter) => {
                let _ = work.await;
                Err(broken())
            }
        }
    }
}

fn broken() -> Error {
    Error::Generic {
        store: "faulty",
        source: "no answer".into(),
    }
}

fn unsupported() -> Error {
    Error::NotImplemented {
        operation: "this".into(),
        implementer: "faulty".into(),
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let late = (path.clone(), payload.clone(), options.clone());
        match self.call().await? {
            Now::Go if self.state.lock().unwrap().read_only => Err(broken()),
            Now::Go if self.is_busy(&options) => Err(Error::Generic {
                store: "faulty",
                source: "429 Too Many Requests".into(),
            }),
            Now::Go => self.store.put_opts(path, payload, options).await,
            Now::Fail(Fault::Before | Fault::Dead | Fault::ReadOnly) => Err(broken()),
            Now::Fail(Fault::Unsupported) => Err(unsupported()),
            Now::Fail(Fault::Late) => {
                let mut state = self.state.lock().unwrap();
                state.late = Some((state.calls + 2, late));
                Err(broken())
            }
            Now::Fail(Fault::Lost | Fault::DeadAfter) => {
                let _ = self.store.put_opts(path, payload, options).await;
                Err(broken())
            }
        }
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.wrap(self.store.put_multipart_opts(path, options))
            .await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.wrap(self.store.get_opts(path, options)).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let client = self.clone();
        let deleted = async move {
            let store = Arc::clone(&client.store);
            let all = async move { store.delete_stream(paths).try_collect::<Vec<_>>().await };
            match client.wrap(all).await {
                Ok(paths) => paths.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            }
        };
        stream::once(deleted).flat_map(stream::iter).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.wrap(self.store.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.wrap(self.store.copy_opts(from, to, options)).await
    }
}
