//! The first packets of a client, the startup packet, and the `options` in it.
//!
//! The modules are taken from the proxy's sources: the whole proxy would be built for nothing.
//!
//! Laws: a greeting ends in a verdict; a packet is kept as it came, and so is what follows it;
//! names and values lie in the packet in order; options are never longer than their text.

#![no_main]

#[path = "../../crates/proxy/src"]
#[expect(unreachable_pub, dead_code, reason = "it is part of another crate")]
mod proxy {
    pub(crate) mod greeting;
    pub(crate) mod login {
        pub(crate) mod refusal;
    }
    pub(crate) mod options;
}

use std::{
    cell::RefCell,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use self::proxy::{
    greeting::{Encryption, GreetError, Greeting, Replication, StartupPacket, greet},
    login, options,
};

fuzz_target!(|input: &[u8]| {
    let Some((&step, bytes)) = input.split_first() else {
        return;
    };
    greeting(bytes, usize::from(step % 37) + 1);
    packet(&Bytes::copy_from_slice(bytes));
    parameter(bytes);
});

/// A client that says what it has to say some bytes at a time, then leaves.
struct Client<'a> {
    said: &'a [u8],
    step: usize,
    heard: RefCell<Vec<u8>>,
}

fn greeting(bytes: &[u8], step: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime without threads and sockets");
    let _guard = runtime.enter();
    let mut client = Client {
        said: bytes,
        step,
        heard: RefCell::default(),
    };
    // It never waits for anything, so that it is ready at once.
    let outcome = {
        let deadline = Instant::now() + Duration::from_secs(3600);
        let mut greet = std::pin::pin!(greet(&mut client, Encryption::Declined, deadline));
        match greet.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => panic!("a greeting waits for a client that never waits"),
        }
    };
    let heard = client.heard.into_inner();
    let refusals = heard.iter().take_while(|&&byte| byte == b'N').count();
    assert!(refusals <= 2);
    match outcome {
        Ok(Greeting::Startup(startup, rest)) => {
            assert_eq!(heard.len(), refusals);
            let end = bytes.len() - client.said.len();
            let kept = [&startup.raw[..], &rest[..]].concat();
            assert!(bytes.get(..end).is_some_and(|read| read.ends_with(&kept)));
            packet(&startup.raw);
        }
        Ok(Greeting::Cancel(request)) => {
            assert_eq!(heard.len(), refusals);
            assert!(request.len() >= 8);
        }
        Ok(Greeting::Foreign(packet)) => {
            assert_eq!(heard.len(), refusals);
            assert!(packet.len() >= 8);
        }
        Ok(Greeting::Encrypt) => panic!("TLS was declined"),
        Ok(Greeting::Gone) => assert!(client.said.is_empty() && heard.len() == refusals),
        Err(GreetError::Layout | GreetError::Unsupported { .. }) => {
            assert!(heard.len() > refusals);
        }
        Err(error) => {
            assert_eq!(heard.len(), refusals);
            assert!(!error.to_string().is_empty());
        }
    }
}

fn packet(raw: &Bytes) {
    let Some(packet) = StartupPacket::parse(raw.clone()) else {
        return;
    };
    assert_eq!(packet.raw, raw);
    let mut end = raw.as_ptr() as usize;
    for part in packet
        .parameters
        .iter()
        .flat_map(|(name, value)| [name, value])
    {
        assert!(!part.contains(&0));
        if !part.is_empty() {
            assert!(part.as_ptr() as usize >= end);
            end = part.as_ptr() as usize + part.len();
        }
    }
    assert!(end <= raw.as_ptr() as usize + raw.len());
    assert!(!packet.database.is_empty() || packet.user.is_empty());
    let asks = raw.windows(12).any(|it| it == b"replication\0");
    assert!(asks || packet.replication == Replication::None);
    parameter(&packet.options);
    assert_eq!(packet.startup_options(), options::parse(&packet.options));
}

fn parameter(text: &[u8]) {
    let found = options::parse(text);
    let bytes: usize = found
        .settings
        .iter()
        .map(|(name, value)| {
            assert!(!name.is_empty() && !name.contains(&b'-') && !name.contains(&b'='));
            name.len() + value.len() + 1
        })
        .sum();
    assert!(bytes <= text.len());
    // What was understood says the same when it is written anew.
    let written: Vec<u8> = found
        .settings
        .iter()
        .flat_map(|(name, value)| {
            let pair = [&name[..], b"=", value].concat();
            let escaped = pair.into_iter().flat_map(|byte| [b'\\', byte]);
            b"-c "
                .iter()
                .copied()
                .chain(escaped)
                .chain([b' '])
                .collect::<Vec<_>>()
        })
        .collect();
    let again = options::parse(&written);
    assert_eq!(again.settings, found.settings);
    assert!(again.understood);
}

impl AsyncRead for Client<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let step = self.step.min(self.said.len()).min(buffer.remaining());
        let (now, later) = self.said.split_at(step);
        buffer.put_slice(now);
        self.said = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Client<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.heard.borrow_mut().extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
