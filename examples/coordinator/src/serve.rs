//! The farm itself: everything put together, from the command line to the last connection.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use buildfarm_coordinator::logs::FileLogs;
use buildfarm_coordinator::pool::{self, Gate, Pool, ReversePool};
use buildfarm_coordinator::store::{SqliteStore, Store, WorkerKey};
use buildfarm_coordinator::web::{self, View};
use buildfarm_coordinator::work::{ConfigFrom, GitConfig, GitSource, WorkSource};
use buildfarm_coordinator::{Event, Farm, FarmConfig};
use buildfarm_dashboard::config::Farm as Config;
use buildfarm_dashboard::{default_host_type, keys};
use buildfarm_https::{Plain, Server};
use example_cli::{Reach, say};
use jiff::Timestamp;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cli;
use crate::data::Data;
use crate::init::detect_folder;
use crate::local::LocalWorker;
use crate::progress;

/// Events a slow watcher may fall behind before it has to look at the present state instead.
const EVENTS: usize = 4096;
/// Time that open pages get at the end; they come back by themselves at the next start.
const PAGES_GRACE: Duration = Duration::from_secs(1);
/// Time for the last things when all is recorded.
const LAST_GRACE: Duration = Duration::from_millis(500);
/// Packed trees that are kept.
const ARCHIVE_BUDGET: u64 = 2 << 30;

pub(crate) async fn run(args: cli::Run) -> anyhow::Result<()> {
    let repo = Repo::find(&args.repo)?;
    let project = Project::of(&repo, args.config.as_deref())?;
    let data = Data::open(&args.data.clone().unwrap_or_else(|| repo.default_data()))?;

    let identity = args.tls.identity(&data.root)?;
    let join_key = data.join_key(identity.spki_sha256())?;
    let legacy_master = match &args.legacy_master_key {
        Some(path) => Some(Arc::new(keys::MasterKey::new(
            std::fs::read_to_string(path)
                .with_context(|| format!("{} cannot be read", path.display()))?
                .trim(),
        )?)),
        None => None,
    };

    let store = Arc::new(SqliteStore::open(&data.root.join("farm.db")).await?);
    store
        .add_worker_key(
            &WorkerKey {
                hash: *join_key.hash().as_bytes(),
                scope: "*".to_owned(),
            },
            Timestamp::now(),
        )
        .await?;
    let logs = Arc::new(FileLogs::open(&data.root.join("logs"))?);
    let (events, watcher) = broadcast::channel::<Event>(EVENTS);
    let reverse = ReversePool::new(events.clone());
    let pools: Vec<Arc<dyn Pool>> = vec![Arc::new(reverse.clone())];
    let host_type = default_host_type();
    let source = GitSource::open(GitConfig {
        url: repo.url.clone(),
        cache_dir: data.root.join("git"),
        config: project.config.clone(),
        default_host: host_type.clone(),
        recent: args.recent,
        poll: None,
        archive_budget: ARCHIVE_BUDGET,
    })
    .await?;

    let server = Server::bind(args.listen).await.with_context(|| {
        format!("{} cannot be listened on: is another coordinator running? Give this one its own with --listen", args.listen)
    })?;
    let address = server.local_addr();
    let reach = Reach::new(address, &args.tls);
    let view = View {
        project: project.name.clone(),
        store: store.clone(),
        logs: logs.clone(),
        pools: pools.clone(),
        events: events.clone(),
        join_hint: format!(
            "buildlet --coordinator {} --key-file worker.key",
            reach.elsewhere
        ),
    };
    let gate = Gate {
        pool: reverse.clone(),
        store: store.clone(),
        registry: Default::default(),
        legacy_master,
    };
    let app = web::router(view).merge(pool::router(gate));

    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    // Pages go on while the farm behind them stops: the last thing people see is how it ended.
    let stop_serving = CancellationToken::new();
    let mut limits = buildfarm_https::Limits::default();
    limits.grace = PAGES_GRACE;
    let served = tokio::spawn(
        server
            .identity(identity)
            .plain(Plain::Loopback)
            .limits(limits)
            .serve(app, stop_serving.clone()),
    );

    // Without the password that a URL may carry.
    let builds = source.name().trim_start_matches("git ").to_owned();
    let farm_config = FarmConfig {
        store: store.clone(),
        logs,
        pools,
        sources: vec![Arc::new(source)],
        events,
    };
    let farm = Farm::start(farm_config).await?;
    print_banner(&args, &project, &builds, &data, &reach);
    tasks.spawn(progress::follow(watcher));
    for n in 1..=args.workers {
        let worker = LocalWorker {
            coordinator: reach.here.clone(),
            key_file: data.join_key_path(),
            workdir: data.root.join("workers").join(n.to_string()),
            hostname: format!("local-{n}"),
            host_type: host_type.clone(),
        };
        tasks.spawn(worker.keep(stop.clone()));
    }
    tasks.close();

    tokio::pin!(served);
    let ended = tokio::select! {
        signal = example_cli::stop_signal() => {
            signal?;
            say("Stopping: running builds are recorded and will run again.");
            None
        }
        ended = &mut served => Some(ended),
    };
    // First the builds, then their workers: a worker that goes first would look lost.
    farm.shutdown().await;
    stop.cancel();
    reverse.shutdown().await;
    stop_serving.cancel();
    match ended {
        Some(ended) => ended??,
        None => served.await??,
    }
    // Somebody who holds the file locked is not waited for.
    let rest = async { tokio::join!(store.close(), tasks.wait()) };
    let _ = tokio::time::timeout(LAST_GRACE, rest).await;
    Ok(())
}

