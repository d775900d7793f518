//! Transaction control, told by its keywords.

use crate::facts::Sentence;
use crate::tokens::Tokens;
use crate::{Begin, Control, Effects, Isolation};

/// A statement that begins with BEGIN, START, COMMIT, END, ROLLBACK, ABORT, SAVEPOINT, RELEASE or
/// PREPARE TRANSACTION; `None` if it is none, or not understood to its last word.
pub(crate) fn control(mut tokens: Tokens<'_>) -> Option<Sentence> {
    let control = if tokens.word("begin") {
        noise(&mut tokens);
        Control::Begin(begin(&mut tokens, false)?)
    } else if tokens.words(&["start", "transaction"]) {
        Control::Begin(begin(&mut tokens, true)?)
    } else if tokens.any(&["commit", "end"]) {
        commit(&mut tokens)?
    } else if tokens.any(&["rollback", "abort"]) {
        rollback(&mut tokens)?
    } else if tokens.word("savepoint") {
        tokens.identifier()?;
        Control::Savepoint
    } else if tokens.word("release") {
        savepoint(&mut tokens)?;
        Control::Savepoint
    } else if tokens.words(&["prepare", "transaction"]) {
        Control::PrepareTransaction(tokens.string()?)
    } else {
        return None;
    };
    tokens.is_done().then(|| {
        Sentence::control(Effects {
            control: Some(control),
            ..Effects::default()
        })
    })
}

fn noise(tokens: &mut Tokens<'_>) {
    tokens.any(&["work", "transaction"]);
}

fn commit(tokens: &mut Tokens<'_>) -> Option<Control> {
    if tokens.word("prepared") {
        return Some(Control::CommitPrepared(tokens.string()?));
    }
    noise(tokens);
    let chain = chain(tokens);
    Some(Control::Commit { chain })
}

fn rollback(tokens: &mut Tokens<'_>) -> Option<Control> {
    if tokens.word("prepared") {
        return Some(Control::RollbackPrepared(tokens.string()?));
    }
    noise(tokens);
    if tokens.word("to") {
        savepoint(tokens)?;
        return Some(Control::RollbackTo);
    }
    let chain = chain(tokens);
    Some(Control::Rollback { chain })
}

/// `AND CHAIN`.
fn chain(tokens: &mut Tokens<'_>) -> bool {
    tokens.words(&["and", "chain"]) || {
        tokens.words(&["and", "no", "chain"]);
        false
    }
}

/// `[SAVEPOINT] name`, where the name may be `savepoint`.
fn savepoint(tokens: &mut Tokens<'_>) -> Option<()> {
    tokens.identifier()?;
    tokens.identifier();
    Some(())
}

/// The options of BEGIN, with or without commas; the last of a kind counts.
fn begin(tokens: &mut Tokens<'_>, start_transaction: bool) -> Option<Begin> {
    let mut begin = Begin {
        start_transaction,
        ..Begin::default()
    };
    while !tokens.is_done() {
        mode(tokens, &mut begin)?;
        if tokens.mark(b',') && tokens.is_done() {
            return None;
        }
    }
    Some(begin)
}

fn mode(tokens: &mut Tokens<'_>, begin: &mut Begin) -> Option<()> {
    if tokens.words(&["isolation", "level"]) {
        begin.isolation = Some(isolation(tokens)?);
    } else if tokens.words(&["read", "only"]) {
        begin.read_only = Some(true);
    } else if tokens.words(&["read", "write"]) {
        begin.read_only = Some(false);
    } else if tokens.word("deferrable") {
        begin.deferrable = Some(true);
    } else if tokens.words(&["not", "deferrable"]) {
        begin.deferrable = Some(false);
    } else {
        return None;
    }
    Some(())
}

fn isolation(tokens: &mut Tokens<'_>) -> Option<Isolation> {
    if tokens.word("serializable") {
        Some(Isolation::Serializable)
    } else if tokens.words(&["repeatable", "read"]) {
        Some(Isolation::RepeatableRead)
    } else if tokens.words(&["read", "committed"]) || tokens.words(&["read", "uncommitted"]) {
        Some(Isolation::ReadCommitted)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::{Lexeme, lexemes};

    fn parse(text: &str) -> Option<Control> {
        let lexemes: Vec<Lexeme<'_>> = lexemes(text.as_bytes())
            .filter(|lexeme| !lexeme.kind.is_blank())
            .collect();
        control(Tokens::new(&lexemes)).and_then(|sentence| sentence.effects.control)
    }

    fn check(text: &str, expected: Option<Control>) {
        assert_eq!(parse(text), expected, "{text}");
    }

    #[test]
    fn begin_is_read_with_its_options() {
        let begin = Begin::default();
        check("begin", Some(Control::Begin(begin)));
        check("BEGIN /*x*/ TRANSACTION", Some(Control::Begin(begin)));
        check("begin work", Some(Control::Begin(begin)));
        let options = Begin {
            isolation: Some(Isolation::RepeatableRead),
            read_only: Some(true),
            deferrable: Some(false),
            start_transaction: true,
        };
        check(
            "start transaction isolation level repeatable read, read only not deferrable",
            Some(Control::Begin(options)),
        );
        let uncommitted = Begin {
            isolation: Some(Isolation::ReadCommitted),
            ..begin
        };
        check(
            "begin isolation level read uncommitted",
            Some(Control::Begin(uncommitted)),
        );
        for odd in [
            "begin atomic",
            "begin read",
            "begin read only,",
            "start",
            "begin 1",
        ] {
            check(odd, None);
        }
    }

    #[test]
    fn ends_are_read_with_their_chain() {
        check("commit", Some(Control::Commit { chain: false }));
        check("end work and chain", Some(Control::Commit { chain: true }));
        check(
            "abort and no chain",
            Some(Control::Rollback { chain: false }),
        );
        check(
            "rollback and chain",
            Some(Control::Rollback { chain: true }),
        );
        check("rollback to savepoint a", Some(Control::RollbackTo));
        check("rollback work to \"A\"", Some(Control::RollbackTo));
        check("savepoint a", Some(Control::Savepoint));
        check("release savepoint savepoint", Some(Control::Savepoint));
        check("release a", Some(Control::Savepoint));
        for odd in [
            "commit and",
            "rollback to",
            "savepoint",
            "commit 1",
            "release",
            "end if",
        ] {
            check(odd, None);
        }
    }

    #[test]
    fn prepared_transactions_keep_their_identifier() {
        check(
            "prepare transaction 'it''s'",
            Some(Control::PrepareTransaction("it's".into())),
        );
        check(
            "commit prepared 'x'",
            Some(Control::CommitPrepared("x".into())),
        );
        check(
            "rollback prepared 'x'",
            Some(Control::RollbackPrepared("x".into())),
        );
        check("commit prepared E'x\\n'", None);
        check("commit prepared 'x' 'y'", None);
    }
}
