//! Where work comes from.

mod archive;
mod command;
mod git;
mod tree;
mod wanted;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::store::NewWork;

pub use git::{GitConfig, GitSource};
pub use wanted::{CONFIG_BUILDER, ConfigFrom};

/// A source of commits to build, and of their trees.
///
/// A source is asked again and again what there is (level-triggered): it may repeat itself, and hints only make it be asked
/// sooner.
#[async_trait]
pub trait WorkSource: fmt::Debug + Send + Sync + 'static {
    /// Unique name, under which its position is stored.
    fn name(&self) -> &str;

    /// How long to wait between two looks.
    fn interval(&self) -> Duration;

    /// What there is beyond `cursor`, the position of the last answer that was recorded; `None` if nothing changed.
    async fn poll(&self, cursor: Option<&str>) -> Result<Option<NewWork>, SourceError>;

    /// The tree of a commit as a `.tar.gz` file, which stays for some minutes at least: open it at once.
    async fn archive(&self, commit: &str) -> Result<Archive, SourceError>;
}

/// A commit's tree, packed.
#[derive(Debug, Clone)]
pub struct Archive {
    /// A gzip-compressed tar file.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
}

/// Why a source could not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The git command could not be run at all.
    #[error("git cannot be run: is it installed?")]
    NoGit(#[source] io::Error),
    /// The git command ran and failed.
    #[error("git {command} failed: {stderr}")]
    Git {
        /// Its subcommand.
        command: String,
        /// What it said, shortened.
        stderr: String,
    },
    /// The git command took too long and was stopped.
    #[error("git {command} did not finish within {seconds} s")]
    TimedOut {
        /// Its subcommand.
        command: String,
        /// The limit.
        seconds: u64,
    },
    /// The git command wrote more than we are prepared to read.
    #[error("git {command} wrote more than {limit} bytes")]
    TooMuch {
        /// Its subcommand.
        command: String,
        /// The limit.
        limit: u64,
    },
    /// The git command wrote something else than it documents.
    #[error("git wrote something unexpected: {0}")]
    Unexpected(String),
    /// Another caller asked for the same thing at the same time and got this.
    #[error(transparent)]
    Shared(Arc<Self>),
    /// The disk failed.
    #[error("source cache failed")]
    Io(#[from] io::Error),
}

impl SourceError {
    /// Whether it was this machine that failed: its disk, its git, not the repository or the commit.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        match self {
            Self::Shared(error) => error.is_ours(),
            Self::NoGit(_) | Self::Io(_) => true,
            _ => false,
        }
    }
}
