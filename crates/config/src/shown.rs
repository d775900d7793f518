//! Settings as whoever reaches the admin port may see them: no secret, no other host, no path.

use std::time::Duration;

use crate::{
    Config, DefaultValue, OnOutage, RedisMode, RedisSettings, SETTINGS, StoreChoice, TableRule,
    duration_text, size_text,
};

/// One setting, or one rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ShownSetting {
    /// Its key: `cache.default_ttl`, `tables."public.city"`.
    pub key: String,
    /// What holds.
    pub value: String,
    /// What would hold if nobody said anything; rules have no default.
    pub default: Option<&'static str>,
    /// Whether a reload can change it.
    pub reloads: bool,
}

/// Stands for what is set, and not for everyone to see.
const HIDDEN: &str = "…";

const OFF: &str = "off";

impl Config {
    /// Every setting in the order of the registry, then the rules in that of the file.
    pub fn shown(&self) -> Vec<ShownSetting> {
        let settings = SETTINGS.iter().map(|setting| ShownSetting {
            key: setting.key.to_owned(),
            value: self.value(setting.key).unwrap_or_default(),
            default: match setting.default {
                DefaultValue::Text(text) | DefaultValue::Derived(text) => Some(text),
                DefaultValue::Required => None,
            },
            reloads: setting.reloads,
        });
        let rule = |section: &str, name: &str, value: String| ShownSetting {
            key: format!("{section}.\"{name}\""),
            value,
            default: None,
            reloads: true,
        };
        let tables = self.tables.iter();
        let tables = tables.map(|it| rule("tables", &it.pattern, table_rule(it)));
        let functions = self.functions.iter().map(|it| {
            let reads = it
                .reads
                .iter()
                .map(|(schema, name)| format!("{schema}.{name}"));
            let reads = format!("reads {}", reads.collect::<Vec<_>>().join(", "));
            rule("functions", &format!("{}.{}", it.schema, it.name), reads)
        });
        settings.chain(tables).chain(functions).collect()
    }

    /// What holds for a key; `None` if there is none of that name.
    fn value(&self, key: &str) -> Option<String> {
        let (cache, limits) = (&self.cache, &self.limits);
        let hidden = |is_set: bool| if is_set { HIDDEN } else { "none" }.to_owned();
        let tls = self.tls.as_ref();
        Some(match key {
            "listen" => self.listen.to_string(),
            "upstream" => match &self.upstream.database {
                Some(database) => format!("postgres://{HIDDEN}/{database}"),
                None => format!("postgres://{HIDDEN}"),
            },
            "store" => match self.store {
                StoreChoice::Memory => "memory".to_owned(),
                StoreChoice::Redis(_) => format!("redis://{HIDDEN}"),
            },
            "admin" => self.admin.map_or(OFF.to_owned(), |it| it.to_string()),
            "cache.default_ttl" => duration_or_off(cache.default_ttl),
            "cache.jitter_percent" => cache.jitter_percent.to_string(),
            "cache.entry_bytes_max" => size_text(cache.entry_bytes_max),
            "cache.bytes_max" => size_text(cache.bytes_max),
            "cache.analysis_bytes_max" => size_text(cache.analysis_bytes_max),
            "cache.catalog_age_max" => duration_text(cache.catalog_age_max),
            "cache.flight_wait_max" => duration_or_off(cache.flight_wait_max),
            "limits.clients_max" => limits.clients_max.to_string(),
            "limits.login_timeout" => duration_text(limits.login_timeout),
            "limits.client_gone_after" => {
                let wait = limits.client_gone_after.map(duration_text);
                wait.unwrap_or_else(|| "as the system is set up".to_owned())
            }
            "limits.drain_timeout" => duration_text(limits.drain_timeout),
            "limits.threads" => {
                let threads = limits.threads.map(|count| count.to_string());
                threads.unwrap_or_else(|| "one for every core".to_owned())
            }
            "limits.statements_max" => limits.statements_max.to_string(),
            "limits.allow_trust_relay" => limits.allow_trust_relay.to_string(),
            "tls.certificate" | "tls.key" => hidden(tls.is_some()),
            "tls.required" => tls.is_some_and(|tls| tls.required).to_string(),
            key => match &self.store {
                StoreChoice::Redis(redis) => redis_value(redis, key.strip_prefix("redis.")?)?,
                StoreChoice::Memory => "not used".to_owned(),
            },
        })
    }
}

