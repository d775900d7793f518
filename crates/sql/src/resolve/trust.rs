//! What lies outside `pg_catalog` and may still be run by a read.

use catalog::{
    Cast, Function, FunctionId, Language, Operator, RelationId, SearchPath, Snapshot, TypeId,
    TypeKind, Volatility,
};
use foldhash::{HashMap, HashSet};

use super::inline::Bodies;
use super::reference::Reference;
use super::time::Holders;
use crate::{FunctionRule, classes};

/// What lies outside `pg_catalog` and may still be run by a read.
#[derive(Debug)]
pub(crate) struct Trust {
    /// Functions that the operator vouches for, with the relations they read.
    listed: HashMap<FunctionId, Box<[RelationId]>>,
    /// Functions in SQL, which are read like views.
    pub(super) bodies: Bodies,
    /// Casts that run a function which is not trusted.
    pub(super) casts: Box<[Cast]>,
    /// Types whose values run such a function: the check of a domain, an operator class; and those
    /// that read text in a way that hangs on the session.
    pub(super) types: Box<[TypeId]>,
    /// Tables that are read behind functions which do not say so.
    pub(super) references: Box<[Reference]>,
    /// Types of which values hold a time with a zone.
    pub(super) zoned: Holders,
    /// Types of which values hold the name of an object.
    pub(super) named: Holders,
    /// What does not last.
    pub(super) temporary: Holders,
    /// The names of extensions.
    extensions: HashSet<Box<str>>,
    /// The path of text that the server prints with every name qualified.
    pub(crate) printed: SearchPath,
    /// The path that has all schemas.
    pub(super) everywhere: SearchPath,
}

impl Trust {
    /// Resolves the operator's rules, and looks at all that runs without being named.
    pub(crate) fn new(snapshot: &Snapshot, rules: &[FunctionRule]) -> Self {
        let run = |id: FunctionId| {
            let function = snapshot.function(id);
            function.is_some_and(|function| is_trusted_code(snapshot, function))
        };
        let casts = snapshot.casts().iter();
        let harmless = |cast: &Cast| {
            let [source, target] = [cast.source, cast.target].map(|it| is_plain(snapshot, it));
            let written = cast.function.oid() == 0 && source && target;
            cast.binary || written || run(cast.function)
        };
        let casts = casts.filter(|cast| !harmless(cast));
        let types = snapshot.implicit_functions().iter();
        let types = types.filter(|implicit| implicit.kind.oid() != 0 && !run(implicit.function));
        let hidden = snapshot.all_functions().filter(|function| {
            let extension = function.extension.as_deref();
            extension.is_some_and(classes::has_hidden_state) && !function.returns.is_builtin()
        });
        let hidden = hidden.map(|function| function.returns);
        let mut trust = Self {
            listed: HashMap::default(),
            bodies: Bodies::new(snapshot),
            references: Reference::all(snapshot),
            zoned: Holders::of_zones(snapshot),
            named: Holders::of_names(snapshot),
            temporary: Holders::of_temporary(snapshot),
            casts: casts.copied().collect(),
            types: types.map(|implicit| implicit.kind).chain(hidden).collect(),
            extensions: extensions(snapshot),
            printed: SearchPath(
                snapshot
                    .schema_by_name("pg_catalog")
                    .map(|it| it.id)
                    .into_iter()
                    .collect(),
            ),
            everywhere: SearchPath(snapshot.schemas().iter().map(|it| it.id).collect()),
        };
        for rule in rules {
            trust.list(snapshot, rule);
        }
        trust
    }

    /// Whether a setting of this name may be one of an extension. It has another value as soon as the
    /// library is loaded, which any use of the extension does.
    pub(crate) fn may_define(&self, setting: &str) -> bool {
        let word = setting.split('.').next().unwrap_or_default();
        let by_others = LIBRARIES.iter().filter(|(_, first)| *first == word);
        let mut extensions = by_others.map(|&(extension, _)| extension);
        self.extensions.contains(word) || extensions.any(|it| self.extensions.contains(it))
    }

    /// Whether the operator says that a function only reads.
    pub(crate) fn vouches_for(&self, function: FunctionId) -> bool {
        self.listed.contains_key(&function)
    }

    /// Whether a table is read behind functions of its extension.
    pub(crate) fn is_reference(&self, relation: RelationId) -> bool {
        let mut all = self.references.iter();
        all.any(|reference| reference.relation() == relation)
    }

