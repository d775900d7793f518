//! One peer's socket with what has been read from it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use session::Output;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::stream::Stream;

/// Bytes of room made for a read.
const ROOM: usize = 8 * 1024;

/// Bytes of room made for a read while a peer sends more than fits in the usual one.
const ROOM_BUSY: usize = 64 * 1024;

/// Slices handed to one vectored write.
const SLICES: usize = 16;

/// One peer.
#[derive(Debug)]
pub(crate) struct Link<T> {
    stream: Stream<T>,
    /// Read and not yet dealt with.
    pub(crate) input: BytesMut,
    /// The peer has closed its side.
    pub(crate) ended: bool,
    busy: bool,
    /// Something that was written has not left the stream: under TLS, what was taken may still
    /// have to be sent.
    unflushed: bool,
    /// Whether our side is to be closed, or is.
    close: Close,
}

/// How far our side of a connection is on its way to its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Close {
    /// More may be written.
    No,
    /// As soon as everything has been written.
    Due,
    /// It is closed, or the peer is gone.
    Done,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Link<T> {
    /// `input` is what was read from the stream before.
    pub(crate) const fn new(stream: Stream<T>, input: BytesMut) -> Self {
        Self {
            stream,
            input,
            ended: false,
            busy: false,
            unflushed: false,
            close: Close::No,
        }
    }

    /// Whether there is anything to write: some of `output`, the rest of what was before it, or the
    /// end.
    pub(crate) fn must_drain(&self, output: &Output) -> bool {
        self.unflushed || !output.is_empty() || self.close == Close::Due
    }

    /// Nothing more will be written: our side is closed behind what is on its way, and the peer's
    /// stays open.
    pub(crate) fn finish(&mut self) {
        if self.close == Close::No {
            self.close = Close::Due;
        }
    }

    /// Whether nothing more will be written.
    pub(crate) fn is_finished(&self) -> bool {
        self.close != Close::No
    }

    /// Reads what is there; zero bytes mean the end.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // An idle peer holds no room for what it may send.
        ready!(self.stream.poll_readable(cx))?;
        let room = if self.busy { ROOM_BUSY } else { ROOM };
        if self.input.capacity() == 0 {
            self.input = spare::take();
        }
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

    /// Writes what it can of `output`; ready when all of it is on its way.
    pub(crate) fn poll_drain(
        &mut self,
        cx: &mut Context<'_>,
        output: &mut Output,
    ) -> Poll<io::Result<()>> {
        let drained = self.poll_write(cx, output);
        self.unflushed = drained.is_pending();
        drained
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, output: &mut Output) -> Poll<io::Result<()>> {
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
        if self.close != Close::Due {
            return Pin::new(&mut self.stream).poll_flush(cx);
        }
        let closed = ready!(Pin::new(&mut self.stream).poll_shutdown(cx));
        self.close = Close::Done;
        Poll::Ready(closed)
    }

    /// Gives back the room of a buffer that holds nothing. To be called before a wait.
    pub(crate) fn shrink(&mut self) {
        if self.input.is_empty() && self.input.capacity() > 0 {
            spare::put(std::mem::take(&mut self.input));
            self.busy = false;
        }
    }

    /// The socket, for the goodbye.
    pub(crate) const fn stream(&mut self) -> &mut Stream<T> {
        &mut self.stream
    }
}

/// The buffer that was given back last on this thread: the next peer that is heard takes it, and
/// nobody has to allocate one for each message.
mod spare {
    use std::cell::Cell;

    use bytes::BytesMut;

    thread_local! {
        static SPARE: Cell<BytesMut> = Cell::default();
    }

    pub(super) fn take() -> BytesMut {
        SPARE.take()
    }

    pub(super) fn put(mut buffer: BytesMut) {
        buffer.clear();
        SPARE.set(buffer);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, BufWriter, duplex};

    use super::*;

    /// A stream that takes more than its socket does, as TLS is.
    #[tokio::test]
    async fn what_a_stream_has_taken_is_still_to_be_drained() {
        let (near, mut far) = duplex(16);
        let mut link = Link::new(Stream::Tls(Box::new(BufWriter::new(near))), BytesMut::new());
        let mut output = Output::default();
        output.put(&[7; 40]);
        let mut drained = poll_fn(|cx| Poll::Ready(link.poll_drain(cx, &mut output))).await;
        assert!(drained.is_pending() && output.is_empty());
        let mut read = 0;
        while drained.is_pending() {
            assert!(link.must_drain(&output));
            read += far.read(&mut [0; 16]).await.unwrap();
            drained = poll_fn(|cx| Poll::Ready(link.poll_drain(cx, &mut output))).await;
        }
        assert!(!link.must_drain(&output));
        drop(link);
        let mut rest = Vec::new();
        far.read_to_end(&mut rest).await.unwrap();
        assert_eq!(read + rest.len(), 40);
    }
}
