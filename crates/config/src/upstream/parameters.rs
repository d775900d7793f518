//! Parameters of a URL that are none of ours: those that are for clients alone, and those that ask for
//! what is not there.
//!
//! A URL is handed from one program to the next. What only shapes how a client works is left aside;
//! what bears on how the server is reached, and is not done, is refused, so that nobody believes in
//! what does not happen.

use crate::{nearest::nearest, problem::Refusal};

/// Whether a parameter may be left aside.
///
/// # Errors
///
/// The reason, if not.
pub(super) fn judge(name: &str, value: &str) -> Result<(), Refusal> {
    if let Some((_, why, remedy)) = REFUSED.iter().find(|(refused, _, _)| *refused == name) {
        return Err(Refusal::new(format!("has {name}, and {why}"), *remedy));
    }
    match (name, value) {
        ("gssencmode", "require") => Err(Refusal::new(
            "has gssencmode=require, and GSSAPI is not spoken",
            "encrypt with TLS: remove it, and write sslmode=require or stronger",
        )),
        ("sslcertmode", "require") => Err(Refusal::new(
            "has sslcertmode=require, and whether the server asks for a certificate is not checked",
            "remove it",
        )),
        ("ssl_min_protocol_version", "TLSv1.3") => Err(Refusal::new(
            "has ssl_min_protocol_version=TLSv1.3, and TLS 1.2 is not refused",
            "remove it; TLS 1.3 is used with every server that speaks it",
        )),
        _ if is_for_clients(name) => Ok(()),
        _ => Err(unknown(name)),
    }
}

fn is_for_clients(name: &str) -> bool {
    let base = name.split_once('[').map_or(name, |(base, _)| base);
    // The last two: of golang-migrate and of Ecto.
    let prefixes = ["pool_", "idle_", "statement_", "x-", "queue_"];
    FOR_CLIENTS
        .iter()
        .any(|known| known.eq_ignore_ascii_case(base))
        || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

fn unknown(name: &str) -> Refusal {
    let remedy = nearest(name, KNOWN).map_or_else(
        || {
            format!(
                "remove it if it is for clients; known are {}",
                KNOWN.join(", ")
            )
        },
        |known| format!("did you mean `{known}`?"),
    );
    let what = format!("has the unknown parameter `{}`", name.escape_debug());
    Refusal::new(what, remedy)
}

/// Those that are done.
const KNOWN: [&str; 19] = [
    "host",
    "port",
    "user",
    "password",
    "dbname",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslsni",
    "channel_binding",
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
    "options",
    "application_name",
];

/// Those that ask for what is not there, why, and what to do.
const REFUSED: [(&str, &str, &str); 16] = [
    (
        "sslpassword",
        "keys with a passphrase are not read",
        "write the key without one, readable for pgmemo alone (`openssl pkey`), and remove it",
    ),
    (
        "sslidentity",
        "certificates in PKCS#12 are not read",
        "write certificate and key as PEM (`openssl pkcs12`), and name them with sslcert and sslkey",
    ),
    (
        "sslaccept",
        "it is a word of Prisma's",
        "write sslmode=require, or sslmode=verify-full",
    ),
    (
        "sslcrl",
        "lists of revoked certificates are not read",
        "remove it",
    ),
    (
        "sslcrldir",
        "lists of revoked certificates are not read",
        "remove it",
    ),
    (
        "hostaddr",
        "a host has one name here",
        "write the address as the host, or let the name resolve to it",
    ),
    (
        "service",
        "files of libpq's are not read",
        "write what it stands for into the URL",
    ),
    (
        "servicefile",
        "files of libpq's are not read",
        "write what it stands for into the URL",
    ),
    (
        "passfile",
        "files of libpq's are not read",
        "write the password into the URL",
    ),
    (
        "require_auth",
        "the method by which pgmemo itself logs in is the server's choice",
        "remove it, and allow pgmemo's user one method alone in pg_hba.conf",
    ),
    (
        "requirepeer",
        "the owner of a Unix-domain socket is not looked at",
        "remove it, and keep the socket in a directory where only the server may make one",
    ),
    (
        "requiressl",
        "it is a word of old",
        "write sslmode=require, or sslmode=verify-full",
    ),
    (
        "sslfactory",
        "classes of Java are not loaded",
        "write sslmode=require for one that does not validate, sslmode=verify-full for others",
    ),
    (
        "require_peer",
        "the owner of a Unix-domain socket is not looked at",
        "remove it",
    ),
    (
        "oauth_issuer",
        "pgmemo itself logs in by password or certificate",
        "remove it",
    ),
    (
        "oauth_client_id",
        "pgmemo itself logs in by password or certificate",
        "remove it",
    ),
];

/// Those that shape what a client does: of libpq, of drivers, of what stands above them, and settings
/// that some take for parameters. What begins with a bracket behind them is one of them.
const FOR_CLIENTS: [&str; 88] = [
    // libpq.
    "application_name",
    "client_encoding",
    "fallback_application_name",
    "gssdelegation",
    "gssencmode",
    "gsslib",
    "krbsrvname",
    "load_balance_hosts",
    "max_protocol_version",
    "min_protocol_version",
    "replication",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcertmode",
    "sslcompression",
    "sslnegotiation",
    "target_session_attrs",
    // Settings of sessions.
    "bytea_output",
    "client_min_messages",
    "DateStyle",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "extra_float_digits",
    "IntervalStyle",
    "jit",
    "lock_timeout",
    "options",
    "plan_cache_mode",
    "role",
    "search_path",
    "standard_conforming_strings",
    "TimeZone",
    "transaction_timeout",
    "work_mem",
    // Prisma, node-postgres, postgres.js.
    "connection_limit",
    "connectionLimit",
    "connectionTimeoutMillis",
    "idleTimeoutMillis",
    "max",
    "max_lifetime",
    "pgbouncer",
    "prepare",
    "query_timeout",
    "schema",
    "single_use_connections",
    "socket_timeout",
    "supa",
    "uselibpqcompat",
    "workaround",
    // Django, SQLAlchemy, asyncpg, Rails, Ecto, Doctrine, Laravel.
    "advisory_locks",
    "async_fallback",
    "charset",
    "checkout_timeout",
    "command_timeout",
    "conn_health_checks",
    "conn_max_age",
    "disable_server_side_cursors",
    "encoding",
    "min_messages",
    "pool",
    "prepared_statement_cache_size",
    "prepared_statements",
    "reaping_frequency",
    "schema_search_path",
    "server_settings",
    "serverVersion",
    "timeout",
    // pgx, lib/pq, sqlx.
    "binary_parameters",
    "default_query_exec_mode",
    "description_cache_capacity",
    "disable_prepared_binary_result",
    "statement-cache-capacity",
    // JDBC.
    "ApplicationName",
    "autosave",
    "binaryTransfer",
    "connectTimeout",
    "currentSchema",
    "defaultRowFetchSize",
    "loggerLevel",
    "loginTimeout",
    "preferQueryMode",
    "prepareThreshold",
    "readOnly",
    "reWriteBatchedInserts",
    "socketTimeout",
    "stringtype",
    "targetServerType",
    "tcpKeepAlive",
];
