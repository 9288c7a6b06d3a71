//! The archive as a sequence of members, extended headers folded into the member they describe.

use std::time::{Duration, SystemTime};

use crate::buffered::Buffered;
use crate::feed::{Clock, Feed};
use crate::header::{self, BLOCK, Block, until_nul};
use crate::pax::{decimal, plain, record, seconds};
use crate::{HeaderFault, Limit, Limits, TarFault, UnpackErrorKind, gotext};

/// One member, its content still to be read.
pub(crate) struct Member {
    pub(crate) kind: MemberKind,
    pub(crate) typeflag: u8,
    pub(crate) name: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) size: u64,
    /// `None` if it is before or beyond what the system's clock can say.
    pub(crate) mtime: Option<SystemTime>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemberKind {
    File,
    Dir,
    Symlink,
    HardLink,
}

pub(crate) struct Members<F> {
    stream: Buffered<F>,
    limits: Limits,
    entries: u64,
    /// Content and padding of the current member that were not read yet.
    content: u64,
    padding: u64,
}

/// What extended headers say about the member that follows them.
#[derive(Default)]
struct Extended {
    pax: bool,
    gnu_name: Option<Vec<u8>>,
    gnu_link: Option<Vec<u8>>,
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    mtime: Option<(i64, u32)>,
    sparse: bool,
}

impl<F: Feed> Members<F> {
    pub(crate) fn new(feed: F, limits: Limits, clock: Clock) -> Self {
        Self {
            stream: Buffered::new(feed, limits, clock),
            limits,
            entries: 0,
            content: 0,
            padding: 0,
        }
    }

    /// Entries so far.
    pub(crate) fn entries(&self) -> u64 {
        self.entries
    }

    /// The next member; `None` at the archive's end mark, after the stream was read to its end.
    pub(crate) fn next(&mut self) -> Result<Option<Member>, UnpackErrorKind> {
        self.skip_rest()?;
        let mut extended = Extended::default();
        loop {
            let Some(block) = self.block(&extended)? else {
                return Ok(None);
            };
            match block.typeflag {
                b'x' => self.pax(&block, &mut extended)?,
                b'L' => {
                    let text = self.extended_content(&block)?;
                    set_once(&mut extended.gnu_name, long_name(&text)?)?;
                }
                b'K' => {
                    let text = self.extended_content(&block)?;
                    set_once(&mut extended.gnu_link, long_name(&text)?)?;
                }
                b'g' => {
                    // A global header changes nothing here: git notes a commit in it, and honouring
                    // a path or size from it would let one header rename all that follows.
                    if !extended.is_empty() {
                        return Err(HeaderFault::Dangling.into());
                    }
                    self.count()?;
                    self.extended_content(&block)?;
                }
                _ => {
                    self.count()?;
                    return self.member(block, extended).map(Some);
                }
            }
        }
    }

    /// Some of the current member's content; empty when there is no more.
    pub(crate) fn content(&mut self) -> Result<&[u8], UnpackErrorKind> {
        if self.content == 0 {
            return Ok(&[]);
        }
        let left = usize::try_from(self.content).unwrap_or(usize::MAX);
        let bytes = self.stream.fill()?;
        if bytes.is_empty() {
            return Err(TarFault::Truncated.into());
        }
        Ok(&bytes[..bytes.len().min(left)])
    }

    /// Takes `n` bytes that [`content`](Self::content) showed.
    pub(crate) fn consume(&mut self, n: usize) {
        self.stream.consume(n);
        self.content = self.content.saturating_sub(n as u64);
    }

