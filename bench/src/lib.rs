//! What pgmemo costs and brings, measured from outside.
//!
//! Contenders answer the same workloads in turn, several times over, so that what else the machine
//! does strikes all of them alike. The figure to trust is CPU time per transaction, read from
//! `/proc` before and after a run; transactions per second on a shared machine are a hint.
//!
//! Before anything is measured, each contender's answers are compared with PostgreSQL's, byte for
//! byte.

mod chart;
mod contender;
mod cpu;
mod idle;
mod measure;
mod peers;
mod report;
mod run;
mod verify;
mod workload;

pub use run::{Options, USAGE, run};

/// The database that all workloads share; those that write have a copy of their own.
pub(crate) const READS: &str = "reads";
pub(crate) const WRITES: &str = "writes";
