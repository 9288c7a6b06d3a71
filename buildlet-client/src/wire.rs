//! How parameters are spelled on the wire: as Go's `net/url` encodes them, keys in order.

/// Pairs of a query or form, encoded with keys sorted and the values of one key in the order given.
#[derive(Debug, Default)]
pub(crate) struct Form(Vec<(&'static str, String)>);

impl Form {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.0.push((key, value.into()));
        self
    }

    pub(crate) fn with_all<S: Into<String>>(
        mut self,
        key: &'static str,
        values: impl IntoIterator<Item = S>,
    ) -> Self {
        self.0
            .extend(values.into_iter().map(|value| (key, value.into())));
        self
    }

    pub(crate) fn encode(mut self) -> String {
        self.0.sort_by_key(|(key, _)| *key);
        let mut text = String::new();
        for (key, value) in &self.0 {
            if !text.is_empty() {
                text.push('&');
            }
            text.push_str(key);
            text.push('=');
            escape(value, &mut text);
        }
        text
    }
}

/// Escapes all but letters, digits and `-_.~`; a space becomes `+`.
fn escape(value: &str, into: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in value.as_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                into.push(byte.into())
            }
            b' ' => into.push('+'),
            _ => {
                into.push('%');
                into.push(HEX[usize::from(byte >> 4)].into());
                into.push(HEX[usize::from(byte & 15)].into());
            }
        }
    }
}

/// The mode bits of Go's `os.FileMode` for Unix mode bits: permissions as they are, set-user-id,
/// set-group-id and sticky at bits 23, 22 and 20. Other bits are dropped.
pub(crate) fn go_mode(unix: u32) -> u32 {
    let moved = |bit: u32, to: u32| if unix & bit == 0 { 0 } else { 1 << to };
    unix & 0o777 | moved(0o4000, 23) | moved(0o2000, 22) | moved(0o1000, 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_encoded_as_go_does() {
        let form = Form::new()
            .with("mode", "")
            .with_all("env", ["B=2;x", "A=1"])
            .with("cmd", "go/src/make.bash")
            .with("dir", "a b~c-d_e.f")
            .with("path", "$EMPTY");
        assert_eq!(
            form.encode(),
            "cmd=go%2Fsrc%2Fmake.bash&dir=a+b~c-d_e.f&env=B%3D2%3Bx&env=A%3D1&mode=&path=%24EMPTY"
        );
        assert_eq!(Form::new().with("k", "ü+%").encode(), "k=%C3%BC%2B%25");
    }

    #[test]
    fn special_mode_bits_move() {
        assert_eq!(go_mode(0o644), 420);
        assert_eq!(go_mode(0o4755), (1 << 23) | 0o755);
        assert_eq!(go_mode(0o3000), (1 << 22) | (1 << 20));
        assert_eq!(go_mode(0o100_644), 0o644);
    }
}
