//! Figures with their peers in the same run: `cargo bench -p livelog --bench figures`; a part of them with `-- fanout` or
//! `-- r10`.
//!
//! One task writes, a thousand read everything, on a runtime with as many threads as CPUs. Readers count bytes and do not
//! look at them, except those of the copying peer, which has no other way. Rounds alternate; the median counts.

#[path = "crowd/mod.rs"]
mod crowd;
#[path = "fanout/mod.rs"]
mod fanout;

use fanout::{Load, Times};

const ROUNDS: usize = 3;

fn main() {
    let wanted = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect::<Vec<_>>();
    let is_wanted = |part: &str| wanted.is_empty() || wanted.iter().any(|name| name == part);
    if let [part, chunk, chunks] = &wanted[..]
        && part == "memory"
        && let (Ok(chunk), Ok(chunks)) = (chunk.parse(), chunks.parse())
    {
        return memory_here(load(chunk, chunks));
    }
    if is_wanted("fanout") {
        fan_out();
        memory();
    }
    if is_wanted("r10") {
        crowd::run();
    }
}

fn load(chunk: usize, chunks: usize) -> Load {
    Load {
        readers: 1000,
        chunk,
        chunks,
    }
}

fn fan_out() {
    let runtime = fanout::runtime();
    let loads = [
        ("4k", load(4096, 24_000), 1.4, 5.0),
        ("256b", load(256, 40_000), 10.0, 2.0),
    ];
    for (name, load, target, vec_target) in loads {
        let mut times = [const { Vec::new() }; 4];
        for _ in 0..ROUNDS {
            times[0].push(runtime.block_on(fanout::ours(load, false)));
            times[1].push(runtime.block_on(fanout::broadcast(load)));
            times[2].push(runtime.block_on(fanout::locked_vec(load)));
            times[3].push(runtime.block_on(fanout::ours(load, true)));
        }
        let [ours, broadcast, locked, file] = times.map(median);
        figure(
            &format!("livelog-fanout-{name}"),
            load,
            &ours,
            &broadcast,
            "tokio-broadcast",
            target,
        );
        figure(
            &format!("livelog-fanout-{name}-vec"),
            load,
            &ours,
            &locked,
            "mutex-vec-notify",
            vec_target,
        );
        figure(
            &format!("livelog-fanout-{name}-file"),
            load,
            &file,
            &broadcast,
            "tokio-broadcast",
            0.5,
        );
        println!(
            "# {name}: writer done after ours {:.0} ms, with a file {:.0} ms, broadcast {:.0} ms, vec {:.0} ms",
            ours.written * 1e3,
            file.written * 1e3,
            broadcast.written * 1e3,
            locked.written * 1e3
        );
    }
}

/// How much more memory a process has, at most, when a thousand readers follow a log of 100 MB in memory.
fn memory() {
    for (name, load) in [("4k", load(4096, 24_000)), ("256b", load(256, 400_000))] {
        let child = std::env::current_exe().and_then(|program| {
            let arguments = [
                "memory".to_owned(),
                load.chunk.to_string(),
                load.chunks.to_string(),
            ];
            std::process::Command::new(program).args(arguments).output()
        });
        let grown = child.ok().and_then(|output| {
            String::from_utf8(output.stdout)
                .ok()?
                .trim()
                .parse::<f64>()
                .ok()
        });
        let Some(grown) = grown else {
            eprintln!("SKIPPED: memory cannot be measured here");
            return;
        };
        let ratio = grown / load.written() as f64;
        println!(
            "figure livelog-fanout-{name}-memory ours={:.1} peer={:.1}(the-log) unit=MB ratio={ratio:.2} target<=1.1 {}",
            grown / 1e6,
            load.written() as f64 / 1e6,
            if ratio <= 1.1 { "ok" } else { "SHORT" }
        );
    }
}

fn memory_here(load: Load) {
    let runtime = fanout::runtime();
    let small = Load {
        chunks: 100,
        ..load
    };
    runtime.block_on(fanout::ours(small, false));
    let kib = |name: &str| {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
    };
    let before = kib("VmRSS:");
    runtime.block_on(fanout::ours(load, false));
    if let (Some(before), Some(peak)) = (before, kib("VmHWM:")) {
        println!("{}", peak.saturating_sub(before) << 10);
    }
}

fn median(mut times: Vec<Times>) -> Times {
    times.sort_by(|a, b| a.all.total_cmp(&b.all));
    times.swap_remove(times.len() / 2)
}

fn figure(name: &str, load: Load, ours: &Times, peer: &Times, peer_name: &str, target: f64) {
    let rate = |times: &Times| load.delivered() as f64 / 1e9 / times.all;
    let ratio = peer.all / ours.all;
    let verdict = if ratio >= target { "ok" } else { "SHORT" };
    println!(
        "figure {name} ours={:.1} peer={:.1}({peer_name}) unit=GB/s ratio={ratio:.2} target>={target} {verdict}",
        rate(ours),
        rate(peer)
    );
}
