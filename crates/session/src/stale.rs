//! Statements whose tables have changed shape since the client prepared them.
//!
//! A server that has parsed a statement refuses to run it once it would return other columns
//! (`RevalidateCachedQuery`): by that error drivers know that they must prepare anew. A statement
//! whose Parse was answered here would not be refused, since the server parses it only now. So
//! wherever definitions may have changed in between, it is parsed and described first, and if the
//! columns are others than the client was promised, the refusal is made up: the server is asked for
//! an error, so that it skips and rolls back as it would have, and the words are replaced.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use sql::{Control, Plan, Writes};
use wire::{
    backend,
    frontend::{self, Target},
};

use crate::{
    client::Step,
    own,
    prepared::Prepared,
    queue::{Awaited, Expect, Route, Slot},
    registry::{Name, Stale, Statement, Undo, kept},
    session::Session,
};

impl Session {
    /// The number of the context in which statements are planned now; 0 without a catalog.
    pub(crate) fn context(&self) -> u64 {
        match (&self.knowledge, self.mirror.naming()) {
            (Some(_), Some((context, _))) => *context,
            (Some(knowledge), None) => {
                let temporary = self.mirror.temporary();
                self.shared.anywhere(knowledge, temporary)
            }
            (None, _) => 0,
        }
    }

    /// Whether what the server says of a statement holds for all sessions in this context: this one
    /// has no temporary objects, has changed no definitions that others do not see yet and no settings
    /// that have not arrived, and nobody else has changed any since the catalog was read.
    pub(crate) fn sees_known_definitions(&self) -> bool {
        self.sees_common_definitions()
            && self.mirror.identity().is_some()
            && self.knowledge.as_ref().is_some_and(|it| !it.is_outdated())
    }

    /// Whether the definitions that this session sees are also those of others: it has no temporary
    /// objects, and its block has changed none.
    pub(crate) fn sees_common_definitions(&self) -> bool {
        let own = |writes: &Writes, temporary: bool| temporary || writes.is_unbounded();
        let changed = own(&self.transaction.writes, false)
            || own(&self.segment.writes, self.segment.temporary)
            || self
                .queue
                .boundaries()
                .any(|it| own(&it.writes, it.temporary));
        !changed
            && self
                .mirror
                .naming()
                .is_some_and(|(_, identity)| identity.temporary.is_none())
    }

    /// Whether this statement, if the server has it, is known to return there what it did when it
    /// was parsed: only then may another reply stand for its own.
    pub(crate) fn is_proven(
        &mut self,
        name: &[u8],
        current: &Arc<Prepared>,
        parameters: u16,
    ) -> bool {
        let Some(statement) = self.registry.statement_mut(name) else {
            return true;
        };
        if statement.prepared.context == current.context {
            return true;
        }
        let (then, now) = (&statement.row, current.row(&statement.types));
        let same =
            matches!((then, now), (Some(then), Some(now)) if backend::same_columns(then, &now));
        let same = same && statement.infers_as(current, parameters);
        if same {
            statement.prepared = Arc::clone(current);
        }
        same
    }

    /// Whether the server, if it parsed this statement only now, could return what the client does
    /// not expect: the definitions may have changed since the client prepared it, and nobody has
    /// looked whether they did.
    pub(crate) fn is_suspicious(&self, name: &[u8]) -> bool {
        self.registry.statement(name).is_some_and(|statement| {
            let fresh = statement.segment == self.segment.segment && !statement.described;
            let changed = self.segment.writes == Writes::Everything || self.segment.temporary;
            let known = fresh && !changed;
            let absent = !statement.on_server && statement.row.is_some();
            absent && !known && !self.is_failed()
        })
    }

    /// Finds out whether the server would see in this statement what the client does. It is made
    /// there; the message at hand waits.
    pub(crate) fn verify(&mut self, name: &[u8]) -> Step {
        self.materialize_statement(name);
        self.may_read_anew(name);
        frontend::put_describe(self.to_server.tail(), Target::Statement, name);
        self.forwarded = true;
        let expect = Expect::DescribeStatement {
            learn: None,
            parameters: None,
            verify: Some(Name::from_slice(name)),
            infer: None,
        };
        self.push_swallowed(expect, None);
        self.stall();
        Step::Wait
    }

    /// The server has described a statement that was to be verified.
    pub(crate) fn verified(&mut self, name: &[u8], parameters: Bytes, row: &[u8]) {
        let Some(prepared) = self
            .registry
            .statement(name)
            .map(|it| Arc::clone(&it.prepared))
        else {
            return;
        };
        let current = self.current(&prepared);
        let common = self.sees_common_definitions();
        let respelled = self.texts.have_changed() || self.awaits_other_texts();
        if let Some(statement) = self.registry.statement_mut(name) {
            let same = statement.row.as_ref().is_none_or(|then| {
                backend::same_columns(then, row) || respelled && backend::same_types(then, row)
            });
            if same && common {
                statement.prepared = current;
            } else if !same {
                statement.stale = Some(Stale {
                    parameters,
                    refused: false,
                });
            }
        }
    }

