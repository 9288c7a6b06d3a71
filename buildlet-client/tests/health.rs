//! Heartbeats and death.

mod common;

use std::time::Duration;

use buildlet_client::{CommError, DeathReason, Exec, Health, Heartbeat};
use common::{Peer, Worker, worker};
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep, timeout};

fn beating() -> (buildlet_client::Client, Worker) {
    let (builder, worker) = worker();
    (builder.build(), worker)
}

/// Answers the head of an exec, and returns the connection.
async fn exec_peer(worker: &mut Worker) -> Peer {
    let mut peer = worker.accept().await;
    assert_eq!(peer.request().await.line(), "POST /exec");
    peer.exec_head().await;
    peer
}

#[tokio::test(start_paused = true)]
async fn a_client_nobody_uses_sends_nothing() {
    let (client, worker) = beating();
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(worker.waiting(), 0);
    assert!(!client.is_dead());
}

#[tokio::test(start_paused = true)]
async fn a_silent_worker_is_dead_after_fifteen_seconds() {
    let (client, mut worker) = beating();
    let (mut peer, running) = tokio::join!(exec_peer(&mut worker), client.exec(Exec::new("x")));
    let began = Instant::now();
    let error = running.unwrap().wait().await.unwrap_err();
    assert!(
        matches!(error, CommError::PeerDead(DeathReason::Silent(_))),
        "{error:?}"
    );
    assert_eq!(began.elapsed().as_secs(), 15);
    assert!(error.is_retryable());
    assert!(client.is_dead());
    assert_eq!(
        client.dead().await,
        DeathReason::Silent(Duration::from_secs(15))
    );
    assert!(matches!(client.status().await, Err(CommError::PeerDead(_))));
    peer.gone().await;
}

#[tokio::test(start_paused = true)]
async fn answered_heartbeats_keep_a_silent_command_alive() {
    let (client, mut worker) = beating();
    let (mut peer, running) = tokio::join!(exec_peer(&mut worker), client.exec(Exec::new("x")));
    let beats = worker.accept().await;
    tokio::spawn(beats.answer_status());
    let finish = async {
        sleep(Duration::from_secs(7200)).await;
        peer.end("Process-State: ok\r\n").await;
    };
    let ((), outcome) = tokio::join!(finish, running.unwrap().wait());
    assert!(outcome.unwrap().success());
    assert_eq!(*client.health().borrow(), Health::Alive);
    assert_eq!(
        worker.waiting(),
        0,
        "one connection does for all heartbeats"
    );
}

#[tokio::test(start_paused = true)]
async fn output_is_a_sign_of_life_even_if_heartbeats_get_no_answer() {
    let (client, mut worker) = beating();
    let (mut peer, running) = tokio::join!(exec_peer(&mut worker), client.exec(Exec::new("x")));
    let flow = async {
        for _ in 0..60 {
            sleep(Duration::from_secs(10)).await;
            peer.write_chunk("x").await;
        }
        peer.end("Process-State: ok\r\n").await;
    };
    let ((), result) = tokio::join!(flow, running.unwrap().wait_with_output(1000));
    let (outcome, output) = result.unwrap();
    assert!(outcome.success());
    assert_eq!(output.len(), 60);
}

