//! What a terminal would show of a build's output, as HTML.
//!
//! The input is whatever a build printed, so none of it is trusted: every character is escaped, colours become classes from a
//! fixed list, and every other escape sequence is dropped. `assets/terminal.js` does the same in the browser, for output that
//! arrives while somebody watches; a test holds the two together.

use super::sgr::Style;

/// Columns after which a line continues on the next row, so that no line costs more than this to overwrite or to show.
pub(crate) const MAX_COLUMNS: usize = 4096;

/// Longest control sequence that is understood; what is longer is dropped.
const MAX_PARAMS: usize = 64;

/// The line being printed.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    cells: Vec<(char, Style)>,
    column: usize,
    style: Style,
    state: State,
}

/// Why a row is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowEnd {
    /// The line ended.
    Newline,
    /// The line is too long for one row and goes on.
    Full,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Ground,
    /// After ESC.
    Escape,
    /// After ESC and an intermediate byte: one more byte follows.
    EscapeTail,
    /// In a control sequence; the text is its parameters so far.
    Control(String),
    /// In a string that titles windows, links or worse; runs to BEL, ST or the end of the line.
    Text,
}

impl Screen {
    /// Prints one character. When that completes a row, the row's HTML is appended to `out` and its end is returned.
    pub(crate) fn print(&mut self, c: char, out: &mut String) -> Option<RowEnd> {
        if c == '\n' {
            self.state = State::Ground;
            self.flush(out);
            return Some(RowEnd::Newline);
        }
        match std::mem::take(&mut self.state) {
            State::Ground => return self.ground(c, out),
            State::Escape => match c {
                '[' => self.state = State::Control(String::new()),
                ']' | 'P' | 'X' | '^' | '_' => self.state = State::Text,
                '\u{20}'..='\u{2f}' => self.state = State::EscapeTail,
                '\u{30}'..='\u{7e}' => {}
                _ => return self.ground(c, out),
            },
            State::EscapeTail => match c {
                '\u{20}'..='\u{2f}' => self.state = State::EscapeTail,
                '\u{30}'..='\u{7e}' => {}
                _ => return self.ground(c, out),
            },
            State::Control(mut params) => match c {
                '\u{20}'..='\u{3f}' => {
                    if params.len() <= MAX_PARAMS {
                        params.push(c);
                    }
                    self.state = State::Control(params);
                }
                '\u{40}'..='\u{7e}' => self.control(&params, c),
                _ => return self.ground(c, out),
            },
            State::Text => match c {
                '\u{7}' | '\u{18}' | '\u{1a}' => {}
                '\u{1b}' => self.state = State::Escape,
                _ => self.state = State::Text,
            },
        }
        None
    }

    /// Appends the unfinished row to `out`, and starts a new one.
    pub(crate) fn flush(&mut self, out: &mut String) {
        let mut rest = self.cells.as_slice();
        while let Some(&(_, style)) = rest.first() {
            let run = rest.iter().take_while(|cell| cell.1 == style).count();
            let (now, later) = rest.split_at(run);
            let plain = style == Style::default();
            if !plain {
                out.push_str("<span class=\"");
                style.classes(out);
                out.push_str("\">");
            }
            for &(c, _) in now {
                escape(c, out);
            }
            if !plain {
                out.push_str("</span>");
            }
            rest = later;
        }
        self.cells.clear();
        self.column = 0;
    }

    /// The style that the next character would have, as class names.
    pub(crate) fn style_classes(&self) -> String {
        let mut out = String::new();
        self.style.names(&mut out);
        out
    }

    fn ground(&mut self, c: char, out: &mut String) -> Option<RowEnd> {
        match c {
            '\u{1b}' => self.state = State::Escape,
            '\r' => self.column = 0,
            '\u{8}' => self.column = self.column.saturating_sub(1),
            '\u{7}' => {}
            '\t' => return self.put(c, out),
            '\0'..='\u{1f}' => {
                return self.put(char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}'), out);
            }
            '\u{7f}' => return self.put('\u{2421}', out),
            '\u{80}'..='\u{9f}' => return self.put('\u{fffd}', out),
            c if reorders(c) => {
                let mut full = None;
                for c in format!("<U+{:04X}>", c as u32).chars() {
                    full = self.put(c, out).or(full);
                }
                return full;
            }
            c => return self.put(c, out),
        }
        None
    }

