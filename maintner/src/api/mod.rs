//! The questions a leader answers over gRPC: the service `apipb.MaintnerService`, with the names
//! and numbers of the original (feature `grpc`).
//!
//! [`Service`] answers them from a corpus; [`apipb`] has messages, client and server as generated
//! from `proto/apipb.proto`. What the answers are made of can be had without gRPC: [`dashboard`],
//! [`supported_releases`], [`work_item`], and the names of releases, [`Version`].

#[rustfmt::skip]
#[expect(missing_docs, unused_qualifications, reason = "generated; the schema says what needs saying")]
pub mod apipb;
mod dashboard;
mod releases;
mod service;
#[cfg(test)]
mod tests;
mod try_work;
mod version;

pub use dashboard::{DashboardError, dashboard};
pub use releases::{NoReleases, supported_releases};
pub use service::Service;
pub use try_work::{
    ChangeMessage, NoBranch, NoReviews, PatchSetComment, QUERY, Reviews, ReviewsError,
    WaitingChange, work_item,
};
pub use version::{Version, go1_point};
