//! Long random walks, in which now and then some instances are paused for a while.

use proptest::prelude::*;

use super::{
    step::{Left, Step, Without},
    world::World,
};
use crate::lease::Pace;

/// A clock that is slow by a tenth, and one that is fast by as much.
const RATES: [u64; 3] = [900, 1100, 1000];

const PACE: Pace = Pace {
    lease: 9000,
    margin: 0,
    drift_permille: 100,
};

/// On average so many steps lie between two changes in who is paused.
const PAUSE: u32 = 25;

const LEFT: Left = Left {
    ticks: 60,
    losses: 20,
    reconnections: 4,
    flushes: 2,
    writes: 12,
    lookups: 90,
    asks: 100,
};

/// What a walk came by.
#[derive(Debug, Default)]
struct Walk {
    lawful: bool,
    served: u32,
    commits: u8,
}

/// Walks as the numbers say. Steps that are rarer in life are taken more seldom.
fn walk(without: Without, choices: impl Iterator<Item = u32>) -> Walk {
    let mut world = World::new(PACE, &RATES, LEFT, without);
    let mut paused = 0;
    let mut walk = Walk {
        lawful: true,
        ..Walk::default()
    };
    for choice in choices {
        let mut steps = world.steps();
        if choice % PAUSE == 0 {
            paused = choice / PAUSE % 8;
        }
        let runs = |i: usize| paused & (1 << i) == 0;
        steps.retain(|step| step.instance().is_none_or(runs));
        if steps.is_empty() {
            paused = 0;
            continue;
        }
        let weight = |step: &Step| match step {
            Step::Flush | Step::Reconnect(_) => 1,
            Step::Lose(_) | Step::GiveUp(_) | Step::Read(_) | Step::Name(_) => 4,
            Step::Tick | Step::Write(_) => 10,
            Step::Ask(_) => 20,
            Step::Answer(_) | Step::Hear(_) | Step::HearAhead(_) | Step::LookUp(_) => 40,
        };
        let all: u32 = steps.iter().map(weight).sum();
        let mut at = choice % all;
        let step = steps.iter().find(|step| {
            let here = at < weight(step);
            at = at.saturating_sub(weight(step));
            here
        });
        world.take(*step.unwrap());
        walk.served += u32::from((0..RATES.len()).any(|i| world.serves(i).is_some()));
        if !world.is_lawful() {
            walk.lawful = false;
            break;
        }
    }
    walk.commits = world.commits();
    walk
}

/// The numbers that a seed gives.
fn choices(seed: u64) -> impl Iterator<Item = u32> {
    let mut state = seed.wrapping_mul(2) | 1;
    std::iter::repeat_with(move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(seed | 1);
        (state >> 33) as u32
    })
    .take(500)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn nothing_near_outlives_a_commit(choices in prop::collection::vec(any::<u32>(), 1..600)) {
        prop_assert!(walk(Without::Nothing, choices.into_iter()).lawful);
    }
}

#[test]
fn many_walks_serve_and_commit_and_none_is_stale() {
    let mut all = Walk {
        lawful: true,
        ..Walk::default()
    };
    let mut commits = 0;
    for seed in 0..1000 {
        let walk = walk(Without::Nothing, choices(seed));
        assert!(walk.lawful, "seed {seed}");
        all.served += walk.served;
        commits += u32::from(walk.commits);
    }
    eprintln!("{all:?} {commits}");
    assert!(all.served > 1_000, "{all:?}");
    assert!(commits > 1_000, "{commits}");
}
