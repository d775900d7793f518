//! PostgreSQL's own regression scripts, each read in them run twice.
//!
//! What they should print is not asked: the server is, directly. The data that their tables are
//! loaded from is not in the package; rows of the same form are made here.

use std::{
    fmt::Write as _,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use pgmemo_tests::{
    net::eventually,
    wire::{Conn, Login},
};

use super::{
    kind::{DATABASE, Site, copy},
    outcomes::Outcomes,
    reread::reread,
    source::scheduled,
};
use crate::tools::{command, run_quietly};

/// Scripts that make what others use.
const FIRST: [&str; 12] = [
    "test_setup",
    "create_function_c",
    "create_misc",
    "create_operator",
    "create_procedure",
    "create_table",
    "create_type",
    "create_function_sql",
    "create_view",
    "copy",
    "create_index",
    "create_aggregate",
];

/// Scripts that leave casts and operators between the server's types and their own, or that need
/// [`CLASSES`]. While these are there, few reads are looked up.
const LAST: [&str; 6] = [
    "hash_part",
    "insert",
    "partition_prune",
    "alter_table",
    "create_cast",
    "equivclass",
];

/// How the statements begin by which `test_setup` makes operator classes for the server's types.
const CLASSES: &str = "create operator class";

/// Scripts that need files beside them, or only load the machine.
const LEFT_OUT: [&str; 3] = ["tablespace", "infinite_recurse", "numeric_big"];

/// Scripts that list rows in the order of OIDs as text.
const BY_OID: [&str; 3] = ["alter_table", "opr_sanity", "type_sanity"];

/// How long one script may take, in seconds.
const SECONDS_MAX: &str = "300";

/// How long pgmemo may stay in a database without clients.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// What `pg_regress` sets for its database.
const SETTINGS: [&str; 7] = [
    "extra_float_digits = 0",
    "lc_messages = 'C'",
    "lc_monetary = 'C'",
    "lc_numeric = 'C'",
    "lc_time = 'C'",
    "bytea_output = 'hex'",
    "timezone_abbreviations = 'Default'",
];

/// Runs all scripts in one database. The outcome of a script is what psql printed.
///
/// They are those of a `whole` source if there is one, which has files of data as well.
pub(super) fn run(scripts: &Path, whole: Option<&Path>, site: &Site) -> Result<Outcomes> {
    let dir = site.dir.join("made");
    for part in ["data", "lib", "results", "sql"] {
        fs::create_dir_all(dir.join(part))?;
    }
    libraries(whole, &dir.join("lib"))?;
    let mut scripts = scripts.to_owned();
    if let Some(whole) = whole {
        copy(&whole.join("data"), &dir)?;
        scripts = whole.join("sql");
    } else {
        fs::write(dir.join("data/tenk.data"), rows(10_000))?;
        fs::write(dir.join("data/onek.data"), rows(1_000))?;
    }
    // The server reads and writes these files as its own user.
    run_quietly(command("chmod").args(["-R", "a+rwX"]).arg(&dir))?;
    let mut postgres = Conn::connect(site.server, &Login::to("postgres"))?;
    for setting in SETTINGS {
        postgres.run(&format!("ALTER DATABASE {DATABASE} SET {setting}"))?;
    }
    let mut outcomes = Outcomes::default();
    let mut classes = String::new();
    for name in order(&scripts, whole)? {
        // Names have dots in them.
        let file = format!("{name}.sql");
        let script = fs::read(scripts.join(&file)).with_context(|| file.clone())?;
        let mut script = String::from_utf8_lossy(&script).into_owned();
        if name == "test_setup" {
            (script, classes) = without_classes(&script);
        }
        if LAST.first() == Some(&name.as_str()) {
            script.insert_str(0, &classes);
        }
        let twice = dir.join("sql").join(&file);
        fs::write(&twice, reread(&script))?;
        outcomes.add(
            &name,
            &digest(&name, &psql_output(&twice, &dir, site)?, &dir),
        );
        if name == "test_setup" {
            vacuum(site)?;
        }
    }
    Ok(outcomes)
}

/// A script without its operator classes, and these.
fn without_classes(script: &str) -> (String, String) {
    let (mut rest, mut classes) = (String::new(), String::new());
    let mut within = false;
    for line in script.split_inclusive('\n') {
        within |= line.starts_with(CLASSES);
        let part = if within { &mut classes } else { &mut rest };
        part.push_str(line);
        within &= !line.trim_end().ends_with(';');
    }
    (rest, classes)
}

/// Marks the rows of the large tables as visible to all, so that plans depend on nothing else.
///
/// The script does it right behind their making, when pgmemo reads the catalog: what is open
/// anywhere in the database keeps VACUUM from it.
fn vacuum(site: &Site) -> Result<()> {
    let mut postgres = Conn::connect(site.server, &Login::to("postgres"))?;
    let others = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{DATABASE}'");
    eventually("all to leave the database", WAIT_MAX, || {
        (postgres.value(&others).ok()? == "0").then_some(())
    })?;
    let mut conn = Conn::connect(site.server, &Login::to(DATABASE))?;
    for table in ["onek", "onek2", "tenk1", "tenk2"] {
        conn.run(&format!("VACUUM {table}"))?;
    }
    Ok(())
}

/// The order of the schedule if there is one, else that of names; some come first or last.
fn order(scripts: &Path, whole: Option<&Path>) -> Result<Vec<String>> {
    let rest = match whole {
        Some(whole) => {
            let schedule = fs::read_to_string(whole.join("parallel_schedule"))?;
            scheduled(&schedule)
                .into_iter()
                .map(str::to_owned)
                .collect()
        }
        None => sorted(scripts)?,
    };
    // In place, as the source has it, a tablespace needs no directory.
    let left_out = LEFT_OUT
        .iter()
        .filter(|&&name| whole.is_none() || name != "tablespace");
    let first: &[&str] = if whole.is_some() { &[] } else { &FIRST };
    let listed: Vec<_> = first.iter().chain(&LAST).chain(left_out).copied().collect();
    let rest = rest
        .into_iter()
        .filter(|name| !listed.contains(&name.as_str()));
    let owned = |name: &&str| (*name).to_owned();
    Ok(first
        .iter()
        .map(owned)
        .chain(rest)
        .chain(LAST.iter().map(owned))
        .collect())
}

fn sorted(scripts: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(scripts).with_context(|| scripts.display().to_string())?;
    let names = entries.flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        Some(name.strip_suffix(".sql")?.to_owned())
    });
    let mut names: Vec<_> = names.collect();
    names.sort();
    ensure!(!names.is_empty(), "no scripts in {}", scripts.display());
    Ok(names)
}

