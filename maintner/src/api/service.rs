use std::{sync::Mutex, time::Duration};

use tokio::time::Instant;
use tonic::{Code, Request, Response, Status};

use super::{
    apipb::{
        DashboardRequest, DashboardResponse, GetRefRequest, GetRefResponse, GoFindTryWorkRequest,
        GoFindTryWorkResponse, HasAncestorRequest, HasAncestorResponse, ListGoReleasesRequest,
        ListGoReleasesResponse,
        maintner_service_server::{MaintnerService, MaintnerServiceServer},
    },
    dashboard::{DashboardError, dashboard},
    releases::{GO_SERVER, releases_of},
    try_work::{NoReviews, Reviews, work_item},
};
use crate::corpus::{Corpus, Hash, Snapshot};

/// How long an answer about try work is given again without asking Gerrit.
const TRY_WORK_AGE: Duration = Duration::from_secs(15);
/// How long Gerrit may take.
const TRY_WORK_DEADLINE: Duration = Duration::from_secs(10);

/// The service `apipb.MaintnerService` over a corpus.
///
/// [`into_server`](Self::into_server) makes a `tower` service of it, for the path `/apipb.MaintnerService/*`
/// of any router.
#[derive(Debug)]
pub struct Service<R = NoReviews> {
    corpus: Corpus,
    reviews: R,
    /// The last answer about try work.
    last: Mutex<Option<TryWork>>,
    /// Gerrit is asked by one request at a time.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone)]
struct TryWork {
    found: Instant,
    label_changes: u64,
    response: GoFindTryWorkResponse,
}

impl Service {
    /// Answers from `corpus`. `GoFindTryWork` fails: that takes a Gerrit to ask.
    pub fn new(corpus: Corpus) -> Self {
        Self::with_reviews(corpus, NoReviews)
    }
}

impl<R: Reviews> Service<R> {
    /// Answers from `corpus`, and asks `reviews` what is not in it.
    pub fn with_reviews(corpus: Corpus, reviews: R) -> Self {
        Self {
            corpus,
            reviews,
            last: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// What serves it.
    pub fn into_server(self) -> MaintnerServiceServer<Self> {
        MaintnerServiceServer::new(self)
    }

    /// The last answer about try work, if it is still good.
    fn known_try_work(&self, label_changes: u64) -> Option<GoFindTryWorkResponse> {
        let last = self
            .last
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let last = last.as_ref()?;
        let is_good = last.label_changes == label_changes || last.found.elapsed() < TRY_WORK_AGE;
        is_good.then(|| last.response.clone())
    }

    async fn find_try_work(&self, snapshot: &Snapshot) -> Result<GoFindTryWorkResponse, Status> {
        let gerrit = snapshot.gerrit();
        let go = gerrit.project(GO_SERVER, "go");
        let go = go.ok_or_else(|| Status::unknown(DashboardError::NoGo.to_string()))?;
        let supported = releases_of(go).map_err(unknown)?;
        let mut waiting = Vec::new();
        for change in self.reviews.waiting().await.map_err(unknown)? {
            let project = gerrit.project(GO_SERVER, &change.project);
            if project
                .and_then(|project| project.cl(change.number))
                .is_none()
            {
                tracing::warn!(
                    project = change.project,
                    number = change.number,
                    "a change that waits for a try run is not in the corpus yet"
                );
                continue;
            }
            let comments = self.reviews.comments(&change.project, change.number).await;
            match work_item(gerrit, &supported, &change, &comments.map_err(unknown)?) {
                Ok(item) => waiting.push(item),
                Err(error) => {
                    tracing::warn!(number = change.number, %error, "passed over a try run");
                }
            }
        }
        waiting.sort_by(|a, b| a.commit.cmp(&b.commit));
        Ok(GoFindTryWorkResponse { waiting })
    }
}

/// The original gives most errors no code, which Go's gRPC sends as Unknown.
fn unknown(error: impl std::error::Error) -> Status {
    Status::unknown(error.to_string())
}

fn label_changes(snapshot: &Snapshot) -> u64 {
    let projects = snapshot.gerrit().projects();
    let ours = projects.filter(|project| project.server() == GO_SERVER);
    ours.map(|project| project.num_label_changes()).sum()
}

#[tonic::async_trait]
impl<R: Reviews> MaintnerService for Service<R> {
    async fn has_ancestor(
        &self,
        request: Request<HasAncestorRequest>,
    ) -> Result<Response<HasAncestorResponse>, Status> {
        let request = request.into_inner();
        if request.commit.len() != 40 {
            return Err(Status::unknown("invalid Commit"));
        }
        if request.ancestor.len() != 40 {
            return Err(Status::unknown("invalid Ancestor"));
        }
        let snapshot = self.corpus.snapshot();
        let commit = |name: &str| snapshot.commits().get(Hash::parse(name)?);
        let response = match (commit(&request.commit), commit(&request.ancestor)) {
            (None, _) => HasAncestorResponse {
                unknown_commit: true,
                has_ancestor: false,
            },
            (Some(commit), ancestor) => HasAncestorResponse {
                unknown_commit: false,
                has_ancestor: ancestor.is_some_and(|ancestor| commit.has_ancestor(&ancestor)),
            },
        };
        Ok(Response::new(response))
    }

    async fn get_ref(
        &self,
        request: Request<GetRefRequest>,
    ) -> Result<Response<GetRefResponse>, Status> {
        let request = request.into_inner();
        let snapshot = self.corpus.snapshot();
        let gerrit = snapshot.gerrit();
        let project = gerrit.project(&request.gerrit_server, &request.gerrit_project);
        let project = project.ok_or_else(|| Status::unknown("unknown gerrit project"))?;
        let value = project.reference(&request.r#ref);
        Ok(Response::new(GetRefResponse {
            value: value.map_or_else(String::new, |commit| commit.name().to_string()),
        }))
    }

    async fn go_find_try_work(
        &self,
        _request: Request<GoFindTryWorkRequest>,
    ) -> Result<Response<GoFindTryWorkResponse>, Status> {
        let _one = self.asking.lock().await;
        let snapshot = self.corpus.snapshot();
        let label_changes = label_changes(&snapshot);
        if let Some(response) = self.known_try_work(label_changes) {
            return Ok(Response::new(response));
        }
        let found = Instant::now();
        let response = tokio::time::timeout(TRY_WORK_DEADLINE, self.find_try_work(&snapshot));
        let response = response
            .await
            .map_err(|_| Status::deadline_exceeded("gerrit took over 10 seconds"))??;
        let mut last = self
            .last
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        *last = Some(TryWork {
            found,
            label_changes,
            response: response.clone(),
        });
        Ok(Response::new(response))
    }

    async fn list_go_releases(
        &self,
        _request: Request<ListGoReleasesRequest>,
    ) -> Result<Response<ListGoReleasesResponse>, Status> {
        let snapshot = self.corpus.snapshot();
        let go = snapshot.gerrit().project(GO_SERVER, "go");
        let go = go.ok_or_else(|| Status::unknown(DashboardError::NoGo.to_string()))?;
        let releases = releases_of(go).map_err(unknown)?;
        Ok(Response::new(ListGoReleasesResponse {
            releases: releases.into(),
        }))
    }

    async fn get_dashboard(
        &self,
        request: Request<DashboardRequest>,
    ) -> Result<Response<DashboardResponse>, Status> {
        let snapshot = self.corpus.snapshot();
        let response = dashboard(snapshot.gerrit(), request.get_ref());
        let response = response.map_err(|error| Status::new(code(&error), error.to_string()))?;
        Ok(Response::new(response))
    }
}

fn code(error: &DashboardError) -> Code {
    match error {
        DashboardError::Repo(_) | DashboardError::Project(_) | DashboardError::Branch(_) => {
            Code::NotFound
        }
        DashboardError::MaxCommits | DashboardError::TooFewForBranches(_) => Code::InvalidArgument,
        DashboardError::NoGo
        | DashboardError::Page
        | DashboardError::MixedPages
        | DashboardError::TooFarBack
        | DashboardError::Releases(_) => Code::Unknown,
    }
}
