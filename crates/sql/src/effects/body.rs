//! What the text of a function, rule or statement writes, mentions and calls, by name.
//!
//! An upper bound from tokens alone. It rests on two facts of the grammar: a statement that
//! changes rows says so with `INSERT INTO`, `UPDATE`, `DELETE FROM`, `MERGE INTO`, `TRUNCATE`,
//! `REFRESH` or `COPY` right before its target, wherever it stands; and everything else that
//! changes something is a statement of its own, which begins at a place one can see.
//!
//! Invariant: a text whose statements are not all of known kinds has no bound (`None`).
//!
//! What a name means is decided in [`super`], in favour of everything it could mean.

use catalog::Event;

use super::tokens::Token;

/// What a text is written in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Dialect {
    /// One statement of a client that the parser did not understand.
    Statement,
    /// The body of an SQL function: a string, `BEGIN ATOMIC …` or `RETURN …`.
    Sql,
    /// The body of a PL/pgSQL function.
    PlPgSql,
    /// `CREATE RULE …`.
    Rule,
}

/// A name as it is written; the schema is whatever stands before a dot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Name<'a> {
    pub(super) schema: Option<&'a str>,
    pub(super) name: &'a str,
}

/// The names of a text by what is done with them.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Found<'a> {
    /// Relations that are written.
    pub(super) targets: Vec<(Name<'a>, Event)>,
    /// Names that may be relations.
    pub(super) mentions: Vec<Name<'a>>,
    /// Names that may be functions.
    pub(super) calls: Vec<Name<'a>>,
    /// Whether settings change.
    pub(super) sets: bool,
}

/// Finds the names of a text; `None` if it may do anything.
pub(super) fn scan(tokens: &[Token], dialect: Dialect) -> Option<Found<'_>> {
    let first = match dialect {
        Dialect::Rule => after_do(tokens)?,
        Dialect::Statement => statement(tokens)?,
        Dialect::PlPgSql => after_options(tokens),
        Dialect::Sql => 0,
    };
    let upserts = tokens.iter().any(|token| token.word() == Some("conflict"));
    let mut scanner = Scanner {
        tokens,
        dialect,
        first,
        upserts,
        found: Found::default(),
    };
    let mut declaring = false;
    for at in 0..tokens.len() {
        scanner.name(at)?;
        let Some(word) = scanner.keyword(at) else {
            continue;
        };
        if at < first {
            continue;
        }
        let start = scanner.start(at);
        declaring = match word {
            "declare" => declaring || (dialect == Dialect::PlPgSql && scanner.declares(at, start)),
            "begin" => false,
            _ => declaring,
        };
        if let (Some(start), false) = (start, declaring) {
            scanner.command(at, word, start)?;
        }
        scanner.verb(at, word)?;
    }
    Some(scanner.found)
}

/// How certain it is that a statement begins at a word.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Start {
    Sure,
    /// It may be a value in a CASE expression, or an operand.
    Maybe,
}

struct Scanner<'a> {
    tokens: &'a [Token],
    dialect: Dialect,
    /// Where the first statement begins.
    first: usize,
    /// Whether an INSERT may be an UPDATE.
    upserts: bool,
    found: Found<'a>,
}

