//! Functions in SQL, read like views: a call depends on what the query in the body depends on.
//!
//! Only functions that are declared STABLE or IMMUTABLE and consist of one query count; such a
//! function cannot write. Its arguments stand for any values of their types.

use std::cell::RefCell;
use std::sync::OnceLock;

use catalog::{
    Function, FunctionId, FunctionKind, Language, RelationId, RoleId, SearchPath, Snapshot, TypeId,
    Volatility,
};
use foldhash::HashMap;

use super::names::KEEPS_BODIES;
use super::text::is_polymorphic;
use super::{Kept, Viewer};
use crate::Reason;
use crate::analysis::{Analysis, analyze};
use crate::facts::Bound;
use crate::formed::has_formed_literals;
use crate::needs::{Found, Needs};
use crate::scan::{Kind, lexemes};
use crate::tokens::identifier;

/// The bodies of functions, each analysed when it is asked for.
#[derive(Debug, Default)]
pub(super) struct Bodies(HashMap<FunctionId, OnceLock<Option<Body>>>);

#[derive(Debug)]
struct Body {
    analysis: Analysis,
    names: Names,
    /// It names nothing that depends on the session.
    plain: bool,
    /// It holds literals that are read, as settings have it, when whoever calls it is planned.
    formed: bool,
}

/// How a body finds its names.
#[derive(Debug)]
enum Names {
    /// Along the path of whoever calls it.
    Caller,
    /// They are qualified; the path is that of whoever calls it.
    Printed,
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

/// What functions in SQL turned out to read, for one plan: each is looked at once, and no more than
/// [`BODIES_MAX`].
#[derive(Debug, Default)]
pub(crate) struct Memo(RefCell<Vec<(Call, Result<Needs, Reason>)>>);

/// What a function reads depends on.
#[derive(Debug, Eq, PartialEq)]
struct Call {
    function: FunctionId,
    path: Option<SearchPath>,
    role: Option<RoleId>,
    within: Option<RelationId>,
    immutable: bool,
}

impl Memo {
    fn known(&self, call: &Call) -> Option<Result<Needs, Reason>> {
        let all = self.0.borrow();
        let found = all.iter().find(|(known, _)| known == call);
        found.map(|(_, needs)| needs.clone())
    }

    /// Until it is known, it needs nothing: what it needs is among what whoever has begun it finds, and
    /// where it is refused, so is the plan. An operator may be meant by what its own function says. `None`
    /// if it is one too many.
    fn begin(&self, call: Call) -> Option<usize> {
        let mut all = self.0.borrow_mut();
        (all.len() < BODIES_MAX).then(|| {
            all.push((call, Ok(Needs::default())));
            all.len() - 1
        })
    }

    fn end(&self, place: usize, needs: &Result<Needs, Reason>) {
        if let Some((_, known)) = self.0.borrow_mut().get_mut(place) {
            known.clone_from(needs);
        }
    }
}

impl Viewer<'_> {
    /// Why a function in SQL may not be run, if it may not; adds what it reads.
    pub(super) fn inline(&self, function: &Function, found: &mut Found) -> Option<Reason> {
        let call = Call {
            function: function.id,
            path: self.caller.cloned(),
            role: self.role,
            within: self.within,
            immutable: self.immutable,
        };
        let needs = match self.memo.known(&call) {
            Some(needs) => needs,
            None => {
                let Some(place) = self.memo.begin(call) else {
                    return Some(Reason::UnknownFunction);
                };
                let needs = self.body(function);
                self.memo.end(place, &needs);
                needs
            }
        };
        match needs {
            Ok(needs) => {
                found.add(&needs);
                None
            }
            Err(reason) => Some(reason),
        }
    }