/// Puts the server's libraries into a directory, and the one with the functions of the scripts if
/// it was built in the source.
fn libraries(whole: Option<&Path>, dir: &Path) -> Result<()> {
    let mut places = vec![library()?];
    places.extend(whole.map(Path::to_owned));
    for place in places {
        let entries = fs::read_dir(&place).with_context(|| place.display().to_string())?;
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.extension().is_some_and(|end| end == "so") {
                copy(&path, dir)?;
            }
        }
    }
    Ok(())
}

fn psql_output(script: &Path, dir: &Path, site: &Site) -> Result<String> {
    let path = dir
        .join("results")
        .join(script.file_stem().unwrap_or_default());
    let file = fs::File::create(&path)?;
    let mut psql = command("timeout");
    psql.args([SECONDS_MAX, "psql", "-X", "-a", "-q", "-d", DATABASE]);
    psql.args(["-v", "HIDE_TABLEAM=on", "-v", "HIDE_TOAST_COMPRESSION=on"]);
    psql.stdin(fs::File::open(script)?)
        .stdout(file.try_clone()?)
        .stderr(file);
    psql.env("PGHOST", site.address.ip().to_string());
    psql.env("PGPORT", site.address.port().to_string());
    psql.env("PGUSER", "postgres").env("PGTZ", "PST8PDT");
    psql.env("PGDATESTYLE", "Postgres, MDY")
        .env("PG_DLSUFFIX", ".so");
    psql.env("PG_ABS_SRCDIR", dir).env("PG_ABS_BUILDDIR", dir);
    psql.env("PG_LIBDIR", dir.join("lib"));
    psql.env("PGOPTIONS", "-c intervalstyle=postgres_verbose");
    psql.status()?;
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

/// Where the libraries of the server lie.
pub(super) fn library() -> Result<PathBuf> {
    let bin = pgmemo_tests::Version::System.bin()?;
    Ok(bin
        .parent()
        .context("a bin directory has a parent")?
        .join("lib"))
}

/// A digest of what was printed, without what is new in each database: OIDs and other large
/// numbers, and the place of the files.
pub(super) fn digest(name: &str, output: &str, dir: &Path) -> String {
    let place = dir.to_string_lossy();
    let mut lines: Vec<String> = output.lines().map(|line| settled(line, &place)).collect();
    if BY_OID.contains(&name) {
        lines.sort();
    }
    let mut hasher = DefaultHasher::new();
    lines.hash(&mut hasher);
    format!("printed {} lines, {:016x}", lines.len(), hasher.finish())
}

fn settled(line: &str, place: &str) -> String {
    let mut settled = line.replace(place, "");
    let numbers = line.split(|sign: char| !sign.is_ascii_digit());
    for number in numbers.filter(|number| number.len() >= 5) {
        settled = settled.replacen(number, "N", 1);
    }
    // Columns are as wide as their widest value.
    settled.retain(|sign| sign != ' ' && sign != '-');
    settled
}

/// Rows of the form that `tenk1` and `onek` have.
fn rows(count: u32) -> String {
    const LAST: [&str; 4] = ["AAAAxx", "HHHHxx", "OOOOxx", "VVVVxx"];
    let name = |mut number: u32| {
        let mut letters = String::new();
        for _ in 0..6 {
            letters.push(char::from(b'A' + u8::try_from(number % 26).unwrap_or(0)));
            number /= 26;
        }
        letters
    };
    let mut text = String::new();
    for second in 0..count {
        // 7,919 is prime, so that each number comes once, in no order.
        let first = second * 7_919 % count;
        let parts =
            [2, 4, 10, 20, 100, 1_000, 2_000, 5_000, 10_000].map(|n| (first % n).to_string());
        let odd = first % 100 * 2;
        let last = LAST.get((second % 4) as usize).copied().unwrap_or_default();
        let _ = writeln!(
            text,
            "{first}\t{second}\t{}\t{odd}\t{}\t{}\t{}\t{last}",
            parts.join("\t"),
            odd + 1,
            name(first),
            name(second),
        );
    }
    text
}
