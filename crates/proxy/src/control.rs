//! One connection of our own to a database, and what is asked through it.
//!
//! It reads the catalog and looks at server processes; it never writes, and no client's statement
//! travels on it. When it is needed, and what follows from its answers, is the affair of
//! [`crate::database`].

pub mod check;
mod fingerprint;
mod lent;
mod reading;

use std::{error::Error, io, sync::atomic::AtomicU64, time::Duration};

use catalog::{
    Identity, RowError,
    queries::{IDENTITY, IDENTITY_FALLBACK},
};
use config::Secret;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_postgres::{
    Client, Connection, NoTls, SimpleQueryMessage, SimpleQueryRow,
    config::{ChannelBinding, SslMode},
    error::SqlState,
    tls::{MakeTlsConnect, TlsStream},
};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

pub(crate) use self::{fingerprint::Fingerprint, reading::Reading};
use crate::{
    stream::ServerStream,
    upstream::{Upstream, UpstreamError},
};

/// Why the catalog cannot be read, now or at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    /// Somebody has to change something first; says what.
    #[error("{0}")]
    Refused(String),
    /// There is no such database, or was none at that moment.
    #[error("{0}")]
    Absent(String),
    /// What is set for a session stays with others.
    #[error(
        "the upstream lends its connections by the transaction, as a pooler does: name the server \
         itself in its place, or a pool that lends them by the session"
    )]
    Pooled,
    /// There is no connection.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The connection is lost, or was not accepted this time.
    #[error("connection lost: {0}")]
    Lost(String),
    /// A statement failed; the connection stands, and a later attempt may succeed.
    #[error("statement failed: {0}")]
    Statement(String),
    /// A row is not what its statement promises.
    #[error(transparent)]
    Row(#[from] RowError),
    /// The epoch is being written, or the store does not say what it is.
    #[error("the database's epoch has no current version")]
    NoEpoch,
    /// The catalog changes faster than it can be read.
    #[error("the catalog changed while it was read")]
    Restless,
}

impl ControlError {
    /// Whether the connection is as good as before.
    pub(crate) const fn is_passing(&self) -> bool {
        match self {
            Self::Statement(_) | Self::NoEpoch | Self::Restless => true,
            Self::Refused(_)
            | Self::Absent(_)
            | Self::Pooled
            | Self::Upstream(_)
            | Self::Lost(_)
            | Self::Row(_) => false,
        }
    }

    /// The server cannot be told from others; says what would help.
    pub(crate) fn anonymous() -> Self {
        let remedy = "the server does not let pgmemo's user read its identity; grant it EXECUTE on \
            pg_control_system() and pg_control_checkpoint()";
        Self::Refused(remedy.to_owned())
    }

    /// The server has closed the connection.
    pub(crate) fn closed() -> Self {
        Self::Lost("closed by the server".to_owned())
    }

    /// A panic on a blocking thread, which has been logged where it happened.
    pub(crate) fn unreadable() -> Self {
        Self::Refused("no sense could be made of the catalog".to_owned())
    }

    /// Sorts the answer to a statement or a login.
    fn of(error: &tokio_postgres::Error) -> Self {
        let Some(answer) = error.as_db_error() else {
            return Self::Lost(spelled_out(error));
        };
        let text = format!("{} (SQLSTATE {})", answer.message(), answer.code().code());
        match answer.code().code().get(..2) {
            // Administration, crash, shutdown.
            Some("57") if *answer.code() != SqlState::QUERY_CANCELED => Self::Lost(text),
            Some("08") => Self::Lost(text),
            _ => Self::Statement(text),
        }
    }

    /// Sorts the failure of a login: what the server or the client library decided will be decided
    /// again, while sockets recover.
    fn of_login(error: &tokio_postgres::Error) -> Self {
        let transport = sources(error).any(|source| source.is::<io::Error>());
        match (
            Self::of(error),
            error.code().and_then(|code| code.code().get(..2)),
        ) {
            (Self::Statement(text), Some("3D")) => Self::Absent(text),
            (Self::Statement(text), Some("28" | "42" | "0A")) => Self::Refused(text),
            (Self::Statement(text), _) => Self::Lost(text),
            (Self::Lost(text), None) if !transport && !error.is_closed() => Self::Refused(text),
            (other, _) => other,
        }
    }
}

/// Who we are on control connections.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    user: String,
    password: Option<Secret>,
    channel_binding: ChannelBinding,
    options: Option<String>,
}

