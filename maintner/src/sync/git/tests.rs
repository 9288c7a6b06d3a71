use std::{path::Path, process::Command};

use super::*;
use crate::{
    corpus::{Hash, Snapshot},
    leader::Leader,
    log::MemoryLog,
    sync::{Status, Wake, keep, once},
};

/// A git repository in a temporary folder.
struct Repo(tempfile::TempDir);

impl Repo {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(args: &[&str]) -> Self {
        let repo = Self(tempfile::tempdir().unwrap());
        repo.git(&[&["init", "--quiet", "--initial-branch=main"], args].concat());
        repo
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, args: &[&str], input: &[u8]) -> String {
        let mut command = Command::new("git");
        command
            .current_dir(self.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org"])
            .args(args)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input).unwrap();
        let output = child.wait_with_output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {complaint}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn git(&self, args: &[&str]) -> String {
        self.run(args, b"")
    }

    /// Commits a file and gives the commit's name.
    fn commit(&self, subject: &str, file: &str, content: &str) -> String {
        std::fs::write(self.path().join(file), content).unwrap();
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", subject]);
        self.git(&["rev-parse", "HEAD"])
    }
}

/// A repository that is mirrored into a log in memory.
struct Mirror {
    log: MemoryLog,
    leader: Leader,
    git: GitRepo,
    progress: Progress,
}

impl Mirror {
    async fn of(repo: &Repo) -> Self {
        Self::over(MemoryLog::new(), repo).await
    }

    async fn over(log: MemoryLog, repo: &Repo) -> Self {
        let leader = Leader::open(log.clone(), log.source()).await.unwrap();
        let git = GitRepo::open(repo.path(), Some("local/repo"))
            .await
            .unwrap();
        Self {
            log,
            leader,
            git,
            progress: Progress::new(),
        }
    }

    /// Syncs; gives what is known then.
    async fn sync(&mut self) -> Snapshot {
        once(&mut self.git, &self.leader.outlet(), &self.progress)
            .await
            .unwrap();
        self.leader.corpus().snapshot()
    }

    fn status(&self) -> Status {
        self.progress.watch().borrow().clone()
    }
}

/// The refs that are known, each with its commit.
fn refs(snapshot: &Snapshot) -> Vec<(String, String)> {
    let known = refs::known(snapshot, "local/repo");
    let text = |(name, hash): (String, Hash)| (name, hash.to_string());
    known.into_iter().map(text).collect()
}

fn files(snapshot: &Snapshot, commit: &str) -> Vec<(String, u32, u32, bool)> {
    let commit = snapshot
        .commits()
        .get(Hash::parse(commit).unwrap())
        .unwrap();
    let file = |file: crate::corpus::File<'_>| {
        (file.path.to_owned(), file.added, file.deleted, file.binary)
    };
    commit.files().map(file).collect()
}

#[tokio::test]
async fn commits_come_with_their_files_and_then_the_refs() {
    let repo = Repo::new();
    let first = repo.commit("first", "a", "1\n2\n");
    repo.git(&["checkout", "--quiet", "-b", "side"]);
    let side = repo.commit("side", "sp ace\tand \u{e9}", "x\n");
    repo.git(&["checkout", "--quiet", "main"]);
    std::fs::write(repo.path().join("bin"), b"\0\x01\xff").unwrap();
    let second = repo.commit("second", "a", "1\n3\n");
    repo.git(&["merge", "--quiet", "--no-edit", "side"]);
    let merge = repo.git(&["rev-parse", "HEAD"]);
    repo.git(&["tag", "light", "main~1"]);
    repo.git(&["tag", "-a", "heavy", "-m", "text", "main~1"]);
    repo.git(&["tag", "-a", "heavier", "-m", "of a tag", "heavy"]);

    let mut mirror = Mirror::of(&repo).await;
    let snapshot = mirror.sync().await;
    assert_eq!(snapshot.commits().len(), 4);
    assert_eq!((snapshot.commits().missing(), snapshot.skipped()), (0, 0));
    let file = |path: &str, added, deleted| (path.to_owned(), added, deleted, false);
    assert_eq!(files(&snapshot, &first), [file("a", 2, 0)]);
    assert_eq!(files(&snapshot, &side), [file("sp ace\tand \u{e9}", 1, 0)]);
    let binary = ("bin".to_owned(), 0, 0, true);
    assert_eq!(files(&snapshot, &second), [file("a", 1, 1), binary]);
    assert_eq!(files(&snapshot, &merge), []);
    let commit = snapshot
        .commits()
        .get(Hash::parse(&merge).unwrap())
        .unwrap();
    let parents: Vec<_> = commit.parents().map(|parent| parent.to_string()).collect();
    assert_eq!(parents, [second.clone(), side.clone()]);
    let known = refs(&snapshot);
    let known: Vec<_> = known.iter().map(|(name, at)| (&**name, &**at)).collect();
    assert_eq!(
        known,
        [
            ("HEAD", &*merge),
            ("refs/heads/main", &*merge),
            ("refs/heads/side", &*side),
            ("refs/tags/heavier", &*second),
            ("refs/tags/heavy", &*second),
            ("refs/tags/light", &*second),
        ]
    );
    let status = mirror.status();
    assert_eq!((status.synced, status.skipped, status.failures), (1, 0, 0));

    // Nothing new, nothing written.
    let before = mirror.log.feed().len();
    mirror.sync().await;
    assert_eq!(mirror.log.feed().len(), before);
}

