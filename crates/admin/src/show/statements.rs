//! `SHOW STATEMENTS`: what became of each, why it is not cached, and what to do about it.

use std::{cmp::Reverse, sync::Arc};

use session::{RefusedFill, Tally};
use sql::Reason;

use crate::{
    Observed,
    table::{Column, Kind, Value, mean_ms, ratio},
};

pub(super) const COLUMNS: &[Column] = &[
    Column("calls", Kind::Integer),
    Column("hits", Kind::Integer),
    Column("misses", Kind::Integer),
    Column("bypasses", Kind::Integer),
    Column("writes", Kind::Integer),
    Column("hit_ratio", Kind::Number),
    Column("miss_ms", Kind::Number),
    Column("reason", Kind::Text),
    Column("reasons", Kind::Text),
    Column("advice", Kind::Text),
    Column("statement", Kind::Text),
];

/// Those used most come first, and last comes what is not counted one by one.
pub(super) fn rows(observed: &dyn Observed, limit: usize, rows: &mut Vec<Vec<Value>>) {
    // What is summed is read before its sum: the rest is never less than nothing by much.
    let mut counts: Vec<_> = observed
        .statistics()
        .tallies()
        .into_iter()
        .map(Count::of)
        .collect();
    counts.retain(|count| count.calls() > 0);
    let rest = rest(observed, &counts);
    counts.sort_by_key(|count| Reverse(count.calls()));
    let shown = limit.saturating_sub(usize::from(rest.is_some()));
    rows.extend(counts.iter().take(shown).map(Count::row));
    rows.extend(rest);
}

/// What one statement has counted at one moment.
struct Count {
    tally: Arc<Tally>,
    hits: u64,
    misses: u64,
    writes: u64,
    reasons: Vec<(Reason, u64)>,
}

impl Count {
    fn of(tally: Arc<Tally>) -> Self {
        Self {
            hits: tally.hits(),
            misses: tally.misses(),
            writes: tally.writes(),
            reasons: tally.reasons(),
            tally,
        }
    }

    fn bypasses(&self) -> u64 {
        self.reasons.iter().map(|(_, count)| count).sum()
    }

    fn lookups(&self) -> u64 {
        self.hits + self.misses + self.bypasses()
    }

    fn calls(&self) -> u64 {
        self.lookups() + self.writes
    }

    fn row(&self) -> Vec<Value> {
        let refused = RefusedFill::ALL.map(|why| (why, self.tally.refused(why)));
        let refused: Vec<_> = refused
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .collect();
        let (reason, advice) = self.advice(&refused);
        let bypassed = self
            .reasons
            .iter()
            .map(|(reason, count)| (reason.code(), count));
        let unkept = refused.iter().map(|(why, count)| (why.code(), count));
        let reasons: Vec<_> = bypassed
            .chain(unkept)
            .map(|(code, count)| format!("{code} {count}"))
            .collect();
        let (timed, us) = self.tally.missed();
        let text = match self.tally.text() {
            "" => UNREAD.into(),
            text => text.to_owned().into(),
        };
        vec![
            self.calls().into(),
            self.hits.into(),
            self.misses.into(),
            self.bypasses().into(),
            self.writes.into(),
            ratio(self.hits, self.lookups()),
            mean_ms(us, timed),
            reason,
            Some(reasons.join(", ")).filter(|it| !it.is_empty()).into(),
            advice,
            text,
        ]
    }

    /// What keeps it most from being a hit, and what can be done.
    fn advice(&self, refused: &[(RefusedFill, u64)]) -> (Value, Value) {
        let bypass = self.reasons.first().copied();
        let unkept = refused.iter().copied().max_by_key(|(_, count)| *count);
        let bypassed = bypass.map_or(0, |(_, count)| count);
        let refused = unkept.map_or(0, |(_, count)| count);
        // Misses whose replies were kept, and of no more use than they cost.
        let vain = self.misses.saturating_sub(refused);
        if vain > self.hits && vain > bypassed.max(refused) {
            return (Value::Null, SELDOM.into());
        }
        match (bypass, unkept) {
            (Some((reason, _)), _) if bypassed >= refused => {
                (reason.code().into(), reason.remedy().into())
            }
            (_, Some((why, _))) => (why.code().into(), why.remedy().into()),
            (Some(_) | None, None) => (Value::Null, Value::Null),
        }
    }
}

/// What nobody counts one by one, if there is anything.
fn rest(observed: &dyn Observed, counts: &[Count]) -> Option<Vec<Value>> {
    let telemetry = observed.telemetry();
    let less = |all: u64, of: fn(&Count) -> u64| all.saturating_sub(counts.iter().map(of).sum());
    let hits = less(telemetry.hits.value(), |it| it.hits);
    let misses = less(telemetry.misses.value(), |it| it.misses);
    let bypasses = Reason::ALL.map(|reason| telemetry.bypass(reason).value());
    let bypasses = less(bypasses.iter().sum(), Count::bypasses);
    let calls = hits + misses + bypasses;
    (calls > 0).then(|| {
        vec![
            calls.into(),
            hits.into(),
            misses.into(),
            bypasses.into(),
            Value::Null,
            ratio(hits, calls),
            Value::Null,
            Value::Null,
            Value::Null,
            Value::Null,
            OTHERS.into(),
        ]
    })
}

/// Stands for what a client has prepared or sent in a way that was not read here.
const UNREAD: &str = "(not read)";

/// Stands for all that there was no room for.
const OTHERS: &str = "(others)";

const SELDOM: &str = "nothing: the same values are seldom asked for twice before a write, or the \
    TTL, outdates the reply";
