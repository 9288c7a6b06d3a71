//! What a build will do, fixed at the moment it is queued.

use std::collections::BTreeMap;
use std::time::Duration;

use buildfarm_dashboard::config::{Builder, Farm, Host};
use serde::{Deserialize, Serialize};

use crate::life::RetryPolicy;

/// The commands of a build and the limits on them.
///
/// A plan is stored with its build, so that a change of configuration never alters work that is already queued or running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Program and leading arguments that a step's `run` text is given to, for example `["sh", "-c"]`.
    pub shell: Vec<String>,
    /// Directory the steps run in, relative to the root of the source tree; empty for the root itself.
    pub dir: String,
    /// Environment for every step.
    pub env: BTreeMap<String, String>,
    /// Limit on all commands together. Fetching the source and unpacking it have as much again.
    pub timeout: Duration,
    /// What follows an infrastructure failure.
    pub retry: RetryPolicy,
    /// Most bytes of output that are kept of an attempt.
    pub log_limit: u64,
    /// The commands, in order. The first that fails ends the build.
    pub steps: Vec<PlanStep>,
}

/// One command of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanStep {
    /// Name that people see.
    pub name: String,
    /// Command line for the plan's shell.
    pub run: String,
    /// Directory instead of the plan's.
    pub dir: Option<String>,
    /// Environment on top of the plan's.
    pub env: BTreeMap<String, String>,
    /// Limit on this command alone.
    pub timeout: Option<Duration>,
}

impl Plan {
    /// What `builder` of `farm` does. Its steps see the host's environment, then the builder's.
    ///
    /// A builder whose host the farm does not know gets `sh -c`; a farm that was parsed has none such.
    #[must_use]
    pub fn new(farm: &Farm, builder: &Builder) -> Self {
        let host = farm
            .host(&builder.host)
            .cloned()
            .unwrap_or_else(|| Host::new(&*builder.host));
        let mut env = host.env;
        env.extend(builder.env.clone());
        Self {
            shell: host.shell,
            dir: builder.dir.clone().unwrap_or_default(),
            env,
            timeout: builder.timeout,
            retry: RetryPolicy {
                budget: farm.retry.infra,
                first: farm.retry.backoff_first,
                most: farm.retry.backoff_max,
            },
            log_limit: farm.logs.limit,
            steps: builder
                .steps
                .iter()
                .map(|step| PlanStep {
                    name: step.name.clone(),
                    run: step.run.clone(),
                    dir: step.dir.clone(),
                    env: step.env.clone(),
                    timeout: step.timeout,
                })
                .collect(),
        }
    }
}
