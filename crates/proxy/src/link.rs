//! One peer's socket with what has been read from it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use session::Output;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use crate::upstream::ServerStream;

/// Bytes of room made for a read.
const ROOM: usize = 8 * 1024;

/// Bytes of room made for a read while a peer sends more than fits in the usual one.
const ROOM_BUSY: usize = 64 * 1024;

/// Slices handed to one vectored write.
const SLICES: usize = 16;

/// One peer.
#[derive(Debug)]
pub(crate) struct Link<S> {
    stream: S,
    /// Read and not yet dealt with.
    pub(crate) input: BytesMut,
    /// The peer has closed its side.
    pub(crate) ended: bool,
    busy: bool,
}

/// A socket that can be asked whether there is anything to read.
pub(crate) trait Readable {
    /// Whether a read may find something; the task is woken when it may.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

impl Readable for TcpStream {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(cx)
    }
}

impl Readable for ServerStream {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Unix(stream) => stream.poll_read_ready(cx),
            // What has been decrypted waits in the stream, of which the socket knows nothing.
            Self::Tls(_) => Poll::Ready(Ok(())),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Readable + Unpin> Link<S> {
    /// `input` is what was read from the stream before.
    pub(crate) const fn new(stream: S, input: BytesMut) -> Self {
        Self {
            stream,
            input,
            ended: false,
            busy: false,
        }
    }

    /// Reads what is there; zero bytes mean the end.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // An idle peer holds no room for what it may send.
        ready!(self.stream.poll_readable(cx))?;
        let room = if self.busy { ROOM_BUSY } else { ROOM };
        if self.input.capacity() - self.input.len() < room / 2 {
            self.input.reserve(room);
        }
        let read = ready!(tokio_util::io::poll_read_buf(
            Pin::new(&mut self.stream),
            cx,
            &mut self.input
        ))?;
        self.ended |= read == 0;
        self.busy = read >= room / 2;
        Poll::Ready(Ok(read))
    }

    /// Writes what it can of `output`.
    pub(crate) fn poll_drain(
        &mut self,
        cx: &mut Context<'_>,
        output: &mut Output,
    ) -> Poll<io::Result<()>> {
        while !output.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = output.slices(&mut slices);
            let stream = Pin::new(&mut self.stream);
            let written = match slices.get(..filled) {
                Some([one]) => ready!(stream.poll_write(cx, one)),
                Some(several) => ready!(stream.poll_write_vectored(cx, several)),
                None => Ok(0),
            }?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            output.advance(written);
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Gives back the room of a buffer that holds nothing. To be called before a wait.
    pub(crate) fn shrink(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
            self.busy = false;
        }
    }

    /// The socket, for the goodbye.
    pub(crate) fn stream(&mut self) -> &mut S {
        &mut self.stream
    }
}
