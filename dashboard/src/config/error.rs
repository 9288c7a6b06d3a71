//! Mistakes in `farm.toml`, with their places.

use std::path::PathBuf;
use std::{fmt, io};

/// One mistake in `farm.toml`. Displays as `farm.toml:12:5: unknown key 'step', did you mean 'steps'?`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct ConfigError {
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) message: String,
}

impl ConfigError {
    /// Name of the file, as it was given.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Line, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// Column in characters, from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.column
    }

    /// What is wrong and how to put it right, without the place.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// The mistakes in one `farm.toml`, in the order of the file; at least one. Displays as one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    first: ConfigError,
    others: Vec<ConfigError>,
    omitted: usize,
}

impl ConfigErrors {
    /// Most mistakes that are kept; more are only counted.
    pub const MAX: usize = 20;

    /// The first mistake.
    #[must_use]
    pub fn first(&self) -> &ConfigError {
        &self.first
    }

    /// All kept mistakes.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// How many more there are.
    #[must_use]
    pub fn omitted(&self) -> usize {
        self.omitted
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.fmt(f)?;
        for error in &self.others {
            write!(f, "\n{error}")?;
        }
        if self.omitted > 0 {
            write!(f, "\nand {} more", self.omitted)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Why a `farm.toml` could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file was read and is wrong.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
}

/// Collects mistakes while a file is read.
#[derive(Debug)]
pub(super) struct Sink<'a> {
    file: &'a str,
    text: &'a [u8],
    found: Vec<ConfigError>,
    omitted: usize,
}

impl<'a> Sink<'a> {
    pub(super) fn new(file: &'a str, text: &'a [u8]) -> Self {
        Self {
            file,
            text,
            found: Vec::new(),
            omitted: 0,
        }
    }

    /// Adds a mistake at a byte offset.
    pub(super) fn report(&mut self, offset: usize, message: impl Into<String>) {
        if self.found.len() == ConfigErrors::MAX {
            self.omitted += 1;
            return;
        }
        let (line, column) = place(self.text, offset);
        self.found.push(ConfigError {
            file: self.file.to_owned(),
            line,
            column,
            message: message.into(),
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The collected mistakes, if there are any.
    pub(super) fn finish(mut self) -> Result<(), ConfigErrors> {
        self.found.sort_by_key(|error| (error.line, error.column));
        let mut found = self.found.into_iter();
        match found.next() {
            None => Ok(()),
            Some(first) => Err(ConfigErrors {
                first,
                others: found.collect(),
                omitted: self.omitted,
            }),
        }
    }
}

/// Line and column, from 1, of a byte offset; columns count characters.
fn place(text: &[u8], offset: usize) -> (usize, usize) {
    let before = &text[..offset.min(text.len())];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let start = before
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |newline| newline + 1);
    // Continuation bytes of UTF-8 belong to the character before them.
    let column = before[start..]
        .iter()
        .filter(|b| (**b & 0b1100_0000) != 0b1000_0000)
        .count()
        + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters() {
        let text = "a = 1\nü = 2\n".as_bytes();
        assert_eq!(place(text, 0), (1, 1));
        assert_eq!(place(text, 4), (1, 5));
        assert_eq!(place(text, 6), (2, 1));
        assert_eq!(place(text, 8), (2, 2), "two bytes, one column");
        assert_eq!(place(text, 9999), (3, 1));
        assert_eq!(place(b"", 0), (1, 1));
    }
}
