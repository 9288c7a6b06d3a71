//! Figures of the writers, with their peers in the same run: `cargo bench -p pargzip --bench figures`; with
//! `--features isal` for the fast level 1.
//!
//! Speeds are bytes of input by CPU seconds (user and system) of a process that reads a file and writes a file, both in
//! memory, with two threads unless it says otherwise. We and the crates among the peers run as a copy of this program;
//! rounds alternate, and the best of each counts.

mod corpus;
mod measure;

use std::path::Path;

use corpus::Corpora;
use measure::{Run, Tool, best_of};

fn main() {
    if let Some(()) = measure::run_as_child() {
        return;
    }
    let corpora = Corpora::make();
    let tools = measure::installed();
    levels(&corpora, &tools);
    noise(&corpora, &tools);
    shared(&corpora);
    threads(&corpora);
    memory(&corpora);
    stored_test(&corpora);
    front(&corpora, &tools);
}

/// Speed and size beside pigz, level by level.
fn levels(corpora: &Corpora, tools: &[&str]) {
    if !tools.contains(&"pigz") {
        return println!("# SKIPPED: pigz is not installed");
    }
    let first = if cfg!(feature = "isal") { 4.5 } else { 2.5 };
    for (level, speed, size, rounds) in [(1, first, 1.0, 3), (6, 2.5, 1.0, 2), (9, 3.0, 0.99, 1)] {
        for (name, whole, sample) in [
            ("source", &corpora.source, &corpora.source_sample),
            ("log", &corpora.log, &corpora.log_sample),
        ] {
            // Levels at which pigz takes long get 64 MB.
            let input = if level == 9 { sample } else { whole };
            let pigz = Tool::Program("pigz", level);
            let [ours, peer] = best_of(rounds, [Tool::Ours(level), pigz], 2, input);
            higher(
                &format!("{name}-level{level}"),
                ours.cpu_speed(),
                peer.cpu_speed(),
                "pigz",
                "MB/cpu-s",
                speed,
            );
            lower(
                &format!("{name}-level{level}-size"),
                ours.size(),
                peer.size(),
                "pigz",
                "bytes",
                size,
            );
        }
    }
}

fn noise(corpora: &Corpora, tools: &[&str]) {
    let (input, sample) = (&corpora.noise, &corpora.noise_sample);
    let [ours] = best_of(3, [Tool::Ours(6)], 2, input);
    if tools.contains(&"pigz") {
        let [peer] = best_of(1, [Tool::Program("pigz", 6)], 2, sample);
        higher(
            "noise",
            ours.cpu_speed(),
            peer.cpu_speed(),
            "pigz",
            "MB/cpu-s",
            10.0,
        );
    }
    let plain = corpus::len(input) as f64;
    lower("noise-size", ours.size(), plain, "input", "bytes", 1.00012);
}

/// What `write_bytes` saves.
fn shared(corpora: &Corpora) {
    let speeds = measure::shared_and_copied(1, &corpora.source_sample);
    let [shared, copied] = speeds.expect("it fits into memory");
    let name = "write-bytes-level1";
    higher(name, shared, copied, "write_all", "MB/cpu-s", 1.0);
}

/// Two threads against one, by the clock. What the machine has to give is told by two processes at once, which have
/// nothing to do with each other.
fn threads(corpora: &Corpora) {
    for level in [1, 6] {
        let (mut two, mut one, mut pair) = (0.0_f64, 0.0_f64, 0.0_f64);
        for _ in 0..3 {
            let [run] = best_of(1, [Tool::Ours(level)], 1, &corpora.source);
            one = one.max(run.wall_speed());
            let [run] = best_of(1, [Tool::Ours(level)], 2, &corpora.source);
            two = two.max(run.wall_speed());
            let speed = measure::two_at_once(Tool::Ours(level), &corpora.source);
            pair = pair.max(speed.expect("the tool runs"));
        }
        println!(
            "# level {level}: two processes of one thread, at once: {pair:.1} MB/s, {:.2} times one",
            pair / one
        );
        higher(
            &format!("two-threads-level{level}"),
            two,
            one,
            "one-thread",
            "MB/s",
            1.8,
        );
    }
}

