//! What `farm.toml` means, how it is written, and what hostile files cost.

use std::time::{Duration, Instant};

use buildfarm_dashboard::config::{MAX_ENTRIES, MAX_ENV, MAX_FILE, MAX_GLOBS, MAX_STEPS};
use buildfarm_dashboard::{
    Action, ConfigErrors, Decision, Farm, LoadError, Retry, default_host_type,
};
use proptest::prelude::*;

const FULL: &str = r#"
schema = 1

[project]
name = "widget"
branches = ["main", "release-*"]
recent = 12
poll = "500ms"

[host.linux-amd64]
description = "a rented machine"
os = "linux"
expect = 2
env = { CC = "clang", LANG = "C" }
shell = ["bash", "-euc"]

[host.mac]

[builder.race]
description = "with the race detector"
host = "mac"
env = { LANG = "en_US" }
dir = "cmd/tool"
timeout = "1h30m"
steps = [
    { name = "build", run = "make", timeout = "10m", env = { CC = "gcc" }, dir = "." },
    { name = "test", run = """
set -e
make test
""" },
]

[builder.all]
steps = [{ name = "t", run = "printf '\\t\"'" }]

[[policy]]
builders = "race"
branches = "release-*"
action = "skip"
reason = "too slow for releases"

[[policy]]
paths = ["docs/", "**/*.md"]
action = "skip"

[[policy]]
builders = ["a*", "race"]
action = "run"

[retry]
infra = 5
backoff = ["250ms", "10m"]

[logs]
limit = "8MiB"
"#;

/// The smallest farm.
const SMALL: &str = "[builder.test]\nsteps = [{ name = \"test\", run = \"make test\" }]\n";

fn parse(text: &str) -> Farm {
    Farm::parse_for("farm.toml", text, "linux-amd64").expect("a valid farm")
}

fn errors(text: impl AsRef<[u8]>) -> ConfigErrors {
    Farm::parse_for("farm.toml", text, "linux-amd64").expect_err("a broken farm")
}

#[test]
fn everything_is_read() {
    let farm = parse(FULL);
    insta::assert_json_snapshot!(farm);
}

#[test]
fn the_smallest_farm_has_the_documented_defaults() {
    let farm = parse(SMALL);
    insta::assert_json_snapshot!(farm);
    assert_eq!(farm.default_host, "linux-amd64");
    assert!(farm.builds_branch("any/branch"));
}

#[test]
fn this_machine_is_the_default_host() {
    let farm = Farm::parse("farm.toml", SMALL).unwrap();
    assert_eq!(farm.builders[0].host, default_host_type());
    assert!(farm.host(&default_host_type()).is_some());
}

#[test]
fn builders_keep_the_order_of_the_file() {
    let mut text = String::new();
    for name in ["z", "a", "m", "0", "b"] {
        text += &SMALL.replace("builder.test", &format!("builder.{name}"));
    }
    let names: Vec<_> = parse(&text).builders.into_iter().map(|b| b.name).collect();
    assert_eq!(names, ["z", "a", "m", "0", "b"]);
}

#[test]
fn written_farms_read_back() {
    for text in [FULL, SMALL] {
        let farm = parse(text);
        let written = farm.to_toml();
        assert_eq!(parse(&written), farm, "{written}");
        assert_eq!(parse(&written).to_toml(), written);
    }
    insta::assert_snapshot!("full", parse(FULL).to_toml());
    insta::assert_snapshot!("small", parse(SMALL).to_toml());
}

#[test]
fn a_farm_made_by_hand_is_written_so_that_reading_it_finds_its_faults() {
    let mut farm = parse(SMALL);
    farm.builders[0].name = "Not \"a\" name\r\n".to_owned();
    farm.builders[0].steps[0].run = "a\u{0}b\n'''".to_owned();
    let errors = errors(farm.to_toml());
    assert_eq!(errors.iter().count(), 2, "{errors}");
    assert!(errors.to_string().contains("bad builder name"), "{errors}");
    assert!(errors.to_string().contains("control character"), "{errors}");
}

