//! TLS clients for such servers: what they trust, decided by name.
//!
//! Each function returns a complete [`ClientConfig`] for [`tokio_rustls::TlsConnector`], with HTTP/1.1 as its only
//! application protocol and without a client certificate.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme,
};

use crate::identity::spki_sha256;
use crate::provider::{ALPN, provider};

/// Trusts exactly the server whose public key has this SHA-256, under whatever name and whatever its certificate's dates.
///
/// That is more than any authority can promise, so names and dates add nothing. The server still has to prove in the
/// handshake that it holds the key.
#[must_use]
pub fn pinned(spki_sha256: [u8; 32]) -> Arc<ClientConfig> {
    custom(Check::Pin(spki_sha256))
}

/// Trusts the certificates in a PEM text as authorities, or as servers' own certificates if they are self-signed.
///
/// # Errors
/// [`ClientError::NoCertificate`] if there is none, [`ClientError::Certificate`] if one is damaged.
pub fn with_ca(pem: &[u8]) -> Result<Arc<ClientConfig>, ClientError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| ClientError::Certificate(Box::new(error)))?;
        roots
            .add(certificate)
            .map_err(|error| ClientError::Certificate(Box::new(error)))?;
    }
    if roots.is_empty() {
        return Err(ClientError::NoCertificate);
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| ClientError::Certificate(Box::new(error)))?;
    Ok(config(provider(), verifier))
}

/// Trusts what the operating system trusts.
///
/// # Errors
/// [`ClientError::System`] if its certificates cannot be loaded.
#[cfg(feature = "system-roots")]
pub fn system_roots() -> Result<Arc<ClientConfig>, ClientError> {
    let provider = provider();
    let verifier = rustls_platform_verifier::Verifier::new(Arc::clone(&provider))
        .map_err(ClientError::System)?;
    Ok(config(provider, Arc::new(verifier)))
}

/// Trusts **every** server. Whoever stands in between reads and changes everything. For tests and old peers only.
#[must_use]
pub fn danger_no_verification() -> Arc<ClientConfig> {
    custom(Check::Nothing)
}

/// Why there is no client configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The PEM text holds none.
    #[error("the file of authorities holds no certificate")]
    NoCertificate,
    /// A certificate in the PEM text is damaged.
    #[error("a certificate in the file of authorities is damaged")]
    Certificate(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The operating system's certificates cannot be loaded.
    #[cfg(feature = "system-roots")]
    #[error("cannot load the system's trusted certificates")]
    System(#[source] rustls::Error),
}

/// The server is not the pinned one. Inside the [`rustls::Error`] of a refused handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server's key is not the pinned one: wrong server, or its key was replaced")]
pub struct PinMismatch;

#[derive(Debug)]
enum Check {
    Pin([u8; 32]),
    Nothing,
}

/// Checks the certificate in its own way and the handshake's signature in the usual one.
#[derive(Debug)]
struct Verifier {
    check: Check,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.check {
            Check::Pin(pin) if spki_sha256(end_entity)? != *pin => {
                let mismatch = OtherError(Arc::new(PinMismatch));
                Err(CertificateError::Other(mismatch).into())
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn custom(check: Check) -> Arc<ClientConfig> {
    let provider = provider();
    let verifier = Verifier {
        check,
        algorithms: provider.signature_verification_algorithms,
    };
    config(provider, Arc::new(verifier))
}

fn config(
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
) -> Arc<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has cipher suites for TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    Arc::new(config)
}
