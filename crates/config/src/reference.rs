//! The reference page, written from the registry.

use std::fmt::Write as _;

use crate::registry::{DefaultValue, SETTINGS, Setting};

/// The page `docs/configuration.md`, in Markdown.
pub fn reference() -> String {
    let mut page = String::from(INTRODUCTION);
    let mut section = None;
    for setting in SETTINGS {
        let (of, _) = setting.path();
        if section != Some(of) {
            section = Some(of);
            page.push_str(&heading(of));
        }
        page.push_str(&row(setting));
    }
    page.push_str(RULES);
    page
}

fn heading(section: &str) -> String {
    let title = match section {
        "" => "Top of the file".to_owned(),
        section => format!("`[{section}]`"),
    };
    format!("\n## {title}\n")
}

fn row(setting: &Setting) -> String {
    let (_, name) = setting.path();
    let default = match setting.default {
        DefaultValue::Text(text) => format!("`{text}`"),
        DefaultValue::Derived(text) => text.to_owned(),
        DefaultValue::Required => "none; it must be set".to_owned(),
    };
    let flag = setting
        .flag
        .map_or_else(String::new, |flag| format!(", flag `--{flag}`"));
    let reload = if setting.reloads {
        "on reload"
    } else {
        "after a restart"
    };
    let mut row = format!("\n### `{name}`\n\n{}\n\n", setting.help);
    // Writing to a string cannot fail.
    let _ = write!(
        row,
        "- Value: {}\n- Default: {default}\n- Also: variable `{}`{flag}\n- Takes effect: {reload}\n",
        setting.form.allowed(),
        setting.variable(),
    );
    row
}

const INTRODUCTION: &str = "\
# Configuration

<!-- Written by `pgmemo config-reference`; a test compares. Edit the registry in `crates/config`. -->

Only `upstream` must be set. Every other setting has a default.

A setting comes from a flag, an environment variable, the file, or its default; the first of these
that says something decides. The file is named by `--config` or `PGMEMO_CONFIG`; without either,
none is read. An empty variable counts as not set. Flags are visible to other users of the machine:
put passwords into the file or the environment.

`pgmemo check` reads everything as `pgmemo serve` would and lists all problems with line and column.
A value that is wrong is never replaced by a default: pgmemo says what is wrong and does not start
(exit status 2), or keeps what it runs with (reload).

**Durations** are a whole number and a unit: `us`, `ms`, `s`, `m` or `min`, `h`, `d`. **Sizes** are
a whole number and a unit: `B`; `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024); `kB`, `MB`, `GB`, `TB`
(powers of 1000). Only `0` needs no unit. Fractions are refused: `1500ms`, not `1.5s`.

Three variables are not settings of the file: `PGMEMO_CONFIG` names it, `PGMEMO_LOG` filters the log
(`info` by default; `debug`, or `info,pgmemo_store=debug`), and `PGMEMO_LOG_FORMAT` is `text` or
`json`.
";

const RULES: &str = r#"
## `[tables."…"]`

A rule for the tables, views and materialized views whose name matches. Always write the name in
quotes.

```toml
[tables."public.countries"]
ttl = "1h"