fn memory(corpora: &Corpora) {
    for (name, level, input) in [
        ("source-level1", 1, &corpora.source_sample),
        ("source-level6", 6, &corpora.source_sample),
        ("source-level9", 9, &corpora.source_sample),
        ("noise", 6, &corpora.noise_sample),
    ] {
        let [ours] = best_of(1, [Tool::Ours(level)], 2, input);
        println!(
            "figure pargzip-memory-{name} ours={:.1} unit=MB target<=14 {}",
            ours.peak_memory,
            verdict(ours.peak_memory <= 14.0)
        );
    }
}

/// What it costs in size to store what looks like noise.
fn stored_test(corpora: &Corpora) {
    for (name, input) in [
        ("source", &corpora.source_sample),
        ("log", &corpora.log_sample),
    ] {
        let [ours] = best_of(1, [Tool::Ours(6)], 2, input);
        let always = measure::without_stored_test(6, input);
        lower(
            &format!("stored-test-{name}"),
            ours.size(),
            always,
            "always-compressed",
            "bytes",
            1.002,
        );
    }
}

/// No peer is both faster and smaller than any of our levels.
fn front(corpora: &Corpora, tools: &[&str]) {
    let input = &corpora.source_part;
    let ours = (1..=9).map(Tool::Ours).collect::<Vec<_>>();
    let mut peers = Vec::new();
    for level in [1, 6, 9] {
        peers.extend([Tool::Gzp(level), Tool::Flate2(level)]);
    }
    for (name, levels) in [
        ("pigz", &[1, 6, 9][..]),
        ("gzip", &[1, 6, 9]),
        ("igzip", &[0, 1, 2, 3]),
        ("bgzip", &[1, 6]),
        ("libdeflate-gzip", &[1, 6, 9]),
    ] {
        if tools.contains(&name) {
            peers.extend(levels.iter().map(|&level| Tool::Program(name, level)));
        } else {
            println!("# SKIPPED: {name} is not installed");
        }
    }
    let runs = |tools: Vec<Tool>, path: &Path| {
        tools
            .into_iter()
            .map(|tool| (tool, best_of(2, [tool], 1, path)[0]))
            .collect::<Vec<(Tool, Run)>>()
    };
    let (ours, peers) = (runs(ours, input), runs(peers, input));
    for (tool, run) in ours.iter().chain(&peers) {
        println!(
            "# {tool:<24} {:7.1} MB/cpu-s ratio {:.3}",
            run.cpu_speed(),
            run.ratio()
        );
    }
    let mut beaten = 0;
    for (tool, our) in &ours {
        for (peer, run) in &peers {
            // Faster by more than what two runs of the same program differ.
            if run.cpu_speed() > 1.05 * our.cpu_speed() && run.size() < our.size() {
                beaten += 1;
                println!("# {peer} is faster and smaller than {tool}");
            }
        }
    }
    println!(
        "figure pargzip-levels-beaten ours={beaten} unit=levels target<=0 {}",
        verdict(beaten == 0)
    );
}

fn higher(name: &str, ours: f64, peer: f64, who: &str, unit: &str, target: f64) {
    let ratio = ours / peer;
    println!(
        "figure pargzip-{name} ours={ours:.1} peer={peer:.1}({who}) unit={unit} ratio={ratio:.2} target>={target} {}",
        verdict(ratio >= target)
    );
}

fn lower(name: &str, ours: f64, peer: f64, who: &str, unit: &str, target: f64) {
    let ratio = ours / peer;
    println!(
        "figure pargzip-{name} ours={ours:.0} peer={peer:.0}({who}) unit={unit} ratio={ratio:.4} target<={target} {}",
        verdict(ratio <= target)
    );
}

fn verdict(ok: bool) -> &'static str {
    if ok { "ok" } else { "SHORT" }
}
