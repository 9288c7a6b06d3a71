//! What an unpacking made, so that it can be removed again.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;

use cap_fs_ext::{DirExt, MetadataExt};
use cap_std::fs::{Dir, Metadata};

use crate::Cleanup;

/// Things made, in order. Handles are not kept, there may be a million things: each is found again by
/// its name beneath the root and known by its inode.
#[derive(Default)]
pub(crate) struct Journal {
    /// Directories in which something was made, each with its parent.
    nodes: Vec<(Option<u32>, OsString)>,
    known: HashMap<(Option<u32>, OsString), u32>,
    made: Vec<Made>,
}

struct Made {
    parent: Option<u32>,
    name: OsString,
    id: (u64, u64),
    dir: bool,
}

impl Journal {
    /// The number of the directory `name` in `parent`.
    pub(crate) fn node(&mut self, parent: Option<u32>, name: &OsStr) -> u32 {
        let key = (parent, name.to_os_string());
        if let Some(&node) = self.known.get(&key) {
            return node;
        }
        // Their number is bounded far below.
        let node = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        self.nodes.push(key.clone());
        self.known.insert(key, node);
        node
    }

    pub(crate) fn nodes(&self) -> u64 {
        self.nodes.len() as u64
    }

    pub(crate) fn made(&mut self, parent: Option<u32>, name: &OsStr, metadata: &Metadata) {
        self.made.push(Made {
            parent,
            name: name.to_os_string(),
            id: id(metadata),
            dir: metadata.is_dir(),
        });
    }

    /// Removes everything, the last first.
    pub(crate) fn undo(self, root: &Dir) -> Cleanup {
        let mut done = Cleanup::default();
        let mut open: Option<(u32, Dir)> = None;
        for made in self.made.iter().rev() {
            let dir = match made.parent {
                None => root,
                Some(parent) => {
                    if open.as_ref().is_none_or(|(node, _)| *node != parent) {
                        // Beneath the root, as all that cap-std opens.
                        open = root
                            .open_dir(self.path(parent))
                            .ok()
                            .map(|dir| (parent, dir));
                    }
                    match &open {
                        Some((_, dir)) => dir,
                        None => {
                            done.left += 1;
                            continue;
                        }
                    }
                }
            };
            match made.remove(dir) {
                Ok(true) => done.removed += 1,
                Ok(false) => {}
                Err(_) => done.left += 1,
            }
        }
        done
    }

    fn path(&self, node: u32) -> PathBuf {
        let mut parts = Vec::new();
        let mut at = Some(node);
        while let Some((parent, name)) = at.and_then(|n| self.nodes.get(n as usize)) {
            parts.push(name);
            at = *parent;
        }
        parts.into_iter().rev().collect()
    }
}

impl Made {
    /// `false` if it is gone, or another thing has its name.
    fn remove(&self, dir: &Dir) -> io::Result<bool> {
        match dir.symlink_metadata(&self.name) {
            Ok(there) if id(&there) == self.id => {}
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        }
        if self.dir {
            dir.remove_dir(&self.name)?;
        } else {
            dir.remove_file_or_symlink(&self.name)?;
        }
        Ok(true)
    }
}

/// Which file it is, whatever it is called.
pub(crate) fn id(metadata: &Metadata) -> (u64, u64) {
    (MetadataExt::dev(metadata), MetadataExt::ino(metadata))
}
