//! Statistics over the same jobs as `figures`: `cargo bench -p livelog --bench fanout`.

#[path = "fanout/mod.rs"]
mod fanout;

use std::time::Duration;

use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use fanout::{Load, Times};

fn fan_out(c: &mut Criterion) {
    let runtime = fanout::runtime();
    let mut group = c.benchmark_group("fanout");
    // One job takes up to some hundred milliseconds: all of it in less than a minute.
    group
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    for (readers, chunk, chunks) in [(1, 80, 20_000), (100, 256, 10_000), (1000, 4096, 1000)] {
        let load = Load {
            readers,
            chunk,
            chunks,
        };
        let name = format!("{readers}x{chunk}");
        group.throughput(Throughput::Bytes(load.delivered() as u64));
        group.bench_function(BenchmarkId::new("memory", &name), |b| {
            b.to_async(&runtime)
                .iter_custom(|n| repeat(n, |times| times.all, || fanout::ours(load, false)));
        });
        group.bench_function(BenchmarkId::new("memory, writer alone", &name), |b| {
            b.to_async(&runtime)
                .iter_custom(|n| repeat(n, |times| times.written, || fanout::ours(load, false)));
        });
        group.bench_function(BenchmarkId::new("file", &name), |b| {
            b.to_async(&runtime)
                .iter_custom(|n| repeat(n, |times| times.all, || fanout::ours(load, true)));
        });
        group.bench_function(BenchmarkId::new("broadcast", &name), |b| {
            b.to_async(&runtime)
                .iter_custom(|n| repeat(n, |times| times.all, || fanout::broadcast(load)));
        });
        group.bench_function(BenchmarkId::new("mutex-vec", &name), |b| {
            b.to_async(&runtime)
                .iter_custom(|n| repeat(n, |times| times.all, || fanout::locked_vec(load)));
        });
    }
}

async fn repeat<F: Future<Output = Times>>(
    n: u64,
    part: fn(&Times) -> f64,
    mut job: impl FnMut() -> F,
) -> Duration {
    let mut total = 0.0;
    for _ in 0..n {
        total += part(&job().await);
    }
    Duration::from_secs_f64(total)
}

criterion_group!(benches, fan_out);
criterion_main!(benches);
