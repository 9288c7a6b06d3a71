//! Messages that borrow the bytes they were read from.
//!
//! One for each message of the schema, with the same fields: text is [`Text`], messages are
//! `Option`, what repeats is an iterator. Reading one allocates nothing. Unknown fields are
//! skipped; the bytes themselves are what is passed on.

use std::marker::PhantomData;

use super::{
    Text,
    wire::{BYTES, DecodeError, Fields, VARINT, Value},
};

/// A message that can be read from bytes without copying them.
pub trait View<'a>: Sized + Default {
    /// Reads a message into this one, which has nothing yet: large ones need not be moved.
    fn read(&mut self, bytes: &'a [u8]) -> Result<(), DecodeError>;

    /// Reads a message.
    #[inline]
    fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut message = Self::default();
        message.read(bytes)?;
        Ok(message)
    }
}

/// A value that a field can hold.
trait Slot<'a> {
    /// Takes in one occurrence of the field: its value is what `fields` has next. `whole` is the
    /// message that it is part of.
    fn put(
        &mut self,
        number: u32,
        kind: u8,
        fields: &mut Fields<'a>,
        whole: &'a [u8],
    ) -> Result<(), DecodeError>;
}

macro_rules! integers {
    ($($int:ty),*) => {$(
        impl<'a> Slot<'a> for $int {
            #[inline]
            fn put(&mut self, number: u32, kind: u8, fields: &mut Fields<'a>, _: &'a [u8]) -> Result<(), DecodeError> {
                if kind != VARINT {
                    return fields.mismatch(number, kind);
                }
                *self = fields.varint()? as Self;
                Ok(())
            }
        }
    )*};
}

integers!(i32, i64);

impl<'a> Slot<'a> for bool {
    fn put(
        &mut self,
        number: u32,
        kind: u8,
        fields: &mut Fields<'a>,
        _: &'a [u8],
    ) -> Result<(), DecodeError> {
        if kind != VARINT {
            return fields.mismatch(number, kind);
        }
        *self = fields.varint()? != 0;
        Ok(())
    }
}

impl<'a> Slot<'a> for &'a [u8] {
    #[inline]
    fn put(
        &mut self,
        number: u32,
        kind: u8,
        fields: &mut Fields<'a>,
        _: &'a [u8],
    ) -> Result<(), DecodeError> {
        if kind != BYTES {
            return fields.mismatch(number, kind);
        }
        let bytes = fields.bytes()?;
        *self = bytes;
        Ok(())
    }
}

impl<'a> Slot<'a> for Text<'a> {
    #[inline]
    fn put(
        &mut self,
        number: u32,
        kind: u8,
        fields: &mut Fields<'a>,
        _: &'a [u8],
    ) -> Result<(), DecodeError> {
        if kind != BYTES {
            return fields.mismatch(number, kind);
        }
        let bytes = fields.bytes()?;
        *self = Text::new(bytes).ok_or(DecodeError::Utf8(number))?;
        Ok(())
    }
}

impl<'a, V: View<'a>> Slot<'a> for Option<V> {
    #[inline]
    fn put(
        &mut self,
        number: u32,
        kind: u8,
        fields: &mut Fields<'a>,
        _: &'a [u8],
    ) -> Result<(), DecodeError> {
        if kind != BYTES {
            return fields.mismatch(number, kind);
        }
        let bytes = fields.bytes()?;
        if self.is_some() {
            return Err(DecodeError::Twice(number));
        }
        self.insert(V::default()).read(bytes)
    }
}

/// What an element of a repeated field is made of.
pub trait Element<'a>: Sized {
    /// Reads one element of field `number`.
    fn read(number: u32, bytes: &'a [u8]) -> Result<Self, DecodeError>;
}

impl<'a> Element<'a> for Text<'a> {
    fn read(number: u32, bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Text::new(bytes).ok_or(DecodeError::Utf8(number))
    }
}

impl<'a> Element<'a> for &'a [u8] {
    fn read(_: u32, bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(bytes)
    }
}

/// The elements of a field that repeats, read while iterating: nothing before is checked but their
/// wire type.
#[derive(Debug, Clone, Copy)]
pub struct Repeated<'a, T> {
    fields: Fields<'a>,
    number: u32,
    left: usize,
    element: PhantomData<fn() -> T>,
}

impl<'a, T> Repeated<'a, T> {
    /// The elements as they stand in the message, for those who keep their place.
    pub fn bytes(self) -> Repeated<'a, &'a [u8]> {
        Repeated {
            fields: self.fields,
            number: self.number,
            left: self.left,
            element: PhantomData,
        }
    }
}

