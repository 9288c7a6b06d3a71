use super::{
    apipb::{DashCommit, DashRepoHead, DashboardRequest, DashboardResponse, GoRelease},
    releases::{GO_SERVER, NoReleases, releases_of},
};
use crate::corpus::{Commit, Gerrit, Project};

/// Commits of a page if the request does not say, of one branch and of all mixed.
const COMMITS: usize = 30;
const MIXED_COMMITS: usize = 500;
const MOST_COMMITS: usize = 1000;
/// How far back pages reach.
const FARTHEST: usize = 10_000;

/// Why there is no dashboard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DashboardError {
    /// The log is not that of the Go project.
    #[error("go gerrit project not found")]
    NoGo,
    /// No repository has this import path.
    #[error("unknown repo {0:?}; must be empty, \"go\", or \"golang.org/*\"")]
    Repo(String),
    /// Gerrit has no project of this name.
    #[error("repo project {0:?} not found")]
    Project(String),
    /// The repository has no such branch.
    #[error("unknown branch {0:?}")]
    Branch(String),
    /// Pages begin at 0.
    #[error("invalid page")]
    Page,
    /// All branches mixed have one page.
    #[error("branch=mixed does not support pagination")]
    MixedPages,
    /// The page begins 10,000 commits back or more.
    #[error("too far back")]
    TooFarBack,
    /// As many commits as that cannot be had.
    #[error("negative max commits")]
    MaxCommits,
    /// Each branch shows one commit at least.
    #[error("max commits must be at least the number of branches, which is {0}")]
    TooFewForBranches(usize),
    /// Go has too few releases.
    #[error(transparent)]
    Releases(#[from] NoReleases),
}

/// What a results board shows, as the original's `GetDashboard` has it.
///
/// # Errors
///
/// See [`DashboardError`].
pub fn dashboard(
    gerrit: Gerrit<'_>,
    request: &DashboardRequest,
) -> Result<DashboardResponse, DashboardError> {
    let go = gerrit
        .project(GO_SERVER, "go")
        .ok_or(DashboardError::NoGo)?;
    let name = project_of(&request.repo)?;
    let project = gerrit.project(GO_SERVER, name);
    let project = project.ok_or_else(|| DashboardError::Project(name.to_owned()))?;
    let branches: Vec<&str> = heads(go).map(|(branch, _)| branch).collect();
    let mixed = request.branch == "mixed";
    let page = usize::try_from(request.page).map_err(|_| DashboardError::Page)?;
    let size = match usize::try_from(request.max_commits) {
        Err(_) => return Err(DashboardError::MaxCommits),
        Ok(0) if mixed => MIXED_COMMITS,
        Ok(0) => COMMITS,
        Ok(size) => size.min(MOST_COMMITS),
    };
    let (mut commits, truncated) = if mixed {
        if page != 0 {
            return Err(DashboardError::MixedPages);
        }
        mixed_commits(project, size)?
    } else {
        let skip = page.saturating_mul(size);
        if skip >= FARTHEST {
            return Err(DashboardError::TooFarBack);
        }
        let branch = match request.branch.as_str() {
            "" => "master",
            branch => branch,
        };
        let head = head_of(project, branch);
        let head = head.ok_or_else(|| DashboardError::Branch(branch.to_owned()))?;
        let mut line = head.first_parents().skip(skip);
        let commits = line
            .by_ref()
            .take(size)
            .map(|commit| listed(commit, branch));
        (commits.collect(), line.next().is_some())
    };
    if name != "go" {
        put_go_commits(go, &mut commits);
    }
    let mut releases = vec![master(go)];
    releases.extend(releases_of(go)?);
    Ok(DashboardResponse {
        commits,
        repo_heads: repo_heads(gerrit),
        branches: branches.into_iter().map(str::to_owned).collect(),
        releases,
        commits_truncated: truncated,
    })
}