impl Credentials {
    /// Those of the upstream URL.
    ///
    /// # Errors
    ///
    /// When it names no user.
    pub(crate) fn of(config: &config::Upstream) -> Result<Self, ControlError> {
        let missing = "the upstream URL names no user whom pgmemo could read the catalog as";
        let user = config
            .user
            .clone()
            .ok_or(ControlError::Refused(missing.to_owned()))?;
        Ok(Self {
            user,
            password: config.password.clone(),
            channel_binding: match config.channel_binding {
                config::ChannelBinding::Disable => ChannelBinding::Disable,
                config::ChannelBinding::Prefer => ChannelBinding::Prefer,
                config::ChannelBinding::Require => ChannelBinding::Require,
            },
            options: config.options.clone(),
        })
    }

    /// The user's name.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    pub(crate) fn config(&self, database: &str) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config
            .user(&self.user)
            .dbname(database)
            .channel_binding(self.channel_binding);
        if let Some(options) = &self.options {
            config.options(options);
        }
        if let Some(password) = &self.password {
            config.password(password.reveal());
        }
        config
    }
}

/// An open control connection. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct Control {
    client: Client,
    /// The one task that moves its bytes; ends with this.
    driver: JoinSet<()>,
    lost: CancellationToken,
    /// How many rows the catalogs had when the statements that read them were planned.
    planned_rows: AtomicU64,
    /// The process at the other end, if somebody lends it: there nothing is set or prepared.
    lent: Option<i32>,
}

impl Control {
    /// Connects to a database under the TLS rules of the upstream. Not cancel safe.
    pub(crate) async fn connect(
        upstream: &Upstream,
        credentials: &Credentials,
        database: &str,
    ) -> Result<Self, ControlError> {
        let login = login(upstream, credentials, database);
        let mut control = timeout(upstream.connect_timeout(), login)
            .await
            .unwrap_or_else(|_| Err(UpstreamError::Timeout(upstream.connect_timeout()).into()))?;
        upstream.note_itself(false);
        control.look_behind(upstream, credentials, database).await?;
        if control.lent.is_none() {
            control.execute(SETTINGS).await?;
            control.prepare().await?;
        }
        Ok(control)
    }

    /// Drives a connection until it ends.
    fn over<T>(client: Client, connection: Connection<ServerStream, T>) -> Self
    where
        T: TlsStream + Unpin + Send + 'static,
    {
        let lost = CancellationToken::new();
        let ended = lost.clone();
        let drive = async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = spelled_out(&error), "control connection ended");
            }
            ended.cancel();
        };
        let mut driver = JoinSet::new();
        driver.spawn(drive.in_current_span());
        Self {
            client,
            driver,
            lost,
            planned_rows: AtomicU64::new(0),
            lent: None,
        }
    }

    /// Returns when the connection has ended. Cancel safe.
    pub(crate) async fn closed(&mut self) {
        // Whatever ends the driver, the connection is gone.
        let _ = self.driver.join_next().await;
    }

    /// Cancelled when the connection has ended.
    pub(crate) fn lost(&self) -> CancellationToken {
        self.lost.clone()
    }

    /// Which database this is. Not cancel safe.
    pub(crate) async fn identity(&self) -> Result<Identity, ControlError> {
        self.stays().await?;
        let rows = match self.query(IDENTITY).await {
            Err(ControlError::Statement(_)) => self.query(IDENTITY_FALLBACK).await?,
            rows => rows?,
        };
        let row = rows.first().ok_or(ControlError::Restless)?;
        Ok(Identity::from_row(texts(row)?)?)
    }

    /// Those of `processes` that still serve a connection. Not cancel safe.
    pub(crate) async fn living(&self, processes: &[i32]) -> Result<Vec<i32>, ControlError> {
        let list: Vec<_> = processes.iter().map(i32::to_string).collect();
        let text = format!(
            "SELECT pid FROM pg_catalog.pg_stat_activity WHERE pid IN ({})",
            list.join(", ")
        );
        let rows = self.query(&text).await?;
        Ok(rows
            .iter()
            .filter_map(|row| row.try_get(0).ok()??.parse().ok())
            .collect())
    }

    /// Whether the process at the other end has read the configuration since then. Not cancel safe.
    pub(crate) async fn has_reloaded(&self, since: Instant) -> Result<bool, ControlError> {
        // The question takes time to get there.
        let ago = since.elapsed() + RELOAD_SLACK;
        let text = format!(
            "SELECT pg_catalog.pg_conf_load_time() > pg_catalog.clock_timestamp() \
             - pg_catalog.make_interval(secs => {})",
            ago.as_secs_f64()
        );
        let rows = self.query(&text).await?;
        let told = rows.first().and_then(|row| row.try_get(0).ok()?);
        Ok(told == Some("t"))
    }

    /// What comes of a question that is a transaction of its own.
    async fn query(&self, text: &str) -> Result<Vec<SimpleQueryRow>, ControlError> {
        match self.lent {
            Some(_) => self.rows(&format!("{SETTINGS_LENT}; {text}")).await,
            None => self.rows(text).await,
        }
    }

    async fn rows(&self, text: &str) -> Result<Vec<SimpleQueryRow>, ControlError> {
        let messages = within(self.client.simple_query(text)).await?;
        Ok(messages
            .into_iter()
            .filter_map(|message| {
                let SimpleQueryMessage::Row(row) = message else {
                    return None;
                };
                Some(row)
            })
            .collect())
    }

    async fn execute(&self, text: &str) -> Result<(), ControlError> {
        within(self.client.batch_execute(text)).await
    }
}

