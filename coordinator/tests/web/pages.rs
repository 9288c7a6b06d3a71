//! What people see.

use super::*;

#[tokio::test]
async fn an_empty_farm_says_what_will_happen_and_what_to_do() {
    let answer = page(&FakeFarm::new(), "/").await;
    answer
        .has("No commits yet")
        .has("No worker is connected")
        .has("buildlet join https://farm.example:8443")
        .lacks("<table");
}

#[tokio::test]
async fn the_grid_shows_each_build_by_its_cause() {
    let farm = FakeFarm::new();
    farm.pool
        .add("w1", "linux-amd64", WorkerState::Idle, ago(0));
    let names = [
        "passed", "failed", "slow", "lost", "stopped", "spared", "busy", "waiting",
    ];
    let ids = farm.commit(commit(HASH), &names, ago(7200));
    let outcomes = [
        Outcome::Passed,
        Outcome::Failed,
        Outcome::TimedOut,
        Outcome::InfraFailed,
        Outcome::Canceled,
        Outcome::Skipped,
    ];
    for (&id, outcome) in ids.iter().zip(outcomes) {
        let attempt = farm.start(id, "w1", &[], ago(100));
        farm.finish(attempt, outcome, "because", true, ago(28));
    }
    farm.start(ids[6], "w1", &[], ago(65));
    let answer = page(&farm, "/").await;
    let signs = [
        ("passed", "✓", "passed on passed after 1\u{a0}min 12\u{a0}s"),
        ("failed", "✗", "failed on failed after 1\u{a0}min 12\u{a0}s"),
        ("timedout", "T", "timed out on slow after"),
        ("infra", "!", "infrastructure failure on lost after"),
        ("canceled", "×", "canceled on stopped"),
        ("skipped", "–", "skipped on spared"),
        (
            "running",
            "▶\u{fe0e}",
            "running on busy for 1\u{a0}min 5\u{a0}s",
        ),
        ("queued", "·", "queued on waiting, commit 8f3c0e6a"),
    ];
    for (i, (class, sign, label)) in signs.into_iter().enumerate() {
        let id = ids[i];
        answer.has(&format!(
            "<a class=\"c {class}\" id=\"b{id}\" href=\"/builds/{id}\""
        ));
        answer
            .has(&format!("<span class=\"g\">{sign}</span>"))
            .has(&format!("aria-label=\"{label}"));
    }
    answer
        .has("because")
        .has("3 of 4 builders are broken: failed, slow, lost")
        .has("1 running")
        .has("1 waiting");
    answer
        .has("8f3c0e6a")
        .has("parser: accept empty lists")
        .has("Mia")
        .has("2\u{a0}h ago")
        .has("data-health=\"bad\"");
    answer
        .has("<th scope=\"col\"")
        .has("<th scope=\"row\"")
        .has("data-since=");
}

#[tokio::test]
async fn builders_stand_in_the_order_of_the_newest_commit() {
    let farm = FakeFarm::new();
    farm.commit(commit("aa"), &["gone", "linux"], ago(20));
    farm.commit(commit("bb"), &["windows", "linux"], ago(10));
    let answer = page(&farm, "/").await;
    let at = |name: &str| {
        answer
            .text()
            .find(&format!("<bdi>{name}</bdi></th>"))
            .expect(name)
    };
    assert!(at("windows") < at("linux") && at("linux") < at("gone"));
    // A commit that never had a builder has an empty cell, not a wrong one.
    assert_eq!(answer.text().matches("<td></td>").count(), 2);
}

#[tokio::test]
async fn a_fragment_is_the_changing_part_alone() {
    let farm = small_farm();
    for target in [
        "/?fragment=1",
        "/builds/1?fragment=1",
        "/workers?fragment=1",
    ] {
        page(&farm, target)
            .await
            .lacks("<html")
            .lacks("<script")
            .lacks("id=\"rows\"");
    }
    page(&farm, "/?fragment=1").await.has("id=\"b1\"");
}

/// Commits on a page, and the address of the next.
fn rows(answer: &Answer) -> (Vec<String>, Option<String>) {
    let text = answer.text();
    let ids = text
        .split("<tr id=\"")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('"')?.0.to_owned()))
        .collect();
    let next = text
        .split_once("rel=\"next\" href=\"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .map(|(url, _)| url.replace("&#38;", "&"));
    (ids, next)
}

async fn walk(farm: &FakeFarm, from: &str) -> Vec<String> {
    let (mut all, mut next) = (Vec::new(), Some(from.to_owned()));
    while let Some(target) = next {
        let (ids, older) = rows(&page(farm, &target).await);
        assert!(ids.len() <= 50);
        all.extend(ids);
        next = older;
    }
    all
}

#[tokio::test]
async fn pages_show_every_commit_once() {
    let farm = FakeFarm::new();
    for n in 0..150 {
        farm.commit(commit(&format!("{n:040x}")), &["linux"], ago(1000 - n));
    }
    let wanted: Vec<String> = (1..=150).rev().map(|n| format!("c{n}")).collect();
    assert_eq!(walk(&farm, "/").await, wanted);
    page(&farm, "/?before=1").await.has("Nothing older");
}