#[tokio::test]
async fn what_changes_is_followed_also_by_the_next_process() {
    let repo = Repo::new();
    let first = repo.commit("first", "a", "1");
    repo.git(&["branch", "doomed"]);
    let mut mirror = Mirror::of(&repo).await;
    mirror.sync().await;
    let log = mirror.log.clone();
    drop(mirror);

    // Rewritten, grown, renamed, removed, packed.
    repo.git(&["branch", "-D", "doomed"]);
    repo.git(&["commit", "--quiet", "--amend", "-m", "first, better"]);
    let second = repo.commit("second", "b", "2");
    repo.git(&["branch", "other", "main~1"]);
    repo.git(&["pack-refs", "--all"]);
    repo.git(&["gc", "--quiet", "--prune=now"]);
    let mut mirror = Mirror::over(log, &repo).await;
    let snapshot = mirror.sync().await;
    let other = repo.git(&["rev-parse", "other"]);
    let known = refs(&snapshot);
    let known: Vec<_> = known.iter().map(|(name, at)| (&**name, &**at)).collect();
    let expected = [
        ("HEAD", &*second),
        ("refs/heads/main", &*second),
        ("refs/heads/other", &*other),
    ];
    assert_eq!(known, expected);
    let first = snapshot.commits().get(Hash::parse(&first).unwrap());
    assert_eq!(first.unwrap().summary(), "first", "history is kept");
    assert_eq!(snapshot.commits().len(), 3);
}

#[tokio::test]
async fn what_go_readers_cannot_take_is_left_out_and_counted() {
    let repo = Repo::new();
    repo.commit("first", "a", "1");
    let tree = repo.git(&["rev-parse", "HEAD^{tree}"]);
    repo.git(&["tag", "of-a-tree", &tree]);
    let bad = format!("tree {tree}\nauthor A <a@x> soon +0000\ncommitter A <a@x> 1 +0000\n\nbad\n");
    let hash_object = [
        "hash-object",
        "-t",
        "commit",
        "-w",
        "--stdin",
        "--literally",
    ];
    let bad = repo.run(&hash_object, bad.as_bytes());
    repo.git(&["update-ref", "refs/heads/bad", &bad]);
    // A name and a message in Latin-1 are no reason.
    let old =
        format!("tree {tree}\nauthor J1rg <j@x> 1 +0000\ncommitter J1rg <j@x> 1 +0000\n\ncaf1\n");
    let old: Vec<u8> = old.bytes().collect();
    let latin = String::from_utf8(old)
        .unwrap()
        .replace("J1rg", "J\u{1}rg")
        .replace("caf1", "caf\u{1}");
    let latin: Vec<u8> = latin
        .bytes()
        .map(|byte| if byte == 1 { 0xf6 } else { byte })
        .collect();
    let latin = repo.run(&hash_object, &latin);
    repo.git(&["update-ref", "refs/heads/latin", &latin]);

    let mut mirror = Mirror::of(&repo).await;
    for _ in 0..2 {
        let snapshot = mirror.sync().await;
        assert_eq!(snapshot.commits().len(), 2);
        let names: Vec<_> = refs(&snapshot).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["HEAD", "refs/heads/latin", "refs/heads/main"]);
        let status = mirror.status();
        assert_eq!(status.skipped, 2, "{status:?}");
    }
}

