//! The development identity: made once per machine, renewed for the same key.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::RootCertStore;
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::server::ParsedCertificate;

use crate::identity::{Identity, IdentityError, read};
use crate::provider::provider;

const CERTIFICATE: &str = "dev-cert.pem";
const KEY: &str = "dev-key.pem";

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Longest life that all browsers accept of a certificate.
const LIFE: Duration = DAY.saturating_mul(397);
/// Renewed when less than this is left.
const REMAINING: Duration = DAY.saturating_mul(30);
/// Clocks of other machines may be behind.
const SKEW: Duration = DAY;

pub(crate) fn load_or_create(dir: &Path, names: &[String]) -> Result<Identity, IdentityError> {
    load_or_create_at(dir, names, UnixTime::now())
}

fn load_or_create_at(
    dir: &Path,
    names: &[String],
    now: UnixTime,
) -> Result<Identity, IdentityError> {
    create_dir(dir).map_err(write_error(dir))?;
    let names = all_names(names);
    let key_path = dir.join(KEY);
    let certificate_path = dir.join(CERTIFICATE);
    let key = load_or_create_key(&key_path)?;
    let key_pem = key.serialize_pem();
    match usable(&certificate_path, &key_pem, &names, now) {
        Ok(identity) => return Ok(identity),
        Err(why) => tracing::info!(
            path = %certificate_path.display(),
            why,
            "making a development certificate"
        ),
    }
    let certificate = make(&key, &names, now)?;
    replace(&certificate_path, certificate.as_bytes(), 0o644)
        .map_err(write_error(&certificate_path))?;
    Identity::from_pem(certificate.as_bytes(), key_pem.as_bytes())
}

/// What the certificate is for: the fixed names, this machine's, and the given ones that are names at all.
fn all_names(given: &[String]) -> Vec<(String, ServerName<'static>)> {
    let mut names: Vec<(String, ServerName<'static>)> = Vec::new();
    let fixed = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    for name in fixed
        .into_iter()
        .chain(hostname())
        .chain(given.iter().cloned())
    {
        match ServerName::try_from(name.clone()) {
            Ok(parsed) if names.iter().all(|(_, known)| *known != parsed) => {
                names.push((name, parsed));
            }
            Ok(_) => {}
            Err(_) => tracing::warn!(
                name,
                "left out of the development certificate: not a host name or IP address"
            ),
        }
    }
    names
}

#[cfg(unix)]
fn hostname() -> Option<String> {
    nix::unistd::gethostname().ok()?.into_string().ok()
}

#[cfg(not(unix))]
fn hostname() -> Option<String> {
    None
}

/// Loads the certificate if it is one for this key, these names and the coming weeks. Otherwise says why not.
fn usable(
    path: &Path,
    key_pem: &str,
    names: &[(String, ServerName<'static>)],
    now: UnixTime,
) -> Result<Identity, &'static str> {
    let pem = match read(path) {
        Ok(pem) => pem,
        Err(IdentityError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Err("there is none yet");
        }
        Err(_) => return Err("the old one cannot be read"),
    };
    let identity = Identity::from_pem(&pem, key_pem.as_bytes()).map_err(|error| match error {
        IdentityError::Mismatch => "the old one is for another key",
        _ => "the old one is damaged",
    })?;
    let leaf = &identity.certificates()[0];
    let parsed = ParsedCertificate::try_from(leaf).map_err(|_| "the old one is damaged")?;
    if names
        .iter()
        .any(|(_, name)| verify_server_name(&parsed, name).is_err())
    {
        return Err("the old one lacks a name");
    }
    let mut roots = RootCertStore::empty();
    roots
        .add(leaf.clone())
        .map_err(|_| "the old one is damaged")?;
    let algorithms = provider().signature_verification_algorithms.all;
    let soon = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + REMAINING);
    for time in [now, soon] {
        verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &[], time, algorithms)
            .map_err(|_| "the old one has ended or ends soon")?;
    }
    Ok(identity)
}

