use super::*;
use proptest::prelude::*;

/// Files with their texts, and what is made of them: kind, file, and `builder/step: command` lines.
fn found(files: &[(&str, &str)]) -> (Detected, Vec<String>) {
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    let found = detect(&names, |name| {
        let (_, text) = files.iter().find(|(file, _)| *file == name)?;
        Some((*text).to_owned())
    })
    .unwrap();
    let steps = found
        .farm
        .builders
        .iter()
        .flat_map(|b| {
            b.steps
                .iter()
                .map(|s| format!("{}/{}: {}", b.name, s.name, s.run))
        })
        .collect();
    (found, steps)
}

fn nothing(files: &[(&str, &str)]) -> bool {
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    detect(&names, |name| {
        let (_, text) = files.iter().find(|(file, _)| *file == name)?;
        Some((*text).to_owned())
    })
    .is_err()
}

#[test]
fn kinds_and_their_steps() {
    for (files, kind, file, steps) in [
        (
            &[("Cargo.toml", "")][..],
            Kind::Cargo,
            "Cargo.toml",
            &[
                "test/build: cargo build --workspace",
                "test/test: cargo test --workspace",
            ][..],
        ),
        (
            &[("Cargo.toml", ""), ("Cargo.lock", ""), ("rustfmt.toml", "")],
            Kind::Cargo,
            "Cargo.toml",
            &[
                "test/build: cargo build --workspace --locked",
                "test/test: cargo test --workspace --locked",
                "fmt/fmt: cargo fmt --all --check",
            ],
        ),
        (
            &[("go.work", "")],
            Kind::Go,
            "go.work",
            &[
                "test/build: go build ./...",
                "test/vet: go vet ./...",
                "test/test: go test ./...",
            ],
        ),
        (
            &[
                ("package.json", r#"{"scripts":{"build":"x","test":"y"}}"#),
                ("package-lock.json", ""),
            ],
            Kind::Npm,
            "package.json",
            &[
                "test/install: npm ci",
                "test/build: npm run build",
                "test/test: npm run test",
            ],
        ),
        (
            &[
                ("package.json", r#"{"scripts":{"test":"y"}}"#),
                ("pnpm-lock.yaml", ""),
            ],
            Kind::Npm,
            "package.json",
            &[
                "test/install: pnpm install --frozen-lockfile",
                "test/test: pnpm run test",
            ],
        ),
        (
            &[("CMakeLists.txt", "project(x)\n  Enable_Testing ()\n")],
            Kind::CMake,
            "CMakeLists.txt",
            &[
                "test/configure: cmake -S . -B build",
                "test/build: cmake --build build",
                "test/test: ctest --test-dir build --output-on-failure",
            ],
        ),
        (
            &[("Makefile", "all: a\n\tcc\ntest check: all\n\t./t\n")],
            Kind::Make,
            "Makefile",
            &["test/build: make", "test/test: make test"],
        ),
        (
            &[("makefile", "build:\n\tx\ncheck::\n\ty\n")],
            Kind::Make,
            "makefile",
            &["test/build: make build", "test/test: make check"],
        ),
        (
            &[("Makefile", "prog: a.c\n")],
            Kind::Make,
            "Makefile",
            &["test/build: make"],
        ),
        (
            &[("build.sh", "#!/bin/sh\n"), ("test.sh", "echo")],
            Kind::Script,
            "build.sh",
            &["test/build: ./build.sh", "test/test: sh ./test.sh"],
        ),
        (
            &[("ci.sh", "#!/bin/sh"), ("build.sh", "")],
            Kind::Script,
            "ci.sh",
            &["test/ci: ./ci.sh"],
        ),
    ] {
        let (found, made) = found(files);
        assert_eq!((found.kind, found.file.as_str()), (kind, file), "{files:?}");
        assert_eq!(made, steps, "{files:?}");
        assert!(found.also.is_empty(), "{files:?}");
        let text = found.farm.to_toml();
        assert_eq!(Farm::parse("farm.toml", &text), Ok(found.farm), "{text}");
    }
}

#[test]
fn a_language_goes_before_a_makefile_and_the_rest_is_told() {
    let (found, _) = found(&[("Makefile", "test:\n"), ("go.mod", ""), ("ci.sh", "")]);
    assert_eq!(found.kind, Kind::Go);
    assert_eq!(found.also, [Kind::Make, Kind::Script]);
}

#[test]
fn nothing_is_said_with_a_way_out() {
    for files in [
        &[][..],
        &[("README.md", "")],
        &[("package.json", "not json")],
        &[(
            "package.json",
            r#"{"scripts":{"test":"echo \"Error: no test specified\" && exit 1"}}"#,
        )],
        &[("package.json", r#"{"scripts":["test"]}"#)],
        &[(
            "Makefile",
            "test := 1\nX = a:b\n# test:\n\techo test: x\n.PHONY: test\n",
        )],
        &[("cargo.toml", "")],
    ] {
        assert!(nothing(files), "{files:?}");
    }
    let text = NothingDetected.to_string();
    let (_, example) = text.split_once("\n\n").unwrap();
    assert!(Farm::parse("farm.toml", example).is_ok(), "{example}");
}

#[test]
fn large_and_unreadable_files_do_no_harm() {
    let huge = "ü".repeat(MAX_READ);
    assert!(nothing(&[("package.json", &huge)]));
    assert!(detect(&["Makefile", "package.json"], |_| None).is_err());
    let deep = "[".repeat(MAX_READ);
    assert!(nothing(&[("package.json", &deep)]));
}

proptest! {
    #[test]
    fn any_file_is_answered(text in "[a-z:=\\t #.{}\"$%\\n]{0,60}", odd: String) {
        for name in ["Makefile", "CMakeLists.txt", "package.json", "ci.sh"] {
            for text in [&text, &odd] {
                if let Ok(found) = detect(&[name], |_| Some(text.clone())) {
                    prop_assert!(Farm::parse("f", found.farm.to_toml()).is_ok());
                }
            }
        }
    }
}