impl<T> Default for Repeated<'_, T> {
    fn default() -> Self {
        Self {
            fields: Fields::new(&[]),
            number: 0,
            left: 0,
            element: PhantomData,
        }
    }
}

impl<'a, T> Repeated<'a, T> {
    /// The message that the elements not yet read are part of; nothing if there are none.
    pub(crate) fn message(&self) -> &'a [u8] {
        self.fields.rest()
    }

    /// The bytes of the next element; there is one.
    fn next_bytes(&mut self) -> Option<&'a [u8]> {
        // All of it was walked over before: only elements themselves can be wrong.
        while let Ok((number, kind)) = self.fields.key() {
            if (number, kind) == (self.number, BYTES) {
                self.left -= 1;
                return self.fields.bytes().ok();
            }
            if self.fields.skip(number, kind).is_err() {
                break;
            }
        }
        self.left = 0;
        None
    }
}

impl<'a, T> Slot<'a> for Repeated<'a, T> {
    #[inline]
    fn put(
        &mut self,
        number: u32,
        kind: u8,
        fields: &mut Fields<'a>,
        whole: &'a [u8],
    ) -> Result<(), DecodeError> {
        if kind != BYTES {
            return fields.mismatch(number, kind);
        }
        fields.bytes()?;
        if self.left == 0 {
            self.fields = Fields::new(whole);
            self.number = number;
        }
        self.left += 1;
        Ok(())
    }
}

impl<'a, T: Element<'a>> Iterator for Repeated<'a, T> {
    type Item = Result<T, DecodeError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let bytes = self.next_bytes()?;
        Some(T::read(self.number, bytes))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<'a, T: Element<'a>> ExactSizeIterator for Repeated<'a, T> {}

/// Integers of a field that repeats, packed or not.
#[derive(Debug, Clone, Copy, Default)]
pub struct Integers<'a> {
    fields: Option<Fields<'a>>,
    number: u32,
    packed: Option<Fields<'a>>,
}

impl<'a> Slot<'a> for Integers<'a> {
    fn put(
        &mut self,
        number: u32,
        kind: u8,
        fields: &mut Fields<'a>,
        whole: &'a [u8],
    ) -> Result<(), DecodeError> {
        match kind {
            VARINT => drop(fields.varint()?),
            BYTES => {
                let mut packed = Fields::new(fields.bytes()?);
                while !packed.is_empty() {
                    packed.varint()?;
                }
            }
            _ => return fields.mismatch(number, kind),
        }
        if self.fields.is_none() {
            self.fields = Some(Fields::new(whole));
            self.number = number;
        }
        Ok(())
    }
}

impl Iterator for Integers<'_> {
    type Item = i64;

    fn next(&mut self) -> Option<i64> {
        loop {
            if let Some(packed) = &mut self.packed
                && !packed.is_empty()
            {
                return packed.varint().ok().map(|value| value as i64);
            }
            match self.fields.as_mut()?.next() {
                Ok(Some((number, value))) if number == self.number => match value {
                    Value::Varint(value) => return Some(value as i64),
                    Value::Bytes(packed) => self.packed = Some(Fields::new(packed)),
                    _ => {}
                },
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => self.fields = None,
            }
        }
    }
}

macro_rules! views {
    ($(
        $(#[$doc:meta])*
        $name:ident { $( $(#[$field_doc:meta])* $field:ident: $type:ty = $number:literal, )* }
    )*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default)]
        #[non_exhaustive]
        pub struct $name<'a> {
            $( $(#[$field_doc])* pub $field: $type, )*
            /// Messages without text borrow as well.
            #[doc(hidden)]
            pub borrows: PhantomData<&'a [u8]>,
        }

        impl<'a> View<'a> for $name<'a> {
            fn read(&mut self, bytes: &'a [u8]) -> Result<(), DecodeError> {
                let mut fields = Fields::new(bytes);
                while !fields.is_empty() {
                    let (number, kind) = fields.key()?;
                    match number {
                        $( $number => self.$field.put(number, kind, &mut fields, bytes)?, )*
                        _ => fields.skip(number, kind)?,
                    }
                }
                Ok(())
            }
        }

        impl<'a> Element<'a> for $name<'a> {
            fn read(_: u32, bytes: &'a [u8]) -> Result<Self, DecodeError> {
                Self::decode(bytes)
            }
        }
    )*};
}

