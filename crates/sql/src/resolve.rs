//! The names of a query, resolved: which relations it reads, and whether all it runs is known.

mod inline;
mod kept;
mod names;
mod operators;
mod reference;
mod text;
mod time;
mod trust;

use catalog::{
    Function, FunctionKind, Relation, RelationId, RelationKind, RoleId, RowSecurity, SearchPath,
    Snapshot, TypeId,
};

pub(crate) use self::inline::{DEPTH_MAX, Memo};
pub(crate) use self::kept::Kept;
pub(crate) use self::names::{SEARCH, collations};
use self::text::Texts;
pub(crate) use self::trust::Trust;
use self::trust::is_trusted;
use crate::facts::{Call, Lexical, Name, Read};
use crate::needs::{Found, Needs};
use crate::views::Views;
use crate::walk::{CURRENT_SETTING, TIMEZONE};
use crate::{Reason, classes};

/// Who looks, and under which search path.
pub(crate) struct Viewer<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) trust: &'a Trust,
    pub(crate) views: &'a Views,
    pub(crate) path: &'a SearchPath,
    /// It could be any session's path: `path` has all schemas, and a name is all that it could mean.
    pub(crate) anywhere: bool,
    /// The path in effect, along which the functions that are called find their names; `None` if it
    /// could be any session's. Text that the server prints has another.
    pub(crate) caller: Option<&'a SearchPath>,
    /// `None` within a view, where the rights of its owner or of the reader may count.
    pub(crate) role: Option<RoleId>,
    /// The relation whose policy is looked at.
    pub(crate) within: Option<RelationId>,
    /// The types of the arguments of the function whose body is looked at.
    pub(crate) given: &'a [TypeId],
    /// The type of its result, which its query need not have.
    pub(crate) returned: Option<TypeId>,
    /// What the server keeps of it, where it is a text that the server has printed.
    pub(crate) kept: &'a Kept,
    /// Within a function that is declared IMMUTABLE: whatever runs has to be.
    pub(crate) immutable: bool,
    /// How much deeper functions are looked into.
    pub(crate) depth: u8,
    /// What functions in SQL were found to read.
    pub(crate) memo: &'a Memo,
}

