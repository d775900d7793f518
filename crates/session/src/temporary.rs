//! Temporary objects of a session, as the server tells of them.

use sql::{PLAIN_MAX, Reaching, Temporary};

/// Whether the session has temporary objects: `f`, or something else. In front of [`BRIEF`] or
/// [`DETAILS`].
pub(crate) const EXISTENCE: &str = "CASE WHEN pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.=) 0 THEN 'f' \
WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_class c \
WHERE c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()) AND NOT EXISTS \
(SELECT FROM pg_catalog.pg_type t \
WHERE t.typnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()) THEN 'f' ELSE ";

/// For a session that has none for all that is known: whatever it has may do anything.
pub(crate) const BRIEF: &str = "'*' END, ";

/// What they may do: names of relations, separated by U+001F. One with a `w` before it reaches what
/// lasts when its rows change, one with an `r` when it is read, one with a `p` never. `*` is all of
/// them.
///
/// - A view stands for other relations, and its rules and triggers may do anything. Reading it does
///   what is behind it: functions that can write, policies, foreign tables.
/// - A table with triggers, rules, or functions in its defaults, checks and indexes may do anything
///   when its rows change, and is reached through foreign keys and inheritance by the other tables of
///   the session; through inheritance perhaps by a permanent one.
/// - Policies, foreign tables, and domains are too rare to be told apart.
/// - A table holds rows and does no more if neither it nor another of the session runs anything but
///   the server's own functions of which that is known, be it by way of types, and if none inherits
///   from a permanent one.
///
/// Every name and operator is qualified, see [`crate::identity::WHO`].
pub(crate) const DETAILS: &str = "(WITH RECURSIVE own AS ( \
SELECT c.oid, c.relname, c.relkind, c.relrowsecurity FROM pg_catalog.pg_class c \
WHERE c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema() \
AND NOT (c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['i', 'I', 't', 'S', 'c']::pg_catalog.\"char\"[])) \
), reach(top, oid) AS ( \
SELECT o.oid, o.oid FROM own o UNION SELECT r.top, d.refobjid FROM reach r \
JOIN pg_catalog.pg_rewrite w ON w.ev_class OPERATOR(pg_catalog.=) r.oid AND w.ev_type OPERATOR(pg_catalog.=) '1' \
JOIN pg_catalog.pg_depend d ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_rewrite'::pg_catalog.regclass \
AND d.objid OPERATOR(pg_catalog.=) w.oid AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
), parts(top, class, oid) AS ( \
SELECT r.top, 'pg_catalog.pg_rewrite'::pg_catalog.regclass, w.oid FROM reach r \
JOIN pg_catalog.pg_rewrite w ON w.ev_class OPERATOR(pg_catalog.=) r.oid \
AND w.ev_type OPERATOR(pg_catalog.=) '1' \
UNION ALL SELECT o.oid, 'pg_catalog.pg_attrdef'::pg_catalog.regclass, x.oid FROM own o \
JOIN pg_catalog.pg_attrdef x ON x.adrelid OPERATOR(pg_catalog.=) o.oid \
UNION ALL SELECT o.oid, 'pg_catalog.pg_constraint'::pg_catalog.regclass, x.oid FROM own o \
JOIN pg_catalog.pg_constraint x ON x.conrelid OPERATOR(pg_catalog.=) o.oid \
UNION ALL SELECT o.oid, 'pg_catalog.pg_class'::pg_catalog.regclass, o.oid FROM own o \
UNION ALL SELECT o.oid, 'pg_catalog.pg_class'::pg_catalog.regclass, x.indexrelid FROM own o \
JOIN pg_catalog.pg_index x ON x.indrelid OPERATOR(pg_catalog.=) o.oid \
), runs(top) AS ( \
SELECT p.top FROM parts p \
JOIN pg_catalog.pg_depend d ON d.classid OPERATOR(pg_catalog.=) p.class AND d.objid OPERATOR(pg_catalog.=) p.oid \
LEFT JOIN pg_catalog.pg_operator o ON o.oid OPERATOR(pg_catalog.=) d.refobjid \
AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_operator'::pg_catalog.regclass \
JOIN pg_catalog.pg_proc f ON f.oid OPERATOR(pg_catalog.=) coalesce(o.oprcode::pg_catalog.oid, d.refobjid) \
WHERE d.refclassid OPERATOR(pg_catalog.=) ANY (ARRAY['pg_catalog.pg_proc', 'pg_catalog.pg_operator']::pg_catalog.regclass[]) \
AND d.refobjid OPERATOR(pg_catalog.>=) 16384 \
AND NOT (f.provolatile OPERATOR(pg_catalog.=) 'i' AND f.prokind OPERATOR(pg_catalog.<>) 'a' \
AND f.prolang OPERATOR(pg_catalog.=) ANY (ARRAY[12, 13]::pg_catalog.oid[])) \
UNION SELECT r.top FROM reach r JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) r.oid \
WHERE c.relrowsecurity OR c.relkind OPERATOR(pg_catalog.=) 'f' \
), active AS ( \
SELECT FROM own o WHERE o.relkind OPERATOR(pg_catalog.<>) 'v' AND ( \
EXISTS (SELECT FROM runs WHERE top OPERATOR(pg_catalog.=) o.oid) \
OR EXISTS (SELECT FROM pg_catalog.pg_trigger x WHERE x.tgrelid OPERATOR(pg_catalog.=) o.oid AND NOT x.tgisinternal) \
OR EXISTS (SELECT FROM pg_catalog.pg_rewrite x WHERE x.ev_class OPERATOR(pg_catalog.=) o.oid)) \
), related AS ( \
SELECT FROM own o \
JOIN pg_catalog.pg_inherits i ON i.inhrelid OPERATOR(pg_catalog.=) o.oid \
JOIN pg_catalog.pg_class p ON p.oid OPERATOR(pg_catalog.=) i.inhparent \
WHERE p.relnamespace OPERATOR(pg_catalog.<>) pg_catalog.pg_my_temp_schema() \
), trees(tree) AS ( \
SELECT x.adbin::pg_catalog.text FROM own o JOIN pg_catalog.pg_attrdef x ON x.adrelid OPERATOR(pg_catalog.=) o.oid \
UNION ALL SELECT x.conbin::pg_catalog.text FROM own o \
JOIN pg_catalog.pg_constraint x ON x.conrelid OPERATOR(pg_catalog.=) o.oid \
), doubts AS ( \
SELECT FROM active UNION ALL SELECT FROM related \
UNION ALL SELECT FROM own o JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) o.oid \
WHERE c.reloftype OPERATOR(pg_catalog.<>) 0 \
UNION ALL SELECT FROM own o JOIN pg_catalog.pg_partitioned_table x ON x.partrelid OPERATOR(pg_catalog.=) o.oid \
WHERE x.partexprs IS NOT NULL \
UNION ALL SELECT FROM own o JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) o.oid \
JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) a.atttypid \
LEFT JOIN pg_catalog.pg_type e ON e.oid OPERATOR(pg_catalog.=) t.typelem AND t.typcategory OPERATOR(pg_catalog.=) 'A' \
WHERE o.relkind OPERATOR(pg_catalog.<>) 'v' AND t.oid OPERATOR(pg_catalog.>=) 16384 \
AND NOT coalesce(e.typtype, t.typtype) OPERATOR(pg_catalog.=) ANY (ARRAY['b', 'e']::pg_catalog.\"char\"[]) \
UNION ALL SELECT FROM own o JOIN parts p ON p.top OPERATOR(pg_catalog.=) o.oid \
JOIN pg_catalog.pg_depend d ON d.classid OPERATOR(pg_catalog.=) p.class AND d.objid OPERATOR(pg_catalog.=) p.oid \
WHERE o.relkind OPERATOR(pg_catalog.<>) 'v' AND d.refobjid OPERATOR(pg_catalog.>=) 16384 \
AND d.refclassid OPERATOR(pg_catalog.=) ANY (ARRAY['pg_catalog.pg_proc', 'pg_catalog.pg_operator', \
'pg_catalog.pg_opclass']::pg_catalog.regclass[]) \
UNION ALL SELECT FROM trees x, \
pg_catalog.regexp_matches(x.tree, ':[a-z]*funcid ([0-9]+)', 'g') m(found) \
JOIN pg_catalog.pg_proc f ON f.oid OPERATOR(pg_catalog.=) m.found[1]::pg_catalog.oid \
WHERE NOT (f.provolatile OPERATOR(pg_catalog.=) 'i' \
OR f.provolatile OPERATOR(pg_catalog.=) 's' AND f.proname OPERATOR(pg_catalog.!~~) '%xml%' \
OR f.proname OPERATOR(pg_catalog.=) ANY (ARRAY['nextval', 'clock_timestamp', 'timeofday', 'random', \
'gen_random_uuid', 'uuidv4', 'uuidv7']::pg_catalog.name[])) \
) SELECT coalesce(pg_catalog.string_agg(item, pg_catalog.chr(31) ORDER BY item), '') FROM ( \
SELECT '*' AS item WHERE EXISTS (SELECT FROM own o WHERE o.relrowsecurity \
OR NOT (o.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'p', 'v']::pg_catalog.\"char\"[]))) \
OR EXISTS (SELECT FROM pg_catalog.pg_type t WHERE t.typnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema() \
AND NOT (t.typtype OPERATOR(pg_catalog.=) ANY (ARRAY['c', 'e']::pg_catalog.\"char\"[])) AND t.typcategory OPERATOR(pg_catalog.<>) 'A') \
OR EXISTS (SELECT FROM active) AND EXISTS (SELECT FROM related) \
UNION ALL SELECT pg_catalog.concat('w', pg_catalog.translate(o.relname::pg_catalog.text, pg_catalog.chr(31), '*')) \
FROM own o WHERE o.relkind OPERATOR(pg_catalog.=) 'v' OR EXISTS (SELECT FROM active) \
UNION ALL SELECT pg_catalog.concat('r', pg_catalog.translate(o.relname::pg_catalog.text, pg_catalog.chr(31), '*')) \
FROM own o WHERE o.relkind OPERATOR(pg_catalog.=) 'v' AND EXISTS (SELECT FROM runs WHERE top OPERATOR(pg_catalog.=) o.oid) \
UNION ALL SELECT pg_catalog.concat('p', o.relname) FROM own o \
WHERE o.relkind OPERATOR(pg_catalog.<>) 'v' AND o.relname OPERATOR(pg_catalog.~) '^[A-Za-z0-9_$]+$' \
AND NOT EXISTS (SELECT FROM doubts) \
) items) END, ";

/// More names than these of relations that reach what lasts, and all are meant.
const NAMES_MAX: usize = 64;

/// Reads the answer; `None` if there are no temporary objects.
pub(crate) fn read(answer: &[u8]) -> Option<Temporary> {
    match answer {
        b"f" => None,
        b"" => Some(Temporary::Plain),
        names => Some(reaching(names).map_or(Temporary::Unknown, Temporary::Named)),
    }
}

/// The names, unless one of them could be written in several ways.
fn reaching(names: &[u8]) -> Option<Box<Reaching>> {
    let plain = |byte: &u8| byte.is_ascii() && *byte != b'"' && *byte != b'*';
    if !names.iter().all(plain) {
        return None;
    }
    let (mut written, mut read, mut plain) = (Vec::new(), Vec::new(), Vec::new());
    for name in std::str::from_utf8(names).ok()?.split('\x1f') {
        match name.split_at_checked(1)? {
            ("w", name) => written.push(name.into()),
            ("r", name) => read.push(name.into()),
            ("p", name) if plain.len() < PLAIN_MAX => plain.push(name.into()),
            ("p", _) => {}
            _ => return None,
        }
    }
    (written.len() + read.len() <= NAMES_MAX).then(|| {
        Box::new(Reaching {
            written: written.into(),
            read: read.into(),
            plain: plain.into(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_none_and_all() {
        assert_eq!(read(b"f"), None);
        assert_eq!(read(b""), Some(Temporary::Plain));
        let named = Temporary::Named(Box::new(Reaching {
            written: ["a b".into(), "V".into()].into(),
            read: ["V".into()].into(),
            plain: ["a".into()].into(),
        }));
        assert_eq!(read(b"wa b\x1fwV\x1frV\x1fpa"), Some(named));
        for odd in [
            &b"*"[..],
            b"*\x1fwv",
            b"w\xc3\xa4",
            b"wa\"b",
            b"wv\x1f",
            b"wv\x1fx",
            b"wa*b",
        ] {
            assert_eq!(read(odd), Some(Temporary::Unknown), "{odd:?}");
        }
        let many = vec!["wv"; NAMES_MAX + 1].join("\x1f");
        assert_eq!(read(many.as_bytes()), Some(Temporary::Unknown));
        let many = vec!["pv"; PLAIN_MAX + 1].join("\x1f");
        let named = read(many.as_bytes()).unwrap();
        assert!(named.is_plain() && named != Temporary::Plain);
    }
}
