//! Tokens: what a cell shows between two changes.

use std::{
    hash::BuildHasher,
    num::NonZeroU64,
    sync::atomic::{AtomicU64, Ordering},
};

use cache::Version;

/// Names one state of one cell. No two states have the same, in 2^64 changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Token(NonZeroU64);

impl Token {
    pub(super) const fn from_number(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    pub(super) const fn number(self) -> u64 {
        self.0.get()
    }
}

/// Makes tokens: a counter, scrambled by a bijection, so that they look random and never repeat.
#[derive(Debug)]
pub(super) struct Tokens {
    next: AtomicU64,
    random: AtomicU64,
    /// Tells versions of this store from those of any other.
    salt: u64,
}

impl Tokens {
    pub(super) fn seeded(seed: &impl BuildHasher) -> Self {
        Self {
            next: AtomicU64::new(seed.hash_one(0)),
            random: AtomicU64::new(seed.hash_one(1)),
            salt: seed.hash_one(2),
        }
    }

    pub(super) fn next(&self) -> Token {
        loop {
            // Exactly one number is scrambled to zero, so this ends.
            let number = scramble(self.next.fetch_add(1, Ordering::Relaxed));
            if let Some(token) = Token::from_number(number) {
                return token;
            }
        }
    }

    /// A number for jitter.
    pub(super) fn random(&self) -> u32 {
        (scramble(self.random.fetch_add(1, Ordering::Relaxed)) >> 32) as u32
    }

    /// A token as others see it.
    pub(super) fn version(&self, token: Token) -> Version {
        let mut bytes = [0; 16];
        let (number, salt) = bytes.split_at_mut(8);
        number.copy_from_slice(&token.number().to_be_bytes());
        salt.copy_from_slice(&self.salt.to_be_bytes());
        Version::from_bytes(bytes)
    }

    /// The token behind a version, if this store made it.
    pub(super) fn token(&self, version: Version) -> Option<Token> {
        let (number, salt) = version.as_bytes().split_first_chunk::<8>()?;
        let number = u64::from_be_bytes(*number);
        Token::from_number(number).filter(|_| salt == self.salt.to_be_bytes())
    }
}

/// The finalizer of splitmix64: each step can be undone, so different numbers stay different.
const fn scramble(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::RandomState;

    #[test]
    fn versions_of_another_store_are_not_understood() {
        let (ours, theirs) = (
            Tokens::seeded(&RandomState::new()),
            Tokens::seeded(&RandomState::new()),
        );
        let token = ours.next();
        assert_eq!(ours.token(ours.version(token)), Some(token));
        assert_eq!(theirs.token(ours.version(token)), None);
    }

    #[test]
    fn zero_is_skipped() {
        let tokens = Tokens {
            next: AtomicU64::new(0),
            random: AtomicU64::new(0),
            salt: 0,
        };
        assert_eq!(scramble(0), 0);
        assert_eq!(tokens.next().number(), scramble(1));
    }
}
