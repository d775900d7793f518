//! Whether a plan may hold what its constants look like as text, which settings decide.

use super::Viewer;
use crate::facts::{Call, Name, Read};

impl Viewer<'_> {
    /// Whether constants may be written down as text when this is planned: by a cast, or by an operator
    /// or function that is not known to do nothing of the kind.
    pub(super) fn folds(&self, read: &Read) -> bool {
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
