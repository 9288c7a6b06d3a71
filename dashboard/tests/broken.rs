//! Broken `farm.toml` files: each answer names file, line, column and the way out.

use buildfarm_dashboard::Farm;

/// What `$GOOD` in a case stands for.
const GOOD: &str = "[builder.b]\nsteps = [{name=\"t\",run=\"x\"}]\n";

/// Broken files and their exact answers, one per line.
const CASES: &[(&str, &str)] = &[
    (
        r#"[builder.b
steps = []"#,
        r#"f:1:11: not valid TOML: unclosed table, expected `]`"#,
    ),
    (
        r#"[project]
name = widget
$GOOD"#,
        r#"f:2:8: not valid TOML: text must stand in quotes, such as name = "widget""#,
    ),
    (
        r#"[project]
name = "widget
$GOOD"#,
        r#"f:2:15: not valid TOML: invalid basic string, expected `"`"#,
    ),
    (
        r#"a = = 1"#,
        r#"f:1:5: not valid TOML: extra `=`
f:1:7: not valid TOML: unexpected key or value, expected newline, `#`"#,
    ),
    (
        r#"[builder.b]
steps = [{name="t",run="x"}]
[builder.b]
steps = [{name="t",run="x"}]"#,
        r#"f:3:10: duplicate name 'b': rename or remove one of the two
f:4:1: duplicate name 'steps': rename or remove one of the two"#,
    ),
    (
        r#"[logs]
limit = "1MiB"
limit = "2MiB"
$GOOD"#,
        r#"f:3:1: duplicate name 'limit': rename or remove one of the two"#,
    ),
    (
        r#"[logs]
limit "1MiB"
$GOOD"#,
        r#"f:2:7: not valid TOML: key with no value, expected `=`"#,
    ),
    (
        r#"[project]
name = 'a
$GOOD"#,
        r#"f:2:10: not valid TOML: invalid literal string, expected `'`"#,
    ),
    (
        r#"[retry]
infra = 1_
$GOOD"#,
        r#"f:2:10: not valid TOML: `_` may only go between digits"#,
    ),
    (
        r#""#,
        r#"f:1:1: no builder: add [builder.test] with steps = [{ name = "test", run = "make test" }]"#,
    ),
    (
        r#"# only words
"#,
        r#"f:1:1: no builder: add [builder.test] with steps = [{ name = "test", run = "make test" }]"#,
    ),
    (
        r#"schema = 2
$GOOD"#,
        r#"f:1:10: this program reads schema 1 only: write schema = 1, or update the program"#,
    ),
    (
        r#"schema = "1"
$GOOD"#,
        r#"f:1:10: this program reads schema 1 only: write schema = 1, or update the program"#,
    ),
    (
        r#"[builders.b]
steps = [{name="t",run="x"}]"#,
        r#"f:1:2: unknown key 'builders', did you mean 'builder'?"#,
    ),
    (
        r#"timeout = "5m"
$GOOD"#,
        r#"f:1:1: unknown key 'timeout' in the top level: it belongs in [builder.NAME]"#,
    ),
    (
        r#"zzzzz = 1
$GOOD"#,
        r#"f:1:1: unknown key 'zzzzz' in the top level: valid keys are schema, project, host, builder, policy, retry, logs"#,
    ),
    (
        r#"builder = 3"#,
        r#"f:1:11: 'builder' must be a named table, found an integer: write [builder.NAME]"#,
    ),
    (
        r#"[[builder]]
name = "b""#,
        r#"f:1:1: 'builder' must be a named table, found a list: write [builder.NAME]"#,
    ),
    (
        r#"[builder]
steps = [{name="t",run="x"}]"#,
        r#"f:2:1: 'steps' stands in [builder] itself: name the builder first, as in [builder.test]"#,
    ),
    (
        r#"[builder]"#,
        r#"f:1:1: no builder: add [builder.test] with steps = [{ name = "test", run = "make test" }]"#,
    ),
    (
        r#"[hosts.x]
$GOOD"#,
        r#"f:1:2: unknown key 'hosts', did you mean 'host'?"#,
    ),
    (
        r#"[polcy]
$GOOD"#,
        r#"f:1:2: unknown key 'polcy', did you mean 'policy'?"#,
    ),
    (
        r#"project = "widget"
$GOOD"#,
        r#"f:1:11: 'project' must be a table, found a string: write [project]"#,
    ),
    (
        r#"[project]
nam = "x"
$GOOD"#,
        r#"f:2:1: unknown key 'nam', did you mean 'name'?"#,
    ),
    (
        r#"[project]
name = 3
$GOOD"#,
        r#"f:2:8: 'name' must be text in quotes such as "widget", found an integer"#,
    ),
    (
        r#"[project]
name = ""
$GOOD"#,
        r#"f:2:8: 'name' must be one line of 1 to 100 characters"#,
    ),
    (
        r#"[project]
branches = []
$GOOD"#,
        r#"f:2:12: 'branches' is empty and so matches nothing: remove it to match all"#,
    ),
    (
        r#"[project]
branches = ["[a"]
$GOOD"#,
        r#"f:2:13: a pattern in 'branches' is broken ('[' has no closing ']'): write one such as "main", "release-*" or "docs/**""#,
    ),
    (
        r#"[project]
branches = [1]
$GOOD"#,
        r#"f:2:13: 'branches' must be a list of patterns in quotes, found an integer"#,
    ),
    (
        r#"[project]
branches = 7
$GOOD"#,
        r#"f:2:12: 'branches' must be a pattern such as "main" or a list such as ["main", "release-*"], found an integer"#,
    ),
    (
        r#"[project]
recent = -1
$GOOD"#,
        r#"f:2:10: 'recent' is -1, it must be a whole number from 1 to 1000"#,
    ),
    (
        r#"[project]
recent = 0
$GOOD"#,
        r#"f:2:10: 'recent' is 0, it must be a whole number from 1 to 1000"#,
    ),
    (
        r#"[project]
recent = "5"
$GOOD"#,
        r#"f:2:10: 'recent' must be a whole number from 1 to 1000, found a string"#,
    ),
    (
        r#"[project]
recent = 99999999999999999999999999
$GOOD"#,
        r#"f:2:10: 'recent' is 99999999999999999999999999, it must be a whole number from 1 to 1000"#,
    ),
    (
        r#"[project]
poll = 2
$GOOD"#,
        r#"f:2:8: 'poll' must be a duration in quotes such as "90s" or "5m", found an integer: write "2s" or "2m""#,
    ),
    (
        r#"[project]
poll = "2"
$GOOD"#,
        r#"f:2:8: 'poll' is not a duration (it has no unit): write one such as "90s", "5m" or "1h30m""#,
    ),
    (
        r#"[project]
poll = "0s"
$GOOD"#,
        r#"f:2:8: 'poll' is 0s, it must be from 100ms to 1d"#,
    ),
    (
        r#"[project]
poll = "fast"
$GOOD"#,
        r#"f:2:8: 'poll' is not a duration (it does not start with a whole number): write one such as "90s", "5m" or "1h30m""#,
    ),
    (
        r#"[project]
interval = "2s"
$GOOD"#,
        r#"f:2:1: unknown key 'interval', did you mean 'poll'?"#,
    ),
    (
        r#"[host.Linux]
$GOOD"#,
        r#"f:1:7: bad host name 'Linux': use a-z, 0-9, '.', '_' and '-', at most 64, a letter or digit first, for example 'linux'"#,
    ),
    (
        r#"[host."a b"]
$GOOD"#,
        r#"f:1:7: bad host name 'a b': use a-z, 0-9, '.', '_' and '-', at most 64, a letter or digit first, for example 'a-b'"#,
    ),
    (
        r#"[host.h]
expected = 2
$GOOD"#,
        r#"f:2:1: unknown key 'expected', did you mean 'expect'?"#,
    ),
    (
        r#"[host.h]
expect = "2"
$GOOD"#,
        r#"f:2:10: 'expect' must be a whole number from 0 to 10000, found a string"#,
    ),
    (
        r#"[host.h]
expect = 1.5
$GOOD"#,
        r#"f:2:10: 'expect' must be a whole number from 0 to 10000, found a float"#,
    ),
    (
        r#"[host.h]
env = "A=1"
$GOOD"#,
        r#"f:2:7: 'env' must be a table such as { CC = "clang" }, found a string"#,
    ),
    (
        r#"[host.h]
env = { "A-B" = "1" }
$GOOD"#,
        r#"f:2:9: 'A-B' cannot name a variable: use letters, digits and '_', not a digit first"#,
    ),
    (
        r#"[host.h]
env = { A = 1 }
$GOOD"#,
        r#"f:2:13: 'A' must be text in quotes such as "1", found an integer"#,
    ),
    (
        r#"[host.h]
shell = "sh -c"
$GOOD"#,
        r#"f:2:9: 'shell' must be a list such as ["sh", "-c"], found a string"#,
    ),
    (
        r#"[host.h]
shell = []
$GOOD"#,
        r#"f:2:9: 'shell' must be a list such as ["sh", "-c"], found an empty list"#,
    ),
    (
        r#"[host.h]
shell = [""]
$GOOD"#,
        r#"f:2:9: 'shell' starts with an empty text: write a program first, such as ["sh", "-c"]"#,
    ),
    (
        r#"[host.h]
os = "Big Linux"
$GOOD"#,
        r#"f:2:6: 'os' must be a lower-case word such as "linux" or "darwin""#,
    ),
    (
        r#"[host.h]
timeout = "5m"
$GOOD"#,
        r#"f:2:1: unknown key 'timeout' in [host.NAME]: it belongs in [builder.NAME]"#,
    ),
    (
        r#"[host]
description = "x"
$GOOD"#,
        r#"f:2:1: 'description' stands in [host] itself: name the host first, as in [host.test]"#,
    ),
    (
        r#"[builder.Test]
steps = [{name="t",run="x"}]"#,
        r#"f:1:10: bad builder name 'Test': use a-z, 0-9, '.', '_' and '-', at most 64, a letter or digit first, for example 'test'"#,
    ),
    (
        r#"[builder."über"]
steps = [{name="t",run="x"}]"#,
        r#"f:1:10: bad builder name 'über': use a-z, 0-9, '.', '_' and '-', at most 64, a letter or digit first"#,
    ),
    (
        r#"[builder.linux.amd64]
steps = [{name="t",run="x"}]"#,
        r#"f:1:16: unknown key 'amd64': if it is part of a name with a dot, quote the whole name"#,
    ),
    (
        r#"[builder.b]
    step = [{name="t",run="x"}]"#,
        r#"f:2:5: unknown key 'step', did you mean 'steps'?"#,
    ),
    (
        r#"[builder.b]
commands = ["make"]"#,
        r#"f:2:1: unknown key 'commands', did you mean 'steps'?"#,
    ),
    (
        r#"[builder.b]"#,
        r#"f:1:10: this builder has no steps: add steps = [{ name = "test", run = "make test" }]"#,
    ),
    (
        r#"[builder.b]
steps = []"#,
        r#"f:2:9: 'steps' is empty: write steps = [{ name = "test", run = "make test" }]"#,
    ),
    (
        r#"[builder.b]
steps = "make""#,
        r#"f:2:9: 'steps' must be a list of tables, found a string: write steps = [{ name = "test", run = "make test" }]"#,
    ),
    (
        r#"[builder.b]
steps = ["make"]"#,
        r#"f:2:10: 'steps' must be a list of tables such as { name = "test", run = "make test" }, found a string"#,
    ),
    (
        r#"[builder.b]
host = "linux-amd46"
steps = [{name="t",run="x"}]
[host.linux-arm64]"#,
        r#"f:2:8: unknown host 'linux-amd46', did you mean 'linux-amd64'?"#,
    ),
    (
        r#"[builder.b]
host = "plan9"
steps = [{name="t",run="x"}]"#,
        r#"f:2:8: unknown host 'plan9', declare it with [host.plan9], or remove 'host' to use 'linux-amd64'"#,
    ),
    (
        r#"[builder.b]
host = "Not A Name"
steps = [{name="t",run="x"}]"#,
        r#"f:2:8: unknown host 'Not A Name', remove 'host' to use 'linux-amd64'"#,
    ),
    (
        r#"[builder.b]
runs-on = "linux-amd64"
steps = [{name="t",run="x"}]"#,
        r#"f:2:1: unknown key 'runs-on', did you mean 'host'?"#,
    ),
    (
        r#"[builder.b]
timeout = "0m"
steps = [{name="t",run="x"}]"#,
        r#"f:2:11: 'timeout' is 0s, it must be from 1s to 30d"#,
    ),
    (
        r#"[builder.b]
timeout = 30
steps = [{name="t",run="x"}]"#,
        r#"f:2:11: 'timeout' must be a duration in quotes such as "90s" or "5m", found an integer: write "30s" or "30m""#,
    ),
    (
        r#"[builder.b]
timeout = "2y"
steps = [{name="t",run="x"}]"#,
        r#"f:2:11: 'timeout' is not a duration (its unit is not known): write one such as "90s", "5m" or "1h30m""#,
    ),
    (
        r#"[builder.b]
timeout = "31d"
steps = [{name="t",run="x"}]"#,
        r#"f:2:11: 'timeout' is 31d, it must be from 1s to 30d"#,
    ),
    (
        r#"[builder.b]
dir = "/abs"
steps = [{name="t",run="x"}]"#,
        r#"f:2:7: 'dir' must be relative to the checkout's root: remove the '/' it starts with"#,
    ),
    (
        r#"[builder.b]
dir = "a/../../b"
steps = [{name="t",run="x"}]"#,
        r#"f:2:7: 'dir' must stay inside the checkout: remove '..'"#,
    ),
    (
        r#"[builder.b]
dir = "a\\b"
steps = [{name="t",run="x"}]"#,
        r#"f:2:7: 'dir' must be a plain path: use '/' between folders"#,
    ),
    (
        r#"[builder.b]
dir = ""
steps = [{name="t",run="x"}]"#,
        r#"f:2:7: 'dir' is empty: remove it to use the checkout's root"#,
    ),
    (
        r#"[builder.b]
description = "a\u0000b"
steps = [{name="t",run="x"}]"#,
        r#"f:2:15: 'description' contains a control character: remove it"#,
    ),
    (
        r#"[builder.b]
allow_failure = true
steps = [{name="t",run="x"}]"#,
        r#"f:2:1: unknown key 'allow_failure' in [builder.NAME]: valid keys are host, description, env, dir, timeout, steps"#,
    ),
    (
        r#"[builder.b]
steps = [{run="x"}]"#,
        r#"f:2:10: this step has no name: add name = "test""#,
    ),
    (
        r#"[builder.b]
steps = [{name="t"}]"#,
        r#"f:2:10: this step has no command: add run = "make test""#,
    ),
    (
        r#"[builder.b]
steps = [{name="t", cmd="x"}]"#,
        r#"f:2:21: unknown key 'cmd', did you mean 'run'?"#,
    ),
    (
        r#"[builder.b]
steps = [{name="t", run=["make","test"]}]"#,
        r#"f:2:25: 'run' must be text in quotes such as "make test", found a list"#,
    ),
    (
        r#"[builder.b]
steps = [{name="t", run=" "}]"#,
        r#"f:2:25: 'run' is empty: write the command, such as "make test""#,
    ),
    (
        r#"[builder.b]
steps = [{name="T 1", run="x"}]"#,
        r#"f:2:16: bad step name 'T 1': use a-z, 0-9, '.', '_' and '-', at most 64, a letter or digit first, for example 't-1'"#,
    ),
    (
        r#"[builder.b]
steps = [{name="", run="x"}]"#,
        r#"f:2:16: bad step name '': use a-z, 0-9, '.', '_' and '-', at most 64, a letter or digit first"#,
    ),
    (
        r#"[builder.b]
steps = [{name=4, run="x"}]"#,
        r#"f:2:16: 'name' must be text in quotes such as "test", found an integer"#,
    ),
    (
        r#"[builder.b]
steps = [{name="source", run="x"}]"#,
        r#"f:2:16: 'source' is the farm's own step: choose another name"#,
    ),
    (
        r#"[builder.b]
steps = [
  {name="t",run="x"},
  {name="t",run="y"},
]"#,
        r#"f:4:9: duplicate step 't': give each step its own name"#,
    ),
    (
        r#"[builder.b]
steps = [{name="t", run="x", timeout="0s"}]"#,
        r#"f:2:38: 'timeout' is 0s, it must be from 1s to 30d"#,
    ),
    (
        r#"[builder.b]
steps = [{name="t", run="x", timeout="1h"}]"#,
        r#"f:2:38: 'timeout' is longer than the whole builder's 30m: raise the builder's or lower this one"#,
    ),
    (
        r#"[builder.b]
steps = [{name="t", run="x", env={A=true}}]"#,
        r#"f:2:37: 'A' must be text in quotes such as "1", found a boolean"#,
    ),
    (
        r#"[builder.b]
steps = [{name="t", run="x", host="linux-amd64"}]"#,
        r#"f:2:30: unknown key 'host' in a step of [builder.NAME]: it belongs in [builder.NAME]"#,
    ),
    (
        r#"[builder.b]
steps = [{name="ü", run="x"}, {name="t"}]"#,
        r#"f:2:16: bad step name 'ü': use a-z, 0-9, '.', '_' and '-', at most 64, a letter or digit first
f:2:31: this step has no command: add run = "make test""#,
    ),
    (
        r#"[policy]
action = "skip"
$GOOD"#,
        r#"f:1:1: 'policy' must be a list, found a table: write [[policy]], with two brackets"#,
    ),
    (
        r#"[[policy]]
builders = "b"
$GOOD"#,
        r#"f:1:1: this policy has no action: add action = "run" or action = "skip""#,
    ),
    (
        r#"[[policy]]
action = "ignore"
$GOOD"#,
        r#"f:2:10: unknown action 'ignore': write "run" or "skip""#,
    ),
    (
        r#"[[policy]]
action = true
$GOOD"#,
        r#"f:2:10: 'action' must be "run" or "skip", found a boolean"#,
    ),
    (
        r#"[[policy]]
builder = "b"
action = "skip"
$GOOD"#,
        r#"f:2:1: unknown key 'builder', did you mean 'builders'?"#,
    ),
    (
        r#"[[policy]]
builders = "linus-*"
action = "skip"
$GOOD"#,
        r#"f:2:12: no builder matches 'linus-*', correct or remove it"#,
    ),
    (
        r#"[[policy]]
builders = "test"
action = "skip"
[builder.tests]
steps = [{name="t",run="x"}]"#,
        r#"f:2:12: no builder matches 'test', did you mean 'tests'?"#,
    ),
    (
        r#"[[policy]]
paths = ["docs["]
action = "skip"
$GOOD"#,
        r#"f:2:10: a pattern in 'paths' is broken ('[' has no closing ']'): write one such as "main", "release-*" or "docs/**""#,
    ),
    (
        r#"[[policy]]
paths = []
action = "skip"
$GOOD"#,
        r#"f:2:9: 'paths' is empty and so matches nothing: remove it to match all"#,
    ),
    (
        r#"policy = [1]
$GOOD"#,
        r#"f:1:11: 'policy' must be a list of tables, found an integer: write [[policy]]"#,
    ),
    (
        r#"[retry]
infra = 101
$GOOD"#,
        r#"f:2:9: 'infra' is 101, it must be a whole number from 0 to 100"#,
    ),
    (
        r#"[retry]
backoff = "1s"
$GOOD"#,
        r#"f:2:11: 'backoff' must be the first and the longest wait: write ["1s", "2m"]"#,
    ),
    (
        r#"[retry]
backoff = ["1s"]
$GOOD"#,
        r#"f:2:11: 'backoff' must be the first and the longest wait: write ["1s", "2m"]"#,
    ),
    (
        r#"[retry]
backoff = ["2m", "1s"]
$GOOD"#,
        r#"f:2:11: 'backoff' starts above its longest wait: swap the two, as in ["1s", "2m"]"#,
    ),
    (
        r#"[retry]
backoff = [1, 2]
$GOOD"#,
        r#"f:2:12: 'backoff' must be a duration in quotes such as "90s" or "5m", found an integer: write "1s" or "1m"
f:2:15: 'backoff' must be a duration in quotes such as "90s" or "5m", found an integer: write "2s" or "2m""#,
    ),
    (
        r#"[retry]
infra_per_build = 3
$GOOD"#,
        r#"f:2:1: unknown key 'infra_per_build' in [retry]: valid keys are infra, backoff"#,
    ),
    (
        r#"[logs]
limit = 64
$GOOD"#,
        r#"f:2:9: 'limit' must be a size in quotes such as "64MiB", found an integer"#,
    ),
    (
        r#"[logs]
limit = "64"
$GOOD"#,
        r#"f:2:9: 'limit' is not a size (it has no unit): write one such as "64MiB" or "512KiB""#,
    ),
    (
        r#"[logs]
limit = "64M"
$GOOD"#,
        r#"f:2:9: 'limit' is not a size (its unit is not known): write one such as "64MiB" or "512KiB""#,
    ),
    (
        r#"[logs]
limit = "1B"
$GOOD"#,
        r#"f:2:9: 'limit' is 1B, it must be from 64KiB to 1TiB"#,
    ),
    (
        r#"[logs]
size = "64MiB"
$GOOD"#,
        r#"f:2:1: unknown key 'size', did you mean 'limit'?"#,
    ),
    (
        r#"[builder.b]
name = "x"
steps = [{name="t",run="x"}]"#,
        r#"f:2:1: unknown key 'name' in [builder.NAME]: the name stands in the brackets"#,
    ),
    (
        "\u{feff}[builder.b]\nstep = []",
        r#"f:2:1: unknown key 'step', did you mean 'steps'?"#,
    ),
    (
        "[builder.b]\r\nsteps = [{name=\"t\",run=\"x\",tiemout=\"5m\"}]\r\n",
        r#"f:2:28: unknown key 'tiemout', did you mean 'timeout'?"#,
    ),
    (
        r#"[project]
name = "ü" nam = 2
$GOOD"#,
        r#"f:2:12: not valid TOML: unexpected key or value, expected newline, `#`"#,
    ),
    (
        r#"[host.h]
env = { A = "x\u0007" }
$GOOD"#,
        r#"f:2:13: 'A' contains a control character: remove it"#,
    ),
    (
        r#"[builder.b]
steps = [{name="t",run="x",dir=".."}]"#,
        r#"f:2:32: 'dir' must stay inside the checkout: remove '..'"#,
    ),
];

#[test]
fn every_mistake_is_named_with_its_place() {
    assert!(CASES.len() >= 60);
    for (text, answer) in CASES {
        let text = text.replace("$GOOD", GOOD);
        let errors = Farm::parse_for("f", &text, "linux-amd64")
            .map(|_| ())
            .expect_err(&text);
        assert_eq!(errors.to_string(), *answer, "for\n{text}\n");
        for error in errors.iter() {
            assert_eq!(error.file(), "f");
            assert!(error.line() <= text.lines().count().max(1), "{error}");
            assert!(error.column() >= 1, "{error}");
            assert!(!error.message().contains('\n'), "{error}");
        }
    }
}
