use std::io;

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// As the Go original writes it: deflate, no flags, no time, unknown system (RFC 1952 §2.3).
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// The most a stored deflate block can hold (RFC 1951 §3.2.4).
const STORED_BLOCK: usize = 0xffff;

/// Makes gzip members, one after the other.
#[derive(Debug)]
pub(crate) struct Members {
    level: Compression,
    deflate: Compress,
    crc: Crc,
}

impl Members {
    pub(crate) fn new(level: u32) -> Self {
        let level = Compression::new(level);
        Self {
            level,
            deflate: Compress::new(level, false),
            crc: Crc::new(),
        }
    }

    /// Replaces `output` by a member that holds `input`.
    pub(crate) fn write(&mut self, input: &[u8], output: &mut Vec<u8>) -> io::Result<()> {
        output.clear();
        output.extend_from_slice(&HEADER);
        if !self.deflate(input, output)? {
            output.truncate(HEADER.len());
            store(input, output);
        }
        self.crc.reset();
        self.crc.update(input);
        output.extend_from_slice(&self.crc.sum().to_le_bytes());
        // Modulo 2^32, says the format.
        output.extend_from_slice(&(input.len() as u32).to_le_bytes());
        Ok(())
    }

    /// False if storing takes less room.
    fn deflate(&mut self, input: &[u8], output: &mut Vec<u8>) -> io::Result<bool> {
        self.deflate.reset();
        let begin = output.len();
        // Room for the worst case, so that one call is enough. What is not needed is not touched, and costs no memory.
        output.reserve(deflate_bound(input.len()));
        let status = self
            .deflate
            .compress_vec(input, output, FlushCompress::Finish)
            .map_err(io::Error::other)?;
        if status != Status::StreamEnd {
            // zlib-rs 0.6 keeps unwritten output over a reset, and panics later.
            self.deflate = Compress::new(self.level, false);
            return Ok(false);
        }
        Ok(output.len() - begin <= stored_len(input.len()))
    }
}

/// The fastest level spends up to 9 bits a byte, and 10 for each block; the others store what they cannot compress.
fn deflate_bound(len: usize) -> usize {
    len + len / 8 + len / 1024 + 1024
}

fn stored_len(len: usize) -> usize {
    len + 5 * len.div_ceil(STORED_BLOCK).max(1)
}

fn store(input: &[u8], output: &mut Vec<u8>) {
    output.reserve(stored_len(input.len()) + 8);
    let blocks = input.len().div_ceil(STORED_BLOCK);
    for (i, block) in input.chunks(STORED_BLOCK).enumerate() {
        let len = block.len() as u16;
        output.push(u8::from(i + 1 == blocks));
        output.extend_from_slice(&len.to_le_bytes());
        output.extend_from_slice(&(!len).to_le_bytes());
        output.extend_from_slice(block);
    }
}
