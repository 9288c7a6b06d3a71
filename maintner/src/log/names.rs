//! What the files of segments are called, as in the original.

use super::{Segment, Sha224Sum};

/// What a file in a directory of segments is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// `NNNN.<sha224>.mutlog`
    Sealed(u32, Sha224Sum),
    /// `NNNN.growing.mutlog`
    Growing(u32),
}

impl Name {
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (number, rest) = name.strip_suffix(".mutlog")?.split_once('.')?;
        if number.len() < 4 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let number = number.parse().ok()?;
        match rest {
            "growing" => Some(Self::Growing(number)),
            hex => Sha224Sum::from_hex(hex).map(|sum| Self::Sealed(number, sum)),
        }
    }
}

/// Whether this is `maintner-DATE.mutlog`, or a copy like `maintner-0000.<sha224>.mutlog`.
pub(super) fn is_dated(name: &str) -> bool {
    name.starts_with("maintner-") && name.ends_with(".mutlog")
}

pub(super) fn sealed(segment: &Segment) -> String {
    format!("{:04}.{}.mutlog", segment.number, segment.sha224)
}

pub(super) fn growing(number: u32) -> String {
    format!("{number:04}.growing.mutlog")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_original() {
        let segment = Segment::of(7, b"");
        let name = sealed(&segment);
        assert_eq!(
            name,
            "0007.d14a028c2a3a2bc9476102bb288234c415a2b01f828ea62ac5b3e42f.mutlog"
        );
        assert_eq!(Name::parse(&name), Some(Name::Sealed(7, segment.sha224)));
        assert_eq!(growing(12345), "12345.growing.mutlog");
        assert_eq!(
            Name::parse("12345.growing.mutlog"),
            Some(Name::Growing(12345))
        );
        for other in [
            "7.growing.mutlog",
            "0007.growing.mutlog.sum",
            "+007.growing.mutlog",
            "0007.d14a.mutlog",
            "maintner-2018-07-09.mutlog",
            "0007.mutlog",
        ] {
            assert_eq!(Name::parse(other), None, "{other}");
        }
    }
}
