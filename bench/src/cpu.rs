//! CPU time of processes, with their children.

use std::{collections::HashMap, fs};

use anyhow::{Context, Result};

/// Linux counts in these units whatever the kernel's own ticks are.
const TICKS_PER_SECOND: f64 = 100.0;

/// User and system time so far, in seconds, of a process and all that descend from it, those that
/// have ended and been waited for included.
pub(crate) fn seconds(pid: u32) -> Result<f64> {
    let processes = all()?;
    let root = processes.get(&pid).context("the process is gone")?;
    let mut ticks = root.ticks;
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        for (&child, process) in &processes {
            if process.parent == parent && child != pid {
                ticks += process.ticks;
                parents.push(child);
            }
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

struct Process {
    parent: u32,
    ticks: u64,
}

fn all() -> Result<HashMap<u32, Process>> {
    let mut processes = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if let Some(process) = parse(&stat) {
            processes.insert(pid, process);
        }
    }
    Ok(processes)
}

/// The second field is the program's name in parentheses, which may hold anything.
fn parse(stat: &str) -> Option<Process> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Process {
        parent: fields.get(1)?.parse().ok()?,
        ticks: number(11)? + number(12)? + number(13)? + number(14)?,
    })
}

/// Resident memory of a process in bytes.
pub(crate) fn resident_bytes(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line
        .context("no VmRSS")?
        .trim()
        .trim_end_matches(" kB")
        .parse()?;
    Ok(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_parentheses_do_not_mislead() {
        let stat = "7 (a) b) S 3 7 7 0 -1 0 1 2 3 4 10 20 30 40 20 0 1 0 5";
        let process = parse(stat).unwrap();
        assert_eq!((process.parent, process.ticks), (3, 100));
    }

    #[test]
    fn own_time_grows() {
        let own = std::process::id();
        let before = seconds(own).unwrap();
        let mut sum = 0_u64;
        while seconds(own).unwrap() < before + 0.02 {
            sum = sum.wrapping_add(1);
        }
        assert!(seconds(own).unwrap() > before);
    }
}
