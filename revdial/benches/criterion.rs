//! Frame codec, session, bulk and set-ups, for comparing two states of the code: `cargo bench -p revdial --bench criterion`.
#![allow(
    clippy::unwrap_used,
    reason = "a bench that cannot run should say so and stop"
)]

use std::hint::black_box;

use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use revdial::{
    Dialer, Listener, Stream,
    mux::{
        Batch, Config, Dialect, Limits, Read, Role, Session,
        frame::{Decoder, Header},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    runtime::{Builder, Runtime},
};

fn codec(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    for len in [16, 1024, 32 * 1024] {
        let mut wire = BytesMut::new();
        while wire.len() < 256 * 1024 {
            wire.extend_from_slice(&Header::data(1, len).to_bytes());
            wire.resize(wire.len() + len, 7);
        }
        group.throughput(Throughput::Bytes(wire.len() as u64));
        group.bench_function(format!("frames of {len}"), |b| {
            b.iter(|| {
                let mut input = wire.clone();
                let mut decoder = Decoder::new(Dialect::Mux);
                while let Some(piece) = decoder.next_piece(&mut input) {
                    black_box(piece);
                }
            });
        });
    }
    group.finish();
}

/// 64 KiB from one session to another, without any I/O.
fn session(c: &mut Criterion) {
    let mut group = c.benchmark_group("session");
    let data = vec![7; 32 * 1024];
    group.throughput(Throughput::Bytes(data.len() as u64));
    for (name, dialect) in [("v1", Dialect::V1), ("mux", Dialect::Mux)] {
        let mut near = Session::new(dialect, Role::Dialer, Limits::default());
        let mut far = Session::new(dialect, Role::Listener, Limits::default());
        let id = near.open().unwrap();
        let mut batch = Batch::new();
        group.bench_function(name, |b| {
            b.iter(|| {
                assert_eq!(near.write(id, &data).unwrap(), data.len());
                carry(&mut near, &mut far, &mut batch);
                far.accept();
                while let Ok(Read::Data(data)) = far.read(id) {
                    far.consumed(id);
                    black_box(data);
                }
                carry(&mut far, &mut near, &mut batch);
            });
        });
    }
    group.finish();
}

fn carry(from: &mut Session, to: &mut Session, batch: &mut Batch) {
    while from.has_output() {
        from.transmit(batch);
        let mut wire = BytesMut::new();
        while !batch.is_empty() {
            let mut slots = Batch::slots();
            let n = batch.slices(&mut slots).iter().fold(0, |n, part| {
                wire.extend_from_slice(part);
                n + part.len()
            });
            batch.advance(n);
        }
        to.receive(&mut wire).unwrap();
    }
    while from.next_event().is_some() || to.next_event().is_some() {}
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Both ends in memory, on one thread. The far end answers each stream's first byte.
fn pair(kind: &str) -> Dialer {
    let (near, far) = duplex(256 * 1024);
    let (near, far) = (Stream::new(near), Stream::new(far));
    let (dialer, mut listener) = if kind == "v1" {
        (
            Dialer::v1(near, Config::default()),
            Listener::v1(far, Config::default()),
        )
    } else {
        (
            Dialer::mux(near, Config::default()),
            Listener::mux(far, Config::default()),
        )
    };
    tokio::spawn(async move {
        while let Ok(mut stream) = listener.accept().await {
            tokio::spawn(async move {
                let mut buf = vec![0; 64 * 1024];
                let first = stream.read_u8().await?;
                stream.write_u8(first).await?;
                while stream.read(&mut buf).await? > 0 {}
                stream.write_u8(first).await
            });
        }
    });
    dialer
}

fn streams(c: &mut Criterion) {
    let mut group = c.benchmark_group("streams");
    for kind in ["v1", "mux"] {
        let runtime = runtime();
        let dialer = runtime.block_on(async { pair(kind) });
        group.bench_function(format!("{kind} set-up"), |b| {
            b.to_async(&runtime).iter(|| async {
                let mut stream = dialer.dial().await.unwrap();
                stream.write_u8(1).await.unwrap();
                stream.read_u8().await.unwrap();
            });
        });
        const BULK: usize = 4 << 20;
        group.throughput(Throughput::Bytes(BULK as u64));
        group.bench_function(format!("{kind} bulk"), |b| {
            b.to_async(&runtime).iter(|| async {
                let mut stream = dialer.dial().await.unwrap();
                stream.write_u8(1).await.unwrap();
                stream.read_u8().await.unwrap();
                let data = vec![7; 64 * 1024];
                for _ in 0..BULK / data.len() {
                    stream.write_all(&data).await.unwrap();
                }
                stream.shutdown().await.unwrap();
                stream.read_u8().await.unwrap();
            });
        });
    }
    group.finish();
}

criterion_group!(benches, codec, session, streams);
criterion_main!(benches);
