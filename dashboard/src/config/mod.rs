//! `farm.toml`: what is built, where, and how.
//!
//! Reading is pure: text in, a [`Farm`] or every mistake with its place out. Only [`Farm::load`] touches a file.

mod error;
mod nearest;
mod read;
mod section;
mod write;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

pub use error::{ConfigError, ConfigErrors, LoadError};

use crate::glob::Glob;
use crate::host_type::default_host_type;
use crate::units::format_duration;

/// Largest `farm.toml` in bytes.
pub const MAX_FILE: usize = 1 << 20;
/// Most hosts, builders or policies, each.
pub const MAX_ENTRIES: usize = 1_000;
/// Most steps of one builder.
pub const MAX_STEPS: usize = 100;
/// Most patterns in one list.
pub const MAX_GLOBS: usize = 100;
/// Most variables in one `env`.
pub const MAX_ENV: usize = 200;
/// Longest name of a host, builder or step in characters.
pub const MAX_NAME: usize = 64;
/// Longest string value in bytes.
pub const MAX_STRING: usize = 64 << 10;
/// Longest time limit that can be set.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(30 * 24 * 3600);

/// Everything `farm.toml` says, checked.
///
/// One that came from [`parse`](Self::parse) or [`load`](Self::load) is valid. Its fields are open so that programs
/// and tests can make one by hand; parse the output of [`to_toml`](Self::to_toml) to check such a one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Farm {
    /// `[project]`.
    pub project: Project,
    /// `[host.NAME]` by name, and the default host type where a builder uses it undeclared.
    pub hosts: BTreeMap<String, Host>,
    /// `[builder.NAME]` in the order of the file; at least one.
    pub builders: Vec<Builder>,
    /// `[[policy]]` in the order of the file.
    pub policies: Vec<Policy>,
    /// `[retry]`.
    pub retry: Retry,
    /// `[logs]`.
    pub logs: Logs,
    /// Host type of the builders that name none.
    #[serde(skip)]
    pub default_host: String,
}

/// What is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Project {
    /// Name on pages and in reports; `None` leaves it to the program, which takes the repository's.
    pub name: Option<String>,
    /// Branches whose new commits are built. Default: `*`, all.
    pub branches: Vec<Glob>,
    /// Newest commits of the default branch that are built when the farm starts for the first time; 1 to 1000. Default: 5.
    pub recent: u32,
    /// Time between two looks at the repository; 100 ms to 1 day. Default: 2 s.
    #[serde(serialize_with = "human_duration")]
    pub poll: Duration,
}

/// A kind of machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Host {
    /// Name, unique, such as `linux-amd64`.
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// Operating system under its Go name, for people and pages.
    pub os: Option<String>,
    /// Workers that should be connected; 0 means that nobody counts. At most 10 000.
    pub expect: u32,
    /// Variables for every command on this kind of machine.
    pub env: BTreeMap<String, String>,
    /// Program and arguments to which a step's `run` is appended. Default: `sh -c`.
    pub shell: Vec<String>,
}

impl Host {
    /// A host with nothing set but its name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: None,
            os: None,
            expect: 0,
            env: BTreeMap::new(),
            shell: default_shell(),
        }
    }
}

/// A column of the board: steps to run for each commit on one kind of machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Builder {
    /// Name, unique, such as `test` or `linux-amd64-race`.
    pub name: String,
    /// Name of the host it runs on.
    pub host: String,
    /// For people.
    pub description: Option<String>,
    /// Variables for every step; wins over the host's.
    pub env: BTreeMap<String, String>,
    /// Folder of the checkout its steps run in; `None` is the checkout's root.
    pub dir: Option<String>,
    /// Time limit of the whole attempt. Default: 30 min.
    #[serde(serialize_with = "human_duration")]
    pub timeout: Duration,
    /// Commands in order; at least one.
    pub steps: Vec<Step>,
}

/// One command of a builder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Name, unique in its builder.
    pub name: String,
    /// Command text for the host's shell.
    pub run: String,
    /// Time limit of this step alone; `None` leaves it to the builder's.
    #[serde(serialize_with = "human_duration_option")]
    pub timeout: Option<Duration>,
    /// Variables of this step; wins over the builder's.
    pub env: BTreeMap<String, String>,
    /// Folder of the checkout this step runs in, instead of the builder's.
    pub dir: Option<String>,
}