views! {
    /// One thing that happened.
    Mutation {
        /// Something about an issue or a pull request.
        github_issue: Option<GithubIssueMutation<'a>> = 1,
        /// A commit of a repository read directly from git.
        git: Option<GitMutation<'a>> = 2,
        /// Something about a repository on GitHub.
        github: Option<GithubMutation<'a>> = 3,
        /// Something about a project on Gerrit.
        gerrit: Option<GerritMutation<'a>> = 4,
    }

    /// What is known of a repository on GitHub apart from its issues.
    GithubMutation {
        /// The repository's owner.
        owner: Text<'a> = 1,
        /// The repository's name.
        repo: Text<'a> = 2,
        /// Labels to add or rename.
        labels: Repeated<'a, GithubLabel<'a>> = 3,
        /// Milestones to add or change.
        milestones: Repeated<'a, GithubMilestone<'a>> = 4,
    }

    /// What changed about an issue or a pull request.
    GithubIssueMutation {
        /// The repository's owner.
        owner: Text<'a> = 1,
        /// The repository's name.
        repo: Text<'a> = 2,
        /// The issue's number, never 0.
        number: i32 = 3,
        /// The author, when new or changed.
        user: Option<GithubUser<'a>> = 4,
        /// When it was opened; in the first mutation of an issue.
        created: Option<Timestamp<'a>> = 5,
        /// When it last changed.
        updated: Option<Timestamp<'a>> = 6,
        /// The text, as written before `body_change` existed. Empty: unchanged.
        body: Text<'a> = 7,
        /// Comments to add or change.
        comment: Repeated<'a, GithubIssueCommentMutation<'a>> = 8,
        /// The title. Empty: unchanged.
        title: Text<'a> = 9,
        /// Users to assign, or whose login changed.
        assignees: Repeated<'a, GithubUser<'a>> = 10,
        /// Ids of users to unassign.
        deleted_assignees: Integers<'a> = 11,
        /// The issue's id on all of GitHub, 0 if unknown.
        id: i64 = 12,
        /// GitHub says that there is no such issue.
        not_exist: bool = 13,
        /// Comments are complete as of its date.
        comment_status: Option<GithubIssueSyncStatus<'a>> = 14,
        /// Has no milestone any more.
        no_milestone: bool = 15,
        /// The milestone's id; 0: unchanged.
        milestone_id: i64 = 16,
        /// The milestone's number within its repository.
        milestone_num: i64 = 17,
        /// The milestone's title.
        milestone_title: Text<'a> = 18,
        /// Whether it is closed.
        closed: Option<BoolChange<'a>> = 19,
        /// When it was closed.
        closed_at: Option<Timestamp<'a>> = 21,
        /// Who closed it; practically never there.
        closed_by: Option<GithubUser<'a>> = 22,
        /// Ids of labels to remove.
        remove_label: Integers<'a> = 23,
        /// Labels to add.
        add_label: Repeated<'a, GithubLabel<'a>> = 24,
        /// Whether the conversation is locked.
        locked: Option<BoolChange<'a>> = 25,
        /// Events to add.
        event: Repeated<'a, GithubIssueEvent<'a>> = 26,
        /// Events are complete as of its date.
        event_status: Option<GithubIssueSyncStatus<'a>> = 27,
        /// Is a pull request. Never becomes false again.
        pull_request: bool = 28,
        /// Reviews to add.
        review: Repeated<'a, GithubReview<'a>> = 29,
        /// Reviews are complete as of its date.
        review_status: Option<GithubIssueSyncStatus<'a>> = 30,
        /// The new text; wins over `body`.
        body_change: Option<StringChange<'a>> = 31,
    }

    /// A truth that may have become false.
    BoolChange {
        /// What it is now.
        val: bool = 1,
    }

    /// A text that may have become empty.
    StringChange {
        /// What it is now.
        val: Text<'a> = 1,
    }

    /// A label.
    GithubLabel {
        /// Its id on all of GitHub.
        id: i64 = 1,
        /// Its name.
        name: Text<'a> = 2,
    }

    /// A milestone.
    GithubMilestone {
        /// Its id on all of GitHub, never 0.
        id: i64 = 1,
        /// Its title.
        title: Text<'a> = 2,
        /// Whether it is closed.
        closed: Option<BoolChange<'a>> = 3,
        /// Its number within its repository.
        number: i64 = 4,
    }

    /// Something that happened to an issue.
    GithubIssueEvent {
        /// Its id on all of GitHub, never 0.
        id: i64 = 1,
        /// `labeled`, `closed`, and so on.
        event_type: Text<'a> = 2,
        /// Who did it.
        actor_id: i64 = 3,
        /// When.
        created: Option<Timestamp<'a>> = 4,
        /// The label, usually without its id.
        label: Option<GithubLabel<'a>> = 5,
        /// The milestone, usually its title only.
        milestone: Option<GithubMilestone<'a>> = 6,
        /// Who was assigned.
        assignee_id: i64 = 7,
        /// Who assigned them.
        assigner_id: i64 = 8,
        /// The commit that closed or mentioned it.
        commit: Option<GithubCommit<'a>> = 9,
        /// What the event has besides, as a JSON object.
        other_json: &'a [u8] = 10,
        /// The old title.
        rename_from: Text<'a> = 11,
        /// The new title.
        rename_to: Text<'a> = 12,
        /// Who was asked for a review.
        reviewer_id: i64 = 13,
        /// Who asked.
        review_requester_id: i64 = 14,
        /// The review that was dismissed.
        dismissed_review: Option<GithubDismissedReviewEvent<'a>> = 15,
        /// The team that was asked for a review.
        team_reviewer: Option<GithubTeam<'a>> = 16,
    }

    /// The dismissal of a review.
    GithubDismissedReviewEvent {
        /// The review's id.
        review_id: i64 = 1,
        /// Why.
        dismissal_message: Text<'a> = 3,
        /// The review's state before.
        state: Text<'a> = 4,
    }

    /// A commit, named.
    GithubCommit {
        /// The repository's owner.
        owner: Text<'a> = 1,
        /// The repository's name.
        repo: Text<'a> = 2,
        /// 40 hex digits.
        commit_id: Text<'a> = 3,
    }

    /// A review of a pull request.
    GithubReview {
        /// Its id on all of GitHub, never 0.
        id: i64 = 1,
        /// Who reviewed.
        actor_id: i64 = 2,
        /// When.
        created: Option<Timestamp<'a>> = 3,
        /// The text.
        body: Text<'a> = 4,
        /// `APPROVED`, `COMMENTED`, and so on.
        state: Text<'a> = 5,
        /// The commit reviewed, 40 hex digits.
        commit_id: Text<'a> = 6,
        /// What the reviewer is to the repository.
        actor_association: Text<'a> = 7,
        /// What the review has besides, as a JSON object.
        other_json: &'a [u8] = 8,
    }

    /// How far a list is complete.
    GithubIssueSyncStatus {
        /// The `Date` of the answer that completed it.
        server_date: Option<Timestamp<'a>> = 1,
    }

    /// A comment to add or change.
    GithubIssueCommentMutation {
        /// Its id on all of GitHub, never 0.
        id: i64 = 1,
        /// The author.
        user: Option<GithubUser<'a>> = 2,
        /// The text. Empty: unchanged.
        body: Text<'a> = 3,
        /// When it was written.
        created: Option<Timestamp<'a>> = 4,
        /// When it last changed.
        updated: Option<Timestamp<'a>> = 5,
    }

    /// A user.
    GithubUser {
        /// Their id, which never changes.
        id: i64 = 1,
        /// Their name, which may.
        login: Text<'a> = 2,
    }

    /// A team.
    GithubTeam {
        /// Its id.
        id: i64 = 1,
        /// Its name in addresses.
        slug: Text<'a> = 2,
    }

    /// A commit of a repository read directly from git.
    GitMutation {
        /// The repository.
        repo: Option<GitRepo<'a>> = 1,
        /// The commit.
        commit: Option<GitCommit<'a>> = 2,
    }

    /// A repository of git.
    GitRepo {
        /// Its name.
        go_repo: Text<'a> = 1,
    }

    /// A commit.
    GitCommit {
        /// Its name, 40 lower-case hex digits.
        sha1: Text<'a> = 1,
        /// The commit object.
        raw: &'a [u8] = 2,
        /// The files that it changed.
        diff_tree: Option<GitDiffTree<'a>> = 3,
    }

    /// The files that a commit changed.
    GitDiffTree {
        /// Each of them.
        file: Repeated<'a, GitDiffTreeFile<'a>> = 1,
    }

    /// A file that a commit changed.
    GitDiffTreeFile {
        /// Its path.
        file: Text<'a> = 1,
        /// Lines added.
        added: i64 = 2,
        /// Lines deleted.
        deleted: i64 = 3,
        /// Whether lines mean nothing for it.
        binary: bool = 4,
    }

    /// What changed in a project on Gerrit.
    GerritMutation {
        /// The project: host, slash, path.
        project: Text<'a> = 1,
        /// Commits to add, before the refs that point to them.
        commits: Repeated<'a, GitCommit<'a>> = 2,
        /// Refs that are new or point elsewhere.
        refs: Repeated<'a, GitRef<'a>> = 3,
        /// Names of refs that are gone.
        deleted_refs: Repeated<'a, Text<'a>> = 4,
    }

    /// A ref and where it points.
    GitRef {
        /// Its name.
        reference: Text<'a> = 1,
        /// 40 lower-case hex digits.
        sha1: Text<'a> = 2,
    }

    /// A point in time (`google.protobuf.Timestamp`).
    Timestamp {
        /// Seconds since 1970, UTC.
        seconds: i64 = 1,
        /// And nanoseconds.
        nanos: i32 = 2,
    }
}
