//! The part of a log that a page shows.
//!
//! A page shows a window of bounded size, by default the newest part. The script goes on from where the window ends, at the
//! beginning of a line, so that what server and script show is joined without a seam.

use std::fmt::Write as _;

use askama::filters::{Html, escape};
use buildfarm_dashboard::record::Step;
use jiff::Timestamp;

use super::ansi::{RowEnd, Screen};
use super::words::{Kind, brief, clean};
use crate::logs::{LogError, LogStore};
use crate::store::AttemptId;

/// Most bytes of a log on one page.
pub(crate) const WINDOW_BYTES: u64 = 256 * 1024;

/// Most lines of a log on one page: a line of one byte costs eighty in HTML.
pub(crate) const WINDOW_LINES: usize = 5_000;

/// Lines are counted from the beginning of a log up to here; in a window that begins later they have no numbers.
const COUNTED_BYTES: u64 = 16 * 1024 * 1024;

/// Lines in a block that the browser may leave unpainted while it is out of sight.
const BLOCK: u64 = 200;

/// Which part of the log is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The end.
    Newest,
    /// From a line at or after this offset.
    From(u64),
}

/// A part of a log.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// Rows and headings of steps.
    pub html: String,
    /// Offset of its first byte.
    pub start: u64,
    /// Offset after its last byte.
    pub end: u64,
    /// Length of the log.
    pub len: u64,
    /// Whether the log is final.
    pub complete: bool,
    /// Offset of the unfinished last line, if it has one, or of the end: where the script goes on.
    pub resume: u64,
    /// Number of the line at `resume`, where lines are numbered.
    pub resume_line: Option<u64>,
    /// Style at `resume`.
    pub resume_style: String,
    /// How many steps have their heading above `resume`: the first so many.
    pub headed: usize,
}

impl Window {
    /// Where the part before this one begins.
    pub(crate) fn earlier(&self) -> Option<u64> {
        (self.start > 0).then(|| self.start.saturating_sub(WINDOW_BYTES))
    }

    /// Where the part after this one begins.
    pub(crate) fn later(&self) -> Option<u64> {
        (self.end < self.len).then_some(self.end)
    }
}

/// Reads and renders a part of a log. Never waits for bytes that are not there yet.
pub(crate) async fn window(
    logs: &dyn LogStore,
    id: AttemptId,
    part: Part,
    steps: &[Step],
    now: Timestamp,
) -> Result<Window, LogError> {
    let (len, complete) = logs.open(id, 0).await?.extent();
    let wanted = match part {
        Part::Newest => len.saturating_sub(WINDOW_BYTES),
        Part::From(offset) => offset.min(len),
    };
    let step_begins = steps.iter().any(|step| step.log_offset == Some(wanted));
    // One byte more tells whether a line begins here.
    let read_from = if wanted == 0 || step_begins {
        wanted
    } else {
        wanted - 1
    };
    let read_to = len.min(wanted.saturating_add(WINDOW_BYTES));
    let bytes = read(logs, id, read_from, read_to).await?;

    let mut start = read_from;
    let mut bytes = bytes.as_slice();
    if read_from < wanted {
        // A line that does not end in the whole window is shown from its middle.
        let skip = bytes
            .iter()
            .position(|&b| b == b'\n')
            .map_or(1, |at| at + 1);
        start += skip as u64;
        bytes = bytes.get(skip..).unwrap_or_default();
    }
    (start, bytes) = limit_lines(start, bytes, part);
    let mut end = start + bytes.len() as u64;
    if end < len {
        // The next part begins with a whole line.
        let keep = bytes
            .iter()
            .rposition(|&b| b == b'\n')
            .map_or(bytes.len(), |at| at + 1);
        bytes = &bytes[..keep];
        end = start + keep as u64;
    }
    let first_line = if start <= COUNTED_BYTES {
        Some(1 + count_lines(logs, id, start).await?)
    } else {
        None
    };
    let mut window = Window {
        start,
        end,
        len,
        complete,
        ..Window::default()
    };
    render(&mut window, bytes, first_line, steps, now);
    Ok(window)
}

async fn read(logs: &dyn LogStore, id: AttemptId, from: u64, to: u64) -> Result<Vec<u8>, LogError> {
    let mut bytes = Vec::new();
    let wanted = usize::try_from(to - from).unwrap_or(0);
    if wanted == 0 {
        return Ok(bytes);
    }
    let mut reader = logs.open(id, from).await?;
    while bytes.len() < wanted {
        let Some(chunk) = reader.next().await? else {
            break;
        };
        bytes.extend_from_slice(&chunk[..chunk.len().min(wanted - bytes.len())]);
    }
    Ok(bytes)
}

async fn count_lines(logs: &dyn LogStore, id: AttemptId, before: u64) -> Result<u64, LogError> {
    let mut lines = 0;
    let mut left = usize::try_from(before).unwrap_or(0);
    if left == 0 {
        return Ok(0);
    }
    let mut reader = logs.open(id, 0).await?;
    while left > 0 {
        let Some(chunk) = reader.next().await? else {
            break;
        };
        let chunk = &chunk[..chunk.len().min(left)];
        left -= chunk.len();
        lines += chunk.iter().filter(|&&b| b == b'\n').count() as u64;
    }
    Ok(lines)
}