    fn member(&mut self, block: Block, extended: Extended) -> Result<Member, UnpackErrorKind> {
        // Which of the two a reader takes is its own affair, so neither is taken.
        if extended.gnu_name.is_some() && extended.path.is_some()
            || extended.gnu_link.is_some() && extended.link.is_some()
        {
            return Err(HeaderFault::Duplicate.into());
        }
        let name = extended.gnu_name.or(extended.path).unwrap_or(block.name);
        let link = extended.gnu_link.or(extended.link).unwrap_or(block.link);
        self.check_name(&name)?;
        match block.typeflag {
            b'1' => self.check_name(&link)?,
            _ => self.check_len(&link)?,
        }
        let kind = match block.typeflag {
            // Before there was a type for directories, a trailing slash said it.
            0 if name.ends_with(b"/") => MemberKind::Dir,
            b'0' | 0 | b'7' if !extended.sparse => MemberKind::File,
            b'1' => MemberKind::HardLink,
            b'2' => MemberKind::Symlink,
            b'5' => MemberKind::Dir,
            typeflag => {
                let mode = gotext::mode_string(typeflag, block.mode);
                return Err(UnpackErrorKind::UnsupportedType {
                    name,
                    mode,
                    typeflag,
                });
            }
        };
        let size = match (extended.size, block.size) {
            (Some(size), _) | (None, Some(size)) => size,
            (None, None) if kind == MemberKind::File => return Err(HeaderFault::Number.into()),
            (None, None) => 0,
        };
        if kind != MemberKind::File && size != 0 {
            return Err(HeaderFault::Size.into());
        }
        if size > self.limits.max_file_bytes {
            return Err(UnpackErrorKind::limit(
                Limit::FileBytes,
                self.limits.max_file_bytes,
                Some(&name),
            ));
        }
        if size > self.stream.allowance() {
            return Err(UnpackErrorKind::limit(
                Limit::Bytes,
                self.limits.max_bytes,
                Some(&name),
            ));
        }
        self.expect(size);
        let (secs, nanos) = extended.mtime.unwrap_or((block.mtime, 0));
        let mtime = time(secs, nanos);
        Ok(Member {
            kind,
            typeflag: block.typeflag,
            name,
            link,
            mode: block.mode,
            size,
            mtime,
        })
    }

    /// The next header block; `None` at the end of the archive.
    fn block(&mut self, extended: &Extended) -> Result<Option<Block>, UnpackErrorKind> {
        let mut raw = [0; BLOCK];
        let zero = [0; BLOCK];
        let have = self.stream.block(&mut raw)?;
        // An empty stream is an empty archive, as for Go. Anything longer needs its end mark, or a
        // stream cut between two members would pass for whole.
        if have == 0 && self.entries == 0 && extended.is_empty() {
            return Ok(None);
        }
        if have < BLOCK {
            return Err(TarFault::Truncated.into());
        }
        if raw != zero {
            return Ok(Some(header::parse(&raw)?));
        }
        if !extended.is_empty() {
            return Err(HeaderFault::Dangling.into());
        }
        match self.stream.block(&mut raw)? {
            0 => return Ok(None),
            BLOCK if raw == zero => {}
            BLOCK => return Err(HeaderFault::LoneZeroBlock.into()),
            _ => return Err(TarFault::Truncated.into()),
        }
        // What follows is of no interest but for the checksums of the stream around it.
        loop {
            let n = self.stream.fill()?.len();
            if n == 0 {
                return Ok(None);
            }
            self.stream.consume(n);
        }
    }

    fn pax(&mut self, block: &Block, extended: &mut Extended) -> Result<(), UnpackErrorKind> {
        if extended.pax {
            return Err(HeaderFault::Duplicate.into());
        }
        extended.pax = true;
        let text = self.extended_content(block)?;
        let mut rest = &text[..];
        while !rest.is_empty() {
            let record = record(rest)?;
            rest = record.rest;
            match record.key {
                b"path" => set_once(&mut extended.path, plain(record.value)?)?,
                b"linkpath" => set_once(&mut extended.link, plain(record.value)?)?,
                b"size" => set_once(&mut extended.size, decimal(record.value)?)?,
                b"mtime" => set_once(&mut extended.mtime, seconds(record.value)?)?,
                key if key.starts_with(b"GNU.sparse.") => extended.sparse = true,
                _ => {}
            }
        }
        // An empty value takes the property back to the header's own.
        extended.path = extended.path.take().filter(|p| !p.is_empty());
        extended.link = extended.link.take().filter(|p| !p.is_empty());
        Ok(())
    }

