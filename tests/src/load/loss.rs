//! Connections that are lost, and how a writer learns what became of what it had sent.

use std::{error::Error, fmt, io, net::SocketAddr};

use anyhow::{Result, bail};

use super::{SLOTS, Session, numbers, slot_register};
use crate::wire::{Answer, Conn, Login};

/// The connection is gone, and with it the outcome of what was sent last.
#[derive(Debug)]
struct Lost(String);

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the connection was lost: {}", self.0)
    }
}

impl Error for Lost {}

/// Connects; who cannot has lost nothing that is judged.
pub(super) fn connect(address: SocketAddr, login: &Login) -> Result<Conn> {
    Conn::connect(address, login).map_err(|error| Lost(format!("{error:#}")).into())
}

/// Whether an error is the loss of a connection, and not an answer that should not have come, or
/// none at all.
pub(super) fn is(error: &anyhow::Error) -> bool {
    let reset = |error: &io::Error| {
        !matches!(
            error.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
        )
    };
    error
        .chain()
        .any(|cause| cause.is::<Lost>() || cause.downcast_ref::<io::Error>().is_some_and(reset))
}

/// The answer, if it has come to its end and holds no error.
pub(super) fn whole(answer: Answer) -> Result<Answer> {
    if let Some(error) = answer.0.iter().find(|message| message.tag == b'E') {
        let state = error.sqlstate();
        // Shut down, crashed, starting up; a broken connection.
        if state.starts_with("57P") || state.starts_with("08") {
            return Err(Lost(format!("{error:?}")).into());
        }
        bail!("the client saw {error:?}");
    }
    if answer.0.last().is_none_or(|last| last.tag != b'Z') {
        return Err(Lost("no end of the answer".to_owned()).into());
    }
    Ok(answer)
}

impl Session<'_> {
    /// Makes sure that nothing is at work any more that an earlier connection of this writer began,
    /// and asks the server what became of it.
    ///
    /// Its server process had taken the lock, and gives it back at its end.
    pub(super) fn settle(&mut self) -> Result<()> {
        let number = self.number;
        self.run(&format!("SELECT pg_advisory_lock({number})"))?;
        let prepared = format!(
            "SELECT gid FROM pg_prepared_xacts \
             WHERE database = current_database() AND gid LIKE 'load {number} %'"
        );
        for row in self.run(&prepared)?.rows() {
            for gid in row.into_iter().flatten() {
                self.run(&format!("ROLLBACK PREPARED '{gid}'"))?;
            }
        }
        for slot in (0..SLOTS).filter(|slot| slot % self.load.writers == number) {
            let sql = format!("/* pgmemo: nocache */ SELECT n FROM slot WHERE k = {slot}");
            let rows = numbers(&self.run(&sql)?)?;
            let register = slot_register(slot);
            // No row: the odd value that is known, or that comes next.
            let absent = self.history.floor(register) | 1;
            let value = rows.first().and_then(|row| row.first()).copied();
            self.history
                .settle(self.seen, register, value.unwrap_or(absent));
        }
        Ok(())
    }
}
