//! What plain HTTP gets where it is not served.

use bytes::Bytes;
use http::uri::Authority;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;

/// Sends the client to the same host, port and path over TLS. The method and body may not change on the way, hence 308.
pub(crate) fn to_https<B>(request: &Request<B>) -> Response<Full<Bytes>> {
    let Some(location) = location(request) else {
        return text(
            StatusCode::BAD_REQUEST,
            "this server speaks https only, and the request names no host to go to",
        );
    };
    let mut response = text(
        StatusCode::PERMANENT_REDIRECT,
        "this server speaks https only",
    );
    response.headers_mut().insert(header::LOCATION, location);
    response
}

/// Tells the client that nothing is to be had without TLS.
pub(crate) fn refusal() -> Response<Full<Bytes>> {
    text(StatusCode::FORBIDDEN, "this server speaks https only")
}

fn location<B>(request: &Request<B>) -> Option<HeaderValue> {
    let host = match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => request.headers().get(header::HOST)?.to_str().ok()?,
    };
    let authority: Authority = host.parse().ok()?;
    // Credentials do not belong in a place that ends up in logs and histories.
    if authority.host().is_empty() || host.contains('@') {
        return None;
    }
    let path = request
        .uri()
        .path_and_query()
        .map(|path| path.as_str())
        .filter(|path| path.starts_with('/'))
        .unwrap_or("/");
    HeaderValue::try_from(format!("https://{authority}{path}")).ok()
}

fn text(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{text}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent_to(target: &str, host: Option<&str>) -> Option<String> {
        let mut request = Request::builder().uri(target);
        if let Some(host) = host {
            request = request.header(header::HOST, host);
        }
        let response = to_https(&request.body(()).unwrap());
        let location = response.headers().get(header::LOCATION)?;
        assert_eq!(response.status(), StatusCode::PERMANENT_REDIRECT);
        Some(location.to_str().unwrap().to_owned())
    }

    #[test]
    fn host_port_path_and_query_stay() {
        for (target, host, location) in [
            (
                "/a/b?c=d%20e",
                "farm.example:8119",
                Some("https://farm.example:8119/a/b?c=d%20e"),
            ),
            ("/", "127.0.0.1", Some("https://127.0.0.1/")),
            ("/", "[::1]:80", Some("https://[::1]:80/")),
            ("*", "farm.example", Some("https://farm.example/")),
            (
                "http://other.example/x",
                "farm.example",
                Some("https://other.example/x"),
            ),
            (
                "//evil.example/x",
                "farm.example",
                Some("https://farm.example//evil.example/x"),
            ),
            ("/", "", None),
            ("/", "user@evil.example", None),
            ("/", "farm.example/path", None),
            ("/", "a b", None),
        ] {
            assert_eq!(
                sent_to(target, Some(host)).as_deref(),
                location,
                "{target} {host}"
            );
        }
        assert_eq!(sent_to("/", None), None);
    }
}
