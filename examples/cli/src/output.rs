use std::{
    fmt::{self, Display},
    io::{self, ErrorKind, Write},
};

/// Prints a line about how it goes on. A terminal that is gone stops nothing.
pub fn say(line: impl Display) {
    let _ = writeln!(anstream::stdout(), "{line}");
}

/// Prints a line on the standard error output. A terminal that is gone stops nothing.
pub fn note(line: impl Display) {
    let _ = writeln!(anstream::stderr(), "{line}");
}

/// The standard output, for what was asked for.
///
/// Once nobody reads it any more, as behind `| head`, writing fails with an error that [`exit`](crate::exit) takes for
/// a good end.
pub fn stdout() -> impl Write {
    Output(io::stdout())
}

/// Whether a program failed only because its reader had seen enough.
pub(crate) fn was_enough(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>();
        io.and_then(io::Error::get_ref)
            .is_some_and(|inner| inner.is::<Enough>())
    })
}

struct Output<W>(W);

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(told_apart)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(told_apart)
    }
}

/// Connections break as well: only this pipe's end is a good one.
fn told_apart(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::BrokenPipe => io::Error::new(ErrorKind::BrokenPipe, Enough),
        _ => error,
    }
}

#[derive(Debug)]
struct Enough;

impl Display for Enough {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads the output any more")
    }
}

impl std::error::Error for Enough {}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn only_the_outputs_own_end_is_a_good_one() {
        let print = |kind| writeln!(Output(Broken(kind)), "a line").context("cannot print");
        assert!(was_enough(&print(ErrorKind::BrokenPipe).unwrap_err()));
        assert!(!was_enough(&print(ErrorKind::StorageFull).unwrap_err()));
        let connection = anyhow::Error::from(io::Error::from(ErrorKind::BrokenPipe));
        assert!(!was_enough(&connection));
    }
}
