//! TLS for the examples: a certificate made on the spot, which the other side pins.

use std::{fmt, io, str::FromStr, sync::Arc};

use revdial::Stream;
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{
        self, ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature},
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
        version::TLS13,
    },
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a laptop has to be given: whom to trust, and the secret that lets it in. As text,
/// 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    /// The front of the SHA-256 of the server's certificate.
    pin: [u8; 16],
    secret: [u8; 16],
}

impl Key {
    /// The secret half, for a header.
    pub(crate) fn secret(&self) -> String {
        hex(&self.secret)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", hex(&self.pin), hex(&self.secret))
    }
}

impl FromStr for Key {
    type Err = BoxError;

    fn from_str(text: &str) -> Result<Self, BoxError> {
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err("KEY must be the 64 digits that the server printed".into());
        }
        let half = |from: usize| -> Result<[u8; 16], BoxError> {
            let mut bytes = [0; 16];
            for (n, byte) in bytes.iter_mut().enumerate() {
                let at = from + 2 * n;
                *byte = u8::from_str_radix(&text[at..at + 2], 16)?;
            }
            Ok(bytes)
        };
        Ok(Self {
            pin: half(0)?,
            secret: half(32)?,
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn pin(certificate: &CertificateDer<'_>) -> [u8; 16] {
    let mut pin = [0; 16];
    pin.copy_from_slice(&Sha256::digest(certificate)[..16]);
    pin
}

/// A server's side, with a fresh certificate, and the key to give to laptops.
pub(crate) fn server() -> Result<(TlsAcceptor, Key), BoxError> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let certificate = CertificateDer::from(made.cert);
    let mut secret = [0; 16];
    getrandom::fill(&mut secret)?;
    let key = Key {
        pin: pin(&certificate),
        secret,
    };
    let private = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], private)?;
    // Never HTTP/2: its connections cannot be turned around.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((TlsAcceptor::from(Arc::new(config)), key))
}

/// A laptop's side: trusts the certificate that `key` names and no other.
pub(crate) fn laptop(key: Key) -> Result<TlsConnector, BoxError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned(key.pin)))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Opens one connection to the server.
pub(crate) async fn connect(address: String, tls: TlsConnector) -> io::Result<Stream> {
    let tcp = TcpStream::connect(address).await?;
    // Small messages must not wait for each other.
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    Ok(Stream::new(tls.connect(name, tcp).await?))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

#[derive(Debug)]
struct Pinned([u8; 16]);

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if pin(certificate) == self.0 {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::Error::General(
                "this is not the server that the key was made by".to_owned(),
            ))
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General(
            "only TLS 1.3 is spoken here".to_owned(),
        ))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &aws_lc_rs::default_provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
