//! The transaction block of a session, as the server reported it and as we predict it.

use std::sync::Arc;

use sql::{Reason, Writes};
use wire::backend::Status;

use crate::{prepared::Prepared, queue::Boundary};

/// Where the session stands.
#[derive(Debug, Default)]
pub(crate) enum Block {
    /// Outside a block.
    #[default]
    Idle,
    /// The client has said BEGIN; the server does not know yet.
    Virtual {
        /// The statement, to be sent when something must reach the server.
        begin: Arc<Prepared>,
        /// Whether it will be READ COMMITTED.
        read_committed: bool,
    },
    /// Inside a block.
    Open {
        /// Whether each statement sees what was committed before it.
        read_committed: bool,
    },
    /// Inside a block that has failed, and may be rolled back to a savepoint.
    Failed {
        /// Whether each statement behind that sees what was committed before it.
        read_committed: bool,
    },
}

/// The present transaction.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) block: Block,
    /// What the open block has written so far, as far as its replies have come.
    pub(crate) writes: Writes,
    /// It may have run any code, for all that its own statements say.
    pub(crate) unbounded: bool,
    /// Settings were changed inside the block: what holds after it only the server can tell.
    pub(crate) settings: bool,
    /// Code ran inside the block that may commit by itself; what follows may be more of it.
    pub(crate) commits: bool,
    /// Something was answered here in the block for which the server would have taken a snapshot.
    pub(crate) queried: bool,
}

impl Default for Transaction {
    fn default() -> Self {
        Self {
            block: Block::Idle,
            writes: Writes::Nothing,
            unbounded: false,
            settings: false,
            commits: false,
            queried: false,
        }
    }
}

impl Transaction {
    /// What ReadyForQuery says.
    pub(crate) const fn status(&self) -> Status {
        match self.block {
            Block::Idle => Status::Idle,
            Block::Virtual { .. } | Block::Open { .. } => Status::Transaction,
            Block::Failed { .. } => Status::Failed,
        }
    }

    /// Whether the server is inside a block.
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.block, Block::Open { .. } | Block::Failed { .. })
    }

    /// Whether each statement of the block sees what was committed before it, if there is a block.
    pub(crate) const fn read_committed(&self) -> Option<bool> {
        match self.block {
            Block::Open { read_committed } | Block::Failed { read_committed } => {
                Some(read_committed)
            }
            Block::Idle | Block::Virtual { .. } => None,
        }
    }

    /// Whether a read may be answered by others' versions of the data, as far as the block goes.
    pub(crate) fn allows_reads(&self) -> Result<(), Reason> {
        match self.block {
            Block::Failed { .. } => Err(Reason::FailedTransaction),
            Block::Virtual {
                read_committed: false,
                ..
            }
            | Block::Open {
                read_committed: false,
            } => Err(Reason::Isolation),
            Block::Open { .. } if self.writes.any() => Err(Reason::TransactionWrites),
            Block::Idle | Block::Virtual { .. } | Block::Open { .. } => Ok(()),
        }
    }

    /// The server's ReadyForQuery at the end of `boundary`.
    pub(crate) fn end(&mut self, status: Status, boundary: &Boundary) {
        let read_committed = match (self.read_committed(), boundary.read_committed) {
            // A block that is open keeps its level: another BEGIN only warns.
            (Some(as_before), Some(told)) => as_before && told,
            (Some(as_before), None) => as_before && !boundary.control,
            (None, Some(told)) => told,
            (None, None) => false,
        };
        self.commits |= boundary.commits;
        self.unbounded |= boundary.unbounded;
        self.queried = !boundary.chains && (self.queried || boundary.queried);
        match status {
            Status::Idle => *self = Self::default(),
            Status::Transaction => {
                self.writes.add(&boundary.writes);
                self.block = Block::Open { read_committed };
            }
            Status::Failed => {
                self.writes.add(&boundary.writes);
                self.block = Block::Failed { read_committed };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use catalog::RelationId;

    use super::*;
    use crate::{Limits, Login, Session, Shared, Telemetry, tests::world::World};

    #[test]
    fn a_catalog_that_is_lost_and_read_again_leaves_what_was_written() {
        let limits = Limits {
            analysis_bytes_max: 1 << 20,
            entry_bytes_max: 1 << 20,
            statements_max: 10,
        };
        let world = World::new(None);
        let login = Login {
            digest: cache::DigestBuilder::default().finish(),
            texts: crate::Texts::default(),
            primary: true,
            generation: None,
            secret: None,
        };
        let shared = Arc::new(Shared::new(limits, Arc::new(Telemetry::default())));
        let mut session = Session::new(shared, &login);
        let known = || Some(Arc::clone(world.knowledge()));
        session.know(known());
        session.transaction.block = Block::Open {
            read_committed: true,
        };
        let written = Writes::Relations([RelationId::from_oid(7)].into());
        session.transaction.writes = written.clone();
        session.know(None);
        session.know(known());
        assert_eq!(session.transaction.writes, written);
    }
}
