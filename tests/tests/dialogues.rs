//! Dialogues chosen by a seed, and those that once showed a difference, bring the same messages
//! from PostgreSQL and through pgmemo: cold, warm, in small pieces, and with hits refused at random.

#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{fs, time::Instant};

use anyhow::Result;
use pgmemo_tests::{
    Version,
    dialogue::{
        generate, notation,
        shrink::shrink,
        stage::{Stage, WAYS},
    },
    env,
    random::{Random, seed},
};

/// How long dialogues are made up when nothing is said, in seconds.
const SECONDS: u64 = 20;

/// Differences after which nobody looks for more.
const DIFFERENCES_MAX: u64 = 1;

#[test]
fn dialogues_made_up_are_the_same() {
    made_up(Version::System).unwrap();
}

fn made_up(version: Version) -> Result<()> {
    let end = Instant::now() + env::seconds("PGMEMO_DIALOGUE_SECONDS", SECONDS);
    let most = env::number("PGMEMO_DIALOGUE_DIFFERENCES", DIFFERENCES_MAX);
    let seed = seed();
    let mut stage = Stage::new(version, seed)?;
    let (mut played, mut messages, mut found) = (0_u64, 0, Vec::new());
    while Instant::now() < end && (found.len() as u64) < most {
        let number = seed.wrapping_add(played);
        let dialogue = generate::dialogue(&mut Random::new(number));
        played += 1;
        messages += dialogue.len();
        let Some(difference) = stage.compare(&dialogue, &WAYS)? else {
            continue;
        };
        println!("PGMEMO_SEED={number}: {difference}\n{dialogue}");
        let shortest = shrink(dialogue, |shorter| {
            Ok(stage.compare(shorter, &WAYS)?.is_some())
        })?;
        let why = stage.compare(&shortest, &WAYS)?;
        let why = why.map_or_else(|| "not always".to_owned(), |why| why.to_string());
        println!("\nshortest: {why}\n{shortest}");
        found.push(format!("{why}\n{shortest}"));
    }
    let (hits, fewer) = stage.hits()?;
    println!(
        "{played} dialogues of {messages} messages; {hits} hits, {fewer} where half are refused"
    );
    println!("not looked up: {}", stage.bypasses()?);
    assert!(found.is_empty(), "{}", found.join("\n\n"));
    assert!(
        hits > played as f64 && fewer > 0.0,
        "{hits} and {fewer} hits in {played} dialogues"
    );
    Ok(())
}

#[test]
fn dialogues_that_once_differed_are_the_same() {
    let folder = env::root().join("tests/golden");
    let mut stage = Stage::new(Version::System, 1).unwrap();
    let mut failures = Vec::new();
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    let wanted = std::env::var("PGMEMO_SCENARIO").unwrap_or_default();
    files.retain(|path| path.to_string_lossy().contains(&wanted));
    files.sort();
    for path in files {
        let name = path.file_name().unwrap().display().to_string();
        let dialogue = notation::read(&fs::read_to_string(&path).unwrap()).unwrap();
        match stage.compare(&dialogue, &WAYS) {
            Ok(None) => {}
            Ok(Some(difference)) => failures.push(format!("--- {name}\n{difference}")),
            // What the last one has left behind may be why.
            Err(error) => {
                failures.push(format!("--- {name}\n{error:?}"));
                break;
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
