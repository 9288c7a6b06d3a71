use std::fmt;

use super::{Issue, Repo};
use crate::store::{List, Timestamp};

/// Issues and pull requests of a repository, by number, those that are gone included
/// ([`Issue::not_exist`]). Narrow it down before iterating:
///
/// ```
/// use maintner::{corpus::Snapshot, testing::History};
///
/// let snapshot = Snapshot::of_log(History::new(1).log(300_000))?;
/// let compiler = snapshot.github().repo("example", "compiler").ok_or("not there")?;
/// for issue in compiler.issues().open().label("NeedsFix") {
///     println!("#{} {} ({} comments)", issue.number(), issue.title(), issue.comment_count());
/// }
/// # assert!(compiler.issues().open().label("NeedsFix").count() > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Looks at no more issues than there are open ones, or with the rarest of the labels, if that is
/// asked for.
pub struct Issues<'s> {
    repo: Repo<'s>,
    terms: Vec<Term>,
    rows: Option<Box<dyn DoubleEndedIterator<Item = &'s u32> + Send + Sync + 's>>,
}

/// Something that has to be so, or must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::corpus) struct Term {
    pub(in crate::corpus) not: bool,
    pub(in crate::corpus) test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::corpus) enum Test {
    Open,
    Closed,
    Locked,
    PullRequest,
    /// Has any of these labels.
    Label(Vec<String>),
    HasLabel,
    Milestone(String),
    HasMilestone,
    Author(String),
    Assignee(String),
    IsAssigned,
    Commenter(String),
    Created(Range),
    Updated(Range),
    ClosedAt(Range),
    /// Has this text in the title, the text or the comments, as far as these are looked at.
    Text(String, Where),
}

/// From a time to before another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::corpus) struct Range {
    pub(in crate::corpus) from: Option<Timestamp>,
    pub(in crate::corpus) to: Option<Timestamp>,
}

/// Where to look for a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::corpus) struct Where {
    pub(in crate::corpus) title: bool,
    pub(in crate::corpus) body: bool,
    pub(in crate::corpus) comments: bool,
}

impl Range {
    pub(in crate::corpus) fn has(self, time: Option<Timestamp>) -> bool {
        time.is_some_and(|time| {
            self.from.is_none_or(|from| from <= time) && self.to.is_none_or(|to| time < to)
        })
    }
}

impl Term {
    fn holds(&self, issue: Issue<'_>) -> bool {
        self.test.holds(issue) != self.not
    }
}

impl Test {
    fn holds(&self, issue: Issue<'_>) -> bool {
        let named = |user: Option<super::User<'_>>, name: &String| {
            user.is_some_and(|user| user.login().eq_ignore_ascii_case(name))
        };
        match self {
            Self::Open => issue.is_open(),
            Self::Closed => issue.is_closed() && !issue.not_exist(),
            Self::Locked => issue.is_locked(),
            Self::PullRequest => issue.is_pull_request(),
            Self::Label(names) => issue.labels().any(|label| {
                let name = label.name();
                names.iter().any(|other| name.eq_ignore_ascii_case(other))
            }),
            Self::HasLabel => issue.labels().next().is_some(),
            Self::Milestone(title) => issue
                .milestone()
                .is_some_and(|milestone| milestone.title().eq_ignore_ascii_case(title)),
            Self::HasMilestone => issue.milestone().is_some(),
            Self::Author(name) => named(issue.author(), name),
            Self::Assignee(name) => issue.assignees().any(|user| named(Some(user), name)),
            Self::IsAssigned => issue.assignees().next().is_some(),
            Self::Commenter(name) => issue.comments().any(|comment| named(comment.user(), name)),
            Self::Created(range) => range.has(issue.created()),
            Self::Updated(range) => range.has(issue.updated()),
            Self::ClosedAt(range) => issue.is_closed() && range.has(issue.closed_at()),
            Self::Text(text, places) => {
                places.title && contains(issue.title(), text)
                    || places.body && contains(issue.body(), text)
                    || places.comments
                        && issue
                            .comments()
                            .any(|comment| contains(comment.body(), text))
            }
        }
    }
}

/// Whether `text` has `part` in it, in whatever case.
pub(in crate::corpus) fn contains(text: &str, part: &str) -> bool {
    let (text, part) = (text.as_bytes(), part.as_bytes());
    // What is rare is found fast.
    let rarity = |byte: u8| {
        COMMON
            .iter()
            .position(|&common| common == byte.to_ascii_lowercase())
    };
    let rarest = (0..part.len()).max_by_key(|&at| rarity(part[at]).unwrap_or(COMMON.len()));
    let Some(behind) = rarest else {
        return true;
    };
    let byte = part[behind];
    let (lower, upper) = (byte.to_ascii_lowercase(), byte.to_ascii_uppercase());
    memchr::memchr2_iter(lower, upper, text).any(|at| {
        let start = at.checked_sub(behind);
        let here = start.and_then(|start| text.get(start..start + part.len()));
        here.is_some_and(|here| here.eq_ignore_ascii_case(part))
    })
}

/// Bytes that texts are full of, the most frequent ones first.
const COMMON: &[u8; 20] = b" etaoinsrhldcumpfgwy";

