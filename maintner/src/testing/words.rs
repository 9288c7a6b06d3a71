//! Text that looks like text.

use super::dice::Dice;

/// Common ones first.
const WORDS: &str = "the to a is in it of and this that for on we be not with as if but when can \
    should have from are so an test error code at would function by package will build do compiler \
    use value no only all or file any which run type call nil line fix same change there after now \
    more case also does new set first time return just field one has it's was make what how read \
    could because need runtime think then before current string failure here than some where \
    method slice linux server request pointer version check import interface output goroutine map \
    memory channel actually write argument behavior documentation default buffer expected instead \
    deadlock regression benchmark allocation assembly scheduler garbage collector stack trace \
    reproduce unexpected however commit review patch branch darwin windows module cache handler \
    concurrent mutex timeout context certificate encoding struct generic constraint inference \
    vendor toolchain linker symbol relocation escape analysis inlining register spill";

/// How much text there is to cut from: drawing each word anew would take most of the time.
const POOL: usize = 256 << 10;

#[derive(Debug, Clone)]
pub(super) struct Words {
    words: Vec<&'static str>,
    /// Words with spaces in between.
    line: String,
    /// Lines and paragraphs, some with code.
    text: String,
}

impl Words {
    pub(super) fn new() -> Self {
        let words: Vec<&str> = WORDS.split_whitespace().collect();
        let mut dice = Dice::new(0);
        let mut line = String::with_capacity(POOL + 16);
        while line.len() < POOL {
            line.push_str(words[dice.few(words.len())]);
            line.push(' ');
        }
        let mut words = Self {
            words,
            line,
            text: String::new(),
        };
        words.text = words.prose(&mut dice);
        words
    }

    fn prose(&self, dice: &mut Dice) -> String {
        let mut text = String::with_capacity(POOL + 100);
        while text.len() < POOL {
            match dice.below(16) {
                1 => {
                    let (call, n) = (self.line(dice, 4).replace(' ', ""), dice.below(99));
                    let n = n.to_string();
                    text.extend(["\tif err := ", &call, "(", &n, "); err != nil {"]);
                }
                2 => text.push_str("\u{2014} na\u{ef}ve \u{65e5}\u{672c}"),
                _ => {
                    let len = 40 + dice.below(36);
                    text.extend([self.line(dice, len), "."]);
                }
            }
            text.push_str(if dice.one_in(4) { "\n\n" } else { "\n" });
        }
        text
    }

    /// Words, `len` bytes or a few more; less than a thousand.
    pub(super) fn line(&self, dice: &mut Dice, len: usize) -> &str {
        let start = end_of(&self.line, dice.below(POOL - 1500), b' ') + 1;
        &self.line[start..end_of(&self.line, start + len.clamp(1, 1000) - 1, b' ')]
    }

    /// Lines and paragraphs, some with a mention of an issue below `issues`; `len` bytes or some
    /// more.
    pub(super) fn text(&self, dice: &mut Dice, len: usize, issues: usize) -> String {
        let mut text = String::with_capacity(len + 120);
        while text.len() < len {
            let start = end_of(&self.text, dice.below(POOL - 9000), b'\n') + 1;
            let end = end_of(&self.text, start + (len - text.len()).min(8000), b'\n');
            text.push_str(self.text[start..end].trim_end());
            if issues > 0 && dice.one_in(3) {
                text.extend(["\nSee #", &(1 + dice.below(issues)).to_string(), "."]);
            }
            text.push('\n');
        }
        text.truncate(text.trim_end().len());
        text
    }

    /// A path of source code; some thousands of them.
    pub(super) fn path(&self, dice: &mut Dice) -> String {
        let dir = self.words[60 + dice.few(self.words.len() - 60)];
        let file = self.words[60 + dice.below(self.words.len() - 60)];
        ["src/", dir, "/", file, ".go"].concat()
    }
}

/// Where the first `end` is, from some place on, which may be amid a character.
fn end_of(text: &str, from: usize, end: u8) -> usize {
    let rest = text.as_bytes().get(from..).unwrap_or_default();
    memchr::memchr(end, rest).map_or(text.len(), |at| from + at)
}
