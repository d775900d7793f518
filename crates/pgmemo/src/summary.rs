//! One line that says what is cached where.

use std::net::SocketAddr;

use config::{Config, RedisMode, StoreChoice, duration_text, size_text};

/// What is logged at the start.
pub(crate) fn summary(config: &Config, listening: SocketAddr) -> String {
    format!(
        "pgmemo {} listening on {listening} for {}; {}",
        env!("CARGO_PKG_VERSION"),
        config.upstream,
        caching(config)
    )
}

/// What is cached where.
pub(crate) fn caching(config: &Config) -> String {
    let place = match &config.store {
        StoreChoice::Memory => format!("in memory ({})", size_text(config.cache.bytes_max)),
        StoreChoice::Redis(redis) => match redis.mode {
            RedisMode::Strict => format!("in Redis (prefix {})", redis.prefix),
            RedisMode::Leases => format!(
                "in Redis (prefix {}) and in memory ({})",
                redis.prefix,
                size_text(config.cache.bytes_max)
            ),
        },
    };
    let tables = match (config.cache.default_ttl, config.tables.len()) {
        (Some(ttl), 0) => format!("every table cached for {}", duration_text(ttl)),
        (Some(ttl), _) => format!("tables without a rule cached for {}", duration_text(ttl)),
        (None, 0) => return "nothing cached: default_ttl is off and there are no rules".to_owned(),
        (None, _) => "only tables with a rule cached".to_owned(),
    };
    let rules = counted(config.tables.len(), "rule");
    let functions = counted(config.functions.len(), "function");
    format!("{tables} {place}{rules}{functions}")
}

fn counted(count: usize, noun: &str) -> String {
    match count {
        0 => String::new(),
        1 => format!("; 1 {noun}"),
        _ => format!("; {count} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_cached_where() {
        let check = |rest: &str, expected: &str| {
            let config =
                Config::from_toml(&format!("upstream = 'postgres://u:p@db'\n{rest}")).unwrap();
            assert_eq!(caching(&config), expected);
            let line = summary(&config, config.listen);
            assert!(
                line.contains("listening on 127.0.0.1:6432 for postgres://db:5432; "),
                "{line}"
            );
        };
        check("", "every table cached for 1m in memory (256MiB)");
        check(
            "[tables.a]\ncache = false\n[functions.'a.b']\nreads = []\n[functions.'a.c']\nreads = []",
            "tables without a rule cached for 1m in memory (256MiB); 1 rule; 2 functions",
        );
        check(
            "store = 'redis://:secret@cache'\n[cache]\ndefault_ttl = 0\n[tables.a]\nttl = '1s'",
            "only tables with a rule cached in Redis (prefix pgmemo); 1 rule",
        );
        check(
            "[cache]\ndefault_ttl = 'off'",
            "nothing cached: default_ttl is off and there are no rules",
        );
    }
}
