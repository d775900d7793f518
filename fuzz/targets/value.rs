//! A reply as Redis keeps it.
//!
//! The module is taken from the store's sources: the whole store would be built for nothing.
//!
//! Laws: bytes from outside are refused or read, whatever they are; what was read is written back
//! byte for byte; a value is damaged under any other name.

#![no_main]

#[path = "../../crates/store/src/redis"]
mod redis {
    mod value;

    use bytes::Bytes;
    use cache::CacheKey;

    /// A value whose checksum is right: no fuzzer finds one by itself.
    pub(crate) fn seal(key: &CacheKey, body: &[u8]) -> Bytes {
        let sum = blake3::keyed_hash(key.as_bytes(), body);
        let sum = sum.as_bytes().get(..16).unwrap_or_default();
        Bytes::from([&[value::FORMAT], sum, body].concat())
    }

    /// Reads a value and checks all that must hold of it; whether it was accepted.
    pub(crate) fn check(key: &CacheKey, other: &CacheKey, bytes: &Bytes) -> bool {
        assert_eq!(value::decode(other, bytes), None);
        let Some(stored) = value::decode(key, bytes) else {
            return false;
        };
        let entry = &stored.entry;
        let description = entry.description().map_or(0, |frame| frame.len());
        assert_eq!(
            description + entry.data().len() + entry.complete().len(),
            entry.len()
        );
        assert_eq!(entry.execution().len() + description, entry.len());
        assert_eq!(value::encode(key, &stored).as_ref(), Some(bytes));
        assert_eq!(stored.age(stored.beyond), stored.fresh);
        true
    }
}

use bytes::Bytes;
use cache::{CacheKey, DigestBuilder};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let (key, other) = (key(1), key(2));
    redis::check(&key, &other, &Bytes::copy_from_slice(body));
    let sealed = redis::seal(&key, body);
    if redis::check(&key, &other, &sealed) {
        let cut = sealed.slice(..sealed.len() - 1);
        assert!(!redis::check(&key, &other, &cut));
    }
});

fn key(number: u64) -> CacheKey {
    let mut fields = DigestBuilder::default();
    fields.number(number);
    fields.into_key().0
}
