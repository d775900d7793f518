//! The session as its peers see it.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a model says what it does, not what it leaves out"
)]

mod bounds;
mod broken;
mod golden;
mod hostile;
mod judge;
mod message;
mod model;
mod pair;
mod recorder;
mod same;
mod script;
mod sql;
mod strays;
pub(crate) mod world;
