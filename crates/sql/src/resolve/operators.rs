//! Operators and casts of the user's: which of them could be meant, and whether these are trusted.
//!
//! The server chooses an operator by the types of its operands (`oper`). One for types made after
//! `initdb` is chosen only if a value of such a type is there, or could be made of what is there
//! without being asked, or if no operand has a type of its own. So a query over builtin types does
//! not care what an extension has defined for its own.

use catalog::{Cast, FunctionId, Operator, Relation, TypeId};
use foldhash::HashSet;

use super::text::is_polymorphic;
use super::trust::is_trusted_operator;
use super::{Viewer, takes};
use crate::Reason;
use crate::facts::{Lexical, Name, Read};
use crate::needs::Found;
use crate::read::ALWAYS;

impl Viewer<'_> {
    /// Every operator, cast and check that a query over these tables could mean is trusted.
    pub(super) fn operators(
        &self,
        read: &Read,
        lexical: &Lexical,
        tables: &[&Relation],
        found: &mut Found,
    ) -> Result<(), Reason> {
        let mut doubtful = Vec::new();
        for symbol in &read.symbols {
            let operators = self.snapshot.operators(symbol);
            let operators = operators.filter(|operator| self.is_in_sight(operator, read));
            for operator in operators {
                // In what is IMMUTABLE an operator must be so as well.
                if self.immutable || !is_trusted_operator(self.snapshot, operator) {
                    doubtful.push(operator);
                }
            }
        }
        let (casts, checked) = (&self.trust.casts, &self.trust.types);
        if doubtful.is_empty() && casts.is_empty() && checked.is_empty() {
            return Ok(());
        }
        let types = Types::of(self, read, lexical, tables);
        for operator in doubtful {
            let texts = TEXTS.contains(&&*operator.symbol);
            let literal = read.untyped && !texts;
            if (literal || types.could_be(operator)) && !self.may_run(operator.function, found) {
                return Err(Reason::UnknownOperator);
            }
        }
        // Only for operators does a row become one of another type by itself.
        let end = |&kind: &TypeId| types.passes(kind).unwrap_or(types.holds(kind));
        // The server's own functions ask for casts to its types, where no text does: `to_json()` to json
        // (`json_categorize_type`), `||` and `quote_literal()` to text, `JSON_EXISTS` from text.
        let cast =
            |cast: &Cast| end(&cast.source) && (cast.target.is_builtin() || end(&cast.target));
        let mut met = casts.iter().filter(|it| cast(it));
        if met.any(|it| !self.may_run(it.function, found))
            || checked.iter().any(|&kind| types.holds(kind))
        {
            return Err(Reason::UnknownCast);
        }
        found.builtin_parameters = true;
        Ok(())
    }

    /// Whether the function of an operator or a cast may be run; adds what it reads.
    fn may_run(&self, function: FunctionId, found: &mut Found) -> bool {
        let function = self.snapshot.function(function);
        function.is_some_and(|function| self.function(function, found).is_none())
    }

    /// Whether an operator is found under its name. What stands behind the order of a type is, wherever
    /// it is.
    fn is_in_sight(&self, operator: &Operator, read: &Read) -> bool {
        read.qualified
            || ALWAYS.contains(&&*operator.symbol)
            || self.path.0.contains(&operator.schema)
    }
}

/// The types of which values may occur in a query, as far as names say; those that they are made of
/// among them.
pub(super) struct Types<'a> {
    viewer: &'a Viewer<'a>,
    known: HashSet<TypeId>,
    /// There may be any others.
    any: bool,
    /// There may be whole rows.
    rows: bool,
}

impl<'a> Types<'a> {
    fn of(viewer: &'a Viewer<'a>, read: &Read, lexical: &Lexical, tables: &[&Relation]) -> Self {
        let mut types = Self::named_in(viewer, read, lexical, tables);
        for symbol in &read.symbols {
            for operator in viewer.snapshot.operators(symbol) {
                // What is neither trusted nor read is not run.
                let function = operator.function;
                if is_trusted_operator(viewer.snapshot, operator)
                    || viewer.trust.reads_more(function)
                {
                    types.function(function);
                }
            }
        }
        types.convert();
        types
    }

    /// Those that a query brings by its tables, its functions and the types that it names.
    pub(super) fn named_in(
        viewer: &'a Viewer<'a>,
        read: &Read,
        lexical: &Lexical,
        tables: &[&Relation],
    ) -> Self {
        let mut types = Self {
            viewer,
            known: HashSet::default(),
            any: read.unnamed_types || read.unnamed_columns,
            rows: read.whole_rows || read.calls.iter().any(|call| &*call.name.name == "row"),
        };
        for &kind in viewer.given {
            types.any |= is_polymorphic(kind);
            types.add(kind);
        }
        // The server casts to it by itself.
        viewer.returned.into_iter().for_each(|kind| types.add(kind));
        for table in tables {
            for &(_, kind) in &table.columns {
                types.add(kind);
            }
        }
        for name in &read.types {
            types.named(name);
        }
        let calls = read.calls.iter().map(|call| (&call.name, call.arguments));
        let hidden = lexical.calls.iter().map(|name| (name, None));
        for (Name { schema, name }, count) in calls.chain(hidden) {
            types.returned(schema.as_deref(), name, count);
        }
        for name in &lexical.attributes {
            types.returned(None, name, Some(1));
        }
        if read.whole_rows {
            types.known.extend(tables.iter().map(|table| table.row));
        }
        types
    }

