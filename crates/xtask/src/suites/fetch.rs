//! Source packages, unpacked into the target directory.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use pgmemo_tests::env;

use crate::{
    setup,
    tools::{command, run_quietly, say},
};

/// A source package of Python, and what it needs to run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sources {
    /// Name and version of the package.
    pub(super) package: (&'static str, &'static str),
    /// Packages for its environment.
    pub(super) needs: &'static [&'static str],
}

impl Sources {
    /// Downloads and installs what is not there yet.
    pub(super) fn fetch(self) -> Result<()> {
        setup::environment(&self.environment(), self.needs)?;
        if self.tree().is_ok() {
            return Ok(());
        }
        let (name, version) = self.package;
        say(&format!("fetching the sources of {name} {version}"));
        let _ = fs::remove_dir_all(self.home());
        fs::create_dir_all(self.home())?;
        let mut pip = command(self.python());
        pip.args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
        ]);
        pip.args([
            "--no-deps",
            "--no-binary",
            name,
            &format!("{name}=={version}"),
            "--dest",
        ]);
        run_quietly(pip.arg(self.home()))?;
        let archive = only(&self.home(), |path| {
            path.extension().is_some_and(|end| end == "gz")
        })?;
        let mut tar = command("tar");
        run_quietly(tar.arg("-xzf").arg(archive).arg("-C").arg(self.home()))?;
        self.tree().map(drop)
    }

    /// Where the sources lie.
    pub(super) fn tree(self) -> Result<PathBuf> {
        only(&self.home(), Path::is_dir)
    }

    /// The interpreter that finds what the tests need.
    pub(super) fn python(self) -> PathBuf {
        self.environment().join("bin/python")
    }

    fn home(self) -> PathBuf {
        let (name, version) = self.package;
        env::target()
            .join("suites/sources")
            .join(format!("{name}-{version}"))
    }

    fn environment(self) -> PathBuf {
        env::target()
            .join("suites/environments")
            .join(self.package.0)
    }
}

/// The one entry of a directory that fits.
fn only(dir: &Path, fits: impl Fn(&Path) -> bool) -> Result<PathBuf> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut found = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| fits(path));
    found
        .next()
        .with_context(|| format!("nothing fits in {}", dir.display()))
}
