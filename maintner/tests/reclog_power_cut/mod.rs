//! Writing to storage that fails, and losing power then.

use crate::*;

/// Fails the n-th operation that changes something, in one of several ways; knows what a power cut
/// would leave.
#[derive(Debug, Clone)]
struct Faulty {
    now: Vec<u8>,
    durable: Vec<u8>,
    fail_at: usize,
    count: usize,
    how: How,
}

#[derive(Debug, Clone, Copy)]
enum How {
    Error,
    ShortThenError,
    Interrupted,
}

impl Faulty {
    fn due(&mut self) -> bool {
        self.count += 1;
        self.count == self.fail_at
    }
}

impl Storage for Faulty {
    fn len(&self) -> io::Result<u64> {
        Ok(self.now.len() as u64)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        (&self.now[self.now.len().min(offset as usize)..]).read(buf)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let due = self.due();
        match self.how {
            How::Error if due => return Err(io::ErrorKind::StorageFull.into()),
            How::Interrupted if due => return Err(io::ErrorKind::Interrupted.into()),
            _ => {}
        }
        let bytes = if due {
            &bytes[..bytes.len() / 2]
        } else {
            bytes
        };
        if due && bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if due {
            // The next call finds the disk full.
            self.fail_at = self.count + 1;
            self.how = How::Error;
        }
        let offset = offset as usize;
        let end = self.now.len().max(offset + bytes.len());
        self.now.resize(end, 0);
        self.now[offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        if self.due() {
            return Err(io::ErrorKind::Other.into());
        }
        self.now.truncate(len as usize);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.due() {
            return Err(io::ErrorKind::Other.into());
        }
        self.durable = self.now.clone();
        Ok(())
    }
}

#[test]
fn what_was_synced_is_there_after_any_fault_and_a_power_cut() {
    let storage = |fail_at, how| Faulty {
        now: Vec::new(),
        durable: Vec::new(),
        fail_at,
        count: 0,
        how,
    };
    for how in [How::Error, How::ShortThenError, How::Interrupted] {
        for fail_at in 1..60 {
            let mut acked: Vec<Vec<u8>> = Vec::new();
            let mut pending = Vec::new();
            let mut log = storage(fail_at, how);
            let mut n = 0;
            while n < 20 {
                let (mut appender, _) =
                    Appender::over(log, None, &Options::default(), keep_none).unwrap();
                // Whatever was not acknowledged may be there or not.
                pending.clear();
                let all = read(&appender.storage().now).0;
                assert!(all.starts_with(&acked), "{how:?} at {fail_at}");
                acked = all;
                loop {
                    let payload = vec![n as u8; n * 3];
                    n += 1;
                    if n > 20 {
                        break;
                    }
                    if appender.append(&payload).is_err() {
                        break;
                    }
                    pending.push(payload);
                    if appender.sync().is_err() {
                        assert!(
                            appender.append(b"x").is_err(),
                            "nothing goes behind a failed sync"
                        );
                        break;
                    }
                    acked.append(&mut pending);
                }
                log = appender.into_storage().0;
                assert!(
                    read(&log.durable)
                        .0
                        .starts_with(&acked[..acked.len().min(read(&log.durable).0.len())])
                );
                let (mut after_cut, _) = Appender::over(
                    storage_of(&log.durable),
                    None,
                    &Options::default(),
                    keep_none,
                )
                .unwrap();
                assert!(read(&after_cut.storage().now).0.starts_with(&acked));
                after_cut.append(b"life goes on").unwrap();
            }
        }
    }
}

fn storage_of(bytes: &[u8]) -> Faulty {
    Faulty {
        now: bytes.to_vec(),
        durable: bytes.to_vec(),
        fail_at: 0,
        count: 0,
        how: How::Error,
    }
}
