//! Conversations that are read and reviewed.
//!
//! In `golden/*.txt`, `a>` is what a client sends at once; what follows up to the next such line
//! is what comes of it: questions to the store, what reaches the server, and what the client reads.
//! Set `GOLDEN=write` to write down what happens now.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use super::{
    message::{self, show_server},
    world::{Client, World},
};

/// The transcript of a conversation whose client lines are those of `text`.
fn transcript(text: &str) -> String {
    let mut world = World::new(None);
    let mut clients: BTreeMap<String, Client> = BTreeMap::new();
    let mut out = String::new();
    for line in text.lines() {
        if line.is_empty() || line.starts_with('#') {
            writeln!(out, "{line}").unwrap();
        }
        let Some((name, burst)) = line.split_once("> ").filter(|(name, _)| name.len() == 1) else {
            continue;
        };
        writeln!(out, "{line}").unwrap();
        let client = clients
            .entry(name.to_owned())
            .or_insert_with(|| Client::new(&world, name));
        for message in split(burst) {
            client.send(&message::read(message));
        }
        client.settle(&mut world, None);
        for event in world.events.borrow_mut().drain(..) {
            writeln!(out, "   {event}").unwrap();
        }
        let received = client.received.split();
        if !received.is_empty() {
            writeln!(out, "{name}< {}", show_server(&received).join(", ")).unwrap();
        }
    }
    out
}

/// Cuts at commas outside of quotes.
fn split(burst: &str) -> Vec<&str> {
    let mut quoted = false;
    let parts = burst.split(|c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    parts.map(str::trim).collect()
}

#[test]
fn conversations_go_as_written() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/tests/golden"));
    let mut changed = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let now = transcript(&text);
        if now == text {
            continue;
        }
        if std::env::var_os("GOLDEN").is_some() {
            fs::write(&path, now).unwrap();
            continue;
        }
        let differs = now.lines().zip(text.lines()).position(|(a, b)| a != b);
        let at = differs.unwrap_or(0);
        let part = |text: &str| text.lines().skip(at).take(6).collect::<Vec<_>>().join("\n");
        changed.push(format!(
            "{}:{}\nwritten:\n{}\nnow:\n{}\n",
            path.file_name().unwrap().display(),
            at + 1,
            part(&text),
            part(&now)
        ));
    }
    assert!(changed.is_empty(), "{}", changed.join("\n"));
}
