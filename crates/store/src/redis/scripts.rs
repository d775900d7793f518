//! The Lua that alone changes what is shared, and how it is run.
//!
//! Every script keeps to the keys of one database, which share a hash tag and so a slot.

use std::sync::LazyLock;

use fred::types::Value;

use super::{
    line::{Line, Patience},
    resp::{Command, command},
    verify::Trust,
    wire::Fault,
};
use crate::Trouble;

/// A script and the digest by which Redis remembers it.
#[derive(Debug)]
pub(super) struct Script {
    text: &'static str,
    digest: String,
}

impl Script {
    fn new(text: &'static str) -> Self {
        Self {
            text,
            digest: fred::util::sha1_hash(text),
        }
    }

    /// The command that makes Redis remember it.
    pub(super) fn load(&self) -> Command {
        command("SCRIPT", ["LOAD".into(), self.text.into()])
    }

    /// The command that runs it without keys and arguments, remembered or not.
    pub(super) fn call(&self) -> Command {
        command("EVAL", [self.text.into(), 0_u32.into()])
    }

    /// Runs it. Not cancel safe: cancelled, it may have run.
    pub(super) async fn run(
        &self,
        (line, trust): (&Line, &Trust),
        patience: Patience,
        keys: Vec<Value>,
        arguments: Vec<Value>,
    ) -> Result<Vec<Value>, Trouble> {
        let count = Value::from(u32::try_from(keys.len()).unwrap_or(u32::MAX));
        let mut rest = vec![count];
        rest.extend(keys);
        rest.extend(arguments);
        let by = |name, script: &str| {
            command(
                name,
                std::iter::once(script.into()).chain(rest.iter().cloned()),
            )
        };
        let reply = match line
            .ask_one(trust, patience, by("EVALSHA", &self.digest))
            .await
        {
            // It has not run, so it may be sent again.
            Err(Fault::Said(error)) if error.starts_with("NOSCRIPT") => {
                line.ask_one(trust, patience, by("EVAL", self.text)).await
            }
            reply => reply,
        };
        reply
            .map(Value::into_array)
            .map_err(|error| line.blame(trust, &error))
    }
}

macro_rules! identity {
    () => {
        include_str!("scripts/identity.lua")
    };
}

macro_rules! post {
    () => {
        concat!(
            include_str!("scripts/legible.lua"),
            include_str!("scripts/post.lua")
        )
    };
}

/// Names the server behind a connection and its term as a master; nil if it is a replica.
///
/// A restart and a promotion both give a new name. Whoever sees the same name twice has talked to
/// one process that was the master all the while, or ceased to be and returned between two looks.
pub(super) static IDENTITY: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(identity!(), include_str!("scripts/verify.lua"))));

/// Claims a database for the server's term, and keeps this instance among its members.
pub(super) static KEEP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        identity!(),
        post!(),
        include_str!("scripts/keep.lua")
    ))
});

/// Makes a claim last, or ends it, if it is the asker's.
pub(super) static CLAIM: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/claim.lua")));

/// Tells what was read first under an epoch.
pub(super) static PRINT: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/print.lua")));

/// Reads and changes version objects.
pub(super) static VERSIONS: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(post!(), include_str!("scripts/versions.lua"))));

/// Keeps the members of a ledger.
pub(super) static LEDGER: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("scripts/legible.lua"),
        include_str!("scripts/ledger.lua")
    ))
});

#[cfg(test)]
mod tests;
