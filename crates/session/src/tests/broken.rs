//! What comes when the server has ended the session.

use bytes::BytesMut;

use super::{
    message::{put, read, show_server},
    world::{Client, World},
};

const READ: &str = "Query \"select v from t where id = 1\"";

/// A client whose read is remembered, with what it has received so far taken away.
fn warm(world: &mut World) -> Client {
    let mut client = Client::new(world, "a");
    for _ in 0..2 {
        client.send(&read(READ));
        client.settle(world, None);
    }
    client.received.clear();
    client
}

/// What a client reads that sends these messages when its server has gone, and has said so.
fn check(sent: &[&str]) {
    let mut world = World::new(None);
    let mut client = warm(&mut world);
    assert_eq!(world.hits(), 1);
    let mut last = BytesMut::new();
    put(&mut last, b'E', |out| {
        out.extend_from_slice(b"SFATAL\0VFATAL\0C57P01\0Mterminated\0\0");
    });
    client.interject(&last);
    for message in sent {
        client.send(&read(message));
        client.settle(&mut world, None);
    }
    let received = show_server(&client.received);
    assert_eq!(received, ["ErrorResponse 57P01 \"terminated\""], "{sent:?}");
    client.leave(&mut world);
}

#[test]
fn nothing_is_answered_after_the_last_word_of_the_server() {
    check(&[READ]);
    check(&["Query \"begin\"", READ]);
    check(&["Parse \"\" \"select v from t\"", "Sync"]);
    check(&["Sync"]);
    check(&["Query \"update t set v = 2 where id = 1\""]);
}
