//! The first packets of a client, up to its startup packet.
//!
//! Invariant: what is read here was sent in plain text before anything was agreed on. Bytes that
//! came too early are never taken for what the client says later.
//!
//! Nothing is judged that the server can judge: unknown minor versions, parameters and missing
//! users are passed on as they came.

mod startup;

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, timeout_at},
};

pub use self::startup::{Replication, StartupPacket};
use crate::login::refusal;

/// What a client wants.
#[derive(Debug)]
pub enum Greeting {
    /// To log in. The bytes that followed the packet were sent without waiting for an answer and
    /// are still to be read.
    Startup(Box<StartupPacket>, BytesMut),
    /// To speak another version of the protocol, of which the server has to say that it does not: the
    /// whole packet.
    Foreign(Bytes),
    /// To cancel another session's statement: the whole CancelRequest.
    Cancel(Bytes),
    /// To encrypt. It has been told to begin, and greets anew when that is done.
    Encrypt,
    /// Nothing any more. Health probes and clients that insist on TLS end like this.
    Gone,
}

/// Where a connection stands with TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Encryption {
    /// We have no certificate.
    Declined,
    /// The client may ask for it.
    Offered,
    /// What is read here came encrypted.
    InForce,
}

/// The client did not greet as PostgreSQL's protocol asks. The connection is to be closed.
///
/// Ports are scanned and probed, so none of these deserves more than a debug line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GreetError {
    /// It said nothing, or not all, in time.
    #[error("no startup packet in time")]
    Timeout,
    /// Its socket failed.
    #[error("connection lost before the startup packet: {0}")]
    Io(#[from] io::Error),
    /// It speaks another protocol: HTTP, noise, TLS from the first byte on where none is offered.
    #[error("first packet declares {declared} bytes; the limits are {PACKET_MIN} and {PACKET_MAX}")]
    Length {
        /// What the length field says.
        declared: u32,
    },
    /// It did not wait for the answer to its request for encryption. What it sent may be
    /// somebody else's.
    #[error("data behind a request for encryption")]
    EarlyData,
    /// Encryption was requested twice, or is no request at all. The client was told.
    #[error("protocol {major}.{minor} is not supported")]
    Unsupported {
        /// The upper half of the version.
        major: u16,
        /// The lower half.
        minor: u16,
    },
    /// Names and values do not end as they must. The client was told.
    #[error("malformed startup packet")]
    Layout,
}

/// Reads a client's first packets and answers those that ask for encryption: with "no", unless it
/// is TLS and `encryption` offers it.
///
/// Not cancel safe: bytes read so far are lost with the future.
///
/// # Errors
///
/// When the client speaks out of turn, speaks something else, or does not speak by `deadline`.
pub async fn greet<C>(
    client: &mut C,
    encryption: Encryption,
    deadline: Instant,
) -> Result<Greeting, GreetError>
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    timeout_at(deadline, exchange(client, encryption))
        .await
        .map_err(|_| GreetError::Timeout)?
}

async fn exchange<C>(client: &mut C, encryption: Encryption) -> Result<Greeting, GreetError>
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let mut buffer = BytesMut::new();
    // Each kind is asked for once, and nothing is encrypted twice.
    let in_force = encryption == Encryption::InForce;
    let (mut tls_settled, mut gss_settled) = (in_force, in_force);
    loop {
        let Some(packet) = read_packet(client, &mut buffer).await? else {
            return Ok(Greeting::Gone);
        };
        match packet
            .get(4..)
            .map_or(0, |mut code| code.try_get_u32().unwrap_or(0))
        {
            TLS_REQUEST if !tls_settled && encryption == Encryption::Offered => {
                answer(client, b"S", &buffer).await?;
                return Ok(Greeting::Encrypt);
            }
            TLS_REQUEST if !tls_settled => {
                tls_settled = true;
                answer(client, b"N", &buffer).await?;
            }
            GSS_REQUEST if !gss_settled => {
                gss_settled = true;
                answer(client, b"N", &buffer).await?;
            }
            CANCEL_REQUEST => return Ok(Greeting::Cancel(packet)),
            version if version >> 16 == u32::from(MAJOR) => {
                let Some(startup) = StartupPacket::parse(packet) else {
                    let text = "invalid startup packet layout: expected terminator as last byte";
                    tell(client, &refusal::fatal("08P01", text, None)).await;
                    return Err(GreetError::Layout);
                };
                return Ok(Greeting::Startup(Box::new(startup), buffer));
            }
            request if request >> 16 == u32::from(REQUESTS) => {
                tell(client, &unsupported(request)).await;
                let (major, minor) = halves(request);
                return Err(GreetError::Unsupported { major, minor });
            }
            _ => return Ok(Greeting::Foreign(packet)),
        }
    }
}

