//! One end of a control connection: reads and writes lines, watches the time. Both roles use it.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf},
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};

use crate::{
    CloseReason, Stream,
    control::{Decoder, MAX_LINE, Message},
};

/// How long a goodbye, ours or the peer's, may hold up the end of a session.
const GOODBYE_LIMIT: Duration = Duration::from_secs(1);

/// Bytes of control lines gathered into one write.
const BATCH: usize = 16 * 1024;

/// The longest silence a peer is allowed that told nothing about its own period. Go dialers
/// never pause longer than about 40 s.
pub(crate) const UNANNOUNCED_IDLE: Duration = Duration::from_secs(90);

/// A timer that fires this much too late shows that the process did not run: it was starved, stopped
/// or asleep with its machine.
const OVERSLEPT: Duration = Duration::from_secs(1);

/// What `wait` after `at` is; so late that it never comes, if that is beyond what the clock knows.
pub(crate) fn after(at: Instant, wait: Duration) -> Instant {
    const NEVER: Duration = Duration::from_secs(30 * 365 * 86_400);
    at.checked_add(wait).unwrap_or_else(|| at + NEVER)
}

/// The periods of one end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// Time after the last line before a keep-alive is sent.
    pub(crate) keep_alive: Duration,
    /// Time after which a peer that announced its period counts as gone.
    pub(crate) idle: Duration,
    /// How long one write of control lines may take.
    pub(crate) write: Duration,
}

impl Timing {
    /// What every keep-alive line says.
    fn alive(&self) -> Message {
        Message::KeepAlive {
            every: Some(self.keep_alive),
        }
    }

    /// The silence allowed to a peer that says something `every` so often. Never less than the
    /// configured one, whatever the peer claims, and never more than an old peer is given.
    fn patience(&self, every: Option<Duration>) -> Duration {
        let most = UNANNOUNCED_IDLE.max(self.idle);
        every.map_or(most, |every| every.saturating_mul(3).clamp(self.idle, most))
    }
}

/// Hands incoming messages to `on_message` until the connection ends; tells why it did.
///
/// `expecting` is the silence allowed before the first keep-alive is seen; `None` for ever.
pub(crate) async fn read_lines(
    mut reader: ReadHalf<Stream>,
    timing: Timing,
    mut expecting: Option<Duration>,
    mut on_message: impl FnMut(Message),
) -> CloseReason {
    let mut decoder = Decoder::new();
    let mut space = vec![0; MAX_LINE];
    let mut last_line = Instant::now();
    loop {
        let read = reader.read(&mut space);
        let read = match expecting {
            // Counted from the last whole line: a drip of single bytes is no sign of life.
            Some(limit) => match timeout_at(after(last_line, limit), read).await {
                Ok(read) => read,
                Err(_) if Instant::now() > after(last_line, limit) + OVERSLEPT => {
                    // It was this process that stood still, so the silence proves nothing.
                    last_line = Instant::now();
                    continue;
                }
                Err(_) => return CloseReason::Idle(limit),
            },
            None => read.await,
        };
        let bytes = match read {
            Ok(0) => return CloseReason::Peer(None),
            Ok(n) => &space[..n],
            Err(error) if is_hang_up(&error) => return CloseReason::Peer(None),
            Err(error) => return CloseReason::Io(Arc::new(error)),
        };
        decoder.feed(bytes);
        loop {
            let message = match decoder.next_message() {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(error) => return CloseReason::Protocol(error),
            };
            last_line = Instant::now();
            match message {
                Message::KeepAlive { every: Some(every) } => {
                    expecting = Some(timing.patience(Some(every)))
                }
                Message::KeepAlive { every: None } if expecting.is_none() => {
                    expecting = Some(timing.patience(None))
                }
                Message::Close { why } => {
                    return CloseReason::Peer(Some(plain(&why)).filter(|why| !why.is_empty()));
                }
                message => on_message(message),
            }
        }
    }
}

/// The peer went away without the polite form: a reset, or TLS without close_notify.
pub(crate) fn is_hang_up(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}