/// Keeps the first or the last lines of a window, whichever are wanted.
fn limit_lines(start: u64, bytes: &[u8], part: Part) -> (u64, &[u8]) {
    let mut ends = bytes
        .iter()
        .enumerate()
        .filter(|&(_, &b)| b == b'\n')
        .map(|(at, _)| at + 1);
    let cut = match part {
        Part::From(_) => {
            return (
                start,
                &bytes[..ends.nth(WINDOW_LINES - 1).unwrap_or(bytes.len())],
            );
        }
        Part::Newest => ends.nth_back(WINDOW_LINES).unwrap_or(0),
    };
    (start + cut as u64, &bytes[cut..])
}

fn render(
    window: &mut Window,
    bytes: &[u8],
    first_line: Option<u64>,
    steps: &[Step],
    now: Timestamp,
) {
    let mut headings = steps
        .iter()
        .enumerate()
        .filter_map(|(i, step)| Some((i, step, step.log_offset?)))
        .peekable();
    // Steps that began earlier have their headings on an earlier page, but for the one that is under way here.
    let mut under_way = None;
    while let Some(heading) = headings.next_if(|&(_, _, offset)| offset < window.start) {
        window.headed = heading.0 + 1;
        under_way = Some(heading);
    }
    let mut page = Page {
        out: String::with_capacity(bytes.len() * 2),
        line: first_line,
        in_block: 0,
        mid_line: false,
    };
    if let Some((i, step, _)) = under_way {
        page.heading(i, step, true, now);
    }
    let mut screen = Screen::default();
    let mut offset = window.start;
    let mut rest = bytes;
    (window.resume, window.resume_line) = (offset, first_line);
    loop {
        while let Some((i, step, _)) = headings.next_if(|&(_, _, at)| at <= offset) {
            page.heading(i, step, false, now);
            window.headed = i + 1;
        }
        if rest.is_empty() {
            break;
        }
        let line_end = rest
            .iter()
            .position(|&b| b == b'\n')
            .map_or(rest.len(), |at| at + 1);
        let step_begins = headings.peek().map_or(usize::MAX, |&(_, _, at)| {
            usize::try_from(at - offset).unwrap_or(usize::MAX)
        });
        let (piece, later) = rest.split_at(line_end.min(step_begins));
        offset += piece.len() as u64;
        let ended = piece.ends_with(b"\n");
        // A step begins on a line of its own, even if the step before it left one unfinished.
        let last = later.is_empty() && !ended && offset == window.len;
        page.line(&mut screen, piece, last && !window.complete);
        rest = later;
        if ended || !last || window.complete {
            window.resume = offset;
            window.resume_line = page.line;
            window.resume_style = screen.style_classes();
        }
    }
    page.close_block();
    window.html = page.out;
}

/// The HTML of a window as it grows.
struct Page {
    out: String,
    line: Option<u64>,
    in_block: u64,
    /// Whether the row before this one holds the beginning of the same line.
    mid_line: bool,
}

impl Page {
    fn heading(&mut self, index: usize, step: &Step, continued: bool, now: Timestamp) {
        self.close_block();
        let kind = Kind::of_part(step.started_at.is_some(), step.outcome);
        let notes = [
            continued.then(|| "continued".to_owned()),
            step.started_at
                .filter(|_| kind != Kind::Running)
                .map(|from| brief(step.ended_at.unwrap_or(now).duration_since(from))),
            step.status
                .as_deref()
                .filter(|_| kind.is_bad())
                .map(|status| clean(status, 120)),
        ];
        let note = notes.into_iter().flatten().collect::<Vec<_>>().join(" · ");
        let _ = writeln!(
            self.out,
            "<h3 class=\"step {}\" id=\"step-{index}\"><span class=\"g\">{}</span><bdi>{}</bdi><small>{}</small></h3>",
            kind.class(),
            kind.glyph(),
            escaped(&clean(&step.name, 80)),
            escaped(&note),
        );
    }

    /// One line, or the part of one that belongs to one step.
    fn line(&mut self, screen: &mut Screen, piece: &[u8], partial: bool) {
        if self.in_block == 0 {
            self.out.push_str("<div class=\"k\">\n");
        }
        self.in_block += 1;
        let number = self.line.filter(|_| !self.mid_line);
        self.open_row(number, partial);
        let text = String::from_utf8_lossy(piece);
        for c in text.chars() {
            if screen.print(c, &mut self.out) == Some(RowEnd::Full) {
                self.close_row();
                self.open_row(None, partial);
            }
        }
        let ended = piece.ends_with(b"\n");
        if !ended {
            screen.flush(&mut self.out);
        }
        self.close_row();
        self.mid_line = !ended;
        if ended {
            self.line = self.line.map(|n| n + 1);
        }
        if self.in_block == BLOCK {
            self.close_block();
        }
    }

    fn open_row(&mut self, line: Option<u64>, partial: bool) {
        let class = if partial { "l p" } else { "l" };
        let _ = match line {
            Some(n) => write!(
                self.out,
                "<div class=\"{class}\" id=\"L{n}\"><a class=\"n\" href=\"#L{n}\" tabindex=\"-1\" data-n=\"{n}\"></a><span class=\"t\">"
            ),
            None => write!(
                self.out,
                "<div class=\"{class}\"><span class=\"n\"></span><span class=\"t\">"
            ),
        };
    }

    fn close_row(&mut self) {
        self.out.push_str("</span></div>\n");
    }

    fn close_block(&mut self) {
        if self.in_block > 0 {
            self.out.push_str("</div>\n");
            self.in_block = 0;
        }
    }
}

fn escaped(text: &str) -> String {
    match escape(text, Html) {
        Ok(text) => text.to_string(),
        Err(never) => match never {},
    }
}
