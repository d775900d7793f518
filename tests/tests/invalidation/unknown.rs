//! B, C: functions and views of which an instance does not know what they are by now.

use super::{check, check_instances};

#[test]
fn what_another_instance_made_or_replaced_may_write() {
    check_instances(&[
        (
            "C10 a function made elsewhere a moment ago",
            "
            p2 warm: SELECT * FROM u ORDER BY id
            s1: CREATE FUNCTION put() RETURNS int LANGUAGE sql AS $$ UPDATE t SET v = 'put' WHERE id = 1 RETURNING id $$
            s1 hot: SELECT * FROM t ORDER BY id
            p2: SELECT put()
            s1: SELECT * FROM t ORDER BY id
            p2: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C10 a function replaced elsewhere by one that writes",
            "
            d: CREATE FUNCTION put() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$
            p2 warm: SELECT put()
            s1: CREATE OR REPLACE FUNCTION put() RETURNS int LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET v = 'put'; RETURN 2; END $$
            s1 hot: SELECT * FROM t ORDER BY id
            p2: SELECT put()
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C10 a view made elsewhere that runs a function which writes",
            "
            d: CREATE FUNCTION put() RETURNS int LANGUAGE sql AS $$ UPDATE t SET v = 'put' WHERE id = 1 RETURNING id $$
            p2 warm: SELECT * FROM u ORDER BY id
            s1: CREATE VIEW w AS SELECT put() AS n
            s1 hot: SELECT * FROM t ORDER BY id
            p2: SELECT * FROM w
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C10 a function replaced elsewhere, called in a block",
            "
            d: CREATE FUNCTION put() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$
            p2 warm: SELECT put()
            s1: CREATE OR REPLACE FUNCTION put() RETURNS int LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET v = 'put'; RETURN 2; END $$
            s1 hot: SELECT * FROM t ORDER BY id
            p2: BEGIN
            p2: SELECT put()
            p2: SELECT * FROM t ORDER BY id
            p2: COMMIT
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
    ]);
}

/// By the time that anybody looks, definitions are what they were.
#[test]
fn what_is_gone_before_it_is_known_may_have_written() {
    check_instances(&[
        (
            "C10 a function of another instance that is dropped before the block ends",
            "
            p2 warm: SELECT * FROM u ORDER BY id
            p2: BEGIN
            s1: CREATE FUNCTION put() RETURNS int LANGUAGE sql AS $$ UPDATE t SET v = 'put' WHERE id = 1 RETURNING id $$
            p2: SELECT put() AS n
            s1: DROP FUNCTION put()
            s1 hot: SELECT * FROM t ORDER BY id
            p2: COMMIT
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C10 the same, when the catalog has been read again",
            "
            p2 warm: SELECT * FROM u ORDER BY id
            p2: BEGIN
            s1: CREATE FUNCTION put() RETURNS int LANGUAGE sql AS $$ UPDATE t SET v = 'put' WHERE id = 1 RETURNING id $$
            p2: SELECT put() AS n
            s1: DROP FUNCTION put()
            s1 hot: SELECT * FROM t ORDER BY id
            p2: SELECT pg_sleep(1.5)
            p2: SELECT * FROM t ORDER BY id
            p2: COMMIT
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C10 a function of another instance that is dropped while it runs",
            "
            p2 warm: SELECT * FROM u ORDER BY id
            s1: CREATE FUNCTION put() RETURNS int LANGUAGE sql AS $$ SELECT pg_advisory_xact_lock(7); UPDATE t SET v = 'put' WHERE id = 1 RETURNING id $$
            s3: SELECT pg_advisory_lock(7)
            p2 send: SELECT put() AS n
            s1: DROP FUNCTION put()
            s1 hot: SELECT * FROM t ORDER BY id
            s3: SELECT pg_advisory_unlock(7)
            p2 wait: SELECT put() AS n
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
    ]);
}

/// It has been seen in between.
#[test]
fn what_is_gone_again_may_have_written() {
    check(&[(
        "C12 a function that fits better, while one runs that calls it, and is gone at its end",
        "
        d: CREATE FUNCTION put(bigint) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$
        d: CREATE FUNCTION outer_one() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(7); PERFORM put(1); PERFORM pg_advisory_unlock(9); PERFORM pg_advisory_xact_lock(8); RETURN 1; END $$
        s3: SELECT pg_advisory_lock(7)
        s4: SELECT pg_advisory_lock(8)
        s2: SELECT pg_advisory_lock(9)
        s2 send: SELECT outer_one() AS n
        s1: CREATE FUNCTION put(int) RETURNS int LANGUAGE sql AS $$ UPDATE t SET v = 'put' WHERE id = 1 RETURNING id $$
        s1 hot: SELECT * FROM u ORDER BY id
        s5 send: SELECT pg_advisory_lock(9)
        s3: SELECT pg_advisory_unlock(7)
        s5 wait: SELECT pg_advisory_lock(9)
        s1: DROP FUNCTION put(int)
        s1 hot: SELECT * FROM t ORDER BY id
        s4: SELECT pg_advisory_unlock(8)
        s2 wait: SELECT outer_one() AS n
        s1: SELECT * FROM t ORDER BY id
        ",
    )]);
}

#[test]
fn what_was_made_a_moment_ago_may_write() {
    check(&[
        (
            "C10 a function made a moment ago, in a block that is rolled back",
            "
            s2 warm: SELECT * FROM u ORDER BY id
            s1: CREATE FUNCTION put() RETURNS int LANGUAGE sql AS $$ UPDATE t SET v = 'put' WHERE id = 1 RETURNING id $$
            s1: BEGIN
            s1: SELECT put()
            s1 warm: SELECT * FROM t ORDER BY id
            s1: ROLLBACK
            s2: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C10 a schema made a moment ago",
            "
            s2 warm: SELECT * FROM t ORDER BY id
            s1 simple: CREATE SCHEMA a; CREATE FUNCTION a.put() RETURNS int LANGUAGE sql AS $$ UPDATE t SET v = 'put' WHERE id = 1 RETURNING id $$
            s1: SELECT a.put()
            s2: SELECT * FROM t ORDER BY id
            ",
        ),
    ]);
}

#[test]
fn functions_in_the_temporary_schema_may_do_anything() {
    check(&[
        (
            "C10 a temporary function that writes",
            "
            s1: CREATE FUNCTION pg_temp.fix() RETURNS void LANGUAGE sql AS $$ UPDATE public.t SET v = 'fixed' $$
            s2 hot: SELECT * FROM t ORDER BY id
            s1: SELECT pg_temp.fix()
            s2: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "T01 a temporary function that writes in a block",
            "
            s1: CREATE FUNCTION pg_temp.fix() RETURNS void LANGUAGE sql AS $$ UPDATE public.t SET v = 'fixed' $$
            s2 hot: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: SELECT pg_temp.fix()
            s1: SELECT * FROM t ORDER BY id
            s1: ROLLBACK
            s2: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "K09 a temporary function that sets the tenant",
            "
            d: ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t USING (id = current_setting('app.tenant')::int)
            s1@{alice}: CREATE FUNCTION pg_temp.tenant(x text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('app.tenant', x, false); END $$
            s1: SET app.tenant = '1'
            s1 hot: SELECT * FROM t ORDER BY id
            s1: SELECT pg_temp.tenant('2')
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
    ]);
}

#[test]
fn functions_that_write_nothing_keep_no_read_from_the_store() {
    check(&[(
        "T01 a function that is known to write nothing, in a block",
        "
        d: CREATE FUNCTION calm() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$
        s1 hot: SELECT * FROM t ORDER BY id
        s1: BEGIN
        s1: SELECT calm()
        s1 still: SELECT * FROM t ORDER BY id
        s1: COMMIT
        s1 still: SELECT * FROM t ORDER BY id
        ",
    )]);
}

// What an instance has told from definitions that have passed it makes good when it learns of others,
// at the latest when it looks at the epoch, each second.
#[test]
fn what_was_told_to_write_nothing_is_made_good_for() {
    check_instances(&[
        (
            "C10 a table replaced elsewhere by a view that writes, read where nothing is looked up",
            "
            d: CREATE FUNCTION put() RETURNS int LANGUAGE sql AS $$ UPDATE t SET v = 'put' WHERE id = 1 RETURNING id $$
            d: CREATE TABLE x (n int)
            p2 warm: SELECT * FROM u ORDER BY id
            s1 simple: DROP TABLE x; CREATE VIEW x AS SELECT put() AS n
            s1 hot: SELECT * FROM t ORDER BY id
            p2: BEGIN ISOLATION LEVEL REPEATABLE READ
            p2: SELECT * FROM x
            p2: COMMIT
            s1 soon: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C10 a policy made elsewhere that writes",
            "
            d: CREATE FUNCTION put() RETURNS bool LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$ BEGIN UPDATE t SET v = v || 'x'; RETURN true; END $$
            d: GRANT SELECT ON t, u, log TO {alice}
            p2@{alice} warm: SELECT * FROM t ORDER BY id
            s1 simple: ALTER TABLE u ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON u USING (put())
            s1 hot: SELECT * FROM t ORDER BY id
            p2: BEGIN ISOLATION LEVEL REPEATABLE READ
            p2: SELECT * FROM u ORDER BY id
            p2: COMMIT
            s1 soon: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "C10 a function made elsewhere that fits better than the server's own",
            "
            p2 warm: SELECT lower(v) FROM t ORDER BY id
            s1: CREATE FUNCTION lower(int) RETURNS int LANGUAGE sql AS $$ UPDATE t SET v = 'low' RETURNING id $$
            s1 hot: SELECT * FROM t ORDER BY id
            p2: BEGIN ISOLATION LEVEL REPEATABLE READ
            p2: SELECT lower(id) FROM u ORDER BY id
            p2: COMMIT
            s1 soon: SELECT * FROM t ORDER BY id
            ",
        ),
    ]);
}

#[test]
fn what_goes_on_while_code_is_made_that_writes_counts_as_if_it_had_run_it() {
    check(&[(
        "T01 a block that reads a table which becomes a view that writes",
        "
        d: CREATE FUNCTION put() RETURNS int LANGUAGE sql AS $$ UPDATE t SET v = 'put' WHERE id = 1 RETURNING id $$
        d: CREATE TABLE x (n int)
        s2 hot: SELECT * FROM t ORDER BY id
        s1: BEGIN ISOLATION LEVEL REPEATABLE READ
        s1: SELECT * FROM u ORDER BY id
        s2 simple: DROP TABLE x; CREATE VIEW x AS SELECT put() AS n
        s1: SELECT * FROM x
        s2 hot: SELECT * FROM t ORDER BY id
        s1: COMMIT
        s2: SELECT * FROM t ORDER BY id
        ",
    )]);
}
