//! Style and script, compiled in.

use std::sync::LazyLock;

use axum::{
    http::header,
    response::{IntoResponse, Response},
};

const CSS: &str = include_str!("../../assets/pages.css");
const JS: &str = include_str!("../../assets/pages.js");

/// Changes whenever one of them does, so that browsers may keep them for ever.
pub(super) fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let sum = crate::log::Sha224Sum::of([CSS, JS].concat().as_bytes());
        sum.to_string().chars().take(12).collect()
    });
    &VERSION
}

pub(super) async fn css() -> Response {
    asset("text/css; charset=utf-8", CSS)
}

pub(super) async fn js() -> Response {
    asset("text/javascript; charset=utf-8", JS)
}

fn asset(kind: &'static str, body: &'static str) -> Response {
    let forever = "public, max-age=31536000, immutable";
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, forever),
    ];
    (headers, body).into_response()
}
