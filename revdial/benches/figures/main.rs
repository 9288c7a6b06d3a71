//! Figures, each with its peer in the same run: `cargo bench -p revdial --bench figures`.
//!
//! Everything over loopback, both ends in one process, two workers, systems in turns, medians of
//! the rounds. Peers are the bare transport, the `yamux` crate and HTTP/2 `CONNECT` on `h2`.
//! `cargo bench -p revdial --bench figures -- mux yamux` measures only systems whose names
//! contain one of these words, and prints the table alone.
#![allow(
    clippy::unwrap_used,
    reason = "a bench that cannot run should say so and stop"
)]

mod far;
mod measure;
mod memory;
mod net;
mod peers;
mod report;
mod systems;

use std::{env, pin::Pin, time::Duration};

use measure::Amount;
use net::{Tcp, Tls};
use peers::{H2, Yamux};
use report::{Report, figure};
use systems::{Opener, Raw, v1, v2};

type Running<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// One system, ready to be measured.
struct System {
    name: &'static str,
    measure: Box<dyn Fn(Amount) -> Running<'static, Vec<f64>>>,
    idle: Box<dyn Fn(usize) -> Running<'static, f64>>,
}

impl System {
    fn new<O: Opener>(name: &'static str, opener: O) -> Self {
        let other = opener.clone();
        Self {
            name,
            measure: Box::new(move |amount| {
                let opener = opener.clone();
                Box::pin(async move { measure::all(&opener, amount).await })
            }),
            idle: Box::new(move |count| {
                let opener = other.clone();
                Box::pin(async move { memory::idle_streams(&opener, count).await })
            }),
        }
    }

    /// Only what spares make a difference to.
    fn opening<O: Opener>(name: &'static str, opener: O) -> Self {
        let other = opener.clone();
        Self {
            measure: Box::new(move |amount| {
                let opener = other.clone();
                Box::pin(async move { measure::opening(&opener, amount).await })
            }),
            ..Self::new(name, opener)
        }
    }
}

const NAMES: [&str; 12] = [
    "tcp",
    "v2",
    "v2-spares",
    "v1",
    "mux",
    "yamux",
    "h2", //
    "tls",
    "v2-tls",
    "mux-tls",
    "yamux-tls",
    "h2-tls",
];

async fn system(name: &'static str, tls: &Tls) -> System {
    match name {
        "tcp" => System::new(name, Raw::new(&Tcp).await),
        "v2" => System::new(name, v2(&Tcp, 0).await),
        "v2-spares" => System::opening(name, v2(&Tcp, 32).await),
        "v1" => System::new(name, v1(&Tcp).await),
        "mux" => System::new(name, systems::mux(&Tcp).await),
        "yamux" => System::new(name, Yamux::new(&Tcp).await),
        "h2" => System::new(name, H2::new(&Tcp).await),
        "tls" => System::new(name, Raw::new(tls).await),
        "v2-tls" => System::new(name, v2(tls, 0).await),
        "mux-tls" => System::new(name, systems::mux(tls).await),
        "yamux-tls" => System::new(name, Yamux::new(tls).await),
        "h2-tls" => System::new(name, H2::new(tls).await),
        _ => unreachable!("not in NAMES"),
    }
}

