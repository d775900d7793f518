//! Settings, and reads whose bytes depend on them.

use pgmemo_tests::{twin::Talk, wire::Login};

use super::{READ, check, talk, writing};

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

/// The names of columns come in the client's encoding, whoever was told them before.
#[test]
fn columns_are_named_in_the_encoding_of_each_client() {
    let login = |encoding| Login::to("").with("client_encoding", encoding);
    let run = |talk: Talk| {
        talk.say(|f| {
            f.bind("", "s", &[])
                .describe_portal("")
                .execute("", 0)
                .sync()
        })
        .ready()
    };
    let prepare = |talk: Talk| {
        let read = "SELECT * FROM named";
        talk.say(|f| f.parse("s", read, &[]).describe_statement("s").sync())
            .ready()
            .say(|f| f.bind("", "s", &[]).execute("", 0).sync())
            .ready()
    };
    // Its own write keeps the second one from being looked up.
    let use_it = |talk: Talk| {
        let talk = run(prepare(talk)).query("BEGIN");
        run(talk.query("INSERT INTO w VALUES (7, 'x')")).query("ROLLBACK")
    };
    let both = |first, second| {
        let talk = use_it(writing().by('a').login(login(first)));
        let talk = use_it(talk.by('b').login(login(second)));
        use_it(talk.by('c').login(login(first)))
    };
    check(6, vec![("UTF-8 first", both("UTF8", "LATIN1"))]);
    check(6, vec![("LATIN1 first", both("LATIN1", "UTF8"))]);
    let other = |talk: Talk| talk.query("SET client_encoding = 'LATIN1'");
    let describe = |talk: Talk| talk.say(|f| f.describe_statement("s").sync()).ready();
    check(
        4,
        vec![
            ("one session", run(other(prepare(talk())))),
            ("a description", describe(other(prepare(talk())))),
            (
                "in a block",
                run(other(prepare(talk()).query("BEGIN"))).query("ROLLBACK"),
            ),
        ],
    );
}

/// A text may be accepted under some settings only, and bring notices under some.
#[test]
fn statements_are_parsed_by_the_settings_of_each_client() {
    let set = |talk: Talk, setting: &str| talk.query(&format!("SET {setting}"));
    let prepare = |talk: Talk, read: &str| {
        talk.say(|f| f.parse("s", read, &[]).sync())
            .ready()
            .say(|f| f.describe_statement("s").sync())
            .ready()
            .say(|f| f.bind("", "s", &[]).execute("", 0).sync())
            .ready()
            .say(|f| f.close_statement("s").sync())
            .ready()
    };
    let both = |read: &str, first: &str, second: &str| {
        let talk = prepare(set(talk(), first), read);
        prepare(set(talk.by('b'), second), read)
    };
    let date = "SELECT id FROM t WHERE date '13/02/2020' < '2024-01-01' ORDER BY id";
    let ident =
        "SELECT id FROM t AS an_alias_that_is_far_longer_than_the_sixty_three_bytes_of_a_name";
    check(
        2,
        vec![
            (
                "DateStyle",
                both(date, "datestyle = DMY", "datestyle = MDY"),
            ),
            ("restrict_nonsystem_relation_kind", {
                let view = "SELECT id FROM seen ORDER BY id";
                let restricted = Login::to("").with("restrict_nonsystem_relation_kind", "view");
                prepare(prepare(talk(), view).by('b').login(restricted), view)
            }),
            (
                "client_min_messages",
                both(
                    ident,
                    "client_min_messages = warning",
                    "client_min_messages = notice",
                ),
            ),
        ],
    );
}
