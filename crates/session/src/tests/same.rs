//! Through a session a client reads, byte for byte, what it would read from the server.

use bytes::BytesMut;
use proptest::prelude::*;

use super::{
    message::{Message, frames, show_server},
    model::{self, Server},
    script::{Script, script},
    world::{Client, Dice, World},
};

/// What a client that speaks to the server itself has read after each burst, and what the server
/// holds back at the end.
fn directly(server: &mut Server, script: &Script) -> (Vec<BytesMut>, Vec<u8>) {
    let replies = script.0.iter().map(|burst| {
        let mut bytes = BytesMut::new();
        burst.iter().for_each(|message| message.put(&mut bytes));
        server.receive(&bytes);
        server.take(usize::MAX)
    });
    let replies = replies.collect();
    (replies, server.unflushed().to_vec())
}

/// Runs the same script `rounds` times, each on a connection of its own.
fn check(script: &Script, rounds: usize, chaos: Option<u64>, pace: Option<u64>) {
    let database = model::database();
    let mut world = World::new(chaos);
    let mut dice = pace.map(Dice::new);
    for round in 1..=rounds {
        let mut server = Server::new(&database);
        let (expected, held_back) = directly(&mut server, script);
        let mut client = Client::new(&world, "a");
        let mut due = BytesMut::new();
        for (number, (burst, reply)) in script.0.iter().zip(expected).enumerate() {
            burst.iter().for_each(|message| client.send(message));
            due.extend_from_slice(&reply);
            client.settle(&mut world, dice.as_mut());
            // What is ready without the server may come before it is asked for.
            if !plain(&client.received).starts_with(&plain(&due)) {
                differ(&world, (round, number), burst, &due, &client.received);
            }
        }
        due.extend_from_slice(&held_back);
        if !plain(&due).starts_with(&plain(&client.received)) {
            differ(&world, (round, script.0.len()), &[], &due, &client.received);
        }
        server.close();
        client.leave(&mut world);
        assert_eq!(
            *database.borrow(),
            *world.database.borrow(),
            "rows after round {round}"
        );
        world.assert_counts_add_up();
    }
}

/// Where we are more lenient than the server, in what nobody does on purpose: of a BEGIN or a read
/// that we have answered it does not know, so that it does not refuse to run the same BEGIN from
/// the same portal again, to change the isolation level after the read, or DISCARD ALL after it.
fn is_lenient(script: &Script) -> bool {
    let (replies, _) = directly(&mut Server::new(&model::database()), script);
    let begins = |message: &Message| match message {
        Message::Parse { text, .. } => text.starts_with("begin") || text.starts_with("start"),
        _ => false,
    };
    let replies: Vec<_> = replies
        .iter()
        .flat_map(|reply| show_server(reply))
        .collect();
    let said = |part: &str| replies.iter().any(|it| it.contains(part));
    script.0.iter().flatten().any(begins) && said("ErrorResponse 55000")
        || said("ISOLATION LEVEL must be")
        || said("within a pipeline")
}

fn differ(
    world: &World,
    (round, number): (usize, usize),
    burst: &[Message],
    due: &[u8],
    received: &[u8],
) {
    let burst: Vec<_> = burst.iter().map(Message::to_string).collect();
    let events = world.events.borrow();
    let last = &events[events.len().saturating_sub(24)..];
    panic!(
        "round {round}, burst {number}: {}\ndirectly: {:#?}\nthrough a session: {:#?}\nwhat happened last: {last:#?}",
        burst.join(", "),
        news(due, received),
        news(received, due),
    );
}

/// The bytes, but without the words in which a failed block refuses what comes: of several
/// reasons we may hit on another one than the server.
fn plain(bytes: &[u8]) -> Vec<u8> {
    let mut failed = false;
    let mut plain = Vec::new();
    for frame in frames(bytes) {
        match frame {
            [b'Z', .., status] => failed = *status == b'E',
            [b'E', ..] if failed => {
                plain.push(b'E');
                continue;
            }
            _ => {}
        }
        plain.extend_from_slice(frame);
    }
    plain
}

/// What is read from the first difference on, with a little before it.
fn news(bytes: &[u8], other: &[u8]) -> Vec<String> {
    let (shown, other) = (show_server(bytes), show_server(other));
    let same = shown.iter().zip(&other).take_while(|(a, b)| a == b).count();
    shown[same.saturating_sub(2)..].to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 4000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_session_changes_no_byte(
        script in script(),
        chaos in proptest::option::of(any::<u64>()),
        pace in proptest::option::of(any::<u64>()),
    ) {
        prop_assume!(!is_lenient(&script));
        check(&script, 3, chaos, pace);
    }
}
