//! The soak of `examples/soak.rs`, shortened: many streams leave nothing behind.
#![allow(clippy::unwrap_used, reason = "a test program")]

#[path = "../examples/soak.rs"]
#[allow(dead_code, reason = "its main function is for the example")]
mod soak;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mux() {
    assert!(soak::soak("mux", 20_000).await.unwrap().clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v1() {
    assert!(soak::soak("v1", 20_000).await.unwrap().clean);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn v2() {
    assert!(soak::soak("v2", 3_000).await.unwrap().clean);
}
