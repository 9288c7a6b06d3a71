//! Figures of the readers, in the making.
fn main() {}
