//! `[tables."pattern"]` and `[functions."schema.name"]`.

use std::time::Duration;

use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue},
};

use crate::{
    FunctionRule, Place, Problem, TableRule,
    file::{Contents, Source, in_order, not_a_section, written},
    form::{Written, time_to_live},
    nearest::nearest,
    problem::Refusal,
    registry::{TTL_MAX, TTL_MIN},
};

/// Reads `[tables]`.
pub(crate) fn tables(value: &Spanned<DeValue<'_>>, source: Source<'_>, into: &mut Contents<'_>) {
    let DeValue::Table(rules) = value.get_ref() else {
        into.problems
            .push(not_a_section("tables.\"schema.table\"", source.of(value)));
        return;
    };
    for (key, value) in in_order(rules) {
        let mut problems = Vec::new();
        let rule = table(key.get_ref(), source.of(key), value, source, &mut problems);
        if problems.is_empty() {
            into.tables.extend(rule);
        }
        into.problems.append(&mut problems);
    }
}

/// Reads `[functions]`.
pub(crate) fn functions(value: &Spanned<DeValue<'_>>, source: Source<'_>, into: &mut Contents<'_>) {
    let DeValue::Table(rules) = value.get_ref() else {
        into.problems
            .push(not_a_section("functions.\"schema.name\"", source.of(value)));
        return;
    };
    for (key, value) in in_order(rules) {
        let mut problems = Vec::new();
        let rule = function(key.get_ref(), source.of(key), value, source, &mut problems);
        if problems.is_empty() {
            into.functions.extend(rule);
        }
        into.problems.append(&mut problems);
    }
}

fn table(
    pattern: &str,
    place: Place,
    value: &Spanned<DeValue<'_>>,
    source: Source<'_>,
    problems: &mut Vec<Problem>,
) -> Option<TableRule> {
    let subject = format!("tables.\"{}\"", pattern.escape_debug());
    if let Err(error) = cache::Pattern::parse(pattern) {
        problems.push(Problem {
            place: place.clone(),
            what: format!("{subject}: {error}"),
            remedy: "write [tables.\"public.orders\"] or [tables.\"audit_*\"]".to_owned(),
        });
    }
    let body = body(&subject, value, source, problems)?;
    let Said {
        ttl,
        cache,
        refresh,
    } = said(&subject, body, source, problems);
    let problem = match (ttl, cache) {
        (None, None) if !refresh.is_on() => {
            Some(("says nothing", "write ttl = \"5m\" or cache = false"))
        }
        (Some(None), Some(true)) => Some((
            "has cache = true without a ttl",
            "write ttl = \"5m\", or cache = false",
        )),
        _ if refresh.has_idle_patience() => Some((
            "has stale_if_error, but nothing is read again that could fail",
            "add stale_while_revalidate or prefetch",
        )),
        _ => None,
    };
    if let Some((what, remedy)) = problem.filter(|_| problems.is_empty()) {
        let what = format!("{subject} {what}");
        problems.push(Problem {
            place: place.clone(),
            what,
            remedy: remedy.to_owned(),
        });
    }
    let cache = cache.unwrap_or(ttl != Some(None));
    Some(TableRule {
        pattern: pattern.to_owned(),
        ttl: ttl.flatten(),
        cache,
        refresh,
        place,
    })
}

/// The keys of a table rule, as far as they were written.
#[derive(Default)]
struct Said {
    /// `Some(None)` is "off".
    ttl: Option<Option<Duration>>,
    cache: Option<bool>,
    refresh: cache::Refresh,
}

fn said(
    subject: &str,
    body: &DeTable<'_>,
    source: Source<'_>,
    problems: &mut Vec<Problem>,
) -> Said {
    let mut said = Said::default();
    for (key, value) in in_order(body) {
        let name = key.get_ref().as_ref();
        let written = written(value.get_ref());
        let read = match name {
            "ttl" => rule_ttl(&written).map(|ttl| said.ttl = Some(ttl)),
            "cache" => truth(&written).map(|cache| said.cache = Some(cache)),
            "stale_while_revalidate" => {
                rule_ttl(&written).map(|stale| said.refresh.stale = stale.unwrap_or_default())
            }
            "stale_if_error" => rule_ttl(&written)
                .map(|stale| said.refresh.stale_if_error = stale.unwrap_or_default()),
            "prefetch" => truth(&written).map(|prefetch| said.refresh.prefetch = prefetch),
            "on_write" => on_write(&written).map(|renewed| said.refresh.on_write = renewed),
            _ => {
                let place = source.of(key);
                problems.push(unknown(subject, name, value, place, &TABLE_KEYS));
                continue;
            }
        };
        if let Err(refusal) = read {
            let key = format!("{subject}.{name}");
            problems.push(refusal.of(&key, &written.shown(), source.of(value)));
        }
    }
    said
}

/// What a rule for tables may say.
const TABLE_KEYS: [&str; 6] = [
    "ttl",
    "cache",
    "stale_while_revalidate",
    "stale_if_error",
    "prefetch",
    "on_write",
];

