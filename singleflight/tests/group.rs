//! What callers can rely on.

use std::future::{Future, pending};
use std::hash::{Hash, Hasher};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use buildfarm_singleflight::{Aborted, Group, Options, TryError};
use tokio::sync::{Notify, oneshot};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};

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
    let mut cx = Context::from_waker(Waker::noop());
    // Work that ends at once needs none.
    let call = std::pin::pin!(group.run("key", || async { 1 }));
    let Poll::Ready(Ok(got)) = call.poll(&mut cx) else {
        panic!("it waits");
    };
    assert_eq!(got.value, 1);
    let call = std::pin::pin!(group.run("key", pending));
    assert_eq!(call.poll(&mut cx), Poll::Ready(Err(Aborted::NoRuntime)));
    assert_eq!(group.in_flight(), 0);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_callers_one_execution() {
    let group = Group::new();
    let runs = Arc::new(AtomicUsize::new(0));
    let (go, gate) = oneshot::channel::<()>();
    let executions = runs.clone();
    let first = group.clone();
    let first = tokio::spawn(async move {
        let work = || async move {
            executions.fetch_add(1, Ordering::SeqCst);
            gate.await.unwrap();
            42
        };
        first.run("key", work).await
    });
    while runs.load(Ordering::SeqCst) == 0 {
        yield_now().await;
    }
    let come = Arc::new(AtomicUsize::new(0));
    let mut others = JoinSet::new();
    for _ in 1..10_000 {
        let (group, runs, come) = (group.clone(), runs.clone(), come.clone());
        others.spawn(async move {
            let mut call = Box::pin(group.run("key", || async move {
                runs.fetch_add(1, Ordering::SeqCst);
                0
            }));
            // It waits from its first step on.
            let first = std::future::poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
            assert!(first.is_pending());
            come.fetch_add(1, Ordering::SeqCst);
            call.await
        });
    }
    while come.load(Ordering::SeqCst) < 9999 {
        yield_now().await;
    }
    assert_eq!(group.in_flight(), 1);
    go.send(()).unwrap();
    while let Some(other) = others.join_next().await {
        let got = other.unwrap().unwrap();
        assert_eq!((got.value, got.shared, got.leader), (42, true, false));
    }
    let first = first.await.unwrap().unwrap();
    assert_eq!((first.value, first.shared, first.leader), (42, true, true));
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

/// Neither the key, nor the error, nor its message has to be copied.
#[tokio::test]
async fn an_error_is_shared() {
    #[derive(PartialEq, Eq, Hash)]
    struct Key;
    #[derive(Debug, thiserror::Error)]
    #[error("unique")]
    struct Unique;

    let group = Group::<_, Result<(), Arc<Unique>>>::new();
    let work = || async {
        yield_now().await;
        Err(Unique)
    };
    let (one, two) = tokio::join!(group.try_run(Key, work), group.try_run(Key, work));
    let (Err(TryError::Failed(one)), Err(TryError::Failed(two))) = (one, two) else {
        panic!("both fail");
    };
    assert!(Arc::ptr_eq(&one, &two));
    let got = group.try_run(Key, || async { Ok(()) }).await.unwrap();
    assert!(!got.shared);
    let work = || async { panic!("no") };
    let error = group.try_run(Key, work).await.unwrap_err();
    assert!(matches!(error, TryError::Aborted(Aborted::Panicked(_))));
}

#[tokio::test(start_paused = true)]
async fn work_has_its_time() {
    let group = Group::<_, u32>::new();
    let gone = Arc::new(Notify::new());
    let token = Dropped(gone.clone());
    let limited = Options::new().limit(Duration::from_secs(5));
    let first = group.run_with("key", limited, || async move {
        let _token = token;
        pending().await
    });
    // The limit is that of the call that started the work.
    let longer = Options::new().limit(Duration::from_secs(50));
    let second = group.run_with("key", longer, pending);
    let (first, second) = tokio::join!(first, second);
    assert_eq!((&first, &second), (&Err(Aborted::TimedOut), &first));
    gone.notified().await;
    let in_time = group.run_with("key", limited, || async {
        sleep(Duration::from_secs(4)).await;
        4
    });
    assert_eq!(in_time.await.unwrap().value, 4);
    let no_limit = Options::new().limit(Duration::MAX);
    assert_eq!(
        group
            .run_with("key", no_limit, || async { 1 })
            .await
            .unwrap()
            .value,
        1
    );
}

/// A caller's patience is its own.
#[tokio::test(start_paused = true)]
async fn a_caller_may_lose_patience() {
    let group = Group::new();
    let work = || async {
        sleep(Duration::from_secs(10)).await;
        "late"
    };
    let hasty = timeout(Duration::from_secs(1), group.run("key", work));
    let (hasty, patient) = tokio::join!(hasty, group.run("key", work));
    hasty.unwrap_err();
    assert_eq!(patient.unwrap().value, "late");
}

#[test]
fn a_limit_needs_timers() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let group = Group::<_, ()>::new();
    let limited = Options::new().limit(Duration::from_secs(5));
    let got = runtime.block_on(group.run_with("key", limited, pending));
    assert!(matches!(got, Err(Aborted::Panicked(_))), "{got:?}");
}

