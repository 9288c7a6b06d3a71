//! The one cryptographic provider, always passed by hand so that no process-wide default is needed.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// The application protocol that every server speaks, and the only one of clients: connections that a handler can take
/// over exist in HTTP/1.1 alone.
pub(crate) const ALPN: &[u8] = b"http/1.1";

/// That of servers that were asked to speak it as well.
pub(crate) const HTTP2: &[u8] = b"h2";

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
