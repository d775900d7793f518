//! What the words of a statement say about its writes, without a grammar.
//!
//! Every INSERT, UPDATE, DELETE and MERGE, at whatever depth, shows its keywords followed by its
//! target; every call shows a name before a `(`. Reading these from the lexemes bounds the writes
//! of any statement, the parser's opinion aside.
//!
//! Invariant: too much is listed rather than too little. What cannot be named is
//! [`Bound::Everything`].

use catalog::Event;
use foldhash::HashSet;

use crate::calls::is_call;
use crate::facts::{Bound, Lexical, Name, Target};
use crate::reports::{is_report, texts, words};
use crate::scan::{Kind, Lexeme};
use crate::tokens::{Tokens, identifier, is_any, is_star, is_word};

/// What a SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES, TABLE or WITH may write.
pub(crate) fn bound(lexemes: &[Lexeme<'_>]) -> Bound {
    bound_within(lexemes, false)
}

/// The same; `within` a text that another statement holds.
fn bound_within(lexemes: &[Lexeme<'_>], within: bool) -> Bound {
    let mut reader = Reader {
        within,
        ..Reader::default()
    };
    for (index, lexeme) in lexemes.iter().enumerate() {
        let before = lexemes.get(..index).unwrap_or_default();
        let after = lexemes.get(index + 1..).unwrap_or_default();
        let known = match lexeme.kind {
            Kind::Word => {
                let named = reader.name(lexeme, before, after);
                named.and(reader.keyword(lexeme, before, after))
            }
            Kind::Quoted => reader.name(lexeme, before, after),
            Kind::Operator => {
                if !is_star(before, lexeme) {
                    reader.symbol(lexeme.bytes);
                }
                Some(())
            }
            // `U&"…"` may name anything.
            Kind::Unicode if !lexeme.bytes.ends_with(b"'") => None,
            Kind::Unterminated => None,
            Kind::Space | Kind::LineComment | Kind::BlockComment => Some(()),
            Kind::String | Kind::Escape | Kind::Bits | Kind::Dollar | Kind::Unicode => {
                reader.quoted = true;
                Some(())
            }
            Kind::Number | Kind::Parameter => Some(()),
            // Behind a `;` stands what was not told apart. Others are nothing that PostgreSQL reads today.
            Kind::Mark(mark) => b"()[],.:$".contains(&mark).then_some(()),
        };
        if known.is_none() {
            return Bound::Everything;
        }
    }
    reader.finish()
}

/// Collects what [`bound`] finds, each thing once.
#[derive(Default)]
struct Reader {
    targets: Vec<Target>,
    /// Targets of MERGE, to which its WHEN clauses refer.
    merged: Vec<Name>,
    /// Whether ON CONFLICT DO UPDATE occurs.
    upsert: bool,
    calls: HashSet<Name>,
    run: HashSet<Name>,
    attributes: HashSet<Box<str>>,
    symbols: HashSet<Box<str>>,
    words: HashSet<Box<str>>,
    quoted: bool,
    /// See [`Lexical::hidden_query`].
    hidden_query: bool,
    /// It reads a text that another statement holds.
    within: bool,
}

impl Reader {
    /// `None` if a target cannot be named.
    fn keyword(
        &mut self,
        lexeme: &Lexeme<'_>,
        before: &[Lexeme<'_>],
        after: &[Lexeme<'_>],
    ) -> Option<()> {
        let previous = before.last();
        let follows = |words: &[&str]| previous.is_some_and(|previous| is_any(previous, words));
        let mut next = Tokens::new(after);
        if is_word(lexeme, "into") && !follows(&["insert", "merge"]) {
            // SELECT INTO creates a table.
            return None;
        }
        if is_word(lexeme, "insert") && next.word("into") {
            self.target(&mut next, Event::Insert)?;
        } else if is_word(lexeme, "delete") && next.word("from") {
            self.target(&mut next, Event::Delete)?;
        } else if is_word(lexeme, "merge") && next.word("into") {
            let name = self.target(&mut next, Event::Update)?;
            self.merged.push(name);
        } else if is_word(lexeme, "update") {
            // `FOR UPDATE` locks, `DO UPDATE SET` and `THEN UPDATE SET` belong to what is noted
            // already. `UPDATE SET SET` changes a table of that name.
            if follows(&["do"]) {
                self.upsert = true;
            }
            let no_key =
                matches!(before, [.., no, key] if is_word(no, "no") && is_word(key, "key"));
            let clause =
                no_key || follows(&["for"]) || (follows(&["do", "then"]) && next.sees("set"));
            if !clause && begins_name(&next) {
                self.target(&mut next, Event::Update)?;
            }
        }
        Some(())
    }

    fn target(&mut self, next: &mut Tokens<'_>, event: Event) -> Option<Name> {
        // `ONLY` does not narrow anything here.
        if next.word("only") {
            next.mark(b'(');
        }
        let name = next.name()?;
        self.add(&name, event);
        Some(name)
    }

    fn add(&mut self, name: &Name, event: Event) {
        let target = Target {
            name: name.clone(),
            event,
        };
        if !self.targets.contains(&target) {
            self.targets.push(target);
        }
    }

    /// Notes a word or quoted identifier for what it may mean; `None` if it may mean anything.
    fn name(
        &mut self,
        lexeme: &Lexeme<'_>,
        before: &[Lexeme<'_>],
        after: &[Lexeme<'_>],
    ) -> Option<()> {
        let qualified = before
            .last()
            .is_some_and(|dot| dot.kind == Kind::Mark(b'.'));
        if !qualified && is_any(lexeme, &SYNTAX) {
            return Some(());
        }
        let name = identifier(lexeme)?;
        let called = after
            .first()
            .is_some_and(|next| next.kind == Kind::Mark(b'('));
        if called {
            let schema = match before {
                [.., schema, dot] if dot.kind == Kind::Mark(b'.') => identifier(schema),
                _ => None,
            };
            let called = Name {
                schema,
                name: name.clone(),
            };
            if is_call(before, lexeme, after) {
                self.run.insert(called.clone());
            }
            if is_report(&called.name) && self.report(after).is_none() {
                self.hidden_query = true;
            }
            self.calls.insert(called);
        } else if qualified && !self.attributes.contains(&name) {
            self.attributes.insert(name.clone());
        }
        if !self.words.contains(&name) {
            self.words.insert(name);
        }
        Some(())
    }

    /// A function is called that runs a query: the words of that are words of this statement. `None` if
    /// they are not known.
    fn report(&mut self, after: &[Lexeme<'_>]) -> Option<()> {
        if self.within {
            return None;
        }
        for text in texts(after)? {
            let Bound::Lexical(found) = bound_within(&words(&text), true) else {
                return None;
            };
            let Lexical {
                targets,
                calls,
                run,
                attributes,
                symbols,
                words,
                quoted,
                hidden_query,
                fires: _,
                procedure: _,
            } = *found;
            if hidden_query || !targets.is_empty() {
                return None;
            }
            self.calls.extend(calls);
            self.run.extend(run);
            self.attributes.extend(attributes);
            self.symbols.extend(symbols);
            self.words.extend(words);
            self.quoted |= quoted;
        }
        Some(())
    }

    fn symbol(&mut self, bytes: &[u8]) {
        let symbol = String::from_utf8_lossy(bytes);
        if !self.symbols.contains(&*symbol) {
            self.symbols.insert(symbol.into());
        }
    }

    fn finish(mut self) -> Bound {
        let inserted: Vec<Name> = self
            .targets
            .iter()
            .filter(|target| self.upsert && target.event == Event::Insert)
            .map(|target| target.name.clone())
            .collect();
        for name in &inserted {
            self.add(name, Event::Update);
        }
        for name in std::mem::take(&mut self.merged) {
            self.add(&name, Event::Insert);
            self.add(&name, Event::Delete);
        }
        Bound::Lexical(Box::new(Lexical {
            targets: self.targets,
            calls: sorted(self.calls),
            run: sorted(self.run),
            attributes: sorted(self.attributes),
            symbols: sorted(self.symbols),
            words: sorted(self.words),
            quoted: self.quoted,
            hidden_query: self.hidden_query,
            fires: false,
            procedure: None,
        }))
    }
}

/// The same text gives the same list, each time that it is read.
fn sorted<T: Ord>(found: HashSet<T>) -> Vec<T> {
    let mut all: Vec<T> = found.into_iter().collect();
    all.sort_unstable();
    all
}

/// `update` may also be a column's name; what follows then is no name.
fn begins_name(next: &Tokens<'_>) -> bool {
    next.rest()
        .first()
        .is_some_and(|lexeme| matches!(lexeme.kind, Kind::Word | Kind::Quoted | Kind::Unicode))
}

/// Reserved words: without quotes or a schema they name neither a relation nor a function.
const SYNTAX: [&str; 67] = [
    "all",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "both",
    "case",
    "cast",
    "check",
    "collate",
    "column",
    "constraint",
    "create",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "false",
    "fetch",
    "for",
    "foreign",
    "from",
    "grant",
    "group",
    "having",
    "in",
    "initially",
    "intersect",
    "into",
    "lateral",
    "leading",
    "limit",
    "not",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "placing",
    "primary",
    "references",
    "returning",
    "select",
    "some",
    "symmetric",
    "table",
    "then",
    "to",
    "trailing",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "variadic",
    "when",
    "where",
    "window",
    "with",
    "analyze",
];
