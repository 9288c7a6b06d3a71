//! `/host/project/123`: a change under review.

use askama::Template;

use super::{
    Base,
    commit::{FileRow, body, files},
    error::Fault,
    github::{Item, url_of},
    links::Links,
    words::{address_of_query, href, term, time},
};
use crate::corpus::{Change, Project, Snapshot};

#[derive(Template)]
#[template(path = "change.html")]
pub(super) struct ChangePage {
    base: Base,
    project: String,
    project_url: String,
    number: i32,
    /// Where it was made, if that is known.
    elsewhere: String,
    title: String,
    state: &'static str,
    wip: bool,
    owner: String,
    owner_url: String,
    created: String,
    branch: String,
    topic: Option<Link>,
    hashtags: Vec<Link>,
    votes: Vec<Vote>,
    issues: Vec<Link>,
    sets: Vec<Link>,
    message: String,
    items: Vec<Item>,
    files_heading: String,
    files: Vec<FileRow>,
}

struct Vote {
    label: String,
    value: String,
    who: String,
}

/// A link with its text, and with the state of what is behind it.
pub(super) struct Link {
    pub(super) url: String,
    pub(super) title: String,
    pub(super) state: &'static str,
}

impl Link {
    pub(super) fn to_change(change: Change<'_>) -> Self {
        let (project, number) = (change.project().full_name(), change.number());
        Self {
            url: href(&[project, &number.to_string()]),
            title: format!("{number}: {}", change.subject()),
            state: state_of(change),
        }
    }
}

pub(super) fn state_of(change: Change<'_>) -> &'static str {
    change.status().name()
}

pub(super) fn page(
    snapshot: &Snapshot,
    project: Project<'_>,
    base: Base,
    number: i32,
) -> Result<ChangePage, Fault> {
    let change = project.cl(number).filter(|change| !change.is_private());
    let change = change.ok_or_else(|| {
        Fault::NotFound(format!("{} has no change {number}", project.full_name()))
    })?;
    let url = href(&[project.full_name()]);
    let said = change.messages().map(|message| message.text);
    let texts = [change.commit().message()].into_iter().chain(said);
    let links = Links::in_project(snapshot, Some(project), texts);
    let items = change.messages().enumerate().map(|(at, message)| Item {
        at: message.date.seconds(),
        id: format!("message-{at}"),
        is_said: true,
        who: message.author.name().to_owned(),
        what: format!("on patch set {}", message.version),
        when: time(message.date.seconds()),
        text: links.prose(message.text.trim_end()),
    });
    let votes = change.meta().label_votes();
    let votes = votes
        .iter()
        .flat_map(|votes| votes.iter())
        .map(|vote| Vote {
            label: vote.label.to_owned(),
            value: format!("{:+}", vote.value),
            who: vote.voter.to_owned(),
        });
    let references = change.references().map(|reference| {
        let issue = snapshot
            .github()
            .repo(reference.owner, reference.repo)
            .and_then(|repo| repo.issue(reference.number));
        Link {
            url: issue.map_or_else(String::new, url_of),
            title: match issue {
                Some(issue) => format!("{reference}: {}", issue.title()),
                None => reference.to_string(),
            },
            state: "",
        }
    });
    let sets = change.patch_sets().map(|set| Link {
        url: format!("{url}/commit/{}", set.commit.name()),
        title: set.version.to_string(),
        state: "",
    });
    let (files_heading, files) = files(change.commit());
    let subject = change.subject().into_owned();
    let search = |key, value: &str| Link {
        url: address_of_query(&format!("is:cl {}", term(key, value))),
        title: value.to_owned(),
        state: "",
    };
    let topic = Some(change.topic()).filter(|topic| !topic.is_empty());
    let owner = crate::parse::person::name(change.owner_person());
    Ok(ChangePage {
        base: base.titled(format!("{number}: {subject} · {}", project.full_name())),
        project: project.full_name().to_owned(),
        project_url: url.clone(),
        number,
        elsewhere: match project.server().strip_suffix(".googlesource.com") {
            Some(host) => format!("https://{host}-review.googlesource.com/{number}"),
            None => String::new(),
        },
        title: links.prose(&subject),
        state: state_of(change),
        wip: change.work_in_progress(),
        owner: owner.to_owned(),
        owner_url: search("owner", owner).url,
        created: time(change.created().seconds()),
        branch: change.branch().to_owned(),
        topic: topic.map(|topic| search("topic", topic)),
        hashtags: change
            .hashtags()
            .iter()
            .map(|tag| search("hashtag", tag))
            .collect(),
        votes: votes.collect(),
        issues: references.collect(),
        sets: sets.collect(),
        message: links.prose(body(change.commit())),
        items: items.collect(),
        files_heading,
        files,
    })
}
