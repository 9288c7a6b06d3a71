//! The committed code is what `proto/maintpb.proto` generates. No protoc is needed.

#[test]
fn the_generated_messages_are_fresh() -> Result<(), Box<dyn std::error::Error>> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = tempfile::tempdir()?;
    let files = protox::compile(["maintpb.proto"], [root.join("proto")])?;
    prost_build::Config::new()
        .out_dir(out.path())
        .compile_fds(files)?;
    let fresh = std::fs::read_to_string(out.path().join("maintpb.rs"))?;
    let committed = root.join("src/proto/maintpb.rs");
    if std::fs::read_to_string(&committed).ok().as_deref() != Some(&fresh) {
        // `cargo test` once more, and commit.
        std::fs::write(&committed, fresh)?;
        panic!("src/proto/maintpb.rs was not fresh; it is now");
    }
    Ok(())
}