/// Whether replies that a write makes worthless are read again.
fn on_write(written: &Written<'_>) -> Result<bool, Refusal> {
    match written {
        Written::Text("refresh") => Ok(true),
        Written::Text("drop") => Ok(false),
        Written::Untyped(_)
        | Written::Text(_)
        | Written::Number(_)
        | Written::Boolean(_)
        | Written::Other(_) => Err(Refusal::new(
            "is not known",
            "write \"refresh\" or \"drop\"",
        )),
    }
}

fn truth(written: &Written<'_>) -> Result<bool, Refusal> {
    match written {
        Written::Boolean(cache) => Ok(*cache),
        Written::Untyped(_) | Written::Text(_) | Written::Number(_) | Written::Other(_) => Err(
            Refusal::new("is not a truth value", "write true or false without quotes"),
        ),
    }
}

/// Reads the TTL of a rule; `None` is "off".
fn rule_ttl(written: &Written<'_>) -> Result<Option<Duration>, Refusal> {
    match written {
        Written::Text(text) | Written::Number(text) => time_to_live(text, TTL_MIN, TTL_MAX),
        Written::Untyped(_) | Written::Boolean(_) | Written::Other(_) => {
            Err(Refusal::new("is not a duration", crate::units::TIME_REMEDY))
        }
    }
}

fn function(
    name: &str,
    place: Place,
    value: &Spanned<DeValue<'_>>,
    source: Source<'_>,
    problems: &mut Vec<Problem>,
) -> Option<FunctionRule> {
    let subject = format!("functions.\"{}\"", name.escape_debug());
    let qualified = qualified(name);
    if qualified.is_none() {
        problems.push(Problem {
            place: place.clone(),
            what: format!("{subject} does not name one function with its schema"),
            remedy: "write [functions.\"schema.name\"]; all its overloads are meant".to_owned(),
        });
    }
    let body = body(&subject, value, source, problems)?;
    let mut reads = None;
    for (key, value) in in_order(body) {
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("reads", DeValue::Array(names)) => {
                reads = Some(read_tables(&subject, names, source, problems));
            }
            ("reads", _) => {
                let refusal = Refusal::new("is not an array", READS_REMEDY);
                let shown = written(value.get_ref()).shown();
                reads = Some(Vec::new());
                problems.push(refusal.of(&format!("{subject}.reads"), &shown, source.of(value)));
            }
            (name, _) => {
                problems.push(unknown(&subject, name, value, source.of(key), &["reads"]));
            }
        }
    }
    if reads.is_none() && problems.is_empty() {
        problems.push(Problem {
            place: place.clone(),
            what: format!("{subject} does not say which tables it reads"),
            remedy: READS_REMEDY.to_owned(),
        });
    }
    let (schema, name) = qualified?;
    Some(FunctionRule {
        schema,
        name,
        reads: reads.unwrap_or_default(),
        place,
    })
}

const READS_REMEDY: &str = "write reads = [\"public.rates\"], or reads = [] if its result depends \
    on its arguments alone";

fn read_tables(
    subject: &str,
    names: &DeArray<'_>,
    source: Source<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<(String, String)> {
    let mut tables = Vec::new();
    for value in names.iter() {
        let written = written(value.get_ref());
        match value.get_ref().as_str().and_then(qualified) {
            Some(table) => tables.push(table),
            None => {
                let refusal = Refusal::new(
                    "does not name one table with its schema",
                    "write \"schema.table\", without wildcards",
                );
                let key = format!("{subject}.reads");
                problems.push(refusal.of(&key, &written.shown(), source.of(value)));
            }
        }
    }
    tables
}

/// Cuts `schema.name`; `None` if a part is missing, or there are wildcards or more parts.
fn qualified(text: &str) -> Option<(String, String)> {
    let (schema, name) = text.split_once('.')?;
    let fits = !schema.is_empty() && !name.is_empty() && !name.contains('.');
    (fits && !text.contains(['*', '?'])).then(|| (schema.to_owned(), name.to_owned()))
}

/// The keys of a rule.
fn body<'t, 'i>(
    subject: &str,
    value: &'t Spanned<DeValue<'i>>,
    source: Source<'_>,
    problems: &mut Vec<Problem>,
) -> Option<&'t DeTable<'i>> {
    let table = value.get_ref().as_table();
    if table.is_none() {
        problems.push(not_a_section(subject, source.of(value)));
    }
    table
}

/// What is wrong with a key of a rule that nobody knows. `[tables.public.orders]` is the most
/// frequent one: without quotes the dot makes a table in a table.
fn unknown(
    subject: &str,
    name: &str,
    value: &Spanned<DeValue<'_>>,
    place: Place,
    known: &[&'static str],
) -> Problem {
    let remedy = match (value.get_ref(), subject.split_once(".\"")) {
        (DeValue::Table(_), Some((section, outer))) => {
            format!(
                "write the name in quotes: [{section}.\"{}.{name}\"]",
                outer.trim_end_matches('"')
            )
        }
        _ => nearest(name, known.iter().copied()).map_or_else(
            || format!("known here: {}", known.join(", ")),
            |near| format!("did you mean `{near}`?"),
        ),
    };
    Problem {
        place,
        what: format!("unknown key `{}` in {subject}", name.escape_debug()),
        remedy,
    }
}
