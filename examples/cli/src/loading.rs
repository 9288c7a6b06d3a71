use std::{
    convert::Infallible,
    io::{IsTerminal, Write},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use maintner::corpus::{Corpus, live::Status};

/// What takes less is over before anybody could read about it.
const SOON: Duration = Duration::from_millis(400);

/// How often it is looked.
const TICK: Duration = Duration::from_millis(100);

/// How often something is said where no bar can be shown.
const SELDOM: Duration = Duration::from_secs(5);

/// Waits for a corpus to be there, and shows on the standard error output how far it is: a bar, or a line now and then if
/// that is no terminal; nothing if it does not take long.
pub async fn loading<T>(corpus: &Corpus, ready: impl Future<Output = T>) -> T {
    loading_among(&MultiProgress::new(), corpus, ready).await
}

/// [`loading`], among other bars.
pub async fn loading_among<T>(
    bars: &MultiProgress,
    corpus: &Corpus,
    ready: impl Future<Output = T>,
) -> T {
    tokio::select! {
        biased;
        ready = ready => ready,
        never = show(bars, corpus) => match never {},
    }
}

async fn show(bars: &MultiProgress, corpus: &Corpus) -> Infallible {
    tokio::time::sleep(SOON).await;
    let is_terminal = std::io::stderr().is_terminal();
    let mut bar = None;
    let mut said = None;
    loop {
        let Status::Loading { bytes, of } = corpus.status() else {
            // In trouble; whoever waits is told.
            return std::future::pending().await;
        };
        if is_terminal {
            let Shown(bar) = bar.get_or_insert_with(|| Shown(bars.add(new_bar())));
            bar.set_length(of.unwrap_or(bytes).max(bytes).max(1));
            bar.set_position(bytes);
            bar.set_message(what(bytes, of));
        } else if said.is_none_or(|at: tokio::time::Instant| at.elapsed() >= SELDOM) {
            let _ = writeln!(std::io::stderr(), "{}", what(bytes, of));
            said = Some(tokio::time::Instant::now());
        }
        tokio::time::sleep(TICK).await;
    }
}

/// What is being done, in words.
fn what(bytes: u64, of: Option<u64>) -> String {
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    match of {
        Some(of) if bytes >= of => format!("taking in {:.0} MB of log", megabytes(of)),
        Some(of) => format!(
            "reading the log: {:.0} of {:.0} MB",
            megabytes(bytes),
            megabytes(of)
        ),
        None if bytes == 0 => "asking for the log".to_owned(),
        None => format!("reading the log: {:.0} MB", megabytes(bytes)),
    }
}

/// A bar that is gone when nobody needs it any more.
struct Shown(ProgressBar);

impl Drop for Shown {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn new_bar() -> ProgressBar {
    let bar = ProgressBar::new(1);
    if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg}  {wide_bar} {eta}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_is_said() {
        assert_eq!(what(0, None), "asking for the log");
        assert_eq!(what(5_000_000, None), "reading the log: 5 MB");
        assert_eq!(
            what(5_000_000, Some(692_000_000)),
            "reading the log: 5 of 692 MB"
        );
        assert_eq!(what(7_000_000, Some(7_000_000)), "taking in 7 MB of log");
    }
}