/// Cuts the next packet off the stream; `None` if the client left instead of finishing one.
async fn read_packet<C>(client: &mut C, buffer: &mut BytesMut) -> Result<Option<Bytes>, GreetError>
where
    C: AsyncRead + Unpin,
{
    loop {
        let wanted = match buffer.first_chunk().copied().map(u32::from_be_bytes) {
            Some(declared) if !(PACKET_MIN..=PACKET_MAX).contains(&declared) => {
                return Err(GreetError::Length { declared });
            }
            Some(declared) => declared as usize,
            None => READ_BYTES,
        };
        if buffer.len() >= wanted {
            return Ok(Some(buffer.split_to(wanted).freeze()));
        }
        buffer.reserve(wanted - buffer.len());
        if client.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

/// Answers a request for encryption. The client has to wait for the answer before it goes on.
async fn answer<C>(client: &mut C, word: &[u8], buffer: &BytesMut) -> Result<(), GreetError>
where
    C: AsyncWrite + Unpin,
{
    if !buffer.is_empty() {
        return Err(GreetError::EarlyData);
    }
    client.write_all(word).await?;
    client.flush().await?;
    Ok(())
}

/// Says a last word; whoever does not listen has left already.
async fn tell<C>(client: &mut C, frame: &[u8])
where
    C: AsyncWrite + Unpin,
{
    if client.write_all(frame).await.is_ok() {
        let _ = client.shutdown().await;
    }
}

/// What a server answers to a version it does not speak, where there is none that would. Before version
/// 3 an error was a line of text.
pub(crate) fn unsupported(version: u32) -> BytesMut {
    let (major, minor) = halves(version);
    let text = format!(
        "unsupported frontend protocol {major}.{minor}: server supports {MAJOR}.0 to {MAJOR}.2"
    );
    if major >= MAJOR {
        return refusal::fatal("0A000", &text, None);
    }
    BytesMut::from(format!("EFATAL:  {text}\n\0").as_bytes())
}

/// Major and minor version.
fn halves(version: u32) -> (u16, u16) {
    let [a, b, c, d] = version.to_be_bytes();
    (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
}

/// In place of a major version, in requests that are not for a session.
const REQUESTS: u16 = 1234;

/// The protocol's major version. Its minor versions are the server's affair.
const MAJOR: u16 = 3;

/// Code of an SSLRequest.
const TLS_REQUEST: u32 = 80_877_103;

/// Code of a GSSENCRequest.
const GSS_REQUEST: u32 = 80_877_104;

/// Code of a CancelRequest.
const CANCEL_REQUEST: u32 = 80_877_102;

/// Least length of a packet that has no tag, in bytes: the length itself and a code.
const PACKET_MIN: u32 = 8;

/// Largest length of such a packet, in bytes: PostgreSQL's 10,000 and the length itself.
const PACKET_MAX: u32 = 10_004;

/// How many bytes are asked for while the length is not known.
const READ_BYTES: usize = 1024;

#[cfg(test)]
mod tests;