/// A rule that says which builders need not run. The first rule that applies decides; without one the builder runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// Builders it is for. Default: `*`.
    pub builders: Vec<Glob>,
    /// Branches it is for. Default: `*`.
    pub branches: Vec<Glob>,
    /// Paths it is for; empty means all. See [`Farm::decide`].
    pub paths: Vec<Glob>,
    /// What it says.
    pub action: Action,
    /// Why, for people.
    pub reason: Option<String>,
}

/// What a policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Build it.
    Run,
    /// Record it as skipped.
    Skip,
}

/// What happens after a failure that was not the command's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Retry {
    /// Further attempts after infrastructure failures; 0 to 100. Default: 3.
    pub infra: u32,
    /// Wait before the first of them. Default: 1 s.
    #[serde(serialize_with = "human_duration")]
    pub backoff_first: Duration,
    /// Longest wait. Default: 2 min.
    #[serde(serialize_with = "human_duration")]
    pub backoff_max: Duration,
}

impl Retry {
    /// Wait before the retry with this number, counted from 1: the first wait, doubled each time, up to the longest.
    ///
    /// Callers add their own jitter.
    #[must_use]
    pub fn delay(&self, retry: u32) -> Duration {
        let doublings = retry.saturating_sub(1).min(31);
        self.backoff_first
            .saturating_mul(1 << doublings)
            .min(self.backoff_max)
    }
}

/// Limits of logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Logs {
    /// Largest log of one attempt in bytes; what comes after is dropped and said so. 64 KiB to 1 TiB. Default: 64 MiB.
    pub limit: u64,
}

/// Whether a builder runs for a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It does.
    Run,
    /// It does not, for this reason.
    Skip(String),
}

impl Farm {
    /// Reads `farm.toml` from text or bytes. `file` is its name in messages.
    ///
    /// A builder without `host` runs on [`default_host_type`].
    ///
    /// # Errors
    /// All mistakes found, at most [`ConfigErrors::MAX`], each with line, column and fix.
    ///
    /// ```
    /// use buildfarm_dashboard::Farm;
    /// let farm = Farm::parse("farm.toml", r#"
    ///     [builder.test]
    ///     steps = [{ name = "test", run = "make test" }]
    /// "#)?;
    /// assert_eq!(farm.builders[0].name, "test");
    ///
    /// let wrong = Farm::parse("farm.toml", "[builder.test]\nstep = []").unwrap_err();
    /// assert_eq!(wrong.first().to_string(), "farm.toml:2:1: unknown key 'step', did you mean 'steps'?");
    /// # Ok::<(), buildfarm_dashboard::ConfigErrors>(())
    /// ```
    pub fn parse(file: &str, text: impl AsRef<[u8]>) -> Result<Self, ConfigErrors> {
        Self::parse_for(file, text, &default_host_type())
    }

