use std::io;

/// An error that is told at every call from now on.
#[derive(Debug)]
pub(crate) struct Failure {
    /// For the first who asks: it may hold more than kind and text.
    error: Option<io::Error>,
    kind: io::ErrorKind,
    text: String,
}

impl Failure {
    pub(crate) fn new(error: io::Error) -> Self {
        Self {
            kind: error.kind(),
            text: error.to_string(),
            error: Some(error),
        }
    }

    pub(crate) fn error(&mut self) -> io::Error {
        self.error
            .take()
            .unwrap_or_else(|| io::Error::new(self.kind, self.text.clone()))
    }
}
