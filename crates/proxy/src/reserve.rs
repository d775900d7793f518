//! Files that are kept open so that one can be opened when no more can.
//!
//! Who connects when no file can be opened is not refused, but waits in the system's queue for as long as
//! that lasts. With a descriptor that was given back for it, it can be told.

use std::{fs::File, io, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// One descriptor. Dropped, it is given back.
#[derive(Debug)]
pub(crate) struct Reserve(#[expect(dead_code, reason = "it is there to be dropped")] File);

/// Those of a listener.
#[derive(Debug, Default)]
pub(crate) struct Reserves {
    /// For the client, and for what has to be opened for it.
    kept: Option<(Reserve, Reserve)>,
    /// It has been said that there are none.
    said: bool,
}

impl Reserve {
    fn open() -> io::Result<Self> {
        File::open("/dev/null").map(Self)
    }
}

impl Reserves {
    /// Takes back what was given, if that can be had.
    pub(crate) fn refill(&mut self) {
        if self.kept.is_none() {
            let one = || Reserve::open().ok();
            self.kept = one().zip(one());
        }
    }

    /// Accepts a client for which there is no room, if there is one and its descriptor can be had, with
    /// one more for what it may want. Cancel safe: what was accepted is closed.
    pub(crate) async fn accept(&mut self, listener: &TcpListener) -> Option<(TcpStream, Reserve)> {
        let (client, other) = self.kept.take()?;
        if !std::mem::replace(&mut self.said, true) {
            tracing::warn!("no more files can be opened: clients are turned away");
        }
        drop(client);
        let (stream, _) = timeout(AT_ONCE, listener.accept()).await.ok()?.ok()?;
        Some((stream, other))
    }
}

/// Whether no more files can be opened, by this process or by any.
pub(crate) fn is_out_of_files(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE))
}

/// How long it takes to accept who is there.
const AT_ONCE: Duration = Duration::from_millis(50);

/// The same numbers on all systems of the Unix kind.
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
