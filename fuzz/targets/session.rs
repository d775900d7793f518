//! The session core, told anything: bytes of both peers in any pieces, answers of any kind.
//!
//! Laws: no input makes it panic or ask for ever; what it puts out is bounded by what came in;
//! tickets only grow; what it hands over to be kept has the form of a reply.

#![no_main]

#[path = "fixture.rs"]
#[expect(dead_code, reason = "other targets use more of it")]
mod fixture;
#[path = "messages.rs"]
mod messages;

use std::sync::{Arc, LazyLock};

use bytes::{Bytes, BytesMut};
use cache::{DigestBuilder, Entry, Stamp, Version};
use libfuzzer_sys::fuzz_target;
use session::{Answer, Knowledge, Limits, Login, Need, Session, SessionError, Shared, Texts};
use sql::Reason;
use wire::backend::tag;

use self::{fixture::World, messages::Script};

static WORLD: LazyLock<World> = LazyLock::new(World::new);

/// What one message may cause to be sent by itself, in bytes: questions about the session, a
/// recorded reply.
const OWN_MAX: usize = 16 * 1024;

/// Messages of a server: any reply to anything.
const REPLIES: [&[u8]; 28] = [
    b"1\0\0\0\x04",
    b"2\0\0\0\x04",
    b"3\0\0\0\x04",
    b"n\0\0\0\x04",
    b"s\0\0\0\x04",
    b"I\0\0\0\x04",
    b"c\0\0\0\x04",
    b"Z\0\0\0\x05I",
    b"Z\0\0\0\x05T",
    b"Z\0\0\0\x05E",
    b"C\0\0\0\x0dSELECT 1\0",
    b"C\0\0\0\x0dUPDATE 1\0",
    b"C\0\0\0\x0aBEGIN\0",
    b"C\0\0\0\x0bCOMMIT\0",
    b"C\0\0\0\x0dROLLBACK\0",
    b"C\0\0\0\x08SET\0",
    b"C\0\0\0\x13DEALLOCATE ALL\0",
    b"T\0\0\0\x1d\0\x01name\0\0\0\x40\x01\0\x02\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0",
    b"D\0\0\0\x0b\0\x01\0\0\0\x01x",
    b"D\0\0\0\x4f\0\x09\0\0\0\x0516388\0\0\0\x0516388\0\0\0\x06public\0\0\0\x01f\0\0\0\x0eread committed\xff\xff\xff\xff\0\0\0\x06public\xff\xff\xff\xff\xff\xff\xff\xff",
    b"t\0\0\0\x06\0\0",
    b"E\0\0\0\x14SERROR\0C22012\0\0",
    b"E\0\0\0\x1cSFATAL\0VFATAL\0C57P01\0\0",
    b"N\0\0\0\x16SNOTICE\0C00000\0\0\0",
    b"S\0\0\0\x12TimeZone\0UTC\0",
    b"G\0\0\0\x07\0\0\0",
    b"H\0\0\0\x07\0\0\0",
    b"W\0\0\0\x07\0\0\0",
];

fuzz_target!(|input: &[u8]| {
    let mut shell = Shell::new();
    let mut script = Script(input);
    while let Some(step) = script.byte() {
        if shell.step(step, &mut script).is_err() {
            break;
        }
        shell.judge();
    }
});

/// What stands around a session.
struct Shell {
    session: Session,
    client: BytesMut,
    server: BytesMut,
    /// Bytes and pieces that came in so far.
    came: usize,
    pieces: usize,
    /// Bytes that were put out and taken away.
    left: usize,
    answers: u8,
    ticket: u64,
}

impl Shell {
    fn new() -> Self {
        let limits = Limits {
            analysis_bytes_max: 64 * 1024,
            entry_bytes_max: 256,
            statements_max: 4,
        };
        let login = Login {
            digest: DigestBuilder::default().finish(),
            texts: Texts::default(),
            primary: false,
            generation: Some(1),
            secret: None,
        };
        Self {
            session: Session::new(Arc::new(Shared::new(limits, Arc::default())), &login),
            client: BytesMut::new(),
            server: BytesMut::new(),
            came: 0,
            pieces: 0,
            left: 0,
            answers: 0,
            ticket: 0,
        }
    }

