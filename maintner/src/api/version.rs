//! The Go project's names for releases: tags, release branches, internal branches.

use std::fmt;

/// A version of Go: `go1`, `go1.20`, `go1.10.3`. Parts that are not written are 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    /// The first part, from 1.
    pub major: u16,
    /// The second part.
    pub minor: u16,
    /// The third part.
    pub patch: u16,
}

impl Version {
    /// Reads a release's tag: `goX`, `goX.Y` or `goX.Y.Z`, each part from 0 to 999 without leading
    /// zeros, X at least 1.
    ///
    /// None for all else; betas and release candidates are no releases.
    pub fn of_tag(tag: &str) -> Option<Self> {
        Self::of_parts(tag.strip_prefix("go")?, 3)
    }

    /// Reads a release branch's name without `refs/heads/`: `release-branch.goX` or
    /// `release-branch.goX.Y`. A Y of 0 is not written.
    pub fn of_release_branch(branch: &str) -> Option<Self> {
        Self::of_branch(branch.strip_prefix("release-branch.go")?)
    }

    /// Reads an internal branch's name: `internal-branch.goX.Y-SUFFIX`, versions as those of a
    /// release branch.
    pub fn of_internal_branch(branch: &str) -> Option<Self> {
        let rest = branch.strip_prefix("internal-branch.go")?;
        let (version, suffix) = rest.split_once('-')?;
        Self::of_branch(version).filter(|_| !suffix.is_empty())
    }

    fn of_branch(version: &str) -> Option<Self> {
        Self::of_parts(version, 2).filter(|_| !version.ends_with(".0"))
    }

    fn of_parts(text: &str, most: usize) -> Option<Self> {
        let mut parts = [0; 3];
        for (at, part) in text.split('.').enumerate() {
            *parts[..most].get_mut(at)? = number(part)?;
        }
        let [major, minor, patch] = parts;
        (major > 0).then_some(Self {
            major,
            minor,
            patch,
        })
    }

    /// The name of its release branch.
    pub fn release_branch(self) -> String {
        match self.minor {
            0 => format!("release-branch.go{}", self.major),
            minor => format!("release-branch.go{}.{minor}", self.major),
        }
    }
}

