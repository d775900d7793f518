//! The console: commands such as `SHOW STATEMENTS`, in PostgreSQL's protocol, for `psql` and drivers.
//!
//! It shares the port with HTTP: a startup packet begins with a zero, the length of a packet that is
//! always short, and a request with a letter. Nothing can be changed here, so it asks for no password
//! where the metrics ask for none.

mod command;
mod dialogue;
mod encode;
mod greeting;

use std::{io, time::Duration};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use self::{
    dialogue::{Dialogue, MESSAGE_MAX, Then},
    greeting::{Greeted, greet, refuse},
};
use crate::show::Shown;

/// What a client of the console sends first.
pub(crate) const FIRST_BYTE: u8 = 0;

/// How long a login may take.
const LOGIN_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long a client may be silent.
const IDLE_MAX: Duration = Duration::from_secs(3600);
/// How long a client may leave unread what it was told.
const WRITE_WAIT_MAX: Duration = Duration::from_secs(30);
/// No further message is handled while more than so many bytes are to be sent.
const PENDING_MAX: usize = 64 << 10;

/// Serves one client until it leaves, or for too long says nothing or reads nothing, or we are to
/// stop. A client with no `room` is told so.
pub(crate) async fn serve<S>(mut stream: S, shown: Shown, room: bool, stop: &CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
    let ended = tokio::select! {
        ended = converse(&mut stream, shown, room, (&mut input, &mut out)) => ended,
        () = stop.cancelled() => {
            refuse(&mut out, "57P01", "pgmemo is shutting down", "");
            write(&mut stream, &mut out).await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "console connection failed");
    }
}

async fn converse<S>(
    stream: &mut S,
    shown: Shown,
    room: bool,
    (input, out): (&mut BytesMut, &mut BytesMut),
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let let_in = log_in(stream, input, out, room);
    if !timeout(LOGIN_WAIT_MAX, let_in).await?? {
        return Ok(());
    }
    let mut dialogue = Dialogue::new(shown);
    loop {
        let then = dialogue.hear(input, out, PENDING_MAX);
        let full = out.len() >= PENDING_MAX;
        write(stream, out).await?;
        if then == Then::Close {
            return Ok(());
        }
        if full {
            continue;
        }
        match timeout(IDLE_MAX, read(stream, input)).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                let hint = "Connect again.";
                refuse(
                    out,
                    "57P05",
                    "terminating connection due to idle-session timeout",
                    hint,
                );
                return write(stream, out).await;
            }
        }
    }
}

/// Whether the client may give commands.
async fn log_in<S>(
    stream: &mut S,
    input: &mut BytesMut,
    out: &mut BytesMut,
    room: bool,
) -> io::Result<bool>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let mut greeted = greet(input, out);
        if greeted == Greeted::In && !room {
            out.clear();
            refuse(
                out,
                "53300",
                "too many clients of the console",
                "Close some of them.",
            );
            greeted = Greeted::Close;
        }
        write(stream, out).await?;
        match greeted {
            Greeted::In => return Ok(true),
            Greeted::Close => return Ok(false),
            Greeted::More if !read(stream, input).await? => return Ok(false),
            Greeted::More => {}
        }
    }
}

/// Whether there was more. Cancel safe.
async fn read<S: AsyncRead + Unpin>(stream: &mut S, input: &mut BytesMut) -> io::Result<bool> {
    input.reserve(1024);
    // What is longer than a message is not held.
    let mut more = stream.take(MESSAGE_MAX as u64);
    Ok(more.read_buf(input).await? > 0)
}

/// Sends all that waits.
async fn write<S: AsyncWrite + Unpin>(stream: &mut S, out: &mut BytesMut) -> io::Result<()> {
    timeout(WRITE_WAIT_MAX, stream.write_all_buf(out)).await??;
    // A large table has passed.
    if out.capacity() > PENDING_MAX {
        *out = BytesMut::new();
    }
    timeout(WRITE_WAIT_MAX, stream.flush()).await?
}
