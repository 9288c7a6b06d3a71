//! The examples do what their output says.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use tokio::sync::mpsc;

#[path = "../examples/http_service.rs"]
#[allow(dead_code, reason = "its main is not called")]
mod http_service;
#[path = "../examples/nat/main.rs"]
#[allow(dead_code, reason = "its main is not called")]
mod nat;

fn lines() -> (
    impl Fn(String) + Clone + Send + Sync + 'static,
    mpsc::UnboundedReceiver<String>,
) {
    let (sender, lines) = mpsc::unbounded_channel();
    // Fails when the test has seen enough.
    (move |line| drop(sender.send(line)), lines)
}

#[tokio::test]
async fn a_server_and_a_laptop_in_two_terminals() {
    let (say, mut said) = lines();
    let server = tokio::spawn(async move { nat::run(&["server", "127.0.0.1:0"], say).await });
    let command = loop {
        let line = said.recv().await.unwrap();
        if line.starts_with("    cargo run") {
            break line;
        }
    };
    let args: Vec<&str> = command.split(" -- ").nth(1).unwrap().split(' ').collect();
    let (tell, mut told) = lines();
    nat::run(&args, tell).await.unwrap();
    assert_eq!(
        told.recv().await.unwrap(),
        "laptop: registered, waiting for questions"
    );
    assert!(
        told.recv()
            .await
            .unwrap()
            .starts_with("laptop: closed by the peer")
    );

    assert_eq!(
        said.recv().await.unwrap(),
        "server: a laptop registered, we speak version 3 (mux)"
    );
    for question in ["name?", "uptime?", "lunch?"] {
        let line = said.recv().await.unwrap();
        assert!(line.contains(&format!("asked {question}")), "{line}");
        assert!(line.contains("nobody can connect to"), "{line}");
    }

    // A laptop with another's key does not trust the server, one with a wrong secret is refused.
    let wrong = |key: &str, at: usize| {
        let mut key = key.to_owned();
        let digit = if key.as_bytes()[at] == b'0' { "1" } else { "0" };
        key.replace_range(at..=at, digit);
        key
    };
    let error = nat::run(&["laptop", args[1], &wrong(args[2], 0)], |_| {}).await;
    assert_eq!(error.unwrap_err().to_string(), "server not reached");
    let error = nat::run(&["laptop", args[1], &wrong(args[2], 63)], |_| {}).await;
    assert_eq!(error.unwrap_err().to_string(), "registration failed");
    server.abort();
}

#[tokio::test]
async fn a_server_and_a_laptop_in_one_process() {
    let (say, mut said) = lines();
    nat::run(&[], say).await.unwrap();
    let mut all = Vec::new();
    while let Some(line) = said.recv().await {
        all.push(line);
    }
    assert_eq!(all.iter().filter(|line| line.contains("asked")).count(), 3);
}

#[tokio::test]
async fn an_http_service_behind_nat() {
    let (say, mut said) = lines();
    http_service::run(say).await.unwrap();
    let mut all = Vec::new();
    while let Some(line) = said.recv().await {
        all.push(line);
    }
    assert_eq!(
        all[..3],
        [
            "GET /: 200 OK: hello from behind NAT",
            "POST /shout: 200 OK: IS ANYBODY THERE?",
            "GET /nowhere: 404 Not Found: no such path",
        ]
    );
    // Usually one stream; another if a request comes before the last one's is back in the pool.
    assert!(all[3].starts_with("3 requests; streams: "), "{}", all[3]);
    assert!(
        all[4].starts_with("machine: closed by the peer"),
        "{}",
        all[4]
    );
}
