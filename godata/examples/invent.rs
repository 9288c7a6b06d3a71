//! Writes a history that never happened, as the one in `godata/data`:
//! `cargo run -p godata --example invent -- FILE [BYTES]`.

use godata::maintner::testing::History;

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let file = args.next().unwrap_or_else(|| "invented.mutlog".to_owned());
    let bytes = args.next().map_or(Ok(180_000), |bytes| bytes.parse())?;
    std::fs::write(&file, History::new(2018).log(bytes))?;
    println!("{file}");
    Ok(())
}
