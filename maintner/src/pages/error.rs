//! Pages that say why there is no page.

use askama::Template;
use axum::{
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};

use super::Base;

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("{0}")]
    NotFound(String),
    #[error("the page could not be made")]
    Page(#[from] askama::Error),
    #[error("making the page broke off")]
    Broken(#[from] tokio::task::JoinError),
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    base: Base,
    heading: &'static str,
    text: String,
}

impl Fault {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Page(_) | Self::Broken(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(super) fn page(self, base: Base) -> Response {
        let heading = match &self {
            Self::NotFound(_) => "Not here",
            _ => "Something broke on our side",
        };
        let page = ErrorPage {
            base: base.titled(heading),
            heading,
            text: self.to_string(),
        };
        match page.render() {
            Ok(page) => (self.status(), Html(page)).into_response(),
            Err(_) => self.into_response(),
        }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        (self.status(), format!("{self}\n")).into_response()
    }
}
