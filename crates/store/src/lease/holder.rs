//! An instance's seat in the ledger of one database.
//!
//! Invariant: `applied` counts a mark only after what it touches has been forgotten here, and
//! `Serve` grants time only if all marks are applied that were posted before the renewal. Between
//! two forgettings of everything the time granted has no gap: who could tell nobody of a write has
//! waited until all time had run out, and relies on it that nothing from before comes back.

use super::{Moment, Pace, Token};

/// A member of a ledger, or one that would be.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Holder {
    pace: Pace,
    seat: Option<Seat>,
    /// The question that is on its way, and when it was sent.
    asked: Option<(Order, Moment)>,
}

/// What is true while we are a member.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Seat {
    ledger: Token,
    member: Token,
    /// When we had heard that we are in it, which is later than its beginning.
    joined: Moment,
    /// Every mark up to this one is known here.
    applied: u64,
    /// Until when we serve.
    until: Moment,
    /// A renewal that told of marks we have not heard of yet.
    grant: Option<Grant>,
}

/// Time that is ours once we have heard of a mark.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Grant {
    sequence: u64,
    until: Moment,
}

/// What to ask the ledger.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Order {
    /// A seat under a name that nobody has had.
    Join { member: Token },
    /// To go on, and to note how far we are.
    Beat {
        ledger: Token,
        member: Token,
        applied: u64,
        /// The ledger is older than any lease that was granted before it began.
        ripe: bool,
    },
}

/// What the ledger answers.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Answer {
    /// We are in it, and so many marks have been posted.
    Member { ledger: Token, sequence: u64 },
    /// We are not: it is another ledger, is full, or others have given us up.
    Stranger,
    /// None came.
    Silence,
}

/// What to do, in this order.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Action {
    /// Forget all replies of the database.
    Forget,
    /// Forget the replies that the mark just heard of touches.
    Touch,
    /// Serve until then, whatever was said before.
    Serve(Moment),
}

impl Holder {
    pub(crate) const fn new(pace: Pace) -> Self {
        Self {
            pace,
            seat: None,
            asked: None,
        }
    }

    /// Our name, if we have a seat.
    pub(crate) fn member(&self) -> Option<Token> {
        self.seat.as_ref().map(|seat| seat.member)
    }

    /// What to send now. `fresh` names us if we have no seat. A question that is still on its way
    /// is given up: its answer must not be handed in any more.
    ///
    /// Marks that were told of by the last renewal and have not been heard of by now are lost.
    pub(crate) fn ask(&mut self, now: Moment, fresh: Token, actions: &mut Vec<Action>) -> Order {
        let order = match &mut self.seat {
            None => Order::Join { member: fresh },
            Some(seat) => {
                if let Some(grant) = seat.grant.take() {
                    actions.push(Action::Forget);
                    (seat.applied, seat.until) = (grant.sequence, grant.until);
                    actions.push(Action::Serve(grant.until));
                }
                Order::Beat {
                    ledger: seat.ledger,
                    member: seat.member,
                    applied: seat.applied,
                    ripe: now >= self.pace.outlasted(seat.joined),
                }
            }
        };
        self.asked = Some((order, now));
        order
    }

    /// The answer to what was asked last.
    pub(crate) fn answered(&mut self, answer: Answer, now: Moment, actions: &mut Vec<Action>) {
        let Some((order, sent)) = self.asked.take() else {
            return;
        };
        match (order, answer, &mut self.seat) {
            (_, Answer::Silence, _) => {}
            (Order::Join { member }, Answer::Member { ledger, sequence }, _) => {
                // Marks before this are seen by whoever reads from Redis from now on.
                let until = self.pace.serves_until(sent);
                actions.push(Action::Forget);
                actions.push(Action::Serve(until));
                self.seat = Some(Seat {
                    ledger,
                    member,
                    joined: now,
                    applied: sequence,
                    until,
                    grant: None,
                });
            }
            // Marks posted since may have been heard of before the answer.
            (Order::Beat { applied, .. }, Answer::Member { ledger, sequence }, Some(seat))
                if ledger == seat.ledger && sequence >= applied =>
            {
                let until = self.pace.serves_until(sent);
                seat.grant = Some(Grant { sequence, until });
                seat.take_grant(now, actions);
            }
            (Order::Beat { .. }, Answer::Member { .. }, _) | (_, Answer::Stranger, _) => {
                self.leave(actions);
            }
        }
    }

