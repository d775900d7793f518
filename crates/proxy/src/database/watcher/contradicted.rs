//! What to do if two instances have read other definitions under one epoch.
//!
//! That is so where definitions were changed around pgmemo between the two readings. Each then names
//! by its own what it reads and writes, and neither meets what the other does: one of them has
//! to read again, under an epoch that is new to all.

use std::time::Duration;

use cache::Version;
use catalog::DatabaseId;
use store::Print;
use tokio::time::Instant;
use tracing::warn;

use super::Watcher;

impl Watcher {
    /// Whether the catalog has to be read again, because another instance has read something else
    /// under this epoch.
    pub(super) async fn is_contradicted(
        &mut self,
        id: DatabaseId,
        epoch: Version,
        print: &Print,
    ) -> bool {
        if !self.common.store.contradicts(id, epoch, print).await {
            self.contradicted.agreed();
            return false;
        }
        let age_max = self.common.catalog_age_max;
        match self.contradicted.weigh(print, Instant::now(), age_max) {
            Verdict::GiveUp => {
                let why = "changed elsewhere while another instance was reading the catalog";
                self.bump(id, why).await;
                true
            }
            Verdict::ReadAgain => true,
            Verdict::Lasting { known } => {
                if !known {
                    warn!(
                        "another instance on this store keeps seeing other definitions; what is \
                         written through one may be seen late through the other"
                    );
                }
                false
            }
        }
    }
}

/// What is to be done about a contradiction.
#[derive(Debug, Eq, PartialEq)]
enum Verdict {
    /// All have to read again.
    GiveUp,
    /// Ours may be the older reading.
    ReadAgain,
    /// It is no use: the others see something else, or definitions change all the time. Whether that is
    /// known.
    Lasting { known: bool },
}

/// Tells changes from differences that last, so that these do not cost all entries again and again.
///
/// Whoever reads under an epoch that was bumped for a contradiction reads after the bump. If it sees
/// once more something else than an instance that read the same before and after, nothing has changed
/// in between: the two differ. Nor is it told for long what changes again and again: whoever makes
/// tables around pgmemo without end would have all entries given up as often.
#[derive(Debug, Default)]
pub(super) struct Contradicted(Option<Last>);

#[derive(Debug)]
struct Last {
    /// What had been read here.
    own: Print,
    /// Until when it counts.
    until: Instant,
    /// How often all entries were given up until then.
    given_up: u32,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    GivenUp,
    ReadAgain,
    Lasting,
}

impl Contradicted {
    /// Nobody has read anything else.
    fn agreed(&mut self) {
        if let Some(last) = &mut self.0
            && last.stage == Stage::ReadAgain
        {
            last.stage = Stage::GivenUp;
        }
    }

    /// What is to be done where `own` was read and is contradicted.
    fn weigh(&mut self, own: &Print, now: Instant, age_max: Duration) -> Verdict {
        let Some(last) = self.0.as_mut().filter(|last| now < last.until) else {
            self.0 = Some(Last {
                own: *own,
                until: now + age_max,
                given_up: 1,
                stage: Stage::GivenUp,
            });
            return Verdict::GiveUp;
        };
        let is_other = last.own != *own;
        match last.stage {
            Stage::Lasting => Verdict::Lasting { known: true },
            Stage::GivenUp if !is_other => {
                last.stage = Stage::ReadAgain;
                Verdict::ReadAgain
            }
            Stage::GivenUp | Stage::ReadAgain if is_other && last.given_up < GIVEN_UP_MAX => {
                last.own = *own;
                last.given_up += 1;
                last.stage = Stage::GivenUp;
                Verdict::GiveUp
            }
            Stage::GivenUp | Stage::ReadAgain => {
                last.stage = Stage::Lasting;
                last.until = now + age_max;
                Verdict::Lasting { known: false }
            }
        }
    }
}

/// How often all entries are given up within one `catalog_age_max` because definitions change.
/// A migration of some steps may meet with several readings.
const GIVEN_UP_MAX: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const AGE: Duration = Duration::from_secs(30);

    fn print(n: u8) -> Print {
        let sum = [n; 32];
        Print { kind: 1, sum }
    }

    #[test]
    fn changes_are_told_unless_they_never_end() {
        let (mut contradicted, start) = (Contradicted::default(), Instant::now());
        for round in 0..3_u8 {
            let now = start + AGE * 2 * u32::from(round);
            for n in 0..8 {
                let verdict = contradicted.weigh(&print(n), now, AGE);
                assert_eq!(verdict, Verdict::GiveUp);
                contradicted.agreed();
            }
            for n in 8..20 {
                let verdict = contradicted.weigh(&print(n), now, AGE);
                assert_eq!(verdict, Verdict::Lasting { known: n > 8 });
            }
        }
    }

    #[test]
    fn what_differs_lastingly_is_given_up_once_in_a_while() {
        let (mut contradicted, start) = (Contradicted::default(), Instant::now());
        let mut given_up = 0;
        let mut warned = 0;
        // Two hours of contradictions each second, and definitions that change now and then.
        for second in 0_u32..7200 {
            let own = print(u8::try_from(second / 40).unwrap());
            let now = start + Duration::from_secs(second.into());
            match contradicted.weigh(&own, now, AGE) {
                Verdict::GiveUp => given_up += 1,
                Verdict::Lasting { known: false } => warned += 1,
                Verdict::ReadAgain | Verdict::Lasting { known: true } => {}
            }
        }
        assert!(given_up <= 7200 / 30 && given_up > 100, "{given_up}");
        assert!(warned <= given_up && warned > 100, "{warned}");
    }

    /// Whoever was slow finds that there is something newer.
    #[test]
    fn a_reading_that_was_late_is_made_again() {
        let (mut contradicted, now) = (Contradicted::default(), Instant::now());
        let mut weigh = |n| contradicted.weigh(&print(n), now, AGE);
        assert_eq!(weigh(1), Verdict::GiveUp);
        assert_eq!(weigh(1), Verdict::ReadAgain);
        assert_eq!(weigh(2), Verdict::GiveUp);
        assert_eq!(weigh(2), Verdict::ReadAgain);
        assert_eq!(weigh(2), Verdict::Lasting { known: false });
        assert_eq!(weigh(3), Verdict::Lasting { known: true });
    }

    #[test]
    fn one_more_look_is_taken_each_time() {
        let (mut contradicted, now) = (Contradicted::default(), Instant::now());
        assert_eq!(contradicted.weigh(&print(1), now, AGE), Verdict::GiveUp);
        for _ in 0..3 {
            assert_eq!(contradicted.weigh(&print(1), now, AGE), Verdict::ReadAgain);
            contradicted.agreed();
        }
    }
}
