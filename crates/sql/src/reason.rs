//! Why a statement is not looked up.

mod remedy;

/// A refusal, with a code that is the same in code, metric, log and documentation.
///
/// Those that depend on the statement come first; those of the session, the store and the policy
/// follow, so that one list documents them all.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Reason {
    /// It is not a read.
    NotARead,
    /// The parser does not understand it.
    Unreadable,
    /// The text is longer than what is analysed.
    TooLong,
    /// Several statements in one string.
    SeveralStatements,
    /// It contains a data-modifying part.
    Writes,
    /// It locks rows.
    LocksRows,
    /// It names no table, so nothing could invalidate it.
    NoTable,
    /// A relation that the snapshot does not hold.
    UnknownRelation,
    /// System catalogs, `information_schema`, statistics.
    SystemCatalog,
    /// A temporary relation.
    Temporary,
    /// A foreign table that is not listed.
    ForeignTable,
    /// An unlogged table: a crash empties it behind our back.
    Unlogged,
    /// A sequence read as a relation.
    Sequence,
    /// Row-level security applies to this role.
    RowSecurity,
    /// A system column such as `ctid` or `xmin`.
    SystemColumn,
    /// A volatile function.
    Volatile,
    /// The clock: `now()`, `CURRENT_DATE`, `'today'` in a literal.
    Clock,
    /// Session state: `current_user`, `current_setting()`.
    SessionState,
    /// A function that is neither built in nor listed.
    UnknownFunction,
    /// An operator that is not built in.
    UnknownOperator,
    /// A cast that runs a function that is not built in.
    UnknownCast,
    /// TABLESAMPLE without REPEATABLE.
    Sample,
    /// Syntax that is understood by the parser but not placed in a class.
    Unsupported,
    /// `/* pgmemo: nocache */`.
    Hint,
    /// A parameter whose value names the clock, such as `today`.
    ClockParameter,
    /// A parameter list, or a message, too large to be part of a key.
    LargeParameters,
    /// The transaction has written.
    TransactionWrites,
    /// REPEATABLE READ or SERIALIZABLE.
    Isolation,
    /// The transaction has failed.
    FailedTransaction,
    /// An earlier message of this pipeline may have changed what the read sees.
    Pipeline,
    /// The session's settings are not known.
    SettingsUnknown,
    /// The session has a setting that is not part of the key.
    SettingsForeign,
    /// The session has temporary objects that could shadow a table.
    TemporaryObjects,
    /// No catalog snapshot of this database, or an outdated one.
    NoCatalog,
    /// A table it reads is being written at this moment.
    BeingWritten,
    /// The policy says `cache = false`, or no rule gives a TTL.
    Policy,
    /// A row limit or portal use that is left to the server.
    Portal,
    /// The store did not answer in time, is down, or is fenced.
    StoreUnavailable,
}

impl Reason {
    /// Every reason, in order.
    pub const ALL: [Self; 38] = [
        Self::NotARead,
        Self::Unreadable,
        Self::TooLong,
        Self::SeveralStatements,
        Self::Writes,
        Self::LocksRows,
        Self::NoTable,
        Self::UnknownRelation,
        Self::SystemCatalog,
        Self::Temporary,
        Self::ForeignTable,
        Self::Unlogged,
        Self::Sequence,
        Self::RowSecurity,
        Self::SystemColumn,
        Self::Volatile,
        Self::Clock,
        Self::SessionState,
        Self::UnknownFunction,
        Self::UnknownOperator,
        Self::UnknownCast,
        Self::Sample,
        Self::Unsupported,
        Self::Hint,
        Self::ClockParameter,
        Self::LargeParameters,
        Self::TransactionWrites,
        Self::Isolation,
        Self::FailedTransaction,
        Self::Pipeline,
        Self::SettingsUnknown,
        Self::SettingsForeign,
        Self::TemporaryObjects,
        Self::NoCatalog,
        Self::BeingWritten,
        Self::Policy,
        Self::Portal,
        Self::StoreUnavailable,
    ];

    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotARead => "not_a_read",
            Self::Unreadable => "unreadable",
            Self::TooLong => "too_long",
            Self::SeveralStatements => "several_statements",
            Self::Writes => "writes",
            Self::LocksRows => "locks_rows",
            Self::NoTable => "no_table",
            Self::UnknownRelation => "unknown_relation",
            Self::SystemCatalog => "system_catalog",
            Self::Temporary => "temporary",
            Self::ForeignTable => "foreign_table",
            Self::Unlogged => "unlogged",
            Self::Sequence => "sequence",
            Self::RowSecurity => "row_security",
            Self::SystemColumn => "system_column",
            Self::Volatile => "volatile",
            Self::Clock => "clock",
            Self::SessionState => "session_state",
            Self::UnknownFunction => "unknown_function",
            Self::UnknownOperator => "unknown_operator",
            Self::UnknownCast => "unknown_cast",
            Self::Sample => "sample",
            Self::Unsupported => "unsupported",
            Self::Hint => "hint",
            Self::ClockParameter => "clock_parameter",
            Self::LargeParameters => "large_parameters",
            Self::TransactionWrites => "transaction_writes",
            Self::Isolation => "isolation",
            Self::FailedTransaction => "failed_transaction",
            Self::Pipeline => "pipeline",
            Self::SettingsUnknown => "settings_unknown",
            Self::SettingsForeign => "settings_foreign",
            Self::TemporaryObjects => "temporary_objects",
            Self::NoCatalog => "no_catalog",
            Self::BeingWritten => "being_written",
            Self::Policy => "policy",
            Self::Portal => "portal",
            Self::StoreUnavailable => "store_unavailable",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Reason;
    use std::collections::HashSet;

    #[test]
    fn every_reason_stands_at_its_own_index_with_its_own_code() {
        let codes: HashSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
        }
    }
}
