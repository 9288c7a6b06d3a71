use std::{borrow::Cow, collections::HashSet, fmt};

use super::{
    Gerrit, Hashtags, LabelVotes, Message, Meta, Project, UnknownCommit,
    rows::{ChangeRow, PatchSetRow},
};
use crate::{
    corpus::{
        IssueRef, Timestamp,
        commits::{Commit, CommitId, Signed},
    },
    parse::{
        Facts, line,
        notedb::{self, Status},
    },
};

/// A change under review, the original's CL, of which a patch set and the meta commits are known. A
/// few words that borrow the version of the corpus they are from.
#[derive(Clone, Copy)]
pub struct Change<'a> {
    gerrit: Gerrit<'a>,
    row: &'a ChangeRow,
    version: i32,
    commit: u32,
}

/// One of the commits that a change was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatchSet<'a> {
    /// From 1.
    pub version: i32,
    /// The commit.
    pub commit: Commit<'a>,
}

/// What somebody is to a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReviewerKind {
    /// Asked for a review.
    Reviewer,
    /// Told about it.
    Cc,
}

impl<'a> Change<'a> {
    /// None if it is not complete.
    pub(super) fn new(gerrit: Gerrit<'a>, row: u32) -> Option<Self> {
        Self::of_row(gerrit, gerrit.state.changes.get(row as usize)?)
    }

    /// None if it is not complete.
    pub(super) fn of_row(gerrit: Gerrit<'a>, row: &'a ChangeRow) -> Option<Self> {
        if !row.is_complete() {
            return None;
        }
        // Rarely is another than the highest patch set current.
        let differs = row.current != 0 && row.current != row.version && !gerrit.state.is_compat();
        let current =
            differs.then(|| chain(gerrit, row).find(|patch_set| patch_set.version == row.current));
        let (version, commit) = match current.flatten() {
            Some(patch_set) => (patch_set.version, patch_set.commit),
            None => (row.version, row.commit),
        };
        Some(Self {
            gerrit,
            row,
            version,
            commit,
        })
    }

    /// Its number, which belongs to it alone on its server.
    pub fn number(self) -> i32 {
        self.row.number
    }