fn redis_value(redis: &RedisSettings, key: &str) -> Option<String> {
    Some(match key {
        "deadline" => duration_text(redis.deadline),
        "prefix" => redis.prefix.clone(),
        "connections" => redis.connections.to_string(),
        "mode" => match redis.mode {
            RedisMode::Strict => "strict".to_owned(),
            RedisMode::Leases => "leases".to_owned(),
        },
        "on_outage" => match redis.on_outage {
            OnOutage::Wait => "wait".to_owned(),
            OnOutage::GoOn => "go_on".to_owned(),
        },
        _ => return None,
    })
}

fn duration_or_off(duration: Option<Duration>) -> String {
    duration.map_or(OFF.to_owned(), duration_text)
}

/// A rule as it would stand in one line of the file.
fn table_rule(rule: &TableRule) -> String {
    if !rule.cache {
        return "cache = false".to_owned();
    }
    let refresh = &rule.refresh;
    let duration = |key: &str, duration: Duration| {
        (!duration.is_zero()).then(|| format!("{key} = {}", duration_text(duration)))
    };
    let parts = [
        rule.ttl.map(|ttl| format!("ttl = {}", duration_text(ttl))),
        duration("stale_while_revalidate", refresh.stale),
        duration("stale_if_error", refresh.stale_if_error),
        refresh.prefetch.then(|| "prefetch = true".to_owned()),
        refresh.on_write.then(|| "on_write = refresh".to_owned()),
    ];
    match parts.into_iter().flatten().collect::<Vec<_>>() {
        parts if parts.is_empty() => "cache = true".to_owned(),
        parts => parts.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(file: &str, key: &str) -> String {
        let shown = Config::from_toml(file).unwrap().shown();
        let found = shown.into_iter().find(|it| it.key == key);
        found.unwrap_or_else(|| panic!("no {key}")).value
    }

    #[test]
    fn every_default_is_shown_as_it_is_written() {
        let redis = "upstream = 'postgres://db'\nstore = 'redis://cache'";
        let config = Config::from_toml(redis).unwrap();
        let shown = config.shown();
        assert_eq!(shown.len(), SETTINGS.len());
        for (setting, shown) in SETTINGS.iter().zip(shown) {
            assert_eq!(shown.key, setting.key);
            assert!(!shown.value.is_empty(), "{}", setting.key);
            let written = |text: &'static str| match text {
                "60s" => "1m",
                text => text,
            };
            if let (DefaultValue::Text(text), false) = (setting.default, setting.key == "store") {
                assert_eq!(shown.value, written(text), "{}", setting.key);
            }
        }
    }

    #[test]
    fn nobody_is_told_secrets_hosts_or_paths() {
        let file = "upstream = 'postgres://me:hush@db.internal/shop?sslcert=/p/c&sslkey=/p/k'\n\
            store = 'redis://:hush@cache.internal/'\n\
            [tls]\ncertificate = '/p/server.crt'\nkey = '/p/server.key'\n\
            [tables.city]\nttl = '1h'\nprefetch = true\n[tables.'log_*']\ncache = false\n\
            [functions.'public.f']\nreads = ['public.city']";
        let all = format!("{:?}", Config::from_toml(file).unwrap().shown());
        for secret in ["hush", "internal", "/p/"] {
            assert!(!all.contains(secret), "{secret} in {all}");
        }
        assert_eq!(shown(file, "upstream"), "postgres://…/shop");
        assert_eq!(shown(file, "store"), "redis://…");
        assert_eq!(shown(file, "tables.\"city\""), "ttl = 1h, prefetch = true");
        assert_eq!(shown(file, "tables.\"log_*\""), "cache = false");
        assert_eq!(shown(file, "functions.\"public.f\""), "reads public.city");
        let memory = "upstream = 'postgres://db'";
        assert_eq!(shown(memory, "redis.mode"), "not used");
        assert_eq!(shown(memory, "tls.key"), "none");
    }
}