#[tokio::test]
async fn a_branch_is_shown_alone_and_pages_stay_on_it() {
    let farm = FakeFarm::new();
    for n in 0..400_u32 {
        let branch = if n % 3 == 0 { "fix/a&b" } else { "main" };
        farm.commit(
            FakeCommit {
                branch,
                ..commit(&format!("{n:040x}"))
            },
            &["linux"],
            ago(0),
        );
    }
    let wanted: Vec<String> = (1..=400)
        .rev()
        .filter(|n| (n - 1) % 3 == 0)
        .map(|n| format!("c{n}"))
        .collect();
    assert_eq!(walk(&farm, "/?branch=fix/a%26b").await, wanted);
    page(&farm, "/")
        .await
        .has("href=\"/?branch=fix/a%26b\"")
        .has(">main</bdi>");
    page(&farm, "/?branch=unheard-of").await.has("unheard-of");
}

#[tokio::test]
async fn a_waiting_build_says_for_what() {
    let answer = page(&small_farm(), "/builds/1").await;
    answer
        .has("Waiting for a worker of type <code><bdi>linux-amd64</bdi></code>")
        .has("Output will appear here");
}

#[tokio::test]
async fn a_running_build_shows_what_there_is_and_where_the_script_goes_on() {
    let farm = small_farm();
    let id = running(&farm);
    farm.logs.append(id, "one\n\x1b[31mtwo\nthr");
    let answer = page(&farm, "/builds/1").await;
    answer.has("Running step <code><bdi>test</bdi></code> for 1\u{a0}min 35\u{a0}s on <code><bdi>w1</bdi></code>");
    answer
        .has("id=\"L2\"")
        .has("<span class=\"t\">one</span>")
        .has("<span class=\"f1\">two</span>");
    // The line that is not complete is the script's to show again, from its beginning, in the right colour.
    answer
        .has("data-live")
        .has("data-offset=\"22\"")
        .has("data-line=\"4\"")
        .has("data-style=\"f1\"")
        .has("data-headed=\"2\"");
    answer.has("<div class=\"l p\" id=\"L4\">");
    let (source, test) = (
        answer.text().find("id=\"step-0\""),
        answer.text().find("id=\"step-1\""),
    );
    let (first, second) = (answer.text().find("unpacked"), answer.text().find(">one<"));
    assert!(source < first && first < test && test < second);
}

#[tokio::test]
async fn a_failed_build_says_so_in_one_line() {
    let farm = small_farm();
    let id = running(&farm);
    fail(&farm, id);
    let answer = page(&farm, "/builds/1").await;
    answer.has("Failed: step <code><bdi>test</bdi></code> exited with status 1 after 12\u{a0}s");
    answer
        .has("data-over")
        .lacks("data-live")
        .has("<rect class=\"ran\"")
        .has("href=\"/api/v1/builds/1/log?attempt=1\"");
}

#[tokio::test]
async fn every_attempt_has_its_own_outcome_and_log() {
    let farm = small_farm();
    let first = running(&farm);
    farm.logs.append(first, "words of the first\n");
    farm.finish(
        first,
        Outcome::InfraFailed,
        "worker w1 went away",
        false,
        ago(90),
    );
    page(&farm, "/builds/1")
        .await
        .has("Waiting to run again: attempt 1 was lost: worker w1 went away");
    let second = running(&farm);
    farm.logs.append(second, "words of the second\n");
    fail(&farm, second);
    let newest = page(&farm, "/builds/1").await;
    newest
        .has(", attempt 2 of 2")
        .has("words of the second")
        .lacks("words of the first");
    newest
        .has("href=\"/builds/1?attempt=1\"")
        .has("worker w1 went away")
        .lacks("data-pinned");
    let old = page(&farm, "/builds/1?attempt=1").await;
    old.has("words of the first")
        .lacks("words of the second")
        .has("data-pinned")
        .lacks("data-live");
    let none = get(&farm, "/builds/1?attempt=3").await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    none.has("build 1 has no attempt 3");
}

#[tokio::test]
async fn an_attempt_without_a_log_is_no_error() {
    let farm = small_farm();
    let id = running(&farm);
    farm.logs.forget(id);
    page(&farm, "/builds/1")
        .await
        .has("No output of this attempt was kept.");
}

#[tokio::test]
async fn neighbours_and_the_usual_time_are_named() {
    let farm = FakeFarm::new();
    for n in 0..5 {
        let id = farm.commit(commit(&format!("{n:040x}")), &["linux", "other"], ago(500))[0];
        let attempt = farm.start(id, "w", &[], ago(400));
        farm.finish(
            attempt,
            if n == 2 {
                Outcome::Failed
            } else {
                Outcome::Passed
            },
            "",
            true,
            ago(338),
        );
    }
    let answer = page(&farm, "/builds/5").await;
    answer
        .has("rel=\"prev\" href=\"/builds/3\"")
        .has("rel=\"next\" href=\"/builds/7\"")
        .has("1\u{a0}min 2\u{a0}s");
    answer
        .has("last passed")
        .has("href=\"/builds/3\">build 3</a>")
        .has("href=\"/builds/5\" title=\"build 5: failed");
}