    /// Reads the content of an extended header. Memory grows with what is really there.
    fn extended_content(&mut self, block: &Block) -> Result<Vec<u8>, UnpackErrorKind> {
        let size = block.size.ok_or(TarFault::Header(HeaderFault::Number))?;
        if size > MAX_EXTENDED {
            return Err(UnpackErrorKind::limit(
                Limit::ExtendedHeader,
                MAX_EXTENDED,
                None,
            ));
        }
        self.expect(size);
        let mut text = Vec::new();
        loop {
            let bytes = self.content()?;
            let n = bytes.len();
            if n == 0 {
                break;
            }
            text.extend_from_slice(bytes);
            self.consume(n);
        }
        self.skip_rest()?;
        Ok(text)
    }

    fn expect(&mut self, size: u64) {
        self.content = size;
        self.padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
    }

    fn skip_rest(&mut self) -> Result<(), UnpackErrorKind> {
        let mut left = self.content + self.padding;
        (self.content, self.padding) = (0, 0);
        while left > 0 {
            let have = self.stream.fill()?.len();
            if have == 0 {
                return Err(TarFault::Truncated.into());
            }
            let n = have.min(usize::try_from(left).unwrap_or(usize::MAX));
            self.stream.consume(n);
            left -= n as u64;
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), UnpackErrorKind> {
        self.entries += 1;
        if self.entries > self.limits.max_entries {
            return Err(UnpackErrorKind::limit(
                Limit::Entries,
                self.limits.max_entries,
                None,
            ));
        }
        Ok(())
    }

    fn check_len(&self, name: &[u8]) -> Result<(), UnpackErrorKind> {
        let max = self.limits.max_name;
        if name.len() > max {
            return Err(UnpackErrorKind::limit(Limit::Name, max as u64, Some(name)));
        }
        Ok(())
    }

    fn check_name(&self, name: &[u8]) -> Result<(), UnpackErrorKind> {
        let Limits {
            max_component,
            max_depth,
            ..
        } = self.limits;
        self.check_len(name)?;
        let mut depth = 0;
        for part in name
            .split(|&b| b == b'/')
            .filter(|p| !matches!(*p, b"" | b"."))
        {
            depth += 1;
            if part.len() > max_component {
                return Err(UnpackErrorKind::limit(
                    Limit::Component,
                    max_component as u64,
                    Some(name),
                ));
            }
        }
        if depth > max_depth {
            return Err(UnpackErrorKind::limit(
                Limit::Depth,
                max_depth as u64,
                Some(name),
            ));
        }
        Ok(())
    }
}

impl Extended {
    fn is_empty(&self) -> bool {
        !self.pax && self.gnu_name.is_none() && self.gnu_link.is_none()
    }
}

/// A name with the NULs that end it. What stands behind one is part of the name for some readers.
fn long_name(text: &[u8]) -> Result<Vec<u8>, HeaderFault> {
    let name = until_nul(text);
    if text[name.len()..].iter().any(|&b| b != 0) {
        return Err(HeaderFault::Record);
    }
    Ok(name.to_vec())
}

fn set_once<T>(place: &mut Option<T>, value: T) -> Result<(), HeaderFault> {
    if place.is_some() {
        return Err(HeaderFault::Duplicate);
    }
    *place = Some(value);
    Ok(())
}

fn time(secs: i64, nanos: u32) -> Option<SystemTime> {
    let whole = Duration::from_secs(secs.unsigned_abs());
    let time = if secs < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(whole)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(whole)
    };
    time?.checked_add(Duration::from_nanos(u64::from(nanos)))
}

/// What the Go original allows an extended header to have.
const MAX_EXTENDED: u64 = 1 << 20;