/// The X of a version that begins with `go1.X`, whatever follows: 16 for `go1.16rc1`.
pub fn go1_point(version: &str) -> Option<u32> {
    let rest = version.strip_prefix("go1.")?;
    let end = rest
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// A decimal from 0 to 999 without sign or leading zeros.
fn number(part: &str) -> Option<u16> {
    let canonical = part == "0" || !part.starts_with('0');
    let digits = (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    (canonical && digits).then(|| part.parse().ok())?
}

impl fmt::Display for Version {
    /// As a tag: `go1.10.3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            major,
            minor,
            patch,
        } = self;
        match (minor, patch) {
            (0, 0) => write!(f, "go{major}"),
            (_, 0) => write!(f, "go{major}.{minor}"),
            _ => write!(f, "go{major}.{minor}.{patch}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(version: Option<Version>) -> Option<(u16, u16, u16)> {
        version.map(|version| (version.major, version.minor, version.patch))
    }

    #[test]
    fn tags() {
        for (tag, expected) in [
            ("go1", Some((1, 0, 0))),
            ("go1.0", Some((1, 0, 0))),
            ("go1.0.0", Some((1, 0, 0))),
            ("go1.2", Some((1, 2, 0))),
            ("go1.2.0", Some((1, 2, 0))),
            ("go1.21.0", Some((1, 21, 0))),
            ("go1.2.3", Some((1, 2, 3))),
            ("go1.10.3", Some((1, 10, 3))),
            ("go2", Some((2, 0, 0))),
            ("go2.3.4", Some((2, 3, 4))),
            ("go999.999.999", Some((999, 999, 999))),
            ("go0", None),
            ("go0.1", None),
            ("go1000", None),
            ("go1.1000", None),
            ("go1.2.1000", None),
            ("go1.2.3.4", None),
            ("go1.", None),
            ("go1..2", None),
            ("go.1", None),
            ("go", None),
            ("", None),
            ("go1beta1", None),
            ("go1.10beta1", None),
            ("go1.10rc2", None),
            ("go01", None),
            ("go1.02", None),
            ("go1.2.03", None),
            ("go+1", None),
            ("go1.-2", None),
            ("go-1", None),
            ("go1.2 ", None),
            ("go1.\u{661}", None),
            ("weekly.2012-03-27", None),
            ("release.r60", None),
            ("GO1.2", None),
        ] {
            assert_eq!(parts(Version::of_tag(tag)), expected, "{tag}");
        }
    }

    #[test]
    fn release_branches() {
        for (branch, expected) in [
            ("release-branch.go1", Some((1, 0, 0))),
            ("release-branch.go1.10", Some((1, 10, 0))),
            ("release-branch.go2", Some((2, 0, 0))),
            ("release-branch.go2.1", Some((2, 1, 0))),
            ("release-branch.go999.999", Some((999, 999, 0))),
            ("release-branch.go1.0", None),
            ("release-branch.go2.0", None),
            ("release-branch.go1.10.3", None),
            ("release-branch.go1.10.0", None),
            ("release-branch.go0.1", None),
            ("release-branch.go0", None),
            ("release-branch.go1.010", None),
            ("release-branch.go1.10-security", None),
            ("release-branch.go1.10beta1", None),
            ("release-branch.go1.1000", None),
            ("release-branch.go1000", None),
            ("release-branch.go", None),
            ("release-branch.1.10", None),
            ("release-branch.r60", None),
            ("master", None),
            ("dev.boringcrypto", None),
            ("internal-branch.go1.10-x", None),
            ("refs/heads/release-branch.go1.10", None),
        ] {
            assert_eq!(
                parts(Version::of_release_branch(branch)),
                expected,
                "{branch}"
            );
        }
    }

    #[test]
    fn internal_branches() {
        for (branch, expected) in [
            ("internal-branch.go1.16-vendor", Some((1, 16, 0))),
            ("internal-branch.go1-vendor", Some((1, 0, 0))),
            ("internal-branch.go1.16-a-b", Some((1, 16, 0))),
            ("internal-branch.go1.16-", None),
            ("internal-branch.go1.16", None),
            ("internal-branch.go1.0-vendor", None),
            ("internal-branch.go1.16.2-vendor", None),
            ("internal-branch.-vendor", None),
            ("release-branch.go1.16", None),
        ] {
            assert_eq!(
                parts(Version::of_internal_branch(branch)),
                expected,
                "{branch}"
            );
        }
    }

    #[test]
    fn each_part_from_0_to_999() {
        for number in 0..=1100 {
            let fits = number < 1000;
            let expected = |version| fits.then_some(version);
            let tag = |tag: String| parts(Version::of_tag(&tag));
            assert_eq!(tag(format!("go7.{number}")), expected((7, number, 0)));
            assert_eq!(tag(format!("go7.8.{number}")), expected((7, 8, number)));
            assert_eq!(
                tag(format!("go{number}")),
                expected((number, 0, 0)).filter(|_| number > 0)
            );
        }
    }

    #[test]
    fn a_version_prints_as_its_tag_and_knows_its_branch() {
        for tag in ["go1", "go1.10", "go1.10.3", "go2.0.1"] {
            let version = Version::of_tag(tag).unwrap();
            assert_eq!(version.to_string(), tag);
            let branch = Version::of_release_branch(&version.release_branch()).unwrap();
            assert_eq!((branch.major, branch.minor), (version.major, version.minor));
        }
    }

    #[test]
    fn the_x_of_go1() {
        for (version, expected) in [
            ("go1.16", Some(16)),
            ("go1.16rc1", Some(16)),
            ("go1.16.3", Some(16)),
            ("go1.", None),
            ("go1", None),
            ("go2.16", None),
            ("devel", None),
        ] {
            assert_eq!(go1_point(version), expected, "{version}");
        }
    }
}
