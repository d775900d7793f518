//! Describe of statements and portals: answered here from what the server has said before, if that
//! is what it would say now.

use std::sync::Arc;

use bytes::Bytes;
use wire::{
    backend,
    frontend::{self, Target},
};

use crate::{
    client::Step,
    extended::is_plain_control,
    prepared::{Prepared, Shape, Types},
    queue::{Awaited, Expect, Slot},
    registry::{Registry, Source},
    session::Session,
    stale::Stage,
};

impl Session {
    pub(crate) fn describe(&mut self, frame: &[u8]) -> Step {
        match frontend::target(frame) {
            Ok((Target::Statement, name)) => self.describe_statement(name),
            Ok((Target::Portal, name)) => self.describe_portal(name),
            Err(_) => self.forward_part(Expect::DescribePortal {
                capture: None,
                learn: None,
            }),
        }
    }

    fn describe_statement(&mut self, name: &[u8]) -> Step {
        if self.awaits(name) {
            return Step::Wait;
        }
        if self.is_stale(name) {
            return self.meet_stale(name, Stage::Describe);
        }
        let mut learn = None;
        if let Some(statement) = self.registry.statement(name) {
            let (prepared, types) = (
                Arc::clone(&statement.prepared),
                Types::from_slice(&statement.types),
            );
            if !statement.on_server {
                // It returns no rows, so that the server would describe it in any state.
                if is_plain_control(&prepared) {
                    let mut reply = backend::NO_PARAMETERS.to_vec();
                    reply.extend_from_slice(backend::NO_DATA);
                    self.push_local(&reply);
                    return Step::Done;
                }
                let failed = self.is_failed();
                let same = statement.prepared.context == self.context();
                if !(failed || same && self.sees_known_definitions()) {
                    return self.verify(name);
                }
                if !failed
                    && !self.queue.is_unsettled()
                    && let Some(Shape {
                        parameters: Some(parameters),
                        row: Some(row),
                    }) = prepared.shape(&types)
                {
                    if statement.row.as_ref() != Some(&row) {
                        return self.verify(name);
                    }
                    self.push_local(&parameters);
                    self.push_local(&row);
                    self.registry.note_described(name);
                    return Step::Done;
                }
            }
            // What the server has inferred under other definitions is of no use to others.
            let current = statement.inferred.is_none() && prepared.context == self.context();
            if current && prepared.plan.read.is_ok() && self.sees_known_definitions() {
                learn = Some((prepared, types));
            }
            if statement.stale.is_some() && !is_plain_control(&statement.prepared) {
                // What stands in for it in a failed block returns nothing; the server refuses to
                // describe what returns rows.
                self.materialize_refusal();
            }
            self.registry.note_described(name);
        } else {
            self.close_stale_unnamed(name);
        }
        self.materialize_statement(name);
        self.may_read_anew(name);
        self.forward_part(Expect::DescribeStatement {
            learn,
            parameters: None,
            verify: None,
            infer: None,
        })
    }

    fn describe_portal(&mut self, name: &[u8]) -> Step {
        if self.awaits_portal(name, Registry::is_unsure_bound) {
            return Step::Wait;
        }
        let (mut capture, mut learn) = (None, None);
        let number = self.next_capture();
        let failed = self.is_failed();
        let settled = !self.queue.is_unsettled();
        // What it returns was settled at its Bind; how that is spelled, only now.
        let known = self.sees_known_definitions().then(|| self.context());
        if let Some(portal) = self.registry.portal_mut(name) {
            match &mut portal.source {
                Source::Entry { .. } | Source::Control { .. } if !settled => {
                    self.stall();
                    return Step::Wait;
                }
                Source::Entry { .. } if failed => {}
                Source::Entry { entry, .. } => {
                    if let Some(description) = entry.description() {
                        self.push_local(&description);
                        return Step::Done;
                    }
                }
                Source::Control { .. } => {
                    self.push_local(backend::NO_DATA);
                    return Step::Done;
                }
                Source::Server {
                    recording,
                    described,
                } => {
                    if let Some(recording) = recording.as_mut().filter(|_| !*described) {
                        recording.capture = number;
                        capture = Some(number);
                        *described = true;
                    }
                    let captured = capture.is_some();
                    let known = |it: &&Arc<Prepared>| captured && known == Some(it.context);
                    if let Some(statement) = portal.statement.as_ref().filter(known) {
                        learn = Some((Arc::clone(statement), Types::from_slice(&portal.types)));
                    }
                }
            }
        } else {
            self.close_lost_portal(name);
        }
        self.materialize_portal(name);
        self.forward_part(Expect::DescribePortal { capture, learn })
    }

    /// A Describe is answered; `None` if the answer is too long to be remembered.
    pub(crate) fn finish_description(&mut self, frame: Option<&[u8]>) {
        let Some(Slot::Server(Awaited { expect, .. })) = self.queue.front_mut() else {
            return;
        };
        let Some(frame) = frame else { return };
        match expect {
            Expect::DescribeStatement {
                learn,
                parameters,
                verify,
                infer,
            } => {
                let parameters = parameters.take();
                if let (Some(infer), Some(frame)) = (infer.take(), &parameters) {
                    infer.learn(frame);
                }
                if let Some((prepared, types)) = learn {
                    let row = Some(Bytes::copy_from_slice(frame));
                    let parameters = parameters.clone();
                    self.shared
                        .learn(prepared, types, Shape { parameters, row });
                }
                if let Some(name) = verify.take() {
                    self.verified(&name, parameters.unwrap_or_default(), frame);
                }
            }
            Expect::DescribePortal { capture, learn } => {
                if let Some(number) = capture {
                    self.captured = Some((*number, Bytes::copy_from_slice(frame)));
                }
                if let Some((prepared, types)) = learn
                    && let Ok(row) = backend::with_formats(frame, &[])
                {
                    let row = Some(row.freeze());
                    let parameters = None;
                    self.shared
                        .learn(prepared, types, Shape { parameters, row });
                }
            }
            Expect::Parse(_)
            | Expect::Bind(_)
            | Expect::Proof(_)
            | Expect::Execute(_)
            | Expect::Close
            | Expect::Sync(_)
            | Expect::Query(..)
            | Expect::Function(_)
            | Expect::Fence(_) => {}
        }
    }
}
