//! A first `farm.toml` for a repository that has none.
//!
//! Pure: names of the files in the root and a way to read a small one in, a [`Farm`] out.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::config::{Builder, DEFAULT_TIMEOUT, Farm, Host, Logs, Project, Retry, Step};
use crate::host_type::default_host_type;

/// Most bytes of a file that are looked at.
pub const MAX_READ: usize = 1 << 20;

/// How a repository is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// `Cargo.toml`.
    Cargo,
    /// `go.mod` or `go.work`.
    Go,
    /// `package.json` with a `build` or `test` script.
    Npm,
    /// `CMakeLists.txt`.
    CMake,
    /// A makefile.
    Make,
    /// `ci.sh`, `build.sh` or `test.sh`.
    Script,
}

impl fmt::Display for Kind {
    /// In words, with its article: `a Go module`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cargo => "a Cargo workspace",
            Self::Go => "a Go module",
            Self::Npm => "a JavaScript package",
            Self::CMake => "a CMake project",
            Self::Make => "a makefile",
            Self::Script => "a build script",
        })
    }
}

/// What was found in a repository's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detected {
    /// The kind whose builders the farm has.
    pub kind: Kind,
    /// File that gave it away.
    pub file: String,
    /// Further kinds found, which the farm leaves out.
    pub also: Vec<Kind>,
    /// A valid farm for this machine's host type.
    pub farm: Farm,
}

/// Nothing known was found. Displays as an explanation with a `farm.toml` to start from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NothingDetected;

impl fmt::Display for NothingDetected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "nothing to build was found in the repository's root: no Cargo.toml, go.mod, package.json with a build \
             or test script, CMakeLists.txt, Makefile, ci.sh, build.sh or test.sh\n\
             say how it is built in a farm.toml there:\n\n\
             [builder.test]\n\
             steps = [{ name = \"test\", run = \"./your-command\" }]",
        )
    }
}

impl std::error::Error for NothingDetected {}

