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

    // A forced push replaces the commit; a merge into main then brings nothing that was not seen on the branch.
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
    assert!(subjects(&fourth).is_empty());
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
