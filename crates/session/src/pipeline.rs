//! Messages without a Sync behind them.
//!
//! To the server, statements between two Syncs are a pipeline: behind the first that was executed some
//! commands are refused that a transaction block refuses, and others allowed that need one; and from
//! PostgreSQL 18 on it is a block of its own, in which a simple query leaves the session until the
//! next Sync. So what was answered here has to be made up for.

use sql::{Plan, Reason};
use wire::backend::Status;

use crate::{client::Step, own, session::Session};

impl Session {
    /// A portal has been run here.
    pub(crate) fn note_pipelined(&mut self) {
        self.pipelined = self.status() == Status::Idle;
    }

    /// Whether a simple query or function call has to wait until the server knows that it comes in a
    /// pipeline.
    pub(crate) fn awaits_pipeline(&mut self) -> Option<Step> {
        self.pipelined.then(|| {
            self.materialize_pipeline();
            self.stall();
            Step::Wait
        })
    }

    /// The server has to know that a statement comes in a pipeline, if that is anything to it.
    pub(crate) fn materialize_pipeline_for(&mut self, plan: &Plan) {
        if !std::mem::take(&mut self.pipelined) {
            return;
        }
        // Where rows are read or written, nothing asks for a block or against one.
        if matches!(plan.read, Err(Reason::NotARead | Reason::Unreadable)) {
            self.materialize_pipeline();
        }
    }

    fn materialize_pipeline(&mut self) {
        self.pipelined = false;
        self.materialize_block();
        self.run_own(own::PIPELINE, b"SELECT 1");
        self.forwarded = true;
    }
}