#[tokio::test]
async fn changes_of_a_mirror_of_gerrit_are_changes() {
    let repo = Repo::new();
    let base = repo.commit("base", "a", "1");
    let tree = repo.git(&["rev-parse", "HEAD^{tree}"]);
    let set = repo.git(&[
        "commit-tree",
        &tree,
        "-p",
        &base,
        "-m",
        "net: do it\n\nChange-Id: I1",
    ]);
    let meta = format!(
        "Create change\n\nUploaded patch set 1.\n\nPatch-set: 1\nSubject: net: do it\n\
         Branch: refs/heads/main\nStatus: new\nCommit: {set}\n"
    );
    let meta = repo.git(&["commit-tree", &tree, "-m", &meta]);
    repo.git(&["update-ref", "refs/changes/47/1247/1", &set]);
    repo.git(&["update-ref", "refs/changes/47/1247/meta", &meta]);
    let mut mirror = Mirror::of(&repo).await;
    let snapshot = mirror.sync().await;
    let project = snapshot.gerrit().project("local", "repo").unwrap();
    let change = project.cl(1247).unwrap();
    assert_eq!(
        (&*change.subject(), change.branch()),
        ("net: do it", "main")
    );
    let before = mirror.log.feed().len();
    mirror.sync().await;
    assert_eq!(mirror.log.feed().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_repository_is_seen_to_change_within_a_second_or_so() {
    let repo = Repo::new();
    repo.commit("first", "a", "1");
    let log = MemoryLog::new();
    let leader = Leader::open(log.clone(), log.source()).await.unwrap();
    let git = GitRepo::open(repo.path(), Some("local/repo"))
        .await
        .unwrap();
    let progress = Progress::new();
    let kept = tokio::spawn(keep(git, leader.outlet(), Wake::new(), progress.clone()));
    let mut status = progress.watch();
    status.wait_for(|status| status.synced > 0).await.unwrap();
    let began = std::time::Instant::now();
    let second = tokio::task::block_in_place(|| repo.commit("second", "a", "2"));
    let second = Hash::parse(&second).unwrap();
    let corpus = leader.corpus().clone();
    let mut snapshot = corpus.snapshot();
    while snapshot.commits().get(second).is_none() {
        snapshot = corpus.newer_than(snapshot.generation()).await.unwrap();
    }
    // Generous: the machine may be busy. Without watching it would take a minute.
    assert!(began.elapsed() < Duration::from_secs(20));
    kept.abort();
}

#[tokio::test]
async fn repositories_that_cannot_be_mirrored_are_told_apart() {
    let sha256 = Repo::with(&["--object-format=sha256"]);
    let refused = GitRepo::open(sha256.path(), None).await.unwrap_err();
    assert!(
        refused.to_string().contains("names its objects by sha256"),
        "{refused}"
    );
    let nothing = tempfile::tempdir().unwrap();
    let refused = GitRepo::open(nothing.path(), None).await.unwrap_err();
    assert!(
        refused.to_string().contains("is no git repository"),
        "{refused}"
    );
    let repo = Repo::new();
    for name in ["", "x", "/x", "x/", "a b/c", "a/\n"] {
        let refused = GitRepo::open(repo.path(), Some(name)).await;
        assert!(matches!(refused, Err(OpenError::Name { .. })), "{name:?}");
    }
    // One without commits is fine.
    let mut mirror = Mirror::of(&repo).await;
    mirror.sync().await;
    assert!(mirror.log.feed().is_empty());
    std::fs::create_dir_all(repo.path().join("project.git/deep")).unwrap();
    let bare = repo.path().join("project.git");
    repo.git(&["init", "--quiet", "--bare", "project.git"]);
    let git = GitRepo::open(&bare.join("deep"), None).await.unwrap();
    assert_eq!(git.project(), "local/project");
    repo.git(&["init", "--quiet", "tree with spaces"]);
    let tree = repo.path().join("tree with spaces");
    let git = GitRepo::open(&tree, None).await.unwrap();
    assert_eq!(git.project(), "local/tree-with-spaces");
}
