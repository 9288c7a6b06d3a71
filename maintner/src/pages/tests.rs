use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use bytes::Bytes;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;
use crate::{corpus::Writer, testing::History};

/// Pages of a history that never happened.
fn pages() -> (Pages, Snapshot, Writer) {
    let mut writer = Writer::new();
    writer
        .apply(0, 0, &Bytes::from(History::new(5).log(1_000_000)))
        .unwrap();
    let snapshot = writer.publish();
    let pages = Pages::new(writer.corpus()).title("a history").with_log();
    (pages, snapshot, writer)
}

async fn get(pages: &Pages, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = pages.clone().router::<()>().with_state(()).oneshot(request);
    let response = response.await.unwrap();
    let policy = &response.headers()[header::CONTENT_SECURITY_POLICY];
    assert!(policy.to_str().unwrap().starts_with("default-src 'none'"));
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn page(pages: &Pages, path: &str) -> String {
    let (status, page) = get(pages, path).await;
    assert_eq!(status, StatusCode::OK, "{path}: {page}");
    page
}

/// The addresses that a page links to.
fn links(page: &str) -> Vec<String> {
    let links = page.split("href=\"/").skip(1);
    let link = |rest: &str| format!("/{}", rest.split('"').next().unwrap().replace("&amp;", "&"));
    let links = links
        .map(link)
        .map(|link| link.split('#').next().unwrap().to_owned());
    links.filter(|link| !link.starts_with("/logs")).collect()
}

#[tokio::test]
async fn every_link_leads_somewhere() {
    let (pages, ..) = pages();
    let mut waiting = vec!["/".to_owned()];
    let mut seen = std::collections::HashSet::new();
    // Of each kind of page some: the history has thousands.
    let mut kinds: HashMap<String, usize> = HashMap::new();
    while let Some(path) = waiting.pop() {
        let digits = |c: char| c.is_ascii_digit() || c.is_ascii_hexdigit();
        let kind: String = path
            .split('/')
            .map(|part| if part.chars().all(digits) { "*/" } else { part })
            .collect();
        let count = kinds.entry(kind).or_default();
        *count += 1;
        if *count > 12 || !seen.insert(path.clone()) {
            continue;
        }
        waiting.extend(links(&page(&pages, &path).await));
    }
    assert!(seen.len() > 60, "{}", seen.len());
}

#[tokio::test]
async fn issues_and_changes_are_shown_with_what_was_said() {
    let (pages, snapshot, _writer) = pages();
    let repo = snapshot.github().repos().next().unwrap();
    let issue = repo
        .issues()
        .max_by_key(|issue| issue.comment_count())
        .unwrap();
    let shown = page(&pages, &format!("/{repo}/{}", issue.number())).await;
    assert!(shown.contains(&words::escape(issue.title())));
    for comment in issue.comments() {
        assert!(shown.contains(&format!("id=\"comment-{}\"", comment.id())));
    }
    let list = page(&pages, &format!("/{repo}")).await;
    assert!(list.contains("Open issues"));

    let project = snapshot.gerrit().projects().next().unwrap();
    let change = project
        .cls()
        .max_by_key(|change| change.messages().count())
        .unwrap();
    let shown = page(
        &pages,
        &format!("/{}/{}", project.full_name(), change.number()),
    )
    .await;
    assert!(shown.contains(&words::escape(&change.subject())));
    assert_eq!(
        shown.matches("id=\"message-").count(),
        change.messages().count()
    );
    let commit = change.commit().name();
    let shown = page(&pages, &format!("/{}/commit/{commit}", project.full_name())).await;
    assert!(
        shown.contains(&format!("{}: ", change.number())),
        "names its change"
    );
}

#[tokio::test]
async fn search_finds_numbers_names_and_words() {
    let (pages, snapshot, _writer) = pages();
    let repo = snapshot.github().repos().next().unwrap();
    let issue = repo
        .issues()
        .find(|issue| !issue.title().is_empty())
        .unwrap();
    let url = format!("/{repo}/{}", issue.number());
    let longest = issue
        .title()
        .split_whitespace()
        .max_by_key(|word| word.len())
        .unwrap();
    for query in [
        format!("%23{}", issue.number()),
        format!("{repo}%23{}", issue.number()),
        longest.to_uppercase(),
    ] {
        // In one of the pages of results.
        let mut next = Some(format!("/search?q={query}"));
        let mut found = false;
        while let Some(path) = next.filter(|_| !found) {
            let shown = page(&pages, &path).await;
            found = links(&shown).contains(&url);
            let mut later = links(&shown).into_iter();
            let from = |path: &str| path.rsplit_once("from=").map(|(_, from)| from.parse().ok());
            let here: Option<usize> = from(&path).flatten();
            next = later.rfind(|path| path.starts_with("/search") && from(path).flatten() > here);
        }
        assert!(found, "{query}");
    }
    let commit = snapshot.commits().iter().next().unwrap().name().to_string();
    let found = page(&pages, &format!("/search?q={}", &commit[..8])).await;
    assert!(found.contains(&format!("/commit/{commit}")));
    let nothing = page(&pages, "/search?q=%3Cb%3Exyzzy").await;
    assert!(
        nothing.contains("Nothing fits “&#60;b&#62;xyzzy”"),
        "{nothing}"
    );
}

#[tokio::test]
async fn search_answers_queries_a_page_at_a_time() {
    let (pages, snapshot, _writer) = pages();
    let ask = async |query: &str| {
        let address = words::address_of_query(query);
        page(&pages, &address).await
    };
    let query: crate::corpus::query::Query = "-xyzzy".parse().unwrap();
    let query = query.of_all_kinds();
    let (issues, changes) = (
        query.issues(&snapshot).len(),
        query.changes(&snapshot).len(),
    );
    let all = issues + changes + query.commits(&snapshot).len();
    let first = ask("-xyzzy").await;
    assert!(first.contains(&format!("{} hits for", words::grouped(all))));
    let last = page(&pages, &format!("/search?q=-xyzzy&from={}", all - 7)).await;
    let rows = |page: &str| page.matches("<tr>").count();
    assert_eq!((rows(&first), rows(&last)), (50, 7));

    let shown = ask("is:open repo:example/compiler").await;
    let compiler = snapshot.github().repo("example", "compiler").unwrap();
    let in_repo = compiler.issues().open().count();
    assert!(shown.contains(&format!("{in_repo} hits for")));
    let shown = ask("is:cl is:open").await;
    assert!(shown.contains(">new change<") && !shown.contains(" issue<"));
    let everything = ask("is:open").await;
    assert!(everything.contains(" changes ·"), "issues and changes");

    for (query, text, meant) in [
        (
            "is:open lable:\"<b>\"",
            "is:open <mark>lable:&#34;&#60;b&#62;&#34;</mark>",
            Some("is:open label:\"<b>\""),
        ),
        (
            "is:opne",
            "unknown value <code>opne</code> of <code>is</code>",
            Some("is:open"),
        ),
        ("x created:>soon", "<code>created</code> needs a time", None),
    ] {
        let shown = ask(query).await;
        assert!(shown.contains(text), "{shown}");
        let meant = meant.map(words::address_of_query);
        assert!(
            meant.is_none_or(|url| links(&shown).contains(&url)),
            "{shown}"
        );
    }
}

/// What the page on the syntax says can be asked.
#[tokio::test]
async fn all_that_is_said_to_be_possible_is() {
    let (pages, ..) = pages();
    let shown = page(&pages, "/-/syntax").await;
    let mut asked = 0;
    for code in shown.split("<code>").skip(1) {
        let text = code.split("</code>").next().unwrap();
        let text = text.replace("&#34;", "\"").replace("&#62;", ">");
        for term in text.split(", ").filter(|term| !term.contains("key")) {
            let term = term.replace(":a,b", ":a");
            let parsed = term.parse::<crate::corpus::query::Query>();
            assert!(parsed.is_ok(), "{term}: {parsed:?}");
            asked += 1;
        }
    }
    assert!(asked > 40, "{asked}");
}

#[tokio::test]
async fn what_is_not_there_is_said_in_words() {
    let (pages, snapshot, _writer) = pages();
    let repo = snapshot.github().repos().next().unwrap().to_string();
    let project = snapshot.gerrit().projects().next().unwrap().full_name();
    for (path, text) in [
        (
            "/o/r".to_owned(),
            "GitHub repository &#34;o/r&#34; not found",
        ),
        ("/h.org/p".to_owned(), "Gerrit project h.org/p not found"),
        (format!("/{repo}/999999"), "has no issue 999999"),
        (format!("/{repo}/x"), "not found"),
        (format!("/{project}/999999"), "has no change 999999"),
        (format!("/{project}/commit/12"), "commit 12 is not known"),
        (format!("/{project}/log/nowhere"), "has no ref nowhere"),
        ("/x".to_owned(), "there is nothing at /x"),
    ] {
        let (status, page) = get(&pages, &path).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert!(page.contains(text), "{path}: {page}");
    }
}

#[tokio::test(start_paused = true)]
async fn browsers_are_told_of_what_is_new() {
    let (pages, snapshot, mut writer) = pages();
    let router = pages.router::<()>();
    let listen = async |path: &str, last: &str| {
        let request = Request::get(path).header("last-event-id", last);
        let request = request.body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap().into_body()
    };
    let next = async |body: &mut Body| {
        let event = body.frame().await.unwrap().unwrap().into_data().unwrap();
        String::from_utf8(event.to_vec()).unwrap()
    };
    let event = |generation: u64| format!("id: {generation}\ndata: {generation}\n\n");
    let before = snapshot.generation();
    let mut body = listen("/-/live", "").await;
    let generation = writer.publish().generation();
    assert_eq!(next(&mut body).await, event(generation));

    // What came between the page and the first event, or while the connection was away, comes at once.
    let page = format!("/-/live?since={before}");
    let began = tokio::time::Instant::now();
    assert_eq!(next(&mut listen(&page, "").await).await, event(generation));
    let mut back = listen("/-/live", &before.to_string()).await;
    assert_eq!(next(&mut back).await, event(generation));
    // The server is not the one that it was.
    let mut other = listen("/-/live?since=999999", "").await;
    assert_eq!(next(&mut other).await, event(generation));
    assert!(began.elapsed().is_zero(), "nobody waits");
    let mut none = listen(&format!("/-/live?since={generation}"), "").await;
    let second = std::time::Duration::from_secs(1);
    assert!(tokio::time::timeout(second, next(&mut none)).await.is_err());
}

#[tokio::test]
async fn any_page_of_a_list_can_be_asked_for() {
    let (pages, snapshot, _writer) = pages();
    let repo = snapshot.github().repos().next().unwrap().to_string();
    let project = snapshot.gerrit().projects().next().unwrap().full_name();
    for list in [
        format!("/{repo}?"),
        format!("/{repo}?show=nothing&"),
        format!("/{project}?"),
        format!("/{project}/log/master?"),
        "/search?q=x&".to_owned(),
    ] {
        for from in [
            "0",
            "7",
            "-1",
            "x",
            "18446744073709551615",
            "99999999999999999999",
        ] {
            page(&pages, &format!("{list}from={from}")).await;
        }
    }
    let second = page(&pages, "/search?q=-%3C&from=50").await;
    assert!(second.contains(">51–100 of "), "{second}");
    for (from, rel) in [(0, "prev"), (100, "next")] {
        let link = format!("href=\"/search?q=-%3C&amp;from={from}\" rel=\"{rel}\"");
        assert!(second.contains(&link), "{second}");
    }
}

#[tokio::test]
async fn a_commit_of_no_project_has_a_page() {
    let commit = crate::proto::GitMutation {
        commit: Some(crate::proto::GitCommit {
            sha1: "ab".repeat(20),
            raw: b"tree 0101010101010101010101010101010101010101\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nfirst <light>\n".to_vec(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let mutation = crate::proto::Mutation {
        git: Some(commit),
        ..Default::default()
    };
    let payload = prost::Message::encode_to_vec(&mutation);
    let mut log = crate::reclog::Header::new(0, payload.len() as u64).to_vec();
    log.extend_from_slice(&payload);
    let mut writer = Writer::new();
    writer.apply(0, 0, &Bytes::from(log)).unwrap();
    writer.publish();
    let pages = Pages::new(writer.corpus());
    let found = page(&pages, "/search?q=abababa").await;
    let url = format!("/-/commit/{}", "ab".repeat(20));
    assert!(links(&found).contains(&url), "{found}");
    assert!(
        page(&pages, &url)
            .await
            .contains("<h1>first &lt;light&gt;</h1>")
    );
}
