//! What the terminal shows while repositories are mirrored.

use std::time::Duration;

use anstyle::Style;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use jiff::{Timestamp, tz::TimeZone};
use maintner::{
    corpus::Corpus,
    sync::{Progress, Status},
};

const DIM: Style = Style::new().dimmed();

/// All repositories' progress.
#[derive(Debug, Clone, Default)]
pub(crate) struct Board(MultiProgress);

impl Board {
    /// Waits for a corpus to be there, and shows how far it is.
    pub(crate) async fn loading<T>(&self, corpus: &Corpus, ready: impl Future<Output = T>) -> T {
        example_cli::loading_among(&self.0, corpus, ready).await
    }

    /// Prints a line.
    pub(crate) fn say(&self, line: &str) {
        self.0.suspend(|| example_cli::say(line));
    }

    fn say_now(&self, line: &str) {
        let now = Timestamp::now().to_zoned(TimeZone::system());
        let now = now.strftime("%H:%M:%S");
        self.say(&format!("{DIM}{now}{DIM:#}  {line}"));
    }

    /// Shows how a repository is doing, for ever.
    pub(crate) async fn show(self, name: String, corpus: Corpus, progress: Progress) {
        let mut watch = progress.watch();
        let mut bar = None;
        let mut before = Status::default();
        let mut commits = corpus.snapshot().commits().len();
        loop {
            let status = watch.borrow_and_update().clone();
            self.show_bar(&name, &mut bar, status.running);
            if status.synced > before.synced {
                let now = corpus.snapshot().commits().len();
                let new = now.saturating_sub(commits);
                if before.synced == 0 {
                    self.say_now(&format!(
                        "{name}: in step, {now} commits, {new} of them new"
                    ));
                } else if new > 0 {
                    let commits = if new == 1 { "commit" } else { "commits" };
                    self.say_now(&format!("{name}: {new} new {commits}"));
                }
                commits = now;
            }
            if status.skipped > before.skipped {
                let example = status.example.as_deref().unwrap_or_default();
                let skipped = status.skipped;
                self.say_now(&format!(
                    "{name}: {skipped} left out that Go readers cannot take, such as {}",
                    plain(example)
                ));
            }
            if let Some(error) = &status.error
                && before.error.as_ref() != Some(error)
            {
                self.say_now(&format!("{name}: {}; trying again", plain(error)));
            }
            before = status;
            if watch.changed().await.is_err() {
                return;
            }
        }
    }

    fn show_bar(&self, name: &str, bar: &mut Option<ProgressBar>, running: Option<(u64, u64)>) {
        // A few commits come and go without one.
        match running.filter(|(_, of)| *of > 500) {
            Some((done, of)) => {
                let bar = bar.get_or_insert_with(|| self.bar(name, of));
                bar.set_position(done);
            }
            None => {
                if let Some(bar) = bar.take() {
                    bar.finish_and_clear();
                }
            }
        }
    }

    fn bar(&self, name: &str, of: u64) -> ProgressBar {
        let bar = self.0.add(ProgressBar::new(of));
        let style = "  {msg}  {wide_bar} {human_pos}/{human_len} commits  {eta}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.set_message(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(250));
        bar
    }
}

/// Words of repositories and git on one line: a terminal obeys none of them.
fn plain(text: &str) -> String {
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(300).map(shown).collect()
}