impl<'a> Scanner<'a> {
    fn token(&self, at: usize) -> Option<&'a Token> {
        self.tokens.get(at)
    }

    fn before(&self, at: usize, back: usize) -> Option<&'a Token> {
        self.tokens.get(at.checked_sub(back)?)
    }

    fn word(&self, at: usize) -> Option<&'a str> {
        self.token(at)?.word()
    }

    fn word_before(&self, at: usize, back: usize) -> Option<&'a str> {
        self.before(at, back)?.word()
    }

    /// The word here, unless it is a field.
    fn keyword(&self, at: usize) -> Option<&'a str> {
        self.word(at)
            .filter(|_| self.before(at, 1) != Some(&Token::Mark(b'.')))
    }

    /// Takes down a name as all it may be. `t.f` may call `f(t)`.
    fn name(&mut self, at: usize) -> Option<()> {
        let Some(name) = self.token(at).and_then(Token::name) else {
            return Some(());
        };
        if name == "pg_temp" {
            // Temporary objects are not in the snapshot.
            return None;
        }
        let dotted = self.before(at, 1) == Some(&Token::Mark(b'.'));
        let schema = if dotted {
            self.before(at, 2).and_then(Token::name)
        } else {
            None
        };
        if !dotted || schema.is_some() {
            self.found.mentions.push(Name { schema, name });
        }
        if self.token(at + 1) == Some(&Token::Mark(b'(')) {
            self.found.calls.push(Name { schema, name });
        } else if dotted {
            self.found.calls.push(Name { schema: None, name });
        }
        Some(())
    }

    /// Whether a statement may begin here.
    fn start(&self, at: usize) -> Option<Start> {
        let before = self.before(at, 1);
        if at == self.first || before == Some(&Token::Mark(b';')) {
            return Some(Start::Sure);
        }
        let plpgsql = self.dialect == Dialect::PlPgSql;
        match before? {
            Token::Word(word) => match &**word {
                "atomic" if !plpgsql && self.word_before(at, 2) == Some("begin") => {
                    Some(Start::Sure)
                }
                "begin" if plpgsql => Some(Start::Sure),
                "loop" if plpgsql && self.word_before(at, 2) != Some("end") => Some(Start::Sure),
                // The END may be that of a CASE in the head of the loop.
                "loop" | "then" | "else" if plpgsql => Some(Start::Maybe),
                _ => None,
            },
            Token::Shift if plpgsql => Some(Start::Maybe),
            Token::Quoted(_) | Token::Mark(_) | Token::Shift | Token::Operator | Token::Other => {
                None
            }
        }
    }

    /// Whether a `declare` begins declarations, and is not a value in a CASE expression.
    fn declares(&self, at: usize, start: Option<Start>) -> bool {
        match start {
            Some(Start::Sure) => true,
            Some(Start::Maybe) => match self.token(at + 1) {
                Some(Token::Word(word)) => !BEHIND_VALUE.contains(&&**word),
                next => matches!(next, Some(Token::Quoted(_))),
            },
            None => false,
        }
    }

    /// Judges the statement that begins here; `None` if it may do anything.
    fn command(&mut self, at: usize, word: &str, start: Start) -> Option<()> {
        let next = self.token(at + 1);
        let assigned = matches!(
            next,
            Some(Token::Operator | Token::Mark(b':' | b'.' | b'['))
        );
        if assigned {
            return Some(());
        }
        match start {
            Start::Sure if !self.allowed(word) => return None,
            Start::Maybe if FORBIDDEN.contains(&word) && !is_operand(word, next) => return None,
            Start::Sure | Start::Maybe => {}
        }
        match word {
            "set" | "reset" => self.found.sets = true,
            "truncate" => self.truncate(at + 1)?,
            "refresh" => self.refresh(at + 1)?,
            "copy" => self.copy(at + 1)?,
            _ => {}
        }
        Some(())
    }

    fn allowed(&self, word: &str) -> bool {
        match self.dialect {
            Dialect::Statement => CLIENT.contains(&word),
            Dialect::Sql => {
                SQL.contains(&word) || matches!(word, "begin" | "call" | "end" | "return")
            }
            Dialect::Rule => SQL.contains(&word) || word == "nothing",
            Dialect::PlPgSql => SQL.contains(&word) || PLPGSQL.contains(&word),
        }
    }

    /// Takes down what the verb here writes, if it is one; `None` if that cannot be told.
    fn verb(&mut self, at: usize, word: &str) -> Option<()> {
        let next = self.word(at + 1);
        match word {
            // EXECUTE follows IN, FOR and QUERY as well; in SQL both only begin a statement.
            "execute" | "explain" if self.dialect == Dialect::PlPgSql => return None,
            // SELECT INTO makes a table, except in PL/pgSQL.
            "into" if self.dialect != Dialect::PlPgSql => {
                matches!(self.word_before(at, 1), Some("insert" | "merge")).then_some(())?;
            }
            "insert" if next == Some("into") => {
                let target = self.target(at + 2)?;
                self.found.targets.push((target, Event::Insert));
                if self.upserts {
                    self.found.targets.push((target, Event::Update));
                }
            }
            "delete" if next == Some("from") => {
                let target = self.target(at + 2)?;
                self.found.targets.push((target, Event::Delete));
            }
            "merge" if next == Some("into") => {
                let target = self.target(at + 2)?;
                let events = [Event::Insert, Event::Update, Event::Delete];
                self.found
                    .targets
                    .extend(events.map(|event| (target, event)));
            }
            "update" if !self.is_clause(at) => {
                if let Some(target) = self.target(at + 1) {
                    self.found.targets.push((target, Event::Update));
                }
            }
            _ => {}
        }
        Some(())
    }

    /// Whether UPDATE is part of a locking clause, of ON CONFLICT or of MERGE.
    fn is_clause(&self, at: usize) -> bool {
        let next = self.word(at + 1);
        match self.word_before(at, 1) {
            Some("key") => self.word_before(at, 2) == Some("no"),
            Some("for") => {
                next.is_some_and(|next| AFTER_LOCK.contains(&next)) && !self.sets_behind_name(at)
            }
            Some("do" | "then") => next == Some("set") && !self.sets_behind_name(at),
            _ => false,
        }
    }

    /// Whether the word behind UPDATE is the name of a table or schema, as SET, an alias or a dot comes
    /// next: `UPDATE set AS s SET`, `UPDATE skip SET`, `UPDATE of.t SET`.
    fn sets_behind_name(&self, at: usize) -> bool {
        let next = self.token(at + 2);
        let named = matches!(next, Some(Token::Operator | Token::Mark(b'.')));
        named || matches!(self.word(at + 2), Some("as" | "set")) || self.word(at + 3) == Some("set")
    }

    /// The name of a relation, perhaps behind ONLY and a parenthesis.
    fn target(&self, mut at: usize) -> Option<Name<'a>> {
        if self.word(at) == Some("only") {
            at += 1;
        }
        if self.token(at) == Some(&Token::Mark(b'(')) {
            at += 1;
        }
        self.chain(at).map(|(name, _)| name)
    }

    /// A dotted name, and where it ends.
    fn chain(&self, mut at: usize) -> Option<(Name<'a>, usize)> {
        let mut name = Name {
            schema: None,
            name: self.token(at)?.name()?,
        };
        while self.token(at + 1) == Some(&Token::Mark(b'.')) {
            name = Name {
                schema: Some(name.name),
                name: self.token(at + 2)?.name()?,
            };
            at += 2;
        }
        Some((name, at + 1))
    }

    fn truncate(&mut self, mut at: usize) -> Option<()> {
        if self.word(at) == Some("table") {
            at += 1;
        }
        loop {
            if self.word(at) == Some("only") {
                at += 1;
            }
            let (target, end) = self.chain(at)?;
            self.found.targets.push((target, Event::Truncate));
            at = if self.token(end) == Some(&Token::Operator) {
                end + 1
            } else {
                end
            };
            if self.token(at) != Some(&Token::Mark(b',')) {
                return Some(());
            }
            at += 1;
        }
    }

    fn refresh(&mut self, at: usize) -> Option<()> {
        (self.word(at) == Some("materialized") && self.word(at + 1) == Some("view"))
            .then_some(())?;
        let concurrently = self.word(at + 2) == Some("concurrently");
        let (target, _) = self.chain(at + 2 + usize::from(concurrently))?;
        self.found.targets.push((target, Event::Insert));
        Some(())
    }

    fn copy(&mut self, mut at: usize) -> Option<()> {
        if self
            .tokens
            .iter()
            .any(|token| token.word() == Some("program"))
        {
            return None;
        }
        if self.word(at) == Some("binary") {
            at += 1;
        }
        if self.token(at) != Some(&Token::Mark(b'(')) {
            let (target, _) = self.chain(at)?;
            self.found.targets.push((target, Event::Insert));
        }
        Some(())
    }
}