    fn put(&mut self, c: char, out: &mut String) -> Option<RowEnd> {
        let full = self.column >= MAX_COLUMNS;
        if full {
            self.flush(out);
        }
        while self.cells.len() < self.column {
            self.cells.push((' ', Style::default()));
        }
        match self.cells.get_mut(self.column) {
            Some(cell) => *cell = (c, self.style),
            None => self.cells.push((c, self.style)),
        }
        self.column += 1;
        full.then_some(RowEnd::Full)
    }

    fn control(&mut self, params: &str, last: char) {
        if params.len() > MAX_PARAMS
            || !params
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b';' | b':'))
        {
            return;
        }
        let first = params
            .split(';')
            .next()
            .and_then(|p| p.parse::<usize>().ok());
        let count = first.unwrap_or(1).clamp(1, MAX_COLUMNS);
        match last {
            'm' => self.style.apply(params),
            'C' => self.column = (self.column + count).min(MAX_COLUMNS),
            'D' => self.column = self.column.saturating_sub(count),
            'G' => self.column = count - 1,
            'K' => match first.unwrap_or(0) {
                0 => self.cells.truncate(self.column),
                1 => {
                    for cell in self.cells.iter_mut().take(self.column + 1) {
                        *cell = (' ', Style::default());
                    }
                }
                2 => self.cells.clear(),
                _ => {}
            },
            _ => {}
        }
    }
}

