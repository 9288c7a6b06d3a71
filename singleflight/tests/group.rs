//! What callers can rely on.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use buildfarm_singleflight::{Aborted, Group};
use tokio::sync::{Notify, oneshot};
use tokio::task::yield_now;

/// Lets every task run until it waits.
async fn settle() {
    for _ in 0..20 {
        yield_now().await;
    }
}

/// Work that says when it is dropped.
struct Dropped(Arc<Notify>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test]
async fn gives_the_value() {
    let group = Group::new();
    let got = group.run("key", || async { "bar" }).await.unwrap();
    assert_eq!(got.value, "bar");
    assert!(!got.shared);
    assert!(got.leader);
    assert_eq!(group.in_flight(), 0);
}

#[tokio::test]
async fn gives_the_error() {
    let group = Group::<_, Result<(), &str>>::new();
    let got = group.run("key", || async { Err("some error") }).await;
    assert_eq!(got.unwrap().value, Err("some error"));
}

#[tokio::test]
async fn ten_callers_share_one_execution() {
    let group = Group::new();
    let runs = Arc::new(AtomicUsize::new(0));
    let (go, gate) = oneshot::channel::<()>();
    let mut gate = Some(gate);
    let mut callers = Vec::new();
    for _ in 0..10 {
        let (group, runs, gate) = (group.clone(), runs.clone(), gate.take());
        callers.push(tokio::spawn(async move {
            group
                .run("key", || async move {
                    runs.fetch_add(1, Ordering::SeqCst);
                    gate.unwrap().await.unwrap();
                    "bar"
                })
                .await
        }));
        settle().await;
    }
    assert_eq!(group.in_flight(), 1);
    go.send(()).unwrap();
    let mut leaders = 0;
    for caller in callers {
        let got = caller.await.unwrap().unwrap();
        assert_eq!(got.value, "bar");
        assert!(got.shared);
        leaders += usize::from(got.leader);
    }
    assert_eq!(leaders, 1);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_two_executions_at_once_and_none_after_its_result() {
    let group = Group::new();
    let running = Arc::new(AtomicUsize::new(0));
    let runs = Arc::new(AtomicUsize::new(0));
    let mut callers = Vec::new();
    for _ in 0..100 {
        let (group, running, runs) = (group.clone(), running.clone(), runs.clone());
        callers.push(tokio::spawn(async move {
            let mut last = 0;
            for _ in 0..100 {
                let (running, runs) = (running.clone(), runs.clone());
                let got = group
                    .run(7, || async move {
                        assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0);
                        yield_now().await;
                        running.fetch_sub(1, Ordering::SeqCst);
                        runs.fetch_add(1, Ordering::SeqCst) + 1
                    })
                    .await
                    .unwrap();
                assert!(
                    got.value > last,
                    "a result that was seen before was given again"
                );
                last = got.value;
            }
        }));
    }
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(runs.load(Ordering::SeqCst) >= 100);
    assert_eq!(group.in_flight(), 0);
}

#[tokio::test]
async fn keys_are_independent() {
    let group = Group::new();
    let (one, two) = tokio::join!(
        group.run(String::from("1"), || async { 1 }),
        group.run(String::from("2"), || async { 2 })
    );
    assert_eq!((one.unwrap().value, two.unwrap().value), (1, 2));
}

#[tokio::test]
async fn the_leader_may_leave() {
    let group = Group::new();
    let (go, gate) = oneshot::channel::<()>();
    let leader = tokio::spawn({
        let group = group.clone();
        async move {
            let work = || async move {
                gate.await.unwrap();
                "leader's"
            };
            group.run("key", work).await
        }
    });
    settle().await;
    let follower = tokio::spawn({
        let group = group.clone();
        async move { group.run("key", || async { "follower's" }).await }
    });
    settle().await;
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    go.send(()).unwrap();
    let got = follower.await.unwrap().unwrap();
    assert_eq!(
        (got.value, got.shared, got.leader),
        ("leader's", true, false)
    );
}

#[tokio::test]
async fn detached_work_goes_on_alone() {
    let group = Group::new();
    let done = Arc::new(Notify::new());
    let (go, gate) = oneshot::channel::<()>();
    let call = tokio::spawn({
        let (group, done) = (group.clone(), done.clone());
        async move {
            let work = || async move {
                gate.await.unwrap();
                done.notify_one();
            };
            group.run("key", work).await
        }
    });
    settle().await;
    call.abort();
    settle().await;
    assert_eq!(group.in_flight(), 1);
    go.send(()).unwrap();
    done.notified().await;
    settle().await;
    assert_eq!(group.in_flight(), 0);
}

#[tokio::test]
async fn linked_work_stops_with_its_last_waiter() {
    let group = Group::<_, ()>::new();
    let gone = Arc::new(Notify::new());
    let mut callers = Vec::new();
    for caller in 0..3 {
        // The closures of the followers are dropped unused.
        let token = (caller == 0).then(|| Dropped(gone.clone()));
        let group = group.clone();
        callers.push(tokio::spawn(async move {
            let work = || async move {
                let _token = token;
                pending().await
            };
            group.run_linked("key", work).await
        }));
        settle().await;
    }
    for caller in callers.drain(..2) {
        caller.abort();
        settle().await;
        assert_eq!(group.in_flight(), 1);
    }
    callers.remove(0).abort();
    gone.notified().await;
    assert_eq!(group.in_flight(), 0);
}