    /// What the body of a function in SQL reads.
    fn body(&self, function: &Function) -> Result<Needs, Reason> {
        let unknown = Reason::UnknownFunction;
        let body = self.trust.bodies.get(self.snapshot, function);
        let body = body.ok_or(unknown)?;
        let [sentence] = body.analysis.sentences() else {
            return Err(unknown);
        };
        let (read, lexical) = match (&sentence.read, &sentence.writes) {
            (Ok(read), Bound::Lexical(lexical)) => (read, lexical),
            (Err(reason), _) => return Err(*reason),
            (Ok(_), _) => return Err(unknown),
        };
        let immutable = function.volatility == Volatility::Immutable;
        let formless = body.plain && function.takes.iter().all(|&kind| is_formless(kind));
        if immutable && (!formless || !read.types.is_empty() || read.unnamed_types) {
            return Err(unknown);
        }
        let (path, caller) = match &body.names {
            Names::Caller => (self.caller, self.caller),
            // Functions that it calls find their names along the path of its owner, then.
            Names::Printed if function.definer => (Some(&self.trust.printed), None),
            Names::Printed => (Some(&self.trust.printed), self.caller),
            Names::Own(path) => (Some(path), Some(path)),
        };
        let printed = matches!(body.names, Names::Printed);
        let keeps = !printed && self.snapshot.server_version() >= KEEPS_BODIES;
        if keeps && body.formed || !printed && self.hides(read, lexical, path) {
            return Err(unknown);
        }
        let kept = match printed {
            true => Kept::of_body(self.snapshot, function),
            false => Kept::default(),
        };
        let viewer = Viewer {
            kept: &kept,
            path: path.unwrap_or(&self.trust.everywhere),
            anywhere: path.is_none(),
            caller,
            // With the rights of its owner other policies count than for the reader: all do.
            role: self.role.filter(|_| !function.definer),
            given: &function.takes,
            returned: Some(function.returns),
            immutable: self.immutable || immutable,
            depth: self.depth.checked_sub(1).ok_or(unknown)?,
            ..*self
        };
        let mut below = Found {
            formed_literals: body.formed,
            ..Found::default()
        };
        viewer.gather(read, lexical, &[], &mut below)?;
        viewer.note_meant(read, lexical, function, &mut below);
        let needs = below.needs();
        // The server may have computed what is IMMUTABLE long ago.
        let reads = !needs.relations.is_empty() || !needs.settings.is_empty();
        if immutable && reads {
            return Err(unknown);
        }
        Ok(needs)
    }
}

/// Whether a function that is run by an IMMUTABLE one depends on its arguments alone.
pub(super) fn is_immutable(function: &Function) -> bool {
    let kind = function.returns;
    // What a value is written as hangs on its type.
    let written = kind.oid() == CSTRING_OID && function.takes.iter().all(|&it| is_formless(it));
    function.volatility == Volatility::Immutable
        && (is_formless(kind) || is_polymorphic(kind) || written)
}

/// Whether the text of a builtin type's values is the same whatever is set.
fn is_formless(kind: TypeId) -> bool {
    FORMLESS.binary_search(&kind.oid()).is_ok()
}

/// Whether a body names nothing whose meaning, or whose form as text, depends on the session.
fn is_plain(text: &str) -> bool {
    let names = |word: &str| {
        let element = word.strip_prefix('_').unwrap_or(word);
        FORMED.binary_search(&element).is_ok()
    };
    lexemes(text.as_bytes()).all(|lexeme| {
        // They read texts by the configuration that is set.
        let search = lexeme.kind == Kind::Operator && lexeme.bytes.starts_with(b"@@");
        !search && identifier(&lexeme).is_none_or(|word| !names(&word))
    })
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
        Some(text) => (text, Names::Printed),
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
        plain: is_plain(&text),
        // What is kept as a tree has them read already.
        formed: !matches!(names, Names::Printed) && has_formed_literals(text.as_bytes()),
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

const CSTRING_OID: u32 = 2_275;

/// Bodies that are read for one plan.
const BODIES_MAX: usize = 64;

/// Types without a setting that says how their values are written, sorted: truth, integers, numeric,
/// texts, bits, UUID, JSON, addresses, ranges of numbers, and arrays of these.
const FORMLESS: [u32; 37] = [
    16, 18, 19, 20, 21, 23, 25, 26, 114, 199, 650, 829, 869, 1_000, 1_002, 1_003, 1_005, 1_007,
    1_009, 1_014, 1_015, 1_016, 1_028, 1_042, 1_043, 1_231, 1_560, 1_561, 1_562, 1_563, 1_700,
    2_950, 2_951, 3_802, 3_807, 3_904, 3_906,
];

/// Words for the session's roles, and for types whose values are written as settings say, or read
/// along the path; sorted.
const FORMED: [&str; 46] = [
    "box",
    "bytea",
    "circle",
    "current_catalog",
    "current_role",
    "current_schema",
    "current_user",
    "date",
    "datemultirange",
    "daterange",
    "double",
    "float",
    "float4",
    "float8",
    "interval",
    "line",
    "lseg",
    "money",
    "path",
    "point",
    "polygon",
    "real",
    "regclass",
    "regcollation",
    "regconfig",
    "regdictionary",
    "regnamespace",
    "regoper",
    "regoperator",
    "regproc",
    "regprocedure",
    "regrole",
    "regtype",
    "session_user",
    "system_user",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "tsmultirange",
    "tsquery",
    "tsrange",
    "tstzmultirange",
    "tstzrange",
    "tsvector",
    "user",
];

/// Functions within functions deeper than this are not read.
pub(crate) const DEPTH_MAX: u8 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_for_the_search() {
        assert!(FORMLESS.is_sorted() && FORMED.is_sorted());
    }
}
