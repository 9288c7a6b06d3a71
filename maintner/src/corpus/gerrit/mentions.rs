use super::{
    rows::{IssueRow, MentionRow, RepoRow, ReviewedRow},
    state::row_number,
};
use crate::{
    corpus::commits::{AddError, CommitId, Commits, NONE},
    parse::references::references,
    store::{Hasher, Index, Paged, Span, Texts, saved},
};

/// Which patch sets mention which issues. Each commit is read once, however many refs point to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Mentions {
    hasher: Hasher,
    pub(super) reviewed: Paged<ReviewedRow>,
    reviewed_index: Index,
    pub(super) repos: Paged<RepoRow>,
    repo_index: Index,
    pub(super) issues: Paged<IssueRow>,
    issue_index: Index,
    pub(super) mentions: Paged<MentionRow>,
}

saved!(Mentions {
    hasher,
    reviewed,
    reviewed_index,
    repos,
    repo_index,
    issues,
    issue_index,
    mentions,
});

impl Mentions {
    /// Notes that a commit is a patch set, whose row is `patch_set`; gives the row that was the
    /// newest of this commit before.
    pub(super) fn reviewed(
        &mut self,
        commits: &Commits,
        commit: u32,
        patch_set: u32,
    ) -> Result<u32, AddError> {
        if let Some(row) = self.find_reviewed(commit)
            && let Some(row) = self.reviewed.get_mut(row as usize)
        {
            return Ok(std::mem::replace(&mut row.newest_patch_set, patch_set));
        }
        let row = row_number(self.reviewed.len())?;
        let first_mention = row_number(self.mentions.len())?;
        if let Some(commit) = commits.at(CommitId(commit)) {
            let text = commit.message();
            let span = commit.message_span();
            for reference in references(text) {
                let repo = match reference.repo {
                    Some((owner, name)) => self.repo(commits.texts(), text, span, owner, name)?,
                    None => NONE,
                };
                self.mention(repo, reference.number, row, first_mention)?;
            }
        }
        let mentions = row_number(self.mentions.len())? - first_mention;
        self.reviewed.push(ReviewedRow {
            commit,
            newest_patch_set: patch_set,
            first_mention,
            mentions,
        });
        self.reviewed_index
            .insert(self.hasher.hash_one(commit), row);
        Ok(NONE)
    }

    pub(super) fn find_reviewed(&self, commit: u32) -> Option<u32> {
        self.reviewed_index
            .find(self.hasher.hash_one(commit), |row| {
                let row = self.reviewed.get(row as usize);
                row.is_some_and(|row| row.commit == commit)
            })
    }

    fn mention(
        &mut self,
        repo: u32,
        number: i32,
        reviewed: u32,
        first: u32,
    ) -> Result<(), AddError> {
        let issue = match self.find_issue(repo, number) {
            Some(issue) => issue,
            None => self.add_issue(repo, number)?,
        };
        let Some(row) = self.issues.get_mut(issue as usize) else {
            return Ok(());
        };
        let older = row.newest_mention;
        if older != NONE && older >= first {
            return Ok(());
        }
        row.newest_mention = row_number(self.mentions.push(MentionRow {
            issue,
            reviewed,
            older,
        }))?;
        Ok(())
    }

    /// The row of an issue; `repo` is [`NONE`] for that which belongs to the project.
    pub(super) fn find_issue(&self, repo: u32, number: i32) -> Option<u32> {
        self.issue_index
            .find(self.hasher.hash_one((repo, number)), |row| {
                let row = self.issues.get(row as usize);
                row.is_some_and(|row| (row.repo, row.number) == (repo, number))
            })
    }

    fn add_issue(&mut self, repo: u32, number: i32) -> Result<u32, AddError> {
        let issue = row_number(self.issues.push(IssueRow {
            repo,
            number,
            newest_mention: NONE,
        }))?;
        let hash = self.hasher.hash_one((repo, number));
        self.issue_index.insert(hash, issue);
        Ok(issue)
    }

    /// The row of a repository, whatever the case of its name.
    pub(super) fn find_repo(&self, texts: &Texts, owner: &str, name: &str) -> Option<u32> {
        self.repo_index
            .find(hash_repo(&self.hasher, owner, name), |row| {
                self.is_repo(row, texts, owner, name)
            })
    }

    fn is_repo(&self, row: u32, texts: &Texts, owner: &str, name: &str) -> bool {
        let is = |span, part: &str| texts.bytes(span).eq_ignore_ascii_case(part.as_bytes());
        let row = self.repos.get(row as usize);
        row.is_some_and(|row| is(row.name, name) && is(row.owner, owner))
    }

    /// The row of a repository that is mentioned in `text`, which stands at `span`.
    fn repo(
        &mut self,
        texts: &Texts,
        text: &str,
        span: Span,
        owner: &str,
        name: &str,
    ) -> Result<u32, AddError> {
        // Most mention the project's own, and so did the first.
        if self.is_repo(0, texts, owner, name) {
            return Ok(0);
        }
        if let Some(row) = self.find_repo(texts, owner, name) {
            return Ok(row);
        }
        let hash = hash_repo(&self.hasher, owner, name);
        let [owner, name] = [owner, name].map(|part| span.part(text.as_bytes(), part.as_bytes()));
        let row = row_number(self.repos.push(RepoRow { owner, name }))?;
        self.repo_index.insert(hash, row);
        Ok(row)
    }
}

/// The hash of a repository's name, whatever its case.
fn hash_repo(hasher: &Hasher, owner: &str, name: &str) -> u64 {
    struct AnyCase<'a>([&'a str; 2]);
    impl std::hash::Hash for AnyCase<'_> {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            for byte in self.0.iter().flat_map(|part| part.bytes().chain([b'/'])) {
                state.write_u8(byte.to_ascii_lowercase());
            }
        }
    }
    hasher.hash_one(AnyCase([owner, name]))
}
