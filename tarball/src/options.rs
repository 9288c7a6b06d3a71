//! What an archive may do, and what became of it.

use std::time::{Duration, SystemTime};

/// How much an archive may make of itself. Every value is inclusive.
///
/// The defaults fit source trees, toolchains and test data; a kernel tree passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the unpacked archive in all: content, headers, padding and what follows the end
    /// mark. Default 4 GiB.
    pub max_bytes: u64,
    /// Bytes of one file. Default 1 GiB.
    pub max_file_bytes: u64,
    /// Entries, global headers included, and directories that names only imply. Default 500,000.
    pub max_entries: u64,
    /// Components in a name. Each directory on the way to the current entry is held open, so this
    /// is also the number of descriptors one unpacking may use. Default 128.
    pub max_depth: usize,
    /// Bytes in a name or a link's target. Default 4,096.
    pub max_name: usize,
    /// Bytes in one component of a name. Default 255.
    pub max_component: usize,
    /// Unpacked bytes for each compressed one, looked at once `ratio_from` bytes are unpacked. Plain
    /// tar has no ratio. Default 200.
    pub max_ratio: u64,
    /// Unpacked bytes below which the ratio is of no interest. Default 64 MiB.
    pub ratio_from: u64,
    /// Time the whole unpacking may take. Default an hour.
    ///
    /// The functions that block can only look at the clock between two reads and two entries; those of
    /// the feature `tokio` also stop while they wait for input.
    pub max_time: Duration,
    /// Time one wait for input may take. Default a minute. A reader that blocks longer is given up
    /// when it answers; with the feature `tokio`, while it is silent.
    pub max_idle: Duration,
}

impl Limits {
    /// No limits but those of memory, disk and patience, for archives of your own making. The depth stays
    /// limited to 1,024 open directories.
    pub fn unlimited() -> Self {
        Self {
            max_bytes: u64::MAX,
            max_file_bytes: u64::MAX,
            max_entries: u64::MAX,
            max_depth: 1024,
            max_name: usize::MAX,
            max_component: usize::MAX,
            max_ratio: u64::MAX,
            ratio_from: u64::MAX,
            max_time: Duration::MAX,
            max_idle: Duration::MAX,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 4 << 30,
            max_file_bytes: 1 << 30,
            max_entries: 500_000,
            max_depth: 128,
            max_name: 4096,
            max_component: 255,
            max_ratio: 200,
            ratio_from: 64 << 20,
            max_time: Duration::from_secs(60 * 60),
            max_idle: Duration::from_secs(60),
        }
    }
}

/// What to do about symlinks and hard links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Links {
    /// A link is an error, as in the Go original of 2018.
    #[default]
    Refuse,
    /// Links are passed over and counted in [`Unpacked::skipped`], as the Go original does with
    /// symlinks today.
    Ignore,
    /// Links are made if they stay inside.
    ///
    /// A symlink's target must be relative, may climb (`..`) only at its start and no higher than
    /// the root, and the link's own directory must be reached without links: so what it resolves to
    /// is inside whatever other links this archive brings. A hard link's target must be a regular
    /// file that exists by then, reached without links.
    Inside,
}

/// What to do about a file or link whose name is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Existing {
    /// A new one takes its place; what was there is not written through. The last entry of a name
    /// wins, as everywhere.
    #[default]
    Replace,
    /// It is an error, also when the archive itself has the name twice. Directories may be there
    /// already. With [`OnFailure::Remove`] a failed unpacking leaves the tree as it was.
    Refuse,
}

/// What to do with what was written before a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnFailure {
    /// It stays, but for the file that was being written.
    #[default]
    Keep,
    /// The files, links and directories that this unpacking made are removed, and nothing else: a
    /// directory that others put something into stays, and so does whatever others put in the place
    /// of ours. [`UnpackError::cleanup`](crate::UnpackError::cleanup) tells how it went.
    ///
    /// A file that was replaced is not brought back; see [`Existing::Refuse`]. Until the end, some
    /// hundred bytes are kept in memory for each thing made, so [`Limits::max_entries`] bounds them.
    Remove,
}

/// How to unpack.
#[derive(Clone, Copy, Debug)]
pub struct UnpackOptions {
    /// How much the archive may make of itself.
    pub limits: Limits,
    /// What to do about links. Default [`Links::Refuse`].
    pub links: Links,
    /// What to do about names that are taken. Default [`Existing::Replace`].
    pub existing: Existing,
    /// What to do with what was written before a failure. Default [`OnFailure::Keep`].
    pub on_failure: OnFailure,
    /// Modification times later than this are set to this: files from the future confuse build
    /// tools. Default the time these options were made.
    pub now: SystemTime,
}

impl Default for UnpackOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            links: Links::default(),
            existing: Existing::default(),
            on_failure: OnFailure::default(),
            now: SystemTime::now(),
        }
    }
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unpacked {
    /// Entries read, those passed over and global headers included.
    pub entries: u64,
    /// Regular files written.
    pub files: u64,
    /// Directories made, those named by entries and those only implied. One that was there already
    /// does not count.
    pub dirs: u64,
    /// Symlinks and hard links made.
    pub links: u64,
    /// Bytes of file content written.
    pub bytes: u64,
    /// Links passed over under [`Links::Ignore`].
    pub skipped: u64,
    /// Files whose modification time could not be set; they are complete otherwise.
    pub times_not_set: u64,
    /// How long it took, the time waiting for the reader included.
    pub elapsed: Duration,
}