    /// Whether a function may read what its call does not show.
    pub(crate) fn reads_more(&self, function: FunctionId) -> bool {
        self.vouches_for(function) || self.bodies.has(function)
    }

    /// What a function reads, if the operator says so.
    pub(super) fn listed(&self, function: FunctionId) -> Option<&[RelationId]> {
        self.listed.get(&function).map(|reads| &**reads)
    }

    /// A rule with a table that does not exist vouches for nothing.
    fn list(&mut self, snapshot: &Snapshot, rule: &FunctionRule) {
        let (schema, name) = &rule.function;
        let relation = |(schema, name): &(Box<str>, Box<str>)| {
            let schema = snapshot.schema_by_name(schema)?.id;
            snapshot
                .relation_by_name(schema, name)
                .map(|found| found.id)
        };
        let Some(reads) = rule
            .reads
            .iter()
            .map(relation)
            .collect::<Option<Box<[_]>>>()
        else {
            return;
        };
        let Some(schema) = snapshot.schema_by_name(schema) else {
            return;
        };
        for function in snapshot.functions_named(name) {
            if function.schema == schema.id {
                self.listed.insert(function.id, reads.clone());
            }
        }
    }
}

/// Extensions whose library has settings that begin with another word than their name.
const LIBRARIES: [(&str, &str); 7] = [
    ("plperlu", "plperl"),
    ("plpython3u", "plpython"),
    ("pltclu", "pltcl"),
    ("postgis_raster", "postgis"),
    ("vector", "hnsw"),
    ("vector", "ivfflat"),
    ("vectorscale", "diskann"),
];

/// The names of the extensions that anything belongs to.
fn extensions(snapshot: &Snapshot) -> HashSet<Box<str>> {
    let functions = snapshot.all_functions().map(|it| &it.extension);
    let relations = snapshot.relations().map(|it| &it.extension);
    functions.chain(relations).flatten().cloned().collect()
}

/// Whether a function outside `pg_catalog` depends on its arguments alone, or on what is in the key:
/// an immutable one of a well-known extension, or one that is known by name.
pub(super) fn is_trusted(snapshot: &Snapshot, function: &Function) -> bool {
    if function.id.is_builtin() {
        return classes::refusal(function).is_none();
    }
    let Some(extension) = function.extension.as_deref() else {
        return false;
    };
    if function.volatility == Volatility::Stable {
        return classes::is_known_stable(extension, &function.name);
    }
    classes::is_known_extension(extension)
        && !classes::reads_records(&function.name)
        && !function.takes.iter().copied().any(classes::names_objects)
        && function.volatility == Volatility::Immutable
        && function.support.iter().all(|&id| {
            snapshot
                .function(id)
                .is_some_and(|support| support.volatility == Volatility::Immutable)
        })
}

/// The same for what an operator, cast or type runs: there an extension's compiled code has nothing
/// to go by but values, and is what PostgreSQL itself takes it for.
pub(super) fn is_trusted_code(snapshot: &Snapshot, function: &Function) -> bool {
    let compiled = matches!(function.language, Language::C | Language::Internal)
        && function.volatility == Volatility::Immutable
        && function
            .extension
            .as_deref()
            .is_some_and(|it| !classes::has_hidden_state(it))
        && !classes::reads_records(&function.name);
    compiled || is_trusted(snapshot, function)
}

/// Whether a type has nothing to go by but the text, when it is read from it, and is written the same by
/// everybody: an enum, or one of these.
fn is_plain(snapshot: &Snapshot, kind: TypeId) -> bool {
    let known = snapshot.type_by_id(kind);
    known.is_some_and(|known| match known.kind {
        TypeKind::Enum(_) => true,
        TypeKind::Base => kind.is_builtin() && PLAIN.contains(&&*known.name),
        TypeKind::Of(_) => false,
    })
}

/// Types of the server's own without a setting or a clock behind their input or output.
const PLAIN: [&str; 11] = [
    "bool", "bpchar", "int2", "int4", "int8", "json", "jsonb", "numeric", "text", "uuid", "varchar",
];

/// Whether an operator runs nothing but such code.
pub(super) fn is_trusted_operator(snapshot: &Snapshot, operator: &Operator) -> bool {
    let function = snapshot.function(operator.function);
    function.is_some_and(|function| is_trusted_code(snapshot, function))
}
