//! Whether what a statement runs may be what is not known yet.
//!
//! A function or relation that is missing may have been made a moment ago by another session, perhaps
//! at another instance, and a view may have been replaced by one that calls what writes. Such a
//! statement is told from a write only by its end, as is one that runs functions of users.

use catalog::{RelationId, SearchPath};

use super::Schema;
use crate::Reason;
use crate::effects::Outcome;
use crate::facts::{Lexical, Name};

impl Schema {
    /// Whether a statement names what is not there, or reads a view of users.
    pub(super) fn hinges(
        &self,
        lexical: &Lexical,
        read: &Result<Box<[RelationId]>, Reason>,
        path: Option<&SearchPath>,
    ) -> bool {
        matches!(read, Err(Reason::UnknownRelation))
            || lexical
                .calls
                .iter()
                .any(|it| self.is_missing(it, lexical, path))
            || self.readings(lexical, path).into_iter().any(|id| {
                let relation = self.snapshot.relation(id);
                relation.is_none_or(|it| it.extension.is_none() && it.definition.is_some())
            })
    }

    /// Whether a function is called that is not there, for all that is known.
    pub(super) fn calls_unknown(&self, lexical: &Lexical, path: Option<&SearchPath>) -> bool {
        let mut run = lexical.run.iter();
        run.any(|it| self.is_missing(it, lexical, path))
    }

    /// Whether a procedure is called that is not there, for all that is known.
    pub(super) fn lacks_procedure(&self, lexical: &Lexical, path: Option<&SearchPath>) -> bool {
        lexical.procedure.as_ref().is_some_and(|it| {
            let callable = self.callable(path, it.schema.as_deref(), &it.name);
            callable.is_empty()
        })
    }

    /// What a call may lead to in a schema that is not known.
    pub(super) fn by_hidden(&self, call: &Name, path: Option<&SearchPath>) -> Outcome {
        let Name { schema, name } = call;
        match schema.as_deref() {
            Some(schema) if self.snapshot.schema_by_name(schema).is_none() => {
                if self.callable(path, Some(schema), name).is_empty() {
                    // Of `pg_temp`, or of a schema that was made behind our back.
                    return Outcome::EVERYTHING;
                }
                // Another session may have one of this name, and this one has just made its own.
                Outcome {
                    sets: true,
                    ..Outcome::NOTHING
                }
            }
            Some(_) | None => Outcome::NOTHING,
        }
    }

    /// Whether a call is of a function that is not known.
    fn is_missing(&self, call: &Name, lexical: &Lexical, path: Option<&SearchPath>) -> bool {
        // A list of columns looks like a call of its table.
        let is_target = lexical.targets.iter().any(|it| it.name.name == call.name);
        let schema = call.schema.as_deref();
        !is_target
            && (schema.is_some() || !EXPRESSIONS.contains(&&*call.name))
            && self.callable(path, schema, &call.name).is_empty()
    }
}

/// What stands before a parenthesis without being a function's name: keywords that cannot be one
/// without quotes (`col_name_keyword` in `gram.y`), and those of clauses.
const EXPRESSIONS: [&str; 43] = [
    "between",
    "bit",
    "char",
    "character",
    "coalesce",
    "conflict",
    "cube",
    "dec",
    "decimal",
    "exists",
    "extract",
    "filter",
    "float",
    "greatest",
    "grouping",
    "interval",
    "json_array",
    "json_arrayagg",
    "json_exists",
    "json_object",
    "json_objectagg",
    "json_query",
    "json_table",
    "json_value",
    "least",
    "nullif",
    "numeric",
    "over",
    "overlay",
    "partition",
    "position",
    "rollup",
    "row",
    "rows",
    "sets",
    "substring",
    "time",
    "timestamp",
    "treat",
    "trim",
    "values",
    "varchar",
    "xmlelement",
];