/// A self-signed certificate in PEM.
fn make(
    key: &KeyPair,
    names: &[(String, ServerName<'static>)],
    now: UnixTime,
) -> Result<String, IdentityError> {
    let names: Vec<String> = names.iter().map(|(name, _)| name.clone()).collect();
    let mut params = CertificateParams::new(names).map_err(make_error)?;
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let now = Duration::from_secs(now.as_secs());
    params.not_before = epoch + now.saturating_sub(SKEW);
    params.not_after = epoch + (now + LIFE);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "buildfarm development");
    let certificate = params.self_signed(key).map_err(make_error)?;
    Ok(certificate.pem())
}

fn load_or_create_key(path: &Path) -> Result<KeyPair, IdentityError> {
    // Twice, because another process may have made the key between the look and the making.
    for _ in 0..2 {
        match read(path) {
            Ok(pem) => {
                narrow(path).map_err(write_error(path))?;
                let parsed = str::from_utf8(&pem)
                    .ok()
                    .and_then(|pem| KeyPair::from_pem(pem).ok());
                if let Some(key) = parsed {
                    return Ok(key);
                }
                tracing::warn!(
                    path = %path.display(),
                    "the development key is damaged and replaced; clients that pinned it must be told the new pin"
                );
                let key = KeyPair::generate().map_err(make_error)?;
                replace(path, key.serialize_pem().as_bytes(), 0o600).map_err(write_error(path))?;
                return Ok(key);
            }
            Err(IdentityError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            }
            Err(error) => return Err(error),
        }
        let key = KeyPair::generate().map_err(make_error)?;
        match create(path, key.serialize_pem().as_bytes(), 0o600) {
            Ok(()) => return Ok(key),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(write_error(path)(error)),
        }
    }
    Err(write_error(path)(io::Error::other(
        "another process creates and removes it",
    )))
}

/// Writes a file that must not exist yet; it appears with all its bytes.
fn create(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary = write_temporary(path, bytes, mode)?;
    // A link, unlike a rename, fails if the name is taken.
    let linked = fs::hard_link(&temporary, path);
    let _ = fs::remove_file(&temporary);
    linked
}

/// Writes a file in place of any older one; readers see the old bytes or the new.
fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary = write_temporary(path, bytes, mode)?;
    fs::rename(&temporary, path).inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

/// Writes the bytes, down to the disk, under a name beside `path` that nobody else uses.
fn write_temporary(path: &Path, bytes: &[u8], mode: u32) -> io::Result<PathBuf> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let temporary = path.with_extension(format!("tmp-{:016x}", u64::from_ne_bytes(random)));
    let written = open_new(&temporary, mode).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    match written {
        Ok(()) => Ok(temporary),
        Err(error) => {
            let _ = fs::remove_file(&temporary);
            Err(error)
        }
    }
}

#[cfg(unix)]
fn open_new(path: &Path, mode: u32) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
}

#[cfg(not(unix))]
fn open_new(path: &Path, _mode: u32) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Takes a key file away from everybody but its owner.
#[cfg(unix)]
fn narrow(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "the development key could be read by others; now it cannot");
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn narrow(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn create_dir(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}

#[cfg(not(unix))]
fn create_dir(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)
}

fn write_error(path: &Path) -> impl FnOnce(io::Error) -> IdentityError {
    let path = path.to_owned();
    move |source| IdentityError::Write { path, source }
}