#[tokio::test(start_paused = true)]
async fn a_slow_upload_is_a_sign_of_life() {
    let (client, mut worker) = beating();
    let server = async {
        let mut peer = worker.accept().await;
        peer.head().await;
        // A slow link: a full buffer, of which a little is taken now and then.
        let mut some = vec![0; 64 << 10];
        for _ in 0..60 {
            sleep(Duration::from_secs(10)).await;
            peer.0.read_exact(&mut some).await.unwrap();
        }
        peer.ok("OK").await;
        peer
    };
    let (_peer, result) = tokio::join!(server, client.put_tar("", tokio::io::repeat(0)));
    result.unwrap();
    assert!(!client.is_dead());
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_not_a_missed_one() {
    let (client, mut worker) = beating();
    let (_peer, running) = tokio::join!(exec_peer(&mut worker), client.exec(Exec::new("x")));
    let running = running.unwrap();
    let beats = async {
        let mut beats = worker.accept().await;
        for _ in 0..20 {
            beats.request().await;
            sleep(Duration::from_secs(8)).await;
            beats.ok(r#"{"Version":29}"#).await;
        }
    };
    tokio::select! {
        outcome = running.wait() => panic!("{outcome:?}"),
        () = beats => {}
    }
    assert!(!client.is_dead());
}

#[tokio::test(start_paused = true)]
async fn three_wrong_answers_are_enough_even_while_data_flows() {
    let (client, mut worker) = beating();
    let mut health = client.health();
    let (mut peer, running) = tokio::join!(exec_peer(&mut worker), client.exec(Exec::new("x")));
    tokio::spawn(async move {
        loop {
            sleep(Duration::from_secs(1)).await;
            peer.write_chunk("x").await;
        }
    });
    tokio::spawn(async move {
        let mut beats = worker.accept().await;
        while beats.head().await.is_some() {
            beats.answer("502 Bad Gateway", "no such buildlet").await;
        }
    });
    let began = Instant::now();
    health
        .wait_for(|health| *health == Health::Suspect { failures: 2 })
        .await
        .unwrap();
    let error = running.unwrap().wait().await.unwrap_err();
    let CommError::PeerDead(DeathReason::HeartbeatsFailed { failures: 3, last }) = &error else {
        panic!("{error:?}")
    };
    assert!(
        last.contains("502 Bad Gateway; body: no such buildlet"),
        "{last}"
    );
    assert_eq!(began.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_refuses_connections_is_dead_after_three_heartbeats() {
    let (client, worker) = beating();
    drop(worker);
    let began = Instant::now();
    assert!(matches!(
        client.status().await,
        Err(CommError::Connect { .. })
    ));
    let reason = client.dead().await;
    assert!(
        matches!(&reason, DeathReason::HeartbeatsFailed { failures: 3, .. }),
        "{reason:?}"
    );
    assert_eq!(began.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn one_good_answer_resets_the_count() {
    let (client, mut worker) = beating();
    let server = async {
        let mut peer = worker.accept().await;
        peer.request().await;
        peer.ok(r#"{"Version":29}"#).await;
        let mut beats = worker.accept().await;
        for turn in 0..30 {
            beats.request().await;
            match turn % 3 {
                2 => beats.ok(r#"{"Version":29}"#).await,
                _ => beats.answer("500 Internal Server Error", "").await,
            }
        }
    };
    let ((), status) = tokio::join!(server, client.status());
    status.unwrap();
    assert!(!client.is_dead());
}

#[tokio::test(start_paused = true)]
async fn a_closed_transport_is_death_at_once() {
    let (client, mut worker) = beating();
    let (_peer, running) = tokio::join!(exec_peer(&mut worker), client.exec(Exec::new("x")));
    let began = Instant::now();
    worker.close_transport("peer closed the control connection");
    let error = running.unwrap().wait().await.unwrap_err();
    assert!(
        matches!(error, CommError::PeerDead(DeathReason::TransportClosed(_))),
        "{error:?}"
    );
    assert!(began.elapsed() < Duration::from_millis(100));
    assert!(
        error
            .to_string()
            .contains("peer closed the control connection")
    );
}

#[tokio::test(start_paused = true)]
async fn a_closed_transport_is_noticed_by_those_who_only_wait_for_death() {
    let (builder, worker) = worker();
    let client = builder.heartbeat(Heartbeat::off()).build();
    worker.close_transport("gone");
    assert_eq!(
        client.dead().await,
        DeathReason::TransportClosed("gone".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn death_ends_calls_at_every_stage() {
    let (client, mut worker) = beating();
    let server = async {
        let mut peers = Vec::new();
        for _ in 0..4 {
            peers.push(worker.accept().await);
        }
        sleep(Duration::from_secs(1)).await;
        worker.close_transport("gone");
        peers
    };
    let (_peers, exec, put, get, list) = tokio::join!(
        server,
        client.exec(Exec::new("x")),
        client.put_tar("", tokio::io::repeat(0)),
        client.get_tar(""),
        client.work_dir(),
    );
    for error in [exec.err(), put.err(), get.err(), list.err()] {
        assert!(matches!(error, Some(CommError::PeerDead(_))), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_may_give_the_worker_up() {
    let (client, mut worker) = beating();
    let (_peer, running) = tokio::join!(exec_peer(&mut worker), client.exec(Exec::new("x")));
    client.mark_broken("took too long");
    let error = running.unwrap().wait().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "worker is dead: marked broken: took too long"
    );
}

#[tokio::test(start_paused = true)]
async fn heartbeats_stop_with_the_last_user_of_the_client() {
    let (client, mut worker) = beating();
    let (_peer, running) = tokio::join!(exec_peer(&mut worker), client.exec(Exec::new("x")));
    let running = running.unwrap();
    let mut beats = worker.accept().await;
    beats.request().await;
    beats.ok(r#"{"Version":29}"#).await;
    // A command that still runs needs them too.
    drop(client);
    beats.request().await;
    beats.ok(r#"{"Version":29}"#).await;
    drop(running);
    beats.gone().await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(worker.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_slow_to_connect_is_not_dead() {
    struct Slow(common::Memory);
    impl buildlet_client::Connector for Slow {
        fn connect(&self) -> buildlet_client::BoxFuture<'_, std::io::Result<revdial::Stream>> {
            Box::pin(async {
                sleep(Duration::from_secs(40)).await;
                self.0.connect().await
            })
        }
        fn connect_timeout(&self) -> Duration {
            Duration::from_secs(45)
        }
    }
    let (memory, mut worker) = common::memory();
    let client = buildlet_client::Client::builder(Slow(memory)).build();
    tokio::spawn(async move {
        loop {
            tokio::spawn(worker.accept().await.answer_status());
        }
    });
    client.status().await.unwrap();
    sleep(Duration::from_secs(120)).await;
    assert!(!client.is_dead());
}

#[tokio::test(start_paused = true)]
async fn no_heartbeat_means_no_death_by_silence() {
    let (builder, mut worker) = worker();
    let client = builder.heartbeat(Heartbeat::off()).build();
    let (_peer, running) = tokio::join!(exec_peer(&mut worker), client.exec(Exec::new("x")));
    assert!(
        timeout(Duration::from_secs(3600), running.unwrap().wait())
            .await
            .is_err()
    );
}

#[tokio::test(start_paused = true)]
async fn the_heartbeat_can_be_made_faster() {
    let (builder, mut worker) = worker();
    let rules = Heartbeat::new(Duration::from_secs(1), 3, Duration::from_secs(4));
    let client = builder.heartbeat(rules).build();
    let (_peer, running) = tokio::join!(exec_peer(&mut worker), client.exec(Exec::new("x")));
    let began = Instant::now();
    assert!(running.unwrap().wait().await.is_err());
    assert_eq!(began.elapsed().as_secs(), 4);
}
