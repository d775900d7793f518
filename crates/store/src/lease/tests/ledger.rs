//! The ledger as the scripts in Redis keep it, in a form that can be stepped.
//!
//! `redis::scripts::tests` holds the scripts to it.

use crate::lease::{Answer, Order, Peer, Posted, Token};

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Ledger {
    pub(crate) id: Token,
    pub(crate) ripe: bool,
    pub(crate) sequence: u64,
    pub(crate) members: Vec<Peer>,
}

impl Ledger {
    /// Answers an order; `fresh` names the ledger if one has to be begun.
    pub(crate) fn order(ledger: &mut Option<Self>, order: Order, fresh: Token) -> Answer {
        match order {
            Order::Join { member } => {
                let ledger = ledger.get_or_insert(Self {
                    id: fresh,
                    ripe: false,
                    sequence: 0,
                    members: Vec::new(),
                });
                let peer = Peer {
                    member,
                    applied: ledger.sequence,
                    beats: 0,
                };
                ledger.members.push(peer);
                ledger.answer()
            }
            Order::Beat {
                ledger: id,
                member,
                applied,
                ripe,
            } => {
                let Some(ledger) = ledger.as_mut().filter(|ledger| ledger.id == id) else {
                    return Answer::Stranger;
                };
                let Some(peer) = ledger.members.iter_mut().find(|p| p.member == member) else {
                    return Answer::Stranger;
                };
                (peer.applied, peer.beats) = (applied, peer.beats + 1);
                ledger.ripe |= ripe;
                ledger.answer()
            }
        }
    }

    const fn answer(&self) -> Answer {
        Answer::Member {
            ledger: self.id,
            sequence: self.sequence,
        }
    }

    /// Posts a mark. The others have to be told if there are any.
    pub(crate) fn post(ledger: &mut Option<Self>, own: Option<Token>) -> Posted {
        let Some(ledger) = ledger else {
            return Posted::default();
        };
        let others = ledger.members.iter().copied();
        let others: smallvec::SmallVec<_> =
            others.filter(|peer| Some(peer.member) != own).collect();
        if !others.is_empty() {
            ledger.sequence += 1;
        }
        Posted {
            ledger: ledger.ripe.then_some(ledger.id),
            sequence: ledger.sequence,
            others,
        }
    }

    /// Strikes off a member that has not renewed its lease since.
    pub(crate) fn evict(&mut self, id: &Token, peer: &Peer) {
        if self.id == *id {
            self.members
                .retain(|other| (other.member, other.beats) != (peer.member, peer.beats));
        }
    }
}
