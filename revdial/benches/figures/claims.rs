//! One line per claim.

use std::time::Duration;

use crate::{
    measure::{self, Amount},
    memory,
    net::{Distant, Tcp},
    one_thread,
    report::{Report, figure},
    systems::{Raw, mux, v2},
};

pub(crate) fn all(report: &Report, amount: Amount, streams: usize) {
    report.table();
    beside_the_transport(report);
    set_ups(report);
    for (ours, peers) in [
        ("mux", ["yamux", "h2"]),
        ("mux-tls", ["yamux-tls", "h2-tls"]),
    ] {
        for peer in peers {
            report.not_behind(ours, peer);
        }
    }
    one_thread().block_on(dials((amount.set_ups / 20).max(5)));
    idle_streams(streams);
}

fn beside_the_transport(report: &Report) {
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
        report.claim(ours, "ping_p50_2t", raw, 1.2);
    }
}

fn set_ups(report: &Report) {
    for ours in ["mux", "v1", "v2-spares"] {
        for column in ["set_ups_1_1t", "set_ups_16"] {
            let name = format!("{}_{column}", ours.replace('-', "_"));
            // Version 2 opens a connection for each, so it cannot be faster than this.
            let goal = format!("goal,tcp={:.0}", report.value("tcp", column));
            let goal = (goal.as_str(), 20_000.0);
            figure(&name, report.value(ours, column), goal, "1/s", 1.0, true);
        }
    }
    // Go's own v2 keeps this share of Go's raw TCP (9.4 of 27 and 17.8 of 37 thousand per second).
    report.claim("v2", "set_ups_1", "tcp", 0.35);
    report.claim("v2", "set_ups_16", "tcp", 0.48);
}

/// A dial and its first byte there and back, beside a byte on an open stream: over a network
/// where a round trip takes 4 ms, and without one, where only the work counts.
async fn dials(count: usize) {
    let net = Distant::new(Tcp, Duration::from_millis(2));
    let raw = Raw::new(&net).await;
    let (dial, trip) = measure::dial(&v2(&net, 4).await, &raw, count).await;
    let trip = ("round trip of 4 ms", trip);
    figure("v2_spare_dial", dial, trip, "us", 1.1, false);
    let (dial, trip) = measure::dial(&mux(&net).await, &raw, count).await;
    let trip = ("round trip of 4 ms", trip);
    figure("mux_dial", dial, trip, "us", 1.1, false);

    let raw = Raw::new(&Tcp).await;
    let (dial, trip) = measure::dial(&v2(&Tcp, 4).await, &raw, count).await;
    figure("v2_spare_dial_local", dial, ("tcp", trip), "us", 2.0, false);
    let (dial, trip) = measure::dial(&mux(&Tcp).await, &raw, count).await;
    figure("mux_dial_local", dial, ("tcp", trip), "us", 2.0, false);
}

fn idle_streams(count: usize) {
    let of = |name: &str| memory::of(name, count);
    let (mux, v1, yamux, h2) = (of("mux"), of("v1"), of("yamux"), of("h2"));
    figure("mux_idle_stream", mux, ("yamux", yamux), "B", 1.0, false);
    figure("mux_idle_stream", mux, ("h2", h2), "B", 1.0, false);
    figure("v1_idle_stream", v1, ("yamux", yamux), "B", 1.0, false);
    // Two descriptors each: fewer of them, or the process has not enough.
    let of = |name: &str| memory::of(name, count.min(4000));
    figure(
        "v2_idle_stream",
        of("v2"),
        ("tcp", of("tcp")),
        "B",
        1.5,
        false,
    );
    let tls = ("tls", of("tls"));
    figure("v2_tls_idle_stream", of("v2-tls"), tls, "B", 1.1, false);
}
