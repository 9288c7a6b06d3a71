//! The messages in a log's records: what happened.
//!
//! The schema is `proto/maintpb.proto`, field for field that of the original
//! (`golang.org/x/build/maintner/maintpb`). Two forms of each message:
//!
//! * owned, for those who write: [`Mutation`] and its parts, with [`prost::Message`];
//! * borrowed, for those who read much: [`view`].
//!
//! Neither keeps fields it does not know. Pass on the bytes of a record, not a message made anew
//! from them.
//!
//! ```
//! use maintner::proto::{GithubIssueMutation, Mutation, view::{self, View}};
//! use prost::Message;
//!
//! let issue = GithubIssueMutation {
//!     owner: "golang".into(),
//!     repo: "go".into(),
//!     number: 3,
//!     remove_label: vec![1, 300],
//!     ..Default::default()
//! };
//! let bytes = Mutation { github_issue: Some(issue), ..Default::default() }.encode_to_vec();
//!
//! let mutation = view::Mutation::decode(&bytes)?;
//! let issue = mutation.github_issue.unwrap_or_default();
//! assert_eq!((issue.owner.as_str(), issue.number), ("golang", 3));
//! assert!(issue.remove_label.eq([1, 300]));
//! # Ok::<(), maintner::proto::wire::DecodeError>(())
//! ```

#[rustfmt::skip]
#[expect(missing_docs, reason = "generated; the schema says what needs saying")]
mod maintpb;
mod text;
pub mod view;
pub mod wire;

pub use maintpb::*;
pub use text::Text;

/// The schema of the messages: the text of `maintpb.proto`, for programs that show what they do not
/// know.
pub const SCHEMA: &str = include_str!("../../proto/maintpb.proto");