#[tokio::test]
async fn work_that_is_being_stopped_is_not_joined() {
    let group = Group::new();
    let first = tokio::spawn({
        let group = group.clone();
        async move { group.run_linked("key", pending::<u32>).await }
    });
    settle().await;
    first.abort();
    let _ = first.await;
    let got = group.run_linked("key", || async { 2 }).await.unwrap();
    assert_eq!((got.value, got.leader), (2, true));
}

#[tokio::test]
async fn one_detached_caller_keeps_linked_work_running() {
    let group = Group::new();
    let linked = tokio::spawn({
        let group = group.clone();
        async move { group.run_linked("key", pending::<()>).await }
    });
    settle().await;
    let detached = tokio::spawn({
        let group = group.clone();
        async move { group.run("key", pending::<()>).await }
    });
    settle().await;
    linked.abort();
    detached.abort();
    settle().await;
    assert_eq!(group.in_flight(), 1);
}

#[tokio::test]
async fn a_panic_reaches_everybody_and_frees_the_key() {
    let group = Group::<_, u32>::new();
    let (go, gate) = oneshot::channel::<()>();
    let leader = tokio::spawn({
        let group = group.clone();
        async move {
            let work = || async move {
                gate.await.unwrap();
                panic!("no such {}", "thing")
            };
            group.run("key", work).await
        }
    });
    settle().await;
    let follower = tokio::spawn({
        let group = group.clone();
        async move { group.run("key", || async { 1 }).await }
    });
    settle().await;
    go.send(()).unwrap();
    let expected = Err(Aborted::Panicked("no such thing".into()));
    assert_eq!(leader.await.unwrap(), expected);
    assert_eq!(follower.await.unwrap(), expected);
    assert_eq!(group.run("key", || async { 2 }).await.unwrap().value, 2);
}

#[tokio::test]
async fn a_panic_of_the_closure_itself_is_the_same() {
    let group = Group::<_, u32>::new();
    let work = || -> std::future::Ready<u32> { panic!("early") };
    let got = group.run("key", work).await;
    assert_eq!(got, Err(Aborted::Panicked("early".into())));
    assert_eq!(group.in_flight(), 0);
    assert_eq!(group.run("key", || async { 2 }).await.unwrap().value, 2);
}

#[tokio::test]
async fn forget_starts_anew_and_the_old_call_leaves_the_new_one_alone() {
    let group = Group::new();
    let mut gates = Vec::new();
    let mut callers = Vec::new();
    for generation in 1..=2 {
        let (go, gate) = oneshot::channel::<()>();
        gates.push(go);
        let group_ = group.clone();
        callers.push(tokio::spawn(async move {
            let work = || async move {
                gate.await.unwrap();
                generation
            };
            group_.run("key", work).await
        }));
        settle().await;
        if generation == 1 {
            assert!(group.forget("key"));
            assert!(!group.forget("key"));
        }
    }
    assert_eq!(group.in_flight(), 2);

    // The old call ends; its successor must still be there to be joined.
    gates.remove(0).send(()).unwrap();
    let old = callers.remove(0).await.unwrap().unwrap();
    assert_eq!((old.value, old.shared), (1, false));
    assert_eq!(group.in_flight(), 1);
    let third = tokio::spawn({
        let group = group.clone();
        async move { group.run("key", || async { 3 }).await }
    });
    settle().await;
    gates.remove(0).send(()).unwrap();
    assert_eq!(callers.remove(0).await.unwrap().unwrap().value, 2);
    assert_eq!(third.await.unwrap().unwrap().value, 2);
}

#[tokio::test]
async fn waiting_for_oneself_is_an_error() {
    let group = Group::<_, Result<u32, Aborted>>::new();
    let inner = group.clone();
    let got = group
        .run("a", || async move {
            let through = inner.clone();
            let b = inner.run("b", || async move {
                through.run("a", || async { Ok(1) }).await?.value
            });
            b.await?.value
        })
        .await;
    assert_eq!(got.unwrap().value, Err(Aborted::Reentrant));
}

#[test]
fn without_a_runtime() {
    let group = Group::new();
    let mut call = std::pin::pin!(group.run("key", || async { 1 }));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let got = call.as_mut().poll(&mut cx);
    assert_eq!(got, std::task::Poll::Ready(Err(Aborted::NoRuntime)));
}

#[test]
fn a_runtime_that_stops_cancels() {
    let group = Group::new();
    let doomed = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let survivor = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let (started, start) = oneshot::channel();
    let leader = group.clone();
    doomed.spawn(async move {
        let work = || async move {
            started.send(()).unwrap();
            pending::<u32>().await
        };
        leader.run("key", work).await
    });
    survivor.block_on(async {
        start.await.unwrap();
        let mut follower = std::pin::pin!(group.run("key", || async { 2 }));
        tokio::select! {
            biased;
            _ = &mut follower => panic!("the call has not ended"),
            () = yield_now() => {}
        }
        doomed.shutdown_background();
        assert_eq!(follower.await, Err(Aborted::Cancelled));
    });
    assert_eq!(group.in_flight(), 0);
}

#[tokio::test]
async fn the_last_handle_stops_what_runs() {
    let group = Group::<_, ()>::new();
    let gone = Arc::new(Notify::new());
    let token = Dropped(gone.clone());
    let call = tokio::spawn({
        let group = group.clone();
        async move {
            let work = || async move {
                let _token = token;
                pending().await
            };
            group.run("key", work).await
        }
    });
    settle().await;
    call.abort();
    let _ = call.await;
    drop(group);
    gone.notified().await;
}
