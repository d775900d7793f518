//! Lines on their way to standard error, which may be a pipe that nobody reads: who logs never waits.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, SyncSender, TrySendError},
    },
    time::{Duration, Instant},
};

use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait to be written.
const WAITING_MAX: usize = 4096;

/// How long the last lines may take at the end.
const LAST_MAX: Duration = Duration::from_secs(1);

/// How often is looked for room for the last one.
const ROOM_EVERY: Duration = Duration::from_millis(10);

/// Takes lines in. Those that find no room are lost, and counted.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    to_write: SyncSender<Part>,
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Part {
    Line(Box<[u8]>),
    /// Everything before it has been written.
    End(SyncSender<()>),
}

/// Dropped, it waits until the lines that were logged before have been written, but not for long.
#[derive(Debug)]
#[must_use]
pub(crate) struct Rest(SyncSender<Part>);

impl Lines {
    /// Starts the thread that writes to `out`.
    pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<(Self, Rest)> {
        let (to_write, parts) = mpsc::sync_channel(WAITING_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lost);
        std::thread::Builder::new()
            .name("pgmemo-log".to_owned())
            .spawn(move || write_all(&parts, &counted, out))?;
        let rest = Rest(to_write.clone());
        Ok((Self { to_write, lost }, rest))
    }
}

/// Writes until nobody logs any more. That it cannot be written, nobody can be told.
fn write_all(parts: &Receiver<Part>, lost: &AtomicU64, mut out: impl Write) {
    for part in parts {
        match part {
            Part::Line(line) => {
                let _ = out.write_all(&line);
            }
            Part::End(told) => {
                let _ = told.try_send(());
            }
        }
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = writeln!(
                out,
                "pgmemo: {lost} lines of the log were lost: nobody read it"
            );
        }
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        let end = Instant::now() + LAST_MAX;
        let (told, written) = mpsc::sync_channel(1);
        let mut part = Part::End(told);
        while let Err(TrySendError::Full(again)) = self.0.try_send(part) {
            if Instant::now() >= end {
                return;
            }
            part = again;
            std::thread::sleep(ROOM_EVERY);
        }
        let _ = written.recv_timeout(end.saturating_duration_since(Instant::now()));
    }
}

impl Write for Lines {
    /// One whole line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.to_write.try_send(Part::Line(line.into())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes only as long as somebody lets it.
    struct Gate(Receiver<()>, mpsc::Sender<Vec<u8>>);

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            let _ = self.1.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_for_who_does_not_read_and_what_is_lost_is_counted() {
        let (open, gate) = mpsc::channel();
        let (written, read) = mpsc::channel();
        let (mut lines, rest) = Lines::start(Gate(gate, written)).unwrap();
        let more = 10;
        for _ in 0..WAITING_MAX + 1 + more {
            lines.write_all(b"a line\n").unwrap();
        }
        drop(open);
        drop(rest);
        let all = read.try_iter().collect::<Vec<_>>().concat();
        let all = String::from_utf8(all).unwrap();
        let lost = WAITING_MAX + 1 + more - all.matches("a line\n").count();
        assert!((1..=more + 1).contains(&lost), "{lost}");
        assert!(all.contains(&format!("{lost} lines of the log were lost")));
    }
}
