//! The names of a query, resolved: which relations it reads, and whether all it runs is known.

mod folds;
mod inline;
mod kept;
mod names;
mod operators;
mod reference;
mod relation;
mod text;
mod time;
mod trust;

use catalog::{
    Function, FunctionKind, Relation, RelationId, RelationKind, RoleId, SearchPath, Snapshot,
    TypeId,
};

pub(crate) use self::inline::{DEPTH_MAX, Memo};
pub(crate) use self::kept::Kept;
pub(crate) use self::names::{SEARCH, collations};
use self::relation::has_column;
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

    /// What `hidden_relations` does for relations, done for names before a `(`.
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

/// Whether a function can be called with so many arguments.
fn takes(function: &Function, arguments: Option<u16>) -> bool {
    let (least, most) = function.arguments;
    arguments.is_none_or(|count| (least..=most).contains(&count))
}
