//! A corpus in a browser (feature `pages`): repositories, issues, projects, changes, commits, search.
//!
//! | path | page |
//! |---|---|
//! | `/` | all repositories and projects |
//! | `/owner/repo`, `/owner/repo/123` | a repository on GitHub, an issue or a pull request of it |
//! | `/host/project`, `/host/project/123` | a project of Gerrit or git, a change of it |
//! | `/host/project/log/REF`, `/host/project/commit/HASH` | commits of a branch, one commit |
//! | `/-/commit/HASH` | a commit of no project |
//! | `/search?q=…` | what a [query](crate::corpus::query) asks for: issues, changes, commits |
//! | `/-/syntax` | what can be asked |
//!
//! Pages are made by the server from the newest snapshot and work without scripts; with them, times
//! are in the reader's words and pages follow what happens. Everything they need is in the program.
//!
//! ```
//! use maintner::{corpus::Writer, pages::Pages};
//!
//! let router: axum::Router = Pages::new(Writer::new().corpus()).title("my history").router();
//! ```

mod assets;
mod change;
mod commit;
mod error;
mod github;
mod home;
mod links;
mod live;
mod names;
mod project;
mod search;
#[cfg(test)]
mod tests;
mod words;

use std::{collections::HashMap, sync::Arc};

use askama::Template;
use axum::{
    Router,
    extract::{Path, Query, Request, State},
    http::{HeaderValue, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::get,
};

use crate::corpus::{Corpus, Project, Snapshot};
use error::Fault;

/// Makes pages of a corpus.
#[derive(Debug, Clone)]
pub struct Pages {
    corpus: Corpus,
    title: Arc<str>,
    log: bool,
}

/// How far one can leaf.
const MAX_FROM: usize = 10_000_000;

type Params = Query<HashMap<String, String>>;

impl Pages {
    /// Pages of a corpus.
    pub fn new(corpus: Corpus) -> Self {
        Self {
            corpus,
            title: "maintner".into(),
            log: false,
        }
    }

    /// What stands at the top of each page. Default `maintner`.
    #[must_use]
    pub fn title(mut self, title: impl Into<Arc<str>>) -> Self {
        self.title = title.into();
        self
    }

    /// Says that the log itself is served beside the pages, under `/logs`.
    #[must_use]
    pub fn with_log(mut self) -> Self {
        self.log = true;
        self
    }

    /// The routes.
    pub fn router<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        Router::new()
            .route("/", get(home))
            .route("/search", get(search))
            .route("/-/pages.css", get(assets::css))
            .route("/-/pages.js", get(assets::js))
            .route("/-/syntax", get(syntax))
            .route("/-/live", get(live::events))
            .route("/-/commit/{name}", get(commit))
            .route("/{*path}", get(any))
            .layer(middleware::from_fn(secure))
            .with_state(self)
    }

    /// Makes a page of the newest snapshot, on a thread that may take its time.
    async fn page<T: Template>(
        self,
        make: impl FnOnce(&Snapshot, Base) -> Result<T, Fault> + Send + 'static,
    ) -> Response {
        let made = tokio::task::spawn_blocking(move || {
            let snapshot = self.corpus.snapshot();
            let base = || Base::new(&self, &snapshot);
            let made = make(&snapshot, base()).and_then(|page| Ok(page.render()?));
            made.map(|page| Html(page).into_response())
                .unwrap_or_else(|fault| fault.page(base()))
        });
        made.await
            .unwrap_or_else(|error| Fault::from(error).into_response())
    }
}

/// What all pages have in common.
struct Base {
    title: String,
    site: Arc<str>,
    query: String,
    version: &'static str,
    generation: u64,
    log: bool,
}

impl Base {
    fn new(pages: &Pages, snapshot: &Snapshot) -> Self {
        Self {
            title: pages.title.to_string(),
            site: Arc::clone(&pages.title),
            query: String::new(),
            version: assets::version(),
            generation: snapshot.generation(),
            log: pages.log,
        }
    }

    fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }
}

async fn home(State(pages): State<Pages>) -> Response {
    pages.page(home::page).await
}

async fn search(State(pages): State<Pages>, Query(params): Params) -> Response {
    pages
        .page(move |snapshot, base| Ok(search::page(snapshot, base, &params)))
        .await
}

