use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{TlsMode, duration_text, size_text};

const UPSTREAM: &str = "upstream = \"postgres://db\"\n";

fn report(text: &str) -> String {
    Config::from_toml(text).map_or_else(|problems| problems.to_string(), |_| "fine".to_owned())
}

fn parsed(text: &str) -> Config {
    match Config::from_toml(&format!("{UPSTREAM}{text}")) {
        Ok(config) => config,
        Err(problems) => panic!("{problems}"),
    }
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let config = parsed("");
    assert_eq!(config.listen.to_string(), "127.0.0.1:6432");
    assert_eq!(
        config.admin.map(|admin| admin.to_string()).as_deref(),
        Some("127.0.0.1:9187")
    );
    assert_eq!(config.store, StoreChoice::Memory);
    assert_eq!(config.upstream.tls, TlsMode::Prefer);
    assert_eq!(config.cache.default_ttl, Some(Duration::from_secs(60)));
    assert_eq!(config.cache.jitter_percent, 10);
    assert_eq!(config.cache.entry_bytes_max, 1 << 20);
    assert_eq!(config.cache.bytes_max, 256 << 20);
    assert_eq!(config.cache.analysis_bytes_max, 64 << 20);
    assert_eq!(config.cache.catalog_age_max, Duration::from_secs(30));
    assert_eq!(config.limits.clients_max, 10_000);
    assert_eq!(config.limits.login_timeout, Duration::from_secs(60));
    assert_eq!(config.limits.drain_timeout, Duration::from_secs(30));
    assert_eq!(config.limits.threads, None);
    assert!(!config.limits.allow_trust_relay);
    assert_eq!(config.tls, None);
}

#[test]
fn every_key_is_read() {
    let config = parsed(
        r#"
        listen = "0.0.0.0:1"
        store = "redis://cache"
        admin = "off"
        [cache]
        default_ttl = 0
        jitter_percent = 0
        entry_bytes_max = "64kB"
        bytes_max = "1GiB"
        analysis_bytes_max = "1MiB"
        catalog_age_max = "1m"
        [redis]
        deadline = "20ms"
        prefix = "shop"
        connections = 4
        [limits]
        clients_max = 1_000
        login_timeout = "1s"
        drain_timeout = 0
        threads = 2
        allow_trust_relay = true
        [tls]
        certificate = "/etc/pgmemo/server.crt"
        key = "server.key"
        required = true
        [tables."public.city"]
        ttl = "1h"
        [tables.log]
        cache = false
        [tables."*_event"]
        ttl = "off"
        [functions."public.rate"]
        reads = ["public.rates", "public.days"]
        "#,
    );
    assert_eq!((config.cache.default_ttl, config.admin), (None, None));
    assert_eq!(
        (config.cache.jitter_percent, config.cache.entry_bytes_max),
        (0, 64_000)
    );
    assert_eq!(config.limits.drain_timeout, Duration::ZERO);
    assert_eq!(
        (config.limits.clients_max, config.limits.threads),
        (1_000, Some(2))
    );
    assert!(config.limits.allow_trust_relay);
    let tls = crate::ClientTls {
        certificate: "/etc/pgmemo/server.crt".into(),
        key: "server.key".into(),
        required: true,
    };
    assert_eq!(config.tls, Some(tls));
    let StoreChoice::Redis(redis) = &config.store else {
        panic!("{:?}", config.store)
    };
    assert_eq!(
        (redis.url.reveal(), redis.prefix.as_str()),
        ("redis://cache", "shop")
    );
    assert_eq!(
        (redis.deadline, redis.connections),
        (Duration::from_millis(20), 4)
    );
    let rules: Vec<_> = config
        .tables
        .iter()
        .map(|rule| (rule.pattern.as_str(), rule.ttl, rule.cache))
        .collect();
    let hour = Some(Duration::from_secs(3600));
    assert_eq!(
        rules,
        [
            ("public.city", hour, true),
            ("log", None, false),
            ("*_event", None, false)
        ]
    );
    let function = &config.functions[0];
    assert_eq!(
        (function.schema.as_str(), function.name.as_str()),
        ("public", "rate")
    );
    assert_eq!(function.reads.len(), 2);
}

