//! A log in the browser: `cargo run -p livelog --features http --example serve`, then open the address it prints.
//!
//! `/log` is the text (try `curl -N`, or `curl -r -100`), `/events` the same as server-sent events. Reload, or cut the
//! network: the page goes on where it was.

use std::convert::Infallible;
use std::time::Duration;

use http::{HeaderValue, Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use livelog::http::{DropStalled, EventsConfig, events, respond};
use livelog::{Bytes, Config, Log, ReadError, Writer};
use tokio::net::TcpListener;

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><title>livelog</title><pre id="log"></pre><script>
const log = document.getElementById("log"), source = new EventSource("/events");
source.onmessage = event => log.append(JSON.parse(event.data));
source.addEventListener("end", event => { log.append("(" + JSON.parse(event.data) + ")"); source.close(); });
</script>"#;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let (writer, log) = livelog::log(Config::default());
    tokio::spawn(count(writer));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/", listener.local_addr()?);
    loop {
        let (socket, _) = listener.accept().await?;
        let io = TokioIo::new(DropStalled::new(socket, Duration::from_secs(60)));
        let log = log.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let response = answer(&log, &request);
                async { Ok::<_, Infallible>(response) }
            });
            if let Err(error) = http1::Builder::new().serve_connection(io, service).await {
                eprintln!("a connection ended: {error}");
            }
        });
    }
}

fn answer<B>(log: &Log, request: &Request<B>) -> Response<BoxBody<Bytes, ReadError>> {
    match request.uri().path() {
        "/log" => respond(log, request).map(BodyExt::boxed),
        "/events" => events(log, request, &EventsConfig::default()).map(BodyExt::boxed),
        _ => {
            let page = Full::from(PAGE).map_err(|never| match never {});
            let mut response = Response::new(page.boxed());
            let html = HeaderValue::from_static("text/html");
            response.headers_mut().insert("content-type", html);
            response
        }
    }
}

async fn count(mut writer: Writer) {
    for i in 1..=600 {
        if let Err(error) = writer.append(format!("line {i} ✓\n").into()) {
            eprintln!("the log ends here: {error}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    writer.finish();
}