/// The sending side of a control connection.
pub(crate) struct Lines {
    io: WriteHalf<Stream>,
    timing: Timing,
    /// A write was begun and not finished: whatever comes next would not start a line.
    torn: bool,
}

impl Lines {
    pub(crate) fn new(io: WriteHalf<Stream>, timing: Timing) -> Self {
        Self {
            io,
            timing,
            torn: false,
        }
    }

    /// Sends a keep-alive at once, then what `orders` bring, then keep-alives in the gaps.
    ///
    /// `encode` may write nothing for an order that has become pointless. With `trailing`, lines
    /// are followed by a keep-alive, as Go dialers do.
    pub(crate) async fn run<T>(
        &mut self,
        mut orders: mpsc::Receiver<T>,
        trailing: bool,
        mut encode: impl FnMut(T, &mut Vec<u8>),
    ) -> CloseReason {
        let mut out = self.timing.alive().to_line();
        loop {
            if let Err(reason) = self.send(&out).await {
                return reason;
            }
            out.clear();
            let due = after(Instant::now(), self.timing.keep_alive);
            while out.is_empty() {
                tokio::select! {
                    order = orders.recv() => match order {
                        Some(order) => encode(order, &mut out),
                        None => return CloseReason::Local,
                    },
                    () = sleep_until(due) => {
                        self.timing.alive().encode(&mut out);
                        break;
                    }
                }
                while out.len() < BATCH
                    && let Ok(order) = orders.try_recv()
                {
                    encode(order, &mut out);
                }
                if trailing && !out.is_empty() {
                    self.timing.alive().encode(&mut out);
                }
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), CloseReason> {
        self.torn = true;
        let write = async {
            self.io.write_all(bytes).await?;
            self.io.flush().await
        };
        match timeout(self.timing.write, write).await {
            Ok(Ok(())) => {
                self.torn = false;
                Ok(())
            }
            Ok(Err(error)) => {
                // The reader may have the better reason: a goodbye that came before the hang-up.
                sleep(GOODBYE_LIMIT).await;
                let reason = if is_hang_up(&error) {
                    CloseReason::Peer(None)
                } else {
                    CloseReason::Io(Arc::new(error))
                };
                Err(reason)
            }
            Err(_) => Err(CloseReason::WriteTimeout(self.timing.write)),
        }
    }

    /// Tells the peer why, if it still listens, and closes; never takes long.
    pub(crate) async fn goodbye(mut self, reason: &CloseReason) {
        let farewell = async {
            let gone = matches!(
                reason,
                CloseReason::Peer(_) | CloseReason::Io(_) | CloseReason::WriteTimeout(_)
            );
            if !gone && !self.torn {
                let why = reason.farewell();
                let line = Message::Close { why }.to_line();
                self.io.write_all(&line).await?;
            }
            self.io.shutdown().await
        };
        // Nobody is left to tell about a failure here.
        let _ = timeout(GOODBYE_LIMIT, farewell).await;
    }
}

/// A peer's text made fit for one line of a log: control characters and runs of blanks become
/// one blank, at most 1 KiB.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::new();
    for word in text
        .split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|word| !word.is_empty())
    {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out.truncate(out.floor_char_boundary(1024));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_follows_the_announcement_within_bounds() {
        let s = Duration::from_secs;
        let timing = Timing {
            keep_alive: s(5),
            idle: s(15),
            write: s(10),
        };
        assert_eq!(timing.patience(Some(s(5))), s(15));
        assert_eq!(timing.patience(Some(Duration::from_millis(1))), s(15));
        assert_eq!(timing.patience(Some(s(20))), s(60));
        assert_eq!(timing.patience(Some(Duration::MAX)), s(90));
        assert_eq!(timing.patience(None), s(90));
    }

    #[test]
    fn texts_of_peers_become_one_line() {
        assert_eq!(
            plain(" got 400:\n\tunknown\n\x1b[31m"),
            "got 400: unknown [31m"
        );
        assert_eq!(plain(&"é".repeat(900)).len(), 1024);
    }
}
