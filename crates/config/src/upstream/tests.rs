use super::*;

fn parsed(url: &str) -> Upstream {
    Upstream::parse(url).unwrap()
}

#[test]
fn reads_every_part() {
    let all = parsed(
        "postgresql://a%40b:p%3Aw@db.example:6000/sh%6Fp?sslmode=verify-ca\
         &sslrootcert=/etc/ca.pem&connect_timeout=3&application_name=x",
    );
    assert_eq!(
        all,
        Upstream {
            host: "db.example".to_owned(),
            port: 6000,
            user: Some("a@b".to_owned()),
            password: Some(Secret::new("p:w".to_owned())),
            database: Some("shop".to_owned()),
            tls: TlsMode::VerifyCa,
            root_certificate: Some(PathBuf::from("/etc/ca.pem")),
            client_certificate: None,
            names_host: true,
            channel_binding: ChannelBinding::Prefer,
            options: None,
            connect_timeout: Duration::from_secs(3),
            liveness: Liveness::default(),
            ignored: vec!["application_name".to_owned()],
        }
    );
    assert!(!format!("{all:?}").contains("p:w"));
    assert_eq!(all.to_string(), "postgres://db.example:6000/shop");
}

#[test]
fn fills_in_defaults() {
    let least = parsed("postgres://db");
    assert_eq!((least.port, least.tls), (5432, TlsMode::Prefer));
    assert_eq!((least.user, least.database), (None, None));
    assert_eq!(least.connect_timeout, Duration::from_secs(10));
    assert_eq!(
        parsed("postgres://db?sslrootcert=system").tls,
        TlsMode::VerifyFull
    );
}

#[test]
fn reads_sockets_and_ipv6() {
    let check = |url, host: &str| assert_eq!(parsed(url).host, host, "{url}");
    check(
        "postgres://%2Fvar%2Frun%2Fpostgresql/db",
        "/var/run/postgresql",
    );
    check(
        "postgres:///db?host=/var/run/postgresql",
        "/var/run/postgresql",
    );
    check("postgres://[2001:db8::1]:5433", "2001:db8::1");
    assert!(parsed("postgres:///db?host=/run/postgresql").is_local_socket());
    assert_eq!(
        parsed("postgres://[::1]:5433").to_string(),
        "postgres://[::1]:5433"
    );
}

#[test]
fn refuses_what_would_be_misread() {
    let check = |url, what: &str| assert_eq!(Upstream::parse(url).unwrap_err().what, what);
    check("db:5432", "is not a URL");
    check("mysql://db", "does not start with postgres://");
    check("postgres:///db", "names no host");
    check("postgres://a,b/db", "names several hosts");
    check("postgres://a:5432,b:5433/db", "names several hosts");
    check("postgres://a?ssl=maybe", "has the unknown sslmode `maybe`");
    check(
        "postgres://db:0",
        "has a port that is not a number from 1 to 65535",
    );
    check(
        "postgres://db:65536",
        "has a port that is not a number from 1 to 65535",
    );
    check(
        "postgres://user:secret",
        "has a port that is not a number from 1 to 65535",
    );
    check(
        "postgres://db?sslmode=verify",
        "has the unknown sslmode `verify`",
    );
    check(
        "postgres://db?sslmdoe=require",
        "has the unknown parameter `sslmdoe`",
    );
    check(
        "postgres://db?connect_timeout=601",
        "has the connect_timeout `601`",
    );
    check(
        "postgres://db?sslrootcert=system&sslmode=require",
        "has sslrootcert=system with a weaker sslmode",
    );
    check(
        "postgres://u:100%@db",
        "has a `%` that is not followed by two hexadecimal digits of UTF-8 text",
    );
}

