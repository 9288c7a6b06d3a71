//! A made-up Go project, asked everything.

use std::sync::{Arc, Mutex};

use prost::Message;
use tonic::{Code, Request};

use super::{
    apipb::{
        DashboardRequest, DashboardResponse, GerritTryWorkItem, GetRefRequest,
        GoFindTryWorkRequest, HasAncestorRequest, ListGoReleasesRequest,
        maintner_service_server::MaintnerService,
    },
    *,
};
use crate::{
    corpus::{Corpus, Writer},
    proto::{GerritMutation, GitCommit, GitRef, Mutation},
    reclog::Header,
};

/// A log in the making.
#[derive(Default)]
struct Log(Vec<u8>);

impl Log {
    fn add(&mut self, project: &str, commits: Vec<GitCommit>, refs: &[(&str, u32)]) {
        let refs = refs.iter().map(|&(name, commit)| GitRef {
            r#ref: name.to_owned(),
            sha1: hash(commit),
        });
        let gerrit = GerritMutation {
            project: format!("go.googlesource.com/{project}"),
            commits,
            refs: refs.collect(),
            ..GerritMutation::default()
        };
        let mutation = Mutation {
            gerrit: Some(gerrit),
            ..Mutation::default()
        };
        let payload = mutation.encode_to_vec();
        let header = Header::new(self.0.len() as u64, payload.len() as u64);
        self.0.extend(header.to_vec());
        self.0.extend(payload);
    }

    fn corpus(self) -> Corpus {
        let mut writer = Writer::new();
        writer.apply(0, 0, &self.0.into()).unwrap();
        writer.publish();
        writer.corpus()
    }
}

fn hash(number: u32) -> String {
    format!("{number:040x}")
}

/// A commit made at second `time`.
fn commit(number: u32, parent: Option<u32>, time: u32) -> GitCommit {
    let parent = parent.map_or_else(String::new, |parent| format!("parent {}\n", hash(parent)));
    let raw = format!(
        "tree {}\n{parent}author A <a@x> 1 +0000\ncommitter C <c@x> {time} +0000\n\nsubject {number}\n",
        hash(0)
    );
    GitCommit {
        sha1: hash(number),
        raw: raw.into_bytes(),
        diff_tree: None,
    }
}

/// Go has commits 1 to 40 on master, made at seconds 10, 20, …, and two releases; net has commits
/// 101 to 103, made at 15, 105 and 106.
fn corpus() -> Corpus {
    let mut log = Log::default();
    let parent = |number: u32, first: u32| (number > first).then(|| number - 1);
    let go = (1..=40).map(|number| commit(number, parent(number, 1), number * 10));
    let mut go: Vec<_> = go.collect();
    go.extend([commit(50, Some(20), 205), commit(51, Some(30), 305)]);
    log.add(
        "go",
        go,
        &[
            ("refs/heads/master", 40),
            ("refs/heads/release-branch.go1.10", 50),
            ("refs/heads/release-branch.go1.11", 51),
            ("refs/tags/go1.10.4", 50),
            ("refs/tags/go1.11.1", 51),
        ],
    );
    let net = [(101, 15), (102, 105), (103, 106)];
    let net = net.map(|(number, time)| commit(number, parent(number, 101), time));
    log.add("net", net.into(), &[("refs/heads/master", 103)]);
    for project in ["net", "tools", "go"] {
        // A change is its patch set's commit and a meta commit.
        let number = 900 + project.len() as u32;
        let mut meta = commit(number + 50, None, 500);
        meta.raw
            .extend(b"\nPatch-set: 1\nStatus: new\nBranch: refs/heads/master\n");
        log.add(
            project,
            vec![commit(number, None, 500), meta],
            &[
                ("refs/changes/05/5/1", number),
                ("refs/changes/05/5/meta", number + 50),
            ],
        );
    }
    log.corpus()
}

async fn board(request: DashboardRequest) -> Result<DashboardResponse, tonic::Status> {
    let service = Service::new(corpus());
    let response = service.get_dashboard(Request::new(request)).await?;
    Ok(response.into_inner())
}

#[tokio::test]
async fn ancestors() {
    let service = Service::new(corpus());
    let ask = async |commit: &str, ancestor: &str| {
        let request = HasAncestorRequest {
            commit: commit.to_owned(),
            ancestor: ancestor.to_owned(),
        };
        let response = service.has_ancestor(Request::new(request)).await;
        response
            .map(|response| response.into_inner())
            .map(|response| (response.has_ancestor, response.unknown_commit))
            .map_err(|status| (status.code(), status.message().to_owned()))
    };
    assert_eq!(ask(&hash(40), &hash(1)).await, Ok((true, false)));
    assert_eq!(ask(&hash(1), &hash(40)).await, Ok((false, false)));
    assert_eq!(ask(&hash(1), &hash(999_999)).await, Ok((false, false)));
    assert_eq!(ask(&hash(999_999), &hash(1)).await, Ok((false, true)));
    let invalid = |what: &str| Err((Code::Unknown, format!("invalid {what}")));
    assert_eq!(ask("abc", &hash(1)).await, invalid("Commit"));
    assert_eq!(ask(&hash(1), "").await, invalid("Ancestor"));
}

