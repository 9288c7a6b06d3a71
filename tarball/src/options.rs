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
    /// Entries, global headers included. Default 500,000.
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
}

impl Limits {
    /// No limits but those of memory and disk, for archives of your own making. The depth stays
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

/// How to unpack.
#[derive(Clone, Copy, Debug)]
pub struct UnpackOptions {
    /// How much the archive may make of itself.
    pub limits: Limits,
    /// What to do about links. Default [`Links::Refuse`].
    pub links: Links,
    /// Modification times later than this are set to this: files from the future confuse build
    /// tools. Default the time these options were made.
    pub now: SystemTime,
}

impl Default for UnpackOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            links: Links::default(),
            now: SystemTime::now(),
        }
    }
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unpacked {
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
