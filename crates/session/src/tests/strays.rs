//! A BEGIN that was answered here, and that the server refuses when it hears of it.

use super::{
    message::{read, show_server},
    world::{Client, World},
};

const READ: &str = "Query \"select v from t where id = 1\"";
const WRITE: &str = "Query \"update t set v = v + 1 where id = 1\"";

fn say(world: &mut World, client: &mut Client, messages: &[&str]) -> Vec<String> {
    client.received.clear();
    for message in messages {
        client.send(&read(message));
    }
    client.settle(world, None);
    show_server(&client.received)
}

/// Whether others read what was written behind such a BEGIN, and the writer has been told.
fn check(begin: &[&str], write: &[&str]) {
    let mut world = World::new(None);
    let [mut writer, mut reader] = ["a", "b"].map(|name| Client::new(&world, name));
    for _ in 0..2 {
        say(&mut world, &mut reader, &[READ]);
        say(&mut world, &mut writer, &[READ]);
    }
    let hits = world.hits();
    let before = say(&mut world, &mut reader, &[READ]);
    assert_eq!(world.hits(), hits + 1, "it is remembered");
    writer.refuse_blocks();
    say(&mut world, &mut writer, begin);
    let told = say(&mut world, &mut writer, write);
    assert!(told[0].starts_with("ErrorResponse 57014"), "{told:?}");
    assert!(writer.is_unmarked(), "{write:?}");
    let after = say(&mut world, &mut reader, &[READ]);
    assert_ne!(before, after, "{write:?}: {told:?}");
    assert_eq!(world.hits(), hits + 1, "{write:?}");
    writer.leave(&mut world);
    reader.leave(&mut world);
}

/// There is no block then, so that what was to be part of it commits by itself.
#[test]
fn what_a_block_that_never_began_has_written_is_told() {
    let begin = &["Query \"begin\""];
    check(begin, &[WRITE]);
    check(begin, &[WRITE, "Query \"commit\""]);
    check(begin, &[WRITE, WRITE]);
    check(
        begin,
        &[
            "Parse \"update t set v = v + 1 where id = 1\"",
            "Bind",
            "Execute",
            "Sync",
        ],
    );
}

/// A standby refuses it, and the client has to be told at once.
#[test]
fn a_block_that_may_write_is_begun_here_only_if_the_server_is_no_standby() {
    let mut world = World::new(None);
    let mut client = Client::new(&world, "a");
    let mut begins = |client: &mut Client, text: &str| {
        say(&mut world, client, &[READ]);
        world.events.borrow_mut().clear();
        say(&mut world, client, &[&format!("Query \"{text}\"")]);
        let sent = world
            .events
            .borrow()
            .iter()
            .any(|it| it.contains("to server"));
        say(&mut world, client, &["Query \"rollback\""]);
        sent
    };
    assert!(!begins(&mut client, "begin"));
    assert!(begins(&mut client, "begin read write"));
    client.promote();
    assert!(!begins(&mut client, "begin read write"));
    client.leave(&mut world);
}