    /// As [`parse`](Self::parse), for a farm whose default host type is not this machine's.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_for(
        file: &str,
        text: impl AsRef<[u8]>,
        default_host: &str,
    ) -> Result<Self, ConfigErrors> {
        read::farm(file, text.as_ref(), default_host)
    }

    /// Reads the file at `path`, never more than [`MAX_FILE`] bytes of it.
    ///
    /// # Errors
    /// [`LoadError::Read`] if the file cannot be read, [`LoadError::Config`] with all mistakes in it.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        use std::io::Read as _;
        let path = path.as_ref();
        let read = |source| LoadError::Read {
            path: path.to_owned(),
            source,
        };
        let file = std::fs::File::open(path).map_err(read)?;
        let mut bytes = Vec::new();
        // One byte more than allowed tells "full" from "too large".
        file.take(MAX_FILE as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(read)?;
        Ok(Self::parse(&path.display().to_string(), bytes)?)
    }

    /// Writes a commented `farm.toml` that [`parse_for`](Self::parse_for) reads back as an equal farm.
    ///
    /// What is at its default is left out or shown as a comment.
    #[must_use]
    pub fn to_toml(&self) -> String {
        write::farm(self)
    }

    /// SHA-256 of the farm's canonical form in lower-case hex. Comments, spacing and spelled-out defaults do not
    /// change it; anything that changes what runs does.
    #[must_use]
    pub fn hash(&self) -> String {
        // Serialising plain structs, strings and string-keyed maps into memory cannot fail.
        let canonical = serde_json::to_vec(self).unwrap_or_default();
        crate::keys::hex(&Sha256::digest(canonical))
    }

    /// The builder of this name.
    #[must_use]
    pub fn builder(&self, name: &str) -> Option<&Builder> {
        self.builders.iter().find(|builder| builder.name == name)
    }

    /// The host of this name.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.get(name)
    }

    /// Whether new commits on this branch are built at all.
    #[must_use]
    pub fn builds_branch(&self, branch: &str) -> bool {
        any(&self.project.branches, branch)
    }

    /// Whether a builder runs for a commit on `branch` that changed these paths (relative to the root, with `/`).
    ///
    /// The first policy that applies decides. One with `paths` applies, if it says *run*, when **any** changed path
    /// matches; if it says *skip*, only when **every** changed path does, so that a commit is never skipped for the
    /// harmless half of it. An empty list means that the changes are not known: then *run* applies, *skip* does not.
    #[must_use]
    pub fn decide<P: AsRef<str>>(
        &self,
        builder: &str,
        branch: &str,
        changed_paths: &[P],
    ) -> Decision {
        let hit = |path: &P, globs: &[Glob]| globs.iter().any(|g| g.matches_path(path.as_ref()));
        for (index, policy) in self.policies.iter().enumerate() {
            if !any(&policy.builders, builder) || !any(&policy.branches, branch) {
                continue;
            }
            let known = !changed_paths.is_empty();
            let everywhere = policy.paths.is_empty();
            let mut hits = changed_paths.iter().map(|path| hit(path, &policy.paths));
            match policy.action {
                Action::Run if everywhere || !known || hits.any(|hit| hit) => return Decision::Run,
                Action::Skip if everywhere || known && hits.all(|hit| hit) => {
                    let reason = policy.reason.clone();
                    return Decision::Skip(
                        reason.unwrap_or_else(|| format!("skipped by policy {}", index + 1)),
                    );
                }
                Action::Run | Action::Skip => {}
            }
        }
        Decision::Run
    }

    /// Variables a step runs with: the host's, over them the builder's, over them the step's own.
    #[must_use]
    pub fn env(&self, builder: &Builder, step: &Step) -> BTreeMap<String, String> {
        let mut env = self
            .host(&builder.host)
            .map(|host| host.env.clone())
            .unwrap_or_default();
        env.extend(builder.env.clone());
        env.extend(step.env.clone());
        env
    }

    /// Program and arguments that run a step: its host's shell with the command appended.
    #[must_use]
    pub fn command(&self, builder: &Builder, step: &Step) -> Vec<String> {
        let mut command = self
            .host(&builder.host)
            .map_or_else(default_shell, |host| host.shell.clone());
        command.push(step.run.clone());
        command
    }
}

impl Builder {
    /// Folder of the checkout a step runs in; `None` is the checkout's root.
    #[must_use]
    pub fn dir<'a>(&'a self, step: &'a Step) -> Option<&'a str> {
        step.dir.as_deref().or(self.dir.as_deref())
    }
}

impl Default for Project {
    fn default() -> Self {
        Self {
            name: None,
            branches: everything(),
            recent: 5,
            poll: Duration::from_secs(2),
        }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            infra: 3,
            backoff_first: Duration::from_secs(1),
            backoff_max: Duration::from_secs(120),
        }
    }
}

impl Default for Logs {
    fn default() -> Self {
        Self { limit: 64 << 20 }
    }
}

/// Time limit of a builder that sets none.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Whether a text can name a host, builder or step: `[a-z0-9][a-z0-9._-]{0,63}`.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= MAX_NAME
        && bytes
            .next()
            .is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
}

fn any(globs: &[Glob], name: &str) -> bool {
    globs.iter().any(|glob| glob.matches(name))
}

fn everything() -> Vec<Glob> {
    "*".parse().into_iter().collect()
}

fn default_shell() -> Vec<String> {
    vec!["sh".to_owned(), "-c".to_owned()]
}

fn human_duration<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_duration(*duration))
}

fn human_duration_option<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => human_duration(duration, serializer),
        None => serializer.serialize_none(),
    }
}
