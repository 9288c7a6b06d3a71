//! What goes wrong on the way to an answer.

use askama::Template;
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, RETRY_AFTER};

use super::base::{Base, html};
use crate::logs::LogError;
use crate::store::StoreError;

/// Why a request is not answered as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// The query cannot be understood; the text names the parameter.
    #[error("{0}")]
    BadQuery(String),
    /// The path is there, but is only read.
    #[error("pages and records are read with GET; nothing here can be changed")]
    Method,
    /// The range lies beyond the log, whose length is given.
    #[error("range lies outside the log, which has {0} bytes")]
    Range(u64),
    /// Too many people watch at once.
    #[error("too many live streams are open; try again in a few seconds")]
    Busy,
    /// The database failed.
    #[error("the farm's database could not be read")]
    Store(#[from] StoreError),
    /// The log store failed.
    #[error("the farm's logs could not be read")]
    Log(#[source] LogError),
    /// A page could not be written.
    #[error("the page could not be made")]
    Page(#[from] askama::Error),
}

impl From<LogError> for Fault {
    fn from(error: LogError) -> Self {
        match error {
            LogError::NotFound(id) => Self::NotFound(format!(
                "no log of attempt {} at build {}",
                id.number, id.build
            )),
            error => Self::Log(error),
        }
    }
}

impl Fault {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::BadQuery(_) => StatusCode::BAD_REQUEST,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Range(_) => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(_) | Self::Log(_) | Self::Page(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// For programs.
    pub(crate) fn json(self) -> Response {
        let body = Json(serde_json::json!({ "error": self.to_string() }));
        self.finish(body.into_response())
    }

    /// For assets.
    pub(crate) fn plain(self) -> Response {
        let text = format!("{self}\n");
        self.finish(text.into_response())
    }

    /// For people.
    pub(crate) fn page(self, project: &str) -> Response {
        let status = self.status();
        let page = ErrorPage {
            base: Base::new(project, "", status.canonical_reason().unwrap_or("Error")),
            heading: match self {
                Self::NotFound(_) => "Not here",
                Self::BadQuery(_) => "That address does not make sense",
                Self::Method => "Read only",
                Self::Busy => "Busy",
                _ => "Something broke on our side",
            },
            text: self.to_string(),
            ours: status.is_server_error(),
        };
        let response = html(&page).unwrap_or_else(Self::plain);
        self.finish(response)
    }

    fn finish(self, mut response: Response) -> Response {
        let status = self.status();
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = &self as &dyn std::error::Error, "request failed");
        }
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
        match self {
            Self::Busy => {
                headers.insert(RETRY_AFTER, http::HeaderValue::from_static("5"));
            }
            Self::Range(len) => {
                if let Ok(value) = format!("bytes */{len}").try_into() {
                    headers.insert(http::header::CONTENT_RANGE, value);
                }
            }
            _ => {}
        }
        response
    }
}

#[derive(Debug, Template)]
#[template(path = "error.html")]
struct ErrorPage {
    base: Base,
    heading: &'static str,
    text: String,
    ours: bool,
}
