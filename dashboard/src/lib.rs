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