#[test]
fn the_hash_follows_the_meaning_only() {
    let small = parse(SMALL);
    let spelled_out = parse(&format!(
        "# words\nschema=1\n[project]\nbranches='*'\nrecent=5\n[retry]\ninfra=3\n{SMALL}timeout='30m'\nhost='linux-amd64'"
    ));
    assert_eq!(small.hash(), spelled_out.hash());
    assert_eq!(small.hash().len(), 64);
    for change in [
        SMALL.replace("make test", "make check"),
        SMALL.replace("builder.test", "builder.tests"),
        format!("{SMALL}timeout='31m'"),
        format!("{SMALL}[retry]\ninfra=2"),
        format!("{SMALL}[host.linux-amd64]\nenv={{A='1'}}"),
    ] {
        assert_ne!(small.hash(), parse(&change).hash(), "{change}");
    }
}

#[test]
fn the_first_policy_that_applies_decides() {
    let farm = parse(FULL);
    let skip = |why: &str| Decision::Skip(why.to_owned());
    for (builder, branch, paths, decision) in [
        (
            "race",
            "release-1",
            &["src/a"][..],
            skip("too slow for releases"),
        ),
        ("race", "main", &["src/a"], Decision::Run),
        ("race", "main", &["docs/a"], skip("skipped by policy 2")),
        (
            "all",
            "main",
            &["docs/a", "README.md", "x/y.md"],
            skip("skipped by policy 2"),
        ),
        ("all", "main", &["docs/a", "src/a"], Decision::Run),
        ("all", "main", &[], Decision::Run),
        ("nobody", "main", &["src/a"], Decision::Run),
    ] {
        assert_eq!(
            farm.decide(builder, branch, paths),
            decision,
            "{builder} {branch} {paths:?}"
        );
    }
    assert!(farm.builds_branch("main") && farm.builds_branch("release-2"));
    assert!(!farm.builds_branch("feature"));
}

#[test]
fn run_only_for_some_paths() {
    let farm = parse(&format!(
        "{SMALL}[[policy]]\npaths='src/**'\naction='run'\n[[policy]]\naction='skip'\nreason='no source changed'"
    ));
    assert_eq!(
        farm.decide("test", "main", &["docs/a", "src/a"]),
        Decision::Run
    );
    assert_eq!(
        farm.decide("test", "main", &["docs/a"]),
        Decision::Skip("no source changed".to_owned())
    );
    let unknown: [&str; 0] = [];
    assert_eq!(farm.decide("test", "main", &unknown), Decision::Run);
}

#[test]
fn steps_inherit_from_builder_and_host() {
    let farm = parse(&FULL.replace("host = \"mac\"", ""));
    let builder = farm.builder("race").unwrap();
    let [build, test] = &builder.steps[..] else {
        panic!("two steps");
    };
    let env = farm.env(builder, build);
    assert_eq!((env["CC"].as_str(), env["LANG"].as_str()), ("gcc", "en_US"));
    assert_eq!(farm.env(builder, test)["CC"], "clang");
    assert_eq!(farm.command(builder, build), ["bash", "-euc", "make"]);
    assert_eq!(builder.dir(build), Some("."));
    assert_eq!(builder.dir(test), Some("cmd/tool"));
    assert_eq!(farm.policies[0].action, Action::Skip);
    assert!(farm.builder("none").is_none());
}

#[test]
fn waits_double_up_to_the_longest() {
    let retry = Retry::default();
    let waits: Vec<_> = [0, 1, 2, 3, 7, 8, 9, u32::MAX]
        .map(|n| retry.delay(n).as_secs())
        .to_vec();
    assert_eq!(waits, [1, 1, 2, 4, 64, 120, 120, 120]);
}

#[test]
fn several_mistakes_are_told_at_once() {
    let errors = errors("[project]\nnam=1\npoll=2\n[builder.X]\nsteps=[]\n[logs]\nlimit=0");
    let lines: Vec<_> = errors.iter().map(|error| error.line()).collect();
    assert_eq!(lines, [2, 3, 4, 5, 7]);
    assert_eq!(errors.first().line(), 2);
    assert_eq!(errors.omitted(), 0);

    let many: String = (0..50).map(|n| format!("unknown{n} = 1\n")).collect();
    let errors = self::errors(many);
    assert_eq!(errors.iter().count(), ConfigErrors::MAX);
    assert_eq!(errors.omitted(), 31);
    assert!(errors.to_string().ends_with("and 31 more"), "{errors}");
}