/// Whether a character changes the order or the lines of the text around it, and so can make output look like what it is not.
pub(crate) fn reorders(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escape(c: char, out: &mut String) {
    match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '"' => out.push_str("&quot;"),
        '\'' => out.push_str("&#39;"),
        c => out.push(c),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Rows of a text, joined by newlines; `~` marks a row that goes on.
    fn show(text: &str) -> String {
        let mut screen = Screen::default();
        let mut out = String::new();
        for c in text.chars() {
            match screen.print(c, &mut out) {
                Some(RowEnd::Newline) => out.push('\n'),
                Some(RowEnd::Full) => out.push('~'),
                None => {}
            }
        }
        screen.flush(&mut out);
        out
    }

    #[test]
    fn colours_become_classes() {
        assert_eq!(
            show("\x1b[1;31merror\x1b[0m: no"),
            "<span class=\"b f1\">error</span>: no"
        );
        assert_eq!(show("\x1b[92;44mx"), "<span class=\"f10 g4\">x</span>");
        assert_eq!(
            show("\x1b[38;5;196mx\x1b[39my"),
            "<span class=\"f9\">x</span>y"
        );
        assert_eq!(show("\x1b[38;2;0;200;10mx"), "<span class=\"f2\">x</span>");
        assert_eq!(show("\x1b[38:2::0:200:10mx"), "<span class=\"f2\">x</span>");
        assert_eq!(show("\x1b[58;5;3;1mx"), "<span class=\"b\">x</span>");
        assert_eq!(
            show("\x1b[mplain\x1b[4:3mu\x1b[4:0mn"),
            "plain<span class=\"u\">u</span>n"
        );
    }

    #[test]
    fn inverse_exchanges_colours() {
        assert_eq!(show("\x1b[7mx"), "<span class=\"fi gi\">x</span>");
        assert_eq!(show("\x1b[7;31mx"), "<span class=\"fi g1\">x</span>");
        assert_eq!(show("\x1b[7;31;42mx"), "<span class=\"f2 g1\">x</span>");
    }

    #[test]
    fn a_style_lasts_over_lines() {
        assert_eq!(
            show("\x1b[31ma\nb"),
            "<span class=\"f1\">a</span>\n<span class=\"f1\">b</span>"
        );
    }

    #[test]
    fn progress_overwrites_its_line() {
        assert_eq!(show("10%\r20%\r100%\r\ndone"), "100%\ndone");
        assert_eq!(show("downloading\r\x1b[Kok"), "ok");
        assert_eq!(show("abc\x1b[2Kx"), "   x");
        assert_eq!(show("abcdef\x1b[3D\x1b[1Kx"), "   xef");
        assert_eq!(show("ab\x08c"), "ac");
        assert_eq!(show("ab\x1b[5Gc"), "ab  c");
    }

    #[test]
    fn other_sequences_are_dropped() {
        assert_eq!(show("a\x1b]0;title\x07b"), "ab");
        assert_eq!(
            show("\x1b]8;;javascript:alert(1)\x1b\\link\x1b]8;;\x1b\\!"),
            "link!"
        );
        assert_eq!(
            show("\x1bP1$r0m\x1b\\a\x1b(Bb\x1b7c\x1b[?25ld\x1b[2Je\x1b[>1;2mf"),
            "abcdef"
        );
        assert_eq!(
            show("a\x1b]0;never ends\nnext line is safe"),
            "a\nnext line is safe"
        );
        assert_eq!(show("\x1b[31"), "");
        assert_eq!(show("\x1b[3\u{e9}m"), "\u{e9}m");
    }

    #[test]
    fn an_endless_sequence_costs_nothing_and_does_nothing() {
        let text = format!("\x1b[{}m!", "1;".repeat(100_000));
        assert_eq!(show(&text), "!");
    }

    #[test]
    fn markup_is_text() {
        assert_eq!(
            show("<script>alert('&\"')</script>"),
            "&lt;script&gt;alert(&#39;&amp;&quot;&#39;)&lt;/script&gt;"
        );
    }

    #[test]
    fn what_cannot_be_seen_is_shown() {
        assert_eq!(show("a\0b\u{7f}\u{9b}c"), "a\u{2400}b\u{2421}\u{fffd}c");
        assert_eq!(show("x\u{202e}y"), "x&lt;U+202E&gt;y");
        assert_eq!(show("x\u{2028}y"), "x&lt;U+2028&gt;y");
    }

    #[test]
    fn giant_lines_go_on_in_the_next_row() {
        let text = "x".repeat(MAX_COLUMNS * 2 + 1);
        let rows: Vec<usize> = show(&text).split('~').map(str::len).collect();
        assert_eq!(rows, [MAX_COLUMNS, MAX_COLUMNS, 1]);
        assert_eq!(show("\x1b[999999999999Cx\x1b[4096Cy").split('~').count(), 3);
    }

    fn check(html: &str) -> Result<(), TestCaseError> {
        let mut open = false;
        let mut rest = html;
        while let Some(at) = rest.find(['<', '>']) {
            prop_assert!(rest[at..].starts_with('<'), "stray > in {html:?}");
            rest = &rest[at..];
            if let Some(after) = rest.strip_prefix("</span>") {
                prop_assert!(open, "unbalanced in {html:?}");
                open = false;
                rest = after;
            } else {
                let after = rest.strip_prefix("<span class=\"");
                prop_assert!(
                    after.is_some() && !open,
                    "markup from the input in {html:?}"
                );
                let (classes, after) = after.and_then(|a| a.split_once("\">")).unwrap_or_default();
                prop_assert!(classes.split(' ').all(allowed), "class {classes:?}");
                open = true;
                rest = after;
            }
        }
        prop_assert!(!open, "span left open in {html:?}");
        Ok(())
    }

    fn allowed(class: &str) -> bool {
        let number = || class[1..].parse::<u8>().is_ok_and(|n| n < 16);
        matches!(class, "b" | "d" | "i" | "u" | "s" | "fi" | "gi")
            || (class.starts_with(['f', 'g']) && number())
    }

    proptest! {
        #[test]
        fn nothing_of_the_input_becomes_markup(text in prop_oneof![
            any::<String>(),
            "([<>&\"'a\u{202e}]|\x1b\\[[0-9;:]{0,9}[mKGCD]|\x1b[\\]P_].?|\r|\n|\x07|\x08){0,60}",
        ]) {
            let html = show(&text);
            for row in html.split(['\n', '~']) {
                check(row)?;
            }
        }

        #[test]
        fn plain_text_is_kept(text in "[a-z0-9 .,:]{0,200}") {
            prop_assert_eq!(show(&text), text);
        }
    }
}
