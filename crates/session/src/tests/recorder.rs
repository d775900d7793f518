//! What is not worth keeping, judged by its tag.

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use cache::{DigestBuilder, Scopes, Stamp, Version};
use wire::backend;

use super::world::World;
use crate::{
    Question,
    prepared::Prepared,
    recorder::{Recorder, Recording},
};

const DESCRIPTION: &[u8] = b"T\0\0\0\x06\0\0";
const ROW: &[u8] = b"D\0\0\0\x06\0\0";

/// Whether a reply of two rows is kept that ends with this tag.
fn is_kept(tag: &[u8]) -> bool {
    let recording = Recording {
        question: Question {
            key: DigestBuilder::default().into_key().0,
            knowledge: Arc::clone(World::new(None).knowledge()),
            scopes: Scopes::new(),
            complete: None,
            ttl: Duration::from_secs(1),
            statement: Arc::new(Prepared::opaque(b"")),
            recipe: None,
        },
        stamp: Stamp::new([Version::from_bytes([1; 16])]),
        lead: None,
        capture: 0,
    };
    let mut recorder = Recorder::new(Box::new(recording), Some(DESCRIPTION), 1 << 16);
    recorder.rows(&[ROW, ROW].concat(), 2).unwrap();
    let mut complete = BytesMut::new();
    backend::put_command_complete(&mut complete, tag);
    recorder.finish(&complete).is_ok()
}

#[test]
fn a_tag_that_does_not_count_the_rows_spoils_a_reply() {
    assert!(is_kept(b"SELECT 2"));
    for tag in [
        &b"SELECT 1"[..],
        b"SELECT 3",
        b"SELECT",
        b"UPDATE 2",
        b"FETCH 2",
    ] {
        assert!(!is_kept(tag), "{}", tag.escape_ascii());
    }
}