impl Viewer<'_> {
    /// What a query reads, views expanded, among it what the catalog says is `below` it. Whatever
    /// else it runs is trusted.
    pub(crate) fn read(
        &self,
        read: &Read,
        lexical: &Lexical,
        below: &[RelationId],
    ) -> Result<Needs, Reason> {
        let mut found = Found::default();
        self.gather(read, lexical, below, &mut found)?;
        if found.relations.is_empty() {
            return Err(Reason::NoTable);
        }
        Ok(found.needs())
    }

    /// The same, which need not be a table.
    fn gather(
        &self,
        read: &Read,
        lexical: &Lexical,
        below: &[RelationId],
        found: &mut Found,
    ) -> Result<(), Reason> {
        let mut named = Vec::with_capacity(read.relations.len());
        for name in &read.relations {
            named.push(self.resolve(name)?);
        }
        for relation in &named {
            self.relation(relation, Some(read), found)?;
        }
        for id in below {
            let relation = self.snapshot.relation(*id).ok_or(Reason::UnknownRelation)?;
            self.relation(relation, Some(read), found)?;
        }
        let hidden = self.hidden_relations(read, lexical, &named);
        for relation in &hidden {
            if relation.kind == RelationKind::CompositeType {
                // No query reads from it: only values are made of it.
                self.storage(relation, None)?;
            } else {
                self.relation(relation, Some(read), found)?;
            }
        }
        self.rows(read)?;
        for call in &read.calls {
            self.call(call, found)?;
        }
        self.hidden_calls(read, lexical, found)?;
        found.folds |= self.folds(read);
        let tables: Vec<&Relation> = named.iter().chain(&hidden).copied().collect();
        self.operators(read, lexical, &tables, found)?;
        self.references(read, lexical, &tables, found)?;
        for (range, column) in &read.columns {
            self.column(range.as_deref(), column, read, &named)?;
        }
        let texts = Texts {
            viewer: self,
            read,
            named: &named,
        };
        texts.check()?;
        texts.zones(found)?;
        self.named_zones(read, found)?;
        self.settings(read, found)?;
        self.kept(found)
    }

    /// Whether constants may be written down as text when this is planned: by a cast, or by an operator
    /// or function that is not known to do nothing of the kind.
    fn folds(&self, read: &Read) -> bool {
        let plain = |call: &Call| {
            let Name { schema, name } = &call.name;
            let mut functions = self.snapshot.functions(self.path, schema.as_deref(), name);
            NO_WRITERS.contains(&&**name) && functions.all(|it| it.id.is_builtin())
        };
        let plain_symbol = |symbol: &str| NO_WRITING.contains(&symbol);
        // Only those that users have made from numbers to texts are applied without being asked for.
        let mut casts = self.snapshot.casts().iter();
        let implicit = |it: &catalog::Cast| it.implicit && it.source.is_builtin() && !it.binary;
        read.names_texts
            || read.qualified
            || !read.calls.iter().all(plain)
            || !read.symbols.iter().all(|symbol| plain_symbol(symbol))
            || casts.any(implicit)
    }

    /// Settings that are read by the server's own function.
    fn settings(&self, read: &Read, found: &mut Found) -> Result<(), Reason> {
        if read.settings.is_empty() {
            return Ok(());
        }
        let mut functions = self.snapshot.functions(self.path, None, CURRENT_SETTING);
        if !functions.all(|function| function.id.is_builtin()) {
            return Err(Reason::UnknownFunction);
        }
        if read.settings.iter().any(|name| self.trust.may_define(name)) {
            return Err(Reason::SessionState);
        }
        found.settings.extend(read.settings.iter().cloned());
        Ok(())
    }

    fn resolve(&self, name: &Name) -> Result<&Relation, Reason> {
        let schema = name.schema.as_deref();
        if self.anywhere && schema.is_none() {
            return Err(Reason::UnknownRelation);
        }
        let found = self
            .snapshot
            .resolve_relation(self.path, schema, &name.name);
        found.ok_or(match schema {
            Some(schema) if schema.starts_with("pg_temp") => Reason::Temporary,
            Some("information_schema") => Reason::SystemCatalog,
            Some(schema) if schema.starts_with("pg_") => Reason::SystemCatalog,
            None if name.name.starts_with("pg_") => Reason::SystemCatalog,
            Some(_) | None => Reason::UnknownRelation,
        })
    }

    /// Adds what a relation stands for, of which a query reads.
    fn relation(
        &self,
        relation: &Relation,
        read: Option<&Read>,
        found: &mut Found,
    ) -> Result<(), Reason> {
        self.storage(relation, read)?;
        match relation.kind {
            RelationKind::Table | RelationKind::PartitionedTable => {
                self.policies(relation, found)?;
                for id in self.snapshot.descendants(relation.id) {
                    let child = self.snapshot.relation(id).ok_or(Reason::UnknownRelation)?;
                    self.storage(child, read)?;
                    if child.kind == RelationKind::ForeignTable {
                        return Err(Reason::ForeignTable);
                    }
                }
                found.relations.insert(relation.id);
            }
            RelationKind::MaterializedView => {
                found.relations.insert(relation.id);
            }
            RelationKind::View => {
                let view = self
                    .views
                    .queries
                    .get(&relation.id)
                    .ok_or(Reason::Unsupported)?;
                found.add(view.as_ref().map_err(|reason| *reason)?);
                // Nothing writes it, but rules of the policy may name it.
                found.relations.insert(relation.id);
            }
            RelationKind::ForeignTable => return Err(Reason::ForeignTable),
            RelationKind::Sequence => return Err(Reason::Sequence),
            RelationKind::CompositeType | RelationKind::Other => {
                return Err(Reason::UnknownRelation);
            }
        }
        Ok(())
    }

    /// The rows that a query names as types are such as may be shown.
    fn rows(&self, read: &Read) -> Result<(), Reason> {
        for Name { schema, name } in &read.types {
            let schema = schema.as_deref();
            let row = self.snapshot.resolve_relation(self.path, schema, name);
            row.map_or(Ok(()), |row| self.storage(row, None))?;
        }
        Ok(())
    }

    /// Whether rows stay until somebody changes them, and look the same until then. `None` if it is not
    /// known what is done with them.
    fn storage(&self, relation: &Relation, read: Option<&Read>) -> Result<(), Reason> {
        if relation.temporary {
            return Err(Reason::Temporary);
        }
        if self.snapshot.is_system_schema(relation.schema) {
            return Err(Reason::SystemCatalog);
        }
        if relation.unlogged {
            return Err(Reason::Unlogged);
        }
        // Comparing these with text may ask for today's date, to know the zone's offset.
        let used = |name: &str| read.is_none_or(|read| read.whole_rows || read.used.may_be(name));
        let zoned = &self.trust.zoned;
        let depends = |&(ref name, kind): &(Box<str>, _)| {
            zoned.has(self.snapshot, kind) && (used(name) || !zoned.holds(kind))
        };
        if relation.columns.iter().any(depends) {
            return Err(Reason::Clock);
        }
        let named = |&(_, kind): &(_, _)| self.trust.named.has(self.snapshot, kind);
        if relation.columns.iter().any(named) {
            return Err(Reason::SystemCatalog);
        }
        let mut kinds = relation.columns.iter().map(|&(_, kind)| kind);
        match kinds.any(|kind| self.trust.temporary.holds(kind)) {
            true => Err(Reason::Temporary),
            false => Ok(()),
        }
    }

    /// Adds what policies read. All of them count, whatever roles they are for: the effective role
    /// and the login are in the key, and what they may see follows from definitions.
    fn policies(&self, relation: &Relation, found: &mut Found) -> Result<(), Reason> {
        if self.within == Some(relation.id) {
            return Ok(());
        }
        let role = self.role.and_then(|role| self.snapshot.role(role));
        let exempt = match relation.row_security {
            RowSecurity::Off => true,
            RowSecurity::On => {
                role.is_some_and(|role| role.bypasses_row_security || role.id == relation.owner)
            }
            RowSecurity::Forced => role.is_some_and(|role| role.bypasses_row_security),
        };
        if exempt {
            return Ok(());
        }
        let needs = self.views.policies.get(&relation.id);
        let needs = needs.and_then(|needs| needs.as_ref().ok());
        found.add(needs.ok_or(Reason::RowSecurity)?);
        Ok(())
    }

    /// Words that could be relations and that nothing else explains. Were the syntax tree to hide
    /// a table, it would be found here.
    fn hidden_relations(
        &self,
        read: &Read,
        lexical: &Lexical,
        named: &[&Relation],
    ) -> Vec<&Relation> {
        let explained = |word: &str| {
            read.ranges.iter().any(|(range, _)| &**range == word)
                || read.labels.iter().any(|label| &**label == word)
                || named
                    .iter()
                    .any(|relation| &*relation.name == word || has_column(relation, word))
        };
        lexical
            .words
            .iter()
            .filter_map(|word| self.snapshot.resolve_relation(self.path, None, word))
            .filter(|relation| !self.snapshot.is_system_schema(relation.schema))
            .filter(|relation| !explained(&relation.name))
            .collect()
    }

    /// The same for names before a `(`.
    fn hidden_calls(
        &self,
        read: &Read,
        lexical: &Lexical,
        found: &mut Found,
    ) -> Result<(), Reason> {
        for name in &lexical.calls {
            let seen = read.calls.iter().any(|call| call.name == *name)
                || (!read.settings.is_empty() && &*name.name == CURRENT_SETTING);
            let mut functions =
                self.snapshot
                    .functions(self.path, name.schema.as_deref(), &name.name);
            if !seen && functions.next().is_some() {
                let call = Call {
                    name: name.clone(),
                    arguments: None,
                };
                self.call(&call, found)?;
            }
        }
        Ok(())
    }

    /// Every function that a call could mean is one that may be run.
    fn call(&self, call: &Call, found: &mut Found) -> Result<(), Reason> {
        let Name { schema, name } = &call.name;
        let all: Vec<&Function> = self
            .snapshot
            .functions(self.path, schema.as_deref(), name)
            .filter(|function| function.kind != FunctionKind::Procedure)
            .collect();
        if all.is_empty() {
            let builtin = schema
                .as_deref()
                .is_none_or(|schema| schema == "pg_catalog");
            let syntax = builtin && classes::is_syntax(name);
            return if syntax {
                Ok(())
            } else {
                Err(Reason::UnknownFunction)
            };
        }
        // If none takes so many, the count was not understood.
        let fit = all.iter().any(|function| takes(function, call.arguments));
        let mut reason: Option<Reason> = None;
        for function in all {
            if !fit || takes(function, call.arguments) {
                let refusal = self.function(function, found);
                reason = match (reason, refusal) {
                    (Some(one), Some(other)) => Some(one.min(other)),
                    (one, other) => one.or(other),
                };
            }
        }
        reason.map_or(Ok(()), Err)
    }

    /// Why a function may not be run, if it may not; adds what it reads.
    fn function(&self, function: &Function, found: &mut Found) -> Option<Reason> {
        if self.immutable && !inline::is_immutable(function) {
            return Some(Reason::UnknownFunction);
        }
        if function.id.is_builtin() {
            return classes::refusal(function);
        }
        found.functions.insert(function.id);
        let mut kinds = function.takes.iter().chain([&function.returns]);
        if self.snapshot.is_temporary_schema(function.schema)
            || kinds.any(|&kind| self.trust.temporary.holds(kind))
        {
            return Some(Reason::Temporary);
        }
        if self.trust.zoned.is_in(self.snapshot, function) {
            return Some(Reason::Clock);
        }
        if self.trust.named.is_in(self.snapshot, function) {
            return Some(Reason::SystemCatalog);
        }
        if let Some(reads) = self.trust.listed(function.id) {
            return reads.iter().find_map(|&id| {
                let relation = self.snapshot.relation(id);
                let added = relation.map(|relation| self.relation(relation, None, found));
                added.unwrap_or(Err(Reason::UnknownRelation)).err()
            });
        }
        if is_trusted(self.snapshot, function) {
            return None;
        }
        self.inline(function, found)
    }

    /// `t.f` may mean `f(t)` if `f` is no column of `t`.
    fn column(
        &self,
        range: Option<&str>,
        column: &str,
        read: &Read,
        named: &[&Relation],
    ) -> Result<(), Reason> {
        // `(v).date` may mean `date(v)`, which reads text.
        let is_date = self
            .snapshot
            .types(self.path, None, column)
            .any(|known| known.reads_clock);
        // `(v).timezone` is `v AT LOCAL`.
        if (is_date || column == TIMEZONE) && !self.is_column(range, column, read, named) {
            return Err(Reason::Clock);
        }
        let mut functions = self
            .snapshot
            .functions(self.path, None, column)
            .filter(|function| takes(function, Some(1)))
            .filter(|function| match function.id.is_builtin() {
                _ if self.immutable && !inline::is_immutable(function) => true,
                true => classes::refusal(function).is_some(),
                false => !is_trusted(self.snapshot, function),
            });
        let Some(function) = functions.next() else {
            return Ok(());
        };
        if self.is_column(range, column, read, named) {
            return Ok(());
        }
        Err(match function.id.is_builtin() {
            true => classes::refusal(function).unwrap_or(Reason::UnknownFunction),
            false => Reason::UnknownFunction,
        })
    }

    fn is_column(
        &self,
        range: Option<&str>,
        column: &str,
        read: &Read,
        named: &[&Relation],
    ) -> bool {
        let mut known = false;
        for (_, relation) in read.ranges.iter().filter(|(name, _)| range == Some(name)) {
            known = match relation {
                Some(name) => self
                    .resolve(name)
                    .is_ok_and(|found| has_column(found, column)),
                // A subquery or the like: what it passes on has a label or comes from a table.
                None => {
                    read.labels.iter().any(|label| &**label == column)
                        || named.iter().any(|relation| has_column(relation, column))
                }
            };
            if !known {
                return false;
            }
        }
        known
    }
}

fn has_column(relation: &Relation, name: &str) -> bool {
    relation.columns.iter().any(|(column, _)| &**column == name)
}

/// Whether a function can be called with so many arguments.
fn takes(function: &Function, arguments: Option<u16>) -> bool {
    let (least, most) = function.arguments;
    arguments.is_none_or(|count| (least..=most).contains(&count))
}

/// Functions of the server's own that write no value down.
const NO_WRITERS: [&str; 16] = [
    "abs",
    "avg",
    "count",
    "date_trunc",
    "dense_rank",
    "floor",
    "length",
    "lower",
    "max",
    "min",
    "now",
    "rank",
    "round",
    "row_number",
    "sum",
    "upper",
];

/// Operators that write none.
const NO_WRITING: [&str; 16] = [
    "=", "<>", "!=", "<", ">", "<=", ">=", "+", "-", "*", "/", "%", "~~", "!~~", "~~*", "!~~*",
];
