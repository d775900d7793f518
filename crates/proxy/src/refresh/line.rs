//! A connection of our own on which clients' statements are read again.

use std::io;

use bytes::{Bytes, BytesMut};
use cache::{Digest, Entry};
use session::{Recipe, RecipeOutcome, Renewal, Reply};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex, split};
use tokio_postgres::{NoTls, config::SslMode};
use wire::backend::tag;

use crate::{
    control::{Credentials, may_be_for_tls},
    stream::ServerStream,
    upstream::{Upstream, UpstreamError},
};

/// A connection in the state of some session.
#[derive(Debug)]
pub(super) struct Line {
    stream: ServerStream,
    input: BytesMut,
    database: Box<str>,
    identity: Digest,
}

impl Line {
    /// Connects, logs in, and brings the connection into the state that a recipe needs. Whether it
    /// is in that state is not known before [`Line::prove`]. Not cancel safe.
    pub(super) async fn open(
        upstream: &Upstream,
        credentials: &Credentials,
        database: &str,
        recipe: &Recipe,
    ) -> Result<Self, Renewal> {
        let context = recipe.context().ok_or(Renewal::Context)?;
        let mut stream = connected(upstream.connect().await)?;
        match log_in(&mut stream, credentials, database).await {
            Err(Refused::OverTls) if stream.is_tls() && upstream.is_plain_allowed() => {
                stream = connected(upstream.connect_plain().await)?;
                log_in(&mut stream, credentials, database).await?;
            }
            outcome => outcome?,
        }
        let mut line = Self {
            stream,
            input: BytesMut::new(),
            database: database.into(),
            identity: *recipe.identity(),
        };
        line.run(LIMITS).await?;
        line.run(&context).await?;
        Ok(line)
    }

    /// Whether it was brought into the state that a recipe needs.
    pub(super) fn is_for(&self, database: &str, recipe: &Recipe) -> bool {
        *self.database == *database && self.identity == *recipe.identity()
    }

    /// Asks the server whether the connection is in the state that a recipe needs. Not cancel safe.
    pub(super) async fn prove(&mut self, recipe: &Recipe) -> Result<(), Renewal> {
        let mut probe = BytesMut::new();
        recipe.put_probe(&mut probe);
        self.send(&probe).await?;
        let mut proven = false;
        loop {
            let frame = self.frame(PROBE_BYTES_MAX).await?;
            match frame.first() {
                Some(&tag::DATA_ROW) => proven = recipe.is_proven(&frame),
                Some(&tag::READY) if proven => return Ok(()),
                Some(&(tag::READY | tag::ERROR)) => return Err(Renewal::Context),
                _ => {}
            }
        }
    }

    /// Reads a reply. Not cancel safe.
    pub(super) async fn read(&mut self, recipe: &Recipe, limit: usize) -> Result<Entry, Renewal> {
        let mut statement = BytesMut::new();
        recipe.put(&mut statement);
        self.send(&statement).await?;
        let mut reply = Reply::new(limit);
        loop {
            let frame = self.frame(limit).await?;
            match reply.take(&frame) {
                RecipeOutcome::More => {}
                RecipeOutcome::Done(entry) => return Ok(entry),
                RecipeOutcome::Refused => return Err(Renewal::Refused),
            }
        }
    }

    /// Runs a statement of ours, whose rows do not matter.
    async fn run(&mut self, text: &str) -> Result<(), Renewal> {
        let mut query = BytesMut::new();
        wire::frontend::put_query(&mut query, text.as_bytes());
        self.send(&query).await?;
        loop {
            match self.frame(PROBE_BYTES_MAX).await?.first() {
                Some(&tag::ERROR) => return Err(Renewal::Context),
                Some(&tag::READY) => return Ok(()),
                _ => {}
            }
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Renewal> {
        let sent = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        sent.await.map_err(|_| Renewal::Disconnected)
    }

    /// The next frame, of at most `limit` bytes.
    async fn frame(&mut self, limit: usize) -> Result<Bytes, Renewal> {
        loop {
            let header = wire::header(&self.input).map_err(|_| Renewal::Refused)?;
            if let Some(header) = header {
                if header.total > limit {
                    return Err(Renewal::Refused);
                }
                if self.input.len() >= header.total {
                    return Ok(self.input.split_to(header.total).freeze());
                }
            }
            match self.stream.read_buf(&mut self.input).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Err(Renewal::Disconnected),
            }
        }
    }
}

/// Why there was no login.
enum Refused {
    /// It may be for coming over TLS.
    OverTls,
    Otherwise(Renewal),
}

impl From<Refused> for Renewal {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::OverTls => Self::Disconnected,
            Refused::Otherwise(why) => why,
        }
    }
}

fn lost(_: io::Error) -> Refused {
    Refused::Otherwise(Renewal::Disconnected)
}

fn connected(outcome: Result<ServerStream, UpstreamError>) -> Result<ServerStream, Renewal> {
    outcome.map_err(|error| {
        tracing::debug!(%error, "no connection to renew replies on");
        Renewal::Disconnected
    })
}

/// Logs in. The client library speaks through us, since it would not let us see frames as they are;
/// the server's first ReadyForQuery is the last thing that passes.
async fn log_in(
    stream: &mut ServerStream,
    credentials: &Credentials,
    database: &str,
) -> Result<(), Refused> {
    let mut config = credentials.config(database);
    config
        .ssl_mode(SslMode::Disable)
        .application_name(APPLICATION_NAME);
    let (ours, theirs) = duplex(LOGIN_BYTES_MAX);
    let login = config.connect_raw(theirs, NoTls);
    tokio::pin!(login);
    let (mut said, mut heard) = split(ours);
    let (mut from_us, mut from_server) = (BytesMut::new(), BytesMut::new());
    loop {
        tokio::select! {
            outcome = &mut login => return outcome.map(drop).map_err(|error| {
                tracing::debug!(%error, "no login to renew replies with");
                if error.as_db_error().is_some() && may_be_for_tls(&error) {
                    return Refused::OverTls;
                }
                // What the library refuses to do says nothing about the server.
                let is_away = error.as_db_error().is_some() || error.is_closed();
                Refused::Otherwise(if is_away { Renewal::Disconnected } else { Renewal::Context })
            }),
            read = said.read_buf(&mut from_us) => {
                if !read.is_ok_and(|bytes| bytes > 0) {
                    return Err(Refused::Otherwise(Renewal::Disconnected));
                }
                stream.write_all(&from_us).await.map_err(lost)?;
                stream.flush().await.map_err(lost)?;
                from_us.clear();
            }
            read = stream.read_buf(&mut from_server) => {
                if !read.is_ok_and(|bytes| bytes > 0) {
                    return Err(Refused::Otherwise(Renewal::Disconnected));
                }
                heard.write_all(&from_server).await.map_err(lost)?;
                from_server.clear();
            }
        }
    }
}

/// What administrators see in `pg_stat_activity`.
const APPLICATION_NAME: &str = "pgmemo refresh";

/// For the life of the connection. None of these is part of what a reply depends on.
const LIMITS: &str = "SET statement_timeout = '30s'; SET lock_timeout = '2s'";

/// What a login may say at once, in bytes.
const LOGIN_BYTES_MAX: usize = 64 * 1024;

/// The longest answer to a question of ours, in bytes.
const PROBE_BYTES_MAX: usize = 1024 * 1024;
