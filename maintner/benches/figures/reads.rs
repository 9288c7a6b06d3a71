//! Questions, and what they take while others come in.

use std::{
    hint::black_box,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use maintner::corpus::{Commit, Corpus, Snapshot, Writer};

use super::{figure_at_most, log::Tail, median};

/// Questions that go over all there is.
pub(crate) fn questions(snapshot: &Snapshot) {
    let comments = || {
        let issues = snapshot.github().repos().flat_map(|repo| repo.issues());
        issues.flat_map(|issue| issue.comments())
    };
    let start = Instant::now();
    let newest = comments()
        .filter_map(|comment| Some((comment.created()?, comment.user()?.id())))
        .max();
    let seconds = start.elapsed().as_secs_f64();
    black_box(newest);
    let count = comments().count();
    let start = Instant::now();
    let bytes: usize = comments().map(|comment| comment.body().len()).sum();
    println!(
        "# all {count} comments: {:.1} ms; and {bytes} bytes of text: {:.1} ms",
        seconds * 1e3,
        start.elapsed().as_secs_f64() * 1e3
    );
    // The original needs 47 ms for 145,000 of them.
    figure_at_most("comment", seconds * 1e9 / count as f64, "ns", 324.0);

    // Of commits on a main line: half of the pairs are ancestors.
    let commits: Vec<Commit<'_>> = snapshot
        .gerrit()
        .projects()
        .filter_map(|project| project.reference("refs/heads/master"))
        .flat_map(|head| {
            std::iter::successors(Some(head), |commit| {
                snapshot.commits().get(commit.parents().next()?)
            })
        })
        .collect();
    let mut chance = 1_u64;
    let mut some = || {
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        commits[(chance >> 33) as usize % commits.len()]
    };
    let pairs: Vec<_> = (0..100_000).map(|_| (some(), some())).collect();
    let start = Instant::now();
    let found = pairs.iter().filter(|(a, b)| a.has_ancestor(b)).count();
    let each = start.elapsed().as_secs_f64() / pairs.len() as f64;
    println!(
        "# has_ancestor: {found} of {} pairs of {} commits are",
        pairs.len(),
        commits.len()
    );
    figure_at_most("has-ancestor", each * 1e9, "ns", 1000.0);
}

/// The 99th percentile of what a question takes, in seconds, asked for some time.
fn p99(corpus: &Corpus, seconds: f64) -> f64 {
    let mut times = Vec::with_capacity(1 << 20);
    let (begin, mut chance) = (Instant::now(), 7_u64);
    while begin.elapsed().as_secs_f64() < seconds {
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let start = Instant::now();
        ask(&corpus.snapshot(), (chance >> 33) as i32);
        times.push(start.elapsed());
    }
    let at = times.len() * 99 / 100;
    let (_, p99, _) = times.select_nth_unstable(at);
    Duration::as_secs_f64(p99)
}

/// An issue with all that was said about it, and a change with its votes; whether there are both.
pub(crate) fn ask(snapshot: &Snapshot, chance: i32) -> bool {
    let repo = snapshot.github().repo("example", "compiler");
    let issue = repo.and_then(|repo| repo.issue(1 + chance % 10_000));
    if let Some(issue) = issue {
        black_box((issue.title(), issue.labels().count()));
        for comment in issue.comments() {
            black_box((comment.body(), comment.user().map(|user| user.login())));
        }
    }
    let project = snapshot.gerrit().project("review.example.org", "compiler");
    let change = project.and_then(|project| {
        (0..100).find_map(|at| project.cl(1001 + (chance % 30_000 + at) % 30_000))
    });
    if let Some(change) = change {
        black_box((
            change.subject().len(),
            change.status(),
            change.votes().is_ok(),
        ));
    }
    issue.is_some() && change.is_some()
}

/// What readers feel of a writer that applies and publishes all the time.
pub(crate) fn while_applying(mut writer: Writer, mut tail: Tail<'_>) {
    const SLICE: f64 = 0.7;
    const ROUNDS: usize = 5;
    let corpus = writer.corpus();
    // A batch of 100 mutations each 2 ms: 50,000 a second.
    let batches = tail.batches(300_000, 100);
    let mut batches = batches.iter();
    let (mut quiet, mut busy, mut applied) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        quiet.push(p99(&corpus, SLICE));
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut next = Instant::now();
                while !stop.load(Ordering::Relaxed)
                    && let Some((segment, offset, bytes)) = batches.next()
                {
                    writer.apply(*segment, *offset, bytes).expect("a good log");
                    writer.publish();
                    applied += 100;
                    next += Duration::from_millis(2);
                    std::thread::sleep(next.saturating_duration_since(Instant::now()));
                }
            });
            busy.push(p99(&corpus, SLICE));
            stop.store(true, Ordering::Relaxed);
        });
    }
    let (quiet, busy) = (median(quiet), median(busy));
    let rate = f64::from(applied) / (SLICE * ROUNDS as f64);
    println!(
        "# p99 of a question: {:.2} us, and {:.2} us while {rate:.0} mutations/s come in",
        quiet * 1e6,
        busy * 1e6
    );
    figure_at_most("read-p99-while-applying", busy / quiet, "of-quiet", 1.2);
}
