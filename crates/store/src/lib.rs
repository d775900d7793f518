//! Where recorded replies and the versions of scopes live.
//!
//! Invariant: [`Store::look_up`] returns a hit only if the entry's stamp equals the versions that
//! were current after the question was asked; a scope that is unknown, or being written, has none.
//!
//! Nothing here fails towards the caller: whatever goes wrong is a miss that must not be recorded,
//! or a bump that is owed and fences the store until it is delivered.

use std::time::Duration;

use cache::{CacheKey, Entry, Scope, Stamp, Version};
use catalog::{DatabaseId, RelationId};

/// What a lookup asks.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The reply's name.
    pub key: &'a CacheKey,
    /// The database that was asked.
    pub database: DatabaseId,
    /// The epoch under which the asking session's catalog snapshot was read.
    pub epoch: Version,
    /// The relations the reply depends on, sorted.
    pub relations: &'a [RelationId],
}

/// What a lookup found.
#[derive(Clone, Debug)]
pub enum Found {
    /// A reply that holds.
    Hit(Entry),
    /// None; a reply to a query sent from now on may be recorded under this stamp.
    Miss(Stamp),
    /// A scope is being written: ask the server, record nothing.
    InFlight,
    /// The epoch is not the one of the question: the catalog snapshot must be read again.
    Outdated,
    /// The store did not answer in time, is down, or is fenced.
    Unavailable,
}

/// A reply to be remembered.
#[derive(Clone, Debug)]
pub struct Fill {
    /// Its name.
    pub key: CacheKey,
    /// The database that answered.
    pub database: DatabaseId,
    /// The relations it depends on, in the order of the stamp.
    pub relations: Box<[RelationId]>,
    /// What [`Found::Miss`] gave before the query left.
    pub stamp: Stamp,
    /// The frames.
    pub entry: Entry,
    /// How long it may be served.
    pub ttl: Duration,
}