#[tokio::test]
async fn refs() {
    let service = Service::new(corpus());
    let ask = async |server: &str, project: &str, name: &str| {
        let request = GetRefRequest {
            r#ref: name.to_owned(),
            gerrit_server: server.to_owned(),
            gerrit_project: project.to_owned(),
        };
        let response = service.get_ref(Request::new(request)).await;
        response
            .map(|response| response.into_inner().value)
            .map_err(|status| (status.code(), status.message().to_owned()))
    };
    let master = "refs/heads/master";
    for server in [
        "go.googlesource.com",
        "go-review.googlesource.com",
        "https://go-review.googlesource.com",
    ] {
        assert_eq!(ask(server, "net", master).await, Ok(hash(103)), "{server}");
    }
    assert_eq!(
        ask("go.googlesource.com", "net", "refs/heads/x").await,
        Ok(String::new())
    );
    let unknown = Err((Code::Unknown, "unknown gerrit project".to_owned()));
    assert_eq!(ask("go.googlesource.com", "nix", master).await, unknown);
}

#[tokio::test]
async fn releases() {
    let service = Service::new(corpus());
    let response = service
        .list_go_releases(Request::new(ListGoReleasesRequest {}))
        .await;
    let releases = response.unwrap().into_inner().releases;
    let tags: Vec<_> = releases
        .iter()
        .map(|release| (&*release.tag_name, &release.tag_commit))
        .collect();
    assert_eq!(tags, [("go1.11.1", &hash(51)), ("go1.10.4", &hash(50))]);

    let service = Service::new(Writer::new().corpus());
    let refused = service
        .list_go_releases(Request::new(ListGoReleasesRequest {}))
        .await;
    assert_eq!(
        refused.unwrap_err().message(),
        "go gerrit project not found"
    );
}

fn numbers(board: &DashboardResponse) -> Vec<u32> {
    let number = |hex: &str| u32::from_str_radix(hex, 16).unwrap();
    board
        .commits
        .iter()
        .map(|commit| number(&commit.commit))
        .collect()
}

#[tokio::test]
async fn a_board_of_go() {
    let zero = board(DashboardRequest::default()).await.unwrap();
    assert_eq!(numbers(&zero), (11..=40).rev().collect::<Vec<_>>());
    assert!(zero.commits_truncated);
    let first = &zero.commits[0];
    assert_eq!(
        (
            &*first.title,
            &*first.author_name,
            &*first.author_email,
            &*first.branch
        ),
        ("subject 40", "A", "a@x", "master")
    );
    assert_eq!(
        (first.commit_time_sec, &*first.go_commit_at_time),
        (400, "")
    );
    assert_eq!(
        zero.branches,
        ["master", "release-branch.go1.10", "release-branch.go1.11"]
    );
    let releases: Vec<_> = zero
        .releases
        .iter()
        .map(|release| &*release.branch_name)
        .collect();
    assert_eq!(
        releases,
        ["master", "release-branch.go1.11", "release-branch.go1.10"]
    );
    assert_eq!(zero.releases[0].branch_commit, hash(40));
    let heads: Vec<_> = zero
        .repo_heads
        .iter()
        .map(|head| &*head.gerrit_project)
        .collect();
    assert_eq!(heads, ["go", "net"]);
    assert_eq!(
        zero.repo_heads[1].commit.as_ref().unwrap().commit,
        hash(103)
    );

    let explicit = DashboardRequest {
        page: 1,
        repo: "go".to_owned(),
        branch: "release-branch.go1.11".to_owned(),
        max_commits: 3,
    };
    let explicit = board(explicit).await.unwrap();
    assert_eq!(numbers(&explicit), [28, 27, 26]);

    let one = DashboardRequest {
        max_commits: 1,
        page: 39,
        ..DashboardRequest::default()
    };
    let one = board(one).await.unwrap();
    assert_eq!((numbers(&one), one.commits_truncated), (vec![1], false));

    let many = DashboardRequest {
        max_commits: 5000,
        ..DashboardRequest::default()
    };
    assert_eq!(board(many).await.unwrap().commits.len(), 40);
}

