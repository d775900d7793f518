//! What a CommandComplete tag proves.

/// Whether the tag of a single statement proves that it wrote no row and changed no definition.
///
/// - `SELECT n` proves nothing: a function may write. Neither does `EXPLAIN`, which may have
///   analysed a write, nor `COMMIT`, which runs what was deferred.
/// - `FETCH` and `MOVE` run a query whose writes were those of what opened it, which is why `DECLARE
///   CURSOR` proves nothing; a Bind has no tag.
/// - `DISCARD` drops temporary objects only.
/// - `SET CONSTRAINTS` runs deferred triggers.
pub fn tag_clears(tag: &[u8]) -> bool {
    let tag = tag.strip_suffix(b"\0").unwrap_or(tag);
    let counted = [&b"FETCH "[..], b"MOVE "].iter().any(|command| {
        tag.strip_prefix(*command)
            .is_some_and(|count| !count.is_empty() && count.iter().all(u8::is_ascii_digit))
    });
    counted || CLEARING.contains(&tag)
}

/// Whether a tag tells that code may be gone without leaving a trace in the catalogs: functions, casts,
/// the checks of domains. What goes along with a table is not told from the table.
pub fn tag_drops(tag: &[u8]) -> bool {
    DROPPING.contains(&tag.strip_suffix(b"\0").unwrap_or(tag))
}

/// Whether a definition with this tag runs no code and takes nothing along, event triggers aside: it says
/// what is there from now on.
pub fn tag_only_makes(tag: &[u8]) -> bool {
    MAKING.contains(&tag.strip_suffix(b"\0").unwrap_or(tag))
}

const MAKING: [&[u8]; 14] = [
    b"ALTER ROLE",
    b"COMMENT",
    b"CREATE FUNCTION",
    b"CREATE PROCEDURE",
    b"CREATE ROLE",
    b"CREATE SEQUENCE",
    b"CREATE TABLE",
    b"CREATE TRIGGER",
    b"CREATE TYPE",
    b"CREATE VIEW",
    b"GRANT",
    b"GRANT ROLE",
    b"REVOKE",
    b"REVOKE ROLE",
];

const DROPPING: [&[u8]; 17] = [
    b"ALTER DOMAIN",
    b"ALTER EXTENSION",
    b"DROP ACCESS METHOD",
    b"DROP AGGREGATE",
    b"DROP CAST",
    b"DROP DOMAIN",
    b"DROP EXTENSION",
    b"DROP FUNCTION",
    b"DROP LANGUAGE",
    b"DROP OPERATOR",
    b"DROP OPERATOR CLASS",
    b"DROP OPERATOR FAMILY",
    b"DROP OWNED",
    b"DROP PROCEDURE",
    b"DROP ROUTINE",
    b"DROP SCHEMA",
    b"DROP TYPE",
];

const CLEARING: [&[u8]; 21] = [
    b"BEGIN",
    b"CHECKPOINT",
    b"CLOSE CURSOR",
    b"CLOSE CURSOR ALL",
    b"DEALLOCATE",
    b"DEALLOCATE ALL",
    b"DISCARD ALL",
    b"DISCARD PLANS",
    b"DISCARD SEQUENCES",
    b"DISCARD TEMP",
    b"LISTEN",
    b"LOCK TABLE",
    b"NOTIFY",
    b"PREPARE",
    b"RELEASE",
    b"RESET",
    b"SAVEPOINT",
    b"SET",
    b"SHOW",
    b"START TRANSACTION",
    b"UNLISTEN",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tag: &str, expected: bool) {
        assert_eq!(tag_clears(tag.as_bytes()), expected, "{tag}");
    }

    #[test]
    fn commands_that_touch_no_row_are_cleared() {
        for tag in [
            "SHOW",
            "SET",
            "LISTEN",
            "FETCH 12",
            "MOVE 0",
            "LOCK TABLE",
            "BEGIN",
        ] {
            check(tag, true);
        }
    }

    #[test]
    fn what_drops_code_is_known() {
        assert!(tag_drops(b"DROP CAST\0") && tag_drops(b"DROP FUNCTION"));
        assert!(!tag_drops(b"DROP TABLE") && !tag_drops(b"CREATE FUNCTION"));
        assert!(tag_only_makes(b"CREATE TABLE\0") && tag_only_makes(b"GRANT"));
        assert!(!tag_only_makes(b"ALTER TABLE") && !tag_only_makes(b"CREATE INDEX"));
    }

    #[test]
    fn others_stay_under_suspicion() {
        for tag in [
            "",
            "SELECT 1",
            "EXPLAIN",
            "COMMIT",
            "ROLLBACK",
            "PREPARE TRANSACTION",
            "COMMIT PREPARED",
            "SET CONSTRAINTS",
            "FETCH",
            "FETCH x",
            "CALL",
            "DECLARE CURSOR",
            "DO",
            "COPY 1",
            "CREATE TABLE",
            "LOAD",
            "SETTLE",
        ] {
            check(tag, false);
        }
    }
}
