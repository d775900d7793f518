//! One scope, its instances, their Redis and their PostgreSQL, in steps of one event each.
//!
//! An instance that takes no step is one that is paused or dead, and one whose message does not
//! arrive is cut off, so neither needs a step of its own.

mod write;

use std::collections::VecDeque;

use super::{
    ledger::Ledger,
    step::{Left, Step, Without},
};
use crate::lease::{Action, Answer, Holder, Moment, Order, Pace, Posted, Token, Wait};

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct World {
    now: u64,
    without: Without,
    pace: Pace,
    /// Counts commits.
    committed: u8,
    redis: Redis,
    pub(super) instances: Vec<Instance>,
    /// How many of the rarer things may still happen.
    pub(super) left: Left,
    names: u8,
}

#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
struct Redis {
    /// Changes with each flush.
    generation: u8,
    version: u8,
    marks: Vec<Token>,
    changed: bool,
    /// A reply and the version it was recorded under.
    entry: Option<(u8, u8)>,
    ledger: Option<Ledger>,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Instance {
    /// What its clock shows for each tick of true time.
    rate: u64,
    holder: Holder,
    until: Moment,
    /// How often everything was forgotten, and the scope.
    seen: (u64, u64),
    /// A reply, and what was seen before it was asked for.
    near: Option<(u8, (u64, u64))>,
    /// Whether it knows which database it writes to.
    pub(super) named: bool,
    /// Questions, whether they acknowledge something, and whether an answer is still wanted.
    up: VecDeque<(Order, bool, bool)>,
    down: VecDeque<Down>,
    acknowledge: bool,
    look: Look,
    write: Write,
    /// What others were last heard to have applied.
    acks: Vec<(Token, u64)>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Down {
    Answer(Answer),
    Mark(Token, u64),
    Ack(Token, u64),
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Look {
    Idle,
    Sent((u64, u64)),
    Hit(u8, (u64, u64)),
    Miss(u8),
    Fill(u8, u8),
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Write {
    Idle,
    Sent(Token),
    /// Under which generation it was set.
    Marked(Token, Posted, u8),
    Waiting(Token, Wait, u8),
    Committed(Token, u8),
}

impl Instance {
    fn new(pace: Pace, rate: u64) -> Self {
        Self {
            rate,
            holder: Holder::new(pace),
            until: Moment(0),
            seen: (0, 0),
            near: None,
            named: true,
            up: VecDeque::new(),
            down: VecDeque::new(),
            acknowledge: false,
            look: Look::Idle,
            write: Write::Idle,
            acks: Vec::new(),
        }
    }
}

impl World {
    /// Instances with clocks of these rates, in thousandths.
    pub(super) fn new(pace: Pace, rates: &[u64], left: Left, without: Without) -> Self {
        Self {
            now: 1,
            without,
            pace,
            committed: 0,
            redis: Redis::default(),
            instances: rates
                .iter()
                .map(|&rate| Instance::new(pace, rate))
                .collect(),
            left,
            names: 0,
        }
    }

    /// Whether instance `i` could answer from nearby now, and with what.
    pub(super) fn serves(&self, i: usize) -> Option<u8> {
        let instance = &self.instances[i];
        let (value, seen) = instance.near?;
        let expired = self.clock(i) >= instance.until && self.without != Without::Expiry;
        (!expired && seen == instance.seen).then_some(value)
    }

    /// The law: nobody can answer with what a commit has replaced.
    pub(super) fn is_lawful(&self) -> bool {
        (0..self.instances.len()).all(|i| self.serves(i).is_none_or(|v| v == self.committed))
    }

    /// Instance `i` has been killed, and another one is started in its place.
    pub(super) fn restart(&mut self, i: usize) {
        self.instances[i] = Instance {
            named: false,
            ..Instance::new(self.pace, self.instances[i].rate)
        };
    }

    pub(super) const fn commits(&self) -> u8 {
        self.committed
    }

    /// What may happen next.
    pub(super) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut may = |possible: bool, step| {
            if possible {
                steps.push(step);
            }
        };
        may(self.left.ticks > 0, Step::Tick);
        may(self.left.flushes > 0, Step::Flush);
        for (i, instance) in self.instances.iter().enumerate() {
            let waits = !instance.up.iter().any(|(_, _, wanted)| *wanted)
                && !instance
                    .down
                    .iter()
                    .any(|down| matches!(down, Down::Answer(_)));
            may(waits && self.left.asks > 0, Step::Ask(i));
            may(!instance.up.is_empty(), Step::Answer(i));
            may(!instance.down.is_empty(), Step::Hear(i));
            let ahead = instance.down.iter().take(2);
            may(
                matches!(
                    *ahead.collect::<Vec<_>>(),
                    [Down::Answer(_), Down::Mark(..)]
                ),
                Step::HearAhead(i),
            );
            let published = !matches!(instance.down.front(), None | Some(Down::Answer(_)));
            may(published && self.left.losses > 0, Step::Lose(i));
            may(!waits && self.left.losses > 0, Step::GiveUp(i));
            may(self.left.reconnections > 0, Step::Reconnect(i));
            may(
                instance.look != Look::Idle || self.left.lookups > 0,
                Step::LookUp(i),
            );
            may(!instance.named, Step::Name(i));
            match &instance.write {
                Write::Idle => {
                    let named = instance.named || self.without == Without::Naming;
                    may(self.left.writes > 0 && named, Step::Write(i));
                }
                Write::Waiting(_, wait, _) => {
                    let over = self.without == Without::Waiting || wait.is_over(self.clock(i));
                    may(over, Step::Write(i));
                    may(!over && wait.ledger().is_some(), Step::Read(i));
                }
                Write::Sent(_) | Write::Marked(..) | Write::Committed(..) => {
                    may(true, Step::Write(i));
                }
            }
        }
        steps
    }

    pub(super) fn take(&mut self, step: Step) {
        match step {
            Step::Tick => {
                self.left.ticks -= 1;
                self.now += 1;
            }
            Step::Flush => {
                self.left.flushes -= 1;
                let generation = self.redis.generation + 1;
                self.redis = Redis {
                    generation,
                    version: self.name()[0],
                    ..Redis::default()
                };
            }
            Step::Ask(i) => self.ask(i),
            Step::Answer(i) => self.answer(i),
            Step::Hear(i) => self.hear(i),
            Step::HearAhead(i) => {
                self.instances[i].down.swap(0, 1);
                self.hear(i);
            }
            Step::Lose(i) => {
                self.left.losses -= 1;
                self.instances[i].down.pop_front();
            }
            Step::GiveUp(i) => {
                self.left.losses -= 1;
                let instance = &mut self.instances[i];
                // Redis may take them all the same.
                for (_, _, wanted) in &mut instance.up {
                    *wanted = false;
                }
                instance
                    .down
                    .retain(|down| !matches!(down, Down::Answer(_)));
                self.with(i, |holder, now, actions| {
                    holder.answered(Answer::Silence, now, actions);
                });
            }
            Step::Reconnect(i) => {
                self.left.reconnections -= 1;
                self.instances[i].up.clear();
                self.instances[i].down.clear();
                self.with(i, |holder, _, actions| holder.leave(actions));
            }
            Step::LookUp(i) => self.look_up(i),
            Step::Name(i) => {
                // What it has not seen happen may have changed everything.
                self.instances[i].named = true;
                self.redis.version = self.name()[0];
                self.post(i);
            }
            Step::Write(i) => self.write(i),
            Step::Read(i) => self.read(i),
        }
    }

    fn clock(&self, i: usize) -> Moment {
        Moment(self.now * self.instances[i].rate)
    }

    fn name(&mut self) -> Token {
        self.names += 1;
        [self.names; 16]
    }

    /// Does with a holder what the shell does.
    fn with(&mut self, i: usize, act: impl FnOnce(&mut Holder, Moment, &mut Vec<Action>)) {
        let (now, without) = (self.clock(i), self.without);
        let instance = &mut self.instances[i];
        let mut actions = Vec::new();
        act(&mut instance.holder, now, &mut actions);
        for action in actions {
            match action {
                Action::Forget if without == Without::Forgetting => {}
                Action::Touch if without == Without::Touching => {}
                Action::Forget => instance.seen.0 += 1,
                Action::Touch => instance.seen.1 += 1,
                Action::Serve(Moment(0)) => instance.until = Moment(0),
                Action::Serve(_) if without == Without::Sending => {
                    instance.until = self.pace.serves_until(now);
                }
                Action::Serve(until) => instance.until = until,
            }
        }
    }

    fn ask(&mut self, i: usize) {
        self.left.asks -= 1;
        let fresh = match self.instances[i].holder.member() {
            Some(_) => [0; 16],
            None => self.name(),
        };
        let mut order = None;
        self.with(i, |holder, now, actions| {
            order = Some(holder.ask(now, fresh, actions));
        });
        let instance = &mut self.instances[i];
        let acknowledge = std::mem::take(&mut instance.acknowledge);
        instance
            .up
            .extend(order.map(|order| (order, acknowledge, true)));
    }

    fn answer(&mut self, i: usize) {
        let Some((order, acknowledge, wanted)) = self.instances[i].up.pop_front() else {
            return;
        };
        let fresh = match (&order, &self.redis.ledger) {
            (Order::Join { .. }, None) => self.name(),
            _ => [0; 16],
        };
        let answer = Ledger::order(&mut self.redis.ledger, order, fresh);
        if let (
            true,
            Order::Beat {
                member, applied, ..
            },
            Answer::Member { .. },
        ) = (acknowledge, order, answer)
        {
            for (j, instance) in self.instances.iter_mut().enumerate() {
                if j != i && instance.holder.member().is_some() {
                    instance.down.push_back(Down::Ack(member, applied));
                }
            }
        }
        if wanted {
            self.instances[i].down.push_back(Down::Answer(answer));
        }
    }

    fn hear(&mut self, i: usize) {
        match self.instances[i].down.pop_front() {
            None => {}
            Some(Down::Answer(answer)) => {
                self.with(i, |holder, now, actions| {
                    holder.answered(answer, now, actions)
                });
            }
            Some(Down::Mark(ledger, sequence)) => {
                self.instances[i].acknowledge = true;
                self.with(i, |holder, now, actions| {
                    holder.heard(&ledger, sequence, now, actions)
                });
            }
            Some(Down::Ack(member, applied)) => {
                let instance = &mut self.instances[i];
                instance.acks.retain(|(other, _)| *other != member);
                instance.acks.push((member, applied));
                instance.acks.sort_unstable();
            }
        }
        self.learn(i);
    }

    /// What a writer has heard so far.
    fn learn(&mut self, i: usize) {
        let instance = &mut self.instances[i];
        if let Write::Waiting(_, wait, _) = &mut instance.write
            && let Some(ledger) = wait.ledger()
        {
            let of = |name: &Token| instance.acks.iter().find(|(member, _)| member == name);
            wait.learn(&ledger, |name| {
                Some(of(name).map_or(0, |(_, applied)| *applied))
            });
        }
    }

    /// No reading is believed while marks may be in flight that a flush has lost: in Redis's own
    /// terms, the generation is settling.
    fn is_settling(&self) -> bool {
        let generation = self.redis.generation;
        self.instances.iter().any(|instance| match instance.write {
            Write::Marked(_, _, under)
            | Write::Waiting(_, _, under)
            | Write::Committed(_, under) => under != generation,
            Write::Idle | Write::Sent(_) => false,
        })
    }

    fn look_up(&mut self, i: usize) {
        let seen = self.instances[i].seen;
        let settling = self.is_settling();
        self.instances[i].look = match self.instances[i].look {
            Look::Idle => {
                self.left.lookups -= 1;
                Look::Sent(seen)
            }
            Look::Sent(seen) if self.redis.marks.is_empty() && !settling => {
                match self.redis.entry {
                    Some((value, version)) if version == self.redis.version => {
                        Look::Hit(value, seen)
                    }
                    _ => Look::Miss(self.redis.version),
                }
            }
            Look::Sent(_) => Look::Idle,
            Look::Hit(value, before) => {
                let late = self.without == Without::Snapshot;
                self.instances[i].near = Some((value, if late { seen } else { before }));
                Look::Idle
            }
            Look::Miss(version) => Look::Fill(self.committed, version),
            Look::Fill(value, version) => {
                self.redis.entry = Some((value, version));
                Look::Idle
            }
        };
    }
}
