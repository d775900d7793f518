//! What each reason means, and what to do about it: for the console, the dashboard, and
//! `docs/operations.md`, which says the same.

use super::Reason;

impl Reason {
    /// What the statement, or its session, is or does: the rest of a sentence about it.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::NotARead => "is not a read: a write, a command, a setting",
            Self::Unreadable => "is not understood by pgmemo's parser",
            Self::TooLong => "is longer than what is analysed",
            Self::SeveralStatements => "is one of several in one string",
            Self::Writes => "writes as well as reads, as in `WITH … AS (DELETE …)`",
            Self::LocksRows => "locks rows, as in `FOR UPDATE`",
            Self::NoTable => "reads no table, so that nothing could invalidate it",
            Self::UnknownRelation => "reads a table that is not in the catalog snapshot",
            Self::SystemCatalog => {
                "reads system catalogs, `information_schema` or statistics, or a table with a \
                    column of `regclass` or its kin, whose values change their names with the \
                    catalogs"
            }
            Self::Temporary => "reads a temporary table",
            Self::ForeignTable => "reads a foreign table, whose changes nobody sees",
            Self::Unlogged => "reads an unlogged table, which a crash empties",
            Self::Sequence => "reads a sequence",
            Self::RowSecurity => {
                "reads a table with a policy that reads more than tables, roles and settings \
                    of the application by name"
            }
            Self::SystemColumn => "reads a system column such as `ctid` or `xmin`",
            Self::Volatile => "calls a volatile function, such as `random()`",
            Self::Clock => {
                "reads the clock: `now()`, `CURRENT_DATE`, `'today'`, or may do so: text that \
                    is cast to a date could say `now`"
            }
            Self::SessionState => {
                "reads the session: `current_schema`, `current_setting()` of a name that is \
                    not written out, has no dot, begins with the name of an extension, or has \
                    not been asked for yet"
            }
            Self::UnknownFunction => {
                "calls a function that is neither built in nor listed, nor one SQL query \
                    declared STABLE, or IMMUTABLE and dependent on nothing but its arguments"
            }
            Self::UnknownOperator => {
                "uses an operator, or could by the types in it mean one, whose function is \
                    neither built in, nor compiled code of an extension that is declared \
                    IMMUTABLE, nor one query in SQL that can be read"
            }
            Self::UnknownCast => {
                "could use a cast, or the check of a domain, with such a function, or reads a \
                    view that was made with a cast that is gone"
            }
            Self::Sample => "uses TABLESAMPLE without REPEATABLE",
            Self::Unsupported => "uses syntax that is understood but not placed in a class",
            Self::Hint => "says `/* pgmemo: nocache */`",
            Self::ClockParameter => "has a parameter that names the clock, such as `'now'`",
            Self::LargeParameters => "has parameters too large to be part of a key",
            Self::TransactionWrites => "is in a transaction that has written",
            Self::Isolation => {
                "is in a REPEATABLE READ or SERIALIZABLE transaction; a single simple query \
                    outside a block is looked up at REPEATABLE READ"
            }
            Self::FailedTransaction => "is in a transaction that has failed",
            Self::Pipeline => "follows, in its pipeline, a message that may change what it sees",
            Self::SettingsUnknown => {
                "is in a session whose settings are not known: in a block behind a function \
                    that sets some, or behind what is not followed"
            }
            Self::SettingsForeign => "is in a session with a setting that is not part of the key",
            Self::TemporaryObjects => {
                "is in a session with temporary objects that could hide a table"
            }
            Self::NoCatalog => "came while the catalog snapshot was missing or outdated",
            Self::BeingWritten => "reads a table that is being written at this moment",
            Self::Policy => "reads a table that a rule excludes, or that has no TTL",
            Self::Portal => "is fetched in portions, or by a portal that is left to the server",
            Self::StoreUnavailable => "came while the store was down, slow or fenced",
        }
    }

    /// What to do about it.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::NotARead => "nothing",
            Self::Unreadable => "nothing; if it is a plain SELECT, please report it",
            Self::TooLong => "pass long lists as array parameters",
            Self::SeveralStatements => "send them one by one",
            Self::Writes => "nothing",
            Self::LocksRows => "leave the lock out where it is not needed",
            Self::NoTable => "nothing; it is cheap",
            Self::UnknownRelation => "nothing; a new table is known after a moment",
            Self::SystemCatalog => "keep OIDs or names in columns of other types",
            Self::Temporary => "nothing",
            Self::ForeignTable => "copy it into a materialized view",
            Self::Unlogged => "make it logged if it is worth caching",
            Self::Sequence => "nothing",
            Self::RowSecurity => {
                "write `current_setting('app.x')` in the policy, or call a STABLE function of \
                    one SQL query that does"
            }
            Self::SystemColumn => "leave it out",
            Self::Volatile => "leave it out where it is not needed",
            Self::Clock => {
                "pass the time as a parameter, rounded as coarsely as you can; store dates as \
                    dates, or read the text as text"
            }
            Self::SessionState => "pass the value as a parameter",
            Self::UnknownFunction => "list it in `[functions]` if it qualifies",
            Self::UnknownOperator => "list its function in `[functions]` if it qualifies",
            Self::UnknownCast => {
                "list its function in `[functions]` if it qualifies; make such a view anew"
            }
            Self::Sample => "nothing",
            Self::Unsupported => "nothing; please report it if it is frequent",
            Self::Hint => "remove the hint",
            Self::ClockParameter => "pass the time itself",
            Self::LargeParameters => "nothing",
            Self::TransactionWrites => "read before writing, or in another transaction",
            Self::Isolation => "use READ COMMITTED where it is enough",
            Self::FailedTransaction => "nothing",
            Self::Pipeline => "nothing",
            Self::SettingsUnknown => {
                "set them at login, with plain `SET` or `SET LOCAL`, or with `SELECT \
                    set_config('name', value, true)`"
            }
            Self::SettingsForeign => "leave the setting at its default",
            Self::TemporaryObjects => "nothing",
            Self::NoCatalog => "if it lasts: check the user of `upstream` and the log",
            Self::BeingWritten => "nothing; it is cached again once the writers have ended",
            Self::Policy => "change `[tables]` or `cache.default_ttl`",
            Self::Portal => "fetch all rows at once where they are few",
            Self::StoreUnavailable => "see `pgmemo_store_state`",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_says_the_same() {
        let page = include_str!("../../../../docs/operations.md");
        for reason in Reason::ALL {
            let code = reason.code();
            let begins = format!("| `{code}` |");
            let row = page.lines().find(|line| line.starts_with(&begins));
            let row = row.unwrap_or_else(|| panic!("{code} has no row"));
            // The page adds where to read more.
            let plain = match row.split_once(" ([") {
                Some((before, link)) => {
                    let (_, after) = link.split_once("))").unwrap();
                    format!("{before}{after}")
                }
                None => row.to_owned(),
            };
            let expected = format!("| `{code}` | {} | {} |", reason.meaning(), reason.remedy());
            assert_eq!(plain, expected);
        }
    }
}
