#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "each test is about some kinds of slots"
)]

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::registry::Name;

/// What happens to a queue.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A part of the extended protocol is sent on; whether it runs a statement.
    Part(bool),
    /// A reply of ours that the server may yet skip, or not.
    Local(bool),
    /// The end of a segment; whether it may begin or end a block.
    Sync(bool),
    /// A simple query; the same.
    Query(bool),
    /// The end of a segment that the server never saw.
    Ready,
    /// The server answers the first slot.
    Answer,
    /// The server answers it with an error.
    Error,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => any::<bool>().prop_map(Event::Part),
        3 => any::<bool>().prop_map(Event::Local),
        3 => any::<bool>().prop_map(Event::Sync),
        2 => any::<bool>().prop_map(Event::Query),
        1 => Just(Event::Ready),
        8 => Just(Event::Answer),
        2 => Just(Event::Error),
    ]
}

/// A slot as the test knows it: its number, and what it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Known(u64, Kind);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Part { executes: bool },
    Local { undo: bool },
    Sync { control: bool, ticket: u64 },
    Query { control: bool, ticket: u64 },
    Ready,
}

fn slot(Known(number, kind): Known) -> Slot {
    let name = Name::from_slice(&number.to_be_bytes());
    let boundary = |control, ticket| Boundary {
        control,
        ticket: Some(ticket),
        ..Boundary::new(number)
    };
    let server = |expect, undo| {
        Slot::Server(Awaited {
            expect,
            route: Route::Relay,
            undo,
        })
    };
    match kind {
        Kind::Part { executes } => {
            let expect = if executes {
                Expect::Execute(Execution::default())
            } else {
                Expect::Bind(None)
            };
            server(expect, Some(Undo::Absent(name)))
        }
        Kind::Local { undo } => {
            let frame = Bytes::copy_from_slice(&number.to_be_bytes());
            Slot::Local(frame, undo.then_some(Undo::Absent(name)))
        }
        Kind::Sync { control, ticket } => server(Expect::Sync(boundary(control, ticket)), None),
        Kind::Query { control, ticket } => {
            let boundary = boundary(control, ticket);
            server(Expect::Query(Execution::default(), boundary), None)
        }
        Kind::Ready => Slot::Ready,
    }
}

/// The number a slot was given, where it can be told.
fn number(slot: &Slot) -> Option<u64> {
    let of_name = |undo: &Undo| match undo {
        Undo::Absent(name) => name[..].try_into().ok().map(u64::from_be_bytes),
        Undo::Statement(..)
        | Undo::Portal(..)
        | Undo::Portals(_)
        | Undo::Source(..)
        | Undo::Unnamed
        | Undo::Stranger(_) => None,
    };
    match slot {
        Slot::Server(Awaited { expect, undo, .. }) => match boundary(expect) {
            Some(boundary) => Some(boundary.segment),
            None => undo.as_ref().and_then(of_name),
        },
        Slot::Local(frame, _) => frame[..].try_into().ok().map(u64::from_be_bytes),
        Slot::Ready => None,
    }
}

/// A queue, and what must be in it.
#[derive(Default)]
struct Pair {
    queue: Queue,
    known: VecDeque<Known>,
    next: u64,
}

impl Pair {
    fn push(&mut self, kind: Kind) {
        let known = Known(self.next, kind);
        self.next += 1;
        self.known.push_back(known);
        self.queue.push(slot(known));
    }

    /// The first slot leaves, and it is the one that was asked for first.
    fn pop(&mut self) {
        let (slot, known) = (self.queue.pop().unwrap(), self.known.pop_front().unwrap());
        if let Some(number) = number(&slot) {
            assert_eq!(number, known.0, "another slot was due");
        }
    }

    /// What is ready leaves.
    fn emit(&mut self) {
        while let Some(Slot::Local(..) | Slot::Ready) = self.queue.front_mut() {
            self.pop();
        }
    }

    fn happen(&mut self, event: Event) {
        let ticket = self.next;
        match event {
            Event::Part(executes) => self.push(Kind::Part { executes }),
            Event::Local(undo) => self.push(Kind::Local { undo }),
            Event::Sync(control) => self.push(Kind::Sync { control, ticket }),
            Event::Query(control) => self.push(Kind::Query { control, ticket }),
            Event::Ready => self.push(Kind::Ready),
            Event::Answer if self.known.is_empty() => {}
            Event::Answer => self.pop(),
            Event::Error => self.fail(),
        }
        self.emit();
    }

