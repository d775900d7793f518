//! When PostgreSQL has answered all that was sent: seen from outside, without knowing what was said.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::{
    net::SOON,
    postgres::Database,
    wire::{Conn, Message},
};

/// A look at the server from beside the sessions.
#[derive(Debug)]
pub struct Oracle {
    control: Conn,
}

impl Oracle {
    /// Beside the sessions of this database.
    pub fn new(database: &Database) -> Result<Self> {
        Ok(Self {
            control: database.connect()?,
        })
    }

    /// Sends this and hears all that the server has to say to it, and whether it has closed.
    ///
    /// It has said all when it has gone to sleep since, and waits for the client.
    pub fn ask(&mut self, conn: &mut Conn, bytes: &[u8]) -> Result<(Vec<Message>, bool)> {
        let (pid, _) = conn.cancel_key()?;
        let slept = sleeps(pid);
        conn.send(bytes)?;
        let (mut heard, end) = (Vec::new(), Instant::now() + SOON);
        loop {
            let waits = sleeps(pid) != slept && self.waits_for_client(pid)?;
            let (messages, closed) = conn.take_arrived()?;
            let quiet = messages.is_empty();
            heard.extend(messages);
            if closed || (waits && quiet) {
                return Ok((heard, closed));
            }
            if Instant::now() > end {
                bail!("the server is still at work: {heard:?}");
            }
            if !waits {
                thread::sleep(Duration::from_micros(200));
            }
        }
    }

    fn waits_for_client(&mut self, pid: u32) -> Result<bool> {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity \
             WHERE pid = {pid} AND wait_event IS DISTINCT FROM 'ClientRead'"
        );
        Ok(self.control.value(&sql)? == "0")
    }
}

/// How often a process has gone to sleep; `None` if there is none.
fn sleeps(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let count = status
        .lines()
        .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    count?.trim().parse().ok()
}