#[tokio::test]
async fn a_board_of_all_branches() {
    let mixed = |max_commits| DashboardRequest {
        branch: "mixed".to_owned(),
        max_commits,
        ..DashboardRequest::default()
    };
    let all = board(mixed(0)).await.unwrap();
    assert_eq!((all.commits.len(), all.commits_truncated), (42, false));
    let some = board(mixed(12)).await.unwrap();
    assert_eq!(
        numbers(&some),
        [40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 51, 30]
    );
    assert!(some.commits_truncated);
    let branches: Vec<_> = some.commits[9..]
        .iter()
        .map(|commit| &*commit.branch)
        .collect();
    assert_eq!(branches, ["master", "release-branch.go1.11", "master"]);
}

#[tokio::test]
async fn a_board_of_another_repository() {
    let net = DashboardRequest {
        repo: "golang.org/x/net".to_owned(),
        ..DashboardRequest::default()
    };
    let board = board(net).await.unwrap();
    assert_eq!(numbers(&board), [103, 102, 101]);
    let go: Vec<_> = board
        .commits
        .iter()
        .map(|commit| {
            (
                commit.go_commit_at_time.clone(),
                commit.go_commit_latest.clone(),
            )
        })
        .collect();
    assert_eq!(
        go,
        [
            (hash(10), hash(40)),
            (hash(10), hash(10)),
            (hash(1), hash(10))
        ]
    );
    assert_eq!(
        board.branches.len(),
        3,
        "those of Go, as the original has it"
    );
}

#[tokio::test]
async fn boards_that_cannot_be() {
    let request = |page, repo: &str, branch: &str, max_commits| DashboardRequest {
        page,
        repo: repo.to_owned(),
        branch: branch.to_owned(),
        max_commits,
    };
    for (request, code, text) in [
        (
            request(0, "go", "x", 0),
            Code::NotFound,
            "unknown branch \"x\"",
        ),
        (
            request(0, "x/net", "", 0),
            Code::NotFound,
            "unknown repo \"x/net\"; must be empty, \"go\", or \"golang.org/*\"",
        ),
        (
            request(0, "golang.org/x/no", "", 0),
            Code::NotFound,
            "repo project \"no\" not found",
        ),
        (
            request(0, "", "", -1),
            Code::InvalidArgument,
            "negative max commits",
        ),
        (
            request(0, "", "mixed", 2),
            Code::InvalidArgument,
            "max commits must be at least the number of branches, which is 3",
        ),
        (request(-1, "", "", 0), Code::Unknown, "invalid page"),
        (
            request(1, "", "mixed", 0),
            Code::Unknown,
            "branch=mixed does not support pagination",
        ),
        (request(10, "", "", 1000), Code::Unknown, "too far back"),
        (request(i32::MAX, "", "", 0), Code::Unknown, "too far back"),
    ] {
        let refused = board(request.clone()).await.unwrap_err();
        assert_eq!(
            (refused.code(), refused.message()),
            (code, text),
            "{request:?}"
        );
    }
}

/// A Gerrit with one waiting change in each of some projects, which counts how often it is asked.
#[derive(Clone, Default)]
struct FakeReviews {
    waiting: Vec<WaitingChange>,
    comments: Vec<PatchSetComment>,
    asked: Arc<Mutex<u32>>,
}

impl Reviews for FakeReviews {
    async fn waiting(&self) -> Result<Vec<WaitingChange>, ReviewsError> {
        *self.asked.lock().unwrap() += 1;
        Ok(self.waiting.clone())
    }

    async fn comments(&self, _: &str, _: i32) -> Result<Vec<PatchSetComment>, ReviewsError> {
        Ok(self.comments.clone())
    }
}

fn waiting(project: &str, branch: &str, revision: u32) -> WaitingChange {
    WaitingChange {
        project: project.to_owned(),
        number: 5,
        branch: branch.to_owned(),
        change_id: "I5".to_owned(),
        current_revision: hash(revision),
        version: 2,
        owner_email: "a@x".to_owned(),
        messages: Vec::new(),
    }
}

async fn find(reviews: FakeReviews) -> Vec<GerritTryWorkItem> {
    let service = Service::with_reviews(corpus(), reviews);
    let response = service
        .go_find_try_work(Request::new(GoFindTryWorkRequest::default()))
        .await;
    response.unwrap().into_inner().waiting
}

