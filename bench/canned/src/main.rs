//! A responder that answers every statement with the same recorded bytes.
//!
//! `pgmemo-canned <address> <file> [redis://…]`: the file holds the frames of one reply
//! (RowDescription, rows, CommandComplete). It looks at message types, because it must, and at
//! nothing else. What it costs is what sockets and the runtime cost: no hit can be cheaper by much.
//! With a Redis, it asks it for one key per statement and does not look at the answer either.

use std::{env, fs, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use fred::prelude::{Builder, Client, ClientLike, Config, KeysInterface};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The parts of the one reply.
struct Reply {
    description: Bytes,
    execution: Bytes,
    redis: Option<Client>,
}

/// What clients want to know before they begin.
const PARAMETERS: [(&str, &str); 5] = [
    ("server_version", "15.0"),
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO, MDY"),
    ("integer_datetimes", "on"),
    ("standard_conforming_strings", "on"),
];
const AUTHENTICATION_OK: &[u8] = b"R\0\0\0\x08\0\0\0\0";
const KEY: &[u8] = b"K\0\0\0\x0c\0\0\0\x01\0\0\0\x02";
const READY: &[u8] = b"Z\0\0\0\x05I";
const PARSE_COMPLETE: &[u8] = b"1\0\0\0\x04";
const BIND_COMPLETE: &[u8] = b"2\0\0\0\x04";
const CLOSE_COMPLETE: &[u8] = b"3\0\0\0\x04";
const NO_PARAMETERS: &[u8] = b"t\0\0\0\x06\0\0";
/// Bytes of room made for a read.
const ROOM: usize = 8 * 1024;
/// Largest message that is taken for one, in bytes.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve())
}

async fn serve() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (address, file, redis) = match arguments.as_slice() {
        [address, file] => (address, file, None),
        [address, file, redis] => (address, file, Some(connect(redis).await?)),
        _ => anyhow::bail!("usage: pgmemo-canned <address> <file> [redis://…]"),
    };
    let mut frames = Bytes::from(fs::read(file).with_context(|| format!("cannot read {file}"))?);
    let first = total(&frames).context("the file holds no frame")?;
    ensure!(first <= frames.len(), "the first frame is cut off");
    let reply = Arc::new(Reply {
        description: frames.split_to(first),
        execution: frames,
        redis,
    });
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let reply = Arc::clone(&reply);
        tokio::spawn(async move {
            // A client that is gone is no news here.
            let _ = answer(stream, &reply).await;
        });
    }
}

async fn connect(url: &str) -> Result<Client> {
    let client = Builder::from_config(Config::from_url(url)?).build()?;
    client.init().await?;
    Ok(client)
}

async fn answer(mut stream: TcpStream, reply: &Reply) -> Result<()> {
    stream.set_nodelay(true)?;
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    greet(&mut stream, &mut input).await?;
    loop {
        let mut asked = 0;
        while let Some(total) = total(&input).filter(|&total| total <= input.len()) {
            ensure!(total <= MESSAGE_BYTES_MAX, "a long message");
            match input.first() {
                Some(b'Q') => {
                    asked += 1;
                    output.extend_from_slice(&reply.description);
                    output.extend_from_slice(&reply.execution);
                    output.extend_from_slice(READY);
                }
                Some(b'P') => output.extend_from_slice(PARSE_COMPLETE),
                Some(b'B') => output.extend_from_slice(BIND_COMPLETE),
                Some(b'C') => output.extend_from_slice(CLOSE_COMPLETE),
                Some(b'D') => {
                    if input.get(5) == Some(&b'S') {
                        output.extend_from_slice(NO_PARAMETERS);
                    }
                    output.extend_from_slice(&reply.description);
                }
                Some(b'E') => {
                    asked += 1;
                    output.extend_from_slice(&reply.execution);
                }
                Some(b'S') => output.extend_from_slice(READY),
                Some(b'X') => return Ok(()),
                _ => {}
            }
            input.advance(total);
        }
        if let Some(redis) = &reply.redis {
            for _ in 0..asked {
                let _: Option<Bytes> = redis.get("pgmemo-canned").await?;
            }
        }
        if !output.is_empty() {
            stream.write_all(&output).await?;
            output.clear();
        }
        if input.capacity() - input.len() < ROOM / 2 {
            input.reserve(ROOM);
        }
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
}

/// Refuses encryption and lets everyone in.
async fn greet(stream: &mut TcpStream, input: &mut BytesMut) -> Result<()> {
    loop {
        while input.len() < 8 {
            ensure!(stream.read_buf(input).await? > 0, "gone");
        }
        let length = number(input).context("a length")?;
        ensure!((8..=10_000).contains(&length), "no startup packet");
        while input.len() < length {
            ensure!(stream.read_buf(input).await? > 0, "gone");
        }
        let packet = input.split_to(length);
        // SSLRequest and GSSENCRequest ask for no session yet.
        if packet.get(4..6) == Some(&[4, 210]) {
            stream.write_all(b"N").await?;
        } else {
            return Ok(stream.write_all(&greeting()).await?);
        }
    }
}

fn greeting() -> BytesMut {
    let mut greeting = BytesMut::from(AUTHENTICATION_OK);
    for (name, value) in PARAMETERS {
        let length = u32::try_from(4 + name.len() + value.len() + 2).unwrap_or(u32::MAX);
        greeting.put_u8(b'S');
        greeting.put_u32(length);
        greeting.put_slice(name.as_bytes());
        greeting.put_u8(0);
        greeting.put_slice(value.as_bytes());
        greeting.put_u8(0);
    }
    greeting.put_slice(KEY);
    greeting.put_slice(READY);
    greeting
}

/// Length of the first frame, header included.
fn total(bytes: &[u8]) -> Option<usize> {
    Some(1 + number(bytes.get(1..)?)?)
}

fn number(bytes: &[u8]) -> Option<usize> {
    let bytes: [u8; 4] = bytes.get(..4)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(bytes)).ok()
}
