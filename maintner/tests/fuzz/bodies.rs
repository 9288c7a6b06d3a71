//! What the fuzz targets do with bytes.

use bytes::Bytes;
use maintner::{
    corpus::{Hash, Writer},
    parse::{commit, line, notedb, person, references},
    proto::Mutation,
    reclog::{self, Header, Reader, Records},
    testing::{Model, difference, dump},
};
use prost::Message;

/// Records in a file: both readers say the same, and what they say is what stands there.
pub(crate) fn records(data: &[u8]) {
    let Some((&[low, high], log)) = data.split_first_chunk() else {
        return;
    };
    let start = u64::from(u16::from_le_bytes([low, high]));
    let (mut records, mut reader) = (Records::new(log, start), Reader::new(log, start));
    let mut end = start;
    loop {
        match (records.next(), reader.next()) {
            (Some(Ok(a)), Ok(Some(b))) => {
                assert_eq!((a.offset, a.payload), (b.offset, b.payload));
                assert_eq!(a.offset, end);
                end = a.end();
                let from = (a.offset - start) as usize;
                let to = (end - start) as usize;
                assert!(log[from..to].ends_with(a.payload));
            }
            (None, Ok(None)) => {
                assert_eq!(end - start, log.len() as u64);
                break;
            }
            (Some(Err(error)), Err(_)) => {
                assert!(error.offset() >= end);
                break;
            }
            (a, b) => panic!("{a:?} {b:?}"),
        }
    }
    let mut from = 0;
    while let Some(at) = reclog::find_record(log, start, from) {
        assert!(at >= from && log[at..].starts_with(b"REC@"));
        from = at + 1;
    }
}

/// Pieces of `data`: a length of two bytes in front of each. None stands for an empty one.
fn pieces(mut data: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    std::iter::from_fn(move || {
        let (&[low, high], rest) = data.split_first_chunk()?;
        let len = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
        let (piece, rest) = rest.split_at(len);
        data = rest;
        Some((len > 0).then_some(piece))
    })
}

fn append(log: &mut Vec<u8>, payload: &[u8]) {
    log.extend_from_slice(&Header::new(log.len() as u64, payload.len() as u64));
    log.extend_from_slice(payload);
}

/// Mutations, published at empty pieces: whatever they are, all that the corpus then says can be
/// asked for.
pub(crate) fn apply(data: &[u8]) {
    let mut writer = Writer::new();
    let (mut offset, mut snapshots) = (0, Vec::new());
    for piece in pieces(data) {
        let Some(payload) = piece else {
            if snapshots.len() < 4 {
                let snapshot = writer.publish();
                snapshots.push((dump(&snapshot), snapshot));
            }
            continue;
        };
        let mut record = Header::new(offset, payload.len() as u64).to_vec();
        record.extend_from_slice(payload);
        let record = Bytes::from(record);
        // A record that holds no mutation ends a log.
        if writer.apply(0, offset, &record).is_err() {
            break;
        }
        offset += record.len() as u64;
    }
    dump(&writer.publish());
    for (then, snapshot) in snapshots {
        assert_eq!(dump(&snapshot), then, "a snapshot stays as it is");
    }
}

/// Mutations that are well-formed: the corpus says what the model says, wherever it is published.
pub(crate) fn differ(data: &[u8]) {
    let (mut model, mut log, mut cuts) = (Model::new(), Vec::new(), vec![0]);
    for piece in pieces(data) {
        match piece.map(Mutation::decode) {
            None => cuts.push(log.len()),
            // Of a commit in another encoding the model has the text up to the first such byte.
            Some(Ok(mutation)) if is_text(&mutation) => {
                model.apply(&mutation);
                append(&mut log, &mutation.encode_to_vec());
            }
            Some(_) => {}
        }
    }
    cuts.push(log.len());
    let (log, mut writer) = (Bytes::from(log), Writer::new());
    for cut in cuts.windows(2) {
        let piece = log.slice(cut[0]..cut[1]);
        if let Err(error) = writer.apply(0, cut[0] as u64, &piece) {
            panic!("{error}");
        }
        writer.publish();
    }
    if let Some(difference) = difference(&dump(&writer.publish()), &model.dump()) {
        panic!("corpus != model: {difference}");
    }
}

fn is_text(mutation: &Mutation) -> bool {
    let of_gerrit = mutation.gerrit.iter().flat_map(|gerrit| &gerrit.commits);
    let of_git = mutation.git.iter().filter_map(|git| git.commit.as_ref());
    of_gerrit
        .chain(of_git)
        .all(|commit| std::str::from_utf8(&commit.raw).is_ok())
}

/// A commit object.
pub(crate) fn commit(data: &[u8]) {
    let Ok(commit) = commit::parse(data) else {
        return;
    };
    assert!(data.ends_with(commit.message));
    assert!(Hash::parse(commit.tree).is_some());
    assert!(commit.parents().all(|parent| Hash::parse(parent).is_some()));
    for signature in [commit.author, commit.committer] {
        assert!(signature.person.ends_with('>') && signature.zone.abs() < 4_000_000);
        assert!(person::name(signature.person).len() <= signature.person.len());
        assert!(person::email(signature.person).len() < signature.person.len());
    }
}

/// The message of a meta commit, or any other text that people write.
pub(crate) fn notedb(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    assert!(text.ends_with(line::footer(text)));
    let _ = (notedb::status(text), notedb::status_anywhere(text));
    let _ = (notedb::flag(text, "Private:"), notedb::hashtag_edits(text));
    if let Some(message) = notedb::message(text) {
        assert!(text.contains(message.text) && message.text.starts_with(['P', 'U']));
    }
    for vote in notedb::votes(text) {
        assert!(!vote.label.is_empty());
        assert!(vote.voter.is_none_or(|voter| voter.contains('<')));
    }
    if let Some(hashtags) = notedb::hashtags(text) {
        let count = notedb::split_hashtags(hashtags).count();
        let commas = hashtags.matches(',').count();
        assert_eq!(count, if hashtags.is_empty() { 0 } else { commas + 1 });
    }
    for reference in references::references(text) {
        assert!(text.contains(&format!("#{}", reference.number)) || text.contains("#0"));
        assert!(reference.number >= 0);
    }
    for line in text.lines() {
        let _ = (
            person::signature(line.as_bytes()),
            notedb::account_id(line),
            notedb::vote(line),
        );
    }
}