/// The project whose packages have this import path.
fn project_of(repo: &str) -> Result<&str, DashboardError> {
    if repo.is_empty() || repo == "go" {
        return Ok("go");
    }
    let name = repo.strip_prefix("golang.org/");
    let name = name.map(|name| name.strip_prefix("x/").unwrap_or(name));
    name.filter(|name| !name.is_empty() && !name.contains('/'))
        .ok_or_else(|| DashboardError::Repo(repo.to_owned()))
}

/// Branches and the commits they point to, by name.
fn heads<'a>(project: Project<'a>) -> impl Iterator<Item = (&'a str, Commit<'a>)> {
    let refs = project.refs();
    refs.filter_map(|at| Some((at.name.strip_prefix("refs/heads/")?, at.commit)))
}

fn head_of<'a>(project: Project<'a>, branch: &str) -> Option<Commit<'a>> {
    project.reference(&format!("refs/heads/{branch}"))
}

/// The newest commits of all branches, by time, and whether there are more.
fn mixed_commits(
    project: Project<'_>,
    size: usize,
) -> Result<(Vec<DashCommit>, bool), DashboardError> {
    let branches: Vec<_> = heads(project).collect();
    if size < branches.len() {
        return Err(DashboardError::TooFewForBranches(branches.len()));
    }
    let mut commits = Vec::new();
    for (branch, head) in branches {
        let line = head.first_parents().take(size + 1);
        commits.extend(line.map(|commit| listed(commit, branch)));
    }
    // Commits that branches share are those of the branch with the first name, master before all.
    commits.sort_by(|a, b| {
        let by_branch = |commit: &DashCommit| (commit.branch != "master", commit.branch.clone());
        let (newer, older) = (b.commit_time_sec, a.commit_time_sec);
        newer
            .cmp(&older)
            .then_with(|| a.commit.cmp(&b.commit))
            .then_with(|| by_branch(a).cmp(&by_branch(b)))
    });
    commits.dedup_by(|later, kept| later.commit == kept.commit);
    let truncated = commits.len() > size;
    commits.truncate(size);
    Ok((commits, truncated))
}

fn listed(commit: Commit<'_>, branch: &str) -> DashCommit {
    let (author, committer) = (commit.author(), commit.committer());
    DashCommit {
        commit: commit.name().to_string(),
        author_name: author.name().to_owned(),
        author_email: author.email().to_owned(),
        commit_time_sec: committer.seconds,
        title: commit.summary().to_owned(),
        branch: branch.to_owned(),
        ..DashCommit::default()
    }
}

/// Tells for each commit which one of Go's master was the newest when it was made, and which when
/// the next one was.
fn put_go_commits(go: Project<'_>, commits: &mut [DashCommit]) {
    let Some(head) = head_of(go, "master") else {
        return;
    };
    let mut line = head.first_parents().peekable();
    let mut newest = Some(head.name());
    for commit in commits {
        commit.go_commit_latest = newest.map_or_else(String::new, |name| name.to_string());
        while line
            .next_if(|go| go.committer().seconds > commit.commit_time_sec)
            .is_some()
        {}
        newest = line.peek().map(Commit::name);
        commit.go_commit_at_time = newest.map_or_else(String::new, |name| name.to_string());
    }
}

fn repo_heads(gerrit: Gerrit<'_>) -> Vec<DashRepoHead> {
    let ours = gerrit
        .projects()
        .filter(|project| project.server() == GO_SERVER);
    let heads = ours.filter_map(|project| {
        Some(DashRepoHead {
            gerrit_project: project.name().to_owned(),
            commit: Some(listed(head_of(project, "master")?, "master")),
        })
    });
    let mut heads: Vec<_> = heads.collect();
    heads.sort_by(|a, b| a.gerrit_project.cmp(&b.gerrit_project));
    heads
}

/// The release that is being made.
fn master(go: Project<'_>) -> GoRelease {
    let head = go.reference("refs/heads/master");
    GoRelease {
        branch_name: "master".to_owned(),
        branch_commit: head.map_or_else(String::new, |head| head.name().to_string()),
        ..GoRelease::default()
    }
}
