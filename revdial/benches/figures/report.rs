//! What is printed: a table for reading, and one line per claim.

use crate::measure::{COLUMNS, median};

/// The medians of all systems.
pub(crate) struct Report {
    rows: Vec<(&'static str, Vec<f64>)>,
}

impl Report {
    /// From the rounds' results, per system.
    pub(crate) fn new(samples: Vec<(&'static str, Vec<Vec<f64>>)>) -> Self {
        let rows = samples.into_iter().map(|(name, rounds)| {
            let column = |at: usize| median(rounds.iter().map(|round| round[at]).collect());
            (name, (0..COLUMNS.len()).map(column).collect())
        });
        Self {
            rows: rows.collect(),
        }
    }

    pub(crate) fn table(&self) {
        print!("{:<14}", "");
        for column in &COLUMNS {
            print!("{:>13}", column.name);
        }
        println!();
        for (name, values) in &self.rows {
            print!("{name:<14}");
            for value in values {
                match value {
                    value if value.is_nan() => print!("{:>13}", "-"),
                    value if *value >= 100.0 => print!("{value:>13.0}"),
                    value => print!("{value:>13.2}"),
                }
            }
            println!();
        }
    }

    pub(crate) fn value(&self, system: &str, column: &str) -> f64 {
        let (_, values) = self.rows.iter().find(|(name, _)| *name == system).unwrap();
        values[COLUMNS.iter().position(|c| c.name == column).unwrap()]
    }

    /// One line: `ours` beside `peer` in `column`, with a goal for their ratio.
    pub(crate) fn claim(&self, ours: &str, column: &str, peer: &str, target: f64) {
        let of = COLUMNS.iter().find(|c| c.name == column).unwrap();
        figure(
            &format!("{}_{column}", ours.replace('-', "_")),
            self.value(ours, column),
            (peer, self.value(peer, column)),
            of.unit,
            target,
            of.more_is_better,
        );
    }

    /// One line per column: `ours` is not behind `peer`.
    pub(crate) fn not_behind(&self, ours: &str, peer: &str) {
        for column in COLUMNS.iter().filter(|c| !c.name.ends_with("cpu")) {
            self.claim(ours, column.name, peer, 1.0);
        }
    }
}

pub(crate) fn figure(
    name: &str,
    ours: f64,
    peer: (&str, f64),
    unit: &str,
    target: f64,
    more_is_better: bool,
) {
    let ratio = ours / peer.1;
    let (sign, ok) = if more_is_better {
        (">=", ratio >= target)
    } else {
        ("<=", ratio <= target)
    };
    let verdict = if ok { "ok" } else { "SHORT" };
    println!(
        "figure {name} ours={ours:.2} peer={:.2}({}) unit={unit} ratio={ratio:.2} target{sign}{target} {verdict}",
        peer.1, peer.0
    );
}
