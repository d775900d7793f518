//! What the admin port shows of the proxy.

use admin::{Observed, Part, Readiness};
use session::Telemetry;

use crate::{database::State, server::Front};

impl Observed for Front {
    fn telemetry(&self) -> &Telemetry {
        &self.services.sessions.telemetry
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
        let upstream = upstream(self.services.databases.states().into_iter());
        Readiness {
            parts: vec![listener, upstream, store],
        }
    }
}

/// The server is there if a database can be watched, or could be if we were let in.
fn upstream(states: impl Iterator<Item = (Box<str>, State)>) -> Part {
    let mut part = Part::unready("upstream", "not connected yet");
    for (_, state) in states {
        match state {
            State::Ready | State::Vacant => return Part::ready("upstream"),
            State::Refused(reason) => {
                part = Part::degraded("upstream", format!("served without cache: {reason}"));
            }
            State::Starting | State::Disconnected => {}
        }
    }
    part
}
