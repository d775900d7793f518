//! The state machine of one client: protocol in, protocol out, and what to ask of the store.

mod knowledge;
mod telemetry;

pub use knowledge::Knowledge;
pub use telemetry::{Counter, Gauge, Histogram, RefusedFill, Telemetry};
