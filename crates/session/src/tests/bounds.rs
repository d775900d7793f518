//! What a client can make us keep.

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use wire::{backend, frontend};

use crate::{Limits, Login, Need, Session, Shared, Telemetry};

fn session() -> Session {
    let limits = Limits {
        analysis_bytes_max: 1 << 20,
        entry_bytes_max: 1 << 20,
        statements_max: 10,
    };
    let shared = Shared::new(limits, Arc::new(Telemetry::default()));
    let login = Login {
        digest: cache::DigestBuilder::default().finish(),
        generation: None,
        texts: crate::Texts::default(),
        primary: false,
        secret: None,
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
fn what_is_owed_makes_no_message_dearer() {
    let mut session = session();
    let mut input = BytesMut::new();
    let parts = [(); 5].map(|()| {
        let start = cpu_time();
        for _ in 0..3_000 {
            frontend::put_parse(&mut input, b"", b"SELECT 1");
            frontend::put_bind(&mut input, b"", b"");
            frontend::put_describe(&mut input, frontend::Target::Portal, b"");
            frontend::put_execute(&mut input, b"");
            say(&mut session, &mut input);
        }
        cpu_time() - start
    });
    assert_eq!(session.queue.len(), 60_000);
    // Nine times as dear as the first, if the queue were read from end to end.
    assert!(parts[4] < parts[0] * 4, "{parts:?}");
}

/// What this thread has worked for: the same, however busy the machine is.
fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(now).unwrap()
}

#[test]
fn types_and_names_count_among_what_is_held() {
    let mut session = session();
    let mut input = BytesMut::new();
    let types = [&u16::MAX.to_be_bytes()[..], &[0; 4 * 65_535]].concat();
    for number in 0..100 {
        let name = format!("s{number}");
        frontend::put_parse_typed(&mut input, name.as_bytes(), b"SELECT 1", &types);
        input.extend_from_slice(frontend::SYNC);
        say(&mut session, &mut input);
        hear(&mut session, backend::PARSE_COMPLETE);
        hear(&mut session, backend::ready(backend::Status::Idle));
    }
    assert!(session.registry.is_full());
    assert!(session.registry.statement(b"s99").is_none());
}

/// To the server, names that begin alike for long enough are one.
#[test]
fn no_more_is_kept_of_a_name_than_the_server_minds() {
    let mut session = session();
    let mut input = BytesMut::new();
    let long = "n".repeat(100_000);
    frontend::put_parse(&mut input, long.as_bytes(), b"SELECT 1");
    input.extend_from_slice(frontend::SYNC);
    say(&mut session, &mut input);
    hear(&mut session, backend::PARSE_COMPLETE);
    hear(&mut session, backend::ready(backend::Status::Idle));
    let registry = &session.registry;
    assert!(registry.statement(&long.as_bytes()[..63]).is_some());
    assert!(registry.statement(&long.as_bytes()[..62]).is_none());
    frontend::put_close(
        &mut input,
        frontend::Target::Statement,
        &long.as_bytes()[..64],
    );
    input.extend_from_slice(frontend::SYNC);
    say(&mut session, &mut input);
    assert!(session.registry.statement(long.as_bytes()).is_none());
}

/// Whoever does not read what it has asked for is not heard any further.
#[test]
fn messages_wait_until_their_replies_are_read() {
    let mut session = session();
    let mut input = BytesMut::new();
    let said = 100_000;
    for _ in 0..said {
        input.extend_from_slice(frontend::SYNC);
    }
    let mut heard = 0;
    say(&mut session, &mut input);
    assert!(session.is_choked());
    while session.is_choked() {
        assert!(session.to_client.len() < crate::PENDING_MAX + 100);
        heard += session.to_client.len() / 6;
        session.to_client.clear();
        say(&mut session, &mut input);
    }
    assert_eq!(heard + session.to_client.len() / 6, said);
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

/// The server hears nothing of them, so that no answer of its would end a doubt.
#[test]
fn portals_that_come_and_go_here_leave_nothing_behind() {
    let mut session = session();
    let mut input = BytesMut::new();
    frontend::put_parse(&mut input, b"s", b"BEGIN");
    for number in 0..1_000 {
        let name = format!("p{number}");
        frontend::put_bind(&mut input, name.as_bytes(), b"s");
        frontend::put_bind(&mut input, b"", b"s");
        frontend::put_bind(&mut input, b"", b"s");
        frontend::put_close(&mut input, frontend::Target::Portal, name.as_bytes());
        input.extend_from_slice(frontend::SYNC);
    }
    say(&mut session, &mut input);
    assert!(input.is_empty() && session.to_server.is_empty());
    assert!(!session.registry.has_unsure_portals());
}

/// It is passed on in pieces, and means what any error means.
#[test]
fn an_error_that_is_too_long_to_be_held_ends_what_it_answers() {
    let mut session = session();
    let mut input = BytesMut::new();
    frontend::put_parse(&mut input, b"", b"SELECT 1");
    frontend::put_bind(&mut input, b"", b"");
    frontend::put_execute(&mut input, b"");
    input.extend_from_slice(frontend::SYNC);
    say(&mut session, &mut input);
    let text = vec![b'x'; 65 * 1024 * 1024];
    let body = [&b"SERROR\0VERROR\0CP0001\0M"[..], &text, b"\0\0"].concat();
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    let error = [&b"E"[..], &length, &body].concat();
    let (mut input, mut passed) = (BytesMut::new(), 0);
    for piece in error.chunks(3_000_000) {
        // Its beginning comes in small ones.
        let (first, rest) = piece.split_at(7);
        for piece in [first, rest] {
            input.extend_from_slice(piece);
            assert!(matches!(session.server(&mut input), Ok(Need::Input)));
        }
        passed += session.to_client.len();
        session.to_client.clear();
    }
    assert_eq!(passed, error.len());
    input.extend_from_slice(backend::ready(backend::Status::Idle));
    while !matches!(session.server(&mut input), Ok(Need::Input)) {
        session.answer(crate::Answer::Done);
    }
    assert_eq!(session.to_client.len(), 6);
    assert!(!session.is_owed());
}

/// A portal of ours gives way: that it may come back keeps nobody waiting who binds another.
#[test]
fn segments_leave_one_behind_the_other() {
    let mut session = session();
    let mut input = BytesMut::new();
    frontend::put_query(&mut input, b"BEGIN");
    frontend::put_parse(&mut input, b"s", b"COMMIT");
    input.extend_from_slice(frontend::SYNC);
    say(&mut session, &mut input);
    let mut begun = BytesMut::new();
    backend::put_command_complete(&mut begun, b"BEGIN");
    hear(&mut session, &begun);
    hear(&mut session, backend::ready(backend::Status::Transaction));
    hear(&mut session, backend::PARSE_COMPLETE);
    hear(&mut session, backend::ready(backend::Status::Transaction));
    frontend::put_bind(&mut input, b"", b"s");
    input.extend_from_slice(frontend::SYNC);
    say(&mut session, &mut input);
    assert!(session.to_server.is_empty());
    for _ in 0..3 {
        frontend::put_parse(&mut input, b"", b"SELECT 1");
        frontend::put_bind(&mut input, b"", b"");
        frontend::put_describe(&mut input, frontend::Target::Portal, b"");
        frontend::put_execute(&mut input, b"");
        input.extend_from_slice(frontend::SYNC);
    }
    let said = input.len();
    say(&mut session, &mut input);
    assert!(input.is_empty() && !session.is_stalled());
    assert_eq!(session.to_server.len(), said);
}
