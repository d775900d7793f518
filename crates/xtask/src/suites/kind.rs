//! Which suites there are, and how each is started.

use std::{
    env,
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use pgmemo_tests::Postgres;

use super::{fetch::Sources, node, outcomes::Outcomes, programs, regress, rust, source};
use crate::tools::{command, run_quietly};

/// A suite.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Suite {
    Asyncpg,
    Psycopg2,
    Psycopg,
    Django,
    Sqlalchemy,
    Pg,
    PostgresJs,
    TokioPostgres,
    Regress,
    Isolation,
    LibpqPipeline,
    Pg8000,
    Peewee,
    Alembic,
    Programs,
}

/// Where a suite runs.
#[derive(Debug)]
pub(super) struct Site {
    /// PostgreSQL itself.
    pub(super) server: SocketAddr,
    /// What is tested.
    pub(super) address: SocketAddr,
    /// Where its output goes.
    pub(super) dir: PathBuf,
}

/// The database that suites use.
pub(super) const DATABASE: &str = "suite";

/// The variable that names a checkout of PostgreSQL itself.
const POSTGRES: &str = "PGMEMO_SUITE_POSTGRES";

/// How long one run of one suite may take, in seconds.
const SECONDS_MAX: &str = "5400";

/// The parts of Django's suite that speak with the database in ways of their own.
const DJANGO: [&str; 14] = [
    "backends",
    "queries",
    "transactions",
    "aggregation",
    "expressions",
    "postgres_tests",
    "lookup",
    "annotations",
    "select_for_update",
    "prefetch_related",
    "basic",
    "model_fields",
    "schema",
    "migrations",
];

/// The parts of SQLAlchemy's suite that need a database, but for the 8,671 tests that are made up of
/// types and operators, which take longer than all others.
const SQLALCHEMY: [&str; 6] = [
    "--ignore=test/dialect/postgresql/test_types.py",
    "test/dialect/postgresql",
    "test/dialect/test_suite.py",
    "test/sql",
    "test/orm",
    "test/engine",
];

const DJANGO_SETTINGS: &str = include_str!("../../../../tests/suites/django_settings.py");

