//! Who answers.

use std::net::SocketAddr;

use anyhow::Result;
use pgmemo_tests::{Metrics, Redis, http, server::Server};
use tempfile::TempDir;

use crate::cpu;

/// Someone who answers.
#[derive(Debug)]
pub(crate) struct Contender {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    process: u32,
    /// Its numbers, where it has any.
    admin: Option<SocketAddr>,
    /// What it needs while it runs.
    held: Held,
}

/// What a contender can do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// PostgreSQL itself.
    Direct,
    /// Answers always the same.
    Canned,
    /// Passes on.
    Pooler,
    /// Passes on, and remembers.
    Cache,
    /// pgmemo.
    Own,
}

/// Processes and directories that live as long as the contender.
pub(crate) type Held = (Option<(Server, TempDir)>, Option<Redis>);

impl Contender {
    /// A process that was started for this.
    pub(crate) fn started(
        name: impl Into<String>,
        kind: Kind,
        address: SocketAddr,
        server: Server,
        dir: TempDir,
    ) -> Self {
        Self {
            name: name.into(),
            kind,
            address,
            process: server.pid(),
            admin: None,
            held: (Some((server, dir)), None),
        }
    }

    /// PostgreSQL, which belongs to the caller.
    pub(crate) fn direct(address: SocketAddr, process: u32) -> Self {
        Self {
            name: "direct".to_owned(),
            kind: Kind::Direct,
            address,
            process,
            admin: None,
            held: (None, None),
        }
    }

    /// With numbers of its own at this address.
    pub(crate) fn with_admin(mut self, admin: SocketAddr) -> Self {
        self.admin = Some(admin);
        self
    }

    /// With a Redis of its own.
    pub(crate) fn with_redis(mut self, redis: Redis) -> Self {
        self.held.1 = Some(redis);
        self
    }

    /// Resident memory in bytes.
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        cpu::resident_bytes(self.process)
    }

    /// Where pgbench connects.
    pub(crate) fn url(&self, database: &str) -> String {
        format!(
            "postgres://postgres@{}/{database}?sslmode=disable&gssencmode=disable",
            self.address
        )
    }

    /// CPU seconds so far, children included.
    pub(crate) fn cpu(&self) -> Result<f64> {
        cpu::seconds(self.process)
    }

    /// Hits, and all reads, so far.
    pub(crate) fn hits(&self) -> Result<Option<(f64, f64)>> {
        let Some(admin) = self.admin else {
            return Ok(None);
        };
        let (_, body) = http::get(admin, "/metrics")?;
        let metrics = Metrics::parse(&body);
        let all = metrics.hits() + metrics.misses() + metrics.bypasses();
        Ok(Some((metrics.hits(), all)))
    }
}
