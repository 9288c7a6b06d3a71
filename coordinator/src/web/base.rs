//! What all pages have in common.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use jiff::Timestamp;

use super::assets;
use super::error::Fault;

/// The frame of a page.
#[derive(Debug)]
pub(crate) struct Base {
    /// Name of the project.
    pub project: String,
    /// Which entry of the menu is lit.
    pub here: &'static str,
    /// Title of the window.
    pub title: String,
    /// Which picture the tab shows: `ok`, `bad`, `busy` or `none`.
    pub health: &'static str,
}

impl Base {
    pub(crate) fn new(project: &str, here: &'static str, title: &str) -> Self {
        Self {
            project: project.to_owned(),
            here,
            title: title.to_owned(),
            health: "none",
        }
    }

    pub(crate) fn url(&self, name: &str) -> String {
        assets::url(name)
    }

    pub(crate) fn icon(&self) -> String {
        assets::url(&format!("{}.svg", self.health))
    }

    /// The server's time, by which the script corrects the browser's.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    pub(crate) fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }
}

/// A page as an answer.
pub(crate) fn html(page: &impl Template) -> Result<Response, Fault> {
    Ok(Html(page.render()?).into_response())
}
