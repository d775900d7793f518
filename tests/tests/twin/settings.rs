//! Settings, and reads whose bytes depend on them.

use super::{READ, check, talk};

const INSTANT: &str = "SELECT id, '2024-03-05 06:07:08+00'::timestamptz FROM t WHERE id = 1";

#[test]
fn settings_are_reported_and_obeyed_the_same() {
    check(
        0,
        vec![
            (
                "TimeZone",
                talk()
                    .query(INSTANT)
                    .query("SET timezone = 'Asia/Tokyo'")
                    .query(INSTANT)
                    .query("RESET timezone")
                    .query(INSTANT),
            ),
            (
                "DateStyle",
                talk()
                    .query("SET datestyle = 'German'")
                    .query("SELECT id, date '2024-03-05' FROM t WHERE id = 1")
                    .query("SHOW datestyle"),
            ),
            (
                "IntervalStyle and extra_float_digits",
                talk()
                    .query("SET intervalstyle = 'iso_8601'; SET extra_float_digits = 0")
                    .query("SELECT id, interval '1 day 2 hours', 0.1::float8 + 0.2 FROM t"),
            ),
            (
                "bytea_output",
                talk()
                    .query("SELECT id, '\\x00ff'::bytea FROM t")
                    .query("SET bytea_output = 'escape'")
                    .query("SELECT id, '\\x00ff'::bytea FROM t"),
            ),
            (
                "client_encoding",
                talk()
                    .query(READ)
                    .query("SET client_encoding = 'LATIN1'")
                    .query(READ)
                    .query("SELECT id, U&'\\20AC' FROM t"),
            ),
            (
                "application_name",
                talk()
                    .query("SET application_name = 'twin'")
                    .query(READ)
                    .query("SHOW application_name"),
            ),
            (
                "an unknown setting",
                talk().query("SET no_such_setting = 1").query(READ),
            ),
            (
                "a setting of one's own",
                talk()
                    .query("SET app.tenant = '7'")
                    .query("SHOW app.tenant"),
            ),
            (
                "a value that is refused",
                talk().query("SET timezone = 'Nowhere'").query(INSTANT),
            ),
            (
                "SET LOCAL",
                talk()
                    .query("BEGIN")
                    .query("SET LOCAL timezone = 'Asia/Tokyo'")
                    .query(INSTANT)
                    .query("COMMIT")
                    .query(INSTANT),
            ),
            (
                "SET in a transaction that is rolled back",
                talk()
                    .query("BEGIN")
                    .query("SET timezone = 'Asia/Tokyo'")
                    .query(INSTANT)
                    .query("ROLLBACK")
                    .query(INSTANT),
            ),
            (
                "set_config",
                talk()
                    .query("SELECT set_config('timezone', 'Asia/Tokyo', false)")
                    .query(INSTANT)
                    .query("SELECT set_config('timezone', 'UTC', true)")
                    .query(INSTANT),
            ),
            (
                "DISCARD ALL and RESET ALL",
                talk()
                    .query("SET timezone = 'Asia/Tokyo'")
                    .query("DISCARD ALL")
                    .query(INSTANT)
                    .query("SET timezone = 'Asia/Tokyo'")
                    .query("RESET ALL")
                    .query(INSTANT),
            ),
            (
                "roles",
                talk()
                    .query("SET ROLE alice")
                    .query("SELECT current_user, session_user")
                    .query(READ)
                    .query("RESET ROLE")
                    .query(READ)
                    .query("SET SESSION AUTHORIZATION bob")
                    .query(READ)
                    .query("RESET SESSION AUTHORIZATION")
                    .query("SET ROLE missing"),
            ),
            (
                "search_path",
                talk()
                    .query(READ)
                    .query("SET search_path = pg_catalog")
                    .query(READ)
                    .query("SET search_path = DEFAULT")
                    .query(READ),
            ),
            (
                "standard_conforming_strings",
                talk()
                    .query("SELECT id, 'a\\\\b' FROM t WHERE id = 1")
                    .query("SET standard_conforming_strings = off; SET escape_string_warning = off")
                    .query("SELECT id, 'a\\\\b' FROM t WHERE id = 1"),
            ),
        ],
    );
}

/// PostgreSQL makes a session's temporary schema late. That must stay the client's doing: what it
/// sees of it is whether a transaction can be prepared.
#[test]
fn the_temporary_schema_is_made_when_the_client_makes_it() {
    let made_in_transaction = |path: &str| {
        talk()
            .query(READ)
            .query(&format!("SET search_path = {path}"))
            .query("SELECT id FROM public.t")
            .query("BEGIN")
            .query("SELECT current_schema() ~ 'pg_temp'")
            .query("PREPARE TRANSACTION 'with_temporary_schema'")
            .query("SELECT pg_my_temp_schema() = 0")
    };
    check(
        0,
        vec![
            ("first in the path", made_in_transaction("pg_temp")),
            (
                "first that exists",
                made_in_transaction("missing, PG_TEMP, public"),
            ),
        ],
    );
}