    /// What becomes of known values without being asked.
    fn convert(&mut self) {
        let implicit = || self.viewer.snapshot.casts().iter().filter(|it| it.implicit);
        for _ in 0..implicit().count() {
            let before = self.known.len();
            let made: Vec<TypeId> = implicit()
                .filter(|cast| self.passes(cast.source).unwrap_or(true))
                .map(|cast| cast.target)
                .collect();
            made.into_iter().for_each(|kind| self.add(kind));
            if self.known.len() == before {
                return;
            }
        }
    }

    fn named(&mut self, name: &Name) {
        let viewer = self.viewer;
        let found = viewer
            .snapshot
            .types(viewer.path, name.schema.as_deref(), &name.name);
        let mut found: Vec<TypeId> = found.map(|known| known.id).collect();
        let schema = name.schema.as_deref();
        if let Some(rows) = viewer
            .snapshot
            .resolve_relation(viewer.path, schema, &name.name)
        {
            found.push(rows.row);
        }
        // Along a path that is not known it may be the row of any relation of this name.
        self.any |= found.is_empty() || (viewer.anywhere && schema.is_none());
        found.into_iter().for_each(|kind| self.add(kind));
    }

    /// What functions of this name take and return.
    fn returned(&mut self, schema: Option<&str>, name: &str, count: Option<u16>) {
        let viewer = self.viewer;
        let functions = viewer.snapshot.functions(viewer.path, schema, name);
        for function in functions.filter(|function| takes(function, count)) {
            self.function(function.id);
        }
    }

    fn function(&mut self, id: catalog::FunctionId) {
        let function = self.viewer.snapshot.function(id);
        let Some(function) = function.filter(|function| !function.id.is_builtin()) else {
            return;
        };
        // Columns of what it returns may be of any type.
        self.any |= function.returns.oid() == RECORD_OID;
        self.add(function.returns);
        function.takes.iter().for_each(|&kind| self.add(kind));
    }

    fn add(&mut self, kind: TypeId) {
        let snapshot = self.viewer.snapshot;
        let mut open = vec![kind];
        while let Some(kind) = open.pop() {
            if let Some(all) = snapshot.made_of(kind) {
                self.known.extend(all);
            } else if let Some(row) = snapshot.relation_of_row(kind) {
                if self.known.insert(kind) {
                    open.extend(row.columns.iter().map(|&(_, kind)| kind));
                }
            } else {
                // Builtin types that are not listed hold no others.
                self.any |= !kind.is_builtin();
            }
        }
    }

    /// Whether values of exactly this type may occur, or of what is made of it.
    fn holds(&self, kind: TypeId) -> bool {
        self.any || self.known.contains(&kind)
    }

    /// The same for one of several types.
    pub(super) fn hold_any(&self, kinds: &HashSet<TypeId>) -> bool {
        self.any || !self.known.is_disjoint(kinds)
    }

    /// Whether values may occur that pass for this type; `None` for the type of a row.
    fn passes(&self, kind: TypeId) -> Option<bool> {
        if self.any || kind.is_builtin() {
            return Some(true);
        }
        let all = self.viewer.snapshot.made_of(kind)?;
        let builtin = all.last().is_none_or(|root| root.is_builtin());
        Some(builtin || all.iter().any(|kind| self.known.contains(kind)))
    }

    /// Whether an operator could be meant: literals pass for any type, but one operand at least has
    /// a type of its own. A row without one passes for any row, unless the server has an operator
    /// for just such rows.
    fn could_be(&self, operator: &Operator) -> bool {
        let records = RECORDS.contains(&&*operator.symbol);
        let occurs = |&kind: &TypeId| {
            // A type that is known and yet not all of what it is made of holds rows, as arrays do.
            let is_row = || self.viewer.snapshot.type_by_id(kind).is_none();
            let passes = || self.holds(kind) || (self.rows && !(records && is_row()));
            self.passes(kind).unwrap_or_else(passes)
        };
        let operands = operator.operands.iter();
        let mut written = operands.filter(|kind| kind.oid() != 0).peekable();
        written.peek().is_none() || written.any(occurs)
    }
}

/// Operators that the server has for two texts, and takes if nothing is known of the operands.
const TEXTS: [&str; 20] = [
    "!~", "!~*", "!~~", "!~~*", "<", "<=", "<>", "=", ">", ">=", "^@", "||", "~", "~*", "~<=~",
    "~<~", "~>=~", "~>~", "~~", "~~*",
];

/// Operators that the server has for two rows without a type.
const RECORDS: [&str; 6] = ["<", "<=", "<>", "=", ">", ">="];

const RECORD_OID: u32 = 2_249;
