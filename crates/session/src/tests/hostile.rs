//! No bytes of either peer break a session.

use bytes::BytesMut;
use proptest::{collection::vec, prelude::*, sample::Index};

use super::{
    message::put,
    script::{Script, script},
    world::{Client, World},
};

/// Frames of a server, whatever was asked.
fn reply() -> impl Strategy<Value = Vec<u8>> {
    let body = prop_oneof![
        4 => Just(Vec::new()),
        1 => Just(b"I".to_vec()),
        1 => Just(b"T".to_vec()),
        1 => Just(b"E".to_vec()),
        1 => Just(b"SELECT 1\0".to_vec()),
        1 => Just(b"\0\x01\0\0\0\x011".to_vec()),
        1 => Just(b"\0\x01v\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0".to_vec()),
        1 => Just(b"SERROR\0VERROR\0C42601\0Mno\0\0".to_vec()),
        1 => vec(any::<u8>(), 0..12),
    ];
    let tag =
        prop_oneof![8 => Just(b"123nTDCZEstIGHWcdSANV".to_vec()), 1 => Just((0..=255).collect())];
    (tag, any::<Index>(), body).prop_map(|(tags, index, body)| {
        let mut frame = BytesMut::new();
        put(&mut frame, *index.get(&tags), |out| {
            out.extend_from_slice(&body);
        });
        frame.to_vec()
    })
}

/// The bytes of a script, some of them changed.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    (script(), vec((any::<Index>(), any::<u8>()), 0..4)).prop_map(|(Script(bursts), damage)| {
        let mut bytes = BytesMut::new();
        for message in bursts.concat() {
            message.put(&mut bytes);
        }
        for (index, byte) in damage {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.to_vec()
    })
}

fn endure(client: &[u8], server: &[u8], piece: usize) {
    let mut world = World::new(None);
    let mut session = Client::new(&world, "a");
    let (mut client, mut server) = (client.chunks(piece), server.chunks(piece));
    loop {
        let (sent, answered) = (client.next(), server.next());
        let more = sent.is_some() || answered.is_some();
        let (sent, answered) = (sent.unwrap_or_default(), answered.unwrap_or_default());
        if !session.endure(&mut world, sent, answered) || !more {
            return;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn noise_does_not_panic(
        client in vec(any::<u8>(), 0..300),
        server in vec(any::<u8>(), 0..300),
        piece in 1..100_usize,
    ) {
        endure(&client, &server, piece);
    }

    #[test]
    fn answers_to_other_questions_do_not_panic(
        client in damaged(),
        server in vec(reply(), 0..40),
        piece in 1..100_usize,
    ) {
        endure(&client, &server.concat(), piece);
    }
}
