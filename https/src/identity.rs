//! Who a server is: its certificate chain and private key.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use sha2::{Digest as _, Sha256};

use crate::dev;
use crate::provider::{ALPN, HTTP2, provider};

/// Largest certificate or key file in bytes.
pub const MAX_PEM: u64 = 1 << 20;

/// A certificate chain and its private key.
///
/// Cheap to clone. `Debug` shows the key's fingerprint, never the key.
#[derive(Clone)]
pub struct Identity {
    certified: Arc<CertifiedKey>,
    spki_sha256: [u8; 32],
}

impl Identity {
    /// Reads a PEM certificate chain, leaf first, and the leaf's PEM private key (PKCS#8, PKCS#1 or SEC1).
    ///
    /// # Errors
    /// [`IdentityError`]; the key must belong to the leaf. Nobody checks names or dates here.
    pub fn from_files(
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, IdentityError> {
        Self::from_pem(&read(certificate.as_ref())?, &read(key.as_ref())?)
    }

    /// As [`from_files`](Self::from_files), from PEM texts.
    ///
    /// # Errors
    /// As [`from_files`](Self::from_files).
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        let chain = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| IdentityError::Certificate(Box::new(error)))?;
        let leaf = chain.first().ok_or(IdentityError::NoCertificate)?;
        let spki_sha256 =
            spki_sha256(leaf).map_err(|error| IdentityError::Certificate(Box::new(error)))?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| IdentityError::Key(Box::new(error)))?;
        let certified =
            CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => IdentityError::Mismatch,
                other => IdentityError::Key(Box::new(other)),
            })?;
        Ok(Self {
            certified: Arc::new(certified),
            spki_sha256,
        })
    }

    /// This machine's development identity: a self-signed certificate kept in `dir` as `dev-cert.pem` and `dev-key.pem`.
    ///
    /// It is made on first use and loaded from then on. It is good for `localhost`, `127.0.0.1`, `::1`, this machine's
    /// host name and `names` (host names or IP addresses; what is neither is left out with a warning). When it is
    /// unreadable, ends within 30 days or lacks a name, a new one is made **for the same key**, so that
    /// [`spki_sha256`](Self::spki_sha256), which clients pin, stays. Only a damaged key file is replaced, with a warning.
    ///
    /// Both files appear whole or not at all, also when several processes start at once. The key file is readable for
    /// its owner only; wider permissions found are narrowed.
    ///
    /// # Errors
    /// [`IdentityError::Read`], [`IdentityError::Write`] for the files, [`IdentityError::Make`] if no key can be made.
    pub fn dev(dir: impl AsRef<Path>, names: &[String]) -> Result<Self, IdentityError> {
        dev::load_or_create(dir.as_ref(), names)
    }

    /// SHA-256 of the leaf's public key (its SubjectPublicKeyInfo in DER), which [`client::pinned`](crate::client::pinned) takes.
    #[must_use]
    pub fn spki_sha256(&self) -> [u8; 32] {
        self.spki_sha256
    }

    /// The chain, leaf first.
    #[must_use]
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }

    /// A TLS 1.2 and 1.3 server with this identity, no client certificates, and HTTP/1.1, or both that and HTTP/2.
    pub(crate) fn server_config(&self, http2: bool) -> Result<Arc<ServerConfig>, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(
                &self.certified,
            ))));
        let protocols: &[&[u8]] = if http2 { &[HTTP2, ALPN] } else { &[ALPN] };
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(Arc::new(config))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fingerprint = String::with_capacity(64);
        for byte in self.spki_sha256 {
            use fmt::Write as _;
            write!(fingerprint, "{byte:02x}")?;
        }
        f.debug_struct("Identity")
            .field("certificates", &self.certified.cert.len())
            .field("spki_sha256", &fingerprint)
            .finish_non_exhaustive()
    }
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file or folder cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The certificate file holds none.
    #[error("the certificate file holds no certificate")]
    NoCertificate,
    /// The certificate file is damaged.
    #[error("the certificate is damaged")]
    Certificate(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The key file holds no key that can be used.
    #[error("the private key cannot be used")]
    Key(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Certificate and key are of different pairs.
    #[error("the private key does not belong to the certificate")]
    Mismatch,
    /// No key or certificate could be made.
    #[error("cannot make a development certificate")]
    Make(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// SHA-256 of a certificate's SubjectPublicKeyInfo.
pub(crate) fn spki_sha256(certificate: &CertificateDer<'_>) -> Result<[u8; 32], rustls::Error> {
    let parsed = ParsedCertificate::try_from(certificate)?;
    Ok(Sha256::digest(parsed.subject_public_key_info()).into())
}

/// Reads a whole small file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, IdentityError> {
    use io::Read as _;
    let wrap = |source| IdentityError::Read {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(wrap)?;
    file.take(MAX_PEM + 1)
        .read_to_end(&mut bytes)
        .map_err(wrap)?;
    if bytes.len() as u64 > MAX_PEM {
        let limit = format!("the file has more than {MAX_PEM} bytes");
        return Err(wrap(io::Error::new(io::ErrorKind::FileTooLarge, limit)));
    }
    Ok(bytes)
}
