//! What happens on GitHub.

use prost_types::Timestamp;

use super::{dice::Dice, words::Words};
use crate::proto::{
    BoolChange, GithubIssueCommentMutation, GithubIssueEvent, GithubIssueMutation,
    GithubIssueSyncStatus, GithubLabel, GithubMilestone, GithubMutation, GithubReview, GithubUser,
    Mutation, StringChange,
};

pub(super) const REPOS: [(&str, &str); 4] = [
    ("example", "compiler"),
    ("example", "tools"),
    ("example", "website"),
    ("other-org", "fork.of"),
];

const LABELS: [&str; 12] = [
    "NeedsFix",
    "NeedsInvestigation",
    "help wanted",
    "Documentation",
    "Performance",
    "OS-Windows",
    "release-blocker",
    "Proposal",
    "Testing",
    "FrozenDueToAge",
    "Security",
    "early-in-cycle",
];

/// People who take part.
pub(super) const PEOPLE: usize = 2000;

#[derive(Debug, Clone, Default)]
pub(super) struct Forge {
    repos: [Repo; REPOS.len()],
    next_id: i64,
}

#[derive(Debug, Clone, Default)]
struct Repo {
    issues: Vec<Issue>,
    introduced: bool,
}

#[derive(Debug, Clone, Copy)]
struct Issue {
    closed: bool,
    pull_request: bool,
    events: i64,
}

pub(super) fn time(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos: 0 })
}

fn user(dice: &mut Dice) -> GithubUser {
    let id = dice.few(PEOPLE) as i64;
    GithubUser {
        id: 1000 + id,
        login: format!("gopher{id}"),
    }
}

fn label(number: usize) -> GithubLabel {
    GithubLabel {
        id: 5000 + number as i64,
        name: LABELS[number].to_owned(),
    }
}

fn wrap(repo: usize, number: usize, now: i64, issue: GithubIssueMutation) -> Mutation {
    let (owner, name) = REPOS[repo];
    Mutation {
        github_issue: Some(GithubIssueMutation {
            owner: owner.to_owned(),
            repo: name.to_owned(),
            number: number as i32,
            updated: issue.updated.or_else(|| time(now)),
            ..issue
        }),
        ..Mutation::default()
    }
}

impl Forge {
    fn id(&mut self) -> i64 {
        self.next_id += 3;
        100_000 + self.next_id
    }

    /// Issues of the first repository: what others mention.
    pub(super) fn issues(&self) -> usize {
        self.repos[0].issues.len()
    }

    /// A new issue; before the first of a repository, its labels and milestones.
    pub(super) fn open(&mut self, dice: &mut Dice, words: &Words, now: i64) -> Vec<Mutation> {
        let at = dice.few(REPOS.len());
        let mut mutations = Vec::new();
        if !std::mem::replace(&mut self.repos[at].introduced, true) {
            let (owner, repo) = REPOS[at];
            let milestone = |number: i64| GithubMilestone {
                id: 7000 + number,
                title: format!("v1.{number}"),
                closed: Some(BoolChange { val: number < 3 }),
                number,
            };
            mutations.push(Mutation {
                github: Some(GithubMutation {
                    owner: owner.to_owned(),
                    repo: repo.to_owned(),
                    labels: (0..LABELS.len()).map(label).collect(),
                    milestones: (1..6).map(milestone).collect(),
                }),
                ..Mutation::default()
            });
        }
        // GitHub knows no issue with some of the numbers.
        if dice.one_in(200) {
            self.repos[at].issues.push(Issue {
                closed: true,
                pull_request: false,
                events: 0,
            });
            let issue = GithubIssueMutation {
                not_exist: true,
                ..GithubIssueMutation::default()
            };
            let mut gone = wrap(at, self.repos[at].issues.len(), now, issue);
            if let Some(issue) = &mut gone.github_issue {
                issue.updated = None;
            }
            mutations.push(gone);
        }
        let pull_request = dice.one_in(8);
        let title_len = 20 + dice.below(60);
        let body_len = dice.about(1300);
        let issue = GithubIssueMutation {
            id: self.id(),
            user: Some(user(dice)),
            created: time(now),
            title: words.line(dice, title_len).to_owned(),
            body_change: Some(StringChange {
                val: words.text(dice, body_len, self.issues()),
            }),
            closed: Some(BoolChange { val: false }),
            no_milestone: true,
            pull_request,
            add_label: if dice.one_in(2) {
                vec![label(dice.few(LABELS.len()))]
            } else {
                vec![]
            },
            ..GithubIssueMutation::default()
        };
        self.repos[at].issues.push(Issue {
            closed: false,
            pull_request,
            events: 0,
        });
        mutations.push(wrap(at, self.repos[at].issues.len(), now, issue));
        mutations
    }

