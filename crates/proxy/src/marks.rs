//! Marks that are held on behalf of one client, in the order of their tickets.

use std::collections::VecDeque;

use session::Outcome;
use store::Mark;

pub(crate) use self::{
    blind::Blind,
    told::{Planned, Told},
};

mod blind;
mod told;

/// One mark, or what stands for it while nothing is known of the database.
#[derive(Debug)]
pub(crate) enum Held {
    /// Relations are being written.
    Relations(Mark, Told),
    /// Nothing is being written, as far as definitions say.
    Code(Told),
    /// Anything may be written, definitions included; with what would show that it was nothing all the
    /// same.
    Everything(Mark, Option<Told>),
    /// Something is being written in a database whose identity is not known yet.
    Blind(Blind),
}

/// All marks of one client.
#[derive(Debug, Default)]
pub(crate) struct Marks(VecDeque<(u64, Held)>);

impl Marks {
    /// Adds one; tickets only grow.
    pub(crate) fn push(&mut self, ticket: u64, held: Held) {
        self.0.push_back((ticket, held));
    }

    /// Whether the server has to be heard before the client's connection to it may be closed.
    pub(crate) fn are_pressing(&self) -> bool {
        self.0
            .iter()
            .any(|(_, held)| !matches!(held, Held::Code(_)))
    }

    /// Whether anything may be written, definitions included.
    pub(crate) fn are_unbounded(&self) -> bool {
        self.0
            .iter()
            .any(|(_, held)| matches!(held, Held::Everything(..)))
    }

    /// Whether none is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Ends all marks up to `ticket`. Returns whether definitions may have changed.
    ///
    /// Not cancel safe.
    pub(crate) async fn end(&mut self, ticket: u64, outcome: Outcome) -> bool {
        let mut everything = false;
        let committed = outcome != Outcome::RolledBack;
        while let Some((_, held)) = self.0.pop_front_if(|(held, _)| *held <= ticket) {
            match held {
                Held::Everything(mark, Some(told)) if outcome == Outcome::Skipped => {
                    mark.clear().await;
                    everything |= Box::pin(told.verify()).await;
                }
                Held::Relations(mark, told) if committed => {
                    everything |= Box::pin(told.end(mark)).await;
                    told.renew();
                }
                Held::Code(told) if committed => everything |= Box::pin(told.verify()).await,
                Held::Code(_) => {}
                Held::Everything(mark, _) if committed => {
                    everything = true;
                    mark.bump().await;
                }
                Held::Relations(mark, _) | Held::Everything(mark, _) => mark.clear().await,
                Held::Blind(blind) => blind.end().await,
            }
        }
        everything
    }

    /// Ends all of them as if committed.
    pub(crate) async fn end_all(&mut self) -> bool {
        self.end(u64::MAX, Outcome::Committed).await
    }
}
