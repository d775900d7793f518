//! What the messages of a login mean: the part without sockets.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use postgres_protocol::authentication::sasl::ScramSha256;
use wire::backend::{self, Status, tag};

use super::{
    LoginError, LoginRules, Sasl, Trust,
    scram::{Proof, Vouching},
};

/// A login as far as it has come.
#[derive(Debug)]
pub(super) struct Dialogue {
    rules: LoginRules,
    /// The server has asked for something at least once.
    challenged: bool,
    /// The server waits for the client's next message.
    pub(super) asked: bool,
    /// What the server is to be told.
    pub(super) to_server: BytesMut,
    /// We log in for the client.
    vouching: Option<Vouching>,
    pub(super) parameters: Vec<(Bytes, Bytes)>,
    pub(super) process: Option<i32>,
    pub(super) cancel_key: Option<Bytes>,
}

/// What one server message leads to.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// More messages.
    Onward,
    /// The login is over and the session ready.
    Ready(Status),
    /// The server has refused, with this SQLSTATE.
    Refused(Option<Bytes>),
}

impl Dialogue {
    pub(super) fn new(rules: LoginRules) -> Self {
        Self {
            rules,
            challenged: false,
            asked: false,
            to_server: BytesMut::new(),
            vouching: None,
            parameters: Vec::new(),
            process: None,
            cancel_key: None,
        }
    }

    /// Looks at one whole message of the server and appends what the client gets to see.
    pub(super) fn hear(&mut self, frame: Bytes, out: &mut BytesMut) -> Result<Step, LoginError> {
        let tag = frame.first().copied().unwrap_or_default();
        let mut step = Step::Onward;
        match tag {
            tag::AUTHENTICATION => return self.authentication(&frame, out).map(|()| step),
            tag::PARAMETER_STATUS => {
                let (name, value) = backend::parameter_status(&frame)?;
                if self.parameters.len() == PARAMETERS_MAX {
                    return Err(LoginError::TooManyParameters);
                }
                self.parameters
                    .push((frame.slice_ref(name), frame.slice_ref(value)));
            }
            tag::BACKEND_KEY => {
                let mut body = frame.slice(wire::HEADER..);
                self.process = body.try_get_i32().ok();
                self.cancel_key = Some(body);
            }
            tag::READY => step = Step::Ready(backend::read_ready(&frame)?),
            tag::ERROR => {
                step = Step::Refused(backend::sqlstate(&frame).map(Bytes::copy_from_slice));
            }
            tag::NOTICE | tag::NEGOTIATE => {}
            tag => return Err(LoginError::Unexpected { tag }),
        }
        out.put_slice(&frame);
        Ok(step)
    }

    /// Looks at one whole message of the client, for which the server has asked.
    pub(super) fn answer(&mut self, frame: &[u8]) -> Result<(), LoginError> {
        self.asked = false;
        match &mut self.vouching {
            Some(vouching) => vouching.take_password(frame, &mut self.to_server),
            None => {
                self.to_server.put_slice(frame);
                Ok(())
            }
        }
    }

    fn authentication(&mut self, frame: &[u8], out: &mut BytesMut) -> Result<(), LoginError> {
        let mut body = frame.get(wire::HEADER..).unwrap_or_default();
        let malformed = LoginError::Unexpected {
            tag: tag::AUTHENTICATION,
        };
        let code = body.try_get_i32().map_err(|_| malformed)?;
        match code {
            AUTHENTICATION_OK => {
                if !self.challenged && self.rules.trust != Trust::Passes {
                    let by_user = self.rules.trust == Trust::ByUser;
                    return Err(LoginError::Unchallenged { by_user });
                }
                if let Some(vouching) = &self.vouching {
                    vouching.accepted()?;
                }
                self.asked = false;
            }
            SASL_CONTINUE | SASL_FINAL if self.vouching.is_some() => return self.vouch(code, body),
            SASL_FINAL => self.asked = false,
            _ => {
                self.challenged = true;
                self.asked = true;
                if code == SASL && self.rules.sasl == Sasl::Unbound {
                    put_without_channel_binding(body, out);
                    return Ok(());
                }
                if code == SASL && self.rules.sasl == Sasl::Vouch && Vouching::can(body) {
                    self.vouching = Some(Vouching::Asked);
                    put_authentication(CLEARTEXT_PASSWORD, &[], out);
                    return Ok(());
                }
            }
        }
        out.put_slice(frame);
        Ok(())
    }

    /// The server has gone on with a login that is ours; the client hears nothing of it.
    fn vouch(&mut self, code: i32, message: &[u8]) -> Result<(), LoginError> {
        match &mut self.vouching {
            Some(vouching) if code == SASL_FINAL => vouching.finish(message),
            Some(vouching) => vouching.go_on(message),
            None => Ok(()),
        }
    }

    /// A proof that the server waits for and that takes a while to be made.
    pub(super) fn take_proof(&mut self) -> Option<Proof> {
        self.vouching.as_mut()?.take_proof()
    }

    /// It has been made.
    pub(super) fn made(&mut self, made: Box<ScramSha256>) {
        if let Some(vouching) = &mut self.vouching {
            vouching.made(made, &mut self.to_server);
        }
    }
}

/// Appends an AuthenticationSASL without the mechanisms that bind to a TLS channel.
fn put_without_channel_binding(mechanisms: &[u8], out: &mut BytesMut) {
    let mut body = BytesMut::new();
    for mechanism in names(mechanisms).filter(|name| !name.ends_with(b"-PLUS")) {
        body.put_slice(mechanism);
        body.put_u8(0);
    }
    body.put_u8(0);
    put_authentication(SASL, &body, out);
}

/// The mechanisms of an AuthenticationSASL.
pub(super) fn names(mechanisms: &[u8]) -> impl Iterator<Item = &[u8]> {
    mechanisms
        .split(|&byte| byte == 0)
        .take_while(|name| !name.is_empty())
}

fn put_authentication(code: i32, body: &[u8], out: &mut BytesMut) {
    out.put_u8(tag::AUTHENTICATION);
    out.put_u32(u32::try_from(8 + body.len()).unwrap_or(u32::MAX));
    out.put_i32(code);
    out.put_slice(body);
}

/// AuthenticationOk.
const AUTHENTICATION_OK: i32 = 0;

/// AuthenticationCleartextPassword.
const CLEARTEXT_PASSWORD: i32 = 3;

/// AuthenticationSASLContinue.
const SASL_CONTINUE: i32 = 11;

/// AuthenticationSASL.
const SASL: i32 = 10;

/// AuthenticationSASLFinal: the server's last word, which the client does not answer.
const SASL_FINAL: i32 = 12;

/// How many parameters a server may report during login. PostgreSQL reports about fifteen.
const PARAMETERS_MAX: usize = 1000;
