//! Bytes of values: every common type, in text and in binary, small and large.

use pgmemo_tests::twin::Talk;

use super::{check, talk};

/// Each stands in a row of its own, beside a column of a table so that it can be remembered.
const VALUES: [&str; 64] = [
    "true",
    "'-32768'::int2",
    "2147483647",
    "'-9223372036854775808'::int8",
    "1.50::numeric",
    "'NaN'::numeric",
    "'-Infinity'::numeric",
    "12345678901234567890.000000000000000001::numeric",
    "0.00::numeric(10,2)",
    "'-0'::float8",
    "'NaN'::float8",
    "'Infinity'::float4",
    "0.1::float8 + 0.2::float8",
    "1e-300::float8",
    "'12.34'::money",
    "'text with \\ and '' and ü'",
    "''",
    "'padded'::char(10)",
    "'v'::varchar(3)",
    "'x'::\"char\"",
    "'name'::name",
    "'\\x00ff10'::bytea",
    "''::bytea",
    "'2024-02-29'::date",
    "'infinity'::date",
    "'4713-01-01 BC'::date",
    "'13:14:15.123456'::time",
    "'13:14:15+02'::timetz",
    "'2024-02-29 13:14:15.123456'::timestamp",
    "'-infinity'::timestamp",
    "'2024-02-29 13:14:15.123456+02'::timestamptz",
    "'1 year 2 mons 3 days 04:05:06.789'::interval",
    "'-1 day'::interval",
    "'00000000-0000-0000-0000-00000000002a'::uuid",
    "'{\"a\": [1, 2.50,  null]}'::json",
    "'{\"b\": 1, \"a\": [1, 2.50, null]}'::jsonb",
    "'null'::jsonb",
    "'$.a[*]'::jsonpath",
    "'<a>b</a>'::xml",
    "ARRAY[1, NULL, 3]",
    "ARRAY[[1, 2], [3, 4]]",
    "'[2:3]={7,8}'::int[]",
    "'{}'::text[]",
    "ARRAY['a,b', '\"', NULL, 'NULL']",
    "ROW(1, 'a', NULL)",
    "ROW()",
    "'[1,5)'::int4range",
    "'empty'::int4range",
    "'(,2024-01-01]'::daterange",
    "'{[1,2), [5,6)}'::int4multirange",
    "B'1010'",
    "'101'::varbit",
    "'192.168.0.1/24'::inet",
    "'10.0.0.0/8'::cidr",
    "'08:00:2b:01:02:03'::macaddr",
    "'(1.5,2)'::point",
    "'<(0,0),1>'::circle",
    "'((0,0),(1,1))'::box",
    "'a & !b'::tsquery",
    "'a:1 b:2'::tsvector",
    "'0/16B3748'::pg_lsn",
    "42::oid",
    "NULL::int",
    "'{1,2}'::int2vector",
];

fn reads(ask: impl Fn(Talk, &str) -> Talk) -> Talk {
    VALUES.iter().fold(talk(), |talk, value| {
        ask(
            talk,
            &format!("SELECT id, {value} FROM t WHERE id < 3 ORDER BY id"),
        )
    })
}

#[test]
fn values_of_every_common_type_are_the_same_and_some_are_remembered() {
    check(
        20,
        vec![
            ("text by simple query", reads(|talk, sql| talk.query(sql))),
            (
                "text by extended query",
                reads(|talk, sql| talk.extended(sql, &[])),
            ),
            ("binary", reads(|talk, sql| talk.binary(sql))),
        ],
    );
}

#[test]
fn columns_of_every_common_type_are_the_same() {
    let columns: Vec<_> = VALUES
        .iter()
        .enumerate()
        .map(|(n, value)| format!("{value} AS c{n}"))
        .collect();
    let wide = format!("SELECT {} FROM t WHERE id = 1", columns.join(", "));
    check(
        0,
        vec![(
            "one wide row",
            talk().query(&wide).extended(&wide, &[]).binary(&wide),
        )],
    );
}

#[test]
fn types_of_the_user_are_the_same() {
    const ALL: &str = "SELECT * FROM own ORDER BY id";
    const PARTS: &str = "SELECT id, c::text, (p).a, s + 1, a[1], own FROM own ORDER BY id";
    check(
        0,
        vec![
            (
                "whole columns",
                talk().query(ALL).extended(ALL, &[]).binary(ALL),
            ),
            ("parts of them", talk().query(PARTS).binary(PARTS)),
            (
                "as parameters",
                talk().extended("SELECT id FROM own WHERE c = $1", &["red"]),
            ),
        ],
    );
}

#[test]
fn large_values_arrive_whole() {
    let value = |bytes: u32| format!("SELECT id, repeat('0123456789abcdef', {bytes} / 16) FROM t");
    check(
        1,
        vec![
            (
                "100 kB",
                talk().query(&value(100_000)).binary(&value(100_000)),
            ),
            (
                "1 MB",
                talk().query(&format!("{} WHERE id = 1", value(1_000_000))),
            ),
            (
                "20 MB",
                talk().query(&format!("{} WHERE id = 1", value(20_000_000))),
            ),
            (
                "many rows",
                talk().query("SELECT t.id, i FROM t, generate_series(1, 20000) i ORDER BY 1, 2"),
            ),
            (
                "a large parameter",
                talk().extended("SELECT id, length($1) FROM t", &[&"x".repeat(300_000)]),
            ),
            (
                "a large statement",
                talk().query(&format!("SELECT '{}'", "x".repeat(2_000_000))),
            ),
            (
                "many columns",
                talk().query(&format!(
                    "SELECT {} FROM t WHERE id = 1",
                    (0..1600)
                        .map(|n| format!("id + {n}"))
                        .collect::<Vec<_>>()
                        .join(", ")
                )),
            ),
        ],
    );
}
