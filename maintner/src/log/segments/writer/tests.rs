use prost::Message;

use super::*;
use crate::{
    log::{Segment, feed::frame},
    proto::{GithubMutation, Mutation},
};

/// Works so often, then fails.
struct Failing {
    works: usize,
}

impl Failing {
    fn work(&mut self) -> Result<(), SinkError> {
        let source = io::Error::new(io::ErrorKind::StorageFull, "no");
        let action = "append to";
        self.works = self
            .works
            .checked_sub(1)
            .ok_or(SinkError::Io { action, source })?;
        Ok(())
    }
}

impl Place for Failing {
    fn append(&mut self, feed: &Feed, payloads: &[Bytes]) -> Result<Bytes, SinkError> {
        self.work()?;
        Ok(frame(payloads, feed.growing().1).into())
    }

    fn seal(&mut self, feed: &Feed) -> Result<(), SinkError> {
        feed.seal_growing();
        Ok(())
    }

    fn close(&mut self, _: &Feed) {}
}

fn payload(size: usize) -> Bytes {
    let github = GithubMutation {
        owner: "o".repeat(size),
        ..Default::default()
    };
    let mutation = Mutation {
        github: Some(github),
        ..Default::default()
    };
    mutation.encode_to_vec().into()
}

#[test]
fn what_waits_goes_out_together_and_everybody_is_told_of_his_own() {
    for works in 0..5 {
        let feed = Feed::new();
        let mut writer = Writer::new(Failing { works }, 1000, feed.clone());
        let queue = Queue::default();
        let group = |sizes: &[usize]| sizes.iter().map(|&size| payload(size)).collect();
        // Three segments: 300 300 100, 400 400 100, 100.
        let groups: [Vec<Bytes>; 5] = [
            group(&[300, 300]),
            vec![Bytes::from_static(b"no mutation")],
            group(&[]),
            group(&[100, 400]),
            group(&[400, 100, 100]),
        ];
        let mut answers = groups.each_ref().map(|group| queue.push(group));
        drop(queue.push(&[payload(10)]));
        writer.append(queue.take());
        let mut told = answers.each_mut().map(|answer| answer.try_recv().unwrap());

        let refused = std::mem::replace(&mut told[1], Ok(vec![]));
        assert!(matches!(refused, Err(SinkError::Refused { index: 0, .. })));
        let mut records = Vec::new();
        let mut all: Vec<Vec<u8>> = Vec::new();
        for (told, group) in told.into_iter().zip(&groups) {
            let (count, batches) = match told {
                Ok(batches) => (group.len() * usize::from(!batches.is_empty()), batches),
                Err(SinkError::Partly {
                    records,
                    batches,
                    source,
                }) => {
                    assert!(matches!(*source, SinkError::Io { .. }));
                    (records, batches)
                }
                Err(SinkError::Io { source, .. }) => {
                    assert_eq!(source.kind(), io::ErrorKind::StorageFull);
                    assert_eq!(source.to_string(), "no");
                    (0, vec![])
                }
                Err(error) => panic!("{error}"),
            };
            records.push(count);
            for batch in batches {
                if batch.segment as usize == all.len() {
                    all.push(Vec::new());
                }
                let segment = all.last_mut().unwrap();
                assert_eq!(batch.offset, segment.len() as u64);
                segment.extend_from_slice(&batch.bytes);
            }
        }
        let expected = [
            [0, 0, 0, 0, 0],
            [2, 0, 0, 1, 0],
            [2, 0, 0, 2, 2],
            [2, 0, 0, 2, 3],
            [2, 0, 0, 2, 3],
        ];
        assert_eq!(records, expected[works], "{works}");
        let all: Vec<Segment> = (0..)
            .zip(&all)
            .map(|(n, all)| Segment::of(n, all))
            .collect();
        assert_eq!(all, feed.segments());
    }
}
