//! All tables of archives together: how many there are, and what other readers make of them.

use std::collections::BTreeMap;

use tarball::{Links, UnpackOptions};

use crate::peers::{self, Made, Tree};
use crate::support::{Collected, Sandbox, collect};
use crate::{extended, headers, links, paths, types};

/// Every table that is run by a test of its own, with the outcome expected of each archive.
const TABLES: &[fn()] = &[
    paths::names_that_lead_outside_or_nowhere,
    paths::names_hidden_in_other_places,
    paths::odd_names_that_are_names,
    paths::files_and_directories_in_each_others_way,
    paths::long_and_deep_names,
    links::refused_or_ignored,
    links::symlinks_that_lead_outside,
    links::symlinks_that_stay_inside,
    links::hard_links,
    links::planted_before,
    types::types_that_are_refused,
    types::sparse_files_of_every_kind_are_refused,
    types::types_that_are_files,
    types::owners_do_not_matter,
    types::times_that_are_none,
    headers::sizes,
    headers::checksums,
    headers::sizes_given_twice_hide_nothing,
    headers::ends,
    extended::global_headers_change_nothing,
    extended::extended_headers,
    extended::names_in_two_formats,
];

/// Where we unpack something else than another reader does, and why that is right.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "gnu header has times where others have the prefix",
        "python",
        "takes them for a prefix",
    ),
    (
        "star header has a shorter prefix",
        "python",
        "takes the times behind it for more of it",
    ),
    (
        "star header has a shorter prefix",
        "tar crate",
        "takes the times behind it for more of it",
    ),
    (
        "the oldest format has no prefix",
        "python",
        "takes what is there for a prefix",
    ),
    (
        "an old directory",
        "tar crate",
        "tells its reader no more than the type byte",
    ),
    (
        "a path",
        "python",
        "lets a global header rename; we and Go do not",
    ),
    (
        "a size",
        "python",
        "lets a global header resize; we and Go do not",
    ),
    (
        "an empty name is the header's own",
        "python",
        "takes it for the name; POSIX: it deletes the record",
    ),
    (
        "an empty name is the header's own",
        "tar crate",
        "takes it for the name; POSIX: it deletes the record",
    ),
    (
        "length that reaches into the next record",
        "tar crate",
        "splits records at newlines, not by length",
    ),
    (
        "star header has a shorter prefix",
        "tar",
        "takes the times behind it for more of it",
    ),
    (
        "star header has a shorter prefix",
        "bsdtar",
        "takes the times behind it for more of it",
    ),
    (
        "windows streams",
        "bsdtar",
        "takes off what could be a drive",
    ),
    (
        "written through",
        "bsdtar",
        "follows no link, wherever it leads",
    ),
    (
        "link to link",
        "bsdtar",
        "follows no link, wherever it leads",
    ),
    (
        "as a directory that is there",
        "tar",
        "puts a directory in the place of a link to one",
    ),
    (
        "as a directory that is there",
        "bsdtar",
        "puts a directory in the place of a link to one",
    ),
    (
        "a path",
        "tar",
        "lets a global header rename; we and Go do not",
    ),
];

fn all() -> Vec<Collected> {
    collect(TABLES)
}

#[test]
fn there_are_enough_of_them() {
    let all = all();
    println!("{} hostile or odd archives", all.len());
    assert!(all.len() >= 110, "only {}", all.len());
}

/// What we make of an archive that we take, with links.
fn ours(archive: &[u8]) -> Option<Tree> {
    let sandbox = Sandbox::new();
    let options = UnpackOptions {
        links: Links::Inside,
        ..UnpackOptions::default()
    };
    sandbox.unpack(archive, &options).ok()?;
    Some(peers::on_disk(&sandbox.root()))
}

/// An archive that we take holds for other readers what we wrote, or they do not take it: nothing can be
/// shown to one and hidden from the other. And nothing that we take leads outside for one of them.
#[test]
fn nobody_reads_more_into_them_than_we_do() {
    let all: Vec<_> = all().into_iter().filter(|case| !case.planted).collect();
    let python = peers::python(all.iter().map(|case| &case.archive[..]));
    let programs = peers::programs();
    let (mut taken, mut compared, mut differences) = (0, 0, Vec::new());
    for (i, case) in all.iter().enumerate() {
        let Some(ours) = ours(&case.archive) else {
            continue;
        };
        taken += 1;
        let mut readers = BTreeMap::from([("tar crate", peers::tar_crate(&case.archive))]);
        if let Some(python) = &python {
            readers.insert("python", python[i].clone());
        }
        let excepted = |reader: &str| {
            EXCEPTIONS
                .iter()
                .any(|(title, who, _)| (*title, *who) == (case.title.as_str(), reader))
        };
        for program in &programs {
            match peers::unpacked(program, &case.archive) {
                Made::Tree(tree) => drop(readers.insert(program, Some(tree))),
                Made::Failed => {}
                Made::Outside(_) if excepted(program) => {}
                Made::Outside(text) => {
                    differences.push(format!("(\"{}\", \"{program}\"): {text}", case.title));
                }
            }
        }
        for (reader, theirs) in readers {
            let Some(theirs) = theirs else {
                continue;
            };
            compared += 1;
            if theirs != ours && !excepted(reader) {
                differences.push(format!(
                    "(\"{}\", \"{reader}\"): {theirs:?}\n  ours {ours:?}",
                    case.title
                ));
            }
        }
    }
    println!(
        "{} archives, {taken} taken, {compared} comparisons",
        all.len()
    );
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(taken > 30 && compared >= taken, "{taken} {compared}");
}
