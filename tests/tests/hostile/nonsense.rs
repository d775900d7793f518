//! Bytes that are no messages, and messages that make no sense.

use anyhow::{Result, ensure};
use pgmemo_tests::{
    random::{Random, seed},
    wire::Frontend,
};

use super::Ground;

#[test]
fn nonsense_instead_of_a_startup_packet_is_turned_away() -> Result<()> {
    let mut ground = Ground::new()?;
    let packets: [&[u8]; 12] = [
        b"",
        b"\0",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0\0\0\x00",
        b"\0\0\0\x07\0\x03\0",
        b"\0\0\0\x08\0\x03\0\0",
        b"\xff\xff\xff\xff\0\x03\0\0",
        b"\x7f\xff\xff\xff\0\x03\0\0user\0x\0\0",
        b"\0\0\0\x0d\0\x03\0\0user\0",
        b"\0\0\0\x09\0\x02\0\0\0",
        b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x01\0\0\0\x02",
    ];
    for packet in packets {
        let mut socket = ground.socket()?;
        socket.send(packet)?;
        socket.shutdown()?;
        ensure!(
            socket.ends(),
            "no end after {:?}",
            packet.escape_ascii().to_string()
        );
    }
    ground.check()
}

#[test]
fn bytes_behind_an_ssl_request_do_not_hang_the_connection() -> Result<()> {
    let mut ground = Ground::new()?;
    let request = [0_u8, 0, 0, 8, 4, 210, 22, 47];
    let login = Frontend::new()
        .raw(&request)
        .startup(3 << 16, &[("user", "postgres"), ("database", "postgres")]);
    let mut socket = ground.socket()?;
    socket.send(login.bytes())?;
    socket.shutdown()?;
    ensure!(socket.ends(), "the connection stayed open");
    ground.check()
}

#[test]
fn impossible_lengths_end_the_connection_and_nothing_else() -> Result<()> {
    let mut ground = Ground::new()?;
    for length in [0_u32, 1, 3, 0x8000_0000, 0xffff_ffff, 0x7fff_ffff] {
        for tag in *b"QPBEDCSHXFdcfp?" {
            let mut session = ground.session()?;
            let mut message = vec![tag];
            message.extend(length.to_be_bytes());
            message.extend(b"some bytes that follow");
            session.send(&message)?;
            session.shutdown()?;
            ensure!(
                session.ends(),
                "no end after {:?} of length {length}",
                char::from(tag)
            );
        }
    }
    ground.check()
}

#[test]
fn random_bytes_after_the_login_harm_nobody_else() -> Result<()> {
    let mut ground = Ground::new()?;
    let mut random = Random::new(seed());
    for _ in 0..100 {
        let mut session = ground.session()?;
        let length = random.index(400);
        let bytes: Vec<u8> = (0..length).map(|_| random.byte()).collect();
        session.send(&bytes)?;
        session.shutdown()?;
        ensure!(session.ends(), "no end after {}", bytes.escape_ascii());
    }
    ground.check()
}

#[test]
fn messages_with_random_bodies_harm_nobody_else() -> Result<()> {
    let mut ground = Ground::new()?;
    let mut random = Random::new(seed());
    for _ in 0..100 {
        let mut session = ground.session()?;
        let mut batch = Frontend::new();
        for _ in 0..8 {
            let tag = b"QPBEDCSHFdcf"[random.index(12)];
            let length = random.index(40);
            let body: Vec<u8> = (0..length).map(|_| random.byte() % 4).collect();
            batch = batch.message(tag, &body);
        }
        let batch = batch.sync().terminate();
        session.send(batch.bytes())?;
        session.shutdown()?;
        ensure!(
            session.ends(),
            "no end after {}",
            batch.bytes().escape_ascii()
        );
    }
    ground.check()
}

/// What came before it is answered as if nothing had followed.
#[test]
fn what_comes_before_nonsense_is_answered() -> Result<()> {
    let ground = Ground::new()?;
    for before in [
        Frontend::new().query("SELECT pg_sleep(0.1), 'answered'"),
        Frontend::new()
            .parse("", "SELECT 'answered'", &[])
            .bind("", "", &[])
            .execute("", 0),
    ] {
        let mut conn = ground.session()?;
        conn.send(before.raw(b"Q\0\0\0\x01").bytes())?;
        let mut answered = false;
        while let Some(message) = conn.try_read()? {
            answered |= message.tag == b'D';
        }
        ensure!(answered, "the reply is missing");
    }
    Ok(())
}
