//! What the admin port shows of the proxy.

mod tables;

use admin::{Observed, Part, Readiness, ShownDatabase, ShownTable};
use config::ShownSetting;
use session::{Statistics, Telemetry};

use crate::{database::State, front::Front};

impl Observed for Front {
    fn telemetry(&self) -> &Telemetry {
        &self.services.sessions.telemetry
    }

    fn statistics(&self) -> &Statistics {
        &self.services.sessions.statistics
    }

    fn settings(&self) -> Vec<ShownSetting> {
        self.config.load().shown()
    }

    fn databases(&self) -> Vec<ShownDatabase> {
        let states = self.services.databases.states().into_iter();
        states.map(|(name, state)| database(name, state)).collect()
    }

    fn tables(&self, limit: usize) -> Vec<ShownTable> {
        let known = self.services.databases.known();
        tables::tables(&known, &self.services.written, limit)
    }

    fn store(&self) -> store::Status {
        self.services.store.status()
    }

    fn readiness(&self) -> Readiness {
        let draining = self.leave.is_given();
        let listener = if draining {
            Part::unready("listener", "shutting down")
        } else {
            Part::ready("listener")
        };
        let store = match self.services.store.status().state {
            store::State::Up => Part::ready("store"),
            store::State::Down => {
                Part::degraded("store", "not reachable; statements go to PostgreSQL")
            }
            store::State::Fenced => Part::degraded(
                "store",
                "an invalidation is owed; statements go to PostgreSQL",
            ),
        };
        let states = self.services.databases.states();
        let upstream = if self.upstream.is_itself() {
            Part::unready("upstream", "it leads back to this pgmemo")
        } else {
            upstream(states.into_iter(), self.upstream.is_reached())
        };
        Readiness {
            parts: vec![listener, upstream, store],
        }
    }
}

fn database(name: Box<str>, state: State) -> ShownDatabase {
    let (state, reason) = match state {
        State::Starting => ("starting", None),
        State::Ready => ("ready", None),
        State::Unread(reason) => ("unread", Some(reason)),
        State::Refused(reason) => ("refused", Some(reason)),
        State::Disconnected => ("disconnected", None),
        State::Vacant => ("vacant", None),
    };
    ShownDatabase {
        name: name.into(),
        state,
        reason: reason.map(|reason| reason.as_ref().to_owned()),
    }
}

/// The server is there if it answered when it was last tried; how well clients are served follows from
/// what is known of the databases. Where one is just being read for the first time, it is soon.
fn upstream(states: impl Iterator<Item = (Box<str>, State)>, reached: bool) -> Part {
    let without =
        |reason: &str| Part::degraded("upstream", format!("served without cache: {reason}"));
    let states: Vec<_> = states.map(|(_, state)| state).collect();
    // Of these, each has a connection.
    let stands = |state: &State| matches!(state, State::Ready | State::Unread(_));
    if !reached && !states.iter().any(stands) {
        return Part::unready("upstream", "not connected");
    }
    let mut part = None;
    for state in states {
        let other = match state {
            State::Ready | State::Vacant => return Part::ready("upstream"),
            State::Refused(reason) | State::Unread(reason) => without(&reason),
            State::Disconnected => without("the catalog cannot be read"),
            State::Starting => Part::unready("upstream", "the catalog is being read"),
        };
        if part
            .as_ref()
            .is_none_or(|part: &Part| part.state == admin::State::Unready)
        {
            part = Some(other);
        }
    }
    part.unwrap_or_else(|| without("the upstream URL names no user"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_not_there_is_no_help_whatever_was_known() {
        let check = |states: &[State], reached, expected| {
            let named = states.iter().map(|state| ("d".into(), state.clone()));
            assert_eq!(
                upstream(named, reached).state,
                expected,
                "{states:?} {reached}"
            );
        };
        use admin::State::{Degraded, Ready, Unready};
        let unread = State::Unread("no epoch".into());
        let refused = State::Refused("no right".into());
        check(&[], false, Unready);
        check(&[], true, Degraded);
        check(&[State::Ready], false, Ready);
        check(&[State::Starting], true, Unready);
        check(&[State::Vacant], true, Ready);
        check(&[State::Vacant], false, Unready);
        check(&[State::Vacant, State::Disconnected], false, Unready);
        check(&[State::Disconnected], true, Degraded);
        check(&[State::Starting, unread.clone()], true, Degraded);
        check(&[unread, State::Ready], true, Ready);
        check(&[refused, State::Starting], true, Degraded);
    }
}
