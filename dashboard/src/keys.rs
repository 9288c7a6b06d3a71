//! Keys with which workers show that they may join.
//!
//! [`JoinKey`] is this farm's own: random, stored as a hash, pasted as one word that also carries the coordinator's
//! certificate pin. [`MasterKey`] makes the keys of the Go original (HMAC-MD5 of a name under one master key), for
//! farms that still have such workers; leave it off elsewhere.
//!
//! Both travel in the `X-Go-Builder-Key` header.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::Md5;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// First part of a join key's text: what it is, and the version of its form.
const PREFIX: &str = "farm1";

/// Longest text that is looked at as a join key.
const MAX_WORD: usize = 256;

/// Master key of the Go original, from which every worker's key follows.
///
/// ```
/// use buildfarm_dashboard::keys::MasterKey;
/// let master = MasterKey::new("gophers rule")?;
/// assert_eq!(master.builder_key("user-gopher"), "875a7345b291621360b36e62a0fc6a14");
/// assert!(master.verify("user-gopher", "875a7345b291621360b36e62a0fc6a14"));
/// # Ok::<(), buildfarm_dashboard::keys::EmptyMasterKey>(())
/// ```
#[derive(Clone)]
pub struct MasterKey(Hmac<Md5>);

/// A master key with nothing in it.
///
/// The original derived the empty key from it, which then matched a missing header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the master key is empty")]
pub struct EmptyMasterKey;

impl MasterKey {
    /// Takes the master key; surrounding white space is not part of it.
    ///
    /// # Errors
    /// [`EmptyMasterKey`] if nothing is left.
    pub fn new(key: impl AsRef<[u8]>) -> Result<Self, EmptyMasterKey> {
        let key = key.as_ref().trim_ascii();
        if key.is_empty() {
            return Err(EmptyMasterKey);
        }
        // HMAC takes keys of any length.
        Hmac::new_from_slice(key)
            .map(Self)
            .map_err(|_| EmptyMasterKey)
    }

    /// Key for a host type, a builder, or `user-NAME`: 32 lower-case hex digits.
    #[must_use]
    pub fn builder_key(&self, name: &str) -> String {
        let mut mac = self.0.clone();
        mac.update(name.as_bytes());
        hex(&mac.finalize().into_bytes())
    }

    /// Whether `presented` is the key for this name, in time that does not depend on where they differ.
    #[must_use]
    pub fn verify(&self, name: &str, presented: &str) -> bool {
        let key = self.builder_key(name);
        key.as_bytes().ct_eq(presented.as_bytes()).into()
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey([redacted])")
    }
}

/// What a person pastes on a new worker: a random secret and, if wanted, the pin of the coordinator's certificate.
///
/// As text it is one word, `farm1.SECRET` or `farm1.SECRET.PIN`, both parts 32 bytes in unpadded URL-safe base64. There
/// is no `Display`, so that it does not end up in a log by accident.
///
/// ```
/// use buildfarm_dashboard::keys::JoinKey;
/// let key = JoinKey::generate()?.with_pin([7; 32]);
/// let stored = key.hash();                        // the coordinator keeps this
/// let pasted: JoinKey = key.word().parse()?;      // the worker gets this
/// assert!(stored.verify(&pasted.secret_text()));  // and sends this
/// assert_eq!(pasted.pin(), Some([7; 32]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct JoinKey {
    secret: [u8; 32],
    pin: Option<[u8; 32]>,
}

impl JoinKey {
    /// A new key from the system's random numbers, without a pin.
    ///
    /// # Errors
    /// [`NoRandomness`] if the system has none to give.
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(NoRandomness)?;
        Ok(Self { secret, pin: None })
    }

    /// The same key with the SHA-256 of the coordinator's public key (its certificate's SubjectPublicKeyInfo).
    #[must_use]
    pub fn with_pin(self, spki_sha256: [u8; 32]) -> Self {
        Self {
            pin: Some(spki_sha256),
            ..self
        }
    }

    /// SHA-256 of the public key that the coordinator must show; `None` means to trust the usual authorities.
    #[must_use]
    pub fn pin(&self) -> Option<[u8; 32]> {
        self.pin
    }

    /// The whole key as the one word to paste.
    #[must_use]
    pub fn word(&self) -> String {
        let mut word = format!("{PREFIX}.{}", self.secret_text());
        if let Some(pin) = self.pin {
            word.push('.');
            word.push_str(&URL_SAFE_NO_PAD.encode(pin));
        }
        word
    }

    /// The secret alone: the value of the `X-Go-Builder-Key` header.
    #[must_use]
    pub fn secret_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.secret)
    }

    /// What is stored in the key's place. The secret has 256 random bits, so a plain digest does not give it away.
    #[must_use]
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(&self.secret_text())
    }
}

