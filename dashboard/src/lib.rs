//! The words of a build farm: typed `farm.toml`, the JSON records its programs exchange, builder keys.
//!
//! ```
//! use buildfarm_dashboard::{Decision, Farm};
//!
//! let farm = Farm::parse("farm.toml", r#"
//!     [builder.test]
//!     steps = [
//!         { name = "build", run = "cargo build" },
//!         { name = "test", run = "cargo test", timeout = "10m" },
//!     ]
//!
//!     [[policy]]
//!     paths = ["**/*.md"]
//!     action = "skip"
//!     reason = "words only"
//! "#)?;
//! assert_eq!(farm.decide("test", "main", &["README.md"]), Decision::Skip("words only".to_owned()));
//! assert_eq!(farm.decide("test", "main", &["src/lib.rs"]), Decision::Run);
//! # Ok::<(), buildfarm_dashboard::ConfigErrors>(())
//! ```
//!
//! | module | for |
//! |---|---|
//! | [`config`] | what is built, where and how: [`Farm`] and its parts |
//! | [`detect`] | a first farm for a repository without `farm.toml` |
//! | [`record`] | builds, attempts and workers as the HTTP API shows them |
//! | [`keys`] | keys with which workers show that they may join |
//! | [`units`] | `1h30m` and `64MiB` |
//!
//! # What it does not do
//!
//! It opens no file except in [`Farm::load`], reads no environment, talks to nobody and runs nothing. There are no features.

pub mod config;
pub mod detect;
mod glob;
mod host_type;
pub mod keys;
pub mod record;
pub mod units;

pub use config::{
    Action, Builder, ConfigError, ConfigErrors, Decision, Farm, Host, LoadError, Logs, Policy,
    Project, Retry, Step,
};
pub use glob::{Glob, GlobError, MAX_GLOB};
pub use host_type::default_host_type;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
