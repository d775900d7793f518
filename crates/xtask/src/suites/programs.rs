//! Test programs that were built elsewhere: one with the harness of Rust, or of Go if its name ends
//! in `.test`.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use pgmemo_tests::wire::{Conn, Login};

use super::{
    kind::{DATABASE, Site, output},
    outcomes::Outcomes,
};
use crate::tools::command;

/// How long one program may take, in seconds.
const SECONDS_MAX: &str = "1200";

/// Runs all programs of a directory, each in a directory of its name with `.d` behind it if there
/// is one, and behind the statements of a file with `.sql`.
pub(super) fn run(home: &Path, site: &Site) -> Result<Outcomes> {
    let (host, port) = site.place();
    let url = format!("postgres://postgres@{host}:{port}/{DATABASE}?sslmode=disable");
    let mut outcomes = Outcomes::default();
    for program in programs(home)? {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let beside = |end: &str| home.join(format!("{name}{end}"));
        if let Ok(statements) = fs::read_to_string(beside(".sql")) {
            Conn::connect(site.server, &Login::to(DATABASE))?.run(&statements)?;
        }
        let mut test = command("timeout");
        test.arg(SECONDS_MAX).arg(&program);
        let is_go = name.ends_with(".test");
        if is_go {
            test.args(["-test.v", "-test.parallel=2"]);
        } else {
            test.arg("--test-threads=1");
        }
        let dir = beside(".d");
        test.current_dir(if dir.is_dir() { &dir } else { home });
        site.tell(&mut test);
        for variable in ["DATABASE_URL", "PG_DATABASE_URL", "PGX_TEST_DATABASE"] {
            test.env(variable, &url);
        }
        let printed = output(&mut test, &site.dir.join(&*name))?;
        outcomes.add_program(&name, is_go, &printed);
    }
    Ok(outcomes)
}

fn programs(home: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(home).with_context(|| home.display().to_string())?;
    let can_run = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
    };
    let mut programs: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    programs.retain(can_run);
    programs.sort();
    Ok(programs)
}
