use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use buildfarm_https::{Identity, IdentityError};

/// The flags of a server with TLS.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Tls {
    /// Host name under which other machines and browsers reach this one; repeatable
    #[arg(long, value_name = "NAME")]
    pub name: Vec<String>,
    /// TLS certificate chain (PEM) to use instead of one made for this machine
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
}

impl Tls {
    /// The certificate that was named, or this machine's own, which is kept in `dir`.
    ///
    /// # Errors
    ///
    /// If the files cannot be used.
    pub fn identity(&self, dir: &Path) -> Result<Identity, IdentityError> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => Identity::from_files(cert, key),
            _ => Identity::dev(dir, &self.name),
        }
    }
}

/// Where a server can be reached.
#[derive(Debug)]
pub struct Reach {
    /// From this machine, as `host:port`.
    pub here: String,
    /// From others, if it listens to them, as `host:port`.
    pub elsewhere: String,
    /// For a browser.
    pub url: String,
    /// Whether others can reach it at all.
    pub is_public: bool,
}

impl Reach {
    /// That of a server which listens on an address.
    pub fn new(address: SocketAddr, tls: &Tls) -> Self {
        let port = address.port();
        let (is_any, is_loopback) = (address.ip().is_unspecified(), address.ip().is_loopback());
        let here = if is_any {
            format!("localhost:{port}")
        } else {
            address.to_string()
        };
        let elsewhere = match tls.name.first() {
            Some(name) => format!("{name}:{port}"),
            None if is_any => format!("{}:{port}", host_name()),
            None => here.clone(),
        };
        // Plain HTTP is for loopback only; to its own machine every address that it listens on is that.
        let scheme = if is_any || is_loopback {
            "http"
        } else {
            "https"
        };
        Self {
            url: format!("{scheme}://{here}/"),
            here,
            elsewhere,
            is_public: !is_loopback,
        }
    }
}

#[cfg(unix)]
fn host_name() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn host_name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_it_is_reached() {
        let named = Tls {
            name: vec!["farm.example".into()],
            ..Tls::default()
        };
        let reach = |address: &str, tls: &Tls| Reach::new(address.parse().unwrap(), tls);
        let local = reach("127.0.0.1:80", &Tls::default());
        assert_eq!(
            (&*local.url, local.is_public),
            ("http://127.0.0.1:80/", false)
        );
        let any = reach("0.0.0.0:80", &named);
        assert_eq!(
            (&*any.url, &*any.elsewhere),
            ("http://localhost:80/", "farm.example:80")
        );
        let public = reach("192.0.2.1:80", &Tls::default());
        assert_eq!(
            (&*public.url, &*public.elsewhere),
            ("https://192.0.2.1:80/", "192.0.2.1:80")
        );
    }
}