#[test]
fn the_server_is_not_looked_for_at_pgmemo_itself() {
    let text = |host, listen| format!("upstream = 'postgres://{host}'\nlisten = '{listen}'");
    for (host, listen) in [
        ("127.0.0.1:6432", "127.0.0.1:6432"),
        ("127.0.0.1:6432/app", "0.0.0.0:6432"),
        ("127.0.0.2:6432", "[::]:6432"),
        ("[::1]", "[::]:5432"),
        ("10.0.0.1", "10.0.0.1:5432"),
        ("0.0.0.0:1", "127.0.0.1:1"),
    ] {
        let report = report(&text(host, listen));
        assert!(report.contains("pgmemo itself"), "{host} {listen} {report}");
        assert!(report.contains("1 problem"), "{report}");
    }
    for (host, listen) in [
        ("127.0.0.1:5432", "127.0.0.1:6432"),
        ("127.0.0.2", "127.0.0.1:5432"),
        ("[::1]", "127.0.0.1:5432"),
        ("[::1]", "0.0.0.0:5432"),
        ("10.0.0.1", "0.0.0.0:5432"),
        // A connection has to show where they lead.
        ("localhost", "127.0.0.1:5432"),
        ("db", "0.0.0.0:5432"),
    ] {
        assert_eq!(report(&text(host, listen)), "fine", "{host} {listen}");
    }
}

#[test]
fn tls_takes_a_certificate_and_its_key() {
    let check = |section: &str, expected: &str| {
        let report = report(&format!("{UPSTREAM}[tls]\n{section}"));
        assert!(report.contains(expected), "{expected} is not in {report}");
        assert!(report.contains("1 problem"), "{report}");
    };
    check(
        "certificate = 'a'",
        "tls.certificate is set without tls.key",
    );
    check("key = 'a'", "tls.key is set without tls.certificate");
    check(
        "required = true",
        "tls.required is set without tls.certificate and tls.key",
    );
    check(
        "certificate = ''\nkey = 'a'",
        "tls.certificate = \"\" is no path",
    );
    assert_eq!(parsed("[tls]\nrequired = false").tls, None);
}

#[test]
fn rules_become_a_policy() {
    let policy = parsed(
        "[cache]\ndefault_ttl = '10s'\n[tables.a]\nttl = '1s'\n[tables.b]\ncache = true\n\
         [tables.c]\ncache = false\nttl = '1s'\n[tables.d]\nttl = 0",
    )
    .policy();
    let check = |table, seconds: Option<u64>| {
        assert_eq!(
            policy.of("public", table).ttl,
            seconds.map(Duration::from_secs),
            "{table}"
        );
    };
    check("a", Some(1));
    check("b", Some(10));
    check("c", None);
    check("d", None);
    check("e", Some(10));
}

