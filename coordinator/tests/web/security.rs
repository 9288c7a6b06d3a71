//! Commits and output come from strangers.

use super::*;

const EVIL: &str =
    "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\0\u{202e}\x1b]0;x\x07&amp;";

/// A farm in which everything a stranger can name is hostile.
fn hostile() -> FakeFarm {
    let farm = FakeFarm::new();
    farm.pool.add(EVIL, EVIL, WorkerState::Idle, ago(9));
    farm.commit(
        FakeCommit {
            hash: EVIL,
            subject: EVIL,
            author: EVIL,
            branch: EVIL,
        },
        &[EVIL, "plain"],
        ago(9),
    );
    farm.commit(
        FakeCommit {
            branch: "main",
            ..commit(HASH)
        },
        &[EVIL],
        ago(9),
    );
    let first = farm.start(1, EVIL, &[EVIL], ago(8));
    farm.begin_step(first, 0, ago(8));
    farm.finish(first, Outcome::InfraFailed, EVIL, false, ago(7));
    let second = farm.start(1, EVIL, &[EVIL], ago(6));
    farm.begin_step(second, 0, ago(6));
    farm.logs.append(second, EVIL);
    farm.logs
        .append(second, b"\n\xff\xfe<b>\x1b[31m<i>\x1b[0m\r\n");
    farm.end_step(second, 0, Outcome::Failed, EVIL, ago(5));
    farm.finish(second, Outcome::Failed, EVIL, true, ago(5));
    farm.start(2, EVIL, &[EVIL], ago(4));
    farm
}

const PAGES: [&str; 12] = [
    "/",
    "/?fragment=1",
    "/?branch=%3Cscript%3Ealert(1)%3C/script%3E",
    "/builds/1",
    "/builds/1?attempt=1",
    "/builds/1?fragment=1",
    "/builds/2",
    "/builds/3",
    "/workers",
    "/api",
    "/%3Cscript%3Ealert(1)%3C/script%3E",
    "/builds/%3Cscript%3E",
];

#[tokio::test]
async fn nothing_a_stranger_wrote_becomes_markup() {
    let farm = hostile();
    for target in PAGES {
        let answer = get(&farm, target).await;
        for evil in [
            "<script>", "<img", "<b>", "<i>", "\0", "\u{202e}", "\x1b", "\x07",
        ] {
            answer.lacks(evil);
        }
    }
    let answer = page(&farm, "/builds/1").await;
    answer
        .has("&lt;script&gt;alert(1)&lt;/script&gt;")
        .has("\u{2400}&lt;U+202E&gt;&amp;amp;");
    answer.has("\u{fffd}\u{fffd}&lt;b&gt;<span class=\"f1\">&lt;i&gt;</span>");
}

/// Every tag of a page, with its attributes.
fn tags(html: &str) -> impl Iterator<Item = &str> {
    html.split('<')
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('>')?.0))
}

#[tokio::test]
async fn pages_need_no_inline_script_or_style_and_nothing_from_elsewhere() {
    let farm = hostile();
    for target in PAGES {
        let answer = get(&farm, target).await;
        for tag in tags(answer.text()) {
            // What stands in quotes is escaped, and so cannot hold a quote of its own.
            let bare: String = tag.split('"').step_by(2).collect();
            assert!(
                !bare.contains(" style=") && !bare.contains(" on"),
                "{target}: <{tag}>"
            );
            assert!(
                !tag.starts_with("style") && !tag.starts_with("iframe") && !tag.starts_with("form"),
                "{target}: <{tag}>"
            );
            if tag.starts_with("script") {
                assert!(tag.contains("src=\"/assets/"), "{target}: <{tag}>");
            }
            for attribute in ["src=\"", "href=\""] {
                if let Some((_, value)) = tag.split_once(attribute) {
                    assert!(
                        value.starts_with(['/', '#']) && !value.starts_with("//"),
                        "{target}: <{tag}>"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn records_keep_what_strangers_wrote_as_it_is() {
    let answer = page(&hostile(), "/api/v1/builds/1").await;
    assert_eq!(answer.json()["subject"], EVIL);
    assert_eq!(answer.header("content-type"), "application/json");
}

#[tokio::test]
async fn every_answer_carries_the_headers() {
    let farm = small_farm();
    running(&farm);
    let home = page(&farm, "/").await;
    let (_, sheet) = home
        .text()
        .split_once("rel=\"stylesheet\" href=\"")
        .expect("a sheet");
    let sheet = sheet.split('"').next().expect("an address").to_owned();
    let targets = [
        "/",
        "/builds/1",
        "/builds/9",
        "/workers",
        "/api",
        "/nope",
        "/?before=x",
        "/api/v1/builds",
        "/api/v1/builds/1",
        "/api/v1/builds/1/log",
        "/api/v1/builds/1/log?follow=1",
        "/api/v1/workers",
        "/api/v1/commits",
        "/api/v1/events",
        "/api/v1/nope",
        "/api/v1/builds?limit=x",
        "/status/reverse.json",
        "/healthz",
        "/favicon.ico",
        "/assets/nope.css",
        &sheet,
    ];
    let posts = ["/", "/api/v1/builds"].map(|target| Request::post(target).body(Body::empty()));
    let gets = targets.map(|target| Request::get(target).body(Body::empty()));
    for request in gets.into_iter().chain(posts) {
        let request = request.expect("a request");
        let target = format!("{} {}", request.method(), request.uri());
        let response = ask(&farm, request).await;
        let header = |name: &str| {
            response
                .headers()
                .get(name)
                .map_or("", |value| value.to_str().expect("text"))
                .to_owned()
        };
        assert_eq!(
            header("content-security-policy"),
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            "{target}"
        );
        assert_eq!(header("x-content-type-options"), "nosniff", "{target}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{target}");
        assert!(!header("cache-control").is_empty(), "{target}");
        assert!(!header("content-type").is_empty(), "{target}");
    }
}

#[tokio::test]
async fn files_are_kept_for_ever_and_pages_are_not() {
    let farm = small_farm();
    running(&farm);
    let answer = page(&farm, "/builds/1").await;
    assert_eq!(answer.header("cache-control"), "no-cache");
    let mut kinds = Vec::new();
    for tag in tags(answer.text()) {
        for file in tag.split('"').filter(|part| part.starts_with("/assets/")) {
            let asset = page(&farm, file).await;
            assert_eq!(
                asset.header("cache-control"),
                "public, max-age=31536000, immutable"
            );
            kinds.push(asset.header("content-type").to_owned());
            assert!(
                !asset.text().contains("http://") || asset.text().contains("www.w3.org"),
                "{file} calls elsewhere"
            );
        }
    }
    kinds.sort();
    kinds.dedup();
    assert_eq!(
        kinds,
        [
            "image/svg+xml",
            "text/css; charset=utf-8",
            "text/javascript; charset=utf-8"
        ]
    );
    assert_eq!(get(&farm, "/assets/app.000000000000.css").await.status, 404);
}
