//! A disk that fails on purpose, and whose power can be cut.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use maintner::{
    log::{Dir, Entry},
    reclog::Storage,
};

/// Clones are the same disk.
#[derive(Clone)]
pub(crate) struct Disk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    files: Vec<Content>,
    names: BTreeMap<String, usize>,
    /// Names as they were, before each change since the last sync.
    names_before: Vec<BTreeMap<String, usize>>,
    calls: u64,
    cut_at: Option<u64>,
    fail_at: Option<u64>,
    dead: bool,
}

#[derive(Default)]
struct Content {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    /// What was done since the last sync.
    pending: Vec<Change>,
}

enum Change {
    Write(usize, Vec<u8>),
    SetLen(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::SetLen(len) => bytes.resize(*len, 0),
            Self::Write(at, new) => {
                let end = at + new.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*at..end].copy_from_slice(new);
            }
        }
    }
}

impl Disk {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    /// From the call with this number on, nothing works and nothing is written.
    pub(crate) fn power_cut_at(&self, call: u64) {
        self.state().cut_at = Some(call);
    }

    /// The call with this number fails, with half of its work done.
    pub(crate) fn fail_once_at(&self, call: u64) {
        self.state().fail_at = Some(call);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// What is left: everything that was synced, and some of the rest.
    pub(crate) fn after_power_cut(&self, seed: u64) -> Self {
        let mut dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut roll = |sides: usize| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            (dice >> 33) as usize % sides
        };
        let state = self.state();
        let files = state.files.iter().map(|file| {
            let mut bytes = file.durable.clone();
            for change in &file.pending {
                match (change, roll(3)) {
                    (_, 0) => {}
                    (Change::Write(at, new), 1) => {
                        let part = new[..roll(new.len() + 1)].to_vec();
                        Change::Write(*at, part).apply(&mut bytes);
                    }
                    (change, _) => change.apply(&mut bytes),
                }
            }
            Content {
                durable: bytes.clone(),
                bytes,
                pending: Vec::new(),
            }
        });
        let files = files.collect();
        let mut names = state.names_before.clone();
        names.push(state.names.clone());
        let kept = roll(names.len());
        let names = names.swap_remove(kept);
        Self(Arc::new(Mutex::new(State {
            files,
            names,
            ..State::default()
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The state, if this call works; whether half of it is to be done before it fails.
    fn call(&self) -> io::Result<(MutexGuard<'_, State>, bool)> {
        let mut state = self.state();
        state.calls += 1;
        if state.cut_at.is_some_and(|cut| state.calls >= cut) {
            state.dead = true;
        }
        if state.dead {
            return Err(io::Error::other("no power"));
        }
        let fails = state.fail_at == Some(state.calls);
        Ok((state, fails))
    }
}

fn broken<T>() -> io::Result<T> {
    Err(io::Error::other("disk failure"))
}

impl State {
    fn rename_all(&mut self, change: impl FnOnce(&mut BTreeMap<String, usize>)) {
        self.names_before.push(self.names.clone());
        change(&mut self.names);
    }

    fn file(&self, name: &str) -> io::Result<usize> {
        self.names
            .get(name)
            .copied()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Dir for Disk {
    fn list(&self) -> io::Result<Vec<Entry>> {
        let (state, fails) = self.call()?;
        if fails {
            return broken();
        }
        let entry = |(name, file): (&String, &usize)| Entry {
            name: name.clone(),
            len: state.files[*file].bytes.len() as u64,
            // Files are numbered as they are made.
            modified: SystemTime::UNIX_EPOCH + Duration::from_secs(*file as u64),
        };
        Ok(state.names.iter().map(entry).collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Storage>> {
        let (mut state, fails) = self.call()?;
        let file = state.file(name).unwrap_or_else(|_| {
            let file = state.files.len();
            state.files.push(Content::default());
            state.rename_all(|names| {
                names.insert(name.into(), file);
            });
            file
        });
        if fails {
            return broken();
        }
        let disk = self.clone();
        Ok(Box::new(OpenFile { disk, file }))
    }

    fn read(&self, name: &str) -> io::Result<Bytes> {
        let (state, fails) = self.call()?;
        if fails {
            return broken();
        }
        let file = state.file(name)?;
        Ok(Bytes::copy_from_slice(&state.files[file].bytes))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (mut state, fails) = self.call()?;
        let file = state.file(from)?;
        // Fails although it was done, the worse way.
        state.rename_all(|names| {
            names.remove(from);
            names.insert(to.into(), file);
        });
        if fails { broken() } else { Ok(()) }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let (mut state, fails) = self.call()?;
        state.file(name)?;
        state.rename_all(|names| {
            names.remove(name);
        });
        if fails { broken() } else { Ok(()) }
    }

    fn sync(&self) -> io::Result<()> {
        let (mut state, fails) = self.call()?;
        if fails {
            return broken();
        }
        state.names_before.clear();
        Ok(())
    }
}

struct OpenFile {
    disk: Disk,
    file: usize,
}

impl Storage for OpenFile {
    fn len(&self) -> io::Result<u64> {
        let (state, _) = self.disk.call()?;
        Ok(state.files[self.file].bytes.len() as u64)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let (state, fails) = self.disk.call()?;
        if fails {
            return broken();
        }
        let bytes = &state.files[self.file].bytes;
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn write_at(&mut self, offset: u64, new: &[u8]) -> io::Result<usize> {
        let (mut state, fails) = self.disk.call()?;
        let written = if fails { &new[..new.len() / 2] } else { new };
        let change = Change::Write(offset as usize, written.to_vec());
        let file = &mut state.files[self.file];
        change.apply(&mut file.bytes);
        file.pending.push(change);
        if fails { broken() } else { Ok(new.len()) }
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        let (mut state, fails) = self.disk.call()?;
        if fails {
            return broken();
        }
        let change = Change::SetLen(len as usize);
        let file = &mut state.files[self.file];
        change.apply(&mut file.bytes);
        file.pending.push(change);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let (mut state, fails) = self.disk.call()?;
        let file = &mut state.files[self.file];
        if fails {
            // As Linux does: the error is told once, and what was not written counts as clean.
            file.pending.clear();
            return broken();
        }
        file.pending.clear();
        file.durable = file.bytes.clone();
        Ok(())
    }
}
