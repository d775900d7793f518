//! How sessions begin and end.

use pgmemo_tests::{Version, wire::Login};

use super::{READ, check, check_on, talk};

/// The database of the test; the harness puts its name there.
fn login(user: &str) -> Login {
    Login::of(user, "")
}

#[test]
fn greetings_are_the_same() {
    let login = || login("postgres");
    check(
        1,
        vec![
            ("plain", talk().login(login()).query(READ)),
            (
                "settings among the parameters",
                talk()
                    .login(
                        login()
                            .with("application_name", "twin")
                            .with("DateStyle", "German")
                            .with("extra_float_digits", "0")
                            .with("search_path", "pg_catalog, public"),
                    )
                    .query("SHOW datestyle")
                    .query("SHOW search_path")
                    .query(READ),
            ),
            (
                "options",
                talk()
                    .login(
                        login().with("options", "-c timezone=Asia/Tokyo --intervalstyle=iso_8601"),
                    )
                    .query("SHOW timezone")
                    .query("SELECT id, interval '1 day' FROM t"),
            ),
            (
                "options with escapes",
                talk()
                    .login(login().with("options", "-c app.text=a\\ b\\\\c=-c -capp.more=x"))
                    .query("SHOW app.text")
                    .query("SHOW app.more"),
            ),
            (
                "another encoding",
                talk()
                    .login(login().with("client_encoding", "LATIN1"))
                    .query(READ),
            ),
            (
                "an unknown setting",
                talk()
                    .login(login().with("no_such_setting", "1"))
                    .until_end(),
            ),
            (
                "a bad value",
                talk()
                    .login(login().with("timezone", "Nowhere"))
                    .until_end(),
            ),
            (
                "an unknown option of the protocol",
                talk().login(login().with("_pq_.x", "1")).query(READ),
            ),
            ("protocol 3.2", talk().login(login().minor(2)).query(READ)),
            (
                "protocol 3.9999",
                talk().login(login().minor(9999)).query(READ),
            ),
            (
                "a setting given twice",
                talk()
                    .login(login().with("datestyle", "German").with("datestyle", "SQL"))
                    .query("SHOW datestyle"),
            ),
        ],
    );
}

#[test]
fn greetings_of_postgresql_18_are_the_same() {
    let login = || login("postgres");
    check_on(
        Version::V18,
        1,
        vec![
            ("protocol 3.0", talk().login(login()).query(READ)),
            (
                "protocol 3.2 and its long key",
                talk().login(login().minor(2)).query(READ),
            ),
            (
                "protocol 3.9999",
                talk().login(login().minor(9999)).query(READ),
            ),
            (
                "grease",
                talk()
                    .login(login().minor(9999).with("_pq_.test", "1"))
                    .query(READ),
            ),
            (
                "search_path is reported",
                talk()
                    .login(login())
                    .query("SET search_path = pg_catalog, public")
                    .query(READ),
            ),
        ],
    );
}

#[test]
fn refusals_are_the_same() {
    let with_password = |user: &str, password: &str| {
        let mut login = login(user);
        login.password = Some(password.to_owned());
        login
    };
    check(
        1,
        vec![
            (
                "no such role",
                talk().login(login("nobody_at_all")).until_end(),
            ),
            (
                "no such database",
                talk().login(Login::of("postgres", "missing")).until_end(),
            ),
            (
                "refused by rule",
                talk().login(login("rejected_user")).until_end(),
            ),
            (
                "the right password",
                talk()
                    .login(with_password("clear_user", "open sesame"))
                    .query("SELECT current_user"),
            ),
            (
                "a wrong password",
                talk()
                    .login(with_password("clear_user", "wrong"))
                    .until_end(),
            ),
            (
                "an empty password",
                talk().login(with_password("clear_user", "")).until_end(),
            ),
            (
                "a session that works",
                talk().login(login("postgres")).query(READ),
            ),
        ],
    );
}

#[test]
fn a_connection_for_replication_is_passed_through() {
    let login = |value| login("postgres").with("replication", value);
    check(
        0,
        vec![
            (
                "of a database",
                talk()
                    .hide_positions()
                    .login(login("database"))
                    .query("IDENTIFY_SYSTEM")
                    .query("SHOW timezone")
                    .query(READ),
            ),
            (
                "of the whole server",
                talk()
                    .hide_positions()
                    .login(login("true"))
                    .query("IDENTIFY_SYSTEM"),
            ),
        ],
    );
}

#[test]
fn sessions_end_the_same() {
    check(
        0,
        vec![
            (
                "Terminate",
                talk().query(READ).say(|f| f.terminate()).until_end(),
            ),
            (
                "Terminate at once",
                talk().say(|f| f.query("SELECT 1").terminate()).until_end(),
            ),
            (
                "queries behind Terminate",
                talk().say(|f| f.terminate().query("SELECT 1")).until_end(),
            ),
            (
                "by another session",
                talk()
                    .query(READ)
                    .query("SELECT pg_terminate_backend(pg_backend_pid())")
                    .until_end(),
            ),
        ],
    );
}
