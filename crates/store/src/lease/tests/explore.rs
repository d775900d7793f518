//! Every order of events from a small beginning.

use std::{collections::HashSet, hash::BuildHasher};

use super::{
    step::{Left, Step, Without},
    world::World,
};
use crate::lease::Pace;

const PACE: Pace = Pace {
    lease: 3000,
    margin: 0,
    drift_permille: 200,
};

/// Takes every step in every order; the number of states, or `None` if one of them is unlawful.
fn explore(beginning: World) -> Option<usize> {
    // A digest stands for a state: two of a few million share one of 64 bits once in a million.
    let hasher = foldhash::fast::RandomState::default();
    let mut known = HashSet::from([hasher.hash_one(&beginning)]);
    let mut open = vec![beginning];
    while let Some(world) = open.pop() {
        if !world.is_lawful() {
            return None;
        }
        for step in world.steps() {
            let mut next = world.clone();
            next.take(step);
            if known.insert(hasher.hash_one(&next)) {
                open.push(next);
            }
        }
    }
    Some(known.len())
}

/// Two instances, a slow clock and a fast one, both members of a ripe ledger; both keep a reply
/// near.
fn beginning(left: Left, without: Without) -> World {
    let generous = Left {
        ticks: 20,
        losses: 0,
        reconnections: 0,
        flushes: 0,
        writes: 0,
        lookups: 20,
        asks: 20,
    };
    let mut world = World::new(PACE, &[800, 1200], generous, without);
    let mut seat = |i| {
        for step in [Step::Ask(i), Step::Answer(i), Step::Hear(i)] {
            world.take(step);
        }
    };
    seat(0);
    seat(1);
    for _ in 0..6 {
        world.take(Step::Tick);
    }
    let mut renew = |i| {
        for step in [Step::Ask(i), Step::Answer(i), Step::Hear(i)] {
            world.take(step);
        }
    };
    renew(0);
    renew(1);
    for i in [0, 0, 0, 0, 0, 0, 1, 1, 1] {
        world.take(Step::LookUp(i));
    }
    // Instance 0: miss, query, fill; then hit. Instance 1: hit.
    world.take(Step::LookUp(0));
    assert_eq!((world.serves(0), world.serves(1)), (Some(0), Some(0)));
    world.left = left;
    world
}

/// What may happen after the beginning.
const NOTHING: Left = Left {
    ticks: 0,
    losses: 0,
    reconnections: 0,
    flushes: 0,
    writes: 0,
    lookups: 0,
    asks: 0,
};

/// A write, and as much time as it waits at most.
const WRITE: Left = Left {
    ticks: 4,
    writes: 1,
    ..NOTHING
};

fn check(left: Left) {
    let states = explore(beginning(left, Without::Nothing));
    println!("{left:?}: {states:?} states");
    assert!(
        states.is_some_and(|states| states > 100),
        "{left:?}: {states:?}"
    );
}

#[test]
fn a_write_amid_renewals_and_losses() {
    check(Left {
        asks: 1,
        losses: 1,
        ..WRITE
    });
    check(Left { asks: 2, ..WRITE });
}

#[test]
fn a_write_amid_lookups() {
    check(Left {
        asks: 1,
        lookups: 1,
        ..WRITE
    });
    check(Left {
        lookups: 2,
        ..WRITE
    });
}

#[test]
fn a_write_amid_reconnections() {
    check(Left {
        asks: 2,
        reconnections: 1,
        ticks: 2,
        ..WRITE
    });
}

#[test]
fn two_writes() {
    check(Left {
        asks: 1,
        writes: 2,
        ticks: 1,
        ..WRITE
    });
}

#[test]
fn a_write_amid_a_flush() {
    check(Left {
        flushes: 1,
        asks: 1,
        ..WRITE
    });
    check(Left {
        flushes: 1,
        lookups: 1,
        ..WRITE
    });
}

#[test]
fn every_rule_is_needed() {
    for (rule, left) in [
        (Without::Waiting, WRITE),
        (Without::Expiry, WRITE),
        (Without::Drift, Left { asks: 1, ..WRITE }),
        (Without::Sending, Left { asks: 1, ..WRITE }),
        (Without::Touching, Left { asks: 1, ..WRITE }),
        (Without::Own, Left { asks: 1, ..WRITE }),
        (
            Without::Forgetting,
            Left {
                asks: 2,
                losses: 1,
                ..WRITE
            },
        ),
        (
            Without::Ripeness,
            Left {
                flushes: 1,
                ..WRITE
            },
        ),
        (
            Without::Snapshot,
            Left {
                asks: 1,
                lookups: 1,
                ..WRITE
            },
        ),
    ] {
        assert_eq!(
            explore(beginning(left, rule)),
            None,
            "{rule:?} was not missed"
        );
    }
}

/// One that has kept replies near for long, and one that has just been started.
fn newcomer(without: Without) -> World {
    let mut world = beginning(Left { asks: 1, ..WRITE }, without);
    world.restart(1);
    world
}

#[test]
fn a_newcomer_writes_nothing_before_it_can_name_it() {
    assert!(explore(newcomer(Without::Nothing)).is_some());
    assert_eq!(explore(newcomer(Without::Naming)), None);
}

/// A member that is given up just after it has renewed its lease.
fn given_up_too_late(without: Without) -> World {
    let left = Left {
        ticks: 5,
        asks: 2,
        writes: 2,
        lookups: 2,
        ..NOTHING
    };
    let mut world = beginning(left, without);
    let write = Step::Write(1);
    for step in [
        write,
        write,
        write,
        Step::Tick,
        Step::Tick,
        Step::Tick,
        Step::Tick,
    ] {
        world.take(step);
    }
    // The mark was heard, but nobody has told the writer, who has waited for long enough.
    for step in [
        Step::Hear(0),
        Step::Ask(0),
        Step::Answer(0),
        write,
        write,
        Step::Hear(0),
    ] {
        world.take(step);
    }
    for _ in 0..4 + 3 {
        world.take(Step::LookUp(0));
    }
    assert_eq!(world.serves(0), Some(1));
    world
}

#[test]
fn a_member_that_has_renewed_its_lease_is_not_struck_off() {
    assert!(explore(given_up_too_late(Without::Nothing)).is_some());
    assert_eq!(explore(given_up_too_late(Without::Beats)), None);
}