impl<'s> Issues<'s> {
    pub(super) fn of(repo: Repo<'s>) -> Self {
        Self {
            repo,
            terms: Vec::new(),
            rows: None,
        }
    }

    pub(in crate::corpus) fn with_terms(mut self, terms: &[Term]) -> Self {
        self.terms.extend_from_slice(terms);
        self
    }

    fn only(self, test: Test) -> Self {
        self.term(false, test)
    }

    fn term(mut self, not: bool, test: Test) -> Self {
        self.terms.push(Term { not, test });
        self
    }

    /// Only those that exist and are open.
    #[must_use]
    pub fn open(self) -> Self {
        self.only(Test::Open)
    }

    /// Only those that exist and are closed.
    #[must_use]
    pub fn closed(self) -> Self {
        self.only(Test::Closed)
    }

    /// Only pull requests.
    #[must_use]
    pub fn pull_requests(self) -> Self {
        self.only(Test::PullRequest)
    }

    /// No pull requests.
    #[must_use]
    pub fn without_pull_requests(self) -> Self {
        self.term(true, Test::PullRequest)
    }

    /// Only those with a label of this name, in whatever case.
    #[must_use]
    pub fn label(self, name: &str) -> Self {
        self.only(Test::Label(vec![name.to_owned()]))
    }

    /// Only those without a label of this name, in whatever case.
    #[must_use]
    pub fn without_label(self, name: &str) -> Self {
        self.term(true, Test::Label(vec![name.to_owned()]))
    }

    /// Only those in a milestone of this title, in whatever case.
    #[must_use]
    pub fn milestone(self, title: &str) -> Self {
        self.only(Test::Milestone(title.to_owned()))
    }

    /// Only those that are in no milestone.
    #[must_use]
    pub fn without_milestone(self) -> Self {
        self.term(true, Test::HasMilestone)
    }

    /// Only those that this user opened. Logins are the same in any case.
    #[must_use]
    pub fn author(self, login: &str) -> Self {
        self.only(Test::Author(login.to_owned()))
    }

    /// Only those that are assigned to this user, perhaps among others.
    #[must_use]
    pub fn assignee(self, login: &str) -> Self {
        self.only(Test::Assignee(login.to_owned()))
    }

    /// Only those that changed at this time or later, as GitHub has it.
    #[must_use]
    pub fn updated_since(self, time: Timestamp) -> Self {
        self.only(Test::Updated(Range {
            from: Some(time),
            to: None,
        }))
    }

    /// Only those that were opened at this time or later.
    #[must_use]
    pub fn created_since(self, time: Timestamp) -> Self {
        self.only(Test::Created(Range {
            from: Some(time),
            to: None,
        }))
    }

    /// The shortest list that has all that are asked for.
    fn shortest(&self) -> List {
        let tests = self.terms.iter().filter(|term| !term.not);
        let lists = tests.filter_map(|term| match &term.test {
            Test::Open => Some(self.repo.open_list()),
            Test::Label(names) => self.list_of_label(names),
            _ => None,
        });
        let all = std::iter::once(self.repo.issue_list());
        let shortest = all.chain(lists).min_by_key(|list| list.len());
        shortest.unwrap_or_default()
    }

    /// The issues with one of these labels, if no more than one of the repository's is meant.
    fn list_of_label(&self, names: &[String]) -> Option<List> {
        let [name] = names else {
            return None;
        };
        let mut labels = self.repo.labels();
        let mut labels = labels
            .by_ref()
            .filter(|label| label.name().eq_ignore_ascii_case(name));
        let list = labels.next().map(|label| label.issue_list());
        match labels.next() {
            Some(_) => None,
            None => Some(list.unwrap_or_default()),
        }
    }

    fn step(
        &mut self,
        next: impl Fn(&mut dyn DoubleEndedIterator<Item = &'s u32>) -> Option<&'s u32>,
    ) -> Option<Issue<'s>> {
        if self.rows.is_none() {
            let list = self.shortest();
            self.rows = Some(Box::new(self.repo.state().lists.iter(list)));
        }
        let rows = self.rows.as_mut()?;
        loop {
            let issue = Issue::at(self.repo.state(), *next(rows.as_mut())?);
            let issue = issue.filter(|&issue| self.terms.iter().all(|term| term.holds(issue)));
            if issue.is_some() {
                return issue;
            }
        }
    }
}

impl<'s> Iterator for Issues<'s> {
    type Item = Issue<'s>;

    fn next(&mut self) -> Option<Issue<'s>> {
        self.step(|rows| rows.next())
    }
}

impl DoubleEndedIterator for Issues<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(|rows| rows.next_back())
    }
}

impl fmt::Debug for Issues<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issues")
            .field("repo", &self.repo)
            .field("terms", &self.terms)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::contains;

    proptest::proptest! {
        #[test]
        fn a_part_is_found_in_whatever_case(text in "[a-cA-Cxé ]{0,12}", part in "[a-cA-Cxé ]{0,4}") {
            let expected = text.to_ascii_lowercase().contains(&part.to_ascii_lowercase());
            proptest::prop_assert_eq!(contains(&text, &part), expected);
        }
    }
}