    fn step(&mut self, step: u8, script: &mut Script<'_>) -> Result<(), SessionError> {
        let before = self.client.len() + self.server.len();
        match step % 16 {
            0 => self.client.extend_from_slice(script.some()),
            1 => self.server.extend_from_slice(script.some()),
            2..=6 => messages::client(script, &mut self.client),
            7..=12 => {
                let index = usize::from(script.byte().unwrap_or(0)) % REPLIES.len();
                self.server.extend_from_slice(REPLIES[index]);
            }
            13 => self.session.know(knowledge(script.byte().unwrap_or(0))),
            14 => self.answers = script.byte().unwrap_or(0),
            _ => {
                if self.pieces.is_multiple_of(7) {
                    self.session.client_left();
                }
                self.left += self.session.to_client.len() + self.session.to_server.len();
                self.session.to_client.clear();
                self.session.to_server.clear();
            }
        }
        self.came += self.client.len() + self.server.len() - before;
        self.pieces += 1;
        self.pump()
    }

    fn pump(&mut self) -> Result<(), SessionError> {
        let mut needs = 0;
        loop {
            match self.session.server(&mut self.server)? {
                Need::Input => break,
                need => self.perform(need),
            }
            needs += 1;
            assert!(needs <= 16 + self.came, "it asks for ever");
        }
        for record in self.session.records.drain(..) {
            let entry = record.entry;
            let first = entry.description().and_then(|frame| frame.first().copied());
            assert!(matches!(first, Some(tag::ROW_DESCRIPTION | tag::NO_DATA)));
            assert_eq!(entry.complete().first(), Some(&tag::COMMAND_COMPLETE));
            let mut data = &entry.data()[..];
            for _ in 0..entry.rows() {
                let header = wire::header(data).ok().flatten().expect("a row");
                assert_eq!(header.tag, tag::DATA_ROW);
                data = data.get(header.total..).expect("a whole row");
            }
            assert!(data.is_empty());
        }
        loop {
            match self.session.client(&mut self.client)? {
                Need::Input => return Ok(()),
                need => self.perform(need),
            }
            needs += 1;
            assert!(needs <= 16 + self.came, "it asks for ever");
        }
    }

    fn perform(&mut self, need: Need) {
        let answer = match need {
            Need::Input => return,
            Need::LookUp => {
                assert!(self.session.question().is_some());
                self.answers = self.answers.rotate_left(3) ^ 0x35;
                match self.answers % 4 {
                    0 => Answer::Nothing(Reason::BeingWritten),
                    1 => Answer::Hit(entry()),
                    _ => Answer::Miss(Stamp::new([version(1)])),
                }
            }
            Need::Mark(ticket, writes) => {
                assert!(ticket > self.ticket && !writes.is_nothing());
                self.ticket = ticket;
                Answer::Done
            }
            Need::Dropped => Answer::Done,
            Need::End(ticket, _) => {
                assert!(ticket <= self.ticket);
                Answer::Done
            }
        };
        self.session.answer(answer);
    }

    fn judge(&self) {
        let out = self.left + self.session.to_client.len() + self.session.to_server.len();
        let messages = self.came / wire::HEADER + self.pieces;
        assert!(
            out <= (messages + 1) * (OWN_MAX + self.came),
            "{} bytes became {out}",
            self.came
        );
    }
}

fn knowledge(which: u8) -> Option<Arc<Knowledge>> {
    (!which.is_multiple_of(4)).then(|| {
        Arc::new(Knowledge {
            database: messages::DATABASE,
            epoch: version(which),
            drops: version(0),
            generation: u64::from(which % 3),
            code: u64::from(which % 3),
            schema: Arc::clone(&WORLD.schema),
            policy: messages::policy(),
            asked: Arc::default(),
            served: 0,
        })
    })
}

fn version(number: u8) -> Version {
    Version::from_bytes([number; 16])
}

/// A row of one column, described.
fn entry() -> Entry {
    let (description, row, complete) = (REPLIES[17], REPLIES[18], REPLIES[10]);
    let frames = Bytes::from([description, row, complete].concat());
    let offset = |bytes: usize| u32::try_from(bytes).expect("it is short");
    let (description, complete) = (description.len(), description.len() + row.len());
    Entry::new(frames, offset(description), offset(complete), 1).expect("it is in order")
}