#[tokio::test]
async fn what_a_try_run_is_run_on() {
    for (project, branch, go, versions) in [
        ("go", "master", &[][..], &[(1, 12)][..]),
        ("go", "release-branch.go1.10", &[], &[(1, 10)]),
        (
            "net",
            "master",
            &[
                ("master", 40),
                ("release-branch.go1.11", 51),
                ("release-branch.go1.10", 50),
            ],
            &[(1, 12), (1, 11), (1, 10)],
        ),
        (
            "net",
            "internal-branch.go1.10-vendor",
            &[("release-branch.go1.10", 50)],
            &[(1, 10)],
        ),
        ("net", "dev.x", &[("master", 40)], &[(1, 12)]),
        (
            "tools",
            "gopls-release-branch.0.4",
            &[
                ("master", 40),
                ("release-branch.go1.11", 51),
                ("release-branch.go1.10", 50),
            ],
            &[(1, 12), (1, 11), (1, 10)],
        ),
        (
            "net",
            "gopls-release-branch.0.4",
            &[("master", 40)],
            &[(1, 12)],
        ),
    ] {
        let reviews = FakeReviews {
            waiting: vec![waiting(project, branch, 7)],
            ..FakeReviews::default()
        };
        let [item] = &find(reviews).await[..] else {
            panic!("no item for {project} {branch}");
        };
        assert_eq!(
            (&*item.project, &*item.branch, item.version),
            (project, branch, 2)
        );
        assert_eq!(
            item.go_branch,
            go.iter().map(|go| go.0).collect::<Vec<_>>(),
            "{branch}"
        );
        assert_eq!(
            item.go_commit,
            go.iter().map(|go| hash(go.1)).collect::<Vec<_>>(),
            "{branch}"
        );
        let found: Vec<_> = item
            .go_version
            .iter()
            .map(|of| (of.major, of.minor))
            .collect();
        assert_eq!(found, versions, "{project} {branch}");
    }
}

#[tokio::test]
async fn what_cannot_be_run_is_passed_over() {
    let mut unknown = waiting("net", "master", 3);
    unknown.number = 77;
    let reviews = FakeReviews {
        waiting: vec![
            waiting("net", "master", 9),
            waiting("net", "internal-branch.go1.1-x", 1),
            unknown,
            waiting("nix", "master", 2),
            waiting("go", "master", 8),
        ],
        ..FakeReviews::default()
    };
    let items = find(reviews).await;
    let commits: Vec<_> = items.into_iter().map(|item| item.commit).collect();
    assert_eq!(commits, [hash(8), hash(9)], "by commit");
}

#[tokio::test]
async fn wishes_of_those_who_voted() {
    let message = |text: &str, date: &str, author| ChangeMessage {
        text: text.to_owned(),
        date: date.to_owned(),
        author,
    };
    let comment = |text: &str, updated: &str, author, version| PatchSetComment {
        text: text.to_owned(),
        updated: updated.to_owned(),
        author,
        version,
    };
    let mut change = waiting("go", "master", 7);
    change.messages = vec![
        message("Uploaded patch set 1.", "t0", 1),
        message("Patch Set 1: Run-TryBot+1\n\n(1 comment)", "t1", 1),
        message("Patch Set 2: Code-Review+2\n\nRun-TryBot+1", "t2", 1),
        message("Patch Set 2: Run-TryBot+1 Code-Review+2", "t3", 2),
        message("Patch Set 2: Run-TryBot+1", "t4", 2),
    ];
    let comments = vec![
        comment("please\nTRY=foo\n", "t1", 1, 1),
        comment("TRY=stranger", "t1", 9, 1),
        comment("TRY=no vote", "t2", 1, 2),
        comment("TRY= bar, baz ", "t3", 2, 2),
        comment("TRY=too old", "t4", 2, 1),
        comment("not TRY=here", "t4", 2, 2),
        comment("TRY=", "t4", 2, 2),
        comment("TRY=again", "t4", 2, 2),
    ];
    let reviews = FakeReviews {
        waiting: vec![change],
        comments,
        ..FakeReviews::default()
    };
    let items = find(reviews).await;
    let wishes: Vec<_> = items[0]
        .try_message
        .iter()
        .map(|wish| (&*wish.message, wish.author_id, wish.version))
        .collect();
    assert_eq!(wishes, [("foo", 1, 1), ("bar, baz", 2, 2), ("again", 2, 2)]);
}

#[tokio::test(start_paused = true)]
async fn gerrit_is_asked_when_a_vote_came_or_never_twice() {
    let reviews = FakeReviews::default();
    let asked = Arc::clone(&reviews.asked);
    let service = Service::with_reviews(corpus(), reviews);
    let ask = async || {
        let request = Request::new(GoFindTryWorkRequest::default());
        service.go_find_try_work(request).await.unwrap();
        *asked.lock().unwrap()
    };
    assert_eq!(ask().await, 1);
    assert_eq!(ask().await, 1);
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    assert_eq!(ask().await, 1, "no vote came in between");
}

#[tokio::test]
async fn without_a_gerrit_there_is_no_try_work() {
    let service = Service::new(corpus());
    let refused = service
        .go_find_try_work(Request::new(GoFindTryWorkRequest::default()))
        .await;
    assert_eq!(
        refused.unwrap_err().message(),
        "gerrit could not be asked: this server was started without one"
    );
}
