//! What threads can rely on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use buildfarm_singleflight::Aborted;
use buildfarm_singleflight::blocking::Group;

#[test]
fn threads_share_one_execution() {
    let group = Group::new();
    let runs = AtomicUsize::new(0);
    let (go, gate) = mpsc::channel::<()>();
    let (started, start) = mpsc::channel();
    thread::scope(|scope| {
        let (group, runs) = (&group, &runs);
        let leader = scope.spawn(move || {
            group.run(String::from("key"), || {
                runs.fetch_add(1, Ordering::SeqCst);
                started.send(()).unwrap();
                gate.recv().unwrap();
                42
            })
        });
        start.recv().unwrap();
        let followers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    group.run(String::from("key"), || {
                        runs.fetch_add(1, Ordering::SeqCst);
                        0
                    })
                })
            })
            .collect();
        // They may come before or after the end; what ran while another ran would be an error.
        go.send(()).unwrap();
        let got = leader.join().unwrap().unwrap();
        assert_eq!((got.value, got.leader), (42, true));
        for follower in followers {
            let got = follower.join().unwrap().unwrap();
            assert!(got.value == 0 || got.shared);
        }
    });
    assert_eq!(group.in_flight(), 0);
}

#[test]
fn never_two_at_once() {
    let group = Group::new();
    let running = AtomicUsize::new(0);
    let runs = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut last = 0;
                for _ in 0..2000 {
                    let got = group.run(7, || {
                        assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0);
                        thread::yield_now();
                        running.fetch_sub(1, Ordering::SeqCst);
                        runs.fetch_add(1, Ordering::SeqCst) + 1
                    });
                    let value = got.unwrap().value;
                    assert!(
                        value > last,
                        "a result that was seen before was given again"
                    );
                    last = value;
                }
            });
        }
    });
    assert_eq!(group.in_flight(), 0);
}

#[test]
fn a_panic_is_an_error_and_frees_the_key() {
    let group = Group::new();
    let got = group.run("key", || panic!("no such {}", "thing"));
    assert_eq!(got, Err(Aborted::Panicked("no such thing".into())));
    assert_eq!(group.run("key", || 2).unwrap().value, 2);
}

#[test]
fn waiting_for_oneself_is_an_error() {
    let group = Group::new();
    let got = group.run("a", || {
        let through = group.run("b", || group.run("a", || Ok(1)).and_then(|got| got.value));
        through.and_then(|got| got.value)
    });
    assert_eq!(got.unwrap().value, Err(Aborted::Reentrant));
}

#[test]
fn forget_starts_anew() {
    let group = Group::new();
    let got = group.run("key", || {
        assert!(group.forget("key"));
        assert!(!group.forget("key"));
        // No longer its own key.
        let inner = group.run("key", || 1).unwrap();
        assert!(inner.leader);
        inner.value + 1
    });
    assert_eq!(got.unwrap().value, 2);
    assert_eq!(group.in_flight(), 0);
}