/// Logs in, as `sslmode` says.
async fn login(
    upstream: &Upstream,
    credentials: &Credentials,
    database: &str,
) -> Result<Control, ControlError> {
    let knock = upstream.knock();
    let mut config = credentials.config(database);
    config.application_name(knock.name());
    let Some(tls) = upstream.tls() else {
        return plain(upstream, config).await;
    };
    config.ssl_mode(if upstream.is_plain_allowed() {
        SslMode::Prefer
    } else {
        SslMode::Require
    });
    let mut make = MakeRustlsConnect::new(tls.client_config().clone());
    // Making one cannot fail; the type says so only in words.
    let Ok(connect) = MakeTlsConnect::<ServerStream>::make_tls_connect(&mut make, &tls.host());
    match config.connect_raw(upstream.dial().await?, connect).await {
        Ok((client, connection)) => Ok(Control::over(client, connection)),
        Err(error) if upstream.is_plain_allowed() && may_be_for_tls(&error) => {
            tracing::debug!(error = spelled_out(&error), "going on without TLS");
            plain(upstream, config).await
        }
        Err(error) => Err(ControlError::of_login(&error)),
    }
}

/// Whether a login may have failed for coming over TLS: it was not agreed on, or `pg_hba.conf` wants none.
pub(crate) fn may_be_for_tls(error: &tokio_postgres::Error) -> bool {
    let refused = error.code();
    refused.is_none_or(|code| *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
}

async fn plain(
    upstream: &Upstream,
    mut config: tokio_postgres::Config,
) -> Result<Control, ControlError> {
    config.ssl_mode(SslMode::Disable);
    match config.connect_raw(upstream.dial().await?, NoTls).await {
        Ok((client, connection)) => Ok(Control::over(client, connection)),
        Err(error) => Err(ControlError::of_login(&error)),
    }
}

/// Waits for an answer, but not for ever: a server that is stuck counts as lost.
async fn within<T>(
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, ControlError> {
    answered(answer, ANSWER_TIMEOUT).await
}

async fn answered<T>(
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    patience: Duration,
) -> Result<T, ControlError> {
    match timeout(patience, answer).await {
        Ok(answer) => answer.map_err(|error| ControlError::of(&error)),
        Err(_) => Err(ControlError::Lost(format!("no answer within {patience:?}"))),
    }
}

/// The columns of a row. A database in SQL_ASCII may hold names that are no text at all.
fn texts(row: &SimpleQueryRow) -> Result<Vec<Option<&str>>, ControlError> {
    (0..row.len())
        .map(|column| {
            row.try_get(column)
                .map_err(|error| ControlError::Refused(spelled_out(&error)))
        })
        .collect()
}

/// An error and all its causes in one line.
fn spelled_out(error: &(dyn Error + 'static)) -> String {
    let texts: Vec<_> = sources(error).map(ToString::to_string).collect();
    texts.join(": ")
}

/// An error and all its causes.
fn sources<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The database that is there on every server, and that a URL means which names none.
pub(crate) const MAINTENANCE: &str = "postgres";

/// How long a question may be on its way.
const RELOAD_SLACK: Duration = Duration::from_millis(50);

/// Settings for the life of a control connection. An empty path keeps other people's functions out
/// of our statements; it may be silent for long, and has the limits of each statement.
const SETTINGS: &str = "SET search_path = ''; SET statement_timeout = '30s'; \
    SET lock_timeout = '2s'; SET idle_in_transaction_session_timeout = '60s'; \
    SET idle_session_timeout = 0; \
    SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'transaction_timeout'";

/// The same for one question alone: what one string holds is one transaction.
const SETTINGS_LENT: &str = "SET LOCAL search_path = ''; SET LOCAL statement_timeout = '30s'; \
    SET LOCAL lock_timeout = '2s'";

/// How long an answer may take: the server's own timeout, and time to say so.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(35);

/// The same for all statements that read the catalog together; each of them has a limit at the server.
const READING_TIMEOUT: Duration = Duration::from_secs(120);
