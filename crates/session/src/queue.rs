//! The replies a client is owed, in the order it asked.
//!
//! Invariant: nothing reaches the client but from the head of this queue, asynchronous messages
//! of the server aside; so no reply overtakes another, whoever gives it.
//!
//! Chapter "Message Flow" of PostgreSQL's manual says which messages answer which.

mod boundary;

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use sql::{Plan, Skips};
use wire::backend::said_by;

pub(crate) use self::boundary::{Boundary, Judged, Passed, SettingsChange};
use crate::{
    copy::Fence,
    parameters::Inferred,
    prepared::{Prepared, Types},
    recorder::Recording,
    registry::{Name, Undo},
};

/// How many slots an empty queue keeps room for: what one statement takes, prepared before.
const SLOTS_IDLE: usize = 4;

/// One reply that is owed.
#[derive(Debug)]
pub(crate) enum Slot {
    /// The server gives it.
    Server(Awaited),
    /// It is ready and leaves when it reaches the head.
    Local(Bytes, Option<Undo>),
    /// A ReadyForQuery for a segment that the server never saw.
    Ready,
}

/// Each message of the client moves one in and out: more would take a loop to copy.
const _: () = assert!(size_of::<Slot>() <= 256);

/// A reply that the server gives.
#[derive(Debug)]
pub(crate) struct Awaited {
    pub(crate) expect: Expect,
    pub(crate) route: Route,
    /// What to put back if the server skips the message.
    pub(crate) undo: Option<Undo>,
}

/// What becomes of a server's reply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Route {
    /// The client asked.
    Relay,
    /// We asked on the client's behalf; only errors and notices concern it.
    Swallow,
    /// We asked again for what the client has had the answer to; only errors concern it.
    Repeat,
    /// We asked for an error, to stand for one that PostgreSQL would raise.
    Refusal,
    /// We asked about the session itself.
    Probe,
}

/// Which reply ends the slot, and what is learned from it.
#[derive(Debug)]
pub(crate) enum Expect {
    /// ParseComplete.
    Parse(Option<Arc<Prepared>>),
    /// BindComplete; with the statement, if its replies may be recorded.
    Bind(Option<Name>),
    /// BindComplete, which proves that the statement returns what it did when it was parsed.
    Proof(Box<(Name, Arc<Prepared>)>),
    /// ParameterDescription, then RowDescription or NoData.
    DescribeStatement {
        learn: Option<(Arc<Prepared>, Types)>,
        parameters: Option<Bytes>,
        /// Whether this statement still has the columns it had is to be found out.
        verify: Option<Name>,
        /// The types of its parameters are to be found out.
        infer: Option<Inferred>,
    },
    /// RowDescription or NoData; kept for the recording that follows.
    DescribePortal {
        capture: Option<u64>,
        learn: Option<(Arc<Prepared>, Types)>,
    },
    /// CommandComplete, EmptyQueryResponse or PortalSuspended.
    Execute(Execution),
    /// CloseComplete.
    Close,
    /// ReadyForQuery.
    Sync(Boundary),
    /// ReadyForQuery, after any number of results.
    Query(Execution, Boundary),
    /// ReadyForQuery, after FunctionCallResponse.
    Function(Boundary),
    /// Any number of ReadyForQuery, and in front of the last the answer to a message of ours.
    Fence(Box<Fence>),
}

/// What an Execute or Query carries along.
#[derive(Debug, Default)]
pub(crate) struct Execution {
    /// Keep the reply under this name.
    pub(crate) recording: Option<Box<Recording>>,
    /// Where the RowDescription of the recording comes from.
    pub(crate) description: Description,
    /// DEALLOCATE of these statements, or PREPARE of others by their names, in order.
    pub(crate) deallocates: VecDeque<Box<str>>,
    /// It was not understood, and its tag says whether it is harmless.
    pub(crate) judges: bool,
    /// What the server says if it does nothing, and has yet to say.
    pub(crate) skips: Option<Arc<Skips>>,
    /// It has said so.
    pub(crate) skipped: bool,
}

