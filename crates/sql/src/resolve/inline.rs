//! Functions in SQL, read like views: a call depends on what the query in the body depends on.
//!
//! Only functions that are declared STABLE or IMMUTABLE and consist of one query count; such a
//! function cannot write. Its arguments stand for any values of their types.

use std::sync::OnceLock;

use catalog::{Function, FunctionId, FunctionKind, Language, SearchPath, Snapshot, Volatility};
use foldhash::HashMap;

use super::Viewer;
use crate::Reason;
use crate::analysis::{Analysis, analyze};
use crate::facts::Bound;
use crate::needs::Found;
use crate::scan::{Kind, lexemes};

/// The bodies of functions, each analysed when it is asked for.
#[derive(Debug, Default)]
pub(super) struct Bodies(HashMap<FunctionId, OnceLock<Option<Body>>>);

#[derive(Debug)]
struct Body {
    analysis: Analysis,
    names: Names,
}

/// How a body finds its names.
#[derive(Debug)]
enum Names {
    /// Along the path of whoever calls it.
    Caller,
    /// Along this path.
    Own(SearchPath),
}

impl Bodies {
    /// Of all functions that qualify.
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        let functions = snapshot.all_functions().filter(|it| qualifies(it));
        Self(functions.map(|it| (it.id, OnceLock::new())).collect())
    }

    /// Whether a function is read like a view.
    pub(super) fn has(&self, function: FunctionId) -> bool {
        self.0.contains_key(&function)
    }

    fn get(&self, snapshot: &Snapshot, function: &Function) -> Option<&Body> {
        let body = self.0.get(&function.id)?;
        body.get_or_init(|| body_of(snapshot, function)).as_ref()
    }
}

impl Viewer<'_> {
    /// Why a function in SQL may not be run, if it may not; adds what it reads.
    pub(super) fn inline(&self, function: &Function, found: &mut Found) -> Option<Reason> {
        let Some(body) = self.trust.bodies.get(self.snapshot, function) else {
            return Some(Reason::UnknownFunction);
        };
        let [sentence] = body.analysis.sentences() else {
            return Some(Reason::UnknownFunction);
        };
        let (read, lexical) = match (&sentence.read, &sentence.writes) {
            (Ok(read), Bound::Lexical(lexical)) => (read, lexical),
            (Err(reason), _) => return Some(*reason),
            (Ok(_), _) => return Some(Reason::UnknownFunction),
        };
        let Some(depth) = self.depth.checked_sub(1) else {
            return Some(Reason::UnknownFunction);
        };
        let viewer = Viewer {
            path: match &body.names {
                Names::Caller => self.path,
                Names::Own(path) => path,
            },
            // With the rights of its owner other policies count than for the reader: all do.
            role: self.role.filter(|_| !function.definer),
            given: &function.takes,
            depth,
            ..*self
        };
        let mut below = Found::default();
        if let Err(reason) = viewer.gather(read, lexical, &[], &mut below) {
            return Some(reason);
        }
        let needs = below.needs();
        // The server may have computed what is IMMUTABLE long ago.
        let reads = !needs.relations.is_empty() || !needs.settings.is_empty();
        if function.volatility == Volatility::Immutable && reads {
            return Some(Reason::UnknownFunction);
        }
        found.add(&needs);
        None
    }
}

/// Whether a function is one query that is run as it stands, with every argument given.
fn qualifies(function: &Function) -> bool {
    let (least, most) = function.arguments;
    !function.id.is_builtin()
        && function.kind == FunctionKind::Function
        && function.language == Language::Sql
        && function.volatility != Volatility::Volatile
        && least == most
        && usize::from(most) == function.takes.len()
        && function.body.is_some()
}

fn body_of(snapshot: &Snapshot, function: &Function) -> Option<Body> {
    let text = function.body.as_deref()?.trim();
    let (text, names) = match parsed(text) {
        Some(text) => (text, Names::Own(qualified(snapshot)?)),
        None => (text.to_owned(), Names::Caller),
    };
    let names = match (&*function.settings, names) {
        // Whose path it is depends on whose rights it has.
        ([], Names::Caller) if function.definer => return None,
        ([], names) => names,
        ([path], Names::Caller) => Names::Own(own_path(snapshot, path)?),
        (_, _) => return None,
    };
    Some(Body {
        analysis: analyze(without_parameters(&text)?.as_bytes()),
        names,
    })
}

/// The query of a body that the server keeps as a tree and prints with every name qualified.
fn parsed(body: &str) -> Option<String> {
    let after = |prefix: &str| {
        let (head, rest) = body.split_at_checked(prefix.len())?;
        head.eq_ignore_ascii_case(prefix).then_some(rest)
    };
    if let Some(value) = after("RETURN ") {
        return Some(format!("SELECT {value}"));
    }
    let block = after("BEGIN ATOMIC")?.trim_end();
    block.strip_suffix("END").map(str::to_owned)
}

fn qualified(snapshot: &Snapshot) -> Option<SearchPath> {
    let system = snapshot.schema_by_name("pg_catalog")?;
    Some(SearchPath([system.id].into()))
}

/// The path that a function sets for itself: plain names and quoted ones, none that means another
/// schema to another role, all of them there and open to everybody.
fn own_path(snapshot: &Snapshot, setting: &str) -> Option<SearchPath> {
    let (name, value) = setting.split_once('=')?;
    name.eq_ignore_ascii_case("search_path").then_some(())?;
    let mut path = Vec::new();
    for name in value.split(',').map(str::trim) {
        let name = match name.strip_prefix('"') {
            Some(quoted) => quoted.strip_suffix('"')?.to_owned(),
            None => name.to_ascii_lowercase(),
        };
        if name.contains(['"', '$']) {
            return None;
        }
        // Whoever has temporary objects is not looked up.
        if name.is_empty() || name == "pg_temp" {
            continue;
        }
        let schema = snapshot.schema_by_name(&name)?;
        if !schema.public_usage {
            return None;
        }
        path.push(schema.id);
    }
    let system = snapshot.schema_by_name("pg_catalog")?.id;
    if !path.contains(&system) {
        path.insert(0, system);
    }
    Some(SearchPath(path.into()))
}

/// A body with names in place of `$1` and its like: their values are not those of the statement's
/// parameters, which are looked at elsewhere.
fn without_parameters(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len() + 16);
    for lexeme in lexemes(text.as_bytes()) {
        let part = std::str::from_utf8(lexeme.bytes).ok()?;
        if lexeme.kind == Kind::Parameter {
            plain.extend(["\"", part, "\""]);
        } else {
            plain.push_str(part);
        }
    }
    Some(plain)
}

/// Functions within functions deeper than this are not read.
pub(crate) const DEPTH_MAX: u8 = 8;
