use std::io::{self, BufRead, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::args::Args;
use crate::progress::Progress;

/// Bytes that went through.
#[derive(Debug, Default, Clone)]
pub(crate) struct Count(Arc<AtomicU64>);

impl Count {
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// A source or sink that counts.
pub(crate) struct Counted<T> {
    inner: T,
    count: Count,
}

impl<T> Counted<T> {
    pub(crate) fn new(inner: T, count: &Count) -> Self {
        Self {
            inner,
            count: count.clone(),
        }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.inner.read(buffer)?;
        self.count.add(len);
        Ok(len)
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let len = self.inner.write(data)?;
        self.count.add(len);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// What came in and went out, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) input: u64,
    pub(crate) output: u64,
    /// Where garbage was ignored.
    pub(crate) garbage: Option<u64>,
}

pub(crate) fn compress(
    source: impl Read,
    sink: impl Write + Send + 'static,
    args: &Args,
    progress: &mut Progress,
) -> io::Result<Sizes> {
    let (read, written) = (Count::default(), Count::default());
    let mut source = Counted::new(source, &read);
    let mut writer = args.writer().build(Counted::new(sink, &written));
    // A piece at a time, to show how far it is.
    while writer.read_from(&mut source.by_ref().take(1 << 20))? > 0 {
        progress.show(read.get(), read.get(), written.get());
    }
    writer.finish()?;
    Ok(Sizes {
        input: read.get(),
        output: written.get(),
        garbage: None,
    })
}

pub(crate) fn decompress(
    source: impl Read + Send + 'static,
    mut sink: impl Write,
    args: &Args,
    progress: &mut Progress,
) -> io::Result<Sizes> {
    let read = Count::default();
    let mut reader = args.reader().build(Counted::new(source, &read));
    let mut output = 0;
    loop {
        let data = reader.fill_buf()?;
        if data.is_empty() {
            break;
        }
        sink.write_all(data)?;
        let len = data.len();
        reader.consume(len);
        output += len as u64;
        progress.show(read.get(), output, read.get());
    }
    sink.flush()?;
    Ok(Sizes {
        input: read.get(),
        output,
        garbage: reader.trailing_garbage(),
    })
}
