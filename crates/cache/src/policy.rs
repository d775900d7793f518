//! Which relations are cached, and for how long.

use std::time::Duration;

/// The policy for one relation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rule {
    /// How long an entry that reads the relation lives; `None`: it is not cached.
    pub ttl: Option<Duration>,
    /// How entries that read the relation are renewed.
    pub refresh: Refresh,
}

/// How entries are renewed in the background. The default is not at all.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Refresh {
    /// How long beyond its TTL an entry may be served while it is being renewed.
    pub stale: Duration,
    /// How long beyond its TTL an entry may be served while renewing it fails.
    pub stale_if_error: Duration,
    /// An entry that is asked for near the end of its TTL is renewed before it ends.
    pub prefetch: bool,
    /// An entry that is asked for often is renewed when a write has made it worthless.
    pub on_write: bool,
}

impl Refresh {
    /// Whether anything is to be renewed.
    pub fn is_on(&self) -> bool {
        *self != Self::default()
    }

    /// Whether it says what happens if renewing fails, and renews nothing because of age.
    pub fn has_idle_patience(&self) -> bool {
        !self.stale_if_error.is_zero() && self.stale.is_zero() && !self.prefetch
    }

    /// How long beyond its TTL an entry may be of use.
    pub fn beyond(&self) -> Duration {
        self.stale.max(self.stale_if_error)
    }

    /// The bounds on the age of an entry with this TTL.
    pub fn ages(&self, ttl: Duration) -> Ages {
        let stale = ttl.saturating_add(self.stale);
        Ages {
            ttl,
            due: if self.prefetch { ttl * 4 / 5 } else { ttl },
            stale,
            failing: ttl.saturating_add(self.stale_if_error).max(stale),
        }
    }
}

/// Bounds on the age of an entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ages {
    /// Up to here it needs no renewing.
    pub ttl: Duration,
    /// From here on it is to be renewed.
    pub due: Duration,
    /// Up to here it may be served while it is being renewed.
    pub stale: Duration,
    /// Up to here it may be served while renewing it fails.
    pub failing: Duration,
}

/// All rules. The most specific one decides: an exact name beats a pattern, and among patterns the
/// later one wins.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    default: Option<Duration>,
    rules: Vec<(Pattern, Rule)>,
}

impl Policy {
    /// `default` holds for relations without a rule of their own; `rules` stand in file order.
    pub fn new(default: Option<Duration>, rules: Vec<(Pattern, Rule)>) -> Self {
        Self { default, rules }
    }

    /// The rule for one relation.
    pub fn of(&self, schema: &str, name: &str) -> Rule {
        self.rules
            .iter()
            .enumerate()
            .filter(|(_, (pattern, _))| pattern.matches(schema, name))
            .max_by_key(|(index, (pattern, _))| (pattern.is_exact(), *index))
            .map_or_else(
                || Rule {
                    ttl: self.default,
                    refresh: Refresh::default(),
                },
                |(_, (_, rule))| *rule,
            )
    }

    /// The time to live of a reply that reads these relations: the smallest of theirs, or `None`
    /// if one of them is not cached.
    pub fn ttl<'a>(
        &self,
        relations: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Option<Duration> {
        relations
            .into_iter()
            .map(|(schema, name)| self.of(schema, name).ttl)
            .try_fold(Duration::MAX, |least, ttl| ttl.map(|ttl| least.min(ttl)))
    }

    /// How a reply that reads these relations is renewed: as all of them allow.
    pub fn refresh<'a>(&self, relations: impl IntoIterator<Item = (&'a str, &'a str)>) -> Refresh {
        relations
            .into_iter()
            .map(|(schema, name)| self.of(schema, name).refresh)
            .reduce(|all, one| Refresh {
                stale: all.stale.min(one.stale),
                stale_if_error: all.stale_if_error.min(one.stale_if_error),
                prefetch: all.prefetch && one.prefetch,
                on_write: all.on_write && one.on_write,
            })
            .unwrap_or_default()
    }

    /// The patterns, in file order.
    pub fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.rules.iter().map(|(pattern, _)| pattern)
    }
}

/// `schema.name`, `schema.*`, `*.log_*`; a name without a schema matches in every schema. `*` stands for any run
/// of characters, `?` for one. Names are compared as PostgreSQL stores them, unfolded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pattern {
    schema: Box<str>,
    name: Box<str>,
}

