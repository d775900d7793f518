//! What the messages of a login mean: the part without sockets.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use wire::backend::{self, Status, tag};

use super::{LoginError, LoginRules};

/// A login as far as it has come.
#[derive(Debug)]
pub(super) struct Dialogue {
    rules: LoginRules,
    /// The server has asked for something at least once.
    challenged: bool,
    /// The server waits for the client's next message.
    pub(super) asked: bool,
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
    pub(super) const fn new(rules: LoginRules) -> Self {
        Self {
            rules,
            challenged: false,
            asked: false,
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

    fn authentication(&mut self, frame: &[u8], out: &mut BytesMut) -> Result<(), LoginError> {
        let mut body = frame.get(wire::HEADER..).unwrap_or_default();
        let malformed = LoginError::Unexpected {
            tag: tag::AUTHENTICATION,
        };
        match body.try_get_i32().map_err(|_| malformed)? {
            AUTHENTICATION_OK => {
                if !self.challenged && !self.rules.allow_trust {
                    return Err(LoginError::Unchallenged);
                }
                self.asked = false;
            }
            SASL_FINAL => self.asked = false,
            code => {
                self.challenged = true;
                self.asked = true;
                if code == SASL && self.rules.hide_channel_binding {
                    put_without_channel_binding(body, out);
                    return Ok(());
                }
            }
        }
        out.put_slice(frame);
        Ok(())
    }
}

/// Appends an AuthenticationSASL without the mechanisms that bind to a TLS channel.
fn put_without_channel_binding(mechanisms: &[u8], out: &mut BytesMut) {
    let mut body = BytesMut::new();
    body.put_i32(SASL);
    for mechanism in mechanisms
        .split(|&byte| byte == 0)
        .take_while(|name| !name.is_empty())
    {
        if !mechanism.ends_with(b"-PLUS") {
            body.put_slice(mechanism);
            body.put_u8(0);
        }
    }
    body.put_u8(0);
    out.put_u8(tag::AUTHENTICATION);
    out.put_u32(u32::try_from(4 + body.len()).unwrap_or(u32::MAX));
    out.put_slice(&body);
}

/// AuthenticationOk.
const AUTHENTICATION_OK: i32 = 0;

/// AuthenticationSASL.
const SASL: i32 = 10;

/// AuthenticationSASLFinal: the server's last word, which the client does not answer.
const SASL_FINAL: i32 = 12;

/// How many parameters a server may report during login. PostgreSQL reports about fifteen.
const PARAMETERS_MAX: usize = 1000;
