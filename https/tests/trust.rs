//! Whom clients believe, and what an identity may be made of.

mod common;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use buildfarm_https::client::{self, ClientError, PinMismatch};
use buildfarm_https::{Identity, IdentityError, Limits, Plain};
use common::{ask, connect, identity, start};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, ClientConfig, ServerConfig};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The TLS library's error inside a failed connect.
fn tls_error(error: &io::Error) -> &rustls::Error {
    error
        .get_ref()
        .and_then(|inner| inner.downcast_ref())
        .expect("a TLS error")
}

fn pem(dir: &Path, file: &str) -> Vec<u8> {
    std::fs::read(dir.join(file)).expect("a file")
}

#[tokio::test]
async fn only_the_pinned_server_is_believed() {
    let identity = identity();
    let pin = identity.spki_sha256();
    let running = start(Some(identity), Plain::Refuse, Limits::default()).await;
    for name in ["localhost", "127.0.0.1", "any.example"] {
        let tls = connect(running.addr, client::pinned(pin), name)
            .await
            .unwrap();
        assert!(ask(tls, "/").await.starts_with("HTTP/1.1 200"), "{name}");
    }
    let mut wrong = pin;
    wrong[31] ^= 1;
    let error = connect(running.addr, client::pinned(wrong), "localhost")
        .await
        .unwrap_err();
    let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = tls_error(&error)
    else {
        panic!("{error:?}");
    };
    assert!(other.0.downcast_ref::<PinMismatch>().is_some(), "{other:?}");
    running.finish().await;
}

#[tokio::test]
async fn an_authority_vouches_for_names() {
    let dir = tempfile::tempdir().unwrap();
    let identity = Identity::dev(dir.path(), &["farm.example".to_owned()]).unwrap();
    let config = client::with_ca(&pem(dir.path(), "dev-cert.pem")).unwrap();
    let running = start(Some(identity), Plain::Refuse, Limits::default()).await;
    for name in ["localhost", "127.0.0.1", "::1", "farm.example"] {
        let tls = connect(running.addr, Arc::clone(&config), name)
            .await
            .unwrap();
        assert!(ask(tls, "/").await.starts_with("HTTP/1.1 200"), "{name}");
    }
    let error = connect(running.addr, config, "other.example")
        .await
        .unwrap_err();
    let wrong_name = rustls::Error::InvalidCertificate(CertificateError::NotValidForName);
    assert!(
        matches!(
            tls_error(&error),
            rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })
        ) || *tls_error(&error) == wrong_name,
        "{error:?}"
    );
    running.finish().await;
}

#[tokio::test]
async fn a_stranger_is_not_believed() {
    let stranger = start(Some(identity()), Plain::Refuse, Limits::default()).await;
    let dir = tempfile::tempdir().unwrap();
    Identity::dev(dir.path(), &[]).unwrap();
    let config = client::with_ca(&pem(dir.path(), "dev-cert.pem")).unwrap();
    connect(stranger.addr, config, "localhost")
        .await
        .unwrap_err();
    #[cfg(feature = "system-roots")]
    connect(stranger.addr, client::system_roots().unwrap(), "localhost")
        .await
        .unwrap_err();
    connect(stranger.addr, client::danger_no_verification(), "localhost")
        .await
        .unwrap();
    stranger.finish().await;
}

/// A server that shows somebody's certificate without having its key. Lives as long as the test.
async fn impostor(
    certificate: &Identity,
    key_pem: &[u8],
    version: &'static rustls::SupportedProtocolVersion,
) -> SocketAddr {
    let provider = Arc::new(default_provider());
    let key = PrivateKeyDer::from_pem_slice(key_pem).expect("a key");
    let key = provider
        .key_provider
        .load_private_key(key)
        .expect("a usable key");
    let certified = CertifiedKey::new(certificate.certificates().to_vec(), key);
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .expect("a known version")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let _ = acceptor.accept(tcp).await;
        }
    });
    addr
}

#[tokio::test]
async fn a_copied_certificate_is_not_enough() {
    let victim = identity();
    let dir = tempfile::tempdir().unwrap();
    Identity::dev(dir.path(), &[]).unwrap();
    let key = pem(dir.path(), "dev-key.pem");
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let addr = impostor(&victim, &key, version).await;
        let configs: [Arc<ClientConfig>; 2] = [
            client::pinned(victim.spki_sha256()),
            client::danger_no_verification(),
        ];
        for config in configs {
            let error = connect(addr, config, "localhost").await.unwrap_err();
            assert_eq!(
                *tls_error(&error),
                rustls::Error::InvalidCertificate(CertificateError::BadSignature),
                "{version:?}"
            );
        }
    }
}

#[tokio::test]
async fn other_protocols_are_not_agreed_on() {
    let running = start(Some(identity()), Plain::Refuse, Limits::default()).await;
    let mut config = (*client::danger_no_verification()).clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    connect(running.addr, Arc::new(config.clone()), "localhost")
        .await
        .unwrap_err();
    // Go's workers offer none.
    config.alpn_protocols.clear();
    let tls = connect(running.addr, Arc::new(config), "localhost")
        .await
        .unwrap();
    assert!(ask(tls, "/").await.starts_with("HTTP/1.1 200"));
    running.finish().await;
}

#[test]
fn identities_from_files() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let made = Identity::dev(a.path(), &[]).unwrap();
    Identity::dev(b.path(), &[]).unwrap();
    let (certificate, key) = (a.path().join("dev-cert.pem"), a.path().join("dev-key.pem"));
    let read = Identity::from_files(&certificate, &key).unwrap();
    assert_eq!(read.spki_sha256(), made.spki_sha256());
    assert_eq!(read.certificates(), made.certificates());

    let error = Identity::from_files(&certificate, b.path().join("dev-key.pem")).unwrap_err();
    assert!(matches!(error, IdentityError::Mismatch), "{error:?}");
    let error = Identity::from_files(&certificate, &certificate).unwrap_err();
    assert!(matches!(error, IdentityError::Key(_)), "{error:?}");
    let error = Identity::from_files(&key, &key).unwrap_err();
    assert!(matches!(error, IdentityError::NoCertificate), "{error:?}");
    let error = Identity::from_files(a.path().join("none"), &key).unwrap_err();
    assert!(matches!(error, IdentityError::Read { .. }), "{error:?}");
    let huge = a.path().join("huge");
    std::fs::write(&huge, vec![b'x'; 2 << 20]).unwrap();
    let error = Identity::from_files(&huge, &key).unwrap_err();
    assert!(matches!(error, IdentityError::Read { .. }), "{error:?}");
    let damaged = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let error = Identity::from_pem(damaged, &pem(a.path(), "dev-key.pem")).unwrap_err();
    assert!(matches!(error, IdentityError::Certificate(_)), "{error:?}");
}

#[test]
fn secrets_do_not_show_in_debug() {
    let identity = identity();
    let debug = format!("{identity:?}");
    assert!(
        debug.starts_with("Identity { certificates: 1, spki_sha256: \""),
        "{debug}"
    );
    assert!(debug.len() < 150, "{debug}");
}

#[test]
fn broken_authorities() {
    assert!(matches!(
        client::with_ca(b""),
        Err(ClientError::NoCertificate)
    ));
    assert!(matches!(
        client::with_ca(b"hello"),
        Err(ClientError::NoCertificate)
    ));
    let damaged = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(
        client::with_ca(damaged),
        Err(ClientError::Certificate(_))
    ));
}
