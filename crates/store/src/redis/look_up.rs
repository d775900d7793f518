//! Lookups: what Redis shows, and whether it answers the question.

use std::sync::Arc;

use cache::{Entry, Refresh, Stamp};

use super::{
    Redis,
    database::Database,
    line::Patience,
    near::Touches,
    read::{Reading, Wanted},
    shared::By,
    value::{self, Stored},
    version::{Seen, stamp},
};
use crate::{Age, Found, Point, Question, Trouble, delay};

/// What a lookup comes to.
enum Verdict {
    /// A reply that may be served, how old it is if it should be renewed, and under what one that is
    /// asked for from now on may be recorded.
    Reply(Entry, Option<Age>, Stamp),
    /// None.
    None(Found),
}

/// How a lookup is asked.
#[derive(Clone, Copy)]
struct Asked<'a> {
    /// What is forgiven of a reply that is to be renewed.
    refresh: Option<&'a Refresh>,
    /// Redis is to say how old the reply is.
    timed: bool,
}

impl Redis {
    /// A reply that may be served without asking Redis. Never waits.
    pub(crate) fn look_up_near(&self, question: &Question<'_>) -> Option<Entry> {
        let near = self.shared.near.as_ref()?;
        if self.shared.debts.any() {
            return None;
        }
        near.look_up(question)
    }

    /// The same for one that is renewed, and how old it is if it should be.
    pub(crate) fn look_up_near_aging(
        &self,
        question: &Question<'_>,
        refresh: &Refresh,
    ) -> Option<(Entry, Option<Age>)> {
        let near = self.shared.near.as_ref()?;
        if self.shared.debts.any() {
            return None;
        }
        near.look_up_aging(question, refresh)
    }

    /// Asks Redis.
    pub(crate) async fn look_up(&self, question: &Question<'_>) -> Found {
        match self.judge(question, None).await {
            Verdict::Reply(entry, ..) => Found::Hit(entry),
            Verdict::None(found) => found,
        }
    }

    /// Asks Redis for a reply that is renewed.
    pub(crate) async fn look_up_aging(
        &self,
        question: &Question<'_>,
        refresh: &Refresh,
    ) -> (Found, Option<Age>) {
        match self.judge(question, Some(refresh)).await {
            Verdict::Reply(entry, age, _) => (Found::Hit(entry), age),
            Verdict::None(found) => (found, None),
        }
    }

    /// Asks Redis for a stamp, unless somebody else has renewed the reply already.
    pub(crate) async fn stamp(&self, question: &Question<'_>, refresh: &Refresh) -> Found {
        match self.judge(question, Some(refresh)).await {
            Verdict::Reply(entry, None, _) => Found::Hit(entry),
            Verdict::Reply(_, Some(_), stamp) => Found::Miss(stamp),
            Verdict::None(found) => found,
        }
    }

    async fn judge(&self, question: &Question<'_>, refresh: Option<&Refresh>) -> Verdict {
        let database = self.shared.database(question.database);
        // Before the fence is looked at: whoever raises it forgets what is near afterwards, so that
        // what was asked for before it is not kept.
        let near = self.shared.near.as_ref();
        let touches = near.and_then(|near| near.touches(&database, question.scopes));
        if self.shared.debts.any() {
            return Verdict::None(Found::Unavailable);
        }
        let Some((line, trust)) = self.shared.line() else {
            return Verdict::None(Found::Unavailable);
        };
        let by = (line, &trust);
        let mut asked = Asked {
            refresh,
            timed: near.is_some() || refresh.is_some(),
        };
        let mut verdict = self.ask(by, &database, question, touches, asked).await;
        if let Ok(None) = verdict {
            // Rules differ: it is kept for those who renew it.
            asked.timed = true;
            verdict = self.ask(by, &database, question, None, asked).await;
        }
        match verdict {
            Ok(Some(verdict)) => verdict,
            Ok(None) => Verdict::None(Found::Unavailable),
            Err(trouble) => {
                self.shared.note(trouble);
                Verdict::None(Found::Unavailable)
            }
        }
    }

    /// Asks once; `None` if it would have to be known how old the reply is.
    async fn ask(
        &self,
        by: By<'_>,
        database: &Arc<Database>,
        question: &Question<'_>,
        touches: Option<Touches>,
        asked: Asked<'_>,
    ) -> Result<Option<Verdict>, Trouble> {
        let scopes = question.scopes;
        let wanted = Wanted {
            key: question.key,
            timed: asked.timed,
        };
        let read = self.shared.read(by, database, scopes, Some(wanted));
        let mut reading = read.await?;
        if reading.versions.contains(&Seen::Missing) {
            let scopes: Vec<_> = database.scopes(scopes).collect();
            delay(Point::Making).await;
            reading.versions = self.shared.look(by, Patience::Client, &scopes).await?;
            reading.reply = None;
        }
        let current = match self.current(database, question, &reading) {
            Ok(current) => current,
            Err(found) => return Ok(Some(Verdict::None(found))),
        };
        let missing = |stamp| Ok(Some(Verdict::None(Found::Miss(stamp))));
        let Some(value) = &reading.reply else {
            return missing(current);
        };
        let Some(stored) = value::decode(question.key, value) else {
            self.shared.troubles.add(Trouble::Damaged);
            return missing(current);
        };
        if !current.admits(&stored.stamp, scopes) {
            return missing(current);
        }
        if !asked.timed && !stored.beyond.is_zero() {
            return Ok(None);
        }
        let age = asked.timed.then(|| stored.age(reading.lasts));
        let Some(due) = due(&stored, age, question, asked.refresh) else {
            return missing(current);
        };
        if let (Some(near), Some(touches), Some(age)) = (&self.shared.near, touches, age) {
            near.keep(question, (database, touches), &stored, age);
        }
        Ok(Some(Verdict::Reply(stored.entry, due, current)))
    }

    /// The stamp of what is current, if all of it is.
    fn current(
        &self,
        database: &Database,
        question: &Question<'_>,
        reading: &Reading,
    ) -> Result<Stamp, Found> {
        let scopes = question.scopes;
        if database.is_settling(reading.generation) {
            return Err(Found::InFlight);
        }
        let versions = match reading.versions.split_last() {
            // A reply that lacks no row does not need it.
            Some((Seen::Written(_), others)) if cache::is_optional(scopes.last()) => {
                self.shared.suspect(scopes.last().copied().into_iter());
                others
            }
            _ => &reading.versions,
        };
        let Some(stamp) = stamp(reading.generation, versions) else {
            self.shared.suspect(database.scopes(scopes));
            return Err(Found::InFlight);
        };
        if stamp.versions().first() != Some(&question.epoch) {
            database.note_alone(false);
            return Err(Found::Outdated);
        }
        Ok(stamp)
    }
}

/// Whether a reply is young enough, and if so, whether it should be renewed.
///
/// Its age is Redis's affair: a clock to tell would have to be the same everywhere. If it is not
/// known, the reply is gone from there when its time is over.
fn due(
    stored: &Stored,
    age: Option<std::time::Duration>,
    question: &Question<'_>,
    refresh: Option<&Refresh>,
) -> Option<Option<Age>> {
    match (age, refresh) {
        (Some(age), Some(refresh)) => Age::of(age, &refresh.ages(stored.fresh.min(question.ttl))),
        // What was recorded under a longer rule may be too old for today's.
        (age, _) => {
            (stored.ttl <= question.ttl && age.is_none_or(|age| age < stored.fresh)).then_some(None)
        }
    }
}
