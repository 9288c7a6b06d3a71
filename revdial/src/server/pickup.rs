//! The handler of `/revdial`.

use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};

use super::switching_protocols;
use crate::Registry;

/// Answers a pickup request with the checks, statuses and texts of the Go original: TLS (500),
/// `GET` (405), a known dialer (400). In the good case the connection goes to its dial.
///
/// `tls` says whether the request came in over TLS; a server that is meant to work without may
/// pass `true`. Works with any path: route to it as you like, and log paths through
/// [`redact`](crate::redact) only.
pub fn answer_pickup<B>(registry: &Registry, request: &Parts, tls: bool) -> Response<B>
where
    B: Default + From<String>,
{
    if !tls {
        return error_response(StatusCode::INTERNAL_SERVER_ERROR, "handler requires TLS");
    }
    if request.method != Method::GET {
        let mut response = error_response(
            StatusCode::METHOD_NOT_ALLOWED,
            "expected GET request to revdial conn handler",
        );
        response
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static("GET"));
        return response;
    }
    let target = request
        .uri
        .path_and_query()
        .map_or("", |target| target.as_str());
    match registry.pickup(target) {
        Ok(pickup) => switching_protocols(async move |stream| pickup.deliver(stream)),
        Err(error) => {
            let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
            error_response(status, &error.to_string())
        }
    }
}

/// A plain-text error the way Go's `http.Error` writes it: the text, a line feed, `nosniff`.
pub fn error_response<B: From<String>>(status: StatusCode, text: &str) -> Response<B> {
    let mut response = Response::new(B::from(format!("{text}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}
