//! x
#[path = "web/doubles.rs"]
mod doubles;
