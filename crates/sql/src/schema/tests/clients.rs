//! Statements as clients, libraries and people write them.

use super::*;

#[test]
fn reads_of_clients_may_be_looked_up() {
    let db = Database::with(|db| {
        for name in [
            "ts_rank",
            "array_position",
            "jsonb_each",
            "initcap",
            "make_interval",
            "jsonb_agg",
        ] {
            db.builtin(name, Volatility::Immutable, FunctionKind::Function);
        }
    });
    for text in [
        r#"SELECT "t".* FROM "t" WHERE "t"."id" = $1 LIMIT $2"#,
        r#"SELECT 1 AS one FROM "t" WHERE "t"."id" = $1 LIMIT 1"#,
        r#"SELECT COUNT(*) AS "__count" FROM "t""#,
        r#"SELECT (1) AS "a" FROM "t" WHERE ("t"."id" = 5 AND UPPER("t"."v"::text) LIKE UPPER('%x%')) LIMIT 1"#,
        r#"SELECT "t"."id", "t"."v" FROM "t" INNER JOIN "u" ON ("t"."id" = "u"."tid") WHERE NOT ("u"."w" IS NULL) ORDER BY "t"."v" DESC NULLS LAST, 1 ASC LIMIT 21 OFFSET 42"#,
        "SELECT anon_1.t_id AS anon_1_t_id FROM (SELECT t.id AS t_id FROM t WHERE t.v IN ($1, $2)) AS anon_1 LEFT OUTER JOIN u AS u_1 ON anon_1.t_id = u_1.tid",
        "select t1_0.id,t1_0.v from t t1_0 where t1_0.id=$1 fetch first $2 rows only",
        "select t1_0.id from t t1_0 order by t1_0.id offset $1 rows fetch first 3 rows only",
        r#"SELECT "public"."t"."id" FROM "public"."t" WHERE ("public"."t"."id" = $1 AND 1=1) LIMIT $2 OFFSET $3"#,
        r#"SELECT "t0"."id", "x"."d" AS "p" FROM "public"."t" AS "t0" LEFT JOIN LATERAL (SELECT COALESCE(JSONB_AGG("d"), '[]') AS "d" FROM (SELECT JSONB_BUILD_OBJECT('id', "t1"."id") AS "d" FROM "u" AS "t1" WHERE "t0"."id" = "t1"."tid") AS "t3") AS "x" ON TRUE"#,
        "SELECT v FROM t WHERE id = 1;",
        "select * from t where id = any($1::int[])",
        "select * from t where (id, v) > ($1, $2) order by id, v limit 10",
        "select * from t where v ilike '%x%' and v not like 'y' escape '!'",
        "select v::jsonb ->> 'a', v::jsonb #> '{a,b}', v::jsonb @> '{}', v::jsonb ? 'a' from t",
        "select count(distinct id), sum(id) filter (where id > 1) from t",
        "select string_agg(distinct v, ',' order by v), array_agg(id order by id desc) from t",
        "select sum(id) over (partition by v order by id rows between unbounded preceding and current row) from t",
        "select lag(id, 1) over w, rank() over w from t window w as (partition by v order by id)",
        "select extract(epoch from ts), date_trunc('month', ts)::date, ts at time zone 'utc' from e",
        "select * from e where ts >= '2024-01-01' and ts < timestamp '2024-02-01' + interval '1 day' * 3",
        "select g::date, count(e.id) from generate_series('2024-01-01'::date, $1::date, '1 day'::interval) g left join e on e.d = g::date group by 1",
        "select t.id, x, n from t cross join lateral unnest(string_to_array(v, ',')) with ordinality as a(x, n)",
        "select v, count(*) from t group by rollup (v)",
        "select v, id, count(*) from t group by grouping sets ((v), (id), ())",
        "select case v when 'a' then 1 when 'b' then 2 else 0 end, case when id > 1 then 'x' end from t",
        "select distinct on (v) v, id from t order by v, id desc",
        "select v collate \"C\" from t order by v collate \"de_DE\" nulls first",
        "select * from t where id in (values (1), (2))",
        "select * from t where id between 1 and 5 and v is not null and (id = 1) is not true",
        "select substring(v, 1, 2), substring(v from '^a'), left(v, 3), overlay(v placing 'x' from 1) from t",
        "select cast(id as numeric(10, 2)), v::varchar(255), id::double precision, v::character varying from t",
        "select '2024-01-01'::timestamp(0) without time zone, '{}'::text[], array[]::int[] from t",
        "select row_to_json(t), to_jsonb(t.*) from t",
        "select * from t where to_tsvector('english', v) @@ plainto_tsquery('english', $1)",
        "with recursive r(id, n) as (select id, 1 from t union all select u.tid, n + 1 from u join r on r.id = u.id) select * from r where n < 5",
        "with a as materialized (select * from t), b as not materialized (select * from a) select * from b",
        "select (select count(*) from u where u.tid = t.id) as n from t order by n desc",
        "select t.*, u.w as \"W\" from t natural join u left join e using (id)",
        "select -id, +id, @ id, ~id, |/ id, id ^ 2, id << 1, id # 3, id | 1, id & 1 from t",
        "select id from t union select id from u except all select id from e intersect select 1",
        "select exists(select 1 from t where id = 1)",
        "select k.key, k.value from t, jsonb_each(t.v::jsonb) as k",
        "select (array_agg(v))[1], (array[1, 2])[1:2] from t",
        "select not true, id <> 1, id != 1, true and false or id = 1 from t",
        "select * from t where v ~* '^\\d+$' or v !~ 'x' or v similar to '%y'",
        "select trim(v), trim(leading 'x' from v), ltrim(v, 'x'), position('a' in v) from t",
        "select make_interval(days => id), format('%s-%s', id, v) from t",
        "select ceil(id), floor(id / 2.0), round(id, 2), 1e5, .5, 0.5 from t",
        "select u.id \"Quoted Alias\", t.v value, t.id as name from t, u",
        "select nullif(v, ''), greatest(id, 1), least(id, 2), coalesce(v, 'x') from t",
        "select * from t where row(id, v) = row(1, 'a') or (id, v) in ((1, 'a'))",
        "select count(*) from t having count(*) > 1 limit all",
        "select v is distinct from 'a', v isnull, v notnull, id is null from t",
        "select percentile_cont(0.5) within group (order by id desc), mode() within group (order by v) from t",
        "select e.d + 1, e.d - e.d, age(e.ts, e.ts), to_char(e.ts, 'YYYY') from e",
        "select * from (values (1, 'a'), (2, 'b')) as x(id, v) join t using (id)",
        "select interval '1' day, interval '1-2' year to month, time '12:00', date '2024-01-01' from e",
        "select $$a$$, $x$b$x$, E'a\\nb', B'101', X'1F', N'x' from t",
        "select 1 from t where $1 = 1 and $2::text is null and $3 is not null",
        "select all id from t t1 join t t2 on t1.id = t2.id where t1 = t2",
        "select id as \"select\", t.\"id\" from \"public\".\"t\"",
    ] {
        let read = db.plan(text).read;
        assert!(read.is_ok(), "{text}: {read:?}");
    }
}