/// Texts of the rows of a log page.
pub(crate) fn lines(html: &str) -> Vec<&str> {
    html.split("<span class=\"t\">")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once("</span></div>\n")?.0))
        .collect()
}

#[tokio::test]
async fn a_long_log_is_shown_in_parts_that_miss_nothing() {
    let farm = small_farm();
    let id = farm.start(1, "w1", &["test"], ago(100));
    farm.begin_step(id, 0, ago(100));
    let all: Vec<String> = (0..30_000)
        .map(|n| format!("line {n} {}", "x".repeat(n % 60)))
        .collect();
    farm.logs.append(id, all.join("\n") + "\n");
    farm.finish(id, Outcome::Passed, "", true, ago(1));
    let newest = page(&farm, "/builds/1").await;
    let shown = lines(newest.text());
    assert!(
        shown.len() <= 5_001 && shown.len() > 3_000,
        "{}",
        shown.len()
    );
    assert_eq!(*shown.last().expect("lines"), all[29_999]);
    newest
        .has("id=\"L30000\"")
        .has("Earlier part")
        .has("raw log")
        .lacks("Later part")
        .has("continued");

    let mut read = Vec::new();
    let mut next = Some("/builds/1?attempt=1&from=0".to_owned());
    while let Some(target) = next {
        let answer = page(&farm, &target).await;
        assert_eq!(
            answer.text().matches("id=\"L1\"").count(),
            usize::from(read.is_empty())
        );
        read.extend(lines(answer.text()).into_iter().map(ToOwned::to_owned));
        let later = answer
            .text()
            .rsplit_once("#log\">Later part")
            .and_then(|(before, _)| before.rsplit_once("href=\""));
        next = later.map(|(_, url)| url.replace("&amp;", "&"));
    }
    assert_eq!(read, all);
}

#[tokio::test]
async fn one_endless_line_is_shown_in_rows() {
    let farm = small_farm();
    let id = farm.start(1, "w1", &["test"], ago(100));
    farm.logs.append(id, "y".repeat(1_000_000));
    let answer = page(&farm, "/builds/1").await;
    let shown = lines(answer.text());
    assert_eq!(shown.iter().map(|row| row.len()).sum::<usize>(), 256 * 1024);
    assert!(shown.iter().all(|row| row.len() <= 4096));
}

#[tokio::test]
async fn steps_that_leave_a_line_open_still_begin_on_their_own() {
    let farm = small_farm();
    let id = farm.start(1, "w1", &["a", "b"], ago(100));
    farm.begin_step(id, 0, ago(100));
    farm.logs.append(id, "no newline");
    farm.begin_step(id, 1, ago(90));
    farm.logs.append(id, "second\n");
    farm.finish(id, Outcome::Passed, "", true, ago(80));
    let answer = page(&farm, "/builds/1").await;
    assert_eq!(lines(answer.text()), ["no newline", "second"]);
    let heading = answer.text().find("id=\"step-1\"");
    assert!(answer.text().find("no newline") < heading && heading < answer.text().find(">second<"));
}

#[tokio::test]
async fn workers_are_listed_by_host_type() {
    let farm = small_farm();
    running(&farm);
    farm.pool
        .add("w2", "darwin-arm64", WorkerState::Lost, ago(7300));
    let answer = page(&farm, "/workers").await;
    answer
        .has("1 worker is connected")
        .has("href=\"/builds/1\">build 1</a>")
        .has("busy")
        .has("lost");
    answer
        .has("192.0.2.11")
        .has("2\u{a0}h ago")
        .has("buildlet join https://farm.example:8443");
    assert!(answer.text().find("darwin-arm64") < answer.text().find("linux-amd64"));
    page(&FakeFarm::new(), "/workers")
        .await
        .has("No workers are connected");
}

#[tokio::test]
async fn the_api_is_documented() {
    let answer = page(&FakeFarm::new(), "/api").await;
    for route in [
        "builds",
        "builds/ID",
        "builds/ID/log",
        "commits",
        "workers",
        "events",
    ] {
        answer.has(&format!("GET /api/v1/{route}</code>"));
    }
}

#[tokio::test]
async fn what_is_missing_or_broken_gets_a_page_too() {
    let farm = small_farm();
    for (target, status, text) in [
        ("/builds/99", 404, "there is no build 99"),
        ("/builds/abc", 404, "there is no build abc"),
        ("/builds/%ff", 404, "there is no build"),
        ("/nope", 404, "there is nothing at /nope"),
        ("/?before=x", 400, "`before`"),
        ("/builds/1?from=-1", 400, "`from`"),
        ("/builds/1?attempt=0", 400, "`attempt`"),
    ] {
        let answer = get(&farm, target).await;
        assert_eq!(answer.status, status, "{target}");
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        answer.has(text).has("To the builds");
    }
    farm.store.break_down();
    let answer = get(&farm, "/").await;
    assert_eq!(answer.status, 500);
    answer
        .has("the farm&#39;s database could not be read")
        .lacks("secret detail");
}