    /// A mark was posted. Does nothing if it was posted in another ledger than ours.
    pub(crate) fn heard(
        &mut self,
        ledger: &Token,
        sequence: u64,
        now: Moment,
        actions: &mut Vec<Action>,
    ) {
        let Some(seat) = self.seat.as_mut().filter(|seat| seat.ledger == *ledger) else {
            return;
        };
        if sequence <= seat.applied {
            return;
        }
        // With one in between that was lost, nobody knows what that one touched.
        let next = sequence == seat.applied + 1;
        actions.push(if next { Action::Touch } else { Action::Forget });
        seat.applied = sequence;
        seat.take_grant(now, actions);
    }

    /// Gives up the seat, and stops serving.
    pub(crate) fn leave(&mut self, actions: &mut Vec<Action>) {
        self.asked = None;
        if self.seat.take().is_some() {
            actions.push(Action::Serve(Moment(0)));
            actions.push(Action::Forget);
        }
    }
}

impl Seat {
    /// Takes the time that was granted once nothing stands against it.
    fn take_grant(&mut self, now: Moment, actions: &mut Vec<Action>) {
        if let Some(grant) = self.grant.take_if(|grant| self.applied >= grant.sequence) {
            if self.until <= now {
                actions.push(Action::Forget);
            }
            self.until = grant.until;
            actions.push(Action::Serve(grant.until));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace {
        lease: 100,
        margin: 10,
        drift_permille: 0,
    };
    const LEDGER: Token = [1; 16];

    /// What a holder does that has joined at 0, asks at a moment, and is answered.
    fn renew(holder: &mut Holder, sent: u64, sequence: u64, now: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        holder.ask(Moment(sent), [2; 16], &mut actions);
        let ledger = LEDGER;
        let answer = Answer::Member { ledger, sequence };
        holder.answered(answer, Moment(now), &mut actions);
        actions
    }

    #[test]
    fn a_lease_goes_on_with_all_that_is_near() {
        let mut holder = Holder::new(PACE);
        let joined = renew(&mut holder, 0, 0, 5);
        assert_eq!(joined, [Action::Forget, Action::Serve(Moment(90))]);
        let renewed = renew(&mut holder, 80, 0, 89);
        assert_eq!(renewed, [Action::Serve(Moment(170))]);
    }

    #[test]
    fn a_lease_that_has_run_out_goes_on_with_nothing() {
        let mut holder = Holder::new(PACE);
        renew(&mut holder, 0, 0, 5);
        let renewed = renew(&mut holder, 80, 0, 90);
        assert_eq!(renewed, [Action::Forget, Action::Serve(Moment(170))]);
    }

    #[test]
    fn an_answer_that_comes_behind_a_later_mark_is_a_renewal() {
        let mut holder = Holder::new(PACE);
        renew(&mut holder, 0, 0, 5);
        let mut actions = Vec::new();
        holder.ask(Moment(50), [2; 16], &mut actions);
        holder.heard(&LEDGER, 1, Moment(52), &mut actions);
        let (ledger, sequence) = (LEDGER, 0);
        let answer = Answer::Member { ledger, sequence };
        holder.answered(answer, Moment(53), &mut actions);
        assert_eq!(actions, [Action::Touch, Action::Serve(Moment(140))]);
        assert_eq!(holder.member(), Some([2; 16]));
    }

    #[test]
    fn a_ledger_that_knows_less_than_it_did_is_left() {
        let mut holder = Holder::new(PACE);
        renew(&mut holder, 0, 3, 5);
        let left = renew(&mut holder, 50, 2, 55);
        assert_eq!(left, [Action::Serve(Moment(0)), Action::Forget]);
    }

    #[test]
    fn time_that_waits_for_a_mark_and_comes_too_late_brings_nothing_back() {
        for (heard, late) in [(89, false), (90, true)] {
            let mut holder = Holder::new(PACE);
            renew(&mut holder, 0, 0, 5);
            assert_eq!(renew(&mut holder, 80, 1, 85), []);
            let mut actions = Vec::new();
            holder.heard(&LEDGER, 1, Moment(heard), &mut actions);
            let mut expected = vec![Action::Touch];
            expected.extend(late.then_some(Action::Forget));
            expected.push(Action::Serve(Moment(170)));
            assert_eq!(actions, expected);
        }
    }
}
