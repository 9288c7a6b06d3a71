//! Go's file-mode bits, as `/write` takes them and `/ls` prints them.

/// A mode in Go's numbering: type and special bits at the top, the nine permission bits below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoMode(pub u32);

const DIR: u32 = 1 << 31;
const SYMLINK: u32 = 1 << 27;
const DEVICE: u32 = 1 << 26;
const PIPE: u32 = 1 << 25;
const SOCKET: u32 = 1 << 24;
const SETUID: u32 = 1 << 23;
const SETGID: u32 = 1 << 22;
const CHAR_DEVICE: u32 = 1 << 21;
const STICKY: u32 = 1 << 20;
const IRREGULAR: u32 = 1 << 19;

impl GoMode {
    /// A decimal number as `/write` takes it: any 64-bit integer, cut to 32 bits. `None` if it is no number or
    /// names something other than a regular file.
    pub fn parse_regular(text: &[u8]) -> Option<Self> {
        let number: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
        // Go converts the int64 to its 32-bit mode type, which keeps the low half.
        let bits = u32::try_from(number & 0xffff_ffff).ok()?;
        let refused = DIR | SYMLINK | DEVICE | PIPE | SOCKET | CHAR_DEVICE | IRREGULAR;
        (bits & refused == 0).then_some(Self(bits))
    }

    /// From the `st_mode` of the operating system.
    pub fn from_unix(mode: u32) -> Self {
        let kind = match mode & 0o170_000 {
            0o040_000 => DIR,
            0o120_000 => SYMLINK,
            0o010_000 => PIPE,
            0o140_000 => SOCKET,
            0o060_000 => DEVICE,
            0o020_000 => DEVICE | CHAR_DEVICE,
            0o100_000 => 0,
            _ => IRREGULAR,
        };
        let special = [(0o4000, SETUID), (0o2000, SETGID), (0o1000, STICKY)]
            .iter()
            .filter(|(unix, _)| mode & unix != 0)
            .fold(0, |bits, (_, go)| bits | go);
        Self(kind | special | (mode & 0o777))
    }

    /// Permission and special bits for the operating system.
    pub fn unix_permissions(self) -> u32 {
        [(0o4000, SETUID), (0o2000, SETGID), (0o1000, STICKY)]
            .iter()
            .filter(|(_, go)| self.0 & go != 0)
            .fold(self.0 & 0o777, |bits, (unix, _)| bits | unix)
    }
}

impl std::fmt::Display for GoMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::with_capacity(12);
        for (index, letter) in "dalTLDpSugct?".chars().enumerate() {
            if self.0 & (1 << (31 - index)) != 0 {
                text.push(letter);
            }
        }
        if text.is_empty() {
            text.push('-');
        }
        for (index, letter) in "rwxrwxrwx".chars().enumerate() {
            text.push(if self.0 & (1 << (8 - index)) != 0 {
                letter
            } else {
                '-'
            });
        }
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_go_does() {
        for (unix, want) in [
            (0o100_644, "-rw-r--r--"),
            (0o040_755, "drwxr-xr-x"),
            (0o120_777, "Lrwxrwxrwx"),
            (0o010_600, "prw-------"),
            (0o020_666, "Dcrw-rw-rw-"),
            (0o041_777, "dtrwxrwxrwx"),
            (0o104_755, "urwxr-xr-x"),
        ] {
            assert_eq!(GoMode::from_unix(unix).to_string(), want);
        }
    }

    #[test]
    fn takes_decimal_modes_of_regular_files_only() {
        assert_eq!(
            GoMode::parse_regular(b"420").unwrap().unix_permissions(),
            0o644
        );
        let setuid = GoMode::parse_regular(b"8389101").unwrap();
        assert_eq!(setuid.unix_permissions(), 0o4755);
        for bad in ["", "rw", "0x1ff", "2147484141", "134218239", "1.5"] {
            assert_eq!(GoMode::parse_regular(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(GoMode::parse_regular(b"-1"), None);
    }
}
