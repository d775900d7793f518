//! A login, relayed: the client and the server authenticate each other through us.
//!
//! Invariant: every byte reaches the other side as it came, in order. There are three exceptions.
//! The server's offer to bind to its TLS channel is withheld from a client that has none. A client
//! that has another one is asked for its password, with which we log in for it. And a login that
//! the server let pass without asking for anything is refused where everybody could do the same:
//! the server judges by the address it sees, which is ours.
//!
//! What the client sends ahead, before the server has asked for it or after it has authenticated,
//! waits for the session.

mod dialogue;
pub(crate) mod refusal;
mod scram;

use std::{io, time::Duration};

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};
use wire::{BodyError, FrameError, backend::Status};

use self::dialogue::{Dialogue, Step};
use crate::upstream::UpstreamError;

/// What a login is allowed.
#[derive(Clone, Copy, Debug)]
pub struct LoginRules {
    /// What it is worth if the server asks the client for nothing.
    pub trust: Trust,
    /// What becomes of a login by SASL.
    pub sasl: Sasl,
    /// It goes over TLS, and may be tried again without if the server does not want it so.
    pub over_tls: bool,
    /// How long the whole login may take.
    pub timeout: Duration,
}

/// What a login is worth for which the server has asked for nothing, judging by what it sees of us.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trust {
    /// It passes: the client comes from this host, or the configuration allows it.
    Passes,
    /// Nothing: the server has judged by our address.
    ByAddress,
    /// Nothing: the server may have judged by the user we run as.
    ByUser,
}

/// What becomes of a login by SASL, in which a client says, under its proof, what it knows of TLS:
/// that there is none, or to which channel it binds, or that it would bind if the server could.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sasl {
    /// It passes as it is. The server has no TLS and believes what it hears; or both legs show the
    /// same certificate.
    Relay,
    /// The server has TLS and the client has not: mechanisms that bind to a channel are withheld.
    Unbound,
    /// Each leg has TLS of its own, and either end would take us for what we are: somebody in the
    /// middle. The client is asked for its password, which its TLS protects, and we log in with it.
    Vouch,
}

/// A session that the server has accepted. The client has seen all of it.
#[derive(Debug)]
pub struct Login {
    /// What the server reported, in order; of two equal names the later counts.
    pub parameters: Vec<(Bytes, Bytes)>,
    /// The server's process id; `None` if the server gave none.
    pub process: Option<i32>,
    /// What a CancelRequest carries beside the process id.
    pub cancel_key: Option<Bytes>,
    /// The status in the first ReadyForQuery.
    pub status: Status,
    /// Read from the client and not passed on.
    pub leftover_client: BytesMut,
    /// Read from the server and not passed on.
    pub leftover_server: BytesMut,
}

impl Login {
    /// What a CancelRequest says of the server's process: its number and its key.
    pub(crate) fn backend(&self) -> Option<Bytes> {
        let (process, key) = (self.process?, self.cancel_key.as_ref()?);
        Some([&process.to_be_bytes(), &key[..]].concat().into())
    }
}