/// The repository to build.
struct Repo {
    /// What git is given: an absolute path or a URL.
    url: String,
    /// The folder, if it is one.
    folder: Option<PathBuf>,
}

impl Repo {
    fn find(repo: &str) -> anyhow::Result<Self> {
        let path = Path::new(repo);
        if !path.exists() {
            anyhow::ensure!(
                repo.contains(':'),
                "{repo:?} is neither a folder nor a URL: name a git repository with --repo, or start the coordinator in one"
            );
            return Ok(Self {
                url: repo.to_owned(),
                folder: None,
            });
        }
        let path = path.canonicalize()?;
        // Any folder inside a working tree stands for the repository.
        let root = path.ancestors().find(|p| p.join(".git").exists());
        let bare = path.join("objects").is_dir() && path.join("HEAD").is_file();
        let folder = root.or_else(|| bare.then_some(&*path)).with_context(|| {
            format!(
                "{} is not a git repository: name one with --repo, or start the coordinator in one",
                path.display()
            )
        })?;
        Ok(Self {
            url: folder.to_string_lossy().into_owned(),
            folder: Some(folder.to_owned()),
        })
    }

    fn default_data(&self) -> PathBuf {
        self.folder.clone().unwrap_or_default().join(".buildfarm")
    }

    fn name(&self) -> String {
        let url = self.url.trim_end_matches(['/', '\\']);
        let last = url.rsplit(['/', '\\', ':']).next().unwrap_or(url);
        last.strip_suffix(".git").unwrap_or(last).to_owned()
    }
}

/// What is known of the project before any commit is read.
struct Project {
    name: String,
    config: ConfigFrom,
    /// For the banner: where builders come from, and which.
    told: String,
}

impl Project {
    fn of(repo: &Repo, config: Option<&Path>) -> anyhow::Result<Self> {
        let named = |farm: &Config| farm.project.name.clone().unwrap_or_else(|| repo.name());
        if let Some(path) = config {
            let farm = Config::load(path)?;
            let told = format!("{} (from {})", builders(&farm), path.display());
            return Ok(Self {
                name: named(&farm),
                config: ConfigFrom::Fixed(Box::new(farm)),
                told,
            });
        }
        let Some(folder) = &repo.folder else {
            return Ok(Self {
                name: repo.name(),
                config: ConfigFrom::Commit(None),
                told: "each commit's farm.toml, or what its files tell".to_owned(),
            });
        };
        let path = folder.join("farm.toml");
        if path.exists() {
            let farm = Config::load(&path)?;
            let told = format!("{} (farm.toml)", builders(&farm));
            return Ok(Self {
                name: named(&farm),
                config: ConfigFrom::Commit(Some(Box::new(farm))),
                told,
            });
        }
        let told = match detect_folder(folder) {
            Ok(found) => format!(
                "{} ({}; `coordinator init` writes this as farm.toml)",
                builders(&found.farm),
                found.kind
            ),
            Err(error) => {
                let text = format!("{error:#}");
                text.lines().next().unwrap_or_default().to_owned()
            }
        };
        Ok(Self {
            name: repo.name(),
            config: ConfigFrom::Commit(None),
            told,
        })
    }
}

fn builders(farm: &Config) -> String {
    farm.builders
        .iter()
        .map(|b| b.name.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

fn print_banner(args: &cli::Run, project: &Project, builds: &str, data: &Data, reach: &Reach) {
    let bold = anstyle::Style::new().bold();
    let link = anstyle::AnsiColor::Cyan.on_default().underline();
    let workers = match args.workers {
        0 => "none here; waiting for machines to join".to_owned(),
        1 => format!("1 on this machine ({})", default_host_type()),
        n => format!("{n} on this machine ({})", default_host_type()),
    };
    // Whoever started this with cargo has no `buildlet` on the PATH.
    let buildlet = if std::env::var_os("CARGO_MANIFEST_DIR").is_some() {
        "cargo run --release --bin buildlet --"
    } else {
        "buildlet"
    };
    say(format_args!(
        "\n  {bold}buildfarm{bold:#}  {}\n",
        project.name
    ));
    say(format_args!("  open      {link}{}{link:#}", reach.url));
    say(format_args!("  builds    {builds}"));
    say(format_args!("  builders  {}", project.told));
    say(format_args!("  workers   {workers}"));
    say(format_args!(
        "  add one   {buildlet} --coordinator {} --key-file {}",
        reach.elsewhere,
        data.join_key_path().display()
    ));
    say(format_args!("  data      {}", data.root.display()));
    say(format_args!("  stop      Ctrl-C\n"));
}
