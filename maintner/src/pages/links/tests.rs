use askama::Template;
use bytes::Bytes;
use prost::Message;

use super::*;
use crate::{
    pages::Base,
    proto::{
        GerritMutation, GitCommit, GitRef, GithubCommit, GithubIssueEvent, GithubIssueMutation,
        Mutation,
    },
    reclog::Header,
};

/// A commit's raw form.
fn raw(message: &str) -> Vec<u8> {
    let person = "A Gopher <a@example.org> 1500000000 +0000";
    let tree = "1".repeat(40);
    format!("tree {tree}\nauthor {person}\ncommitter {person}\n\n{message}\n").into_bytes()
}

fn issue(owner: &str, repo: &str, number: i32, title: &str) -> Mutation {
    Mutation {
        github_issue: Some(GithubIssueMutation {
            owner: owner.into(),
            repo: repo.into(),
            number,
            title: title.into(),
            not_exist: title.is_empty(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// That issues are closed by commits.
fn closed(number: i32, commits: &[&str]) -> Mutation {
    let mut mutation = issue("golang", "go", number, "closed");
    let event = commits
        .iter()
        .zip(1..)
        .map(|(commit, id)| GithubIssueEvent {
            id,
            event_type: "closed".into(),
            commit: Some(GithubCommit {
                commit_id: (*commit).into(),
                ..Default::default()
            }),
            ..Default::default()
        });
    mutation.github_issue.as_mut().unwrap().event = event.collect();
    mutation
}

/// A project with commits of these names and subjects, and changes for some.
fn project(name: &str, commits: &[(&str, &str)], changes: &[(i32, &str, &str)]) -> Mutation {
    let mut all: Vec<GitCommit> = Vec::new();
    for (sha1, subject) in commits {
        all.push(GitCommit {
            sha1: (*sha1).into(),
            raw: raw(subject),
            diff_tree: None,
        });
    }
    let mut refs = Vec::new();
    for (number, tip, footer) in changes {
        let meta = format!("{number:0>40}");
        let message = format!(
            "Create change\n\nPatch-set: 1\nChange-id: I1\nSubject: x\nBranch: refs/heads/master\nStatus: new\nCommit: {tip}\n{footer}"
        );
        all.push(GitCommit {
            sha1: meta.clone(),
            raw: raw(&message),
            diff_tree: None,
        });
        let start = format!("refs/changes/{:02}/{number}", number % 100);
        for (end, sha1) in [("1", (*tip).to_owned()), ("meta", meta)] {
            refs.push(GitRef {
                r#ref: format!("{start}/{end}"),
                sha1,
            });
        }
    }
    Mutation {
        gerrit: Some(GerritMutation {
            project: name.into(),
            commits: all,
            refs,
            deleted_refs: Vec::new(),
        }),
        ..Default::default()
    }
}

const A: &str = "abcdef0123456789abcdef0123456789abcdef01";
const B: &str = "abcdef0999999999abcdef0123456789abcdef01";
const C: &str = "cccccccccccccccccccccccccccccccccccccccc";
/// Of a private change only.
const D: &str = "dddddddddddddddddddddddddddddddddddddddd";

fn snapshot() -> Snapshot {
    let go = "go.googlesource.com/go";
    let secret = "Private: true\n";
    let all = [
        issue("golang", "go", 5, "a <b>\"title\""),
        issue("golang", "go", 6, ""),
        issue("golang", "go", 8, &"<é".repeat(100)),
        closed(9, &[A, C, D, &"e".repeat(40), "é<é<é<é<é<é<é"]),
        issue("o", "my.repo", 7, "other"),
        project(
            go,
            &[
                (A, "all: a <i>\n\nUpdates golang/go#5"),
                (B, "all: b"),
                (D, "all: secret\n\nUpdates golang/go#5"),
            ],
            &[(100, A, ""), (101, B, secret), (102, D, secret)],
        ),
        project("go.googlesource.com/net", &[], &[(200, B, "")]),
        project("other.org/x", &[(C, "x: c")], &[(100, C, ""), (300, C, "")]),
    ];
    let mut log = Vec::new();
    for mutation in all {
        let payload = mutation.encode_to_vec();
        log.extend_from_slice(&Header::new(log.len() as u64, payload.len() as u64));
        log.extend_from_slice(&payload);
    }
    Snapshot::of_log(Bytes::from(log)).unwrap()
}

/// What a text's names lead to, and what is shown of it.
fn linked(html: &str) -> Vec<&str> {
    let links = html.split("<a href=\"").skip(1);
    links.map(|link| link.split('"').next().unwrap()).collect()
}

fn in_go(snapshot: &Snapshot, text: &str) -> String {
    let repo = snapshot.github().repo("golang", "go").unwrap();
    let of_issue = Links::in_repo(snapshot, repo, [text]).prose(text);
    let go = snapshot.gerrit().project("go.googlesource.com", "go");
    let of_change = Links::in_project(snapshot, go, [text]).prose(text);
    assert_eq!(of_issue, of_change);
    of_issue
}

#[test]
fn names_lead_to_what_is_there() {
    let snapshot = snapshot();
    let five = "/golang/go/5";
    let hundred = "/go.googlesource.com/go/100";
    let commit = format!("/go.googlesource.com/go/commit/{A}");
    for (text, urls) in [
        ("fixes #5, GH-5; golang/go#5 (Golang/GO#5)", vec![five; 4]),
        ("golang.org/issue/5 https://go.dev/issue/5", vec![five; 2]),
        ("https://github.com/golang/go/issues/5, #5", vec![five; 2]),
        (
            "https://github.com/golang/go/pull/5#issuecomment-12.",
            vec!["/golang/go/5#comment-12"],
        ),
        ("o/my.repo#7", vec!["/o/my.repo/7"]),
        (
            "CL 100 golang.org/cl/100 https://golang.org/cl/100",
            vec![hundred; 3],
        ),
        (
            "https://go-review.googlesource.com/c/go/+/100/ https://go-review.googlesource.com/100",
            vec![hundred; 2],
        ),
        ("https://go-review.googlesource.com/#/c/100/", vec![hundred]),
        ("CL 200", vec!["/go.googlesource.com/net/200"]),
        (
            &format!("reverts commit {A}, abcdef01, abcdef0123"),
            vec![&*commit; 3],
        ),
    ] {
        assert_eq!(linked(&in_go(&snapshot, text)), urls, "{text}");
    }
    assert_eq!(
        in_go(&snapshot, "see #5."),
        "see <a href=\"/golang/go/5\" title=\"open: a &lt;b&gt;&quot;title&quot;\">#5</a>."
    );
    assert_eq!(
        in_go(&snapshot, A),
        format!("<a href=\"{commit}\" title=\"all: a &lt;i&gt;\">abcdef0123</a>")
    );
}

#[test]
fn nothing_leads_to_what_is_not_there() {
    let snapshot = snapshot();
    for text in [
        "#4 #6 GH-6 golang/go#6 golang/tools#5 x/y#5 #99999999999",
        // Private, of another server, nowhere.
        "CL 101 CL 300 CL 999 golang.org/cl/101 golang.org/cl/300 go.dev/issue/6",
        // Two commits are called so; none is.
        "abcdef0 1234567 ffffffffffffffffffffffffffffffffffffffff",
        // Of a private change.
        "CL 102 ddddddd dddddddddd dddddddddddddddddddddddddddddddddddddddd",
    ] {
        assert_eq!(in_go(&snapshot, text), text);
    }
    // Away from here, as they stand.
    for address in [
        "https://github.com/golang/go/issues/6",
        "https://github.com/golang/go/issues/5#other",
        "https://github.com/golang/go/issues/5/x",
        "https://golang.org/cl/101",
        "https://golang.org/cl/100/x",
        "https://go-review.googlesource.com/c/net/+/100",
        "https://example.com/golang/go#5",
    ] {
        assert_eq!(linked(&in_go(&snapshot, address)), [address]);
    }
}

#[test]
fn a_bare_number_means_something_in_its_own_place_only() {
    let snapshot = snapshot();
    let text = "#5 #7 CL 100 CL 300";
    let other = snapshot.github().repo("o", "my.repo").unwrap();
    let shown = Links::in_repo(&snapshot, other, [text]).prose(text);
    // Two servers have a change 100, one has 300.
    assert_eq!(linked(&shown), ["/o/my.repo/7", "/other.org/x/300"]);
    let project = snapshot.gerrit().project("other.org", "x");
    let shown = Links::in_project(&snapshot, project, [text]).prose(text);
    assert_eq!(linked(&shown), ["/other.org/x/100", "/other.org/x/300"]);
    let shown = Links::in_project(&snapshot, None, [B, text]).prose(B);
    assert_eq!(
        linked(&shown),
        [format!("/go.googlesource.com/net/commit/{B}")]
    );
}

#[test]
fn text_cannot_become_markup() {
    let snapshot = snapshot();
    let prose = |text: &str| in_go(&snapshot, text);
    assert_eq!(prose("<b>&'\""), "&lt;b&gt;&amp;&#39;&quot;");
    assert_eq!(
        prose("&#5;<#5>"),
        format!("&amp;#5;&lt;{}&gt;", prose("#5"))
    );
    assert_eq!(
        prose("see https://x.org/a?b=1&c=2\">."),
        "see <a href=\"https://x.org/a?b=1&amp;c=2\" rel=\"noreferrer nofollow\">\
         https://x.org/a?b=1&amp;c=2</a>&quot;&gt;."
    );
    assert_eq!(
        linked(&prose("javascript:alert(1) data:text/html,x //x.org")),
        [""; 0]
    );
    for hostile in [
        "https://x.org/\"onmouseover=alert(1)//",
        "https://x.org/'><script>alert(1)</script>",
        "https://github.com/golang/go/issues/5#issuecomment-1\"onclick=\"x",
        "golang/go#5\"><img src=x onerror=alert(1)>",
        "CL 100</a><svg/onload=x>",
        "#5\u{0}\u{202e}#5",
        "https://x.org/\u{7f}<x",
    ] {
        let html = prose(hostile);
        let outside: String = html
            .split('<')
            .map(|part| part.split_once('>').map_or(part, |(_, text)| text))
            .collect();
        let text = outside
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"");
        let text = text.replace("&#39;", "'").replace("&amp;", "&");
        assert_eq!(text, hostile, "what is read is what was written");
        for tag in html.split('<').skip(1) {
            assert!(
                tag.starts_with("/a>")
                    || tag.starts_with("a href=\"/")
                    || tag.starts_with("a href=\"https://"),
                "{html}"
            );
            // Two attributes, nothing else.
            assert!(
                tag.starts_with("/a>") || tag.split('>').next().unwrap().matches('"').count() == 4,
                "{html}"
            );
        }
    }
}

fn base() -> Base {
    Base {
        title: String::new(),
        site: "".into(),
        query: String::new(),
        version: "",
        generation: 0,
        log: false,
    }
}

#[test]
fn a_page_has_so_many_links_and_no_more() {
    let snapshot = snapshot();
    let repo = snapshot.github().repo("golang", "go").unwrap();
    let count = |links: &Links<'_>, text: &str| {
        let html = links.prose(text);
        assert!(html.ends_with(" end"), "all of it is there");
        linked(&html).len()
    };
    // Few for a text each, too many for a page.
    let text = "#8 https://x.org/ abcdef01 ".repeat(100) + "end";
    let links = Links::in_repo(&snapshot, repo, [&*text]);
    let made: usize = (0..100).map(|_| count(&links, &text)).sum();
    assert_eq!(made, MOST);
    assert_eq!(links.prose("#8"), "#8");
    assert_eq!(links.commit(A), &A[..SHORT]);

    // What leads nowhere is looked up once, and so often in all.
    let links = Links::in_repo(&snapshot, repo, []);
    assert_eq!(count(&links, &("#4 CL 999 ".repeat(MOST) + "end")), 0);
    assert_eq!(
        (links.left.get(), links.known.borrow().len()),
        (MOST - 2, 2)
    );
    let mut others = String::new();
    for number in 1_000_000..1_000_000 + 2 * MOST {
        let _ = write!(others, "CL {number} ");
    }
    assert_eq!(count(&links, &("#5 ".to_owned() + &others + "#5 end")), 1);
    assert_eq!((links.left.get(), links.known.borrow().len()), (0, MOST));
}

#[test]
fn a_tooltip_has_the_beginning_of_a_title() {
    let snapshot = snapshot();
    let title = "open: ".to_owned() + &"<é".repeat((TOOLTIP - 6) / 2) + "…";
    assert_eq!(
        in_go(&snapshot, "#8"),
        format!(
            "<a href=\"/golang/go/8\" title=\"{}\">#8</a>",
            escape(&title)
        )
    );
}

#[test]
fn commits_of_events_are_shown_by_ten_digits() {
    let snapshot = snapshot();
    let page = github::issue(&snapshot, base(), "golang", "go", 9).unwrap();
    let shown = page.render().unwrap();
    for commit in [
        format!(
            "closed <a href=\"/go.googlesource.com/go/commit/{A}\" title=\"all: a &lt;i&gt;\">abcdef0123</a> "
        ),
        // Known, from elsewhere.
        format!("title=\"x: c\">{}</a> ", &C[..10]),
        format!("closed {} ", &D[..10]),
        "closed eeeeeeeeee ".to_owned(),
        "closed é&lt;é&lt;é&lt;é&lt;é&lt; ".to_owned(),
    ] {
        assert!(shown.contains(&commit), "{commit}: {shown}");
    }
}

#[test]
fn private_changes_are_not_listed() {
    let snapshot = snapshot();
    let page = github::issue(&snapshot, base(), "golang", "go", 5).unwrap();
    let shown = page.render().unwrap();
    assert!(shown.contains(">100: all: a "), "{shown}");
    assert!(
        !shown.contains("secret") && !shown.contains("/102"),
        "{shown}"
    );

    let project = snapshot.gerrit().project("go.googlesource.com", "net");
    let page = commit::page(&snapshot, project, base(), B).unwrap();
    let shown = page.render().unwrap();
    assert!(
        shown.contains(">200: all: b<") && !shown.contains("101"),
        "{shown}"
    );

    // Where those who see it have it.
    let url = |name: &str| {
        let commit = snapshot.commits().get(Hash::parse(name).unwrap());
        commit::url_of(&snapshot, None, commit.unwrap())
    };
    assert_eq!(url(B), format!("/go.googlesource.com/net/commit/{B}"));
}
