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

#[derive(Debug, Clone)]
pub(super) struct Words(Vec<&'static str>);

impl Words {
    pub(super) fn new() -> Self {
        Self(WORDS.split_whitespace().collect())
    }

    /// Words, `len` bytes or a few more.
    pub(super) fn line(&self, dice: &mut Dice, len: usize) -> String {
        let mut line = String::with_capacity(len + 16);
        while line.len() < len {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(self.0[dice.few(self.0.len())]);
        }
        line
    }

    /// Lines and paragraphs, some with a mention of an issue below `issues`, some with code; `len`
    /// bytes or some more.
    pub(super) fn text(&self, dice: &mut Dice, len: usize, issues: usize) -> String {
        let mut text = String::with_capacity(len + 100);
        while text.len() < len {
            if !text.is_empty() {
                text.push_str(if dice.one_in(4) { "\n\n" } else { "\n" });
            }
            match dice.below(16) {
                0 if issues > 0 => {
                    text.extend(["See #", &(1 + dice.below(issues)).to_string(), "."])
                }
                1 => {
                    let (call, n) = (self.line(dice, 4).replace(' ', ""), dice.below(99));
                    text.extend([
                        "\tif err := ",
                        &call,
                        "(",
                        &n.to_string(),
                        "); err != nil {",
                    ]);
                }
                2 => text.push_str("\u{2014} na\u{ef}ve \u{65e5}\u{672c}"),
                _ => {
                    let len = 40 + dice.below(36);
                    text.push_str(&self.line(dice, len));
                    text.push('.');
                }
            }
        }
        text
    }

    /// A path of source code; some thousands of them.
    pub(super) fn path(&self, dice: &mut Dice) -> String {
        let dir = self.0[60 + dice.few(self.0.len() - 60)];
        let file = self.0[60 + dice.below(self.0.len() - 60)];
        format!("src/{dir}/{file}.go")
    }
}