/// Finds out how a repository is built.
///
/// `files` are the names in its root; `read` returns the text of one of them, or `None` if that is not possible. Only the
/// first [`MAX_READ`] bytes of a text are looked at. Where several kinds are found, a language's own tool goes before
/// CMake, that before a makefile, and scripts come last.
///
/// # Errors
/// [`NothingDetected`], whose text is meant for people.
///
/// ```
/// let found = buildfarm_dashboard::detect::detect(&["go.mod", "main.go"], |_| None)?;
/// assert_eq!(found.kind.to_string(), "a Go module");
/// assert_eq!(found.farm.builders[0].steps.last().unwrap().run, "go test ./...");
/// # Ok::<(), buildfarm_dashboard::detect::NothingDetected>(())
/// ```
pub fn detect<S: AsRef<str>>(
    files: &[S],
    mut read: impl FnMut(&str) -> Option<String>,
) -> Result<Detected, NothingDetected> {
    let mut root = Root {
        files: files.iter().map(AsRef::as_ref).collect(),
        read: &mut read,
    };
    let finders: [fn(&mut Root<'_>) -> Option<Found>; 6] = [cargo, go, npm, cmake, make, script];
    let mut found = finders.iter().filter_map(|finder| finder(&mut root));
    let first = found.next().ok_or(NothingDetected)?;
    let also = found.map(|found| found.kind).collect();
    let default_host = default_host_type();
    Ok(Detected {
        kind: first.kind,
        file: first.file.to_owned(),
        also,
        farm: Farm {
            project: Project::default(),
            hosts: BTreeMap::from([(default_host.clone(), Host::new(&default_host))]),
            builders: first
                .builders
                .into_iter()
                .map(|(name, steps)| builder(name, &default_host, steps))
                .collect(),
            policies: Vec::new(),
            retry: Retry::default(),
            logs: Logs::default(),
            default_host,
        },
    })
}

/// A name and commands.
type Steps = Vec<(&'static str, String)>;

struct Found {
    kind: Kind,
    file: &'static str,
    builders: Vec<(&'static str, Steps)>,
}

struct Root<'a> {
    files: Vec<&'a str>,
    read: &'a mut dyn FnMut(&str) -> Option<String>,
}

impl Root<'_> {
    fn has(&self, name: &str) -> bool {
        self.files.contains(&name)
    }

    fn first(&self, names: &[&'static str]) -> Option<&'static str> {
        names.iter().copied().find(|name| self.has(name))
    }

    fn text(&mut self, name: &str) -> String {
        let mut text = (self.read)(name).unwrap_or_default();
        if text.len() > MAX_READ {
            let mut end = MAX_READ;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
        }
        text
    }
}

fn cargo(root: &mut Root<'_>) -> Option<Found> {
    let file = root.first(&["Cargo.toml"])?;
    // With a lock file in the repository, a build that would change it is a mistake.
    let locked = if root.has("Cargo.lock") {
        " --locked"
    } else {
        ""
    };
    let mut builders = vec![(
        "test",
        vec![
            ("build", format!("cargo build --workspace{locked}")),
            ("test", format!("cargo test --workspace{locked}")),
        ],
    )];
    if root.first(&["rustfmt.toml", ".rustfmt.toml"]).is_some() {
        builders.push(("fmt", vec![("fmt", "cargo fmt --all --check".to_owned())]));
    }
    Some(Found {
        kind: Kind::Cargo,
        file,
        builders,
    })
}

fn go(root: &mut Root<'_>) -> Option<Found> {
    let file = root.first(&["go.mod", "go.work"])?;
    let steps = [
        ("build", "go build ./..."),
        ("vet", "go vet ./..."),
        ("test", "go test ./..."),
    ];
    Some(one(Kind::Go, file, steps))
}

fn npm(root: &mut Root<'_>) -> Option<Found> {
    let file = root.first(&["package.json"])?;
    let package: Value = serde_json::from_str(&root.text(file)).ok()?;
    let script = |name: &str| package.get("scripts")?.get(name)?.as_str();
    let has_build = script("build").is_some();
    // What `npm init` writes is no test.
    let has_test = script("test").is_some_and(|test| !test.contains("no test specified"));
    if !has_build && !has_test {
        return None;
    }
    let (tool, install) = if root.has("pnpm-lock.yaml") {
        ("pnpm", "pnpm install --frozen-lockfile")
    } else if root.has("yarn.lock") {
        ("yarn", "yarn install --frozen-lockfile")
    } else if root.first(&["bun.lock", "bun.lockb"]).is_some() {
        ("bun", "bun install --frozen-lockfile")
    } else if root
        .first(&["package-lock.json", "npm-shrinkwrap.json"])
        .is_some()
    {
        ("npm", "npm ci")
    } else {
        ("npm", "npm install")
    };
    let mut steps = vec![("install", install.to_owned())];
    if has_build {
        steps.push(("build", format!("{tool} run build")));
    }
    if has_test {
        steps.push(("test", format!("{tool} run test")));
    }
    Some(Found {
        kind: Kind::Npm,
        file,
        builders: vec![("test", steps)],
    })
}

fn cmake(root: &mut Root<'_>) -> Option<Found> {
    let file = root.first(&["CMakeLists.txt"])?;
    let mut steps = vec![
        ("configure", "cmake -S . -B build"),
        ("build", "cmake --build build"),
    ];
    let text = root.text(file).to_lowercase();
    let tests = text
        .lines()
        .map(|line| line.replace([' ', '\t'], ""))
        .any(|line| line.starts_with("enable_testing(") || line.starts_with("include(ctest"));
    if tests {
        steps.push(("test", "ctest --test-dir build --output-on-failure"));
    }
    Some(one(Kind::CMake, file, steps))
}

fn make(root: &mut Root<'_>) -> Option<Found> {
    let file = root.first(&["GNUmakefile", "makefile", "Makefile"])?;
    let text = root.text(file);
    let targets: Vec<&str> = text.lines().flat_map(targets).collect();
    let build = targets
        .iter()
        .any(|target| ["all", "build"].contains(target));
    let test = ["test", "check"]
        .into_iter()
        .find(|test| targets.contains(test));
    let mut steps = Vec::new();
    // Where nothing is called a test, the default target is all there is.
    if test.is_none() && !targets.is_empty() || targets.contains(&"all") {
        steps.push(("build", "make"));
    } else if build {
        steps.push(("build", "make build"));
    }
    match test {
        Some("check") => steps.push(("test", "make check")),
        Some(_) => steps.push(("test", "make test")),
        None => {}
    }
    (!steps.is_empty()).then(|| one(Kind::Make, file, steps))
}

/// Targets that a line of a makefile gives rules for.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let names = match line.split_once(':') {
        // `a := b` and `a ::= b` are assignments; a tab starts a command.
        Some((names, rest))
            if !rest.trim_start_matches(':').starts_with('=')
                && !names.starts_with(['\t', '#', '.'])
                && !names.contains('=') =>
        {
            names
        }
        _ => "",
    };
    names
        .split_whitespace()
        .filter(|name| !name.contains(['=', '$', '%', '#', '"', '\'']))
}

fn script(root: &mut Root<'_>) -> Option<Found> {
    let names: &[(&str, &str)] = if root.has("ci.sh") {
        &[("ci", "ci.sh")]
    } else {
        &[("build", "build.sh"), ("test", "test.sh")]
    };
    let mut found = None;
    let mut steps = Vec::new();
    for (step, file) in names.iter().copied() {
        if !root.has(file) {
            continue;
        }
        found.get_or_insert(file);
        // Without a first line that names its interpreter a script can only be given to one.
        let shell = if root.text(file).starts_with("#!") {
            ""
        } else {
            "sh "
        };
        steps.push((step, format!("{shell}./{file}")));
    }
    Some(Found {
        kind: Kind::Script,
        file: found?,
        builders: vec![("test", steps)],
    })
}

/// One builder, `test`, with these steps.
fn one(
    kind: Kind,
    file: &'static str,
    steps: impl IntoIterator<Item = (&'static str, &'static str)>,
) -> Found {
    let steps = steps
        .into_iter()
        .map(|(name, run)| (name, run.to_owned()))
        .collect();
    Found {
        kind,
        file,
        builders: vec![("test", steps)],
    }
}

fn builder(name: &str, host: &str, steps: Steps) -> Builder {
    Builder {
        name: name.to_owned(),
        host: host.to_owned(),
        description: None,
        env: BTreeMap::new(),
        dir: None,
        timeout: DEFAULT_TIMEOUT,
        steps: steps
            .into_iter()
            .map(|(name, run)| Step {
                name: name.to_owned(),
                run,
                timeout: None,
                env: BTreeMap::new(),
                dir: None,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests;
