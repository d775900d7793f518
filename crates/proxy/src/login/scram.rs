//! Our half of SCRAM-SHA-256 (RFC 5802, RFC 7677), where we log in for a client.
//!
//! It binds to no channel, and says so with `n`. The server that hears `y`, "I would bind if you
//! could", over TLS suspects somebody in the middle and refuses.

use std::io;

use bytes::{BufMut, BytesMut};
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use tokio::sync::Semaphore;
use wire::frontend::tag;

use super::{LoginError, dialogue::names};

/// A login on a client's behalf.
pub(super) enum Vouching {
    /// The client has been asked for its password.
    Asked,
    /// The server has heard our first message, or also our proof.
    Begun(Box<ScramSha256>),
    /// The server has said how our proof is to be made.
    Challenged(Proof),
    /// It is being made.
    Proving,
    /// The server has proven that it knows the password.
    Proven,
}

impl Vouching {
    /// Whether the server offers what we speak.
    pub(super) fn can(mechanisms: &[u8]) -> bool {
        names(mechanisms).any(|name| name == SCRAM_SHA_256.as_bytes())
    }

    /// The client has said its password, or should have: puts the first message to the server.
    pub(super) fn take_password(
        &mut self,
        frame: &[u8],
        to_server: &mut BytesMut,
    ) -> Result<(), LoginError> {
        let tag = frame.first().copied().unwrap_or_default();
        let body = frame.get(wire::HEADER..).unwrap_or_default();
        let Some(password) = body.strip_suffix(b"\0").filter(|_| tag == tag::PASSWORD) else {
            return Err(LoginError::NoPassword { tag });
        };
        let scram = ScramSha256::new(password, ChannelBinding::unsupported());
        let message = scram.message();
        put_response(to_server, |body| {
            body.put_slice(SCRAM_SHA_256.as_bytes());
            body.put_u8(0);
            body.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
            body.put_slice(message);
        });
        *self = Self::Begun(Box::new(scram));
        Ok(())
    }

    /// The server has gone on: a proof is to be made.
    ///
    /// # Errors
    ///
    /// When it is not its turn.
    pub(super) fn go_on(&mut self, message: &[u8]) -> Result<(), LoginError> {
        match std::mem::replace(self, Self::Proving) {
            Self::Begun(scram) => {
                let message = message.into();
                *self = Self::Challenged(Proof { scram, message });
                Ok(())
            }
            Self::Asked | Self::Challenged(_) | Self::Proving | Self::Proven => Err(out_of_turn()),
        }
    }

    /// The proof that is to be made.
    pub(super) fn take_proof(&mut self) -> Option<Proof> {
        if !matches!(self, Self::Challenged(_)) {
            return None;
        }
        match std::mem::replace(self, Self::Proving) {
            Self::Challenged(proof) => Some(proof),
            Self::Asked | Self::Begun(_) | Self::Proving | Self::Proven => None,
        }
    }

    /// It has been made: puts it to the server.
    pub(super) fn made(&mut self, scram: Box<ScramSha256>, to_server: &mut BytesMut) {
        put_response(to_server, |body| body.put_slice(scram.message()));
        *self = Self::Begun(scram);
    }

    /// The server has proven, or not, that it knows the password.
    pub(super) fn finish(&mut self, message: &[u8]) -> Result<(), LoginError> {
        self.begun()?.finish(message).map_err(LoginError::Scram)?;
        *self = Self::Proven;
        Ok(())
    }

    /// The server has let the client in.
    ///
    /// # Errors
    ///
    /// When it has proven nothing: it may be anyone.
    pub(super) fn accepted(&self) -> Result<(), LoginError> {
        match self {
            Self::Proven => Ok(()),
            Self::Asked | Self::Begun(_) | Self::Challenged(_) | Self::Proving => {
                Err(out_of_turn())
            }
        }
    }

    fn begun(&mut self) -> Result<&mut ScramSha256, LoginError> {
        match self {
            Self::Begun(scram) => Ok(scram),
            Self::Asked | Self::Challenged(_) | Self::Proving | Self::Proven => Err(out_of_turn()),
        }
    }
}

/// A proof of ours that is to be made. How much work that is, the server's verifier decides.
pub(super) struct Proof {
    scram: Box<ScramSha256>,
    message: Box<[u8]>,
}

impl Proof {
    /// Makes it on another thread: this one serves other clients. Cancel safe.
    ///
    /// # Errors
    ///
    /// When the server says what does not follow.
    pub(super) async fn make(self) -> Result<Box<ScramSha256>, LoginError> {
        let turn = AT_ONCE.acquire().await;
        let Self { mut scram, message } = self;
        let made = tokio::task::spawn_blocking(move || {
            let made = scram.update(&message).map(|()| scram);
            drop(turn);
            made
        });
        let made = made.await.map_err(io::Error::other).flatten();
        made.map_err(LoginError::Scram)
    }
}

/// How many proofs are made at once: others need the processors, too.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

fn out_of_turn() -> LoginError {
    LoginError::Scram(io::Error::other("the server speaks out of turn"))
}

impl std::fmt::Debug for Vouching {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Asked => "Asked",
            Self::Begun(_) => "Begun",
            Self::Challenged(_) => "Challenged",
            Self::Proving => "Proving",
            Self::Proven => "Proven",
        })
    }
}

/// Appends a SASLInitialResponse or SASLResponse.
fn put_response(out: &mut BytesMut, put_body: impl FnOnce(&mut BytesMut)) {
    let mut body = BytesMut::new();
    put_body(&mut body);
    out.put_u8(tag::PASSWORD);
    out.put_u32(u32::try_from(4 + body.len()).unwrap_or(u32::MAX));
    out.put_slice(&body);
}