    /// Its project.
    pub fn project(self) -> Project<'a> {
        Project::new(self.gerrit, self.row.project)
    }

    /// When it was uploaded: the time of its first meta commit.
    pub fn created(self) -> Timestamp {
        Timestamp::new(self.row.created, 0)
    }

    /// When something was last said of it: the time of its newest meta commit.
    pub fn updated(self) -> Timestamp {
        Timestamp::new(self.row.updated, 0)
    }

    /// The number of its newest patch set: the highest, or the one that Gerrit says is current.
    pub fn version(self) -> i32 {
        self.version
    }

    /// Its newest patch set.
    pub fn commit(self) -> Commit<'a> {
        self.gerrit.commits.known(self.commit)
    }

    /// A patch set by number.
    pub fn commit_at_version(self, version: i32) -> Option<Commit<'a>> {
        let row = chain(self.gerrit, self.row).find(|patch_set| patch_set.version == version)?;
        self.gerrit.commits.at(CommitId(row.commit))
    }

    /// Its patch sets, by number.
    pub fn patch_sets(self) -> impl DoubleEndedIterator<Item = PatchSet<'a>> + use<'a> {
        // Of several of one number the newest counts.
        let mut rows: Vec<&PatchSetRow> = chain(self.gerrit, self.row).collect();
        rows.sort_by_key(|row| row.version);
        rows.dedup_by_key(|row| row.version);
        let commits = self.gerrit.commits;
        rows.into_iter().filter_map(|row| {
            Some(PatchSet {
                version: row.version,
                commit: commits.at(CommitId(row.commit))?,
            })
        })
    }

    /// Its newest meta commit.
    pub fn meta(self) -> Meta<'a> {
        self.meta_at(self.row.meta)
    }

    fn meta_at(self, id: u32) -> Meta<'a> {
        Meta::new(self, self.gerrit.commits.known(id))
    }

    /// Its meta commits, oldest first: all that was ever done to it.
    pub fn metas(self) -> impl DoubleEndedIterator<Item = Meta<'a>> + use<'a> {
        let ids = self.meta_ids(self.row.meta);
        ids.into_iter().map(move |id| self.meta_at(id))
    }

    /// The meta commits up to one of them, oldest first.
    pub(super) fn meta_ids(self, last: u32) -> Vec<u32> {
        let commits = self.gerrit.commits;
        let mut ids = Vec::with_capacity(commits.depth(last));
        ids.push(last);
        let mut id = last;
        while let Some(parent) = commits.first_parent(id) {
            ids.push(parent);
            id = parent;
        }
        ids.reverse();
        ids
    }

    /// What it has come to.
    pub fn status(self) -> Status {
        Facts::from_bits(self.row.status.into())
            .status()
            .unwrap_or(Status::New)
    }

    /// Whether it is under review.
    pub fn is_open(self) -> bool {
        self.status() == Status::New
    }

    /// Whether it is hidden from most people now.
    pub fn is_private(self) -> bool {
        self.row.private
    }

    /// Whether it is or was hidden from most people.
    pub fn was_private(self) -> bool {
        self.row.was_private
    }

    /// Whether its author says that it is not ready.
    pub fn work_in_progress(self) -> bool {
        self.row.work_in_progress
    }

    /// The branch that it is to go to, without `refs/heads/`; empty if unknown.
    pub fn branch(self) -> &'a str {
        let texts = self.gerrit.commits.texts();
        self.row.branch.map_or("", |branch| texts.symbol(branch))
    }

    /// The topic that it belongs to with others; empty if to none.
    pub fn topic(self) -> &'a str {
        let texts = self.gerrit.commits.texts();
        self.row.topic.map_or("", |topic| texts.symbol(topic))
    }

    /// Its hashtags.
    pub fn hashtags(self) -> Hashtags<'a> {
        self.meta().hashtags()
    }

    /// The footer `Change-Id` of its newest patch set, if it has the form of one: `I` and 40 more
    /// characters.
    pub fn change_id(self) -> Option<&'a str> {
        self.footer("Change-Id")
            .filter(|id| id.starts_with('I') && id.len() == 41)
    }

    /// The value of the first line `key: …` in the message of its newest patch set. Case matters.
    pub fn footer(self, key: &str) -> Option<&'a str> {
        let key = format!("{}:", key.strip_suffix(':').unwrap_or(key));
        line::find(self.commit().message(), &key).map(|line| line.value)
    }

    /// The author of its first patch set.
    pub fn owner(self) -> Option<Signed<'a>> {
        self.commit_at_version(1).map(|commit| commit.author())
    }

    /// `Name <mail>` of [`owner`](Self::owner), without a look at the log; empty if unknown.
    pub fn owner_person(self) -> &'a str {
        let texts = self.gerrit.commits.texts();
        self.row.owner.map_or("", |owner| texts.symbol(owner))
    }

    /// The account of the one who uploaded it, as Gerrit numbers them.
    pub fn owner_id(self) -> Option<i64> {
        let first = self.gerrit.commits.at(CommitId(self.row.first_meta))?;
        notedb::account_id(first.author().person)
    }

    /// What it is about: the first paragraph of its newest patch set's message, as one line.
    pub fn subject(self) -> Cow<'a, str> {
        let message = self.commit().message();
        let subject = message
            .split_once("\n\n")
            .map_or(message, |(subject, _)| subject)
            .trim_end();
        match subject.contains('\n') {
            true => subject.replace('\n', " ").into(),
            false => subject.into(),
        }
    }

    /// What people and programs said about it, oldest first.
    pub fn messages(self) -> impl DoubleEndedIterator<Item = Message<'a>> + use<'a> {
        self.metas().filter_map(|meta| meta.message())
    }

    /// The issues that its newest patch set's message mentions, in order, each once. The case of
    /// owners and repositories is that of their first mention anywhere.
    pub fn references(self) -> impl Iterator<Item = IssueRef<'a>> + use<'a> {
        let mentions = &self.gerrit.state.mentions;
        let row = mentions.find_reviewed(self.commit);
        let row = row.and_then(|row| mentions.reviewed.get(row as usize));
        let run = row.map(|row| {
            let first = row.first_mention as usize;
            first..first + row.mentions as usize
        });
        let texts = self.gerrit.commits.texts();
        let own = self.project().issues();
        // `#1` and `golang/go#1` may be one.
        let mut seen = HashSet::new();
        let mentioned = mentions.mentions.range(run.unwrap_or_default());
        mentioned.filter_map(move |mention| {
            let issue = mentions.issues.get(mention.issue as usize)?;
            let (owner, repo) = match mentions.repos.get(issue.repo as usize) {
                Some(repo) => (texts.text(repo.owner), texts.text(repo.name)),
                None => own?,
            };
            let number = issue.number;
            let is_own = own.is_some_and(|own| is_repo(own, (owner, repo)));
            (!is_own || seen.insert(number)).then_some(IssueRef {
                owner,
                repo,
                number,
            })
        })
    }

    /// Whether its newest patch set's message mentions an issue. The case of the repository's name
    /// does not matter.
    pub fn mentions(self, owner: &str, repo: &str, number: i32) -> bool {
        self.references().any(|issue| {
            issue.number == number && is_repo((issue.owner, issue.repo), (owner, repo))
        })
    }

    /// The votes there are now.
    ///
    /// # Errors
    ///
    /// Fails if a patch set that has to be compared is not known.
    pub fn votes(self) -> Result<LabelVotes<'a>, UnknownCommit> {
        self.meta().label_votes()
    }

    /// Those who are to look at it, as `Name <mail>`, in the order in which they came to be what
    /// they are.
    pub fn reviewers(self) -> Vec<(&'a str, ReviewerKind)> {
        let mut people: Vec<(&'a str, ReviewerKind)> = Vec::new();
        for meta in self.metas() {
            for (key, value) in meta.footers() {
                let kind = match key {
                    "Reviewer" => Some(ReviewerKind::Reviewer),
                    "CC" => Some(ReviewerKind::Cc),
                    "Removed" => None,
                    _ => continue,
                };
                match people.iter().position(|&(person, _)| person == value) {
                    Some(at) if kind == Some(people[at].1) => continue,
                    Some(at) => drop(people.remove(at)),
                    None => {}
                }
                people.extend(kind.map(|kind| (value, kind)));
            }
        }
        people
    }

    /// Where people look at it.
    pub fn url(self) -> String {
        let project = self.project();
        let server = match project.server().strip_suffix(".googlesource.com") {
            Some(name) if !name.ends_with("-review") => format!("{name}-review.googlesource.com"),
            _ => project.server().to_owned(),
        };
        format!("https://{server}/c/{}/+/{}", project.name(), self.number())
    }

    pub(super) fn gerrit(self) -> Gerrit<'a> {
        self.gerrit
    }
}

/// Whether two names are of one repository on GitHub.
pub(super) fn is_repo(one: (&str, &str), other: (&str, &str)) -> bool {
    one.0.eq_ignore_ascii_case(other.0) && one.1.eq_ignore_ascii_case(other.1)
}

/// The patch sets of a change, newest ref first.
fn chain<'a>(
    gerrit: Gerrit<'a>,
    row: &ChangeRow,
) -> impl Iterator<Item = &'a PatchSetRow> + use<'a> {
    let patch_sets = &gerrit.state.patch_sets;
    let newest = patch_sets.get(row.newest_patch_set as usize);
    std::iter::successors(newest, |row| patch_sets.get(row.older as usize))
}

impl fmt::Debug for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let project = self.project();
        write!(
            f,
            "Change({} {} {:?})",
            project.full_name(),
            self.number(),
            self.subject()
        )
    }
}

impl PartialEq for Change<'_> {
    fn eq(&self, other: &Self) -> bool {
        (self.number(), self.project()) == (other.number(), other.project())
    }
}

impl Eq for Change<'_> {}