/// A pattern that cannot match a relation.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is not `table`, `schema.table` or a pattern with `*` and `?` in either part")]
pub struct PatternError(Box<str>);

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// When a part is empty or there are more than two.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let (schema, name) = text.split_once('.').unwrap_or(("*", text));
        if schema.is_empty() || name.is_empty() || name.contains('.') {
            return Err(PatternError(text.into()));
        }
        Ok(Self {
            schema: schema.into(),
            name: name.into(),
        })
    }

    /// Whether it matches a relation.
    pub fn matches(&self, schema: &str, name: &str) -> bool {
        glob(self.schema.as_bytes(), schema.as_bytes())
            && glob(self.name.as_bytes(), name.as_bytes())
    }

    /// Whether the name part holds no wildcard.
    pub fn is_exact(&self) -> bool {
        !self.name.contains(['*', '?'])
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// Matches without recursion: on a mismatch, the last `*` takes one byte more.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t, mut retry) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p, t));
                p += 1;
            }
            Some(&c) if c == b'?' || text.get(t) == Some(&c) => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((star, taken)) = retry else {
                    return false;
                };
                retry = Some((star, taken + 1));
                p = star + 1;
                t = taken + 1;
            }
        }
    }
    pattern.iter().skip(p).all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        let rule = |text: &str, secs: Option<u64>| {
            (
                Pattern::parse(text).unwrap(),
                Rule {
                    ttl: secs.map(Duration::from_secs),
                    refresh: Refresh::default(),
                },
            )
        };
        Policy::new(
            Some(Duration::from_secs(60)),
            vec![
                rule("public.city", Some(10)),
                rule("public.*", Some(20)),
                rule("*_log", None),
                rule("app.a?c", Some(30)),
            ],
        )
    }

    #[test]
    fn the_most_specific_rule_decides() {
        let ttl = |schema, name| policy().of(schema, name).ttl.map(|ttl| ttl.as_secs());
        assert_eq!(ttl("public", "city"), Some(10));
        assert_eq!(ttl("public", "country"), Some(20));
        assert_eq!(ttl("public", "audit_log"), None);
        assert_eq!(ttl("app", "abc"), Some(30));
        assert_eq!(ttl("app", "abbc"), Some(60));
    }

    #[test]
    fn the_smallest_ttl_wins_and_one_uncached_table_refuses() {
        let ttl = |names: &[(&'static str, &'static str)]| policy().ttl(names.iter().copied());
        assert_eq!(
            ttl(&[("public", "city"), ("x", "y")]),
            Some(Duration::from_secs(10))
        );
        assert_eq!(ttl(&[("public", "city"), ("x", "y_log")]), None);
    }

    #[test]
    fn a_reply_is_renewed_as_all_of_its_tables_allow() {
        let rule = |text: &str, stale, prefetch| {
            let refresh = Refresh {
                stale: Duration::from_secs(stale),
                stale_if_error: Duration::from_secs(7),
                prefetch,
                on_write: prefetch,
            };
            let ttl = Some(Duration::from_secs(10));
            (Pattern::parse(text).unwrap(), Rule { ttl, refresh })
        };
        let policy = Policy::new(None, vec![rule("a", 5, true), rule("b", 3, false)]);
        let both = policy.refresh([("s", "a"), ("s", "b")]);
        assert_eq!(
            (both.stale.as_secs(), both.stale_if_error.as_secs()),
            (3, 7)
        );
        assert!(!both.prefetch && !both.on_write);
        assert!(!policy.refresh([("s", "a"), ("s", "c")]).is_on());
        let ages = policy.refresh([("s", "a")]).ages(Duration::from_secs(10));
        assert_eq!(
            (
                ages.due.as_secs(),
                ages.stale.as_secs(),
                ages.failing.as_secs()
            ),
            (8, 15, 17)
        );
        let ages = Refresh::default().ages(Duration::from_secs(10));
        assert_eq!(
            ages.due, ages.failing,
            "what is not renewed is never due before it ends"
        );
    }

    #[test]
    fn rejects_patterns_that_match_nothing() {
        for text in ["", ".a", "a.", "a.b.c"] {
            assert_eq!(Pattern::parse(text), Err(PatternError(text.into())));
        }
    }
}
