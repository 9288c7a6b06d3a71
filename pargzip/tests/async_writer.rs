//! What a user of the async writer sees.
#![cfg(feature = "tokio")]
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, may stop a test")]

mod common;

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{decode, members, mixed, noise};
use pargzip::{Builder, Layout};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Takes a few bytes at a time, and often none.
#[derive(Clone, Default)]
struct Reluctant {
    taken: Arc<Mutex<Vec<u8>>>,
    calls: usize,
    fail_after: Option<usize>,
    shut: bool,
}

impl AsyncWrite for Reluctant {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.calls += 1;
        if self.calls.is_multiple_of(3) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut taken = self.taken.lock().unwrap();
        if self.fail_after.is_some_and(|limit| taken.len() >= limit) {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::StorageFull,
                "the disk is full",
            )));
        }
        let now = data.len().min(1 + self.calls * 37 % 5000);
        taken.extend_from_slice(&data[..now]);
        Poll::Ready(Ok(now))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shut = true;
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn every_layout_round_trips() {
    let input = mixed(300_000);
    for layout in [Layout::Sized, Layout::Members, Layout::Bgzf, Layout::Single] {
        for threads in [1, 2] {
            let builder = Builder::new()
                .layout(layout)
                .threads(threads)
                .chunk_size(20_000)
                .level(1);
            let mut writer = builder.build_async(Reluctant::default());
            writer.write_all(&input).await.unwrap();
            assert_eq!(writer.total_in(), 300_000);
            let sink = writer.finish().await.unwrap();
            assert!(!sink.shut);
            assert!(
                decode(&sink.taken.lock().unwrap()) == input,
                "{layout:?} {threads}"
            );
        }
    }
}

#[tokio::test]
async fn nothing_is_a_file() {
    let sink = Builder::new()
        .build_async(Vec::new())
        .finish()
        .await
        .unwrap();
    assert_eq!(members(&sink), [b""]);
    let builder = Builder::new().empty_output(true);
    assert_eq!(builder.build_async(Vec::new()).finish().await.unwrap(), b"");
}

#[tokio::test]
async fn flush_makes_all_readable_and_shutdown_ends() {
    let input = mixed(30_000);
    let sink = Reluctant::default();
    let mut writer = Builder::new()
        .chunk_size(8000)
        .threads(2)
        .build_async(sink.clone());
    writer.write_all(&input[..10_000]).await.unwrap();
    writer.flush().await.unwrap();
    assert!(decode(&sink.taken.lock().unwrap()) == input[..10_000]);
    writer.write_all(&input[10_000..]).await.unwrap();
    writer.shutdown().await.unwrap();
    writer.shutdown().await.unwrap();
    let error = writer.write(b"more").await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    assert!(decode(&sink.taken.lock().unwrap()) == input);
    assert!(writer.finish().await.unwrap().shut);
}

#[tokio::test]
async fn a_failing_sink_is_told_at_a_write_and_ever_after() {
    let sink = Reluctant {
        fail_after: Some(1000),
        ..Reluctant::default()
    };
    let mut writer = Builder::new().chunk_size(1000).threads(2).build_async(sink);
    let noise = noise(100_000);
    let error = writer.write_all(&noise).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    for error in [
        writer.write(b"x").await.map(drop).unwrap_err(),
        writer.flush().await.unwrap_err(),
        writer.shutdown().await.unwrap_err(),
        writer.write_bytes(&mut Bytes::new()).await.unwrap_err(),
        writer.finish().await.map(drop).unwrap_err(),
    ] {
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(error.to_string(), "the disk is full");
    }
}

#[tokio::test]
async fn a_slow_sink_slows_the_writer() {
    let (near, mut far) = tokio::io::duplex(100);
    let mut writer = Builder::new()
        .chunk_size(1000)
        .threads(2)
        .level(0)
        .build_async(near);
    // Nobody reads: so much is accepted, and no more.
    let block = noise(1000);
    let mut accepted = 0;
    loop {
        let write = std::pin::pin!(writer.write_all(&block));
        if tokio::time::timeout(Duration::from_millis(200), write)
            .await
            .is_err()
        {
            break;
        }
        accepted += 1;
        assert!(accepted <= 6, "there is no end to it");
    }
    let mut read = vec![0; 10_000];
    tokio::spawn(async move { while far.read(&mut read).await.unwrap() > 0 {} });
    drop(writer.finish().await.unwrap());
}

#[tokio::test]
async fn calls_can_be_cancelled_and_repeated() {
    let input = mixed(200_000);
    let sink = Reluctant::default();
    let mut writer = Builder::new()
        .chunk_size(5000)
        .threads(2)
        .build_async(sink.clone());
    let mut rest = &input[..];
    let mut tries = 0_usize;
    while !rest.is_empty() {
        tries += 1;
        // Polled once, then dropped if it is not ready; now and then a flush likewise.
        let poll = |cx: &mut Context<'_>| Poll::Ready(Pin::new(&mut writer).poll_write(cx, rest));
        match poll_fn(poll).await {
            Poll::Ready(written) => rest = &rest[written.unwrap()..],
            Poll::Pending => tokio::task::yield_now().await,
        }
        if tries.is_multiple_of(7) {
            let poll = |cx: &mut Context<'_>| Poll::Ready(Pin::new(&mut writer).poll_flush(cx));
            let _ = poll_fn(poll).await.map(Result::unwrap);
        }
    }
    drop(writer.finish().await.unwrap());
    assert!(decode(&sink.taken.lock().unwrap()) == input);
}

