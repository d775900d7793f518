//! A client's first packets, and what it is told before its first command.

use bytes::{BufMut, BytesMut};
use wire::backend::{self, Status, tag};

use super::{
    command::{REPORTED, SETTINGS},
    dialogue::error,
    encode::{put, put_error, put_texts},
};

/// How far a greeting has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Greeted {
    /// More has to be read.
    More,
    /// The client may give commands.
    In,
    /// Nothing more is to be heard.
    Close,
}

/// The database under which the console is known.
const DATABASE: &str = "pgmemo";

/// The largest startup packet, as in PostgreSQL, in bytes.
const PACKET_MAX: usize = 10_000;

/// Handles the packets in `input` up to the one that asks to be let in.
pub(super) fn greet(input: &mut BytesMut, out: &mut BytesMut) -> Greeted {
    loop {
        let Some((length, _)) = input.split_first_chunk::<4>() else {
            return Greeted::More;
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if !(8..=PACKET_MAX).contains(&length) {
            return Greeted::Close;
        }
        if input.len() < length {
            return Greeted::More;
        }
        let packet = input.split_to(length);
        let Some((code, parameters)) = packet.get(4..).and_then(<[u8]>::split_first_chunk) else {
            return Greeted::Close;
        };
        match u32::from_be_bytes(*code) {
            // Encryption is declined, and the client may go on without.
            SSL_REQUEST | GSS_REQUEST => out.put_u8(b'N'),
            CANCEL_REQUEST => return Greeted::Close,
            version if version >> 16 == 3 => return log_in(version, parameters, out),
            _ => {
                refuse(
                    out,
                    "0A000",
                    "unsupported frontend protocol",
                    "Protocol 3.0 is spoken.",
                );
                return Greeted::Close;
            }
        }
    }
}

fn log_in(version: u32, parameters: &[u8], out: &mut BytesMut) -> Greeted {
    let Some(parameters) = read(parameters) else {
        refuse(out, "08P01", "malformed startup packet", HELP);
        return Greeted::Close;
    };
    let of = |name| parameters.iter().find(|it| it.0 == name).map(|it| it.1);
    let user = of("user").unwrap_or_default();
    if of("database").unwrap_or(user) != DATABASE {
        refuse(
            out,
            "3D000",
            "this is the console of pgmemo, whose only database is \"pgmemo\"",
            HELP,
        );
        return Greeted::Close;
    }
    if of("replication").is_some_and(|it| !matches!(it, "false" | "off" | "no" | "0")) {
        refuse(
            out,
            "0A000",
            "the console of pgmemo has nothing to replicate",
            HELP,
        );
        return Greeted::Close;
    }
    negotiate(version, &parameters, out);
    put(out, tag::AUTHENTICATION, |body| body.put_u32(0));
    for setting in SETTINGS.iter().take(REPORTED) {
        put_texts(out, tag::PARAMETER_STATUS, &[setting.name(), setting.value]);
    }
    let name = of("application_name").unwrap_or_default();
    put_texts(out, tag::PARAMETER_STATUS, &["application_name", name]);
    put_texts(out, tag::PARAMETER_STATUS, &["session_authorization", user]);
    // No command takes long enough to be cancelled.
    put(out, tag::BACKEND_KEY, |body| body.put_u64(0));
    out.put_slice(backend::ready(Status::Idle));
    Greeted::In
}

/// Says that 3.0 is spoken to who asks for more, and that options of the protocol are not known.
fn negotiate(version: u32, parameters: &[(&str, &str)], out: &mut BytesMut) {
    let options = parameters.iter().filter(|it| it.0.starts_with("_pq_."));
    let options: Vec<_> = options.map(|it| it.0).collect();
    if version > VERSION || !options.is_empty() {
        put(out, tag::NEGOTIATE, |body| {
            body.put_u32(VERSION);
            body.put_u32(u32::try_from(options.len()).unwrap_or(u32::MAX));
            for option in options {
                body.put_slice(option.as_bytes());
                body.put_u8(0);
            }
        });
    }
}

/// Names and values, each ended by a NUL, and one more at the end.
fn read(parameters: &[u8]) -> Option<Vec<(&str, &str)>> {
    let text = std::str::from_utf8(parameters).ok()?;
    let mut parts = text.split('\0');
    let mut read = Vec::new();
    loop {
        match parts.next()? {
            "" => return (parts.next() == Some("") && parts.next().is_none()).then_some(read),
            name => read.push((name, parts.next()?)),
        }
    }
}

/// Appends an error that ends the connection.
pub(super) fn refuse(out: &mut BytesMut, code: &str, text: &str, hint: &str) {
    put_error(out, &error("FATAL", code, text, hint));
}

const HELP: &str = "psql -h HOST -p PORT pgmemo leads to it; applications connect to where pgmemo \
    listens for clients.";

const VERSION: u32 = 3 << 16;
const CANCEL_REQUEST: u32 = (1234 << 16) | 5678;
const SSL_REQUEST: u32 = (1234 << 16) | 5679;
const GSS_REQUEST: u32 = (1234 << 16) | 5680;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(code: u32, parameters: &[u8]) -> BytesMut {
        let mut out = BytesMut::new();
        out.put_u32(u32::try_from(8 + parameters.len()).unwrap());
        out.put_u32(code);
        out.put_slice(parameters);
        out
    }

    fn check(mut input: BytesMut, expected: Greeted, told: &str) {
        let mut out = BytesMut::new();
        assert_eq!(greet(&mut input, &mut out), expected);
        let text = String::from_utf8_lossy(&out);
        assert!(text.contains(told), "{told} is not in {text:?}");
    }

    #[test]
    fn who_asks_for_the_console_is_let_in() {
        let login = b"user\0me\0database\0pgmemo\0application_name\0psql\0\0";
        check(
            packet(VERSION, login),
            Greeted::In,
            "application_name\0psql\0",
        );
        check(
            packet(VERSION, b"user\0pgmemo\0\0"),
            Greeted::In,
            "server_version\x0015.0",
        );
        let mut encrypted = packet(SSL_REQUEST, b"");
        encrypted.unsplit(packet(GSS_REQUEST, b""));
        encrypted.unsplit(packet(VERSION, login));
        check(encrypted, Greeted::In, "NNR");
        check(
            packet(VERSION + 2, login),
            Greeted::In,
            "v\0\0\0\x0c\0\x03\0\0\0\0\0\0R",
        );
        let optional = b"user\0pgmemo\0_pq_.x\0y\0\0";
        check(
            packet(VERSION, optional),
            Greeted::In,
            "\0\0\0\x01_pq_.x\0R",
        );
    }

    #[test]
    fn nobody_else_is() {
        check(
            packet(VERSION, b"user\0me\0database\0shop\0\0"),
            Greeted::Close,
            "3D000",
        );
        check(packet(VERSION, b"user\0me\0\0"), Greeted::Close, "3D000");
        check(packet(VERSION, b"user\0pgmemo\0"), Greeted::Close, "08P01");
        check(packet(VERSION, b"user\0\xff\0\0"), Greeted::Close, "08P01");
        check(
            packet(VERSION, b"user\0pgmemo\0replication\0true\0\0"),
            Greeted::Close,
            "0A000",
        );
        check(packet(2 << 16, b""), Greeted::Close, "0A000");
        check(packet(CANCEL_REQUEST, &[0; 8]), Greeted::Close, "");
        check(
            BytesMut::from(&[0, 0, 0, 7, 0, 0, 0][..]),
            Greeted::Close,
            "",
        );
        check(BytesMut::from(&[0, 1, 0, 0, 0][..]), Greeted::Close, "");
        check(
            BytesMut::from(&[0, 0, 0, 9, 0, 3, 0, 0][..]),
            Greeted::More,
            "",
        );
    }

    proptest! {
        #[test]
        fn nothing_is_too_strange_to_be_greeted(input: Vec<u8>, parameters: Vec<u8>) {
            greet(&mut BytesMut::from(&input[..]), &mut BytesMut::new());
            greet(&mut packet(VERSION, &parameters), &mut BytesMut::new());
        }
    }
}
