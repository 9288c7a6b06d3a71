//! Style, scripts and pictures, compiled in.
//!
//! Their addresses hold a hash of what is in them, so browsers may keep them for ever.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use sha2::{Digest, Sha256};

use super::error::Fault;

/// A file that pages refer to.
#[derive(Debug)]
struct Asset {
    stem: &'static str,
    suffix: &'static str,
    kind: &'static str,
    body: &'static str,
    file: String,
}

impl Asset {
    fn new(
        stem: &'static str,
        suffix: &'static str,
        kind: &'static str,
        body: &'static str,
    ) -> Self {
        let mut file = format!("{stem}.");
        for byte in Sha256::digest(body.as_bytes()).iter().take(6) {
            let _ = write!(file, "{byte:02x}");
        }
        file.push('.');
        file.push_str(suffix);
        Self {
            stem,
            suffix,
            kind,
            body,
            file,
        }
    }
}

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    vec![
        Asset::new("app", "css", CSS, include_str!("../../assets/app.css")),
        Asset::new("log", "css", CSS, include_str!("../../assets/log.css")),
        Asset::new("app", "js", JS, include_str!("../../assets/app.js")),
        Asset::new(
            "terminal",
            "js",
            JS,
            include_str!("../../assets/terminal.js"),
        ),
        Asset::new("log", "js", JS, include_str!("../../assets/log.js")),
        Asset::new("ok", "svg", SVG, include_str!("../../assets/ok.svg")),
        Asset::new("bad", "svg", SVG, include_str!("../../assets/bad.svg")),
        Asset::new("busy", "svg", SVG, include_str!("../../assets/busy.svg")),
        Asset::new("none", "svg", SVG, include_str!("../../assets/none.svg")),
    ]
});

/// Address of an asset, by the name it has in the source: `app.css`.
pub(crate) fn url(name: &str) -> String {
    let found = ASSETS
        .iter()
        .find(|a| name.strip_prefix(a.stem).and_then(|n| n.strip_prefix('.')) == Some(a.suffix));
    format!("/assets/{}", found.map_or(name, |asset| &asset.file))
}

/// `GET /assets/{file}`.
pub(crate) async fn serve(Path(file): Path<String>) -> Response {
    match ASSETS.iter().find(|asset| asset.file == file) {
        Some(asset) => (
            [
                (CONTENT_TYPE, asset.kind),
                (CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ],
            asset.body,
        )
            .into_response(),
        None => Fault::NotFound(
            "no such file; the farm may have been upgraded since the page was loaded".to_owned(),
        )
        .plain(),
    }
}

/// `GET /favicon.ico`, which browsers ask for where no page names a picture.
pub(crate) async fn favicon() -> Response {
    let body = ASSETS
        .iter()
        .find(|asset| asset.stem == "none")
        .map_or("", |asset| asset.body);
    (
        [
            (CONTENT_TYPE, SVG),
            (CACHE_CONTROL, "public, max-age=86400"),
        ],
        body,
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_change_with_the_content() {
        let a = Asset::new("x", "css", CSS, "a");
        let b = Asset::new("x", "css", CSS, "b");
        assert_ne!(a.file, b.file);
        assert!(a.file.starts_with("x.") && a.file.ends_with(".css"));
    }

    #[test]
    fn every_asset_is_found_by_its_name() {
        for asset in ASSETS.iter() {
            assert_eq!(
                url(&format!("{}.{}", asset.stem, asset.suffix)),
                format!("/assets/{}", asset.file)
            );
        }
    }
}
