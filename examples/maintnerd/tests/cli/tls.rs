//! One port for TLS and plain HTTP.

use std::{fs, process::Command, time::Duration};

use buildfarm_https::Identity;
use maintner::{
    api::apipb::{HasAncestorRequest, maintner_service_client::MaintnerServiceClient},
    corpus::live::Follower,
    log,
};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

use crate::support::{Repo, Server, run};

/// What [`follow_over_tls`] is to follow.
const FOLLOW: &str = "MAINTNERD_TEST_FOLLOW";

/// In a process of its own, because what it trusts is told by the environment.
#[tokio::test]
async fn follow_over_tls() {
    let Ok(url) = std::env::var(FOLLOW) else {
        return;
    };
    let cache = tempfile::tempdir().unwrap();
    let source = log::Follower::new(&url, cache.path(), log::FollowOptions::default()).unwrap();
    let snapshot = Follower::new(source).catch_up().await.unwrap();
    println!("\n{} commits", snapshot.commits().len());
}

#[tokio::test]
async fn one_port_speaks_tls_and_to_this_machine_plain_http() {
    let (repo, data) = (Repo::new(), tempfile::tempdir().unwrap());
    let git = format!("{}=local/it", repo.path());
    let server = Server::start(data.path(), &["--git", &git, "--name", "farm.example"]);
    server.line("local/it: in step, 1 commits");
    // In the clear, as the Go programs' followers on this machine.
    assert_eq!(server.follow().commits().len(), 1);

    let certificate = data.path().join("dev-cert.pem");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tls::follow_over_tls", "--nocapture"])
        .env(FOLLOW, format!("https://{}/logs", server.address))
        .env("SSL_CERT_FILE", &certificate)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("1 commits"), "{text}");

    // gRPC, both ways.
    let ca = Certificate::from_pem(fs::read(&certificate).unwrap());
    let tls = ClientTlsConfig::new()
        .ca_certificate(ca)
        .domain_name("farm.example");
    let over_tls = Endpoint::from_shared(format!("https://{}", server.address)).unwrap();
    let over_tls = over_tls.tls_config(tls).unwrap();
    let plain = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    for endpoint in [over_tls, plain] {
        let channel = endpoint.connect().await.unwrap();
        let mut client = MaintnerServiceClient::new(channel);
        let head = repo.git(&["rev-parse", "HEAD"]);
        let request = HasAncestorRequest {
            commit: head.clone(),
            ancestor: head,
        };
        let answer = client.has_ancestor(request).await.unwrap().into_inner();
        assert!(!answer.unknown_commit, "{answer:?}");
    }
    assert!(server.interrupt() < Duration::from_secs(10));
}

#[test]
fn a_certificate_of_ones_own_is_taken() {
    let (data, empty) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    Identity::dev(data.path(), &[]).unwrap();
    let file = |name| data.path().join(name).to_str().unwrap().to_owned();
    let (cert, key) = (file("dev-cert.pem"), file("dev-key.pem"));
    let server = Server::start(empty.path(), &["--tls-cert", &cert, "--tls-key", &key]);
    assert!(!empty.path().join("dev-cert.pem").exists());
    assert_eq!(server.page("/healthz"), "ok\n");
    let (output, _) = run(&["--git", ".", "--tls-cert", &cert]);
    assert_eq!(output.status.code(), Some(2), "not without its key");
}
