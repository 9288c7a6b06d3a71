//! The questions a leader answers over gRPC: the service `apipb.MaintnerService`, with the names
//! and numbers of the original (feature `grpc`).
//!
//! [`apipb`] has messages, client and server as generated from `proto/apipb.proto`. What answers are
//! made of: [`supported_releases`], and the names of releases, [`Version`].

#[rustfmt::skip]
#[expect(missing_docs, unused_qualifications, reason = "generated; the schema says what needs saying")]
pub mod apipb;
mod releases;
mod version;

use crate::corpus::Hash;

pub use releases::{NoReleases, supported_releases};
pub use version::{Version, go1_point};
