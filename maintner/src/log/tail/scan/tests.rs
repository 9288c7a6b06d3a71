use std::fmt::Write;

use super::*;
use crate::log::{Event, Source};

/// What a source has to tell right now: the records, and the splits.
fn told(source: &mut crate::log::FeedSource) -> (String, Vec<u64>) {
    let (mut records, mut splits) = (String::new(), Vec::new());
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    while let std::task::Poll::Ready(event) = std::pin::pin!(source.next()).poll(&mut cx) {
        match event.unwrap() {
            Event::Batch(batch) => {
                let bytes = std::str::from_utf8(&batch.bytes).unwrap();
                write!(records, "{}:{bytes} ", batch.segment).unwrap();
            }
            Event::Split { common } => splits.push(common),
            _ => {}
        }
    }
    (records, splits)
}

/// A record `REC@0+0=` of 8 bytes stands in the first file; of the last one, only a torn record.
fn torn_at_once([first, last]: [&str; 2]) -> (tempfile::TempDir, Scan, Feed) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(first), "REC@0+0=").unwrap();
    fs::write(dir.path().join(last), "REC@0+5=he").unwrap();
    let (mut scan, feed) = (Scan::new(dir.path().into()), Feed::new());
    scan.refresh(&feed).unwrap();
    (dir, scan, feed)
}

const DATES: [&str; 2] = ["maintner-2018-07-09.mutlog", "maintner-2018-07-10.mutlog"];

#[test]
fn a_repair_that_leaves_nothing_of_the_last_file_is_no_split() {
    let sealed = Segment::of(0, b"REC@0+0=").file_name();
    for names in [DATES, [&sealed, "0001.growing.mutlog"]] {
        for removed in [false, true] {
            let (dir, mut scan, feed) = torn_at_once(names);
            let mut source = feed.source();
            assert_eq!(told(&mut source), ("0:REC@0+0= ".into(), vec![]));
            let last = dir.path().join(names[1]);
            fs::write(&last, "").unwrap();
            if removed {
                fs::remove_file(&last).unwrap();
            }
            for _ in 0..3 {
                scan.refresh(&feed).unwrap();
                assert_eq!(told(&mut source), (String::new(), vec![]));
            }
            for (text, new) in [
                ("REC@0+1=", ""),
                ("REC@0+1=aREC@9+0=", "1:REC@0+1=aREC@9+0= "),
                ("REC@0+1=aREC@9+0=REC@11+0=", "1:REC@11+0= "),
            ] {
                fs::write(&last, text).unwrap();
                scan.refresh(&feed).unwrap();
                assert_eq!(told(&mut source), (new.into(), vec![]));
            }
        }
    }
}

#[test]
fn a_log_goes_on_in_another_file_than_the_one_that_was_emptied() {
    let (dir, mut scan, feed) = torn_at_once(DATES);
    let mut source = feed.source();
    told(&mut source);
    fs::write(dir.path().join(DATES[1]), "").unwrap();
    scan.refresh(&feed).unwrap();
    let next = dir.path().join("maintner-2018-07-11.mutlog");
    fs::write(&next, "REC@0+1=a").unwrap();
    scan.refresh(&feed).unwrap();
    assert_eq!(told(&mut source), ("1:REC@0+1=a ".into(), vec![]));
    assert_eq!(feed.segments().len(), 2);

    // In the one before, if the clock went back.
    let (dir, mut scan, feed) = torn_at_once(DATES);
    let mut source = feed.source();
    told(&mut source);
    fs::write(dir.path().join(DATES[1]), "").unwrap();
    scan.refresh(&feed).unwrap();
    fs::write(dir.path().join(DATES[0]), "REC@0+0=REC@8+0=").unwrap();
    scan.refresh(&feed).unwrap();
    assert_eq!(told(&mut source), ("0:REC@0+0=REC@8+0= ".into(), vec![8]));
}

#[test]
fn what_was_told_and_taken_back_is_a_split() {
    let (dir, mut scan, feed) = torn_at_once(DATES);
    let last = dir.path().join(DATES[1]);
    fs::write(&last, "REC@0+0=").unwrap();
    scan.refresh(&feed).unwrap();
    let mut source = feed.source();
    assert_eq!(told(&mut source).0, "0:REC@0+0= 1:REC@0+0= ");
    fs::write(&last, "").unwrap();
    scan.refresh(&feed).unwrap();
    assert_eq!(told(&mut source), ("0:REC@0+0= ".into(), vec![8]));
}

#[test]
fn a_file_without_records_does_not_count_wherever_it_is() {
    let (dir, mut scan, feed) = torn_at_once(DATES);
    fs::write(dir.path().join("maintner-2018-07-11.mutlog"), "REC@0+1=a").unwrap();
    scan.refresh(&feed).unwrap();
    let fresh = Feed::new();
    Scan::new(dir.path().into()).refresh(&fresh).unwrap();
    assert_eq!(fresh.segments(), feed.segments());
    assert_eq!(feed.segments().len(), 2);
}
