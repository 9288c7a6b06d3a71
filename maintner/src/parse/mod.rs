//! What is written in commits and texts: pure functions of bytes.
//!
//! All of them take anything, allocate little or nothing, and never panic. Where the original reads
//! a text in a way that people came to rely on, so do they; where it reads wrongly, it says so.

pub mod commit;
mod facts;
pub mod line;
pub mod notedb;
pub mod person;
pub mod references;

pub(crate) use facts::Facts;
