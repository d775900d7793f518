//! What a write does, step by step.

use super::{
    super::{ledger::Ledger, step::Without},
    Down, World, Write,
};
use crate::lease::{Moment, Pace, Posted, Token, Wait};

impl World {
    pub(super) fn write(&mut self, i: usize) {
        let now = self.clock(i);
        let write = std::mem::replace(&mut self.instances[i].write, Write::Idle);
        self.instances[i].write = match write {
            Write::Idle => {
                self.left.writes -= 1;
                if self.instances[i].named {
                    Write::Sent(self.name())
                } else {
                    // What cannot be named cannot be marked.
                    self.committed += 1;
                    Write::Idle
                }
            }
            Write::Sent(mark) => {
                self.redis.marks.push(mark);
                Write::Marked(mark, self.post(i), self.redis.generation)
            }
            Write::Marked(mark, posted, under) => {
                if self.without != Without::Own {
                    self.instances[i].seen.1 += 1;
                }
                let drift_permille = if self.without == Without::Drift {
                    0
                } else {
                    self.pace.drift_permille
                };
                let pace = Pace {
                    drift_permille,
                    ..self.pace
                };
                Write::Waiting(mark, Wait::new(posted, now, pace), under)
            }
            Write::Waiting(mark, wait, under) => {
                self.evict(&wait, now);
                self.committed += 1;
                Write::Committed(mark, under)
            }
            Write::Committed(mark, _) => {
                let marks = self.redis.marks.len();
                self.redis.marks.retain(|other| *other != mark);
                self.redis.changed = true;
                if marks == self.redis.marks.len() {
                    // It was lost, so it did not keep replies from being remembered.
                    self.post(i);
                }
                if self.redis.marks.is_empty() && std::mem::take(&mut self.redis.changed) {
                    self.redis.version = self.name()[0];
                }
                Write::Idle
            }
        };
        self.learn(i);
    }

    fn evict(&mut self, wait: &Wait, now: Moment) {
        if let (Some(ledger), Some(id)) = (&mut self.redis.ledger, wait.ledger()) {
            for peer in wait.overdue(now) {
                let mut peer = *peer;
                if self.without == Without::Beats {
                    let all = ledger.members.iter();
                    peer.beats = all
                        .filter(|other| other.member == peer.member)
                        .map(|other| other.beats)
                        .next()
                        .unwrap_or(0);
                }
                ledger.evict(&id, &peer);
            }
        }
    }

    pub(super) fn post(&mut self, i: usize) -> Posted {
        let own = self.instances[i].holder.member();
        let mut posted = Ledger::post(&mut self.redis.ledger, own);
        if let Some(ledger) = &self.redis.ledger
            && !posted.others.is_empty()
        {
            for instance in &mut self.instances {
                // A subscription comes before the seat. What was published before is not wanted.
                if instance.holder.member().is_some() || !instance.up.is_empty() {
                    instance
                        .down
                        .push_back(Down::Mark(ledger.id, ledger.sequence));
                }
            }
            if self.without == Without::Ripeness {
                posted.ledger = Some(ledger.id);
            }
        }
        if self.without == Without::Ripeness && posted.others.is_empty() {
            posted.ledger = Some([0; 16]);
        }
        posted
    }

    pub(super) fn read(&mut self, i: usize) {
        let Some(ledger) = &self.redis.ledger else {
            return;
        };
        if let Write::Waiting(_, wait, _) = &mut self.instances[i].write {
            let of = |name: &Token| ledger.members.iter().find(|peer| peer.member == *name);
            wait.learn(&ledger.id, |name| of(name).map(|peer| peer.applied));
        }
    }
}
