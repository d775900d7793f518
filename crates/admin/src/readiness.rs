//! Whether clients should come here, part by part.

use serde_json::{Value, json};

/// The state of every part that matters to a client.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Readiness {
    /// The parts, in the order in which they are shown.
    pub parts: Vec<Part>,
}

/// One part.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Part {
    /// Its name: `upstream`, `store`, …
    pub name: &'static str,
    /// How it is doing.
    pub state: State,
    /// Why, unless it is ready. Anyone who reaches the port reads it: no hosts, no secrets.
    pub reason: Option<String>,
}

/// How a part is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// As it should.
    Ready,
    /// Clients are served, but not as well: without the cache, say.
    Degraded,
    /// Clients would not be served.
    Unready,
}

impl State {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Unready => "unready",
        }
    }
}

impl Part {
    /// A part that works.
    pub const fn ready(name: &'static str) -> Self {
        Self {
            name,
            state: State::Ready,
            reason: None,
        }
    }

    /// A part without which clients are served less well.
    pub fn degraded(name: &'static str, reason: impl Into<String>) -> Self {
        Self {
            name,
            state: State::Degraded,
            reason: Some(reason.into()),
        }
    }

    /// A part without which clients are not served.
    pub fn unready(name: &'static str, reason: impl Into<String>) -> Self {
        Self {
            name,
            state: State::Unready,
            reason: Some(reason.into()),
        }
    }
}

impl Readiness {
    /// Whether every part lets clients be served. A store that is down does not count: PostgreSQL
    /// answers.
    pub fn is_ready(&self) -> bool {
        self.parts.iter().all(|part| part.state != State::Unready)
    }

    /// The body of `/readyz`.
    pub(crate) fn to_json(&self) -> Value {
        let parts = self.parts.iter().map(|part| {
            let mut shown = json!({ "name": part.name, "state": part.state.code() });
            if let (Some(reason), Some(fields)) = (&part.reason, shown.as_object_mut()) {
                fields.insert("reason".to_owned(), Value::from(reason.as_str()));
            }
            shown
        });
        json!({ "ready": self.is_ready(), "parts": parts.collect::<Vec<_>>() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_unready_part_is_enough_and_a_degraded_one_is_not() {
        let check = |parts: &[Part], ready| {
            assert_eq!(
                Readiness {
                    parts: parts.to_vec()
                }
                .is_ready(),
                ready,
                "{parts:?}"
            );
        };
        check(&[], true);
        check(
            &[Part::ready("upstream"), Part::degraded("store", "down")],
            true,
        );
        check(
            &[Part::ready("store"), Part::unready("upstream", "refused")],
            false,
        );
    }

    #[test]
    fn the_body_names_parts_and_reasons() {
        let readiness = Readiness {
            parts: vec![Part::ready("upstream"), Part::unready("server", "draining")],
        };
        let expected = json!({
            "ready": false,
            "parts": [
                { "name": "upstream", "state": "ready" },
                { "name": "server", "state": "unready", "reason": "draining" },
            ],
        });
        assert_eq!(readiness.to_json(), expected);
    }
}