impl Suite {
    pub(super) const ALL: [Self; 15] = [
        Self::Asyncpg,
        Self::Psycopg2,
        Self::Psycopg,
        Self::Django,
        Self::Sqlalchemy,
        Self::Pg,
        Self::PostgresJs,
        Self::TokioPostgres,
        Self::Regress,
        Self::Isolation,
        Self::LibpqPipeline,
        Self::Pg8000,
        Self::Peewee,
        Self::Alembic,
        Self::Programs,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Asyncpg => "asyncpg",
            Self::Psycopg2 => "psycopg2",
            Self::Psycopg => "psycopg",
            Self::Django => "django",
            Self::Sqlalchemy => "sqlalchemy",
            Self::Pg => "pg",
            Self::PostgresJs => "postgres.js",
            Self::TokioPostgres => "tokio-postgres",
            Self::Regress => "regress",
            Self::Isolation => "isolation",
            Self::LibpqPipeline => "libpq_pipeline",
            Self::Pg8000 => "pg8000",
            Self::Peewee => "peewee",
            Self::Alembic => "alembic",
            Self::Programs => "programs",
        }
    }

    /// The source package of Python it comes from, if it does.
    const fn sources(self) -> Option<Sources> {
        Some(match self {
            Self::Pg
            | Self::PostgresJs
            | Self::TokioPostgres
            | Self::Isolation
            | Self::LibpqPipeline
            | Self::Programs => return None,
            Self::Asyncpg => Sources {
                package: ("asyncpg", "0.32.0"),
                needs: &[
                    "asyncpg==0.32.0",
                    "pytest==9.2.0",
                    "distro",
                    "uvloop==0.23.0",
                ],
            },
            Self::Psycopg2 => Sources {
                package: ("psycopg2", "2.9.13"),
                needs: &["psycopg2-binary==2.9.13", "pytest==9.2.0"],
            },
            Self::Psycopg => Sources {
                package: ("psycopg", "3.3.9"),
                needs: &[
                    "psycopg[binary,pool]==3.3.9",
                    "pytest==9.2.0",
                    "anyio==4.16.0",
                    "pproxy==2.7.9",
                ],
            },
            Self::Django => Sources {
                package: ("django", "5.2.19"),
                needs: &["django==5.2.19", "psycopg[binary]==3.3.9"],
            },
            Self::Sqlalchemy => Sources {
                package: ("sqlalchemy", "2.1.9"),
                needs: &[
                    "sqlalchemy==2.1.9",
                    "psycopg[binary]==3.3.9",
                    "greenlet",
                    "pytest==9.2.0",
                ],
            },
            Self::Regress => Sources {
                package: ("pglast", "5.10"),
                needs: &[],
            },
            Self::Peewee => Sources {
                package: ("peewee", "4.5.3"),
                needs: &["psycopg2-binary==2.9.13"],
            },
            Self::Alembic => Sources {
                package: ("alembic", "1.20.1"),
                needs: &["alembic==1.20.1", "psycopg[binary]==3.3.9", "pytest==9.2.0"],
            },
            Self::Pg8000 => Sources {
                package: ("pg8000", "1.31.6"),
                needs: &[
                    "pg8000==1.31.6",
                    "pytest==9.2.0",
                    "pytest-benchmark",
                    "pytest-mock",
                    "pytz",
                ],
            },
        })
    }

    /// The variable that names a checkout of a suite that no package carries.
    const fn variable(self) -> Option<&'static str> {
        match self {
            Self::Psycopg => Some("PGMEMO_SUITE_PSYCOPG"),
            Self::Pg => Some("PGMEMO_SUITE_PG"),
            Self::PostgresJs => Some("PGMEMO_SUITE_POSTGRES_JS"),
            Self::Isolation | Self::LibpqPipeline => Some(POSTGRES),
            Self::Peewee => Some("PGMEMO_SUITE_PEEWEE"),
            Self::Programs => Some("PGMEMO_SUITE_PROGRAMS"),
            Self::Asyncpg
            | Self::Psycopg2
            | Self::Django
            | Self::Sqlalchemy
            | Self::TokioPostgres
            | Self::Pg8000
            | Self::Alembic
            | Self::Regress => None,
        }
    }

    /// Whether it can be run here.
    pub(super) fn can_be_had(self) -> bool {
        self.variable()
            .is_none_or(|name| env::var_os(name).is_some())
    }

    /// The checkout it runs from.
    fn checkout(self) -> Result<PathBuf> {
        let name = self.variable().context("it needs no checkout")?;
        let path = env::var_os(name).with_context(|| format!("{name} names no checkout"))?;
        Ok(path.into())
    }

    /// Whether it leaves its database as it must not find it.
    pub(super) const fn needs_fresh(self) -> bool {
        matches!(
            self,
            Self::Regress
                | Self::Sqlalchemy
                | Self::Alembic
                | Self::Isolation
                | Self::LibpqPipeline
                | Self::Programs
        )
    }

    /// Downloads and installs what is not there yet.
    pub(super) fn fetch(self) -> Result<()> {
        if let Some(sources) = self.sources() {
            return sources.fetch();
        }
        if self == Self::TokioPostgres {
            return rust::fetch();
        }
        if self == Self::Pg {
            node::fetch_pg()?;
        }
        Ok(())
    }

    /// Makes its database anew.
    pub(super) fn prepare(self, postgres: &Postgres) -> Result<()> {
        let mut conn = postgres.connect("postgres")?;
        conn.run(&format!("DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)"))?;
        conn.run(&format!("CREATE DATABASE {DATABASE} TEMPLATE template0"))?;
        if self == Self::Peewee {
            conn.run("DROP DATABASE IF EXISTS peewee_test WITH (FORCE)")?;
            conn.run("CREATE DATABASE peewee_test TEMPLATE template0")?;
            postgres
                .connect("peewee_test")?
                .run("CREATE EXTENSION hstore")?;
        }
        if matches!(self, Self::Sqlalchemy | Self::Alembic) {
            postgres.connect(DATABASE)?.run(
                "CREATE SCHEMA test_schema; CREATE SCHEMA test_schema_2; CREATE EXTENSION hstore; \
                 CREATE EXTENSION citext; CREATE EXTENSION pgcrypto; \
                 ALTER DATABASE suite SET default_text_search_config = 'pg_catalog.english'",
            )?;
        }
        if self == Self::TokioPostgres {
            rust::prepare(postgres)?;
        }
        Ok(())
    }

    /// Runs it from a copy of its sources.
    pub(super) fn run(self, site: &Site) -> Result<Outcomes> {
        let outcomes = match self {
            Self::Pg => node::pg(&self.checkout()?, site)?,
            Self::PostgresJs => node::postgres_js(&self.checkout()?, site)?,
            Self::TokioPostgres => rust::run(site)?,
            Self::Isolation => source::isolation(&self.checkout()?, site)?,
            Self::LibpqPipeline => source::pipelines(&self.checkout()?, site)?,
            Self::Programs => programs::run(&self.checkout()?, site)?,
            Self::Asyncpg
            | Self::Psycopg2
            | Self::Psycopg
            | Self::Django
            | Self::Sqlalchemy
            | Self::Pg8000
            | Self::Peewee
            | Self::Alembic
            | Self::Regress => self.run_sources(site)?,
        };
        ensure!(
            !outcomes.summary().is_empty(),
            "no test was run; see {}",
            site.dir.display()
        );
        Ok(outcomes)
    }

    fn run_sources(self, site: &Site) -> Result<Outcomes> {
        let sources = self.sources().context("no source package")?;
        let tree = match self.variable() {
            Some(_) => self.checkout()?,
            None => sources.tree()?,
        };
        if self == Self::Regress {
            let scripts = tree.join("libpg_query/test/sql/postgres_regress");
            let whole =
                env::var_os(POSTGRES).map(|path| PathBuf::from(path).join("src/test/regress"));
            return regress::run(&scripts, whole.as_deref(), site);
        }
        let mut suite = command("timeout");
        suite.arg(SECONDS_MAX).arg(sources.python());
        self.arrange(&tree, site, &mut suite)?;
        site.tell(&mut suite);
        let output = output(&mut suite, &site.dir.join("output"))?;
        Ok(if matches!(self, Self::Django | Self::Peewee) {
            Outcomes::of_django(&output)
        } else {
            Outcomes::of_pytest(&output)
        })
    }

    /// Copies what a suite needs, and adds its arguments.
    fn arrange(self, tree: &Path, site: &Site, suite: &mut Command) -> Result<()> {
        let copy = |part: &str| copy(&tree.join(part), &site.dir);
        let (host, port) = site.place();
        suite.current_dir(&site.dir);
        if self == Self::Django {
            copy("tests")?;
            fs::write(site.dir.join("tests/suite_settings.py"), DJANGO_SETTINGS)?;
            suite.current_dir(site.dir.join("tests"));
            suite.args(["runtests.py", "--settings=suite_settings", "--parallel=1"]);
            suite.args(["--noinput", "-v", "2"]).args(DJANGO);
            return Ok(());
        }
        if self == Self::Peewee {
            for part in ["peewee.py", "playhouse", "pwiz.py", "runtests.py", "tests"] {
                copy(part)?;
            }
            suite.args(["runtests.py", "-e", "postgres", "-v", "2"]);
            let place = [("host", &*host), ("port", &port), ("user", "postgres")];
            for (what, value) in place {
                suite.arg(format!("--psql-{what}={value}"));
            }
            return Ok(());
        }
        suite.args(["-m", "pytest", "-q", "-rA"]);
        self.arrange_pytest(tree, site, suite)
    }

    fn arrange_pytest(self, tree: &Path, site: &Site, suite: &mut Command) -> Result<()> {
        let copy = |part: &str| copy(&tree.join(part), &site.dir);
        let (host, port) = site.place();
        let url = format!("postgresql+psycopg://postgres@{host}:{port}/{DATABASE}");
        match self {
            Self::Psycopg => {
                copy("tests")?;
                copy("pyproject.toml")?;
                let dsn = format!("host={host} port={port} user=postgres dbname={DATABASE}");
                suite.args(["-m", "not slow and not timing", "--test-dsn", &dsn, "tests"]);
            }
            Self::Sqlalchemy => {
                for part in ["lib", "test", "setup.cfg", "pyproject.toml"] {
                    copy(part)?;
                }
                suite.args(["--dburi", &url, "--backend-only"]);
                suite.args(SQLALCHEMY);
            }
            Self::Alembic => {
                for part in ["alembic", "tests", "setup.cfg", "pyproject.toml"] {
                    copy(part)?;
                }
                suite.args(["--dburi", &url, "tests"]);
            }
            Self::Pg8000 => {
                copy("test")?;
                // What is in its documentation is asked of a server elsewhere.
                suite.args([
                    "--ignore=test/test_readme.py",
                    "--benchmark-disable",
                    "test",
                ]);
            }
            Self::Asyncpg
            | Self::Psycopg2
            | Self::Django
            | Self::Pg
            | Self::PostgresJs
            | Self::TokioPostgres
            | Self::Regress
            | Self::Isolation
            | Self::LibpqPipeline
            | Self::Peewee
            | Self::Programs => {
                copy("tests")?;
                suite.arg("tests");
            }
        }
        Ok(())
    }
}