/// There will be no session. Both connections are to be closed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The server said no, and the client has seen it.
    #[error(
        "the server refused the login with SQLSTATE {}",
        String::from_utf8_lossy(sqlstate)
    )]
    Refused {
        /// Why.
        sqlstate: Bytes,
    },
    /// The server does not want this login over TLS, and the client has not heard of it: it may be tried
    /// again without.
    #[error("the server refused the login over TLS")]
    OverTls {
        /// What the client has sent ahead.
        ahead: BytesMut,
    },
    /// The server asked for nothing. The client was told.
    #[error("the server accepted the login without asking for a password")]
    Unchallenged {
        /// By which it may have judged: our user, or our address.
        by_user: bool,
    },
    /// It took too long. As from the server, there is no answer to that.
    #[error("login not finished within {0:?}")]
    Timeout(Duration),
    /// The client has closed.
    #[error("the client left during login")]
    ClientGone,
    /// The server has closed without a reason.
    #[error("the server closed the connection during login")]
    ServerGone,
    /// The client's socket failed.
    #[error("connection to the client lost during login: {0}")]
    Client(#[source] io::Error),
    /// The server's socket failed.
    #[error("connection to the server lost during login: {0}")]
    Server(#[source] io::Error),
    /// One side's bytes cannot be cut into messages.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A server message has another form than its tag promises.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// A message is larger than any that belongs into a login.
    #[error("message of {bytes} bytes during login; the limit is {MESSAGE_BYTES_MAX}")]
    TooLarge {
        /// Its size, header included.
        bytes: usize,
    },
    /// The server sent what has no place in a login.
    #[error("unexpected message 0x{tag:02x} from the server during login")]
    Unexpected {
        /// The message's type.
        tag: u8,
    },
    /// The client did not say its password when it was asked. It was told.
    #[error("message 0x{tag:02x} from the client instead of a password")]
    NoPassword {
        /// The message's type.
        tag: u8,
    },
    /// The server does not follow SCRAM, or cannot prove that it knows the password. The client was
    /// told.
    #[error("login by SCRAM for a client: {0}")]
    Scram(#[source] io::Error),
    /// The server reports parameters without end.
    #[error("the server reports too many parameters")]
    TooManyParameters,
}

/// Passes a startup packet on and relays until the server is ready or has refused.
///
/// `ahead` is what the client sent behind its startup packet.
///
/// Not cancel safe.
///
/// # Errors
///
/// When there will be no session; the client has been told all it will be told.
pub async fn relay_login<C, S>(
    client: &mut C,
    server: &mut S,
    startup: &[u8],
    ahead: BytesMut,
    rules: LoginRules,
) -> Result<Login, LoginError>
where
    C: AsyncRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let relay = Relay {
        client,
        server,
        from_client: ahead,
        from_server: BytesMut::new(),
        dialogue: Dialogue::new(rules),
        retries: rules.over_tls,
    };
    timeout(rules.timeout, relay.run(startup))
        .await
        .unwrap_or(Err(LoginError::Timeout(rules.timeout)))
}

/// What a client reads when there is no connection to the server. Hosts and causes are not its
/// business.
pub fn unreachable(error: &UpstreamError) -> BytesMut {
    let refused = matches!(
        error,
        UpstreamError::Connect { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused
    );
    if refused {
        // As of a server that is starting up or shutting down: trying again may help.
        let text = "the database server behind pgmemo does not accept connections now";
        return refusal::fatal("57P03", text, None);
    }
    let text = "pgmemo cannot connect to the database server behind it";
    refusal::fatal("08006", text, Some("The log of pgmemo says why."))
}

/// Both ends of a login.
struct Relay<'a, C, S> {
    client: &'a mut C,
    server: &'a mut S,
    from_client: BytesMut,
    from_server: BytesMut,
    dialogue: Dialogue,
    /// The client has heard nothing yet, and another login may take the place of this one.
    retries: bool,
}

impl<C, S> Relay<'_, C, S>
where
    C: AsyncRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    async fn run(mut self, startup: &[u8]) -> Result<Login, LoginError> {
        self.tell_server(startup).await?;
        loop {
            if let Some(status) = self.relay_server().await? {
                return Ok(Login {
                    parameters: self.dialogue.parameters,
                    process: self.dialogue.process,
                    cancel_key: self.dialogue.cancel_key,
                    status,
                    leftover_client: self.from_client,
                    leftover_server: self.from_server,
                });
            }
            self.relay_client().await?;
            self.read().await?;
        }
    }

    /// Passes on what the server has said; the status once it is ready.
    async fn relay_server(&mut self) -> Result<Option<Status>, LoginError> {
        let mut out = BytesMut::new();
        let mut step = Ok(Step::Onward);
        while matches!(step, Ok(Step::Onward)) {
            let Some(frame) = take_frame(&mut self.from_server)? else {
                break;
            };
            // It has taken this connection, and judges by what comes now.
            self.retries &= frame.first() != Some(&wire::backend::tag::AUTHENTICATION);
            step = self.dialogue.hear(frame.freeze(), &mut out);
        }
        if let Some(proof) = self.dialogue.take_proof() {
            match proof.make().await {
                Ok(made) => self.dialogue.made(made),
                Err(error) => step = Err(error),
            }
        }
        if let Ok(Step::Refused(Some(sqlstate))) = &step
            && self.retries
            && **sqlstate == NOT_SO
        {
            let ahead = self.from_client.split();
            return Err(LoginError::OverTls { ahead });
        }
        if let Err(error) = &step {
            out.unsplit(last_word(error));
        }
        if !out.is_empty() {
            self.retries = false;
            self.client
                .write_all(&out)
                .await
                .map_err(LoginError::Client)?;
            self.client.flush().await.map_err(LoginError::Client)?;
        }
        match step? {
            Step::Onward => self.answer_server().await.map(|()| None),
            Step::Ready(status) => Ok(Some(status)),
            Step::Refused(sqlstate) => Err(LoginError::Refused {
                sqlstate: sqlstate.unwrap_or_default(),
            }),
        }
    }

    /// Passes on the one message the server waits for. Whether it is the right one, the server
    /// will say.
    async fn relay_client(&mut self) -> Result<(), LoginError> {
        if self.dialogue.asked
            && let Some(frame) = take_frame(&mut self.from_client)?
        {
            if let Err(error) = self.dialogue.answer(&frame) {
                let _ = self.client.write_all(&last_word(&error)).await;
                let _ = self.client.flush().await;
                return Err(error);
            }
            self.answer_server().await?;
        }
        Ok(())
    }

    /// Passes on what the server is to be told.
    async fn answer_server(&mut self) -> Result<(), LoginError> {
        let answer = self.dialogue.to_server.split();
        if answer.is_empty() {
            return Ok(());
        }
        self.tell_server(&answer).await
    }

    async fn tell_server(&mut self, bytes: &[u8]) -> Result<(), LoginError> {
        self.server
            .write_all(bytes)
            .await
            .map_err(LoginError::Server)?;
        self.server.flush().await.map_err(LoginError::Server)
    }

    /// Waits until one side says something.
    async fn read(&mut self) -> Result<(), LoginError> {
        // A client that sends more than a login takes is left unread until its session begins.
        let room = self.from_client.len() < MESSAGE_BYTES_MAX;
        self.from_server.reserve(READ_BYTES);
        self.from_client.reserve(READ_BYTES);
        tokio::select! {
            read = self.server.read_buf(&mut self.from_server) => {
                match read.map_err(LoginError::Server)? {
                    0 => Err(LoginError::ServerGone),
                    _ => Ok(()),
                }
            }
            read = self.client.read_buf(&mut self.from_client), if room => {
                match read.map_err(LoginError::Client)? {
                    0 => Err(LoginError::ClientGone),
                    _ => Ok(()),
                }
            }
        }
    }
}