/// Where the first block begins, behind options such as `#variable_conflict error` and a label.
fn after_options(tokens: &[Token]) -> usize {
    let mut at = 0;
    while tokens.get(at) == Some(&Token::Operator) {
        at += 3;
    }
    at
}

/// Where the first action of a rule begins.
fn after_do(tokens: &[Token]) -> Option<usize> {
    let mut at = tokens.iter().position(|token| token.word() == Some("do"))? + 1;
    if matches!(tokens.get(at)?.word(), Some("also" | "instead")) {
        at += 1;
    }
    if tokens.get(at) == Some(&Token::Mark(b'(')) {
        at += 1;
    }
    Some(at)
}

/// Where a client's only statement begins; `None` if there are several or it is of another kind.
fn statement(tokens: &[Token]) -> Option<usize> {
    let first = tokens
        .iter()
        .position(|token| *token != Token::Mark(b'('))?;
    let last = tokens
        .iter()
        .rposition(|token| *token != Token::Mark(b';'))?;
    let one = tokens
        .get(..last)?
        .iter()
        .all(|token| *token != Token::Mark(b';'));
    (one && tokens.get(first)?.word().is_some()).then_some(first)
}

/// Whether a word that could be a command is a value after all: commands go on.
fn is_operand(word: &str, next: Option<&Token>) -> bool {
    match next {
        Some(Token::Mark(b',' | b')')) => true,
        Some(next) => match next.word() {
            Some("end" | "else" | "when") => true,
            Some("nothing") => word == "do",
            Some(_) | None => false,
        },
        None => false,
    }
}

