use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar on standard error, if somebody is watching and it takes long enough.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    begun: Instant,
    shown: Instant,
}

const PATIENCE: Duration = Duration::from_millis(300);
const EVERY: Duration = Duration::from_millis(100);

impl Progress {
    /// For input of `len` bytes, if that is known.
    pub(crate) fn new(name: &str, len: Option<u64>, watched: bool) -> Self {
        let bar = watched.then(|| {
            let bar = ProgressBar::with_draw_target(len, ProgressDrawTarget::hidden());
            let template = if len.is_some() {
                "{prefix} {bar:24} {percent:>3}%  {msg}  ETA {eta}"
            } else {
                "{prefix} {bytes}  {msg}"
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("━╸ "));
            }
            bar.set_prefix(name.to_owned());
            bar
        });
        let now = Instant::now();
        Self {
            bar,
            begun: now,
            shown: now,
        }
    }

    /// `read` bytes of the input are done; they are, or have become, `plain` bytes uncompressed and `packed` compressed.
    pub(crate) fn show(&mut self, read: u64, plain: u64, packed: u64) {
        let Some(bar) = &self.bar else { return };
        let (now, elapsed) = (Instant::now(), self.begun.elapsed());
        if elapsed < PATIENCE || now - self.shown < EVERY {
            return;
        }
        if bar.is_hidden() {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.shown = now;
        bar.set_position(read);
        let speed = plain as f64 / 1e6 / elapsed.as_secs_f64();
        let ratio = plain as f64 / packed.max(1) as f64;
        bar.set_message(format!("{speed:.0} MB/s  ratio {ratio:.2}"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
