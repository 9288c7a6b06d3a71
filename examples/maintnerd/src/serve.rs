//! From the command line to a running server, and back.

use std::{collections::HashSet, net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context, bail};
use axum::{Json, Router, extract::State, routing::get};
use buildfarm_https::{Identity, Limits, Plain, Server};
use example_cli::{Reach, Tls};
use maintner::{
    api::Service,
    corpus::{live::Follower, snapshot_file::SnapshotDir},
    leader::Leader,
    log::{Segment, SegmentLog, server::LogServer},
    pages::Pages,
    sync::{self, Progress, Wake, git::GitRepo},
};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{cli, data, progress::Board};

/// How long requests may take to their end after the server was asked to stop. Followers that wait
/// for news are cut off; they ask again.
const GRACE: Duration = Duration::from_secs(1);

pub(crate) async fn run(args: cli::Run) -> anyhow::Result<()> {
    let repos = open_repos(&args.git).await?;
    #[cfg(feature = "object-store")]
    let bucket = args.log.as_deref();
    #[cfg(not(feature = "object-store"))]
    let bucket: Option<&str> = None;
    let folder = match (&args.data_dir, repos.first(), bucket) {
        (Some(folder), ..) => folder.clone(),
        (None, _, Some(url)) => data::folder_for("bucket", url)?,
        (None, Some(repo), None) => data::default_for(repo)?,
        (None, None, None) => {
            bail!("nothing to mirror: name a git repository with --git, or a log with --data-dir")
        }
    };
    // Beside a bucket, the folder may have a log of its own.
    let kept = match (&args.data_dir, bucket) {
        (Some(folder), Some(url)) => folder.join(data::name_for("bucket", url)),
        _ => folder.clone(),
    };
    let quits = args.sync_and_quit || args.init_and_quit;
    // Before anything that takes long: who cannot listen, or has no certificate, should know at once.
    let server = if quits {
        None
    } else {
        Some(listen(args.listen).await?)
    };
    let log = match bucket {
        #[cfg(feature = "object-store")]
        Some(url) => data::open_bucket(url, &kept).await?,
        _ => data::open(&folder).await?,
    };
    let place = match server {
        Some(server) => Some(Place {
            identity: args.tls.identity(&folder)?,
            server,
            tls: &args.tls,
            folder: &folder,
            log: bucket.map_or(&*folder, Path::new),
            segments_url: args.segments_url,
        }),
        None => None,
    };
    let board = Board::default();
    let leader = load(&kept, &log, &board).await?;
    let result = if args.init_and_quit {
        if leader.corpus().snapshot().log_bytes() == 0 {
            board.say(&format!("the log in {} is empty", folder.display()));
        }
        leader.shutdown().await.map_err(Into::into)
    } else if let Some(place) = place {
        serve(place, repos, &log, leader, &board).await
    } else {
        sync_once(repos, leader, &board).await
    };
    log.close().await;
    result
}

async fn open_repos(args: &[String]) -> anyhow::Result<Vec<GitRepo>> {
    let mut repos = Vec::new();
    let mut names = HashSet::new();
    for arg in args {
        // A path may have `=` in it: then it is named as it is, or with a name behind it.
        let (path, name) = match arg.rsplit_once('=') {
            Some((path, name)) if !Path::new(arg).exists() => (path, Some(name)),
            _ => (arg.as_str(), None),
        };
        let repo = GitRepo::open(Path::new(path), name).await?;
        if !names.insert(repo.project().to_owned()) {
            let name = repo.project();
            bail!(
                "two repositories are called {name}: name one of them, --git {path}=HOST/PROJECT"
            );
        }
        repos.push(repo);
    }
    Ok(repos)
}

async fn listen(address: SocketAddr) -> anyhow::Result<Server> {
    Server::bind(address).await.with_context(|| {
        format!("cannot listen on {address}: is another maintnerd running? Give this one its own with --listen")
    })
}

/// Knows all that the log says: with the help of a snapshot file if `folder` has one that fits.
async fn load(folder: &Path, log: &SegmentLog, board: &Board) -> anyhow::Result<Leader> {
    let began = Instant::now();
    let snapshots = SnapshotDir::new(folder.join("snapshots"));
    let follower = Follower::open(log.source(), snapshots);
    let corpus = follower.corpus().clone();
    let leader = Leader::with_follower(log.clone(), follower);
    let leader = board.loading(&corpus, leader).await?;
    let snapshot = corpus.snapshot();
    if snapshot.log_bytes() > 0 {
        let commits = snapshot.commits().len();
        let megabytes = snapshot.log_bytes() as f64 / 1e6;
        let seconds = began.elapsed().as_secs_f64();
        board.say(&format!(
            "loaded {commits} commits, {megabytes:.1} MB of log, in {seconds:.2} s"
        ));
    }
    Ok(leader)
}

