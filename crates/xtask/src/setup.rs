//! `setup`: everything that tests and demo need and that a checkout does not bring.
//!
//! Debian packages are installed for the machine; all else goes into `.cache` of the checkout.
//! Each step looks first, and does nothing when there is nothing to do.

mod drivers;
mod packages;
mod postgres;

use anyhow::{Result, bail};

pub(crate) use drivers::{environment, node_packages};
pub(crate) use packages::{Need, install};

/// Newer server versions that can be fetched; 18 always is.
const VERSIONS: [&str; 3] = ["16", "17", "18"];

/// Installs what is missing, and these versions of PostgreSQL beside 18.
pub(crate) fn run(versions: &[&str]) -> Result<()> {
    servers()?;
    install(&[
        Need::program("pgbouncer", &["pgbouncer"]),
        Need::program("chromium", &["chromium"]),
    ])?;
    postgres::fetch("18")?;
    for &version in versions {
        if !VERSIONS.contains(&version) {
            bail!(
                "no PostgreSQL {version} to fetch; choose among {}",
                VERSIONS.join(", ")
            );
        }
        postgres::fetch(version)?;
    }
    drivers::python()?;
    drivers::node()
}

/// Installs the servers of the distribution alone; the demo needs no more.
pub(crate) fn servers() -> Result<()> {
    install(&[
        Need::postgres(),
        Need::program("redis-server", &["redis-server"]),
    ])
}