impl fmt::Debug for JoinKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinKey")
            .field("secret", &"[redacted]")
            .field("pin", &self.pin.map(|pin| hex(&pin)))
            .finish()
    }
}

impl FromStr for JoinKey {
    type Err = JoinKeyError;

    /// Reads the pasted word; white space around it does not matter.
    fn from_str(word: &str) -> Result<Self, JoinKeyError> {
        let word = word.trim();
        if word.is_empty() {
            return Err(JoinKeyError::Empty);
        }
        if word.len() > MAX_WORD {
            return Err(JoinKeyError::TooLong);
        }
        let mut parts = word.split('.');
        match parts.next() {
            Some(PREFIX) => {}
            Some(other) if is_newer(other) => return Err(JoinKeyError::Newer),
            _ => return Err(JoinKeyError::NotAJoinKey),
        }
        let secret = parts.next().and_then(decode).ok_or(JoinKeyError::Secret)?;
        let pin = match parts.next() {
            None => None,
            Some(pin) => Some(decode(pin).ok_or(JoinKeyError::Pin)?),
        };
        if parts.next().is_some() {
            return Err(JoinKeyError::TooManyParts);
        }
        Ok(Self { secret, pin })
    }
}

/// Why a text is no join key. None of these messages repeats any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinKeyError {
    /// No text.
    #[error("the join key is empty")]
    Empty,
    /// More text than any join key has.
    #[error("this is too long for a join key: paste the one word that starts with 'farm1.'")]
    TooLong,
    /// Some other text.
    #[error("this is not a join key: one starts with 'farm1.'")]
    NotAJoinKey,
    /// A form that a later version introduced.
    #[error("this join key is of a newer kind: update this program")]
    Newer,
    /// A secret that is cut off or altered.
    #[error("the join key's secret is damaged: copy the whole word again")]
    Secret,
    /// A pin that is cut off or altered.
    #[error("the join key's certificate pin is damaged: copy the whole word again")]
    Pin,
    /// Something behind the pin.
    #[error("the join key has text behind its end: copy just the one word")]
    TooManyParts,
}

/// The system gave no random numbers.
#[derive(Debug, thiserror::Error)]
#[error("the system has no random numbers to give")]
pub struct NoRandomness(#[source] getrandom::Error);

/// SHA-256 of a presented secret: what a coordinator keeps instead of the secret. Displays as lower-case hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// Hash of a secret's text, as it stands in the header.
    #[must_use]
    pub fn of(secret_text: &str) -> Self {
        Self(Sha256::digest(secret_text.as_bytes()).into())
    }

    /// Whether a presented header holds the secret, in time that does not depend on where they differ.
    #[must_use]
    pub fn verify(&self, presented: &str) -> bool {
        self.0.ct_eq(&Self::of(presented).0).into()
    }

    /// The hash as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A hash from storage.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl FromStr for KeyHash {
    type Err = KeyHashError;

    fn from_str(text: &str) -> Result<Self, KeyHashError> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(KeyHashError);
        }
        for (index, byte) in bytes.iter_mut().enumerate() {
            let digits = text.get(index * 2..index * 2 + 2).ok_or(KeyHashError)?;
            if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(KeyHashError);
            }
            *byte = u8::from_str_radix(digits, 16).map_err(|_| KeyHashError)?;
        }
        Ok(Self(bytes))
    }
}

/// A text that is not 64 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key hash has 64 hex digits")]
pub struct KeyHashError;

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A form this version does not know: `farm` and a number above ours.
fn is_newer(prefix: &str) -> bool {
    prefix
        .strip_prefix("farm")
        .and_then(|number| number.parse::<u32>().ok())
        .is_some_and(|number| number > 1)
}

