//! The key, whom to trust, and under which name to register.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use buildfarm_dashboard::keys::JoinKey;
use buildfarm_https::client;
use buildlet::reverse::Registration;

use crate::args::Args;
use crate::say;

/// Where a coordinator started in the same directory leaves a key for workers of this machine.
const LOCAL_KEY: &str = ".buildfarm/worker.key";
/// Where a coordinator listens by default, the Go program's too.
const LOCAL_COORDINATOR: &str = "localhost:8119";
/// Largest file with a key, password or certificates.
const MAX_FILE: u64 = 1 << 20;

pub(crate) fn registration(args: &Args) -> Result<Registration> {
    let text = key_text(args)?;
    let coordinator = args.coordinator.clone().unwrap_or_else(|| {
        say(&format!(
            "no --coordinator given, trying {LOCAL_COORDINATOR}"
        ));
        LOCAL_COORDINATOR.to_owned()
    });
    let (secret, pin) = if is_go_key(&text) {
        (text, None)
    } else {
        let key: JoinKey = text.parse().context("the key is not usable")?;
        (key.secret_text(), key.pin())
    };
    let host_type = args
        .host_type
        .clone()
        .unwrap_or_else(buildfarm_dashboard::default_host_type);
    let hostname = match &args.hostname {
        Some(name) => name.clone(),
        None => system_name()?,
    };
    let tls = trust(args, pin)?;
    Ok(Registration::new(
        coordinator,
        host_type,
        hostname,
        secret,
        tls,
    ))
}

fn key_text(args: &Args) -> Result<String> {
    let path = match (&args.key_file, &args.key) {
        (Some(path), _) => path.as_path(),
        (None, Some(key)) => return Ok(key.trim().to_owned()),
        (None, None) if Path::new(LOCAL_KEY).exists() => {
            say(&format!("using the key in {LOCAL_KEY}"));
            Path::new(LOCAL_KEY)
        }
        (None, None) => bail!(
            "no key: give --key-file PATH, or BUILDFARM_KEY in the environment.\n\
             The coordinator names the file with its key when it starts; or serve without one: buildlet --listen 127.0.0.1:5936"
        ),
    };
    read_word(path)
}

/// The keys of the Go coordinator: 32 hexadecimal digits, made from the host type's name.
fn is_go_key(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn trust(args: &Args, pin: Option<[u8; 32]>) -> Result<Arc<rustls::ClientConfig>> {
    if let Some(pin) = pin {
        return Ok(client::pinned(pin));
    }
    if args.danger_no_verify {
        say(
            "warning: whatever answers at the coordinator's address is trusted (--danger-no-verify)",
        );
        return Ok(client::danger_no_verification());
    }
    if let Some(path) = &args.ca_file {
        let pem = read(path)?;
        return client::with_ca(&pem).with_context(|| format!("{}", path.display()));
    }
    Ok(client::system_roots()?)
}

fn system_name() -> Result<String> {
    let name =
        nix::unistd::gethostname().context("this machine has no name; give --hostname NAME")?;
    Ok(name.to_string_lossy().into_owned())
}

/// The text of a small file, without the white space around it.
pub(crate) fn read_word(path: &Path) -> Result<String> {
    let text = String::from_utf8(read(path)?).ok();
    text.map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
        .with_context(|| format!("{} has no text in it", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(bytes)
}
