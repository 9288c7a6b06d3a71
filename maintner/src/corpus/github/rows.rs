//! The rows of what GitHub has. Small, of a fixed size; text is where it was read.

use crate::store::{List, Span, Symbol, Timestamp, row};

/// The number of no row.
pub(super) const NONE: u32 = u32::MAX;

row! {
    #[derive(Debug)]
    pub(super) struct RepoRow {
        pub(super) owner: Symbol,
        pub(super) name: Symbol,
        /// Rows of its issues by number; of the next two by id.
        pub(super) issues: List,
        pub(super) labels: List,
        pub(super) milestones: List,
        /// Those of the issues that exist and are open.
        pub(super) open: List,
    }
}

row! {
    #[derive(Debug)]
    pub(super) struct UserRow {
        pub(super) id: i64,
        /// Of nothing as long as only the id is known.
        pub(super) login: Span,
    }
}

row! {
    #[derive(Debug)]
    pub(super) struct TeamRow {
        pub(super) id: i64,
        pub(super) slug: Span,
    }
}

row! {
    #[derive(Debug)]
    pub(super) struct LabelRow {
        pub(super) id: i64,
        pub(super) repo: u32,
        pub(super) name: Span,
        /// Rows of the issues that have it, by number.
        pub(super) issues: List,
    }
}

row! {
    #[derive(Debug)]
    pub(super) struct MilestoneRow {
        pub(super) id: i64,
        pub(super) number: i64,
        pub(super) repo: u32,
        pub(super) title: Span,
        pub(super) closed: bool,
    }
}

row! {
    #[derive(Debug)]
    pub(super) struct IssueRow {
        /// 0 if nobody told.
        pub(super) id: i64,
        pub(super) repo: u32,
        pub(super) number: i32,
        pub(super) not_exist: bool,
        pub(super) closed: bool,
        pub(super) locked: bool,
        pub(super) pull_request: bool,
        /// Whether it is known which milestone it has, if any.
        pub(super) milestone_known: bool,
        pub(super) author: u32,
        pub(super) closed_by: u32,
        pub(super) milestone: u32,
        pub(super) title: Span,
        pub(super) body: Span,
        pub(super) created: Option<Timestamp>,
        pub(super) updated: Option<Timestamp>,
        pub(super) closed_at: Option<Timestamp>,
        /// Times of the newest event and the newest review.
        pub(super) newest_event: Option<Timestamp>,
        pub(super) newest_review: Option<Timestamp>,
        /// What was complete as of when.
        pub(super) comments_synced: Option<Timestamp>,
        pub(super) events_synced: Option<Timestamp>,
        pub(super) reviews_synced: Option<Timestamp>,
        /// Rows of users, in order.
        pub(super) assignees: List,
        /// Rows of labels, by id.
        pub(super) labels: List,
        /// Rows by time and id, likewise the next two.
        pub(super) comments: List,
        pub(super) events: List,
        pub(super) reviews: List,
    }
}

impl IssueRow {
    pub(super) fn new(repo: u32, number: i32) -> Self {
        Self {
            id: 0,
            repo,
            number,
            not_exist: false,
            closed: false,
            locked: false,
            pull_request: false,
            milestone_known: false,
            author: NONE,
            closed_by: NONE,
            milestone: NONE,
            title: Span::EMPTY,
            body: Span::EMPTY,
            created: None,
            updated: None,
            closed_at: None,
            newest_event: None,
            newest_review: None,
            comments_synced: None,
            events_synced: None,
            reviews_synced: None,
            assignees: List::default(),
            labels: List::default(),
            comments: List::default(),
            events: List::default(),
            reviews: List::default(),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        !self.closed && !self.not_exist
    }
}

row! {
    #[derive(Debug)]
    pub(super) struct CommentRow {
        pub(super) id: i64,
        pub(super) issue: u32,
        pub(super) user: u32,
        pub(super) body: Span,
        pub(super) created: Option<Timestamp>,
        pub(super) updated: Option<Timestamp>,
    }
}

row! {
    /// All that is not here is read from the message when it is asked for.
    #[derive(Debug)]
    pub(super) struct EventRow {
        pub(super) id: i64,
        pub(super) issue: u32,
        pub(super) actor: u32,
        pub(super) kind: Symbol,
        pub(super) created: Option<Timestamp>,
        pub(super) message: Span,
    }
}

row! {
    /// All that is not here is read from the message when it is asked for.
    #[derive(Debug)]
    pub(super) struct ReviewRow {
        pub(super) id: i64,
        pub(super) issue: u32,
        pub(super) actor: u32,
        pub(super) created: Option<Timestamp>,
        pub(super) message: Span,
    }
}
