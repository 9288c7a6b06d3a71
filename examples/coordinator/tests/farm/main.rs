//! The built programs, looked at from outside: real processes, real git, real TLS, real kills.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod end_to_end;
mod hostile;
mod kill;
mod support;
