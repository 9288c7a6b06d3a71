# The developer's menu: `just` lists it.

[private]
default:
    @just --list --unsorted

# Run the farm on this repository
run *args:
    cargo run --release --bin coordinator -- {{args}}

# All tests
test:
    cargo test --workspace

# Format everything
fmt:
    cargo fmt --all

# What the lints say, as strictly as the gate
lint:
    cargo clippy --workspace --all-targets -- -D warnings

# The documentation, as strictly as the gate
doc:
    RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps

# One crate: formatting, lints, tests, docs
crate name:
    cargo fmt -p {{name}} --check
    cargo clippy -p {{name}} --all-targets -- -D warnings
    cargo test -p {{name}}
    RUSTDOCFLAGS=-Dwarnings cargo doc -p {{name}} --no-deps

# Every claim of speed or size, beside its peers
figures:
    for crate in revdial livelog pargzip tarball buildfarm-lru buildfarm-singleflight buildlet-client buildlet maintner; do cargo bench -p $crate --bench figures || exit 1; done

# Bans, licences and sources of the dependencies (needs cargo-deny)
deny:
    cargo deny check bans licenses sources

# Each library crate, packed as it would be published
package:
    cargo package --workspace --locked --allow-dirty --no-verify $(printf -- '--exclude example-%s ' $(ls examples))

# Everything the gate runs
ci:
    bash .ci/run
