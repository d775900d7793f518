//! What Redis sends over a connection: its protocol, and whose answer is whose.
//!
//! The modules are taken from the store's sources: the whole store would be built for nothing.
//!
//! Laws: bytes from outside are frames or end the connection; neither depends on how they arrive; no
//! more room is made than they call for; whoever asks has an answer when the connection has ended,
//! and no more answers than he has asked for; a command is read as what it says.

#![no_main]

// The library whose values the store uses would take minutes to build.
extern crate self as fred;

/// A value, as far as it is used.
pub mod types {
    use bytes::Bytes;

    /// As the library has it.
    #[derive(Clone, Debug, PartialEq)]
    pub enum Value {
        Bytes(Bytes),
        Integer(i64),
        Boolean(bool),
        Array(Vec<Value>),
        Null,
    }

    impl Value {
        /// What is a string to Redis.
        pub fn as_bytes(&self) -> Option<&[u8]> {
            match self {
                Self::Bytes(bytes) => Some(bytes),
                Self::Integer(_) | Self::Boolean(_) | Self::Array(_) | Self::Null => None,
            }
        }
    }

    impl From<&'static str> for Value {
        fn from(text: &'static str) -> Self {
            Self::Bytes(text.into())
        }
    }
}

mod lease {
    /// As the store has it.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Moment(
        #[expect(dead_code, reason = "no time is measured here")] pub(crate) u64,
    );
}

#[path = "../../crates/store/src/redis"]
mod redis {
    mod resp;
    #[expect(dead_code, reason = "a store needs more of it")]
    mod wire;

    mod clock {
        pub(crate) const fn now() -> crate::lease::Moment {
            crate::lease::Moment(0)
        }
    }

    use std::time::Duration;

    use bytes::BytesMut;
    use fred::types::Value;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex},
        sync::broadcast,
    };

    use resp::{Broken, Command, Frame, Reader, command};
    use wire::{Fault, Wire};

    type Answers = Result<Vec<Result<Value, Fault>>, Fault>;

    /// What a conversation came to.
    #[derive(Debug, PartialEq)]
    pub(crate) struct Heard {
        answers: Vec<Answers>,
        published: Vec<(Vec<u8>, Vec<u8>)>,
    }

    /// Reads bytes at once, and as they arrive `step` at a time.
    pub(crate) fn read(bytes: &[u8], step: usize) {
        let whole = frames(bytes, bytes.len().max(1));
        assert_eq!(frames(bytes, step), whole);
    }

    fn frames(bytes: &[u8], step: usize) -> (Vec<Frame>, bool) {
        let (mut reader, mut frames) = (Reader::default(), Vec::new());
        let mut come = 0;
        for chunk in bytes.chunks(step) {
            let buffer = reader.buffer();
            assert!(buffer.capacity() - buffer.len() >= chunk.len());
            assert!(
                buffer.capacity() <= 2 * come + ROOM_MAX,
                "{}",
                buffer.capacity()
            );
            buffer.extend_from_slice(chunk);
            come += chunk.len();
            loop {
                match reader.next() {
                    Ok(Some(frame)) => frames.push(frame),
                    Ok(None) => break,
                    Err(Broken) => return (frames, true),
                }
            }
        }
        (frames, false)
    }

    /// More than is ever to be read at once.
    const ROOM_MAX: usize = 4 << 20;

    /// Sends commands, of which some are subscriptions, and has `bytes` answer them.
    pub(crate) async fn talk(shape: u8, bytes: &[u8], step: usize) -> Heard {
        let (near, mut far) = duplex(1 << 16);
        let (messages, mut heard) = broadcast::channel(1024);
        let wire = Wire::start(Box::pin(near), Some(messages), clock::now());
        let asked = [questions(shape), questions(shape >> 3)];
        let server = async {
            let mut sent = vec![0; 1 << 12];
            _ = far.read(&mut sent).await;
            for chunk in bytes.chunks(step) {
                if far.write_all(chunk).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(far);
        };
        let [first, second] = &asked;
        let (first, second, ()) = tokio::join!(ask(&wire, first), ask(&wire, second), server);
        wire.lost().await;
        let answers = vec![first, second];
        let mut published = Vec::new();
        while let Ok(message) = heard.try_recv() {
            published.push((message.channel.to_vec(), message.value.to_vec()));
        }
        Heard { answers, published }
    }

    async fn ask(wire: &Wire, commands: &[Command]) -> Answers {
        let answers = wire.ask(commands, Duration::from_secs(60)).await;
        if let Ok(answers) = &answers {
            assert_eq!(answers.len(), commands.len());
        }
        assert_ne!(answers, Err(Fault::Timeout));
        answers
    }

    fn questions(shape: u8) -> Vec<Command> {
        let question = |n| match shape >> n & 1 {
            1 => command("SUBSCRIBE", ["c".into()]),
            _ => command("GET", ["k".into()]),
        };
        (0..1 + shape % 3).map(question).collect()
    }

    /// Writes a command and reads it.
    pub(crate) fn write(words: &[&[u8]]) {
        let words: Vec<_> = words
            .iter()
            .map(|word| Value::Bytes(word.to_vec().into()))
            .collect();
        let mut sent = BytesMut::new();
        command("SET", words.clone()).encode(&mut sent);
        let mut expected = vec![Value::Bytes("SET".into())];
        expected.extend(words);
        let read = frames(&sent, 7);
        assert_eq!(read, (vec![Frame::Value(Value::Array(expected))], false));
    }
}

use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime needs nothing");
}

fuzz_target!(|input: &[u8]| {
    let Some((&[shape, step], bytes)) = input.split_first_chunk() else {
        return;
    };
    let step = usize::from(step % 61) + 1;
    redis::read(bytes, step);
    let words: Vec<_> = bytes.chunks(usize::from(shape) + 1).collect();
    redis::write(&words);
    RUNTIME.with(|runtime| {
        let talk = |step| runtime.block_on(redis::talk(shape, bytes, step));
        assert_eq!(talk(step), talk(bytes.len().max(1)));
    });
});