async fn sync_once(repos: Vec<GitRepo>, leader: Leader, board: &Board) -> anyhow::Result<()> {
    let mut shows = JoinSet::new();
    for mut repo in repos {
        let (name, progress) = (repo.project().to_owned(), Progress::new());
        shows.spawn(
            board
                .clone()
                .show(name.clone(), leader.corpus().clone(), progress.clone()),
        );
        let synced = sync::once(&mut repo, &leader.outlet(), &progress).await;
        // What there is to say about it is said before the next one's turn.
        tokio::task::yield_now().await;
        synced.with_context(|| format!("cannot mirror {name}"))?;
    }
    let snapshot = leader.corpus().snapshot();
    leader.shutdown().await?;
    shows.shutdown().await;
    let (commits, missing) = (snapshot.commits().len(), snapshot.commits().missing());
    let bytes = snapshot.log_bytes();
    board.say(&format!("{commits} commits, {bytes} bytes of log"));
    if missing > 0 {
        board.say(&format!("{missing} commits are parents of others but are not there: of shallow clones, or left out"));
    }
    Ok(())
}

/// Where it is served, and what lies where.
struct Place<'a> {
    server: Server,
    identity: Identity,
    tls: &'a Tls,
    folder: &'a Path,
    /// The folder, or the address of the bucket.
    log: &'a Path,
    /// Where sealed segments are fetched, if not here.
    segments_url: Option<String>,
}

async fn serve(
    place: Place<'_>,
    repos: Vec<GitRepo>,
    log: &SegmentLog,
    mut leader: Leader,
    board: &Board,
) -> anyhow::Result<()> {
    print_banner(&place, &repos);
    let mut pollers = JoinSet::new();
    let mut shows = JoinSet::new();
    let mut status = Vec::new();
    let title = repos
        .first()
        .map_or("maintnerd", GitRepo::project)
        .to_owned();
    for repo in repos {
        let (name, progress) = (repo.project().to_owned(), Progress::new());
        status.push((name.clone(), progress.clone()));
        shows.spawn(
            board
                .clone()
                .show(name, leader.corpus().clone(), progress.clone()),
        );
        pollers.spawn(sync::keep(repo, leader.outlet(), Wake::new(), progress));
    }
    let questions = Service::new(leader.corpus().clone()).into_server();
    let elsewhere = place.segments_url;
    let segments_url = move |segment: &Segment| {
        let folder = elsewhere.as_deref()?;
        Some(format!("{folder}/{}", segment.file_name()))
    };
    let app = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/status", get(status_of).with_state(status))
        .route_service("/apipb.MaintnerService/{method}", questions)
        .merge(
            LogServer::new(log.feed().clone())
                .public_urls(segments_url)
                .router(),
        )
        .merge(
            Pages::new(leader.corpus().clone())
                .title(title)
                .with_log()
                .router(),
        );
    let stop = CancellationToken::new();
    let mut limits = Limits::default();
    limits.grace = GRACE;
    let served = place
        .server
        .identity(place.identity)
        .plain(Plain::Loopback)
        .limits(limits)
        .http2()
        .serve(app, stop.clone());
    let mut served = tokio::spawn(served);
    let mut failed = None;
    let ended = tokio::select! {
        signal = example_cli::stop_signal() => {
            signal?;
            board.say("Stopping.");
            Ok(())
        }
        ended = leader.ended() => ended,
        served = &mut served => {
            failed = Some(served);
            Ok(())
        }
    };
    // First those who find out, then the log, with all that was found out; pages go last.
    pollers.shutdown().await;
    let ended = match ended {
        Ok(()) => leader.shutdown().await,
        failed => failed,
    };
    stop.cancel();
    let served = match failed {
        Some(served) => served,
        None => served.await,
    };
    shows.shutdown().await;
    ended?;
    Ok(served??)
}

/// How each repository is doing.
async fn status_of(State(all): State<Vec<(String, Progress)>>) -> Json<serde_json::Value> {
    let status = all.iter().map(|(name, progress)| {
        let status = progress.watch().borrow().clone();
        serde_json::json!({
            "name": name,
            "running": status.running.map(|(done, of)| serde_json::json!({ "done": done, "of": of })),
            "synced": status.synced,
            "failures": status.failures,
            "error": status.error,
            "skipped": status.skipped,
            "example": status.example,
        })
    });
    Json(status.collect())
}

fn print_banner(place: &Place<'_>, repos: &[GitRepo]) {
    let bold = anstyle::Style::new().bold();
    let link = anstyle::AnsiColor::Cyan.on_default().underline();
    let reach = Reach::new(place.server.local_addr(), place.tls);
    example_cli::say(format_args!("\n  {bold}maintnerd{bold:#}\n"));
    example_cli::say(format_args!("  open     {link}{}{link:#}", reach.url));
    for repo in repos {
        example_cli::say(format_args!(
            "  mirrors  {} ({})",
            repo.project(),
            repo.path().display()
        ));
    }
    example_cli::say(format_args!("  follow   {}logs", reach.url));
    if reach.is_public {
        let elsewhere = &reach.elsewhere;
        example_cli::say(format_args!(
            "           https://{elsewhere}/logs from other machines"
        ));
        if place.tls.tls_cert.is_none() {
            let certificate = place.folder.join("dev-cert.pem");
            example_cli::say(format_args!(
                "           who trust {}",
                certificate.display()
            ));
        }
    }
    example_cli::say(format_args!("  log      {}", place.log.display()));
    example_cli::say(format_args!("  stop     Ctrl-C\n"));
}
