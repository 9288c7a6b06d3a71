//! Colours and weights of terminal output, as class names from a fixed list.

use std::fmt::Write as _;

/// How a character looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Style {
    foreground: Option<u8>,
    background: Option<u8>,
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
    strike: bool,
    inverse: bool,
}

impl Style {
    /// Follows the parameters of a `CSI … m`. What is not known is skipped.
    pub(crate) fn apply(&mut self, params: &str) {
        let mut params = params.split(';');
        while let Some(param) = params.next() {
            let mut parts = param.split(':').map(|p| p.parse::<u32>().unwrap_or(0));
            let code = parts.next().unwrap_or(0);
            match code {
                0 => *self = Self::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                3 => self.italic = true,
                4 => self.underline = parts.next() != Some(0),
                7 => self.inverse = true,
                9 => self.strike = true,
                21 => self.underline = true,
                22 => (self.bold, self.dim) = (false, false),
                23 => self.italic = false,
                24 => self.underline = false,
                27 => self.inverse = false,
                29 => self.strike = false,
                30..=37 => self.foreground = Some((code - 30) as u8),
                39 => self.foreground = None,
                40..=47 => self.background = Some((code - 40) as u8),
                49 => self.background = None,
                90..=97 => self.foreground = Some((code - 90 + 8) as u8),
                100..=107 => self.background = Some((code - 100 + 8) as u8),
                38 | 48 | 58 => {
                    let colour = if param.contains(':') {
                        let parts: Vec<u32> = parts.collect();
                        match *parts.as_slice() {
                            [5, n, ..] => Some(indexed(n)),
                            [2, _, r, g, b, ..] | [2, r, g, b] => Some(nearest(r, g, b)),
                            _ => None,
                        }
                    } else {
                        let mut number = || {
                            params
                                .next()
                                .and_then(|p| p.parse::<u32>().ok())
                                .unwrap_or(0)
                        };
                        match number() {
                            5 => Some(indexed(number())),
                            2 => Some(nearest(number(), number(), number())),
                            _ => None,
                        }
                    };
                    match code {
                        38 => self.foreground = colour.or(self.foreground),
                        48 => self.background = colour.or(self.background),
                        _ => {}
                    }
                }
                _ => {}
            }
        }
    }

    /// Class names for the page. Inverse video is worked out here: `fi` and `gi` are the default colours, exchanged.
    pub(crate) fn classes(self, out: &mut String) {
        let mut shown = self;
        if self.inverse {
            shown.inverse = false;
            (shown.foreground, shown.background) = (self.background, self.foreground);
            if shown.foreground.is_none() {
                out.push_str("fi ");
            }
            if shown.background.is_none() {
                out.push_str("gi ");
            }
        }
        shown.names(out);
        if out.ends_with(' ') {
            out.pop();
        }
    }

    /// Class names with inverse video as a name of its own, `v`: what the script needs to go on from here.
    pub(crate) fn names(self, out: &mut String) {
        for (set, name) in [
            (self.bold, "b "),
            (self.dim, "d "),
            (self.italic, "i "),
            (self.underline, "u "),
            (self.strike, "s "),
            (self.inverse, "v "),
        ] {
            if set {
                out.push_str(name);
            }
        }
        if let Some(n) = self.foreground {
            let _ = write!(out, "f{n} ");
        }
        if let Some(n) = self.background {
            let _ = write!(out, "g{n} ");
        }
        if out.ends_with(' ') {
            out.pop();
        }
    }
}

/// The colours of xterm, which the 256 and 16 million colours are brought down to: a page has a light and a dark side, and only
/// these sixteen are chosen to be legible on both.
const PALETTE: [[i64; 3]; 16] = [
    [0, 0, 0],
    [205, 0, 0],
    [0, 205, 0],
    [205, 205, 0],
    [0, 0, 238],
    [205, 0, 205],
    [0, 205, 205],
    [229, 229, 229],
    [127, 127, 127],
    [255, 0, 0],
    [0, 255, 0],
    [255, 255, 0],
    [92, 92, 255],
    [255, 0, 255],
    [0, 255, 255],
    [255, 255, 255],
];

fn indexed(n: u32) -> u8 {
    let level = |i: u32| if i == 0 { 0 } else { 55 + 40 * i };
    match n {
        0..=15 => n as u8,
        16..=231 => nearest(
            level((n - 16) / 36),
            level((n - 16) / 6 % 6),
            level((n - 16) % 6),
        ),
        232..=255 => nearest(8 + 10 * (n - 232), 8 + 10 * (n - 232), 8 + 10 * (n - 232)),
        _ => 7,
    }
}

fn nearest(r: u32, g: u32, b: u32) -> u8 {
    let wanted = [r, g, b].map(|c| i64::from(c.min(255)));
    let distance = |colour: &[i64; 3]| {
        colour
            .iter()
            .zip(&wanted)
            .map(|(a, b)| (a - b) * (a - b))
            .sum::<i64>()
    };
    (0u8..)
        .zip(&PALETTE)
        .min_by_key(|(_, colour)| distance(colour))
        .map_or(7, |(n, _)| n)
}
