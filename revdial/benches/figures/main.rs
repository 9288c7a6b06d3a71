//! Figures, each with its peer in the same run: `cargo bench -p revdial --bench figures`.
//!
//! Everything over loopback, both ends in one process, systems in turns, medians of the rounds.
//! Peers are the bare transport, the `yamux` crate and HTTP/2 `CONNECT` on `h2`.
//! `cargo bench -p revdial --bench figures -- mux yamux` measures only systems whose names
//! contain one of these words, and prints the table alone.
#![allow(
    clippy::unwrap_used,
    reason = "a bench that cannot run should say so and stop"
)]

mod claims;
mod far;
mod measure;
mod memory;
mod net;
mod peers;
mod report;
mod systems;

use std::{env, future::Future, pin::Pin};

use tokio::runtime::{Builder, Runtime};

use measure::Amount;
use net::{Tcp, Tls};
use peers::{H2, Yamux};
use report::Report;
use systems::{Opener, Raw, mux, v1, v2};

type Running<T> = Pin<Box<dyn Future<Output = T>>>;

/// One system, ready to be measured.
struct System {
    two_threads: Box<dyn Fn(Amount) -> Running<Vec<f64>>>,
    one_thread: Box<dyn Fn(Amount) -> Running<Vec<f64>>>,
    idle: Box<dyn Fn(usize) -> Running<f64>>,
}

impl System {
    fn new<O: Opener>(opener: O) -> Self {
        let (two, one) = (opener.clone(), opener.clone());
        Self {
            two_threads: Box::new(move |amount| {
                let opener = two.clone();
                Box::pin(async move { measure::on_two_threads(&opener, amount).await })
            }),
            one_thread: Box::new(move |amount| {
                let opener = one.clone();
                Box::pin(async move { measure::on_one_thread(&opener, amount).await })
            }),
            idle: Box::new(move |count| {
                let opener = opener.clone();
                Box::pin(async move { memory::idle_streams(&opener, count).await })
            }),
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
    "h2",
    "tls",
    "v2-tls",
    "mux-tls",
    "yamux-tls",
    "h2-tls",
];

async fn system(name: &str, tls: &Tls) -> System {
    match name {
        "tcp" => System::new(Raw::new(&Tcp).await),
        "v2" => System::new(v2(&Tcp, 0).await),
        "v2-spares" => System::new(v2(&Tcp, 32).await),
        "v1" => System::new(v1(&Tcp).await),
        "mux" => System::new(mux(&Tcp).await),
        "yamux" => System::new(Yamux::new(&Tcp).await),
        "h2" => System::new(H2::new(&Tcp).await),
        "tls" => System::new(Raw::new(tls).await),
        "v2-tls" => System::new(v2(tls, 0).await),
        "mux-tls" => System::new(mux(tls).await),
        "yamux-tls" => System::new(Yamux::new(tls).await),
        "h2-tls" => System::new(H2::new(tls).await),
        _ => unreachable!("not in NAMES"),
    }
}

fn two_threads() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().unwrap()
}

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// One round of one system, in runtimes of its own: what others left behind does not count.
fn sample(name: &str, tls: &Tls, amount: Amount) -> Vec<f64> {
    let handshakes = ["tls", "v2-tls"].contains(&name);
    let amount = Amount {
        set_ups: amount.set_ups / if handshakes { 4 } else { 1 },
        ..amount
    };
    let mut row = two_threads().block_on(async {
        let system = system(name, tls).await;
        (system.two_threads)(amount).await
    });
    row.extend(one_thread().block_on(async {
        let system = system(name, tls).await;
        (system.one_thread)(amount).await
    }));
    row
}

fn rounds(names: &[&'static str], rounds: usize, amount: Amount) -> Report {
    let tls = Tls::new();
    let mut all: Vec<_> = names.iter().map(|name| (*name, Vec::new())).collect();
    for round in 0..rounds {
        // Another one begins each time.
        for at in 0..all.len() {
            let at = (at + round) % all.len();
            let (name, results) = &mut all[at];
            results.push(sample(name, &tls, amount));
        }
    }
    Report::new(all)
}

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    if let [first, name, count] = &args[..]
        && first == memory::ARGUMENT
    {
        let bytes = two_threads().block_on(async {
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
        return claims::all(&rounds(&NAMES, 1, amount), amount, 100);
    }
    let amount = Amount {
        bulk: 192 << 20,
        pings: 4000,
        set_ups: 1000,
    };
    let words: Vec<_> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    if words.is_empty() {
        claims::all(&rounds(&NAMES, 5, amount), amount, 10_000);
    } else {
        let chosen = |name: &&&str| words.iter().any(|word| name.contains(word.as_str()));
        let names: Vec<_> = NAMES.iter().filter(chosen).copied().collect();
        rounds(&names, 5, amount).table();
    }
}
