//! What a reload can change, and what it cannot.

use crate::{CacheSettings, Config};

impl Config {
    /// The keys that differ from `new` and need a restart, in the order of the registry.
    pub fn restart_required(&self, new: &Self) -> Vec<&'static str> {
        let cache = &self.cache;
        let differs = [
            ("listen", self.listen != new.listen),
            ("upstream", self.upstream != new.upstream),
            // The settings under `[redis]` are part of the choice.
            ("store", self.store != new.store),
            ("admin", self.admin != new.admin),
            (
                "cache.jitter_percent",
                cache.jitter_percent != new.cache.jitter_percent,
            ),
            (
                "cache.entry_bytes_max",
                cache.entry_bytes_max != new.cache.entry_bytes_max,
            ),
            ("cache.bytes_max", cache.bytes_max != new.cache.bytes_max),
            (
                "cache.analysis_bytes_max",
                cache.analysis_bytes_max != new.cache.analysis_bytes_max,
            ),
            (
                "cache.catalog_age_max",
                cache.catalog_age_max != new.cache.catalog_age_max,
            ),
            ("limits.threads", self.limits.threads != new.limits.threads),
            (
                "limits.statements_max",
                self.limits.statements_max != new.limits.statements_max,
            ),
        ];
        differs
            .into_iter()
            .filter_map(|(key, differs)| differs.then_some(key))
            .collect()
    }

    /// This configuration as it can be applied to a process that runs with `running`: what needs a
    /// restart stays as it is there.
    #[must_use]
    pub fn applied_to(mut self, running: &Self) -> Self {
        self.listen = running.listen;
        self.upstream.clone_from(&running.upstream);
        self.store.clone_from(&running.store);
        self.admin = running.admin;
        self.cache = CacheSettings {
            default_ttl: self.cache.default_ttl,
            flight_wait_max: self.cache.flight_wait_max,
            ..running.cache.clone()
        };
        self.limits.threads = running.limits.threads;
        self.limits.statements_max = running.limits.statements_max;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SETTINGS;

    const RUNNING: &str = "upstream = 'postgres://db'\nstore = 'redis://cache'";

    fn config(changes: &str) -> Config {
        Config::from_toml(changes).unwrap()
    }

    #[test]
    fn names_what_needs_a_restart_and_keeps_it() {
        let running = config(RUNNING);
        let check = |changes: &str, keys: &[&str]| {
            let new = config(changes);
            assert_eq!(running.restart_required(&new), keys, "{changes}");
            let applied = new.applied_to(&running);
            assert!(running.restart_required(&applied).is_empty(), "{changes}");
        };
        check(RUNNING, &[]);
        check(&format!("{RUNNING}\n[cache]\ndefault_ttl = '1s'"), &[]);
        check(
            "upstream = 'postgres://other'\nstore = 'redis://cache'",
            &["upstream"],
        );
        check(
            "upstream = 'postgres://db'\nlisten = '[::1]:1'",
            &["listen", "store"],
        );
        check(&format!("{RUNNING}\n[redis]\nprefix = 'other'"), &["store"]);
        check(
            &format!("admin = 'off'\n{RUNNING}\n[limits]\nthreads = 3"),
            &["admin", "limits.threads"],
        );
        check(
            &format!("{RUNNING}\n[cache]\nbytes_max = '1GiB'\nanalysis_bytes_max = '1GiB'"),
            &["cache.bytes_max", "cache.analysis_bytes_max"],
        );
    }

    #[test]
    fn the_rest_is_applied() {
        let new = config(&format!(
            "{RUNNING}\n[cache]\ndefault_ttl = 'off'\n[tables.city]\nttl='1s'"
        ));
        let applied = new.clone().applied_to(&config(RUNNING));
        assert_eq!(applied, new);
    }

    #[test]
    fn the_registry_says_the_same() {
        let by_registry: Vec<&str> = SETTINGS
            .iter()
            .filter(|setting| !setting.reloads)
            .map(|setting| setting.key)
            .collect();
        let everything = "listen = '[::1]:1'\nupstream = 'postgres://other'\nadmin = 'off'\n\
            [cache]\njitter_percent = 1\nentry_bytes_max = '2MiB'\nbytes_max = '1GiB'\n\
            analysis_bytes_max = '1GiB'\ncatalog_age_max = '1s'\n[limits]\nthreads = 3\n\
            statements_max = 1";
        let by_comparison = config(RUNNING).restart_required(&config(everything));
        let above: Vec<&str> = by_registry
            .into_iter()
            .filter(|key| !key.starts_with("redis."))
            .collect();
        assert_eq!(by_comparison, above);
    }
}
