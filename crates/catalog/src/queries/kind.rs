//! What the columns of the queries' rows mean.

/// What a row of a query describes.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// `server_version_num`.
    Server,
    /// OID, name, grantees of USAGE separated by spaces (0 is PUBLIC).
    Schemas,
    /// OID, name, superuser, bypasses row-level security.
    Roles,
    /// Member, role whose privileges it inherits.
    Memberships,
    /// OID, schema, name, kind, owner, row security (`-`, `o` on, `f` forced), persistence,
    /// security invoker, type of its rows, of arrays of them or 0, columns it has ever had, extension.
    Relations,
    /// Relation, name, type.
    Columns,
    /// OID, schema, name, `typtype`, type it is made of or 0, string category, immutable input, a
    /// digest over the labels of an enum.
    Types,
    /// Child, parent.
    Inherits,
    /// View, query.
    Definitions,
    /// Relation, columns separated by U+001F.
    Keys,
    /// Referencing, referenced, action on update, on delete, referenced columns separated by
    /// U+001F, NULL if one of them is computed.
    Constraints,
    /// Relation, condition, relations it names separated by spaces.
    Policies,
    /// Relation, function, `tgtype`.
    Triggers,
    /// Relation, `CREATE RULE …`.
    Rules,
    /// OID, schema, name, kind, arguments, defaults among them, variadic, types of arguments
    /// separated by spaces, type of the result, volatility, language, security definer, body,
    /// settings separated by U+001F, extension.
    Functions,
    /// Function, functions it calls beside its body, separated by spaces.
    Support,
    /// Symbol, schema, function, types of the operands.
    Operators,
    /// Source type, target type, function, whether it runs nothing, is implicit.
    Casts,
    /// View, relation it names.
    Depends,
    /// Relation, function, `r` or `w`.
    Uses,
    /// View or table or 0, function or 0, function of a cast in their trees.
    Kept,
    /// Function, type or 0.
    Implicit,
    /// Extension.
    Methods,
    /// A digest over what configurations and dictionaries of text search stand for.
    TextSearch,
    /// OID, schema, name.
    Collations,
    /// Name, whether it fires at logins.
    EventTriggers,
    /// OID.
    Databases,
}
