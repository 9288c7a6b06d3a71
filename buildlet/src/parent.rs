//! For workers that are children of another program.

/// Resolves when standard input ends: the parent that held the other end is gone, so a worker it started should go too.
///
/// What is written to standard input is ignored. The read happens on a thread of its own, which lives until the end of
/// the process; call this once. Cancel safe.
pub async fn stdin_closed() {
    let (ended, wait) = tokio::sync::oneshot::channel::<()>();
    // Not the runtime's pool: a runtime waits for the threads of its pool, and this one may never end.
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        // An error is an end too.
        let _ = std::io::copy(&mut input, &mut std::io::sink());
        drop(ended);
    });
    let _ = wait.await;
}
