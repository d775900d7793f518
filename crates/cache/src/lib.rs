//! Key, entry, stamp, versions, policy: the words in which replies are remembered.
//!
//! Invariant: an entry may be served only while its [`Stamp`] equals the current versions.
//!
//! Where entries and versions live is `store`'s affair; which statements ask is `session`'s.

mod entry;
mod key;
mod policy;
mod scope;

pub use entry::{Entry, EntryError};
pub use key::{CacheKey, Digest, DigestBuilder};
pub use policy::{Ages, Pattern, PatternError, Policy, Refresh, Rule};
pub use scope::{Scope, Scopes, Stamp, Version, is_optional, suffices};