async fn syntax(State(pages): State<Pages>) -> Response {
    pages.page(|_, base| Ok(search::syntax(base))).await
}

async fn commit(State(pages): State<Pages>, Path(name): Path<String>) -> Response {
    pages
        .page(move |snapshot, base| commit::page(snapshot, None, base, &name))
        .await
}

/// Everything that is named by what is in the corpus.
async fn any(
    State(pages): State<Pages>,
    Path(path): Path<String>,
    Query(params): Params,
) -> Response {
    let snapshot = pages.corpus.snapshot();
    let path = path.trim_end_matches('/').to_owned();
    let parts: Vec<&str> = path.split('/').collect();
    if let [owner, name, ref rest @ ..] = parts[..]
        && snapshot.github().repo(owner, name).is_some()
    {
        let number = match rest {
            [] => None,
            [number] => match number.parse::<i32>() {
                Ok(number) => Some(number),
                Err(_) => return not_found(&pages, &path),
            },
            _ => return not_found(&pages, &path),
        };
        let (owner, name) = (owner.to_owned(), name.to_owned());
        return match number {
            None => {
                pages
                    .page(move |snapshot, base| {
                        github::repo(snapshot, base, &owner, &name, &params)
                    })
                    .await
            }
            Some(number) => {
                pages
                    .page(move |snapshot, base| {
                        github::issue(snapshot, base, &owner, &name, number)
                    })
                    .await
            }
        };
    }
    // The name of a project may have any number of parts.
    for split in (2..=parts.len()).rev() {
        let (server, project) = (parts[0], parts[1..split].join("/"));
        if snapshot.gerrit().project(server, &project).is_none() {
            continue;
        }
        let place = Place {
            server: server.to_owned(),
            project,
        };
        let rest: Vec<String> = parts[split..].iter().map(|&part| part.to_owned()).collect();
        return of_project(pages, &path, place, rest, params).await;
    }
    not_found(&pages, &path)
}

async fn of_project(
    pages: Pages,
    path: &str,
    place: Place,
    rest: Vec<String>,
    params: HashMap<String, String>,
) -> Response {
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    match rest[..] {
        [] => {
            pages
                .page(move |snapshot, base| {
                    project::page(snapshot, place.find(snapshot)?, base, &params)
                })
                .await
        }
        ["commit", name] => {
            let name = name.to_owned();
            pages
                .page(move |snapshot, base| {
                    commit::page(snapshot, Some(place.find(snapshot)?), base, &name)
                })
                .await
        }
        ["log", ref name @ ..] if !name.is_empty() => {
            let name = name.join("/");
            pages
                .page(move |snapshot, base| {
                    project::log(snapshot, place.find(snapshot)?, base, &name, &params)
                })
                .await
        }
        [number] => match number.parse::<i32>() {
            Ok(number) => {
                pages
                    .page(move |snapshot, base| {
                        change::page(snapshot, place.find(snapshot)?, base, number)
                    })
                    .await
            }
            Err(_) => not_found(&pages, path),
        },
        _ => not_found(&pages, path),
    }
}

/// Which project a page is about.
struct Place {
    server: String,
    project: String,
}

impl Place {
    fn find<'s>(&self, snapshot: &'s Snapshot) -> Result<Project<'s>, Fault> {
        let found = snapshot.gerrit().project(&self.server, &self.project);
        found.ok_or_else(|| {
            let (server, project) = (&self.server, &self.project);
            Fault::NotFound(format!("Gerrit project {server}/{project} not found"))
        })
    }
}

/// How many rows come before those of a page: `?from=100`.
fn from(params: &HashMap<String, String>) -> usize {
    let from = params.get("from").and_then(|from| from.parse().ok());
    from.unwrap_or(0).min(MAX_FROM)
}

fn not_found(pages: &Pages, path: &str) -> Response {
    let looks_like = match path.split('/').collect::<Vec<_>>()[..] {
        [host, ..] if host.contains('.') => format!("Gerrit project {path} not found"),
        [owner, name, ..] => format!("GitHub repository \"{owner}/{name}\" not found"),
        _ => format!("there is nothing at /{path}"),
    };
    Fault::NotFound(looks_like).page(Base::new(pages, &pages.corpus.snapshot()))
}

/// Nothing but this server's own files, and no inline script: even if somebody's comment became
/// markup, it could neither run nor call home.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
    img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

async fn secure(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-cache"));
    response
}