    /// An issue that exists, recent ones more often.
    fn some_issue(&self, dice: &mut Dice) -> Option<(usize, usize)> {
        let at = dice.few(REPOS.len());
        let count = self.repos[at].issues.len();
        (count > 0).then(|| (at, count - dice.few(count)))
    }

    pub(super) fn comment(&mut self, dice: &mut Dice, words: &Words, now: i64) -> Option<Mutation> {
        let (at, number) = self.some_issue(dice)?;
        let len = dice.about(485);
        let comment = GithubIssueCommentMutation {
            id: self.id(),
            user: Some(user(dice)),
            body: words.text(dice, len, self.issues()),
            created: time(now),
            updated: time(now),
        };
        let issue = GithubIssueMutation {
            comment: vec![comment],
            comment_status: Some(GithubIssueSyncStatus {
                server_date: time(now + 1),
            }),
            ..GithubIssueMutation::default()
        };
        Some(wrap(at, number, now, issue))
    }

    /// Some events of an issue, and reviews if it is a pull request.
    pub(super) fn events(&mut self, dice: &mut Dice, words: &Words, now: i64) -> Option<Mutation> {
        let (at, number) = self.some_issue(dice)?;
        let count = 1 + dice.few(2);
        let mut event = Vec::with_capacity(count);
        for _ in 0..count {
            let number = dice.below(LABELS.len());
            let mut new = GithubIssueEvent {
                id: self.id(),
                actor_id: user(dice).id,
                created: time(now),
                ..GithubIssueEvent::default()
            };
            match dice.below(8) {
                0 => {
                    new.event_type = "renamed".to_owned();
                    new.rename_from = words.line(dice, 20).to_owned();
                    new.rename_to = words.line(dice, 20).to_owned();
                }
                1 => {
                    new.event_type = "assigned".to_owned();
                    new.assignee_id = user(dice).id;
                    new.assigner_id = new.actor_id;
                }
                2 => new.event_type = "mentioned".to_owned(),
                3 => {
                    new.event_type = "subscribed".to_owned();
                    new.other_json = b"{\"performed_via_app\":true}".to_vec();
                }
                _ => {
                    new.event_type = "labeled".to_owned();
                    new.label = Some(GithubLabel {
                        id: 0,
                        ..label(number)
                    });
                }
            }
            event.push(new);
        }
        let status = Some(GithubIssueSyncStatus {
            server_date: time(now + 1),
        });
        let issue = &mut self.repos[at].issues[number - 1];
        issue.events += count as i64;
        let pull_request = issue.pull_request;
        let review = if pull_request && dice.one_in(3) {
            vec![GithubReview {
                id: self.id(),
                actor_id: user(dice).id,
                created: time(now),
                body: words.line(dice, 60).to_owned(),
                state: "APPROVED".to_owned(),
                commit_id: format!("{:040x}", dice.next()),
                actor_association: "MEMBER".to_owned(),
                other_json: vec![],
            }]
        } else {
            vec![]
        };
        let issue = GithubIssueMutation {
            event,
            event_status: status,
            review_status: status.filter(|_| pull_request),
            review,
            ..GithubIssueMutation::default()
        };
        Some(wrap(at, number, now, issue))
    }

    /// A change of an issue itself.
    pub(super) fn update(&mut self, dice: &mut Dice, words: &Words, now: i64) -> Option<Mutation> {
        let (at, number) = self.some_issue(dice)?;
        let was = &mut self.repos[at].issues[number - 1];
        let mut issue = GithubIssueMutation::default();
        match dice.below(12) {
            0..4 => {
                was.closed = !was.closed;
                issue.closed = Some(BoolChange { val: was.closed });
                issue.closed_at = time(now).filter(|_| was.closed);
            }
            4 | 5 => issue.add_label = vec![label(dice.below(LABELS.len()))],
            6 => issue.remove_label = vec![5000 + dice.below(LABELS.len()) as i64],
            7 => {
                let number = 1 + dice.below(5) as i64;
                issue.milestone_id = 7000 + number;
                issue.milestone_num = number;
                issue.milestone_title = format!("v1.{number}");
            }
            8 => issue.no_milestone = true,
            9 => {
                issue.assignees = vec![user(dice)];
                issue.deleted_assignees = vec![user(dice).id];
            }
            10 => issue.title = words.line(dice, 40).to_owned(),
            _ => {
                let len = dice.about(900);
                issue.body_change = Some(StringChange {
                    val: words.text(dice, len, 0),
                });
            }
        }
        if dice.one_in(500) {
            issue.locked = Some(BoolChange { val: true });
        }
        Some(wrap(at, number, now, issue))
    }
}