    /// Whether the server would refuse this statement, had it parsed it when the client did.
    pub(crate) fn is_stale(&self, name: &[u8]) -> bool {
        let statement = self.registry.statement(name);
        !self.is_failed() && statement.is_some_and(|it| it.stale.is_some())
    }

    /// A Bind, or a Describe, of a stale statement is refused. The next one is looked into again:
    /// a rollback, or yet another change, may have brought back what the client expects.
    pub(crate) fn meet_stale(&mut self, name: &[u8], target: Stage) -> Step {
        if !self.queue.is_empty() {
            // Whether the block still goes on decides what is refused.
            self.stall();
            return Step::Wait;
        }
        let Some(statement) = self.registry.statement_mut(name) else {
            return Step::Done;
        };
        let parameters = match &mut statement.stale {
            Some(stale) if !stale.refused => {
                stale.refused = true;
                stale.parameters.clone()
            }
            Some(_) | None => {
                self.close_stale(name);
                return self.verify(name);
            }
        };
        self.materialize_block();
        let nobody = self.registry.own_name(own::NOBODY);
        let expect = match target {
            Stage::Bind => {
                frontend::put_bind(self.to_server.tail(), &nobody, &nobody);
                Expect::Bind(None)
            }
            Stage::Describe => {
                // The server finds out when it comes to the columns.
                self.push_local(&parameters);
                frontend::put_describe(self.to_server.tail(), Target::Statement, &nobody);
                Expect::DescribeStatement {
                    learn: None,
                    parameters: None,
                    verify: None,
                    infer: None,
                }
            }
        };
        self.forwarded = true;
        self.queue.push(Slot::Server(Awaited {
            expect,
            route: Route::Refusal,
            undo: None,
        }));
        Step::Done
    }

    /// What the server has in place of a statement is not it, and goes.
    pub(crate) fn close_stale(&mut self, name: &[u8]) {
        let Some(statement) = self.registry.statement_mut(name) else {
            return;
        };
        let former = Undo::Statement(kept(name), Some(Box::new(statement.clone())));
        (statement.stale, statement.on_server) = (None, false);
        self.materialize_block();
        frontend::put_close(self.to_server.tail(), Target::Statement, name);
        self.forwarded = true;
        self.push_swallowed(Expect::Close, Some(former));
    }

    /// The server must have this statement from here on, or in a failed block, in which it refuses
    /// to parse it, one that takes its place: whoever binds it is refused in the same words.
    pub(crate) fn materialize_or_stand_in(&mut self, name: &[u8]) {
        let failed = self.is_failed();
        let absent = |it: &Statement| !it.on_server && !ends_block(&it.prepared.plan);
        if failed && self.registry.statement(name).is_some_and(absent) {
            self.stand_in(name);
        } else {
            self.materialize_statement(name);
        }
    }

    /// An empty statement, with as many parameters, stands in for one that the server refuses to
    /// parse. It is made anew before it is used outside of the block.
    pub(crate) fn stand_in(&mut self, name: &[u8]) {
        let Some(statement) = self.registry.statement_mut(name) else {
            return;
        };
        let known = statement.prepared.shape(&statement.types);
        let parameters = known.and_then(|shape| shape.parameters).unwrap_or_default();
        let declared = u16::try_from(statement.types.len() / 4).unwrap_or(u16::MAX);
        let count = declared.max(sql::last_parameter(&statement.prepared.text));
        let mut types = BytesMut::from(&count.to_be_bytes()[..]);
        types.resize(2 + 4 * usize::from(count), 0);
        frontend::put_parse_typed(self.to_server.tail(), name, b"", &types);
        statement.on_server = true;
        statement.stale = Some(Stale {
            parameters,
            refused: true,
        });
        self.registry.server_unnamed |= name.is_empty();
        self.registry.doubt(name, self.segment.segment);
        self.forwarded = true;
        let undo = Undo::Absent(Name::from_slice(name));
        self.push_swallowed(Expect::Parse(None), Some(undo));
    }
}

/// Whether it ends a block, so that one that has failed accepts it.
pub(crate) fn ends_block(plan: &Plan) -> bool {
    matches!(
        plan.effects.control,
        Some(Control::Commit { .. } | Control::Rollback { .. })
    )
}

/// Which message meets a stale statement.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage {
    Bind,
    Describe,
}
