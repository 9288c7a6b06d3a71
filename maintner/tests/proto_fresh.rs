//! The committed code is what the schemas in `proto/` generate. No protoc is needed.

use std::{error::Error, path::Path};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_mutations_are_fresh() -> Result<(), Box<dyn Error>> {
    let out = tempfile::tempdir()?;
    let files = protox::compile(["maintpb.proto"], [root().join("proto")])?;
    prost_build::Config::new()
        .out_dir(out.path())
        .compile_fds(files)?;
    is_fresh("src/proto/maintpb.rs", &out.path().join("maintpb.rs"))
}

#[test]
fn the_service_is_fresh() -> Result<(), Box<dyn Error>> {
    let out = tempfile::tempdir()?;
    let files = protox::compile(["apipb.proto"], [root().join("proto")])?;
    tonic_prost_build::configure()
        .build_transport(false)
        .out_dir(out.path())
        .compile_fds(files)?;
    is_fresh("src/api/apipb.rs", &out.path().join("apipb.rs"))
}

/// If the committed file is not fresh, makes it so: `cargo test` once more, and commit.
fn is_fresh(committed: &str, fresh: &Path) -> Result<(), Box<dyn Error>> {
    let fresh = std::fs::read_to_string(fresh)?;
    let path = root().join(committed);
    if std::fs::read_to_string(&path).ok().as_deref() != Some(&fresh) {
        std::fs::write(&path, fresh)?;
        return Err(format!("{committed} was not fresh; it is now").into());
    }
    Ok(())
}
