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
            "S03 what databases share, changed in another",
            "
            d: REVOKE ALL ON t FROM PUBLIC; GRANT SELECT ON t TO {bob}; GRANT {bob} TO {alice}
            d: CREATE SCHEMA far; CREATE TABLE far.t AS SELECT 5 AS id, 'far' AS v; GRANT USAGE ON SCHEMA far TO PUBLIC; GRANT SELECT ON far.t TO PUBLIC
            s2/{db2}: SELECT 1
            s1@{alice} hot: SELECT * FROM t ORDER BY id
            s2: REVOKE {bob} FROM {alice}
            s1 fails: SELECT * FROM t ORDER BY id
            s2: GRANT {bob} TO {alice}
            s1 hot: SELECT * FROM t ORDER BY id
            s2: BEGIN
            s2: ALTER ROLE {alice} SET search_path = far
            s2: COMMIT
            s3@{alice}: SELECT * FROM t ORDER BY id
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
            s1 hot: SELECT * FROM t ORDER BY id
            s1: SET app.tenant = '2'
            s1: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM t ORDER BY id
            s2@{alice}: SET app.tenant = '1'
            s2: SELECT * FROM t ORDER BY id
            s2: SELECT set_config('app.tenant', '2', false)
            s2: SELECT * FROM t ORDER BY id
            s2: SET App.Tenant = '1'
            s2: SELECT * FROM t ORDER BY id
            s2: RESET ALL
            s2 fails: SELECT * FROM t ORDER BY id
            s3@{alice} fails: SELECT * FROM t ORDER BY id
            s4@{alice} startup: options=-c app.tenant=2
            s4: SELECT * FROM t ORDER BY id
            s5@{bob}: SET app.tenant = '1'
            s5: SELECT * FROM t ORDER BY id
            s6: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "S04 settings that end with their transaction",
            "
            d: ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t USING (id::text = current_setting('app.tenant', true))
            s1@{alice} warm: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: SET LOCAL app.tenant = '1'
            s1: SELECT * FROM t ORDER BY id
            s1: COMMIT
            s1: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: SELECT set_config('app.tenant', '2', true)
            s1: SELECT * FROM t ORDER BY id
            s1: SAVEPOINT a
            s1: SET LOCAL app.tenant = '1'
            s1: SELECT * FROM t ORDER BY id
            s1: ROLLBACK TO a
            s1: SELECT * FROM t ORDER BY id
            s1: ROLLBACK
            s1: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: SET app.tenant = '1'
            s1: SELECT * FROM t ORDER BY id
            s1: ROLLBACK
            s1: SELECT * FROM t ORDER BY id
            s1: BEGIN
            s1: SET app.tenant = '2'
            s1: COMMIT
            s1: SELECT * FROM t ORDER BY id
            s1 hot: SELECT * FROM t ORDER BY id
            s1: SET ROLE {alice}
            s1: SELECT * FROM t ORDER BY id
            s1: DISCARD ALL
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "S04 policies that read other tables",
            "
            d: CREATE TABLE member (who name, tid int); INSERT INTO member VALUES ('{alice}', 1), ('{bob}', 2); GRANT SELECT, INSERT, DELETE ON member TO PUBLIC
            d: ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t USING (id IN (SELECT m.tid FROM member m WHERE m.who = CURRENT_USER AND m.tid = t.id))
            d: CREATE VIEW vt AS SELECT v FROM t; ALTER VIEW vt SET (security_invoker); GRANT SELECT ON vt TO PUBLIC
            s1@{alice} hot: SELECT * FROM t ORDER BY id
            s2@{bob} hot: SELECT * FROM t ORDER BY id
            s1 hot: SELECT v FROM vt ORDER BY v
            s2: SELECT v FROM vt ORDER BY v
            s3: INSERT INTO member VALUES ('{alice}', 2)
            s1: SELECT * FROM t ORDER BY id
            s1: SELECT v FROM vt ORDER BY v
            s3: DELETE FROM member WHERE who = '{bob}'
            s2: SELECT * FROM t ORDER BY id
            s2: SELECT v FROM vt ORDER BY v
            s3: UPDATE t SET v = 'changed'
            s1: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "S04 policies for some roles, and those that cannot be told",
            "
            d: ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY a ON t TO {alice} USING (id = 1); CREATE POLICY b ON t FOR SELECT TO {bob} USING (id = 2)
            s1@{alice} hot: SELECT * FROM t ORDER BY id
            s2@{bob} hot: SELECT * FROM t ORDER BY id
            s3: GRANT {bob} TO {alice}
            s1: SELECT * FROM t ORDER BY id
            s3: REVOKE {bob} FROM {alice}
            s1: SELECT * FROM t ORDER BY id
            s3: CREATE POLICY c ON t USING (now() > '2000-01-01')
            s1 cold: SELECT * FROM t ORDER BY id
            s3: DROP POLICY c ON t
            s3: CREATE FUNCTION tenant() RETURNS int STABLE LANGUAGE sql AS $$ SELECT current_setting('app.tenant')::int $$
            s3: CREATE POLICY c ON t USING (id = tenant())
            s1: SET app.tenant = '2'
            s1 hot: SELECT * FROM t ORDER BY id
            s1: SET app.tenant = '1'
            s1: SELECT * FROM t ORDER BY id
            s3: CREATE OR REPLACE FUNCTION tenant() RETURNS int STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN current_setting('app.tenant')::int; END $$
            s1 cold: SELECT * FROM t ORDER BY id
            ",
        ),
        (
            "S04 policies through functions in SQL",
            "
            d: CREATE SCHEMA auth; GRANT USAGE ON SCHEMA auth TO PUBLIC
            d: CREATE FUNCTION auth.uid() RETURNS int STABLE LANGUAGE sql AS $$ select coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''), (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'))::int $$
            d: CREATE FUNCTION auth.team() RETURNS SETOF int STABLE SECURITY DEFINER SET search_path = public AS $$ SELECT tid FROM u WHERE u.id = auth.uid() $$ LANGUAGE sql
            d: ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t USING (id = (SELECT auth.uid()) OR id IN (SELECT auth.team()))
            s1: BEGIN
            s1: SELECT set_config('role', '{alice}', true), set_config('request.jwt.claims', '{\"sub\": 1}', true)
            s1: SELECT * FROM t ORDER BY id
            s1: COMMIT
            s2: BEGIN
            s2: SELECT set_config('role', '{alice}', true), set_config('request.jwt.claims', '{\"sub\": 1}', true)
            s2 still: SELECT * FROM t ORDER BY id
            s2: COMMIT
            s1: BEGIN
            s1: SELECT set_config('role', '{alice}', true), set_config('request.jwt.claims', '{\"sub\": 2}', true)
            s1: SELECT * FROM t ORDER BY id
            s1: COMMIT
            s3: UPDATE u SET tid = 2 WHERE id = 1
            s1: BEGIN
            s1: SELECT set_config('role', '{alice}', true), set_config('request.jwt.claims', '{\"sub\": 1}', true)
            s1: SELECT * FROM t ORDER BY id
            s1: COMMIT
            ",
        ),
        (
            "S04 FORCE, and the owner without it",
            "
            d: ALTER TABLE t OWNER TO {alice}; ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t USING (v = 'a')
            s1@{alice} hot: SELECT * FROM t ORDER BY id
            s2@{bob} hot: SELECT * FROM t ORDER BY id
            s3: ALTER TABLE t FORCE ROW LEVEL SECURITY
            s1: SELECT * FROM t ORDER BY id
            s3: ALTER ROLE {alice} BYPASSRLS
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