#[test]
fn load_reads_a_file_and_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("farm.toml");
    let missing = Farm::load(&path).unwrap_err();
    assert!(matches!(missing, LoadError::Read { .. }), "{missing:?}");
    assert_eq!(
        missing.to_string(),
        format!("cannot read {}", path.display())
    );

    std::fs::write(&path, SMALL).unwrap();
    assert_eq!(Farm::load(&path).unwrap(), Farm::parse("x", SMALL).unwrap());

    std::fs::write(&path, b"[project]\nname = \"\xff\"").unwrap();
    let broken = Farm::load(&path).unwrap_err().to_string();
    assert_eq!(
        broken,
        format!(
            "{}:2:9: the file is not UTF-8 here: save it as UTF-8",
            path.display()
        )
    );
}

/// Runs hostile input and holds it to far more time than it needs, and far less than it would take without bounds.
fn refused_quickly(text: impl AsRef<[u8]>) -> ConfigErrors {
    let start = Instant::now();
    let errors = errors(text);
    assert!(
        start.elapsed() < Duration::from_secs(30),
        "{:?}",
        start.elapsed()
    );
    errors
}

#[test]
fn hostile_sizes_are_refused() {
    let errors = refused_quickly(vec![b'#'; 10 << 20]);
    assert!(
        errors.to_string().contains("more than 1048576 bytes"),
        "{errors}"
    );
    refused_quickly(vec![0xff; MAX_FILE]);

    for opening in ["[", "{a=", "{\"\"="] {
        let errors = refused_quickly(format!("x = {}", opening.repeat(MAX_FILE / 8)));
        assert!(errors.to_string().contains("nested too deeply"), "{errors}");
    }
    refused_quickly(format!("[{}]", "a.".repeat(100_000) + "a"));
    refused_quickly(format!("{} = 1", "a.".repeat(100_000) + "a"));
    refused_quickly("[[x]]\n".repeat(MAX_FILE / 8));
    refused_quickly("a".repeat(MAX_FILE));
    refused_quickly(format!("{} = 1", "a".repeat(MAX_FILE - 10)));
    refused_quickly("\n".repeat(MAX_FILE));

    let step = "{name=\"s\",run=\"x\"},";
    let errors = refused_quickly(format!(
        "[builder.b]\nsteps = [{}]",
        step.repeat(MAX_STEPS + 1)
    ));
    assert!(
        errors.to_string().contains("101 steps, the limit is 100"),
        "{errors}"
    );

    let many = |header: &str, count: usize| -> String {
        (0..count).map(|n| format!("[{header}{n}]\n")).collect()
    };
    let errors = refused_quickly(many("builder.b", MAX_ENTRIES + 1));
    assert!(
        errors
            .to_string()
            .contains("1001 builders, the limit is 1000"),
        "{errors}"
    );
    let errors = refused_quickly(many("host.h", MAX_ENTRIES + 1) + SMALL);
    assert!(
        errors.to_string().contains("1001 hosts, the limit is 1000"),
        "{errors}"
    );
    let errors = refused_quickly("[[policy]]\n".repeat(MAX_ENTRIES + 1) + SMALL);
    assert!(
        errors
            .to_string()
            .contains("1001 policies, the limit is 1000"),
        "{errors}"
    );

    let env: String = (0..=MAX_ENV).map(|n| format!("A{n}=\"\",")).collect();
    let errors = refused_quickly(format!("{SMALL}env = {{ {} }}", env.trim_end_matches(',')));
    assert!(
        errors
            .to_string()
            .contains("201 variables, the limit is 200"),
        "{errors}"
    );
    let errors = refused_quickly(SMALL.replace("make test", &"x".repeat(70_000)));
    assert!(
        errors
            .to_string()
            .contains("70000 bytes, the limit is 65536"),
        "{errors}"
    );
}