async fn rounds(names: &[&'static str], rounds: usize, amount: Amount) -> Report {
    let tls = Tls::new();
    let mut all = Vec::new();
    for name in names {
        all.push((system(name, &tls).await, Vec::new()));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    for round in 0..rounds {
        // Another one begins each time.
        let len = all.len();
        for at in 0..len {
            let (system, results) = &mut all[(at + round) % len];
            let handshakes = ["tls", "v2-tls"].contains(&system.name);
            let set_ups = if handshakes {
                amount.set_ups / 4
            } else {
                amount.set_ups
            };
            results.push((system.measure)(Amount { set_ups, ..amount }).await);
        }
    }
    Report::new(
        all.into_iter()
            .map(|(s, results)| (s.name, results))
            .collect(),
    )
}

async fn everything(count: usize, amount: Amount, streams: usize) {
    let report = rounds(&NAMES, count, amount).await;
    report.table();

    for (ours, raw, share) in [
        ("v2", "tcp", 0.9),
        ("v1", "tcp", 0.7),
        ("mux", "tcp", 0.9),
        ("v2-tls", "tls", 0.9),
        ("mux-tls", "tls", 0.9),
    ] {
        report.claim(ours, "bulk_1", raw, share);
        report.claim(ours, "bulk_16", raw, share);
        report.claim(ours, "ping_p50", raw, 1.2);
    }
    for ours in ["v1", "mux", "v2-spares"] {
        for column in ["set_ups_1", "set_ups_16"] {
            let name = format!("{}_{column}", ours.replace('-', "_"));
            let goal = ("goal", 20_000.0);
            figure(&name, report.value(ours, column), goal, "1/s", 1.0, true);
        }
    }
    // Go's own v2 keeps this share of Go's raw TCP (9.4 of 27 and 17.8 of 37 thousand per second).
    report.claim("v2", "set_ups_1", "tcp", 0.35);
    report.claim("v2", "set_ups_16", "tcp", 0.48);

    for (ours, peers) in [
        ("mux", ["yamux", "h2"]),
        ("mux-tls", ["yamux-tls", "h2-tls"]),
    ] {
        for peer in peers {
            report.not_behind(ours, peer);
        }
    }

    let (raw, spared, mux) = (
        Raw::new(&Tcp).await,
        v2(&Tcp, 4).await,
        systems::mux(&Tcp).await,
    );
    let count = amount.set_ups / 4;
    let (dial, trip) = measure::spare_dial(&spared, &raw, count).await;
    figure(
        "v2_spare_dial",
        dial,
        ("tcp round trip", trip),
        "us",
        1.1,
        false,
    );
    let (dial, trip) = measure::spare_dial(&mux, &raw, count).await;
    figure("mux_dial", dial, ("tcp round trip", trip), "us", 1.2, false);

    let of = |name: &str| memory::of(name, streams);
    let (mux, v1, yamux, h2) = (of("mux"), of("v1"), of("yamux"), of("h2"));
    figure("mux_idle_stream", mux, ("yamux", yamux), "B", 1.0, false);
    figure("mux_idle_stream", mux, ("h2", h2), "B", 1.0, false);
    figure("v1_idle_stream", v1, ("yamux", yamux), "B", 1.0, false);
    // Two descriptors each: fewer of them, or the process has not enough.
    let few = streams.min(4000);
    let (raw, v2) = (memory::of("tcp", few), memory::of("v2", few));
    figure("v2_idle_stream", v2, ("tcp", raw), "B", 1.5, false);
    let (raw, v2) = (memory::of("tls", few), memory::of("v2-tls", few));
    figure("v2_tls_idle_stream", v2, ("tls", raw), "B", 1.2, false);
}

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    if let [first, name, count] = &args[..]
        && first == memory::ARGUMENT
    {
        let name = NAMES.iter().find(|known| *known == name).unwrap();
        let bytes = runtime.block_on(async {
            let system = system(name, &Tls::new()).await;
            (system.idle)(count.parse().unwrap()).await
        });
        println!("{bytes}");
        return;
    }
    // `cargo test` only asks whether it still works.
    if !args.iter().any(|arg| arg == "--bench") {
        let amount = Amount {
            bulk: 2 << 20,
            pings: 20,
            set_ups: 40,
        };
        return runtime.block_on(everything(1, amount, 100));
    }
    let amount = Amount {
        bulk: 256 << 20,
        pings: 4000,
        set_ups: 1000,
    };
    let words: Vec<_> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    if words.is_empty() {
        runtime.block_on(everything(7, amount, 10_000));
    } else {
        let chosen = |name: &&&str| words.iter().any(|word| name.contains(word.as_str()));
        let names: Vec<_> = NAMES.iter().filter(chosen).copied().collect();
        runtime.block_on(async { rounds(&names, 5, amount).await.table() });
    }
}