/// A leader that sits in a `select!` or a buffered stream and is not polled holds up nobody.
#[tokio::test]
async fn a_leader_that_is_not_polled() {
    let group = Group::new();
    let work = || async {
        yield_now().await;
        1
    };
    let mut leader = Box::pin(group.run("key", work));
    let first = std::future::poll_fn(|cx| Poll::Ready(leader.as_mut().poll(cx))).await;
    assert!(first.is_pending());
    let got = group.run("key", || async { 2 }).await.unwrap();
    assert_eq!((got.value, got.leader), (1, false));
    let got = leader.await.unwrap();
    assert_eq!((got.value, got.leader, got.shared), (1, true, true));
}

#[tokio::test]
async fn waiting_for_oneself_later_is_an_error_as_well() {
    let group = Group::<_, Result<u32, Aborted>>::new();
    let inner = group.clone();
    let got = group.run("a", || async move {
        yield_now().await;
        let through = inner.clone();
        let b = inner.run("b", || async move {
            yield_now().await;
            through.run("a", || async { Ok(1) }).await?.value
        });
        b.await?.value
    });
    assert_eq!(got.await.unwrap().value, Err(Aborted::Reentrant));
    // Whoever calls in its own name is not mistaken for the work.
    let (one, two) = tokio::join!(
        group.run("c", || async {
            yield_now().await;
            Ok(1)
        }),
        group.run("c", || async { Ok(2) })
    );
    assert_eq!((one.unwrap().value, two.unwrap().value), (Ok(1), Ok(1)));
}

/// Whose copy of the value fails is alone with that.
#[tokio::test]
async fn a_value_that_cannot_be_copied_once() {
    struct Brittle(Arc<AtomicUsize>);
    impl Clone for Brittle {
        fn clone(&self) -> Self {
            assert!(self.0.fetch_add(1, Ordering::SeqCst) > 0, "brittle");
            Self(self.0.clone())
        }
    }
    let group = Group::new();
    let copies = Arc::new(AtomicUsize::new(0));
    let calls: Vec<_> = (0..3)
        .map(|_| {
            let (group, copies) = (group.clone(), copies.clone());
            tokio::spawn(async move {
                let work = || async move {
                    settle().await;
                    Brittle(copies)
                };
                group.run("key", work).await.map(|_| ())
            })
        })
        .collect();
    let mut failed = 0;
    for call in calls {
        failed += usize::from(call.await.is_err());
    }
    assert_eq!(failed, 1);
    assert_eq!(group.in_flight(), 0);
}

/// One key, of which one copy panics in its destructor.
struct Thorny(bool);

impl PartialEq for Thorny {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for Thorny {}
impl Hash for Thorny {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
impl Drop for Thorny {
    fn drop(&mut self) {
        assert!(!self.0, "thorny");
    }
}

/// The leader's key panics after work that ended on the spot: the leader's caller knows, the others have the value.
#[test]
fn a_key_that_panics_harms_no_follower() {
    let group = Group::new();
    let (started, start) = mpsc::channel();
    let (go, gate) = mpsc::channel::<()>();
    let mut cx = Context::from_waker(Waker::noop());
    thread::scope(|scope| {
        let leader = scope.spawn(|| {
            let work = || async move {
                started.send(()).unwrap();
                gate.recv().unwrap();
                5
            };
            let mut call = pin!(group.run(Thorny(true), work));
            call.as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_ready()
        });
        start.recv().unwrap();
        let mut follower = pin!(group.run(Thorny(false), || async { 6 }));
        assert!(follower.as_mut().poll(&mut cx).is_pending());
        go.send(()).unwrap();
        assert!(leader.join().is_err());
        let Poll::Ready(Ok(got)) = follower.as_mut().poll(&mut cx) else {
            panic!("nobody told the follower");
        };
        assert_eq!((got.value, got.leader), (5, false));
    });
    assert_eq!(group.in_flight(), 0);
}

/// The same where the work is a task: that has the key, and no caller is harmed.
#[tokio::test]
async fn a_key_that_panics_in_a_task_harms_nobody() {
    let group = Group::new();
    let (go, gate) = oneshot::channel();
    let (leader, follower, ()) = tokio::join!(
        group.run(Thorny(true), || async { gate.await.unwrap() }),
        group.run(Thorny(false), || async { 6 }),
        async { go.send(5).unwrap() },
    );
    assert_eq!((leader.unwrap().value, follower.unwrap().value), (5, 5));
    assert_eq!(group.in_flight(), 0);
}