    /// An error in answer to a part drops all up to the next Sync, and puts back what was changed.
    fn fail(&mut self) {
        if !matches!(self.known.front(), Some(Known(_, Kind::Part { .. }))) {
            return;
        }
        let sync = |known: &Known| matches!(known.1, Kind::Sync { .. });
        let end = self.known.iter().position(sync);
        let dropped: Vec<Known> = self
            .known
            .drain(..end.unwrap_or(self.known.len()))
            .collect();
        let skipped = self.queue.fail_segment();
        assert_eq!(skipped.reached, end.is_some());
        let put_back: Vec<u64> = dropped
            .iter()
            .rev()
            .filter(|known| matches!(known.1, Kind::Part { .. } | Kind::Local { undo: true }))
            .map(|known| known.0)
            .collect();
        let undone: Vec<u64> = skipped
            .undos
            .iter()
            .filter_map(|undo| match undo {
                Undo::Absent(name) => name[..].try_into().ok().map(u64::from_be_bytes),
                Undo::Statement(..)
                | Undo::Portal(..)
                | Undo::Portals(_)
                | Undo::Source(..)
                | Undo::Unnamed
                | Undo::Stranger(_) => None,
            })
            .collect();
        assert_eq!(undone, put_back, "undone in another order");
        let queries: Vec<_> = dropped.iter().filter_map(Known::query).collect();
        let heir = match end {
            Some(_) => {
                let boundary = self.queue.boundary_mut().expect("a Sync is first");
                assert!(boundary.failed);
                self.inherit(&queries);
                self.queue.boundary_mut()
            }
            None => None,
        };
        let heir = heir.map(|it| &*it).or(skipped.boundary.as_ref());
        let ticket = heir.and_then(|boundary| boundary.ticket);
        let last = queries.iter().map(|(_, ticket)| *ticket).max();
        assert!(
            last <= ticket,
            "the mark of a skipped query would never end"
        );
    }

    /// The first Sync stands for these queries, too.
    fn inherit(&mut self, queries: &[(bool, u64)]) {
        if let Some(Known(_, Kind::Sync { control, ticket })) = self.known.front_mut() {
            *control |= queries.iter().any(|(control, _)| *control);
            let last = queries.iter().map(|(_, ticket)| *ticket).max();
            *ticket = (*ticket).max(last.unwrap_or(0));
        }
    }

    fn check(&self) {
        assert_eq!(self.queue.len(), self.known.len());
        for (slot, known) in self.queue.slots.iter().zip(&self.known) {
            assert!(number(slot).is_none_or(|number| number == known.0));
        }
        let ends: Vec<_> = self.known.iter().filter_map(Known::end).collect();
        let found: Vec<_> = self
            .queue
            .boundaries()
            .map(|it| (it.control, it.ticket.unwrap_or(0)))
            .collect();
        assert_eq!(found, ends);
        let controls = ends.iter().any(|(control, _)| *control);
        assert_eq!(self.queue.has_control(), controls);
        assert_eq!(self.queue.is_unsettled(), !ends.is_empty());
        let executes = |known: &Known| matches!(known.1, Kind::Part { executes: true });
        let at_work = !ends.is_empty() || self.known.iter().any(executes);
        assert_eq!(self.queue.is_at_work(), at_work);
    }
}

impl Known {
    fn query(&self) -> Option<(bool, u64)> {
        match self.1 {
            Kind::Query { control, ticket } => Some((control, ticket)),
            _ => None,
        }
    }

    fn end(&self) -> Option<(bool, u64)> {
        match self.1 {
            Kind::Sync { control, ticket } | Kind::Query { control, ticket } => {
                Some((control, ticket))
            }
            _ => None,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn replies_leave_in_the_order_in_which_they_were_asked_for(events in vec(event(), 0..60)) {
        let mut pair = Pair::default();
        for event in events {
            pair.happen(event);
            pair.check();
        }
        while !pair.known.is_empty() {
            pair.pop();
            pair.check();
        }
        assert!(!pair.queue.has_control() && !pair.queue.is_unsettled());
    }
}

#[test]
fn what_ends_with_a_sync_of_ours_is_ours_to_its_end() {
    let slot = |expect, route| {
        Slot::Server(Awaited {
            expect,
            route,
            undo: None,
        })
    };
    let check = |last: Slot, ours| {
        let mut queue = Queue::default();
        for expect in [Expect::Close, Expect::Parse(None), Expect::Bind(None)] {
            queue.push(slot(expect, Route::Swallow));
        }
        queue.push(last);
        queue.push(slot(Expect::Bind(None), Route::Relay));
        for _ in 0..3 {
            assert_eq!(queue.is_ours_first(), ours);
            queue.pop();
        }
    };
    let sync = || Expect::Sync(Boundary::new(1));
    check(slot(sync(), Route::Swallow), true);
    check(slot(sync(), Route::Repeat), true);
    // Portals are made in front of what the client has sent, and ended with it.
    check(
        slot(Expect::Execute(Execution::default()), Route::Relay),
        false,
    );
    check(slot(sync(), Route::Relay), false);
}