[tables."audit_*"]
cache = false
```

- The name is `schema.table`, or `table` for every schema. `*` stands for any run of characters and
  `?` for one. Upper and lower case count, as PostgreSQL stores the name.
- A name without wildcards beats a pattern; of several patterns, the last in the file wins.
- `ttl` is a duration from 1ms to 30d. `0` and `"off"` mean that the table is not cached, as
  `cache = false` does.
- `cache = true` without a `ttl` takes `cache.default_ttl`. `cache = false` wins over a `ttl`.
- A reply that reads several tables lives as long as the shortest of their TTLs, and is not cached
  if one of them is not.
- `stale_while_revalidate` is a duration from 1ms to 30d, or `0` or `"off"` (the default). A reply
  whose TTL has ended, but not longer ago than this, is served once more while it is read again in
  the background. Age only: after a write it is never served. A reply that reads several tables has
  the shortest of theirs, none if one has none.
- `prefetch = true` reads a reply again in the background when it is asked for in the last fifth of
  its TTL, so that it does not end. All tables of a reply must say so.
- `stale_if_error` is a duration like `stale_while_revalidate`, for when reading again fails: the
  server cannot be reached, takes no further connection, or does not answer within 30 seconds. For
  a minute after that, a reply whose TTL has ended not longer ago than this is served while reading
  it again is tried on. Age only, too. It needs `stale_while_revalidate` or `prefetch`.
- `on_write = "refresh"` reads replies again as soon as a write has made them worthless, rather than
  when somebody next asks: of each table that the write changes, the 16 that this instance is asked
  for most. A write that pgmemo cannot bound to tables is not followed by it. All tables of a reply
  must say so. The default is `"drop"`.
- What is read in the background is read through connections of pgmemo's own, as the user of
  `upstream`; so only replies to clients that log in as that user are renewed. `pgmemo_refreshes_total`
  counts what was renewed and why others were not.
- A rule that is changed or removed by a reload also holds for what is already cached.

## `[functions."schema.name"]`

Vouches for a function that you wrote. Statements that call functions pgmemo does not know are not
cached, because their results may depend on anything.

```toml
[functions."public.price_with_tax"]
reads = ["public.tax_rates"]
```

- `reads` lists every table that the function reads, directly or through others; `[]` says that its
  result depends on its arguments alone.
- The rule stands for all functions of that name in that schema.
- A function that reads the clock, random numbers or the session must not be listed: its replies
  would be repeated.

## The URL of `upstream`

`postgres://user:password@host:port/database?name=value`, or `postgresql://`. Write characters that
have a meaning in URLs as `%` and two hexadecimal digits: `%40` for `@`, `%2F` for `/`. The host of
a Unix-domain socket is its directory: `postgres:///?host=/var/run/postgresql`.

| parameter | meaning | default |
|---|---|---|
| `sslmode` | `disable`, `prefer`, `require`, `verify-ca` or `verify-full`, as in libpq; sockets have no TLS | `prefer` |
| `sslrootcert` | file with the certificates to trust, or `system` for those of the platform, which implies `verify-full` | the platform's |
| `sslcert`, `sslkey` | files with a certificate that proves to the server who pgmemo is, on clients' connections too, and its key without a passphrase, as PEM | none |
| `sslsni` | `0`: the server does not hear which host is meant | `1` |
| `channel_binding` | `disable`, `prefer` or `require`, for pgmemo's own connections; with `require`, replies are not renewed ahead of time | `prefer` |
| `options` | switches for pgmemo's own connections | |
| `connect_timeout` | seconds from 1 to 600; `0` for 600 | `10` |
| `keepalives`, `keepalives_idle`, `keepalives_interval`, `keepalives_count` | as in libpq: `0` for no probes; after how many seconds of silence the server's host is asked for a sign of life, how many it may take, and how many may fail | `1`, `60`, `10`, the system's |
| `tcp_user_timeout` | milliseconds for which the server's host may leave what it is sent unacknowledged, before the connection counts as lost; `30000` lets clients hear of a failover that took the host away within half a minute. It also ends a connection whose server has stopped reading for as long, such as a COPY that waits for a lock | `0`: the system's, about 15 minutes |
| `host`, `port`, `user`, `password`, `dbname` | as in the rest of the URL, and stronger | |

What shapes clients alone may stay in a URL that is copied, and is left aside: `application_name`,
`target_session_attrs`, settings of sessions, and what drivers and ORMs
add (`schema`, `connection_limit`, `pgbouncer`, `conn_max_age`, `pool_max_conns`, `+asyncpg` behind the
scheme, …). The start names what was left aside. What bears on how the server is reached and is not
done is refused, with the reason.

## The URL of `store`

`redis://user:password@host:port/database`, `rediss://` for TLS, `redis-sentinel://` or
`rediss-sentinel://` with `?sentinelServiceName=name`, and `&node=host:port` for more sentinels, or
`redis+unix:///path/to/socket`. A cluster cannot be used yet.
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_page_is_the_generated_one() {
        let committed = include_str!("../../../docs/configuration.md");
        assert_eq!(
            committed,
            reference(),
            "run `cargo run -p pgmemo -- config-reference > docs/configuration.md`"
        );
    }

    #[test]
    fn every_setting_is_on_the_page() {
        let page = reference();
        for setting in SETTINGS {
            assert!(
                page.contains(&format!("`{}`", setting.variable())),
                "{}",
                setting.key
            );
        }
    }
}
