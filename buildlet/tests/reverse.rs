//! Dialling home over real TLS, against a small coordinator made of the same crates.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, too, say best where they failed"
)]

mod common;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{any, get};
use buildfarm_https::{Identity, Plain, Server, client};
use buildlet::reverse::{self, Event, Registration, ReverseError};
use buildlet::{Buildlet, Config, EnvPolicy};
use common::{alive, eventually, of_work_dir, pid_in, post, shell};
use revdial::server::{answer_pickup, answer_registration, error_response};
use revdial::{Dialer, DialerConfig, Peer, Registry, Version, Versions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone)]
struct Coordinator {
    registry: Registry,
    versions: Versions,
    dialers: mpsc::Sender<Dialer>,
    heads: Arc<Mutex<Vec<String>>>,
    refuse: Arc<AtomicUsize>,
    refused: Arc<Notify>,
}

async fn take_reverse(State(farm): State<Coordinator>, request: Request) -> Response {
    let line = |name: &str| {
        let value = request
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap());
        format!("{name}: {}", value.unwrap_or("<none>"))
    };
    let head = [
        "host",
        "user-agent",
        "x-go-builder-hostname",
        "x-go-builder-key",
        "x-go-builder-version",
        "x-go-host-type",
        "x-revdial-version",
        "x-revdial-offer",
    ]
    .map(line)
    .join("\n");
    farm.heads.lock().unwrap().push(head);
    let status = farm.refuse.load(Ordering::Acquire);
    if status != 0 {
        farm.refused.notify_one();
        let status = http::StatusCode::from_u16(u16::try_from(status).unwrap()).unwrap();
        return error_response(status, "invalid build key");
    }
    let config = DialerConfig {
        versions: farm.versions,
        ..DialerConfig::default()
    };
    let parts = request.into_parts().0;
    let dialers = farm.dialers.clone();
    answer_registration(
        &farm.registry,
        &parts,
        config,
        Peer::default(),
        async move |dialer| {
            let _ = dialers.send(dialer).await;
        },
    )
}

async fn take_pickup(State(farm): State<Coordinator>, request: Request) -> Response {
    answer_pickup(&farm.registry, &request.into_parts().0, true)
}

struct Farm {
    coordinator: Coordinator,
    dialers: mpsc::Receiver<Dialer>,
    address: std::net::SocketAddr,
    pin: [u8; 32],
    stop: CancellationToken,
    _serve: AbortOnDropHandle<()>,
}

async fn farm(identity: &Path, address: &str) -> Farm {
    farm_of(Versions::default(), identity, address).await
}

async fn farm_of(versions: Versions, identity: &Path, address: &str) -> Farm {
    let identity = Identity::dev(identity, &[]).unwrap();
    let pin = identity.spki_sha256();
    let (sender, dialers) = mpsc::channel(16);
    let coordinator = Coordinator {
        registry: Registry::new(),
        versions,
        dialers: sender,
        heads: Arc::default(),
        refuse: Arc::default(),
        refused: Arc::default(),
    };
    let app = axum::Router::new()
        .route("/reverse", get(take_reverse))
        .route("/revdial", any(take_pickup))
        .with_state(coordinator.clone());
    let mut limits = buildfarm_https::Limits::default();
    limits.grace = Duration::from_millis(10);
    let server = Server::bind(address)
        .await
        .unwrap()
        .identity(identity)
        .plain(Plain::Refuse)
        .limits(limits);
    let address = server.local_addr();
    let stop = CancellationToken::new();
    let shutdown = stop.clone();
    let serve = tokio::spawn(async move { server.serve(app, shutdown).await.unwrap() });
    Farm {
        coordinator,
        dialers,
        address,
        pin,
        stop,
        _serve: AbortOnDropHandle::new(serve),
    }
}

struct Worker {
    buildlet: Buildlet,
    events: mpsc::UnboundedReceiver<Event>,
    stop: CancellationToken,
    run: JoinHandle<Result<(), ReverseError>>,
    dir: tempfile::TempDir,
}