impl Execution {
    /// What a statement of this plan carries along.
    pub(crate) fn of(plan: &Plan) -> Self {
        Self {
            deallocates: plan.effects.deallocates.to_vec().into(),
            judges: plan.effects.tag_judges,
            skips: plan.effects.skips.clone(),
            ..Self::default()
        }
    }

    /// A NoticeResponse has come.
    pub(crate) fn note(&mut self, notice: &[u8]) {
        if let Some(skips) = &self.skips
            && let Some((routine, message)) = said_by(notice)
        {
            self.skipped |= skips.is_told(routine, message);
        }
    }
}

/// Where the RowDescription of a recording comes from.
#[derive(Debug, Default)]
pub(crate) enum Description {
    /// It is part of the reply.
    #[default]
    InReply,
    /// The Describe of the portal before.
    Captured,
    /// It is known.
    Known(Bytes),
}

/// What the server skips after an error.
#[derive(Debug)]
pub(crate) struct Skipped {
    /// What to put back, last change first.
    pub(crate) undos: Vec<Undo>,
    /// The Sync it skips to was sent already.
    pub(crate) reached: bool,
    /// What the queries among it stood for; their marks end with the next Sync.
    pub(crate) boundary: Option<Boundary>,
}

/// Replies owed to one client.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    slots: VecDeque<Slot>,
    /// How many slots have left.
    left: usize,
    controls: usize,
    executes: usize,
    /// Where the boundaries are, counted from the first slot that ever was: a client may send tens
    /// of thousands of messages without a Sync, and at each it matters what is awaited.
    ends: VecDeque<usize>,
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether a block may begin or end before all replies have come.
    pub(crate) const fn has_control(&self) -> bool {
        self.controls > 0
    }

    /// Whether what the server is at is ours, and stands in front of a simple query or function call
    /// without a Sync between them.
    pub(crate) fn is_in_front_of_query(&self) -> bool {
        let ours = |slot: &&Slot| match slot {
            Slot::Server(Awaited { expect, route, .. }) => {
                let ends = matches!(
                    expect,
                    Expect::Sync(_) | Expect::Query(..) | Expect::Function(_) | Expect::Fence(_)
                );
                matches!(route, Route::Swallow | Route::Repeat) && !ends
            }
            Slot::Local(..) | Slot::Ready => false,
        };
        let mut slots = self.slots.iter();
        let Some(_) = slots.next().filter(ours) else {
            return false;
        };
        matches!(
            slots.find(|slot| !ours(slot)),
            Some(Slot::Server(Awaited {
                expect: Expect::Query(..) | Expect::Function(_),
                route: Route::Relay,
                ..
            }))
        )
    }

    /// Whether the server has yet to say how an earlier segment ended: what its messages did may
    /// turn out not to have happened.
    pub(crate) fn is_unsettled(&self) -> bool {
        !self.ends.is_empty()
    }

    /// Whether a ReadyForQuery is the end of the reply at the head, or the next reply.
    pub(crate) fn ends_next(&self) -> bool {
        let end = self.ends.front();
        end.is_some_and(|&end| end.wrapping_sub(self.left) <= 1)
    }

    /// Whether the server has statements of ours to run before the next one.
    pub(crate) fn is_at_work(&self) -> bool {
        self.executes > 0 || self.is_unsettled()
    }

    /// The replies that are to be recorded.
    pub(crate) fn recordings_mut(&mut self) -> impl Iterator<Item = &mut Option<Box<Recording>>> {
        self.slots.iter_mut().filter_map(|slot| match slot {
            Slot::Server(Awaited {
                expect: Expect::Execute(execution) | Expect::Query(execution, _),
                ..
            }) => Some(&mut execution.recording),
            Slot::Server(_) | Slot::Local(..) | Slot::Ready => None,
        })
    }

    #[inline]
    pub(crate) fn push(&mut self, slot: Slot) {
        self.controls += usize::from(controls(&slot));
        self.executes += usize::from(executes(&slot));
        if ends(&slot) {
            self.ends
                .push_back(self.left.wrapping_add(self.slots.len()));
        }
        self.slots.push_back(slot);
    }

    /// Nobody hears what the server says in answer to the last message, an error not excepted.
    pub(crate) fn hush_last(&mut self) {
        if let Some(Slot::Server(awaited)) = self.slots.back_mut() {
            awaited.route = Route::Probe;
        }
    }

    pub(crate) fn front_mut(&mut self) -> Option<&mut Slot> {
        self.slots.front_mut()
    }

    pub(crate) fn pop(&mut self) -> Option<Slot> {
        let slot = self.slots.front()?;
        self.left = self.left.wrapping_add(1);
        self.controls -= usize::from(controls(slot));
        self.executes -= usize::from(executes(slot));
        if ends(slot) {
            self.ends.pop_front();
        }
        // Last, so that it is moved once.
        self.slots.pop_front()
    }

    /// Gives back room that is not used.
    pub(crate) fn shrink(&mut self) {
        if self.slots.is_empty() && self.slots.capacity() > SLOTS_IDLE {
            self.slots = VecDeque::new();
        }
        if self.ends.is_empty() && self.ends.capacity() > SLOTS_IDLE {
            self.ends = VecDeque::new();
        }
    }

    /// Whether the last reply that the server owes is one that it holds back until it is told to
    /// answer.
    pub(crate) fn is_held_back(&self) -> bool {
        let owed = self.slots.iter().rev().find_map(|slot| match slot {
            Slot::Server(awaited) => Some(boundary(&awaited.expect).is_none()),
            Slot::Local(..) | Slot::Ready => None,
        });
        owed.unwrap_or(false)
    }

    /// All boundaries that are awaited.
    pub(crate) fn boundaries(&self) -> impl Iterator<Item = &Boundary> {
        self.ends
            .iter()
            .filter_map(|&end| match self.slots.get(end.wrapping_sub(self.left)) {
                Some(Slot::Server(awaited)) => boundary(&awaited.expect),
                Some(Slot::Local(..) | Slot::Ready) | None => None,
            })
    }

    /// The server has reported an error in answer to an extended-query message and skips to the
    /// next Sync: drops what it skips. If that Sync was sent already, its boundary has failed and
    /// stands at the head afterwards.
    pub(crate) fn fail_segment(&mut self) -> Skipped {
        let mut undos = Vec::new();
        let mut skipped: Option<Boundary> = None;
        let reached = loop {
            match self.slots.front_mut() {
                None => break false,
                Some(Slot::Server(Awaited {
                    expect: expect @ (Expect::Sync(_) | Expect::Fence(_)),
                    ..
                })) => {
                    let Some(boundary) = boundary_mut(expect) else {
                        break false;
                    };
                    boundary.failed = true;
                    if let Some(skipped) = skipped.take() {
                        self.controls += usize::from(skipped.control && !boundary.control);
                        boundary.absorb(skipped);
                    }
                    break true;
                }
                Some(_) => {}
            }
            match self.pop() {
                Some(Slot::Server(Awaited { expect, undo, .. })) => {
                    undos.extend(undo);
                    if let Expect::Query(_, mut boundary) | Expect::Function(mut boundary) = expect
                    {
                        if let Some(earlier) = skipped.take() {
                            boundary.absorb(earlier);
                        }
                        skipped = Some(boundary);
                    }
                }
                Some(Slot::Local(_, undo)) => undos.extend(undo),
                Some(Slot::Ready) | None => {}
            }
        };
        undos.reverse();
        Skipped {
            undos,
            reached,
            boundary: skipped,
        }
    }

    /// The last boundary that holds a mark.
    pub(crate) fn last_marked_mut(&mut self) -> Option<&mut Boundary> {
        self.slots.iter_mut().rev().find_map(|slot| match slot {
            Slot::Server(awaited) => {
                boundary_mut(&mut awaited.expect).filter(|boundary| boundary.ticket.is_some())
            }
            Slot::Local(..) | Slot::Ready => None,
        })
    }

    /// Whether the server is at something that nobody but us has asked for.
    pub(crate) fn is_ours_first(&self) -> bool {
        match self.slots.front() {
            Some(Slot::Server(Awaited { expect, route, .. })) => match route {
                Route::Probe | Route::Repeat => true,
                Route::Swallow => matches!(expect, Expect::Query(..)) || self.ends_with_ours(),
                Route::Relay | Route::Refusal => false,
            },
            Some(Slot::Local(..) | Slot::Ready) | None => false,
        }
    }

    /// Whether the segment that the server is at holds nothing of the client's, its Sync included.
    fn ends_with_ours(&self) -> bool {
        for slot in &self.slots {
            match slot {
                Slot::Server(Awaited {
                    expect,
                    route: Route::Swallow | Route::Repeat | Route::Probe,
                    ..
                }) => {
                    if matches!(expect, Expect::Sync(_)) {
                        return true;
                    }
                }
                Slot::Server(_) | Slot::Local(..) | Slot::Ready => return false,
            }
        }
        false
    }

    /// The catalog has changed: see [`Boundary::distrust`]. What we have asked writes nothing.
    pub(crate) fn distrust(&mut self, passed: Passed) {
        for end in &self.ends {
            if let Some(Slot::Server(awaited)) = self.slots.get_mut(end.wrapping_sub(self.left))
                && !matches!(awaited.route, Route::Probe | Route::Repeat)
                && let Some(boundary) = boundary_mut(&mut awaited.expect)
            {
                boundary.distrust(passed);
            }
        }
    }

    /// The boundary of the segment whose reply is at the head, if it was sent.
    pub(crate) fn boundary_mut(&mut self) -> Option<&mut Boundary> {
        let first = self.ends.front()?.wrapping_sub(self.left);
        match self.slots.get_mut(first)? {
            Slot::Server(awaited) => boundary_mut(&mut awaited.expect),
            Slot::Local(..) | Slot::Ready => None,
        }
    }
}

