use super::{Version, apipb::GoRelease};
use crate::corpus::{Hash, Project};

/// Where the Go project keeps its source.
pub(super) const GO_SERVER: &str = "go.googlesource.com";

/// There are fewer than two supported releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there was a problem finding supported Go releases")]
pub struct NoReleases;

/// The two newest releases of Go, newest first, by the refs of its repository.
///
/// A release is the highest tag of a major and minor version that has a release branch.
///
/// # Errors
///
/// Fails if there are fewer than two.
pub fn supported_releases<'a>(
    refs: impl IntoIterator<Item = (&'a str, Hash)>,
) -> Result<[GoRelease; 2], NoReleases> {
    let (mut tags, mut branches) = (Vec::new(), Vec::new());
    for (name, commit) in refs {
        if let Some(tag) = name.strip_prefix("refs/tags/")
            && let Some(version) = Version::of_tag(tag)
        {
            tags.push((version, tag, commit));
        } else if let Some(branch) = name.strip_prefix("refs/heads/")
            && let Some(version) = Version::of_release_branch(branch)
        {
            branches.push(((version.major, version.minor), branch, commit));
        }
    }
    tags.sort_by(|a, b| b.cmp(a));
    let mut releases: Vec<GoRelease> = Vec::new();
    for (version, tag, commit) in tags {
        let key = (version.major, version.minor);
        let is_listed = releases.last().is_some_and(|last| {
            (last.major, last.minor) == (i32::from(version.major), i32::from(version.minor))
        });
        let branch = branches.iter().find(|&&(of, ..)| of == key);
        if let Some((_, branch, head)) = branch
            && !is_listed
        {
            releases.push(GoRelease {
                major: version.major.into(),
                minor: version.minor.into(),
                patch: version.patch.into(),
                tag_name: tag.to_owned(),
                tag_commit: commit.to_string(),
                branch_name: (*branch).to_owned(),
                branch_commit: head.to_string(),
            });
        }
    }
    releases.truncate(2);
    <[GoRelease; 2]>::try_from(releases).map_err(|_| NoReleases)
}

/// The two newest releases of Go that its repository has.
pub(super) fn releases_of(go: Project<'_>) -> Result<[GoRelease; 2], NoReleases> {
    supported_releases(go.refs().map(|at| (at.name, at.commit.name())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supported(refs: &[&str]) -> Result<Vec<(String, String)>, NoReleases> {
        let hashes = (1..).map(|n| Hash([n; 20]));
        let releases = supported_releases(refs.iter().copied().zip(hashes))?;
        for release in &releases {
            let at = |name: String| refs.iter().position(|&other| other == name).unwrap() as u8 + 1;
            let hash = |name| Hash([at(name); 20]).to_string();
            assert_eq!(
                release.tag_commit,
                hash(format!("refs/tags/{}", release.tag_name))
            );
            assert_eq!(
                release.branch_commit,
                hash(format!("refs/heads/{}", release.branch_name))
            );
        }
        Ok(releases
            .map(|release| (release.tag_name, release.branch_name))
            .into())
    }

    /// Some of what the Go repository had in late 2018.
    const SAMPLE: &[&str] = &[
        "HEAD",
        "refs/heads/dev.boringcrypto",
        "refs/heads/master",
        "refs/heads/release-branch.go1",
        "refs/heads/release-branch.go1.1",
        "refs/heads/release-branch.go1.9",
        "refs/heads/release-branch.go1.10",
        "refs/heads/release-branch.go1.10-security",
        "refs/heads/release-branch.go1.11",
        "refs/heads/release-branch.r60",
        "refs/tags/go1",
        "refs/tags/go1.0.3",
        "refs/tags/go1.1.2",
        "refs/tags/go1.9.7",
        "refs/tags/go1.10",
        "refs/tags/go1.10.2",
        "refs/tags/go1.10.4",
        "refs/tags/go1.10.3",
        "refs/tags/go1.10rc2",
        "refs/tags/go1.11",
        "refs/tags/go1.11.1",
        "refs/tags/go1.11beta3",
        "refs/tags/weekly.2012-03-27",
    ];

    fn pair(tag: &str, branch: &str) -> (String, String) {
        (tag.to_owned(), branch.to_owned())
    }

    #[test]
    fn the_two_newest_that_have_a_branch() {
        let expected = [
            pair("go1.11.1", "release-branch.go1.11"),
            pair("go1.10.4", "release-branch.go1.10"),
        ];
        assert_eq!(supported(SAMPLE).unwrap(), expected);

        let mut with_two = SAMPLE.to_vec();
        with_two.push("refs/tags/go2");
        assert_eq!(supported(&with_two).unwrap(), expected, "go2 has no branch");
        with_two.push("refs/heads/release-branch.go2");
        with_two.push("refs/tags/go1.12");
        let expected = [
            pair("go2", "release-branch.go2"),
            pair("go1.11.1", "release-branch.go1.11"),
        ];
        assert_eq!(supported(&with_two).unwrap(), expected);
    }

    #[test]
    fn fewer_than_two_are_a_problem() {
        let one = [
            "refs/heads/release-branch.go1.10",
            "refs/tags/go1.10.4",
            "refs/tags/go1.10.3",
        ];
        assert_eq!(supported(&one), Err(NoReleases));
        assert_eq!(supported(&[]), Err(NoReleases));
    }
}
