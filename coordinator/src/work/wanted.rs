//! Which builds a commit wants.

use std::collections::BTreeMap;

use buildfarm_dashboard::config::{Decision, Farm, MAX_FILE, Project};
use buildfarm_dashboard::detect;
use buildfarm_dashboard::record::Outcome;

use super::SourceError;
use super::tree::{Entry, Tree};
use crate::plan::Plan;
use crate::run::chain;
use crate::store::{BuildStart, NewBuild};

/// Builder under which a commit shows that its configuration cannot be used.
pub const CONFIG_BUILDER: &str = "farm.toml";

/// Files whose content tells how a project is built; of all others the name says enough.
const DETECT_READS: [&str; 4] = ["package.json", "GNUmakefile", "makefile", "Makefile"];

/// Where builders come from.
#[derive(Debug, Clone)]
pub enum ConfigFrom {
    /// This configuration, for every commit.
    Fixed(Box<Farm>),
    /// Each commit's own `farm.toml`; for commits without one the given configuration; without that, what can be told from
    /// the files of the commit.
    Commit(Option<Box<Farm>>),
}

/// Decides which builds a commit wants.
#[derive(Debug)]
pub(super) struct Wanted {
    from: ConfigFrom,
    default_host: String,
}

impl Wanted {
    pub(super) fn new(from: ConfigFrom, default_host: String) -> Self {
        Self { from, default_host }
    }

    /// What is known of the project before any commit was read.
    pub(super) fn project(&self) -> Project {
        match &self.from {
            ConfigFrom::Fixed(farm) | ConfigFrom::Commit(Some(farm)) => farm.project.clone(),
            ConfigFrom::Commit(None) => Project::default(),
        }
    }

    /// The builds that a commit on `branch` wants. A commit whose configuration is wrong wants one build, which has failed
    /// already and says why: a mistake is shown, not swallowed. So does a commit that git itself cannot read, for others come
    /// after it.
    pub(super) async fn builds(
        &self,
        tree: &Tree<'_>,
        branch: &str,
    ) -> Result<Vec<NewBuild>, SourceError> {
        match self.decide(tree, branch).await {
            Ok(Ok(builds)) => Ok(builds),
            Ok(Err((outcome, reason))) => Ok(vec![self.over(outcome, reason)]),
            Err(error @ (SourceError::Git { .. } | SourceError::TooMuch { .. })) => {
                let reason = format!("the commit cannot be read: {}", chain(&error));
                Ok(vec![self.over(Outcome::InfraFailed, reason)])
            }
            Err(error) => Err(error),
        }
    }

    fn over(&self, outcome: Outcome, reason: String) -> NewBuild {
        NewBuild {
            builder: CONFIG_BUILDER.to_owned(),
            host_type: self.default_host.clone(),
            start: BuildStart::Done(outcome, reason),
        }
    }

    async fn decide(
        &self,
        tree: &Tree<'_>,
        branch: &str,
    ) -> Result<Result<Vec<NewBuild>, (Outcome, String)>, SourceError> {
        let farm = match self.farm(tree).await? {
            Ok(farm) => farm,
            Err(over) => return Ok(Err(over)),
        };
        if !farm.builds_branch(branch) {
            return Ok(Ok(Vec::new()));
        }
        let paths = if farm.policies.iter().any(|p| !p.paths.is_empty()) {
            tree.changed_paths().await?
        } else {
            Vec::new()
        };
        let builds = farm.builders.iter().map(|builder| NewBuild {
            builder: builder.name.clone(),
            host_type: builder.host.clone(),
            start: match farm.decide(&builder.name, branch, &paths) {
                Decision::Run => BuildStart::Queue(Plan::new(&farm, builder)),
                Decision::Skip(reason) => BuildStart::Done(Outcome::Skipped, reason),
            },
        });
        Ok(Ok(builds.collect()))
    }

    async fn farm(&self, tree: &Tree<'_>) -> Result<Result<Farm, (Outcome, String)>, SourceError> {
        let fallback = match &self.from {
            ConfigFrom::Fixed(farm) => return Ok(Ok((**farm).clone())),
            ConfigFrom::Commit(fallback) => fallback,
        };
        let root = tree.root().await?;
        if let Some(entry) = root.iter().find(|entry| entry.name == "farm.toml") {
            let wrong = |what: String| Ok(Err((Outcome::Failed, format!("farm.toml {what}"))));
            return match entry.file {
                None => wrong("is not a file".to_owned()),
                Some(size) if size > MAX_FILE as u64 => {
                    wrong(format!("has {size} bytes, the limit is {MAX_FILE}"))
                }
                Some(_) => {
                    let text = tree.file("farm.toml").await?;
                    let farm = Farm::parse_for("farm.toml", text, &self.default_host);
                    Ok(farm.map_err(|errors| (Outcome::Failed, errors.to_string())))
                }
            };
        }
        if let Some(farm) = fallback {
            return Ok(Ok((**farm).clone()));
        }
        let mut files = BTreeMap::new();
        for Entry { name, file } in &root {
            if DETECT_READS.contains(&name.as_str())
                && file.is_some_and(|size| size <= MAX_FILE as u64)
            {
                let content = tree.file(name).await?;
                files.insert(
                    name.as_str(),
                    String::from_utf8_lossy(&content).into_owned(),
                );
            }
        }
        let names: Vec<_> = root.iter().map(|entry| entry.name.clone()).collect();
        let detected = detect::detect(&names, |name| files.get(name).cloned());
        Ok(detected
            .map(|d| d.farm)
            .map_err(|nothing| (Outcome::Skipped, nothing.to_string())))
    }
}