fn worker(farm: &Farm, pin: [u8; 32]) -> Worker {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::new(dir.path());
    config.env = EnvPolicy::inherit(std::env::vars_os());
    config.halt_delay = Duration::from_millis(10);
    let buildlet = Buildlet::new(config).unwrap();
    let address = format!("localhost:{}", farm.address.port());
    let mut registration = Registration::new(
        address,
        "linux-amd64",
        "box1",
        " secret\n",
        client::pinned(pin),
    );
    registration.backoff.first = Duration::from_millis(10);
    registration.backoff.max = Duration::from_millis(100);
    let stop = CancellationToken::new();
    let (sender, events) = mpsc::unbounded_channel();
    let run = tokio::spawn(reverse::run(
        registration,
        buildlet.clone(),
        stop.clone(),
        move |event| sender.send(event).unwrap_or_default(),
    ));
    Worker {
        buildlet,
        events,
        stop,
        run,
        dir,
    }
}

impl Worker {
    async fn event(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        let find = async {
            loop {
                let event = self.events.recv().await.expect("events end");
                if wanted(&event) {
                    return event;
                }
            }
        };
        tokio::time::timeout(PATIENCE, find)
            .await
            .expect("event does not come")
    }
}

async fn ask(dialer: &Dialer, request: Vec<u8>) -> String {
    let mut stream = dialer.dial().await.unwrap();
    stream.write_all(&request).await.unwrap();
    let mut text = Vec::new();
    let request = String::from_utf8(request).unwrap();
    // The last chunk ends an answer with trailers; the connection ends one without.
    let whole = |text: &[u8]| {
        let last = text.windows(5).any(|window| window == b"\r\n0\r\n");
        !request.contains("Connection: close") && last && text.ends_with(b"\r\n\r\n")
    };
    while !whole(&text) && stream.read_buf(&mut text).await.unwrap() > 0 {}
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn speaks_what_the_coordinator_speaks() {
    for version in [Version::V2, Version::Mux] {
        let state = tempfile::tempdir().unwrap();
        let versions = Versions::NONE.with(version);
        let mut farm = farm_of(versions, state.path(), "127.0.0.1:0").await;
        let mut worker = worker(&farm, farm.pin);
        worker.event(|event| *event == Event::Registered).await;
        let dialer = farm.dialers.recv().await.unwrap();
        assert_eq!(dialer.version(), version);
        let answer = ask(&dialer, post("/exec", &shell("echo hi; exit 3"))).await;
        assert!(answer.contains("Process-State: exit status 3"), "{answer}");
    }
}

#[tokio::test]
async fn registers_and_serves() {
    let state = tempfile::tempdir().unwrap();
    let mut farm = farm(state.path(), "127.0.0.1:0").await;
    let mut worker = worker(&farm, farm.pin);
    worker.event(|event| *event == Event::Registered).await;
    assert_eq!(
        farm.coordinator.heads.lock().unwrap()[0],
        "host: \nuser-agent: Go-http-client/1.1\nx-go-builder-hostname: box1\nx-go-builder-key: secret\n\
         x-go-builder-version: 29\nx-go-host-type: linux-amd64\nx-revdial-version: 2\nx-revdial-offer: 3"
    );
    let dialer = farm.dialers.recv().await.unwrap();
    let status = ask(
        &dialer,
        b"GET /status HTTP/1.1\r\nHost: box1\r\nConnection: close\r\n\r\n".to_vec(),
    )
    .await;
    assert!(status.contains("\"Version\":29"), "{status}");
    let answer = ask(&dialer, post("/exec", &shell("echo hi; exit 3"))).await;
    assert!(
        answer.contains("3\r\nhi\n\r\n0\r\nProcess-State: exit status 3\r\n"),
        "{answer}"
    );

    worker.stop.cancel();
    assert_eq!(worker.run.await.unwrap(), Ok(()));
    tokio::time::timeout(PATIENCE, dialer.closed())
        .await
        .unwrap();
}

#[tokio::test]
async fn comes_back_and_ends_what_ran() {
    let state = tempfile::tempdir().unwrap();
    let mut first = farm(state.path(), "127.0.0.1:0").await;
    let address = first.address.to_string();
    let mut worker = worker(&first, first.pin);
    let dialer = first.dialers.recv().await.unwrap();
    let mut stream = dialer.dial().await.unwrap();
    stream
        .write_all(&post(
            "/exec",
            &shell("setsid sh -c 'echo $$ > pid; sleep 1000' & wait"),
        ))
        .await
        .unwrap();
    let pid = pid_in(&worker.dir.path().join("pid")).await;
    // Only the control connection goes; the command's own connection is held open here.
    dialer.close();
    let lost = worker
        .event(|event| matches!(event, Event::Lost { .. }))
        .await;
    assert!(matches!(lost, Event::Lost { reason } if !reason.is_empty()));
    eventually(Duration::from_secs(2), || !alive(pid)).await;
    drop(stream);

    // The same worker comes back by itself, also to another life of the coordinator.
    let dialer = first.dialers.recv().await.unwrap();
    first.stop.cancel();
    drop(dialer);
    drop(first);
    worker
        .event(|event| matches!(event, Event::Unreachable { .. }))
        .await;
    let mut second = farm(state.path(), &address).await;
    let dialer = second.dialers.recv().await.unwrap();
    let answer = ask(&dialer, post("/exec", &shell("echo again"))).await;
    assert!(answer.contains("again\n"));
    worker.stop.cancel();
    worker.run.await.unwrap().unwrap();
    worker.buildlet.shutdown().await;
    assert!(of_work_dir(worker.buildlet.work_dir()).is_empty());
}

#[tokio::test]
async fn says_why_it_was_refused() {
    let state = tempfile::tempdir().unwrap();
    let farm = farm(state.path(), "127.0.0.1:0").await;
    farm.coordinator.refuse.store(412, Ordering::Release);
    let mut worker = worker(&farm, farm.pin);
    let refused = worker
        .event(|event| matches!(event, Event::Refused { .. }))
        .await;
    assert_eq!(
        refused,
        Event::Refused {
            status: 412,
            text: "invalid build key".to_owned()
        }
    );
    let retry = worker
        .event(|event| matches!(event, Event::RetryIn(_)))
        .await;
    assert!(matches!(retry, Event::RetryIn(pause) if pause >= Duration::from_secs(15)));
    worker.stop.cancel();
    worker.run.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_trouble_of_the_coordinator_is_tried_again_soon() {
    let state = tempfile::tempdir().unwrap();
    let mut farm = farm(state.path(), "127.0.0.1:0").await;
    farm.coordinator.refuse.store(503, Ordering::Release);
    let mut worker = worker(&farm, farm.pin);
    for _ in 0..3 {
        farm.coordinator.refused.notified().await;
    }
    farm.coordinator.refuse.store(0, Ordering::Release);
    worker.event(|event| *event == Event::Registered).await;
    farm.dialers.recv().await.unwrap();
}

#[tokio::test]
async fn does_not_trust_another_key() {
    let state = tempfile::tempdir().unwrap();
    let farm = farm(state.path(), "127.0.0.1:0").await;
    let mut worker = worker(&farm, [7; 32]);
    let Event::Unreachable { reason } = worker
        .event(|event| matches!(event, Event::Unreachable { .. }))
        .await
    else {
        unreachable!()
    };
    assert!(reason.contains("not the pinned one"), "{reason}");
    assert!(farm.coordinator.heads.lock().unwrap().is_empty());
}

#[tokio::test]
async fn halting_ends_the_registration() {
    let state = tempfile::tempdir().unwrap();
    let mut farm = farm(state.path(), "127.0.0.1:0").await;
    let worker = worker(&farm, farm.pin);
    let dialer = farm.dialers.recv().await.unwrap();
    let mut stream = dialer.dial().await.unwrap();
    stream.write_all(&post("/halt", &[])).await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, worker.run).await.unwrap();
    assert_eq!(ended.unwrap(), Ok(()));
}

#[tokio::test]
async fn refuses_what_cannot_be_sent() {
    let state = tempfile::tempdir().unwrap();
    let farm = farm(state.path(), "127.0.0.1:0").await;
    let dir = tempfile::tempdir().unwrap();
    let buildlet = Buildlet::new(Config::new(dir.path())).unwrap();
    for (address, host_type) in [("nonsense", "h"), ("", "a\r\nX: y")] {
        let address = if address.is_empty() {
            farm.address.to_string()
        } else {
            address.to_owned()
        };
        let registration =
            Registration::new(address, host_type, "n", "k", client::pinned(farm.pin));
        let stop = CancellationToken::new();
        let ended = reverse::run(registration, buildlet.clone(), stop, |_| {}).await;
        assert!(ended.is_err());
    }
}
