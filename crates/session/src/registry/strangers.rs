//! What is remembered of prepared statements that there is no room to keep.
//!
//! The server alone has them, and nothing is looked up for them. But what one may change has to be
//! known when it is run, or it would have to count as changing everything.

use std::{collections::VecDeque, sync::Arc};

use sql::{Effects, Plan};

use super::{Map, Name};
use crate::prepared::Prepared;

/// The last of them, by name.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    known: Map<Stranger>,
    /// Their names as they came, some of which may be gone, or be there twice, with what each counts
    /// for.
    order: VecDeque<(Name, usize)>,
    /// Bytes that all in `order` count for.
    held: usize,
}

#[derive(Debug)]
struct Stranger {
    /// The context in which it was parsed.
    context: u64,
    plan: Arc<Plan>,
    may_take_data: bool,
}

/// How many are remembered.
const STRANGERS_MAX: usize = 8 * 1024;

/// How many bytes they may count for, all together.
const HELD_MAX: usize = 4 * 1024 * 1024;

impl Strangers {
    /// One is about to be parsed. If the server refuses that, the name may stand for another one, and
    /// it has to be removed.
    pub(super) fn put(&mut self, name: &Name, prepared: &Prepared) {
        self.known.remove(name);
        if !is_plain(&prepared.plan) {
            return;
        }
        let stranger = Stranger {
            context: prepared.context,
            plan: Arc::clone(&prepared.plan),
            may_take_data: prepared.may_take_data,
        };
        // A plan may hold a place for each value of a text, which is not kept itself.
        let weight = prepared.bytes();
        self.known.insert(name.clone(), stranger);
        self.order.push_back((name.clone(), weight));
        self.held += weight;
        while (self.order.len() > STRANGERS_MAX || self.held > HELD_MAX)
            && let Some((oldest, weight)) = self.order.pop_front()
        {
            self.held -= weight;
            self.known.remove(&oldest);
        }
    }

    /// What one does that was parsed in this context.
    pub(super) fn get(&self, name: &[u8], context: u64) -> Option<Prepared> {
        let stranger = self.known.get(name)?;
        let known = stranger.context == context;
        known.then(|| {
            let plan = Arc::clone(&stranger.plan);
            Prepared::of_plan(plan, context, stranger.may_take_data)
        })
    }

    pub(super) fn remove(&mut self, name: &[u8]) {
        self.known.remove(name);
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Whether a statement does nothing but read or write rows that are known.
fn is_plain(plan: &Plan) -> bool {
    !plan.writes.is_unbounded() && plan.effects == Effects::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(number: usize) -> Name {
        Name::from_slice(format!("s{number}").as_bytes())
    }

    #[test]
    fn the_last_of_them_are_known_where_they_were_parsed() {
        let mut strangers = Strangers::default();
        let plain = Prepared::new(b"", None);
        let most = STRANGERS_MAX.min(HELD_MAX / plain.bytes());
        for number in 0..=STRANGERS_MAX {
            strangers.put(&named(number), &plain);
        }
        assert!(strangers.get(&named(0), 0).is_none());
        let last = strangers.get(&named(STRANGERS_MAX), 0);
        assert!(last.is_some_and(|it| it.plan.writes.is_nothing()));
        assert!(strangers.get(&named(STRANGERS_MAX), 1).is_none());
        assert_eq!(strangers.known.len(), most);
        assert!(most > 1_000 && strangers.held <= HELD_MAX);
        // What may do anything is not worth remembering, and takes the place of what was.
        strangers.put(&named(STRANGERS_MAX), &Prepared::opaque(b"x"));
        assert!(strangers.get(&named(STRANGERS_MAX), 0).is_none());
        strangers.remove(&named(2));
        assert!(strangers.get(&named(2), 0).is_none());
        // And what is too large by itself is not remembered at all.
        let large = " ".repeat(HELD_MAX + 1);
        strangers.put(&named(1), &Prepared::new(large.as_bytes(), None));
        assert!(strangers.known.is_empty() && strangers.held == 0);
    }
}
