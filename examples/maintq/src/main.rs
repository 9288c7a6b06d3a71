//! Asks about a project's history: `maintq --help`.

mod cli;
mod print;
mod query;

use std::{
    error::Error,
    io::{BufWriter, Write},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail};
use clap::Parser as _;
use maintner::{
    api::apipb::{
        DashboardRequest, GetRefRequest, GoFindTryWorkRequest, HasAncestorRequest,
        ListGoReleasesRequest, maintner_service_client::MaintnerServiceClient,
    },
    log::SourceError,
};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use crate::{
    cli::{Cli, Command},
    print::Json,
};

/// How long a server may take to be reached.
const CONNECT: Duration = Duration::from_secs(5);
/// Larger answers are refused: a dashboard of 1,000 commits takes half a megabyte.
const LARGEST_ANSWER: usize = 64 << 20;

fn main() -> ExitCode {
    let cli = Cli::parse();
    example_cli::log("MAINTQ_LOG", "warn");
    example_cli::exit("maintq", example_cli::block_on(run(cli)))
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let Cli {
        server,
        json,
        command,
    } = cli;
    if let Command::Completions { shell } = command {
        example_cli::complete::<Cli>(shell);
        return Ok(());
    }
    if let Command::Query { query, log, limit } = command {
        let query = query::parse(&query.join(" "))?;
        let address = log.unwrap_or_else(|| format!("{}/logs", url(&server)));
        let opening = godata::Options::from_env().begin(&address).await?;
        let corpus = opening.corpus().clone();
        let ready = example_cli::loading(&corpus, opening.ready()).await;
        let corpus = ready.map_err(|error| match error {
            godata::Error::Read { ref source, .. } if is_away(source) => {
                unreachable(&address, &error)
            }
            error => error.into(),
        })?;
        let mut to = BufWriter::new(example_cli::stdout());
        let printed = query::print(&corpus.snapshot(), &query, limit, json, &mut to);
        let printed = printed.and_then(|()| to.flush());
        corpus.shutdown().await;
        return Ok(printed?);
    }
    let mut out = example_cli::stdout();
    let mut client = connect(&server).await?;
    let refused = |status: tonic::Status| match status.code() {
        tonic::Code::Unknown => anyhow::anyhow!("{server}: {}", status.message()),
        code => anyhow::anyhow!("{server}: {} ({code})", status.message()),
    };
    let answer = match command {
        Command::HasAncestor { commit, ancestor } => {
            let request = HasAncestorRequest { commit, ancestor };
            let response = client.has_ancestor(request).await.map_err(refused)?;
            response.into_inner().json()
        }
        Command::GetRef {
            project,
            name,
            gerrit,
        } => {
            let request = GetRefRequest {
                r#ref: name,
                gerrit_server: gerrit,
                gerrit_project: project,
            };
            let response = client.get_ref(request).await.map_err(refused)?;
            let value = response.into_inner().value;
            if value.is_empty() {
                bail!("ref not found");
            }
            if !json {
                return Ok(writeln!(out, "{value}")?);
            }
            serde_json::json!({ "value": value })
        }
        Command::TryWork { staging } => {
            let request = GoFindTryWorkRequest {
                for_staging: staging.is_some(),
            };
            let response = client.go_find_try_work(request).await.map_err(refused)?;
            response.into_inner().json()
        }
        Command::ListReleases => {
            let response = client.list_go_releases(ListGoReleasesRequest {});
            response.await.map_err(refused)?.into_inner().json()
        }
        Command::GetDashboard(wanted) => {
            let request = DashboardRequest {
                page: wanted.page,
                repo: wanted.repo,
                branch: wanted.branch,
                max_commits: wanted.max_commits,
            };
            let response = client.get_dashboard(request).await.map_err(refused)?;
            response.into_inner().json()
        }
        Command::Query { .. } | Command::Completions { .. } => return Ok(()),
    };
    if json {
        writeln!(out, "{answer:#}")?;
    } else {
        write!(out, "{}", print::text(&answer))?;
    }
    Ok(())
}

async fn connect(server: &str) -> anyhow::Result<MaintnerServiceClient<Channel>> {
    let url = url(server);
    let mut endpoint = Endpoint::from_shared(url.clone())
        .with_context(|| format!("{server:?} is no server; HOST:PORT, for example"))?
        .connect_timeout(CONNECT);
    if url.starts_with("https:") {
        endpoint = endpoint.tls_config(ClientTlsConfig::new().with_native_roots())?;
    }
    let channel = endpoint.connect().await;
    let channel = channel.map_err(|error| unreachable(&url, &error))?;
    Ok(MaintnerServiceClient::new(channel).max_decoding_message_size(LARGEST_ANSWER))
}

fn is_away(error: &SourceError) -> bool {
    matches!(error, SourceError::Unreachable { .. })
}

/// The links of such an error's chain say all the same, the last one why.
fn unreachable(url: &str, error: &(dyn Error + 'static)) -> anyhow::Error {
    let why = anyhow::Chain::new(error).last();
    let why = why.map_or_else(String::new, |why| why.to_string());
    anyhow::anyhow!(
        "cannot reach {url}: {why}; is a maintnerd running there? --server asks another, query --log reads a folder"
    )
}

/// The URL of a server's name: with TLS unless it is this machine, or says otherwise.
fn url(server: &str) -> String {
    if server.contains("://") {
        return server.to_owned();
    }
    let host = match server
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((address, _)) => address,
        None => server.rsplit_once(':').map_or(server, |(host, _)| host),
    };
    let address = host.parse::<std::net::IpAddr>();
    let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    format!("{}://{server}", if is_here { "http" } else { "https" })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn servers_are_asked_over_tls_unless_they_are_here() {
        for (server, expected) in [
            ("localhost:6343", "http://localhost:6343"),
            ("127.0.0.1:80", "http://127.0.0.1:80"),
            ("[::1]:80", "http://[::1]:80"),
            ("maintner.golang.org", "https://maintner.golang.org"),
            ("maintner.golang.org:443", "https://maintner.golang.org:443"),
            ("10.0.0.1:443", "https://10.0.0.1:443"),
            (
                "localhost.example.com:443",
                "https://localhost.example.com:443",
            ),
            ("http://10.0.0.1:6343", "http://10.0.0.1:6343"),
        ] {
            assert_eq!(url(server), expected);
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
