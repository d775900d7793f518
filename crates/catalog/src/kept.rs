//! What trees in the catalog hold that their text does not show: the functions of casts.
//!
//! Queries of views, conditions of policies, and bodies of functions in SQL that the server has parsed
//! when they were made, keep to the casts of that moment, even when these are dropped. Printed they show
//! which type a value becomes, if that much; what they mean by it is what casts there are now.
//!
//! A cast that goes through text, or leaves values as they are, runs no code of users, and is printed
//! wherever what it makes could be read as a date.

use crate::{FunctionId, RelationId};

/// Whose tree it is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Keeper {
    /// The query of a view, or the policies that filter what is read of a table.
    Relation(RelationId),
    /// The body of a function.
    Body(FunctionId),
}

/// The query of [`crate::queries::Kind::Kept`].
///
/// Trees are cut at their calls, which is faster by far than to search them for a pattern; the format of a
/// call says that it is a cast. Names cannot be taken for parts of a tree: there is no plain space in
/// them.
pub(crate) const KEPT: &str = "\
WITH trees AS (
    SELECT r.ev_class AS relation, 0::oid AS body, r.ev_action::text AS tree
    FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
    WHERE r.oid >= 16384 AND r.rulename = '_RETURN' AND c.relkind = 'v'
    UNION ALL SELECT polrelid, 0, polqual::text FROM pg_policy
    WHERE polcmd IN ('r', '*') AND polqual IS NOT NULL
    UNION ALL SELECT 0, oid, prosqlbody::text FROM pg_proc
    WHERE oid >= 16384 AND prosqlbody IS NOT NULL
), calls AS (
    SELECT DISTINCT relation, body, split_part(node, ' ', 1) AS function
    FROM trees, string_to_table(tree, '{FUNCEXPR :funcid ') node
    WHERE split_part(node, ' ', 8) = ':funcformat' AND split_part(node, ' ', 9) IN ('1', '2')
)
SELECT relation, body, function::oid FROM calls
WHERE function <> ALL (SELECT castfunc::text FROM pg_cast WHERE oid < 16384)
ORDER BY 1, 2, 3";