impl Site {
    /// Tells a suite where to find what is tested.
    pub(super) fn tell(&self, suite: &mut Command) {
        let (host, port) = self.place();
        suite.env("PGHOST", &host).env("PGPORT", &port);
        suite.env("PGUSER", "postgres").env("PGDATABASE", DATABASE);
        suite.env("PSYCOPG2_TESTDB_HOST", &host);
        suite.env("PSYCOPG2_TESTDB_PORT", &port);
        suite.env("PSYCOPG2_TESTDB_USER", "postgres");
        suite.env("PSYCOPG2_TESTDB", DATABASE);
    }

    /// Host and port of what is tested.
    pub(super) fn place(&self) -> (String, String) {
        (
            self.address.ip().to_string(),
            self.address.port().to_string(),
        )
    }
}

pub(super) fn copy(part: &Path, into: &Path) -> Result<()> {
    run_quietly(command("cp").arg("-R").arg(part).arg(into)).map(drop)
}

/// What a suite prints, which also stays in a file. Suites fail where tests do, at the server too.
pub(super) fn output(suite: &mut Command, path: &Path) -> Result<String> {
    let file = File::create(path)?;
    suite.stdout(file.try_clone()?).stderr(file);
    let status = suite.status()?;
    let mut printed = String::from_utf8_lossy(&fs::read(path)?).into_owned();
    // As `timeout` says it.
    if status.code() == Some(124) {
        printed.push_str("\nNot done in time ... ERROR\n");
    }
    Ok(printed)
}