/// Policies times patterns times builders times lengths is the one product in the checks.
#[test]
fn the_largest_farm_is_read_in_time() {
    let builder = |n| {
        format!(
            "[builder.{}{n}]\nsteps=[{{name='t',run='x'}}]\n",
            "a".repeat(60)
        )
    };
    let mut text: String = (0..MAX_ENTRIES).map(builder).collect();
    let patterns = format!("'{}z',", "*a".repeat(25)).repeat(MAX_GLOBS);
    while text.len() + patterns.len() + 100 < MAX_FILE {
        text += "[[policy]]\naction='run'\nbuilders=[";
        text += &patterns;
        text += "]\n";
    }
    let errors = refused_quickly(&text);
    assert!(
        errors.first().message().contains("no builder matches"),
        "{errors}"
    );

    let errors = refused_quickly(format!(
        "{SMALL}[[policy]]\naction='run'\nbuilders=[{}]",
        "'*',".repeat(MAX_GLOBS + 1)
    ));
    assert!(
        errors
            .to_string()
            .contains("101 patterns, the limit is 100"),
        "{errors}"
    );
}

/// The README's example has every key, at its default where there is one.
#[test]
fn the_readme_tells_the_truth() {
    let readme = include_str!("../README.md");
    let (_, rest) = readme.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let farm = parse(example);
    let defaults = parse(SMALL);
    assert_eq!(farm.project.branches, defaults.project.branches);
    assert_eq!(farm.project.poll, defaults.project.poll);
    assert_eq!((&farm.retry, &farm.logs), (&defaults.retry, &defaults.logs));
    assert_eq!(farm.builders[0].timeout, defaults.builders[0].timeout);
    assert_eq!(
        farm.decide("test", "main", &["a.md"]),
        Decision::Skip("words only".to_owned())
    );
    for key in [
        "name",
        "branches",
        "recent",
        "poll",
        "description",
        "os",
        "expect",
        "env",
        "shell",
        "host",
        "dir",
        "timeout",
        "steps",
        "builders",
        "paths",
        "action",
        "reason",
        "infra",
        "backoff",
        "limit",
    ] {
        assert!(example.contains(&format!("{key} = ")), "{key}");
    }
}

/// A change to a file: at a place, some bytes out, some in.
fn edits() -> impl Strategy<Value = Vec<(prop::sample::Index, usize, String)>> {
    let insert = prop_oneof![
        "[\\[\\]{}=\"'.,#\\n a-z0-9_-]{0,6}",
        ".{0,4}",
        Just("[builder.b]".to_owned()),
        Just("= [".to_owned()),
        Just("99999999999999999999".to_owned()),
    ];
    prop::collection::vec((any::<prop::sample::Index>(), 0..8usize, insert), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn mutations_never_panic_and_what_is_accepted_round_trips(edits in edits()) {
        let mut text: Vec<char> = FULL.chars().collect();
        for (at, out, insert) in edits {
            let at = at.index(text.len());
            let end = (at + out).min(text.len());
            text.splice(at..end, insert.chars());
        }
        let text: String = text.into_iter().collect();
        match Farm::parse_for("f", &text, "linux-amd64") {
            Ok(farm) => {
                let written = farm.to_toml();
                prop_assert_eq!(Farm::parse_for("f", &written, "linux-amd64"), Ok(farm));
            }
            Err(errors) => {
                for error in errors.iter() {
                    prop_assert!(error.line() >= 1 && error.line() <= text.split('\n').count());
                    prop_assert!(error.column() >= 1 && error.message().len() < 1000);
                    prop_assert!(!error.message().contains('\n'));
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_answered(bytes: Vec<u8>) {
        let _ = Farm::parse("f", bytes);
    }

    #[test]
    fn any_text_value_survives_writing(run in "[^\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f]{1,40}") {
        prop_assume!(!run.trim().is_empty());
        let mut farm = parse(SMALL);
        farm.builders[0].steps[0].run = run.clone();
        farm.builders[0].description = Some(run);
        prop_assert_eq!(parse(&farm.to_toml()), farm);
    }
}