#[tokio::test]
async fn writing_shared_bytes_can_be_cancelled_and_repeated() {
    let input = mixed(200_000);
    let sink = Reluctant::default();
    let mut writer = Builder::new()
        .chunk_size(5000)
        .threads(2)
        .build_async(sink.clone());
    writer.write_all(&input[..10]).await.unwrap();
    let mut rest = Bytes::copy_from_slice(&input[10..]);
    while !rest.is_empty() {
        {
            let mut write = pin!(writer.write_bytes(&mut rest));
            let once = poll_fn(|cx| Poll::Ready(write.as_mut().poll(cx))).await;
            let _ = once.map(Result::unwrap);
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(writer.total_in(), 200_000);
    drop(writer.finish().await.unwrap());
    let compressed = sink.taken.lock().unwrap().clone();
    assert!(decode(&compressed) == input);
    assert!(
        members(&compressed)
            .iter()
            .all(|member| member.len() == 5000)
    );
}

#[tokio::test]
async fn dropping_it_unfinished_leaves_a_file_that_is_cut_off() {
    let sink = Reluctant::default();
    let mut writer = Builder::new()
        .chunk_size(1000)
        .threads(2)
        .build_async(sink.clone());
    writer.write_all(&mixed(50_000)).await.unwrap();
    drop(writer);
    let mut decoded = Vec::new();
    let taken = sink.taken.lock().unwrap().clone();
    let read = io::Read::read_to_end(
        &mut flate2::read::MultiGzDecoder::new(&taken[..]),
        &mut decoded,
    );
    assert!(read.is_err());
}

/// Counts the errors that are logged.
#[derive(Clone, Default)]
struct Log(Arc<AtomicUsize>);

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::ERROR
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn a_finish_that_is_dropped_is_logged_as_a_drop() {
    let log = Log::default();
    let _logging = tracing::subscriber::set_default(log.clone());
    let (near, _far) = tokio::io::duplex(10);
    let mut writer = Builder::new().build_async(near);
    writer.write_all(&noise(100)).await.unwrap();
    {
        // Nobody reads.
        let mut finish = pin!(writer.finish());
        let once = poll_fn(|cx| Poll::Ready(finish.as_mut().poll(cx))).await;
        assert!(once.is_pending());
        assert_eq!(log.0.load(Ordering::SeqCst), 0);
    }
    assert_eq!(log.0.load(Ordering::SeqCst), 1);

    // What `finish` returns, good or bad, is the caller's to tell.
    for fail_after in [Some(0), None] {
        let sink = Reluctant {
            fail_after,
            ..Reluctant::default()
        };
        let finished = Builder::new().build_async(sink).finish().await;
        assert_eq!(finished.is_err(), fail_after.is_some());
    }
    assert_eq!(log.0.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_failure_is_told_before_what_is_left_is_let_go() {
    struct Owner<F: FnMut()>(Vec<u8>, F);
    impl<F: FnMut()> AsRef<[u8]> for Owner<F> {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    impl<F: FnMut()> Drop for Owner<F> {
        fn drop(&mut self) {
            (self.1)();
        }
    }
    let (fail, failing) = mpsc::channel::<()>();
    let (go_on, going_on) = mpsc::channel::<()>();
    let first = Owner(vec![1; 1000], move || {
        let _ = failing.recv();
        panic!("by test");
    });
    let second = Owner(vec![2; 1000], move || {
        let _ = going_on.recv();
    });
    let mut writer = Builder::new()
        .chunk_size(1000)
        .threads(1)
        .build_async(Vec::new());
    for mut bytes in [
        Bytes::from_owner(first),
        Bytes::from_owner(second),
        Bytes::from(vec![3; 1000]),
        Bytes::from(vec![4; 1000]),
    ] {
        writer.write_bytes(&mut bytes).await.unwrap();
    }
    // There is no room for more until the first is done with.
    let mut bytes = Bytes::from(vec![5; 1000]);
    let mut write = pin!(writer.write_bytes(&mut bytes));
    let once = poll_fn(|cx| Poll::Ready(write.as_mut().poll(cx))).await;
    assert!(once.is_pending());
    fail.send(()).unwrap();
    let begun = Instant::now();
    let told = tokio::time::timeout(Duration::from_secs(10), write).await;
    go_on.send(()).unwrap();
    // What has waited for the time to run out sees the failure even then.
    assert!(begun.elapsed() < Duration::from_secs(10), "was not woken");
    let error = told.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the owner of shared bytes panicked");
}