fn decode(text: &str) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> JoinKey {
        JoinKey {
            secret: [0xa5; 32],
            pin: None,
        }
    }

    /// Keys made by the Go original under its development master key.
    #[test]
    fn keys_of_the_original() {
        let master = MasterKey::new("gophers rule").unwrap();
        for (name, key) in [
            (
                "host-linux-arm64-packet",
                "3bbd3cc17b04ff172add770f85794dc5",
            ),
            ("user-gopher", "875a7345b291621360b36e62a0fc6a14"),
        ] {
            assert_eq!(master.builder_key(name), key);
            assert!(master.verify(name, key));
            assert!(!master.verify(name, &key.to_uppercase()));
            assert!(!master.verify(name, &key[1..]));
            assert!(!master.verify("other", key));
        }
        let trimmed = MasterKey::new(" \tgophers rule\r\n").unwrap();
        assert!(trimmed.verify("user-gopher", "875a7345b291621360b36e62a0fc6a14"));
    }

    #[test]
    fn an_empty_master_key_is_refused() {
        for key in ["", " ", "\n\t \r\n"] {
            assert_eq!(MasterKey::new(key).unwrap_err(), EmptyMasterKey);
        }
        let master = MasterKey::new("x").unwrap();
        assert!(!master.verify("host", ""));
        assert!(!master.verify("", ""));
    }

    #[test]
    fn a_word_reads_back() {
        let word = key().word();
        assert_eq!(word, format!("farm1.{}", "paWl".repeat(10) + "paU"));
        let read: JoinKey = format!("  {word}\n").parse().unwrap();
        assert_eq!((read.secret, read.pin()), ([0xa5; 32], None));
        let pinned = key().with_pin([1; 32]);
        let read: JoinKey = pinned.word().parse().unwrap();
        assert_eq!((read.secret, read.pin()), ([0xa5; 32], Some([1; 32])));
        assert!(!pinned.word().contains(char::is_whitespace));
    }

    #[test]
    fn two_keys_differ() {
        let keys = [JoinKey::generate().unwrap(), JoinKey::generate().unwrap()];
        assert_ne!(keys[0].secret, keys[1].secret);
        assert!(!keys[0].hash().verify(&keys[1].secret_text()));
    }

    #[test]
    fn damaged_words_say_how() {
        let word = key().with_pin([1; 32]).word();
        let half = word.rfind('.').unwrap();
        for (text, error) in [
            ("", JoinKeyError::Empty),
            (" \n", JoinKeyError::Empty),
            ("hello", JoinKeyError::NotAJoinKey),
            ("farm", JoinKeyError::NotAJoinKey),
            ("farm0.x", JoinKeyError::NotAJoinKey),
            ("farm2.x", JoinKeyError::Newer),
            ("FARM1.x", JoinKeyError::NotAJoinKey),
            ("farm1", JoinKeyError::Secret),
            ("farm1.", JoinKeyError::Secret),
            (&word[..half - 1], JoinKeyError::Secret),
            (&word[..half + 1], JoinKeyError::Pin),
            (&word[..word.len() - 1], JoinKeyError::Pin),
            (&format!("{word}="), JoinKeyError::Pin),
            (&format!("{word}.x"), JoinKeyError::TooManyParts),
            (&word.repeat(9), JoinKeyError::TooLong),
            (&word.replace('.', ". "), JoinKeyError::Secret),
        ] {
            assert_eq!(text.parse::<JoinKey>().unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn secrets_do_not_show_in_debug() {
        let key = key().with_pin([0x12; 32]);
        let debug = format!("{key:?} {:?}", MasterKey::new("gophers rule").unwrap());
        assert!(!debug.contains(&key.secret_text()[..8]), "{debug}");
        assert!(
            !debug.contains("gophers") && !debug.contains("165"),
            "{debug}"
        );
        assert!(debug.contains("1212"), "the pin is public: {debug}");
    }

    #[test]
    fn hashes_are_stored_as_hex() {
        let hash = key().hash();
        let text = hash.to_string();
        assert_eq!(text.parse(), Ok(hash));
        assert_eq!(KeyHash::from_bytes(*hash.as_bytes()), hash);
        for bad in [
            "",
            "00",
            &text[1..],
            &text.replace(&text[..2], "+1"),
            &"é".repeat(32),
        ] {
            assert_eq!(bad.parse::<KeyHash>(), Err(KeyHashError), "{bad}");
        }
        assert!(!hash.verify(""));
        assert!(!hash.verify(&text), "the stored form opens nothing");
        assert!(!hash.verify(&key().word()));
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text: String, tail in "[A-Za-z0-9._-]{0,100}") {
            let _ = text.parse::<JoinKey>();
            let _ = text.parse::<KeyHash>();
            if let Ok(key) = format!("farm1.{tail}").parse::<JoinKey>() {
                prop_assert_eq!(key.word(), format!("farm1.{tail}"));
            }
        }
    }
}
