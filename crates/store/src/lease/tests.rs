//! The protocol under adversity, and proof that each of its rules is needed.
//!
//! `world` is one scope, a few instances, their Redis and their PostgreSQL, in steps. `explore`
//! takes every step in every order from a small beginning; `wander` takes many random ones through
//! a large space. After every step no instance may be able to serve what a commit has replaced.

mod explore;
pub(crate) mod ledger;
mod step;
mod wander;
mod world;