/// What a client's statement may begin with.
const CLIENT: [&str; 9] = [
    "select", "insert", "update", "delete", "merge", "with", "values", "table", "copy",
];

/// SQL statements that write at most what they name.
const SQL: [&str; 21] = [
    "select", "insert", "update", "delete", "merge", "with", "values", "table", "truncate",
    "refresh", "lock", "notify", "listen", "unlisten", "set", "reset", "show", "fetch", "move",
    "close", "null",
];

/// Words at which a statement of PL/pgSQL begins or a block goes on.
const PLPGSQL: [&str; 23] = [
    "assert",
    "begin",
    "call",
    "case",
    "continue",
    "declare",
    "else",
    "elseif",
    "elsif",
    "end",
    "exception",
    "exit",
    "for",
    "foreach",
    "get",
    "if",
    "loop",
    "open",
    "perform",
    "raise",
    "return",
    "when",
    "while",
];

/// Every other SQL statement, for places where a statement may begin but need not.
const FORBIDDEN: [&str; 29] = [
    "abort",
    "alter",
    "analyse",
    "analyze",
    "checkpoint",
    "cluster",
    "comment",
    "commit",
    "copy",
    "create",
    "deallocate",
    "discard",
    "do",
    "drop",
    "explain",
    "grant",
    "import",
    "load",
    "prepare",
    "reassign",
    "reindex",
    "release",
    "repack",
    "revoke",
    "rollback",
    "savepoint",
    "security",
    "start",
    "vacuum",
];

/// What may stand behind a value in an expression.
const BEHIND_VALUE: [&str; 18] = [
    "and", "at", "between", "collate", "else", "end", "ilike", "in", "is", "isnull", "like", "not",
    "notnull", "operator", "or", "overlaps", "similar", "when",
];

/// What may follow FOR UPDATE as a locking clause; a cursor FOR UPDATE goes on with a table.
const AFTER_LOCK: [&str; 14] = [
    "of",
    "nowait",
    "skip",
    "for",
    "limit",
    "offset",
    "fetch",
    "loop",
    "into",
    "on",
    "returning",
    "union",
    "order",
    "window",
];
