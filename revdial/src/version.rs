//! The versions of the protocol, and how two ends agree on one.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that names a version: in a request the one asked for, in an answer the one chosen.
pub const VERSION_HEADER: HeaderName = HeaderName::from_static("x-revdial-version");

/// The header of a request that lists versions which the machine would rather speak than the one
/// it asks for. Servers of other makes ignore it.
pub const OFFER_HEADER: HeaderName = HeaderName::from_static("x-revdial-offer");

/// How the two ends of a turned connection speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Version {
    /// The Go project's of 2015 to 2019: all streams share the connection, without credits. For
    /// peers that know nothing newer.
    V1,
    /// The Go project's since 2019: every stream is a connection that the listener opens on
    /// request.
    V2,
    /// This crate's own: all streams share the connection, each with credits of its own. Spoken
    /// only between two ends of this crate.
    Mux,
}

impl Version {
    /// The number that stands for it in headers.
    pub const fn number(self) -> &'static str {
        match self {
            Self::V1 => "1",
            Self::V2 => "2",
            Self::Mux => "3",
        }
    }

    /// The version that a header value stands for.
    pub fn from_number(text: &str) -> Option<Self> {
        [Self::V1, Self::V2, Self::Mux]
            .into_iter()
            .find(|version| version.number() == text.trim())
    }

    /// The value of [`VERSION_HEADER`].
    pub const fn header_value(self) -> HeaderValue {
        HeaderValue::from_static(self.number())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V1 => "version 1",
            Self::V2 => "version 2",
            Self::Mux => "version 3 (mux)",
        })
    }
}

/// A set of versions: what one end is willing to speak.
///
/// ```
/// use revdial::{Version, Versions};
///
/// assert!(Versions::default().contains(Version::Mux));
/// let old_workers_too = Versions::default().with(Version::V1);
/// assert!(old_workers_too.contains(Version::V1));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Versions(u8);

impl Versions {
    /// None. A start for [`with`](Self::with).
    pub const NONE: Self = Self(0);
    /// All that this crate speaks.
    pub const ALL: Self = Self::NONE
        .with(Version::V1)
        .with(Version::V2)
        .with(Version::Mux);

    const fn bit(version: Version) -> u8 {
        1 << version as u8
    }

    /// The set with `version` in it.
    #[must_use]
    pub const fn with(self, version: Version) -> Self {
        Self(self.0 | Self::bit(version))
    }

    /// The set without `version`.
    #[must_use]
    pub const fn without(self, version: Version) -> Self {
        Self(self.0 & !Self::bit(version))
    }

    /// Whether `version` is in the set.
    pub const fn contains(self, version: Version) -> bool {
        self.0 & Self::bit(version) != 0
    }

    fn iter(self) -> impl Iterator<Item = Version> {
        [Version::V1, Version::V2, Version::Mux]
            .into_iter()
            .filter(move |&version| self.contains(version))
    }
}

/// Version 2 and the mux. Version 1 only where it is asked for: it has no credits, and a peer of
/// that age cannot be told from one that forgot the header.
impl Default for Versions {
    fn default() -> Self {
        Self::NONE.with(Version::V2).with(Version::Mux)
    }
}

impl fmt::Debug for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// Why a server cannot speak with the machine that registers. The texts are those of the Go
/// original; answer with [`status`](Self::status).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NegotiateError {
    /// The request names no version, so it is of 2018 or older, and version 1 is not allowed.
    #[error("buildlet binary is too old")]
    TooOld,
    /// The request names no version that is known and allowed here.
    #[error("unknown revdial version")]
    Unknown,
}

impl NegotiateError {
    /// The HTTP status the Go original answers with; its body is the error's text.
    pub fn status(&self) -> u16 {
        400
    }
}

/// The server's choice: the best version among those `allowed` that the machine's request asks
/// for or offers.
///
/// A request without a version means version 1. Give the machine the choice in the answer's
/// [`VERSION_HEADER`]; without it, it takes version 2 for granted.
///
/// ```
/// use revdial::{Version, Versions, negotiate};
///
/// let mut headers = http::HeaderMap::new();
/// headers.insert("x-revdial-version", "2".parse()?);
/// assert_eq!(negotiate(&headers, Versions::ALL)?, Version::V2);
/// headers.insert("x-revdial-offer", "3".parse()?);
/// assert_eq!(negotiate(&headers, Versions::ALL)?, Version::Mux);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub fn negotiate(headers: &HeaderMap, allowed: Versions) -> Result<Version, NegotiateError> {
    let asked = match headers.get(VERSION_HEADER) {
        Some(value) if !value.as_bytes().trim_ascii().is_empty() => {
            value.to_str().ok().and_then(Version::from_number)
        }
        _ if allowed.contains(Version::V1) => Some(Version::V1),
        _ => return Err(NegotiateError::TooOld),
    };
    // An offer is an extra to a version that is understood, and never a way around it.
    let asked = asked.ok_or(NegotiateError::Unknown)?;
    headers
        .get_all(OFFER_HEADER)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(Version::from_number)
        .chain([asked])
        .filter(|&version| allowed.contains(version))
        .max()
        .ok_or(NegotiateError::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(
        version: Option<&'static str>,
        offer: Option<&'static str>,
        allowed: Versions,
    ) -> Result<Version, NegotiateError> {
        let mut headers = HeaderMap::new();
        for (name, value) in [(VERSION_HEADER, version), (OFFER_HEADER, offer)] {
            if let Some(value) = value {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        negotiate(&headers, allowed)
    }

    #[test]
    fn every_kind_of_peer_finds_its_version_or_the_words_of_go() {
        use NegotiateError::{TooOld, Unknown};
        use Version::{Mux, V1, V2};
        let (all, usual) = (Versions::ALL, Versions::default());
        let only = |version| Versions::NONE.with(version);
        for (version, offer, allowed, wanted) in [
            (Some("2"), None, usual, Ok(V2)),
            (Some("2"), Some("3"), usual, Ok(Mux)),
            (Some(" 2 "), Some("9, 3 ,x"), usual, Ok(Mux)),
            (Some("2"), Some("3"), only(V2), Ok(V2)),
            (Some("2"), Some("9"), usual, Ok(V2)),
            (Some("3"), None, usual, Ok(Mux)),
            (Some("2"), Some("3"), only(Mux), Ok(Mux)),
            (Some("2"), None, only(Mux), Err(Unknown)),
            (None, None, usual, Err(TooOld)),
            (Some(""), None, usual, Err(TooOld)),
            (None, None, all, Ok(V1)),
            (Some(""), None, all, Ok(V1)),
            (Some("1"), None, usual, Err(Unknown)),
            (Some("1"), None, all, Ok(V1)),
            (Some("4"), None, all, Err(Unknown)),
            (Some("two"), Some("3"), all, Err(Unknown)),
            (Some("-1"), None, all, Err(Unknown)),
        ] {
            assert_eq!(
                choice(version, offer, allowed),
                wanted,
                "{version:?} {offer:?} {allowed:?}"
            );
        }
    }
}
