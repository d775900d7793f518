//! Definitions that do nothing where something is there already, or is not there.
//!
//! Then the server says so in a notice, whose words may be in any language; but it names the function of
//! its own that says it, and what it is about.

use crate::facts::Name;
use crate::scan::{Kind, Lexeme};
use crate::tokens::{Tokens, is_word};

/// What the server says if it skips a definition.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Skips {
    routines: &'static [&'static str],
    name: Name,
}

impl Skips {
    /// Whether a notice of this function, in these words, says that the definition has done nothing.
    pub fn is_told(&self, routine: &[u8], message: &[u8]) -> bool {
        let names = |name: &str| holds(message, name.as_bytes());
        self.routines.iter().any(|it| it.as_bytes() == routine)
            && (names(&self.name.name) || self.name.schema.as_deref().is_some_and(names))
    }
}

/// The notice by which it is told that this definition has done nothing; `None` if there is none, or if it
/// is about more than one thing, so that others may be there.
pub(crate) fn skips(lexemes: &[Lexeme<'_>]) -> Option<Skips> {
    let mut tokens = Tokens::new(lexemes);
    let routines = if tokens.word("create") {
        made(&mut tokens)?
    } else {
        dropped(&mut tokens)?
    };
    let name = tokens.name()?;
    let (several, nested) = listed(tokens.rest());
    let drops = lexemes.first().is_some_and(|first| is_word(first, "drop"));
    // Constants in the expressions of an index are computed before its name is looked for
    // (`DefineIndex`), by code that is not always as immutable as it says.
    let of_index = routines == INDEX;
    let computes = nested || tokens.rest().iter().any(|it| is_word(it, "where"));
    let may_do_more = drops && several || of_index && computes;
    (!may_do_more).then_some(Skips { routines, name })
}

/// Whether there is a comma outside of parentheses, and whether there are parentheses within
/// parentheses.
fn listed(lexemes: &[Lexeme<'_>]) -> (bool, bool) {
    let (mut several, mut nested, mut depth) = (false, false, 0_usize);
    for lexeme in lexemes {
        if lexeme.kind == Kind::Mark(b'(') {
            depth += 1;
        } else if lexeme.kind == Kind::Mark(b')') {
            depth = depth.saturating_sub(1);
        }
        several |= depth == 0 && lexeme.kind == Kind::Mark(b',');
        nested |= depth > 1;
    }
    (several, nested)
}

/// `CREATE … IF NOT EXISTS`, up to the name.
fn made(tokens: &mut Tokens<'_>) -> Option<&'static [&'static str]> {
    tokens.any(&["unique", "unlogged"]);
    let (_, routines) = MAKERS.iter().find(|(kind, _)| tokens.word(kind))?;
    tokens.words(&["if", "not", "exists"]).then_some(routines)
}

/// `DROP … IF EXISTS`, up to the name.
fn dropped(tokens: &mut Tokens<'_>) -> Option<&'static [&'static str]> {
    let kind = tokens.word("drop") && tokens.any(&DROPPED);
    (kind && tokens.words(&["if", "exists"])).then_some(&DROPPERS)
}

/// Whether a name stands in a text by itself.
fn holds(text: &[u8], name: &[u8]) -> bool {
    let within =
        |byte: Option<&u8>| byte.is_some_and(|it| it.is_ascii_alphanumeric() || *it == b'_');
    let mut places = text.windows(name.len().max(1)).enumerate();
    places.any(|(at, found)| {
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        found == name && !within(before) && !within(text.get(at + name.len()))
    })
}

/// By which functions the server says that it is there already.
const MAKERS: [(&str, &[&str]); 5] = [
    ("extension", &["CreateExtension"]),
    ("index", INDEX),
    ("schema", &["CreateSchemaCommand"]),
    ("sequence", &["DefineSequence"]),
    ("table", &["transformCreateStmt", "CreateTableAsRelExists"]),
];

const INDEX: &[&str] = &["index_create"];

/// And that it is not there.
const DROPPERS: [&str; 2] = ["DropErrorMsgNonExistent", "does_not_exist_skipping"];

const DROPPED: [&str; 12] = [
    "domain",
    "extension",
    "function",
    "index",
    "policy",
    "rule",
    "schema",
    "sequence",
    "table",
    "trigger",
    "type",
    "view",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::lexemes;

    fn told(text: &str, routine: &str, message: &str) -> Option<bool> {
        let lexemes: Vec<Lexeme<'_>> = lexemes(text.as_bytes())
            .filter(|lexeme| !lexeme.kind.is_blank())
            .collect();
        let skips = skips(&lexemes)?;
        Some(skips.is_told(routine.as_bytes(), message.as_bytes()))
    }

    #[test]
    fn what_is_skipped_is_told_by_function_and_name() {
        let exists = "relation \"t\" already exists, skipping";
        let create = "create table if not exists public.t (a int, b int)";
        assert_eq!(told(create, "transformCreateStmt", exists), Some(true));
        assert_eq!(told(create, "exec_stmt_raise", exists), Some(false));
        let other = "relation \"tt\" already exists, skipping";
        assert_eq!(told(create, "transformCreateStmt", other), Some(false));
        let nested = "extension \"plpgsql\" already exists, skipping";
        let extension = "create extension if not exists a";
        assert_eq!(told(extension, "CreateExtension", nested), Some(false));
        let absent = "Funktion f(integer) existiert nicht, wird übersprungen";
        let drop = "drop function if exists f(int, text)";
        assert_eq!(told(drop, "does_not_exist_skipping", absent), Some(true));
    }

    #[test]
    fn what_may_do_more_than_skip_is_not_told() {
        for text in [
            "drop table if exists a, b",
            "drop table a",
            "create table a (b int)",
            "create temp table if not exists a (b int)",
            "create index concurrently if not exists a on b (c)",
            "create index if not exists a on b ((c + 1))",
            "create unique index if not exists a on b (lower(c))",
            "create index if not exists a on b (c) where c > f(1)",
            "create materialized view if not exists a as select 1",
            "alter table if exists a add b int",
            "drop role if exists a",
        ] {
            assert_eq!(told(text, "", ""), None, "{text}");
        }
    }
}
