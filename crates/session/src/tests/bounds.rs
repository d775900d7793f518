//! What a client can make us keep.

use std::sync::Arc;

use bytes::BytesMut;
use wire::{backend, frontend};

use crate::{Limits, Login, Need, Session, Shared, Telemetry};

fn session() -> Session {
    let limits = Limits {
        analysis_bytes_max: 1 << 20,
        entry_bytes_max: 1 << 20,
    };
    let shared = Shared::new(limits, Arc::new(Telemetry::default()));
    let login = Login {
        digest: cache::DigestBuilder::default().finish(),
        generation: None,
        readable: true,
    };
    Session::new(Arc::new(shared), &login)
}

fn say(session: &mut Session, input: &mut BytesMut) {
    while !matches!(session.client(input).unwrap(), Need::Input) {
        session.answer(crate::Answer::Done);
    }
}

fn hear(session: &mut Session, reply: &[u8]) {
    let mut input = BytesMut::from(reply);
    while !matches!(session.server(&mut input).unwrap(), Need::Input) {
        session.answer(crate::Answer::Done);
    }
    session.to_client.clear();
    session.to_server.clear();
}

#[test]
fn statements_beyond_the_bound_are_the_servers_alone() {
    let mut session = session();
    let mut input = BytesMut::new();
    let text = format!("SELECT '{}'", "x".repeat(10_000));
    for number in 0..2_000 {
        frontend::put_parse(&mut input, format!("s{number}").as_bytes(), text.as_bytes());
        input.extend_from_slice(frontend::SYNC);
        say(&mut session, &mut input);
        hear(&mut session, backend::PARSE_COMPLETE);
        hear(&mut session, backend::ready(backend::Status::Idle));
    }
    assert!(session.registry.statement(b"s0").is_some());
    assert!(session.registry.is_full());
    assert!(session.registry.statement(b"s1999").is_none());
    // It can be used and closed all the same.
    frontend::put_bind(&mut input, b"", b"s1999");
    frontend::put_close(&mut input, frontend::Target::Statement, b"s1999");
    let said = input.clone();
    say(&mut session, &mut input);
    assert_eq!(session.to_server.len(), said.len());
    // And those that are kept make room when they are closed.
    for number in 0..2_000 {
        let name = format!("s{number}");
        frontend::put_close(&mut input, frontend::Target::Statement, name.as_bytes());
    }
    say(&mut session, &mut input);
    assert!(!session.registry.is_full());
}

#[test]
fn messages_wait_when_much_is_under_way() {
    let mut session = session();
    let mut input = BytesMut::new();
    let text = format!("SELECT '{}'", "x".repeat(100_000));
    for _ in 0..100 {
        frontend::put_parse(&mut input, b"", text.as_bytes());
    }
    let said = input.len();
    say(&mut session, &mut input);
    assert!(session.is_stalled() && input.len() > said / 2);
    // The server is asked for what it owes, so that they go on.
    for _ in 0..100 {
        hear(&mut session, backend::PARSE_COMPLETE);
        say(&mut session, &mut input);
        if input.is_empty() {
            return;
        }
    }
    panic!("{} bytes still wait", input.len());
}
