//! Which builds a commit wants.

use std::collections::BTreeMap;

use buildfarm_dashboard::config::{Decision, Farm, Project};
use buildfarm_dashboard::detect;
use buildfarm_dashboard::record::Outcome;

use super::SourceError;
use super::git::Tree;
use crate::plan::Plan;
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
    /// already and says why: a mistake is shown, not swallowed.
    pub(super) async fn builds(
        &self,
        tree: &Tree<'_>,
        branch: &str,
    ) -> Result<Vec<NewBuild>, SourceError> {
        let farm = match self.farm(tree).await? {
            Ok(farm) => farm,
            Err((outcome, reason)) => {
                return Ok(vec![NewBuild {
                    builder: CONFIG_BUILDER.to_owned(),
                    host_type: self.default_host.clone(),
                    start: BuildStart::Done(outcome, reason),
                }]);
            }
        };
        if !farm.builds_branch(branch) {
            return Ok(Vec::new());
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
        Ok(builds.collect())
    }

    async fn farm(&self, tree: &Tree<'_>) -> Result<Result<Farm, (Outcome, String)>, SourceError> {
        let fallback = match &self.from {
            ConfigFrom::Fixed(farm) => return Ok(Ok((**farm).clone())),
            ConfigFrom::Commit(fallback) => fallback,
        };
        if let Some(text) = tree.file("farm.toml").await? {
            let farm = Farm::parse_for("farm.toml", text, &self.default_host);
            return Ok(farm.map_err(|errors| (Outcome::Failed, errors.to_string())));
        }
        if let Some(farm) = fallback {
            return Ok(Ok((**farm).clone()));
        }
        let names = tree.root_names().await?;
        let mut files = BTreeMap::new();
        for name in names
            .iter()
            .filter(|name| DETECT_READS.contains(&name.as_str()))
        {
            if let Some(content) = tree.file(name).await? {
                files.insert(
                    name.as_str(),
                    String::from_utf8_lossy(&content).into_owned(),
                );
            }
        }
        let detected = detect::detect(&names, |name| files.get(name).cloned());
        Ok(detected
            .map(|d| d.farm)
            .map_err(|nothing| (Outcome::Skipped, nothing.to_string())))
    }
}
