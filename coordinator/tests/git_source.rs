//! The git source on real repositories, with the real git.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use buildfarm_coordinator::store::{BuildStart, NewWork};
use buildfarm_coordinator::work::{CONFIG_BUILDER, ConfigFrom, GitConfig, GitSource, WorkSource};
use buildfarm_dashboard::record::Outcome;

struct Repo(tempfile::TempDir);

impl Repo {
    fn new() -> Self {
        let repo = Self(tempfile::tempdir().unwrap());
        repo.git(&["init", "--quiet", "--initial-branch=main"]);
        repo
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn git(&self, args: &[&str]) -> String {
        let identity = [
            "-c",
            "user.name=A",
            "-c",
            "user.email=a@example.org",
            "-c",
            "commit.gpgsign=false",
        ];
        let out = Command::new("git")
            .current_dir(self.path())
            .args(identity)
            .args(args)
            .output()
            .unwrap();
        assert!(
            out.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&out.stderr)
        );
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, subject: &str, files: &[(&str, &str)]) -> String {
        for (name, content) in files {
            let path = self.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", subject]);
        self.git(&["rev-parse", "HEAD"])
    }
}

async fn source(repo: &Repo, cache: &Path, config: ConfigFrom) -> GitSource {
    GitSource::open(GitConfig {
        url: repo.path().to_string_lossy().into_owned(),
        cache_dir: cache.to_owned(),
        config,
        default_host: "linux-amd64".into(),
        recent: Some(2),
        poll: Some(Duration::from_secs(1)),
        archive_budget: 1 << 30,
    })
    .await
    .unwrap()
}

const FARM: &str = "[builder.test]\nhost = \"linux-amd64\"\nsteps = [{ name = \"t\", run = \"true\" }]\n[host.linux-amd64]\n";

fn subjects(work: &NewWork) -> Vec<&str> {
    work.commits.iter().map(|c| &*c.subject).collect()
}

#[tokio::test]
async fn recent_commits_first_then_each_new_one_once() {
    let (repo, cache) = (Repo::new(), tempfile::tempdir().unwrap());
    for n in 1..=4 {
        repo.commit(&format!("c{n}"), &[("farm.toml", FARM)]);
    }
    let source = source(&repo, cache.path(), ConfigFrom::Commit(None)).await;
    let first = source.poll(None).await.unwrap().unwrap();
    assert_eq!(
        subjects(&first),
        ["c3", "c4"],
        "the two newest, oldest first"
    );
    assert!(source.poll(Some(&first.cursor)).await.unwrap().is_none());

    repo.commit("c5", &[]);
    repo.commit("c6", &[]);
    let second = source.poll(Some(&first.cursor)).await.unwrap().unwrap();
    assert_eq!(subjects(&second), ["c5", "c6"]);
    assert_eq!(second.commits[0].branch, "main");
    assert_eq!(second.commits[0].builds[0].builder, "test");
}

#[tokio::test]
async fn branches_that_come_move_and_go() {
    let (repo, cache) = (Repo::new(), tempfile::tempdir().unwrap());
    repo.commit("base", &[("farm.toml", FARM)]);
    repo.git(&["branch", "old"]);
    let source = source(&repo, cache.path(), ConfigFrom::Commit(None)).await;
    let first = source.poll(None).await.unwrap().unwrap();
    assert_eq!(subjects(&first), ["base"]);

    repo.git(&["checkout", "--quiet", "-b", "topic"]);
    repo.commit("on topic", &[]);
    repo.git(&["branch", "-D", "--quiet", "old"]);
    let second = source.poll(Some(&first.cursor)).await.unwrap().unwrap();
    assert_eq!(
        (subjects(&second), &*second.commits[0].branch),
        (vec!["on topic"], "topic")
    );

    // A forced push replaces the commit; a merge into main then tells of it again, for builders of main alone may want it.
    repo.git(&[
        "commit",
        "--quiet",
        "--amend",
        "--allow-empty",
        "-m",
        "on topic, better",
    ]);
    let third = source.poll(Some(&second.cursor)).await.unwrap().unwrap();
    assert_eq!(subjects(&third), ["on topic, better"]);
    repo.git(&["checkout", "--quiet", "main"]);
    repo.git(&["merge", "--quiet", "--ff-only", "topic"]);
    let fourth = source.poll(Some(&third.cursor)).await.unwrap().unwrap();
    assert_eq!(subjects(&fourth), ["on topic, better"]);
    assert_eq!(fourth.commits[0].branch, "main");
}

#[tokio::test]
async fn an_empty_repository_is_waited_for() {
    let (repo, cache) = (Repo::new(), tempfile::tempdir().unwrap());
    let source = source(&repo, cache.path(), ConfigFrom::Commit(None)).await;
    let nothing = source.poll(None).await.unwrap().unwrap();
    assert!(nothing.commits.is_empty());
    repo.commit("first ever", &[("farm.toml", FARM)]);
    let work = source.poll(Some(&nothing.cursor)).await.unwrap().unwrap();
    assert_eq!(subjects(&work), ["first ever"]);
}

#[tokio::test]
async fn a_checkout_of_a_bare_commit_is_built_too() {
    let (repo, cache) = (Repo::new(), tempfile::tempdir().unwrap());
    repo.commit("c1", &[("farm.toml", FARM)]);
    repo.git(&["checkout", "--quiet", "--detach"]);
    repo.git(&["branch", "-D", "--quiet", "main"]);
    let source = source(&repo, cache.path(), ConfigFrom::Commit(None)).await;
    let work = source.poll(None).await.unwrap().unwrap();
    assert_eq!(
        (subjects(&work), &*work.commits[0].branch),
        (vec!["c1"], "HEAD")
    );
}

#[tokio::test]
async fn each_commit_brings_its_own_configuration() {
    let (repo, cache) = (Repo::new(), tempfile::tempdir().unwrap());
    repo.commit("detected", &[("Makefile", "test:\n\ttrue\n")]);
    repo.commit("wrong", &[("farm.toml", "[builder.test]\nstep = []\n")]);
    let source = source(&repo, cache.path(), ConfigFrom::Commit(None)).await;
    let work = source.poll(None).await.unwrap().unwrap();
    let detected = &work.commits[0].builds[0];
    assert!(
        matches!(&detected.start, BuildStart::Queue(plan) if plan.steps.iter().any(|s| s.run.contains("make")))
    );
    let [wrong] = &work.commits[1].builds[..] else {
        panic!("one build says what is wrong")
    };
    assert_eq!(wrong.builder, CONFIG_BUILDER);
    let BuildStart::Done(Outcome::Failed, reason) = &wrong.start else {
        panic!("{wrong:?}")
    };
    assert!(
        reason.contains("farm.toml:2:1: unknown key 'step', did you mean 'steps'?"),
        "{reason}"
    );
}

#[tokio::test]
async fn policy_skips_with_its_reason() {
    let (repo, cache) = (Repo::new(), tempfile::tempdir().unwrap());
    let farm = format!(
        "{FARM}\n[[policy]]\npaths = [\"**.md\"]\naction = \"skip\"\nreason = \"only prose\"\n"
    );
    repo.commit("code", &[("farm.toml", &farm), ("a.c", "")]);
    repo.commit("prose", &[("README.md", "hello")]);
    let source = source(&repo, cache.path(), ConfigFrom::Commit(None)).await;
    let work = source.poll(None).await.unwrap().unwrap();
    assert!(matches!(
        work.commits[0].builds[0].start,
        BuildStart::Queue(_)
    ));
    assert!(
        matches!(&work.commits[1].builds[0].start, BuildStart::Done(Outcome::Skipped, why) if why == "only prose")
    );
}

#[tokio::test]
async fn many_ask_for_one_tree_and_it_is_packed_once() {
    let (repo, cache) = (Repo::new(), tempfile::tempdir().unwrap());
    let hash = repo.commit("c1", &[("farm.toml", FARM), ("dir/file.txt", "content\n")]);
    let source = source(&repo, cache.path(), ConfigFrom::Commit(None)).await;
    source.poll(None).await.unwrap();
    let asked = futures_util::future::join_all((0..16).map(|_| source.archive(&hash))).await;
    let archives: Vec<_> = asked.into_iter().map(Result::unwrap).collect();
    assert!(
        archives
            .iter()
            .all(|a| a.path == archives[0].path && a.bytes == archives[0].bytes)
    );
    let out = tempfile::tempdir().unwrap();
    let status = Command::new("tar")
        .arg("-xzf")
        .arg(&archives[0].path)
        .arg("-C")
        .arg(out.path())
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(
        std::fs::read_to_string(out.path().join("dir/file.txt")).unwrap(),
        "content\n"
    );

    assert!(
        source.archive("--output=/tmp/x").await.is_err(),
        "a commit is a hash and nothing else"
    );
    assert!(source.archive(&"0".repeat(40)).await.is_err());
}

/// A commit made of raw bytes, as no git would write it, on top of `parent`.
fn raw_commit(repo: &Repo, parent: &str, author: &[u8], time: &str, subject: &[u8]) -> String {
    let tree = repo.git(&["rev-parse", "HEAD^{tree}"]);
    let mut raw = format!("tree {tree}\nparent {parent}\nauthor ").into_bytes();
    raw.extend_from_slice(author);
    raw.extend(format!(" <a@b> {time} +0000\ncommitter c <c@d> {time} +0000\n\n").bytes());
    raw.extend_from_slice(subject);
    raw.push(b'\n');
    let file = repo.path().join(".git/raw");
    std::fs::write(&file, raw).unwrap();
    let file = file.to_string_lossy().into_owned();
    repo.git(&["hash-object", "-t", "commit", "-w", "--literally", &file])
}

#[tokio::test]
async fn one_hostile_commit_does_not_stop_the_others() {
    let (repo, cache) = (Repo::new(), tempfile::tempdir().unwrap());
    let first = repo.commit("first", &[("farm.toml", FARM)]);
    let source = source(&repo, cache.path(), ConfigFrom::Commit(None)).await;
    let cursor = source.poll(None).await.unwrap().unwrap().cursor;

    let huge = vec![b'x'; 40 << 20];
    let mut tip = first;
    for (author, time, subject) in [
        (&b"a\x1fb\x1b[2J\xff"[..], "100", &b"s\x1f\x07\xfe"[..]),
        (b"late", "99999999999999", b"a time no calendar has"),
        (b"later", "18446744073709551615", b"nor this"),
        (b"long", "100", &huge),
    ] {
        tip = raw_commit(&repo, &tip, author, time, subject);
        repo.git(&["update-ref", "refs/heads/main", &tip]);
    }
    repo.git(&["reset", "--quiet", "--soft", "main"]);
    repo.commit("honest", &[]);
    let work = source.poll(Some(&cursor)).await.unwrap().unwrap();
    assert_eq!(work.commits.len(), 5);
    assert_eq!(subjects(&work)[4], "honest");
    for commit in &work.commits {
        let shown = format!("{}{}", commit.author, commit.subject);
        assert!(!shown.contains(char::is_control) && shown.len() < 5_000);
        assert_eq!(commit.builds[0].builder, "test");
    }
}

#[tokio::test]
async fn a_configuration_that_is_no_file_or_endless_fails_its_own_commit_alone() {
    let (repo, cache) = (Repo::new(), tempfile::tempdir().unwrap());
    let source = source(&repo, cache.path(), ConfigFrom::Commit(None)).await;
    repo.commit("start", &[("Makefile", "test:\n\ttrue\n")]);
    let cursor = source.poll(None).await.unwrap().unwrap().cursor;
    repo.commit("folder", &[("farm.toml/x", "")]);
    repo.git(&["rm", "-rq", "farm.toml"]);
    std::os::unix::fs::symlink("/etc/passwd", repo.path().join("farm.toml")).unwrap();
    repo.commit("link", &[]);
    repo.git(&["rm", "-q", "farm.toml"]);
    repo.commit("endless", &[("farm.toml", &"# x\n".repeat(10 << 20))]);
    repo.git(&["rm", "-q", "farm.toml"]);
    repo.commit(
        "endless makefile",
        &[("Makefile", &"# x\n".repeat(10 << 20))],
    );
    repo.commit("well again", &[("farm.toml", FARM)]);
    let work = source.poll(Some(&cursor)).await.unwrap().unwrap();
    let why = |n: usize| match &work.commits[n].builds[0].start {
        BuildStart::Done(Outcome::Failed, why) => why.clone(),
        other => panic!("{n}: {other:?}"),
    };
    assert_eq!(why(0), "farm.toml is not a file");
    assert_eq!(why(1), "farm.toml is not a file");
    assert!(why(2).contains("the limit is"), "{}", why(2));
    assert!(!work.commits[3].builds.is_empty());
    assert!(matches!(
        work.commits[4].builds[0].start,
        BuildStart::Queue(_)
    ));
}

#[tokio::test]
async fn a_branch_that_is_moved_forward_to_known_commits_gets_its_own_builds() {
    let (repo, cache) = (Repo::new(), tempfile::tempdir().unwrap());
    let farm = format!("{FARM}\n[project]\nbranches = [\"main\"]\n");
    repo.commit("base", &[("farm.toml", &farm)]);
    repo.git(&["checkout", "--quiet", "-b", "topic"]);
    let source = source(&repo, cache.path(), ConfigFrom::Commit(None)).await;
    let first = source.poll(None).await.unwrap().unwrap();
    repo.commit("t1", &[]);
    repo.commit("t2", &[]);
    let second = source.poll(Some(&first.cursor)).await.unwrap().unwrap();
    assert!(second.commits.iter().all(|c| c.builds.is_empty()));

    repo.git(&["checkout", "--quiet", "main"]);
    repo.git(&["merge", "--quiet", "--ff-only", "topic"]);
    let third = source.poll(Some(&second.cursor)).await.unwrap().unwrap();
    assert_eq!(subjects(&third), ["t1", "t2"]);
    assert!(third.commits.iter().all(|c| c.builds.len() == 1));
}

#[tokio::test]
async fn a_default_branch_that_does_not_exist_is_guessed() {
    let (repo, cache) = (Repo::new(), tempfile::tempdir().unwrap());
    repo.commit("c1", &[("farm.toml", FARM)]);
    repo.git(&["symbolic-ref", "HEAD", "refs/heads/nowhere"]);
    let source = source(&repo, cache.path(), ConfigFrom::Commit(None)).await;
    let work = source.poll(None).await.unwrap().unwrap();
    assert_eq!(subjects(&work), ["c1"]);
}

#[tokio::test]
async fn the_first_push_to_an_empty_repository_builds_recent_commits_only() {
    let (repo, cache) = (Repo::new(), tempfile::tempdir().unwrap());
    let source = source(&repo, cache.path(), ConfigFrom::Commit(None)).await;
    let nothing = source.poll(None).await.unwrap().unwrap();
    for n in 1..=5 {
        repo.commit(&format!("c{n}"), &[("farm.toml", FARM)]);
    }
    let work = source.poll(Some(&nothing.cursor)).await.unwrap().unwrap();
    assert_eq!(subjects(&work), ["c4", "c5"]);
}

#[tokio::test]
async fn a_mirror_lost_while_history_was_rewritten_builds_the_tip() {
    let (repo, cache) = (Repo::new(), tempfile::tempdir().unwrap());
    for n in 1..=3 {
        repo.commit(&format!("c{n}"), &[("farm.toml", FARM)]);
    }
    let first = source(&repo, cache.path(), ConfigFrom::Commit(None)).await;
    let cursor = first.poll(None).await.unwrap().unwrap().cursor;
    std::fs::remove_dir_all(cache.path().join("mirror.git")).unwrap();
    repo.git(&[
        "commit",
        "--quiet",
        "--amend",
        "--allow-empty",
        "-m",
        "c3, better",
    ]);
    repo.git(&["reflog", "expire", "--expire=now", "--all"]);
    repo.git(&["gc", "--quiet", "--prune=now"]);
    let again = source(&repo, cache.path(), ConfigFrom::Commit(None)).await;
    let work = again.poll(Some(&cursor)).await.unwrap().unwrap();
    assert_eq!(subjects(&work), ["c3, better"]);
}

#[tokio::test]
async fn a_mirror_that_a_killed_git_left_locked_works_again() {
    let (repo, cache) = (Repo::new(), tempfile::tempdir().unwrap());
    repo.commit("c1", &[("farm.toml", FARM)]);
    drop(source(&repo, cache.path(), ConfigFrom::Commit(None)).await);
    let mirror = cache.path().join("mirror.git");
    for lock in ["packed-refs.lock", "config.lock", "refs/heads/main.lock"] {
        std::fs::write(mirror.join(lock), "").unwrap();
    }
    std::fs::write(cache.path().join("trees/ab.tar.partial"), "half").unwrap();
    let source = source(&repo, cache.path(), ConfigFrom::Commit(None)).await;
    assert_eq!(subjects(&source.poll(None).await.unwrap().unwrap()), ["c1"]);
    assert!(!cache.path().join("trees/ab.tar.partial").exists());
}

#[tokio::test]
async fn the_packed_tree_is_the_commit_and_not_what_it_would_release() {
    let (repo, cache) = (Repo::new(), tempfile::tempdir().unwrap());
    let hash = repo.commit(
        "c1",
        &[
            (
                ".gitattributes",
                "tests export-ignore\nversion export-subst\n",
            ),
            ("tests/t.sh", "true\n"),
            ("version", "$Format:%H$\n"),
        ],
    );
    let source = source(&repo, cache.path(), ConfigFrom::Commit(None)).await;
    source.poll(None).await.unwrap();
    let archive = source.archive(&hash).await.unwrap();
    let out = tempfile::tempdir().unwrap();
    let unpacked = Command::new("tar")
        .arg("-xzf")
        .arg(&archive.path)
        .current_dir(out.path())
        .status();
    assert!(unpacked.unwrap().success());
    assert!(out.path().join("tests/t.sh").exists());
    let version = std::fs::read_to_string(out.path().join("version")).unwrap();
    assert_eq!(version, "$Format:%H$\n");
}