fn make_error(error: rcgen::Error) -> IdentityError {
    IdentityError::Make(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(days: u32) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(1_700_000_000) + DAY * days)
    }

    fn load(dir: &Path, names: &[&str], now: UnixTime) -> Identity {
        let names: Vec<String> = names.iter().copied().map(str::to_owned).collect();
        load_or_create_at(dir, &names, now).unwrap()
    }

    #[test]
    fn made_once_and_then_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("new/folder");
        let first = load(&dir, &[], at(0));
        let second = load(&dir, &[], at(100));
        assert_eq!(first.certificates(), second.certificates());
        assert_eq!(first.spki_sha256(), second.spki_sha256());
        let files = fs::read_dir(&dir).unwrap().count();
        assert_eq!(files, 2, "nothing temporary stays");
    }

    #[cfg(unix)]
    #[test]
    fn the_key_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join(KEY);
        let mode = || fs::metadata(&key).unwrap().permissions().mode() & 0o777;
        load(dir.path(), &[], at(0));
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        load(dir.path(), &[], at(0));
        assert_eq!(mode(), 0o600, "wider permissions are narrowed");
    }

    #[test]
    fn renewed_for_the_same_key() {
        let dir = tempfile::tempdir().unwrap();
        let first = load(dir.path(), &[], at(0));
        let certificate = dir.path().join(CERTIFICATE);

        let kept = load(dir.path(), &[], at(366));
        assert_eq!(first.certificates(), kept.certificates());

        for (why, now) in [("ends soon", 368), ("ended", 2000), ("from the future", 0)] {
            let renewed = load(dir.path(), &[], at(now));
            assert_ne!(first.certificates(), renewed.certificates(), "{why}");
            assert_eq!(first.spki_sha256(), renewed.spki_sha256(), "{why}");
            assert_eq!(
                load(dir.path(), &[], at(now)).certificates(),
                renewed.certificates(),
                "{why}: renewed once"
            );
        }
        for damage in [
            "",
            "garbage",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            fs::write(&certificate, damage).unwrap();
            assert_eq!(
                load(dir.path(), &[], at(0)).spki_sha256(),
                first.spki_sha256()
            );
        }
    }

    #[test]
    fn a_new_name_brings_a_new_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let first = load(dir.path(), &[], at(0));
        let named = load(
            dir.path(),
            &["farm.example", "10.1.2.3", "not a name"],
            at(0),
        );
        assert_ne!(first.certificates(), named.certificates());
        assert_eq!(first.spki_sha256(), named.spki_sha256());
        let parsed = ParsedCertificate::try_from(&named.certificates()[0]).unwrap();
        for name in ["localhost", "127.0.0.1", "::1", "farm.example", "10.1.2.3"] {
            let name = ServerName::try_from(name).unwrap();
            assert!(verify_server_name(&parsed, &name).is_ok(), "{name:?}");
        }
        let other = ServerName::try_from("other.example").unwrap();
        assert!(verify_server_name(&parsed, &other).is_err());
        assert_eq!(
            load(dir.path(), &["farm.example"], at(0)).certificates(),
            named.certificates()
        );
    }

    #[test]
    fn a_damaged_key_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let first = load(dir.path(), &[], at(0));
        for damage in [&b""[..], b"garbage", b"\xff\xfe"] {
            fs::write(dir.path().join(KEY), damage).unwrap();
            let second = load(dir.path(), &[], at(0));
            assert_ne!(first.spki_sha256(), second.spki_sha256());
        }
    }

    #[test]
    fn what_cannot_be_read_or_written_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = load_or_create(&file.join("x"), &[]).unwrap_err();
        assert!(matches!(error, IdentityError::Write { .. }), "{error:?}");

        fs::create_dir(dir.path().join(KEY)).unwrap();
        let error = load_or_create(dir.path(), &[]).unwrap_err();
        assert!(error.to_string().contains(KEY), "{error}");
    }

    #[test]
    fn starting_at_once_agrees_on_one_key() {
        let dir = tempfile::tempdir().unwrap();
        let pins: Vec<_> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| load(dir.path(), &[], at(0)).spki_sha256()))
                .collect();
            starts
                .into_iter()
                .map(|start| start.join().unwrap())
                .collect()
        });
        assert!(pins.iter().all(|pin| *pin == pins[0]));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
