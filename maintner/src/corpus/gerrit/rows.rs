//! What is stored of Gerrit: rows of numbers, which name commits, symbols and other rows.

use crate::{
    corpus::commits::NONE,
    store::{Span, Symbol, row},
};

row! {
    #[derive(Debug)]
    pub(super) struct ProjectRow {
        /// Host, slash, path.
        pub(super) name: Symbol,
        /// Meta commits of its changes that touch labels.
        pub(super) label_changes: u64,
        /// The newest of its refs and of its changes, the first of two chains.
        pub(super) newest_ref: u32,
        pub(super) newest_change: u32,
    }
}

row! {
    /// A ref that belongs to no change.
    #[derive(Debug)]
    pub(super) struct RefRow {
        pub(super) project: u32,
        pub(super) name: Symbol,
        /// [`NONE`] once it was deleted.
        pub(super) commit: u32,
        pub(super) older: u32,
    }
}

row! {
    #[derive(Debug)]
    pub(super) struct ChangeRow {
        pub(super) project: u32,
        pub(super) number: i32,
        /// The highest patch set, or the one last seen.
        pub(super) version: i32,
        /// The patch set that a meta commit says is current; 0 if none does.
        pub(super) current: i32,
        /// The patch set of `version`.
        pub(super) commit: u32,
        /// Where the meta ref points.
        pub(super) meta_ref: u32,
        /// The newest meta commit all of whose ancestors are known.
        pub(super) meta: u32,
        pub(super) first_meta: u32,
        /// A [`Status`](crate::parse::notedb::Status) as [`Facts`](crate::parse::Facts) has it; 0 if
        /// none was set.
        pub(super) status: u8,
        pub(super) private: bool,
        pub(super) was_private: bool,
        pub(super) work_in_progress: bool,
        /// The meta commits that say branch, topic and current patch set.
        pub(super) branch_from: u32,
        pub(super) topic_from: u32,
        pub(super) current_from: u32,
        pub(super) branch: Option<Symbol>,
        pub(super) topic: Option<Symbol>,
        /// The author of patch set 1.
        pub(super) owner: Option<Symbol>,
        /// Times of the first and of the newest meta commit.
        pub(super) created: i64,
        pub(super) updated: i64,
        pub(super) newest_patch_set: u32,
        pub(super) older: u32,
    }
}

impl ChangeRow {
    pub(super) fn new(project: u32, number: i32, older: u32) -> Self {
        Self {
            project,
            number,
            version: 0,
            current: 0,
            commit: NONE,
            meta_ref: NONE,
            meta: NONE,
            first_meta: NONE,
            status: 0,
            private: false,
            was_private: false,
            work_in_progress: false,
            branch_from: NONE,
            topic_from: NONE,
            current_from: NONE,
            branch: None,
            topic: None,
            owner: None,
            created: 0,
            updated: 0,
            newest_patch_set: NONE,
            older,
        }
    }

    /// Whether it has all that readers take for granted.
    pub(super) fn is_complete(&self) -> bool {
        self.meta != NONE && self.commit != NONE
    }
}

row! {
    /// A ref of a change pointed to a commit. Those that came later count.
    #[derive(Debug)]
    pub(super) struct PatchSetRow {
        pub(super) change: u32,
        pub(super) version: i32,
        pub(super) commit: u32,
        /// The one before it of the same change.
        pub(super) older: u32,
        /// The one before it of the same commit.
        pub(super) same_commit: u32,
    }
}

row! {
    /// A commit that was a patch set once.
    #[derive(Debug)]
    pub(super) struct ReviewedRow {
        pub(super) commit: u32,
        pub(super) newest_patch_set: u32,
        /// What its message mentions: rows one behind the other.
        pub(super) first_mention: u32,
        pub(super) mentions: u32,
    }
}

row! {
    /// A repository that a message mentions.
    #[derive(Debug)]
    pub(super) struct RepoRow {
        /// As first written.
        pub(super) owner: Span,
        pub(super) name: Span,
    }
}

row! {
    /// An issue that a message mentions.
    #[derive(Debug)]
    pub(super) struct IssueRow {
        /// [`NONE`]: that which belongs to the project.
        pub(super) repo: u32,
        pub(super) number: i32,
        pub(super) newest_mention: u32,
    }
}

row! {
    #[derive(Debug)]
    pub(super) struct MentionRow {
        pub(super) issue: u32,
        pub(super) reviewed: u32,
        /// The one before it of the same issue.
        pub(super) older: u32,
    }
}

row! {
    /// A change that readers see is not as it was.
    #[derive(Debug)]
    pub(in crate::corpus) struct StepRow {
        pub(in crate::corpus) change: u32,
        /// The newest meta commit before; [`NONE`]: there was no change to see.
        pub(in crate::corpus) before: u32,
        /// The newest meta commit since; [`NONE`]: it is the patch sets that are others.
        pub(in crate::corpus) after: u32,
        /// The words of the log that made it so.
        pub(in crate::corpus) place: Place,
    }
}

row! {
    /// A segment, and an offset in it.
    #[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
    pub(in crate::corpus) struct Place {
        segment: u32,
        at: u32,
    }
}

impl Place {
    pub(in crate::corpus) fn of(span: Span) -> Self {
        let [segment, at, _] = span.parts();
        Self { segment, at }
    }

    /// Whether it is at this offset of a segment, or behind it.
    pub(in crate::corpus) fn is_from(self, segment: u32, offset: u64) -> bool {
        (self.segment, u64::from(self.at)) >= (segment, offset)
    }
}
