//! The state machine of one client: protocol in, protocol out, and what to ask of the store.
//!
//! Invariants: replies leave in the order they were asked for; nothing is answered here that the
//! server would judge; a read is looked up only in a state in which every committed write is
//! visible to it and none of its own is pending.
//!
//! Sockets, clocks and the store are the shell's affair (`proxy`).

mod bind;
mod block;
mod by_sql;
mod client;
mod copy;
mod counted;
mod describe;
mod ending;
mod execute;
mod extended;
mod flight;
mod folds;
mod identity;
mod knowledge;
mod leaving;
mod local;
mod materialize;
mod mirror;
mod need;
mod output;
mod own;
mod parameters;
mod pipeline;
mod planned;
mod portals;
mod prepared;
mod probe;
mod queue;
mod recipe;
mod recorder;
mod registry;
mod run;
mod savepoint;
mod scopes;
mod server;
mod session;
mod shared;
mod simple;
mod stale;
mod statistics;
mod telemetry;
mod temporary;
#[cfg(test)]
mod tests;
mod texts;
mod timeouts;
mod told;
mod transaction;
mod wanted;

pub use flight::Lead;
pub use identity::Identity;
pub use knowledge::{Definitions, Knowledge};
pub use need::{Answer, Login, Need, Outcome, Question, SessionError};
pub use output::{Output, PENDING_MAX};
pub use recipe::{Outcome as RecipeOutcome, Recipe, Reply};
pub use recorder::Record;
pub use scopes::written;
pub use session::Session;
pub use shared::{Limits, Shared};
pub use statistics::{Lane, Statistics, Tally};
pub use telemetry::{Counter, FlightCounters, Gauge, Histogram, RefusedFill, Renewal, Telemetry};
pub use texts::Texts;
pub use timeouts::Timeouts;