fn boundary(expect: &Expect) -> Option<&Boundary> {
    match expect {
        Expect::Sync(boundary) | Expect::Query(_, boundary) | Expect::Function(boundary) => {
            Some(boundary)
        }
        Expect::Fence(fence) => Some(&fence.boundary),
        Expect::Parse(_)
        | Expect::Bind(_)
        | Expect::Proof(_)
        | Expect::DescribeStatement { .. }
        | Expect::DescribePortal { .. }
        | Expect::Execute(_)
        | Expect::Close => None,
    }
}

pub(crate) fn boundary_mut(expect: &mut Expect) -> Option<&mut Boundary> {
    match expect {
        Expect::Sync(boundary) | Expect::Query(_, boundary) | Expect::Function(boundary) => {
            Some(boundary)
        }
        Expect::Fence(fence) => Some(&mut fence.boundary),
        Expect::Parse(_)
        | Expect::Bind(_)
        | Expect::Proof(_)
        | Expect::DescribeStatement { .. }
        | Expect::DescribePortal { .. }
        | Expect::Execute(_)
        | Expect::Close => None,
    }
}

fn ends(slot: &Slot) -> bool {
    match slot {
        Slot::Server(awaited) => boundary(&awaited.expect).is_some(),
        Slot::Local(..) | Slot::Ready => false,
    }
}

fn executes(slot: &Slot) -> bool {
    match slot {
        Slot::Server(awaited) => matches!(awaited.expect, Expect::Execute(_)),
        Slot::Local(..) | Slot::Ready => false,
    }
}

fn controls(slot: &Slot) -> bool {
    match slot {
        Slot::Server(awaited) => boundary(&awaited.expect).is_some_and(|boundary| boundary.control),
        Slot::Local(..) | Slot::Ready => false,
    }
}

#[cfg(test)]
mod tests;
