//! The centre of a build farm.
//!
//! It finds work in a repository ([`work`]), owns machines ([`pool`]), runs builds on them ([`Farm`]), keeps results and logs
//! ([`store`], [`logs`]), and shows them ([`web`]). The decisions are pure state machines, [`life`] and [`schedule`]: events and
//! the time go in, effects come out. Everything that touches the world is a thin shell around them.
//!
//! What it does not do: compile anything itself. Builds run on workers, the `buildlet` crate, which dial in over TLS.

pub mod event;
pub mod farm;
pub mod life;
pub mod logs;
pub mod plan;
pub mod pool;
mod run;
pub mod schedule;
pub mod store;
pub mod web;
pub mod work;

pub use event::Event;
pub use farm::{Farm, FarmConfig};