/// How a server refuses in front of any question, by rules of `pg_hba.conf` that look at the connection:
/// `invalid_authorization_specification`.
const NOT_SO: [u8; 5] = *b"28000";

/// Cuts one whole message off the front.
fn take_frame(buffer: &mut BytesMut) -> Result<Option<BytesMut>, LoginError> {
    let Some(header) = wire::header(buffer)? else {
        return Ok(None);
    };
    if header.total > MESSAGE_BYTES_MAX {
        return Err(LoginError::TooLarge {
            bytes: header.total,
        });
    }
    Ok((buffer.len() >= header.total).then(|| buffer.split_to(header.total)))
}

/// What a client reads of an error that is ours to report.
fn last_word(error: &LoginError) -> BytesMut {
    if let LoginError::Unchallenged { by_user } = error {
        return unchallenged(*by_user);
    }
    if let LoginError::NoPassword { tag } = error {
        let text = format!("expected password response, got message type {tag}");
        return refusal::fatal("08P01", &text, None);
    }
    if matches!(error, LoginError::Scram(_)) {
        let text = "the database server did not prove that it knows the password";
        return refusal::fatal("08006", text, Some("The log of pgmemo says more."));
    }
    BytesMut::new()
}

/// What a client reads whom the server would have let in for coming from our address, or for being
/// us.
fn unchallenged(by_user: bool) -> BytesMut {
    if by_user {
        return refusal::fatal(
            "28000",
            "the database server asked for no password on its Unix-domain socket, where it judges \
             by the user that pgmemo runs as",
            Some(
                "Have the server ask for one when pgmemo connects (`scram-sha-256` instead of \
                 `peer` or `trust` in pg_hba.conf), or set limits.allow_trust_relay in pgmemo's \
                 configuration.",
            ),
        );
    }
    refusal::fatal(
        "28000",
        "the database server asked for no password, and pgmemo passes such logins on from its own \
         host only",
        Some(
            "Have the server ask for one when pgmemo connects (a line in pg_hba.conf), or set \
             limits.allow_trust_relay in pgmemo's configuration.",
        ),
    )
}

/// Largest message in a login, in bytes, header included: PostgreSQL's limit for a token, and room.
const MESSAGE_BYTES_MAX: usize = 65_536 + wire::HEADER;

/// How many bytes one read asks for.
const READ_BYTES: usize = 4096;

#[cfg(test)]
mod tests;
