//! `store`: `"memory"`, or the URL of a Redis server; and how that is used.
//!
//! Only what is common to all forms of the URL is checked here; the rest is the client's affair.

use crate::{
    OnOutage, RedisMode, Secret,
    problem::Refusal,
    url::{Parts, decode},
};

const REMEDY: &str = "write \"memory\" or a URL such as \"redis://host:6379/0\"; the schemes are \
    redis, rediss (TLS), redis-sentinel, rediss-sentinel and redis+unix";

const SCHEMES: [&str; 5] = [
    "redis",
    "rediss",
    "redis-sentinel",
    "rediss-sentinel",
    "redis+unix",
];

/// Reads the choice; `None` is memory.
pub(crate) fn store(text: &str) -> Result<Option<Secret>, Refusal> {
    let text = text.trim();
    if text == "memory" {
        return Ok(None);
    }
    let refuse = |what| Err(Refusal::new(what, REMEDY));
    let Some(parts) = Parts::split(text) else {
        return refuse("is neither \"memory\" nor a URL");
    };
    if ["redis-cluster", "rediss-cluster"].contains(&parts.scheme) {
        return refuse("names a cluster, which cannot be used yet");
    }
    if !SCHEMES.contains(&parts.scheme) {
        return refuse("has an unknown scheme");
    }
    if parts.scheme == "redis+unix" {
        return if parts.path.is_empty() {
            refuse("names no socket")
        } else {
            Ok(Some(Secret::new(text.to_owned())))
        };
    }
    if parts.host.is_empty() {
        return refuse("names no host");
    }
    if parts
        .port
        .is_some_and(|port| !port.parse::<u16>().is_ok_and(|port| port > 0))
    {
        return refuse("has a port that is not a number from 1 to 65535");
    }
    if parts
        .password
        .is_some_and(|password| decode(password).is_none())
    {
        return refuse("has a password that is not percent-encoded");
    }
    if !parts.path.is_empty() && parts.path.parse::<u8>().is_err() {
        return refuse("has a database that is not a number");
    }
    Ok(Some(Secret::new(text.to_owned())))
}

/// Reads how a reply is known to hold.
pub(crate) fn mode(text: &str) -> Result<RedisMode, Refusal> {
    match text {
        "strict" => Ok(RedisMode::Strict),
        "leases" => Ok(RedisMode::Leases),
        _ => Err(Refusal::new(
            "is neither \"strict\" nor \"leases\"",
            "write \"strict\" to ask Redis at every lookup, or \"leases\" to keep replies in the \
                process too",
        )),
    }
}

/// Reads what a write does of which Redis cannot be told.
pub(crate) fn on_outage(text: &str) -> Result<OnOutage, Refusal> {
    match text {
        "wait" => Ok(OnOutage::Wait),
        "go_on" => Ok(OnOutage::GoOn),
        _ => Err(Refusal::new(
            "is neither \"wait\" nor \"go_on\"",
            "write \"wait\" to have other instances give up first what a write replaces, or \
                \"go_on\" to have it wait for less than two seconds",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_writes_do() {
        assert_eq!(on_outage("wait"), Ok(OnOutage::Wait));
        assert_eq!(on_outage("go_on"), Ok(OnOutage::GoOn));
        let refused = on_outage("go on").unwrap_err();
        assert_eq!(refused.what, "is neither \"wait\" nor \"go_on\"");
    }

    #[test]
    fn reads_modes() {
        assert_eq!(mode("strict"), Ok(RedisMode::Strict));
        assert_eq!(mode("leases"), Ok(RedisMode::Leases));
        let refused = mode("lease").unwrap_err();
        assert_eq!(refused.what, "is neither \"strict\" nor \"leases\"");
    }

    #[test]
    fn reads_memory_and_urls() {
        assert_eq!(store("memory"), Ok(None));
        for url in [
            "redis://cache",
            "rediss://:secret@cache:6380/2",
            "redis-sentinel://a:26379?sentinelServiceName=main",
            "redis+unix:///run/redis.sock",
        ] {
            assert_eq!(store(url), Ok(Some(Secret::new(url.to_owned()))));
        }
    }

    #[test]
    fn refuses_what_no_client_could_use() {
        let check = |text, what: &str| assert_eq!(store(text).unwrap_err().what, what, "{text}");
        check("", "is neither \"memory\" nor a URL");
        check("redis", "is neither \"memory\" nor a URL");
        check("memcached://cache", "has an unknown scheme");
        check(
            "redis-cluster://a",
            "names a cluster, which cannot be used yet",
        );
        check("redis://", "names no host");
        check(
            "redis://cache:port",
            "has a port that is not a number from 1 to 65535",
        );
        check("redis://cache/main", "has a database that is not a number");
        check("redis+unix://", "names no socket");
    }
}
