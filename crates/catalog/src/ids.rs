//! Identifiers. None converts to another without a name one can search for.

use std::fmt;

macro_rules! oid_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(u32);

        impl $name {
            /// Wraps an object identifier that the server reported for this kind of object.
            pub const fn from_oid(oid: u32) -> Self {
                Self(oid)
            }

            /// The server's object identifier.
            pub const fn oid(self) -> u32 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

oid_newtype!(
    /// `pg_class.oid`.
    RelationId
);
oid_newtype!(
    /// `pg_namespace.oid`.
    SchemaId
);
oid_newtype!(
    /// `pg_authid.oid`.
    RoleId
);
oid_newtype!(
    /// `pg_proc.oid`.
    FunctionId
);
oid_newtype!(
    /// `pg_type.oid`.
    TypeId
);

impl FunctionId {
    /// Whether the function came with `initdb`: its OID is below `FirstNormalObjectId`.
    pub const fn is_builtin(self) -> bool {
        self.0 < 16_384
    }
}

impl TypeId {
    /// Whether the type came with `initdb`.
    pub const fn is_builtin(self) -> bool {
        self.0 < 16_384
    }
}

/// One of the classes into which the rows of a relation fall by their key: rows with equal keys are
/// of one class. Those of different keys rarely share one.
///
/// There are 2^20 of them, so that what is kept per class has a bound. Every instance computes the
/// same class for the same key.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RowClass(u32);

impl RowClass {
    /// The class of a key whose digest this is.
    pub const fn from_digest(digest: u64) -> Self {
        Self((digest >> (u64::BITS - 20)) as u32)
    }

    /// Its number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// `pg_control_system().system_identifier`: tells one cluster from another.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SystemId(pub u64);

/// One database of one cluster. A dropped and re-created database has another identity.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DatabaseId {
    /// The cluster.
    pub system: SystemId,
    /// `pg_database.oid`.
    pub oid: u32,
}
