//! A client talks to a server, and the same client to the same server through a session.
//!
//! Law: it hears the same, byte for byte, however the bytes arrive, whatever was recorded before,
//! and whoever else has written in between.
//!
//! Around the session stands a shell without sockets: a store, marks, and a network that delivers
//! when the fuzzer says so.

#![no_main]

#[path = "../fixture.rs"]
#[expect(dead_code, reason = "other targets use more of it")]
mod fixture;
#[path = "../messages.rs"]
#[expect(dead_code, reason = "other targets use more of it")]
mod messages;
mod server;
mod shell;
mod text;

use std::sync::LazyLock;

use bytes::{Buf, BytesMut};
use libfuzzer_sys::fuzz_target;
use wire::frontend;

use self::{fixture::World, messages::Script, server::Server, shell::Shell};

static WORLD: LazyLock<World> = LazyLock::new(World::new);

fuzz_target!(|input: &[u8]| {
    let mut script = Script(input);
    let mut direct = Server::new();
    let mut shell = Shell::new();
    let mut said = BytesMut::new();
    while let Some(step) = script.byte() {
        match step % 8 {
            0..=3 => {
                messages::client(&mut script, &mut said);
                shell.say(&said);
                tell(&mut direct, &mut said);
            }
            4 => shell.carry(usize::from(script.byte().unwrap_or(0)) + 1),
            5 => shell.learn(),
            6 => {
                shell.carry(usize::MAX);
                compare(&direct, &shell);
            }
            _ => {
                settle(&mut direct, &mut shell);
                if direct.is_idle() {
                    let city = script.byte().unwrap_or(0) % 2 == 0;
                    shell.others_write(city);
                    direct.write(|content| {
                        if city {
                            content.city += 1;
                        } else {
                            content.log += 1;
                        }
                    });
                }
            }
        }
    }
    settle(&mut direct, &mut shell);
});

/// All whole messages reach a server.
fn tell(server: &mut Server, said: &mut BytesMut) {
    while let Some(header) = wire::header(said).expect("we send messages")
        && header.total <= said.len()
    {
        server.hear(&said[..header.total]);
        said.advance(header.total);
    }
}

/// The client waits until it has heard everything.
fn settle(direct: &mut Server, shell: &mut Shell) {
    shell.say(frontend::SYNC);
    direct.hear(frontend::SYNC);
    shell.carry(usize::MAX);
    compare(direct, shell);
    assert_eq!(shell.heard.len(), direct.out.len(), "a reply is missing");
    assert!(shell.is_done());
}

/// What was heard through us is the beginning of what there is to hear.
fn compare(direct: &Server, shell: &Shell) {
    let heard = &shell.heard[..];
    // What the server still holds back may be said earlier without it.
    let due = [&direct.out[..], &direct.held].concat();
    if !due.starts_with(heard) {
        let same = due.iter().zip(heard).take_while(|(a, b)| a == b).count();
        panic!(
            "after {same} bytes\ndirect  {}\nthrough {}",
            due[same.saturating_sub(60)..].escape_ascii(),
            heard[same.saturating_sub(60)..].escape_ascii()
        );
    }
}