/// As providers and libraries print them.
#[test]
fn takes_urls_as_they_are_handed_out() {
    let host = |url: &str, host: &str| {
        let read = parsed(url);
        assert_eq!(read.host, host, "{url}");
        read
    };
    let neon = host(
        "postgresql://u:p@ep-x-pooler.eu.aws.neon.tech/db?sslmode=require&channel_binding=require",
        "ep-x-pooler.eu.aws.neon.tech",
    );
    assert_eq!(neon.channel_binding, ChannelBinding::Require);
    assert_eq!(neon.tls, TlsMode::Require);
    let neon = host(
        "postgres://u:p@pg.neon.tech/db?options=endpoint%3Dep-x",
        "pg.neon.tech",
    );
    assert_eq!(neon.options.as_deref(), Some("endpoint=ep-x"));
    for (url, name) in [
        (
            "postgresql://postgres.x:p@aws-0-eu.pooler.supabase.com:6543/postgres?pgbouncer=true&connection_limit=1",
            "aws-0-eu.pooler.supabase.com",
        ),
        (
            "postgres://u:p@pooler.supabase.com:6543/postgres?sslmode=require&supa=base-pooler.x",
            "pooler.supabase.com",
        ),
        (
            "postgres://u:p@ec2-1.compute-1.amazonaws.com:5432/d1",
            "ec2-1.compute-1.amazonaws.com",
        ),
        (
            "postgresql://u:p@db.x.rds.amazonaws.com/app?schema=public&pool_timeout=5&socket_timeout=3",
            "db.x.rds.amazonaws.com",
        ),
        (
            "postgresql+psycopg2://u:p@db/app?target_session_attrs=read-write&application_name=x",
            "db",
        ),
        (
            "postgresql+asyncpg://u:p@db/app?prepared_statement_cache_size=0",
            "db",
        ),
        ("postgis://u:p@db/app?conn_max_age=600", "db"),
        (
            "jdbc:postgresql://db:5432/app?user=u&password=p&currentSchema=x&prepareThreshold=0&ssl=true",
            "db",
        ),
        (
            "postgres://u@db/app?gssencmode=disable&sslcompression=0",
            "db",
        ),
        (
            "postgres://u@db/app?pool_max_conns=10&default_query_exec_mode=exec",
            "db",
        ),
        (
            "postgres://u@db/app?search_path=a,b&statement_timeout=5s&TimeZone=UTC",
            "db",
        ),
        (
            "postgres://u@db/app?options[search_path]=a&statement-cache-capacity=1",
            "db",
        ),
    ] {
        host(url, name);
    }
    let liveness = parsed(
        "postgres://db?keepalives_idle=30&keepalives_interval=5&keepalives_count=3&tcp_user_timeout=9000",
    )
    .liveness;
    let expected = Liveness {
        asks: true,
        after: Duration::from_secs(30),
        every: Duration::from_secs(5),
        count: Some(3),
        unacknowledged_max: Some(Duration::from_secs(9)),
    };
    assert_eq!(liveness, expected);
    let off = parsed("postgres://db?keepalives=0&tcp_user_timeout=0&keepalives_idle=0").liveness;
    let expected = Liveness {
        asks: false,
        ..Liveness::default()
    };
    assert_eq!(off, expected);
    for (switch, mode) in [
        ("ssl=true", TlsMode::Require),
        ("ssl", TlsMode::Require),
        ("ssl=verify-full", TlsMode::VerifyFull),
        ("ssl=verify-full&sslmode=require", TlsMode::Require),
        ("sslmode=require&ssl=disable", TlsMode::Require),
        ("ssl=disable", TlsMode::Disable),
        ("ssl=false", TlsMode::Prefer),
    ] {
        assert_eq!(
            parsed(&format!("postgres://db?{switch}")).tls,
            mode,
            "{switch}"
        );
    }
    assert_eq!(
        parsed("postgres://db?sslmode=no-verify").tls,
        TlsMode::Require
    );
    assert_eq!(
        parsed("postgres://db?connect_timeout=0").connect_timeout,
        CONNECT_TIMEOUT_MAX
    );
    assert_eq!(
        parsed("postgres://db?schema=x&pool=5").ignored,
        ["schema", "pool"]
    );
    let frameworks =
        "postgres://db?serverVersion=16&charset=utf8&ApplicationName=x&x-migrations-table=y";
    assert_eq!(parsed(frameworks).ignored.len(), 4);
    let certificate = parsed("postgres://db?sslcert=/a.crt&sslkey=/a.key&sslmode=verify-full");
    assert_eq!(
        certificate.client_certificate,
        Some(ClientCertificate {
            certificate: "/a.crt".into(),
            key: "/a.key".into(),
        })
    );
}

#[test]
fn says_why_a_parameter_is_refused() {
    let check = |url, what: &str| {
        let refusal = Upstream::parse(url).unwrap_err();
        assert_eq!(refusal.what, what, "{url}");
    };
    check("postgres://db?sslcert=/a.crt", "has sslcert without sslkey");
    check("postgres://db?sslkey=/a.key", "has sslkey without sslcert");
    check(
        "postgres://db?sslpassword=x",
        "has sslpassword, and keys with a passphrase are not read",
    );
    check(
        "postgres://db?gssencmode=require",
        "has gssencmode=require, and GSSAPI is not spoken",
    );
    check(
        "postgres://db?service=x",
        "has service, and files of libpq's are not read",
    );
    check(
        "prisma+postgres://db?api_key=x",
        "is the address of a service of Prisma's, not of a PostgreSQL server",
    );
    check(
        "postgres://db?nonsense=1",
        "has the unknown parameter `nonsense`",
    );
}
