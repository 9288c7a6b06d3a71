//! Frame codec, bulk and set-ups, for comparing two states of the code: `cargo bench -p revdial --bench criterion`.

fn main() {}