#[test]
fn rules_say_how_replies_are_renewed() {
    let refresh = |rule: &str| {
        let config = parsed(&format!("[tables.a]\n{rule}"));
        config.policy().of("public", "a").refresh
    };
    let stale = refresh("stale_while_revalidate = '10s'");
    assert_eq!(
        (stale.stale, stale.prefetch),
        (Duration::from_secs(10), false)
    );
    assert!(refresh("prefetch = true").prefetch);
    assert!(refresh("on_write = 'refresh'").on_write);
    let patient = refresh("prefetch = true\nstale_if_error = '1h'");
    assert_eq!(patient.stale_if_error, Duration::from_secs(3600));
    assert!(!refresh("ttl = '1s'\nstale_while_revalidate = 'off'\nprefetch = false").is_on());
    let check = |rule: &str, what: &str| {
        let report = report(&format!("{UPSTREAM}[tables.a]\n{rule}"));
        assert!(report.contains(what), "{report}");
    };
    check("stale_while_revalidate = 10", "has no unit");
    check("stale_while_revalidate = '31d'", "is too large");
    check("prefetch = 'yes'", "is not a truth value");
    check("prefetch = false", "says nothing");
    check("on_write = 'drop'", "says nothing");
    check("on_write = true", "write \"refresh\" or \"drop\"");
    check(
        "stale_if_error = '1h'",
        "add stale_while_revalidate or prefetch",
    );
    check("on_read = 'refresh'", "unknown key `on_read`");
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let check = |file: &str, variable: &str, flags: &[(&'static str, &str)], ttl| {
        let sources = Sources {
            file: None,
            environment: [("PGMEMO_CACHE_DEFAULT_TTL".to_owned(), variable.to_owned())]
                .into_iter()
                .collect(),
            flags: flags
                .iter()
                .map(|&(flag, value)| (flag, value.to_owned()))
                .collect(),
        };
        let config = sources
            .load_with(Path::new("x"), &format!("{UPSTREAM}{file}"))
            .unwrap();
        assert_eq!(config.cache.default_ttl.map(duration_text).as_deref(), ttl);
    };
    let file = "[cache]\ndefault_ttl = '2s'";
    check("", "", &[], Some("1m"));
    check(file, "", &[], Some("2s"));
    check(file, "3s", &[], Some("3s"));
    check(file, "3s", &[("default-ttl", "4s")], Some("4s"));
    check(file, "3s", &[("default-ttl", "off")], None);
}

/// The texts are part of the product: they are what one reads when something is wrong.
#[test]
fn all_problems_are_reported_at_once_with_place_and_remedy() {
    let check = |text, expected| assert_eq!(format!("{}\n", report(text)), expected);
    check(
        include_str!("../../tests/golden/wrong.toml"),
        include_str!("../../tests/golden/wrong.txt"),
    );
    // A syntax error neither hides the problems of other lines nor invents some on its own.
    check(
        include_str!("../../tests/golden/syntax.toml"),
        include_str!("../../tests/golden/syntax.txt"),
    );
    check("", include_str!("../../tests/golden/empty.txt"));
}

#[test]
fn variables_and_flags_are_named_as_places() {
    let sources = Sources {
        file: None,
        environment: [
            (
                "PGMEMO_UPSTREAM".to_owned(),
                "postgres://app:hunter2@db:x".to_owned(),
            ),
            ("PGMEMO_LIMITS_THREADS".to_owned(), "many".to_owned()),
            ("HOME".to_owned(), "/".to_owned()),
        ]
        .into_iter()
        .collect(),
        flags: vec![("listen", "localhost:6432".to_owned())],
    };
    let report = sources.load().unwrap_err().to_string();
    for part in [
        "environment variable PGMEMO_UPSTREAM: upstream = \"postgres://app:…@db:x\" has a port",
        "environment variable PGMEMO_LIMITS_THREADS: limits.threads = \"many\" is not a whole",
        "--listen: listen = \"localhost:6432\" is not an IP address and a port",
        "3 problems",
    ] {
        assert!(report.contains(part), "{part} is not in {report}");
    }
    assert!(!report.contains("hunter2"), "{report}");
}

#[test]
fn only_misspelt_variables_are_pointed_out() {
    let environment: Environment = [
        "PGMEMO_LISTNE",
        "PGMEMO_PORT",
        "PGMEMO_SERVICE_HOST",
        "PGMEMO_LISTEN",
        "PGMEMO_LOG",
    ]
    .map(|name| (name.to_owned(), "x".to_owned()))
    .into_iter()
    .collect();
    let misspelt: Vec<String> = environment
        .misspelt()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        misspelt,
        ["environment variable PGMEMO_LISTNE: is not read\n    did you mean `PGMEMO_LISTEN`?"]
    );
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pgmemo.toml");
    let sources = Sources {
        file: Some(path.clone()),
        ..Sources::default()
    };
    assert!(
        sources
            .load()
            .unwrap_err()
            .to_string()
            .contains("cannot be read")
    );
    std::fs::write(&path, b"# \xff\n").unwrap();
    assert!(sources.load().unwrap_err().to_string().contains("utf-8"));
    std::fs::write(&path, UPSTREAM).unwrap();
    assert!(sources.load().is_ok());
}

