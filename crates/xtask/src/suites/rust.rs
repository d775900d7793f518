//! The suite of tokio-postgres, from its source package.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use pgmemo_tests::{
    Postgres, env,
    wire::{Conn, Login},
};

use super::{
    kind::{DATABASE, Site, copy, output},
    outcomes::Outcomes,
};
use crate::tools::{cargo, run_quietly, say};

const NAME: &str = "tokio-postgres";
const VERSION: &str = "0.7.18";

/// The types that are tested beside those of the standard library.
const FEATURES: &str = "array-impls,with-bit-vec-0_9,with-chrono-0_4,with-eui48-1,\
    with-geo-types-0_7,with-jiff-0_2,with-serde_json-1,with-smol_str-01,with-time-0_3,with-uuid-1";

/// Where its tests look for a server.
const PORT: &str = "5433";

/// Downloads the package.
pub(super) fn fetch() -> Result<()> {
    let home = home();
    if tree(&home).is_dir() {
        return Ok(());
    }
    say(&format!("fetching the sources of {NAME} {VERSION}"));
    fs::create_dir_all(home.join("src"))?;
    fs::write(home.join("src/lib.rs"), "")?;
    fs::write(
        home.join("Cargo.toml"),
        format!(
            "[package]\nname = \"sources\"\nedition = \"2024\"\n[workspace]\n\
             [dependencies]\n{NAME} = \"={VERSION}\"\n"
        ),
    )?;
    let mut vendor = cargo();
    vendor.current_dir(&home);
    vendor.args(["vendor", "--quiet", "--versioned-dirs", "vendor"]);
    run_quietly(&mut vendor).map(drop)
}

/// Makes the roles, and in their database the extensions, that its tests ask for.
pub(super) fn prepare(postgres: &Postgres) -> Result<()> {
    let mut conn = Conn::connect(postgres.address(), &Login::to("postgres"))?;
    for extension in ["hstore", "citext", "ltree"] {
        conn.run(&format!("CREATE EXTENSION IF NOT EXISTS {extension}"))?;
    }
    let roles = "SELECT count(*) FROM pg_roles WHERE rolname = 'pass_user'";
    if conn.value(roles)? == "0" {
        conn.run("CREATE ROLE pass_user LOGIN; CREATE ROLE ssl_user LOGIN")?;
    }
    conn.run("SET password_encryption = 'md5'")?;
    conn.run("ALTER ROLE md5_user PASSWORD 'password'")?;
    conn.run("SET password_encryption = 'scram-sha-256'")?;
    conn.run("ALTER ROLE scram_user PASSWORD 'password'")?;
    conn.run(&format!("GRANT ALL ON DATABASE {DATABASE} TO pass_user"))
        .map(drop)
}

/// Builds and runs its tests.
pub(super) fn run(site: &Site) -> Result<Outcomes> {
    copy(&tree(&home()), &site.dir)?;
    let tree = site.dir.join(format!("{NAME}-{VERSION}"));
    let (_, port) = site.place();
    for file in ["main.rs", "runtime.rs"] {
        let path = tree.join("tests/test").join(file);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        fs::write(&path, text.replace(PORT, &port))?;
    }
    // It lies within the workspace, and is no part of it.
    let mut manifest = fs::OpenOptions::new()
        .append(true)
        .open(tree.join("Cargo.toml"))?;
    manifest.write_all(b"\n[workspace]\n")?;
    let mut test = cargo();
    test.args(["test", "--test", "test", "--features", FEATURES]);
    test.args(["--", "--test-threads=2"]).current_dir(&tree);
    test.env(
        "CARGO_TARGET_DIR",
        env::target().join("suites/environments/tokio-postgres"),
    );
    site.tell(&mut test);
    let printed = output(&mut test, &site.dir.join("output"))?;
    Ok(Outcomes::of_cargo(&printed))
}

fn home() -> PathBuf {
    env::target().join(format!("suites/sources/{NAME}-{VERSION}"))
}

fn tree(home: &Path) -> PathBuf {
    home.join(format!("vendor/{NAME}-{VERSION}"))
}
