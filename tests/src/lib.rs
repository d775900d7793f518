//! Harness of the end-to-end tests: throwaway PostgreSQL, Redis and pgmemo, and ways to compare.
//!
//! Everything is seen from outside, through sockets and signals, and PostgreSQL is the oracle: what
//! a test expects is what the server itself answers to the same bytes ([`twin`]) or to the same
//! interleaving of statements ([`scenario`]). Long runs are judged by invariants ([`history`]).
//!
//! Invariant: no process started here outlives the process that started it, however that one ends
//! ([`server`]), and no wait is without a deadline.
//!
//! With `PGMEMO_TEST_TARGET=direct` there is no pgmemo: its place is taken by the server itself.
//! This proves the tests, not the proxy; what they say about hits is then left out.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a harness may fail loudly; its caller is a test"
)]

pub mod dialogue;
pub mod driver;
pub mod env;
pub mod faults;
pub mod gate;
pub mod history;
pub mod http;
pub mod load;
pub mod metrics;
pub mod net;
pub mod pgmemo;
pub mod pooler;
pub mod postgres;
pub mod random;
pub mod redis;
pub mod scenario;
pub mod server;
pub mod survey;
pub mod twin;
pub mod way;
pub mod wire;

pub use metrics::Metrics;
pub use pgmemo::{Pgmemo, Store};
pub use postgres::{Postgres, Version};
pub use redis::Redis;