#[test]
fn the_example_in_deploy_is_valid() {
    let config = Config::from_toml(include_str!("../../../../deploy/pgmemo.toml")).unwrap();
    assert!(!config.tables.is_empty());
}

/// What the file says of the settings that are drawn at random below.
fn printed(config: &Config) -> String {
    let ttl = config
        .cache
        .default_ttl
        .map_or_else(|| "off".to_owned(), duration_text);
    let mut text = format!(
        "{UPSTREAM}listen = \"{}\"\n[cache]\ndefault_ttl = \"{ttl}\"\njitter_percent = {}\n\
         bytes_max = \"{}\"\n[limits]\nclients_max = {}\ndrain_timeout = \"{}\"\n",
        config.listen,
        config.cache.jitter_percent,
        size_text(config.cache.bytes_max),
        config.limits.clients_max,
        duration_text(config.limits.drain_timeout),
    );
    for rule in &config.tables {
        text += &format!("[tables.\"{}\"]\ncache = {}\n", rule.pattern, rule.cache);
        text += &rule
            .ttl
            .map(|ttl| format!("ttl = \"{}\"\n", duration_text(ttl)))
            .unwrap_or_default();
    }
    text
}

prop_compose! {
    fn config()(
        port in 0..=u16::MAX,
        ttl in prop::option::of(1_u64..2_592_000_000),
        jitter in 0_u8..=90,
        bytes in (1_u64 << 20)..=(1 << 40),
        clients in 1_u32..=1_000_000,
        drain in 0_u64..=3_600_000_000,
        rules in prop::collection::btree_map("[a-z*?]{1,6}", (prop::option::of(1_u64..1_000_000), any::<bool>()), 0..6),
    ) -> Config {
        let mut config = parsed("");
        config.listen.set_port(port);
        config.cache.default_ttl = ttl.map(Duration::from_millis);
        config.cache.jitter_percent = jitter;
        config.cache.bytes_max = bytes;
        config.limits.clients_max = clients;
        config.limits.drain_timeout = Duration::from_micros(drain);
        config.tables = rules
            .into_iter()
            .map(|(pattern, (ttl, cache))| crate::TableRule {
                refresh: cache::Refresh::default(),
                pattern,
                // Without a default, a rule that caches must say for how long.
                ttl: ttl.or((cache && config.cache.default_ttl.is_none()).then_some(1)).map(Duration::from_millis),
                cache,
                place: Place::Nowhere,
            })
            .collect();
        config
    }
}

proptest! {
    #[test]
    fn what_is_printed_reads_as_the_same(config in config()) {
        let text = printed(&config);
        let mut read = Config::from_toml(&text).map_err(|problems| {
            TestCaseError::fail(format!("{text}\n{problems}"))
        })?;
        for rule in &mut read.tables {
            rule.place = Place::Nowhere;
        }
        prop_assert_eq!(read, config);
    }

    #[test]
    fn no_text_makes_it_panic(text in "(listen|upstream|store|\\[cache\\]|tables|\\.|=|\"|'|\\[|\\]|\n| |1|s|\\PC){0,60}") {
        let _ = Config::from_toml(&text);
    }

    #[test]
    fn no_password_is_ever_shown(password in "[a-z@:/?%#]{0,8}QX7[a-z@:/?%#]{0,8}") {
        let report = report(&format!("upstream = \"postgres://app:{password}@\"\nstore = 'redis://x:{password}@:'"));
        prop_assert!(!report.contains("QX7"), "{}", report);
    }
}
