//! S: nobody reads from the store what the server would refuse.

use super::check;

#[test]
fn privileges_are_the_servers() {
    check(&[
        (
            "S01 REVOKE",
            "
            d: REVOKE ALL ON t FROM PUBLIC; GRANT SELECT ON t TO {alice}
            s1@{alice} hot: SELECT * FROM t ORDER BY id
            s2: REVOKE SELECT ON t FROM {alice}
            s1 fails: SELECT * FROM t ORDER BY id
            s2: GRANT SELECT (id) ON t TO {alice}
            s1 fails: SELECT * FROM t ORDER BY id
            s1 hot: SELECT id FROM t ORDER BY id
            s2: REVOKE ALL ON t FROM {alice}
            s1 fails: SELECT id FROM t ORDER BY id
            ",
        ),
        (
            "S01 REVOKE that is rolled back",
            "
            s1@{alice} hot: SELECT * FROM t ORDER BY id
            s2: BEGIN
            s2: REVOKE ALL ON t FROM PUBLIC
            s2: ROLLBACK
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "S01 a schema is closed",
            "
            d: CREATE SCHEMA s; CREATE TABLE s.x AS SELECT 1 AS id; GRANT SELECT ON s.x TO PUBLIC; GRANT USAGE ON SCHEMA s TO PUBLIC
            s1@{alice} hot: SELECT * FROM s.x
            s2: REVOKE USAGE ON SCHEMA s FROM PUBLIC
            s1 fails: SELECT * FROM s.x
            ",
        ),
        (
            "S02 roles of a session",
            "
            d: REVOKE ALL ON t FROM PUBLIC; GRANT SELECT ON t TO {alice}
            s1: SET ROLE {alice}
            s1 warm: SELECT * FROM t ORDER BY id
            s1: SET ROLE {bob}
            s1 fails: SELECT * FROM t ORDER BY id
            s1 fails: SET ROLE nobody_at_all
            s1 fails: SELECT * FROM t ORDER BY id
            s1: RESET ROLE
            s1: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: SET LOCAL ROLE {bob}
            s1 fails: SELECT * FROM t ORDER BY id
            s1: ROLLBACK
            s1: SELECT * FROM t ORDER BY id
            s1: SET SESSION AUTHORIZATION {bob}
            s1 fails: SELECT * FROM t ORDER BY id
            s1: RESET SESSION AUTHORIZATION
            s1: SELECT * FROM t ORDER BY id
            s2 startup: role={bob}
            s2 fails: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "S03 membership",
            "
            d: REVOKE ALL ON t FROM PUBLIC; GRANT SELECT ON t TO {bob}; GRANT {bob} TO {alice}
            s1@{alice} hot: SELECT * FROM t ORDER BY id
            s2: REVOKE {bob} FROM {alice}
            s1 fails: SELECT * FROM t ORDER BY id
            s2: ALTER ROLE {alice} SUPERUSER
            s1: SELECT * FROM t ORDER BY id
            s1 warm: SELECT * FROM t ORDER BY id
            s2: ALTER ROLE {alice} NOSUPERUSER
            s1 fails: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "S04 row-level security",
            "
            d: ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t USING (v = current_user); INSERT INTO t VALUES (3, '{alice}'), (4, '{bob}')
            d: CREATE VIEW vw WITH (security_invoker) AS SELECT * FROM t
            d: GRANT SELECT ON vw TO PUBLIC
            s1@{alice} warm: SELECT * FROM t ORDER BY id
            s2@{bob}: SELECT * FROM t ORDER BY id
            s1 warm: SELECT * FROM vw ORDER BY id
            s2: SELECT * FROM vw ORDER BY id
            s3: SELECT * FROM t ORDER BY id
            s3: SET ROLE {alice}
            s3: SELECT * FROM t ORDER BY id
            s1: SET row_security = off
            s1 fails: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "S04 policies that read settings",
            "
            d: ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t USING (id = current_setting('app.tenant')::int)
            s1@{alice}: SET app.tenant = '1'
            s1 warm: SELECT * FROM t ORDER BY id
            s1: SET app.tenant = '2'
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "S05 policies that appear later",
            "
            s1@{alice} hot: SELECT * FROM t ORDER BY id
            s2: ALTER TABLE t ENABLE ROW LEVEL SECURITY
            s1: SELECT * FROM t ORDER BY id
            s2: CREATE POLICY only_one ON t USING (id = 1)
            s1: SELECT * FROM t ORDER BY id
            s2: ALTER POLICY only_one ON t USING (id = 2)
            s1: SELECT * FROM t ORDER BY id
            s2: ALTER TABLE t DISABLE ROW LEVEL SECURITY
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "S06 privileges of a view's owner",
            "
            d: CREATE VIEW vw AS SELECT * FROM t; ALTER VIEW vw OWNER TO {bob}; GRANT SELECT ON vw TO {alice}
            d: REVOKE ALL ON t FROM PUBLIC; GRANT SELECT ON t TO {bob}
            s1@{alice} hot: SELECT * FROM vw ORDER BY id
            s2: ALTER VIEW vw SET (security_invoker = true)
            s1 fails: SELECT * FROM vw ORDER BY id
            s2: ALTER VIEW vw RESET (security_invoker)
            s1: SELECT * FROM vw ORDER BY id
            s2: REVOKE SELECT ON t FROM {bob}
            s1 fails: SELECT * FROM vw ORDER BY id
            ",
        ),
    ]);
}
