//! Names of the machine this program was built for.

/// Host type of this machine: operating system and architecture under their Go names, such as `linux-amd64`.
///
/// It is what a builder without a `host` runs on. The value is fixed when the program is compiled.
#[must_use]
pub fn default_host_type() -> String {
    format!(
        "{}-{}",
        go_os(std::env::consts::OS),
        go_arch(std::env::consts::ARCH, cfg!(target_endian = "little"))
    )
}

fn go_os(os: &str) -> &str {
    match os {
        "macos" => "darwin",
        other => other,
    }
}

fn go_arch(arch: &str, little_endian: bool) -> &str {
    match (arch, little_endian) {
        ("x86_64", _) => "amd64",
        ("x86", _) => "386",
        ("aarch64", _) => "arm64",
        ("powerpc64", true) => "ppc64le",
        ("powerpc64", false) => "ppc64",
        ("mips", true) => "mipsle",
        ("mips64", true) => "mips64le",
        ("loongarch64", _) => "loong64",
        (other, _) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_names() {
        assert_eq!(go_os("macos"), "darwin");
        assert_eq!(go_os("linux"), "linux");
        for (rust, little, go) in [
            ("x86_64", true, "amd64"),
            ("aarch64", true, "arm64"),
            ("x86", true, "386"),
            ("powerpc64", true, "ppc64le"),
            ("powerpc64", false, "ppc64"),
            ("s390x", false, "s390x"),
            ("riscv64", true, "riscv64"),
            ("arm", true, "arm"),
        ] {
            assert_eq!(go_arch(rust, little), go);
        }
    }

    #[test]
    fn is_a_valid_name() {
        assert!(crate::config::is_name(&default_host_type()));
    }
}
