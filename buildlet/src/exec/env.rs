//! The environment of a command, composed by the rules of the newest Go worker.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// What commands inherit.
///
/// The crate reads no environment itself: a program passes its own variables in with [`EnvPolicy::inherit`].
#[derive(Debug, Clone)]
pub struct EnvPolicy {
    base: Vec<(OsString, OsString)>,
    scrub: Vec<String>,
}

/// Always scrubbed, because they carry the worker's own secrets and identity.
const OURS: [&str; 4] = ["META_*", "BUILDFARM_*", "BUILDLET_*", "GO_BUILD_KEY*"];

/// What `cargo run` and rustup tell the program they start about itself. A build of another project would take it for
/// its own: `RUSTUP_TOOLCHAIN` goes before that project's `rust-toolchain.toml`.
const CARGO_RUN: [&str; 7] = [
    "CARGO",
    "CARGO_MANIFEST_*",
    "CARGO_PKG_*",
    "CARGO_PRIMARY_PACKAGE",
    "RUSTUP_TOOLCHAIN",
    "RUSTUP_TOOLCHAIN_SOURCE",
    "RUST_RECURSION_COUNT",
];

impl Default for EnvPolicy {
    /// Nothing but a usual `PATH`.
    fn default() -> Self {
        Self::inherit([(
            OsString::from("PATH"),
            OsString::from("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        )])
    }
}

impl EnvPolicy {
    /// Passes on the given variables, except those that start with `META_`, `BUILDFARM_`, `BUILDLET_` or
    /// `GO_BUILD_KEY`, and what `cargo run` told the worker about itself.
    pub fn inherit(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let policy = Self {
            base: variables.into_iter().collect(),
            scrub: OURS.iter().map(ToString::to_string).collect(),
        };
        // Without cargo in between, a RUSTUP_TOOLCHAIN was set by somebody who meant it.
        if policy.get("CARGO_MANIFEST_DIR").is_some() {
            policy.without(CARGO_RUN)
        } else {
            policy.applied()
        }
    }

    /// Also withholds these: names, or beginnings of names that end in `*`.
    #[must_use]
    pub fn without<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.scrub.extend(names.into_iter().map(Into::into));
        self.applied()
    }

    /// Adds or replaces a variable, whatever the rules above say.
    #[must_use]
    pub fn with(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        let name = name.into();
        self.base.retain(|(known, _)| *known != name);
        self.base.push((name, value.into()));
        self
    }

    /// A variable commands inherit.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.base
            .iter()
            .rfind(|(known, _)| known == name)
            .map(|(_, value)| value.as_os_str())
    }

    fn applied(mut self) -> Self {
        let scrub = std::mem::take(&mut self.scrub);
        self.base.retain(|(name, _)| {
            !scrub.iter().any(|pattern| match pattern.strip_suffix('*') {
                Some(prefix) => name.as_bytes().starts_with(prefix.as_bytes()),
                None => name == pattern.as_str(),
            })
        });
        self.scrub = scrub;
        self
    }
}

/// Composes the environment: inherited, then what the request asks for, then ours; later wins.
pub(crate) fn compose<'a>(
    policy: &EnvPolicy,
    asked: impl Iterator<Item = &'a [u8]>,
    ours: &[(&str, OsString)],
    path: &[&[u8]],
    work_dir: &Path,
) -> Vec<OsString> {
    let mut env: Vec<OsString> = policy
        .base
        .iter()
        .map(|(name, value)| pair(name, value))
        .collect();
    env.extend(asked.map(|text| OsString::from_vec(text.to_vec())));
    env.extend(
        ours.iter()
            .map(|(name, value)| pair(OsStr::new(name), value)),
    );
    let mut env = dedup(env);
    set_path(&mut env, path, work_dir);
    env
}

/// Splits `KEY=VALUE`; entries Go would keep but no process can use are left out.
pub(crate) fn split(entry: &OsStr) -> Option<(&OsStr, &OsStr)> {
    let bytes = entry.as_bytes();
    let at = bytes.iter().position(|&byte| byte == b'=')?;
    let (name, value) = (bytes.get(..at)?, bytes.get(at + 1..)?);
    (!name.is_empty()).then(|| (OsStr::from_bytes(name), OsStr::from_bytes(value)))
}

fn pair(name: &OsStr, value: &OsStr) -> OsString {
    let mut entry = name.to_owned();
    entry.push("=");
    entry.push(value);
    entry
}

/// One entry per name: the last value, at the place of the first.
fn dedup(env: Vec<OsString>) -> Vec<OsString> {
    let mut places = std::collections::HashMap::new();
    let mut out: Vec<OsString> = Vec::with_capacity(env.len());
    for entry in env {
        let name = split(&entry).map(|(name, _)| name.to_owned());
        match name.as_ref().and_then(|name| places.get(name)) {
            Some(&place) => {
                if let Some(slot) = out.get_mut(place) {
                    *slot = entry;
                }
            }
            None => {
                if let Some(name) = name {
                    places.insert(name, out.len());
                }
                out.push(entry);
            }
        }
    }
    out
}

/// `$PATH`, `$WORKDIR` and `$EMPTY` are replaced within elements; empty elements vanish; no elements at all leave
/// `PATH` as it is, and elements that come to nothing remove it.
fn set_path(env: &mut Vec<OsString>, elements: &[&[u8]], work_dir: &Path) {
    if elements.is_empty() {
        return;
    }
    let is_path = |entry: &OsString| entry.as_bytes().starts_with(b"PATH=");
    let place = env.iter().rposition(is_path);
    let old = place
        .and_then(|place| env.get(place))
        .and_then(|entry| entry.as_bytes().get(5..))
        .unwrap_or_default()
        .to_vec();
    let parts: Vec<Vec<u8>> = elements
        .iter()
        .map(|element| {
            let element = replace(element, b"$PATH", &old);
            let element = replace(&element, b"$WORKDIR", work_dir.as_os_str().as_bytes());
            replace(&element, b"$EMPTY", b"")
        })
        .filter(|element| !element.is_empty())
        .collect();
    if parts.is_empty() {
        // A lone "$PATH" with no PATH to stand for changes nothing.
        if elements.contains(&b"$EMPTY".as_slice()) {
            env.retain(|entry| !is_path(entry));
        }
        return;
    }
    let mut entry = OsString::from("PATH=");
    entry.push(OsStr::from_bytes(&parts.join(&b':')));
    match place.and_then(|place| env.get_mut(place)) {
        Some(slot) => *slot = entry,
        None => env.push(entry),
    }
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(from) {
            out.extend_from_slice(to);
            rest = after;
        } else if let Some((first, after)) = rest.split_first() {
            out.push(*first);
            rest = after;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(old: Option<&str>, elements: &[&str]) -> Option<String> {
        let mut env: Vec<OsString> = vec!["A=1".into()];
        env.extend(old.map(|old| OsString::from(format!("PATH={old}"))));
        env.push("B=2".into());
        let elements: Vec<&[u8]> = elements.iter().map(|text| text.as_bytes()).collect();
        set_path(&mut env, &elements, Path::new("/w"));
        env.iter()
            .find_map(|entry| entry.to_str()?.strip_prefix("PATH="))
            .map(ToOwned::to_owned)
    }

    #[test]
    fn path_elements() {
        let old = Some("/bin:/usr/bin");
        assert_eq!(path(old, &[]).as_deref(), old);
        assert_eq!(path(old, &["$EMPTY"]), None);
        assert_eq!(path(old, &["$WORKDIR/go/bin"]).unwrap(), "/w/go/bin");
        assert_eq!(
            path(old, &["/first", "$PATH", "$WORKDIR/x"]).unwrap(),
            "/first:/bin:/usr/bin:/w/x"
        );
        assert_eq!(path(old, &["/a", "$PATH"]).unwrap(), "/a:/bin:/usr/bin");
        assert_eq!(path(old, &["$PATH", "/a"]).unwrap(), "/bin:/usr/bin:/a");
        assert_eq!(path(None, &["$PATH", "/a"]).unwrap(), "/a");
        assert_eq!(path(None, &["$PATH"]), None);
        assert_eq!(path(Some(""), &["$PATH"]).as_deref(), Some(""));
        assert_eq!(path(old, &["", "/a", "$EMPTY"]).unwrap(), "/a");
    }

    #[test]
    fn last_value_wins_at_the_first_place() {
        let env = ["A=1", "B=2", "nonsense", "=x", "A=3", "=x"].map(OsString::from);
        assert_eq!(
            dedup(env.to_vec()),
            ["A=3", "B=2", "nonsense", "=x", "=x"].map(OsString::from)
        );
    }

    #[test]
    fn what_cargo_run_says_of_the_worker_is_not_for_builds() {
        let of = |names: &[&str]| {
            EnvPolicy::inherit(
                names
                    .iter()
                    .map(|name| (OsString::from(name), OsString::from("x"))),
            )
        };
        let run = of(&[
            "CARGO_MANIFEST_DIR",
            "CARGO_PKG_NAME",
            "RUSTUP_TOOLCHAIN",
            "CARGO_HOME",
        ]);
        assert_eq!(run.get("RUSTUP_TOOLCHAIN"), None);
        assert_eq!(run.get("CARGO_PKG_NAME"), None);
        assert!(run.get("CARGO_HOME").is_some());
        assert!(of(&["RUSTUP_TOOLCHAIN"]).get("RUSTUP_TOOLCHAIN").is_some());
    }

    #[test]
    fn our_secrets_are_not_inherited() {
        let policy = EnvPolicy::inherit(
            [
                ("META_password", "p"),
                ("BUILDFARM_KEY", "k"),
                ("GO_BUILD_KEY_PATH", "p"),
                ("AWS_SECRET", "s"),
                ("HOME", "/root"),
                ("PATH", "/bin"),
            ]
            .map(|(name, value)| (name.into(), value.into())),
        )
        .without(["AWS_*"]);
        let env = compose(
            &policy,
            [&b"HOME=/w"[..], b"X=1=2"].into_iter(),
            &[("WORKDIR", "/w".into())],
            &[],
            Path::new("/w"),
        );
        assert_eq!(
            env,
            ["HOME=/w", "PATH=/bin", "X=1=2", "WORKDIR=/w"].map(OsString::from)
        );
    }
}
