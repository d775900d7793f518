//! Facts of a text alone.

use crate::SettingsEffect;
use crate::facts::{Bound, Sentence};
use crate::scan::{Kind, Lexeme, lexemes};
use crate::statement::sentence;
use crate::tokens::is_word;

/// What a statement string is, before any name is resolved. Cheap to share in an `Arc`.
#[derive(Debug)]
pub struct Analysis {
    sentences: Box<[Sentence]>,
    /// See [`Analysis::reloads`].
    reloads: bool,
}

impl Analysis {
    /// Whether the text alone leaves open that it is a cacheable read.
    pub fn is_candidate(&self) -> bool {
        matches!(&*self.sentences, [one] if one.read.is_ok())
    }

    /// Whether what it may write depends on what its names mean.
    pub fn needs_catalog(&self) -> bool {
        self.sentences
            .iter()
            .any(|one| matches!(one.writes, Bound::Lexical(_) | Bound::Own(_)))
    }

    /// Whether it is one query or change of rows, so that its literals are nothing but values: its
    /// plan is that of its [`crate::Form`] as well.
    pub fn is_formal(&self) -> bool {
        match &*self.sentences {
            [one] => {
                matches!(one.writes, Bound::Lexical(_))
                    && one.effects.settings == SettingsEffect::Untouched
                    && one.effects.control.is_none()
            }
            _ => false,
        }
    }

    /// Whether it mentions what has the server read its configuration, in code that it holds perhaps.
    pub(crate) const fn reloads(&self) -> bool {
        self.reloads
    }

    /// How many statements the string holds; a trailing `;` adds none.
    pub fn statements(&self) -> usize {
        self.sentences.len()
    }

    /// Approximate size on the heap, itself included.
    pub fn bytes(&self) -> usize {
        let sentences: usize = self.sentences.iter().map(Sentence::bytes).sum();
        size_of::<Self>() + sentences
    }

    /// The statements in order.
    pub(crate) fn sentences(&self) -> &[Sentence] {
        &self.sentences
    }
}

/// Reads a statement string.
///
/// Bytes that are not UTF-8 are kept apart from names: a name that holds them does not resolve.
/// What is not understood is [`crate::Reason::Unreadable`] as a read and everything as a write.
pub fn analyze(text: &[u8]) -> Analysis {
    let long = text.len() > PARSED_BYTES_MAX;
    let kept: Vec<Lexeme<'_>> = lexemes(text)
        .filter(|lexeme| !(lexeme.kind.is_blank() || (long && is_data(lexeme.kind))))
        .collect();
    let sentences = statements(&kept)
        .into_iter()
        .map(|lexemes| sentence((!long).then_some(text), lexemes))
        .collect();
    Analysis {
        sentences,
        reloads: kept.iter().any(|lexeme| mentions_reload(lexeme.bytes)),
    }
}

/// Whether a text mentions `pg_reload_conf`.
pub(crate) fn mentions_reload(text: &[u8]) -> bool {
    let name = b"pg_reload_conf";
    let mut parts = text.windows(name.len());
    parts.any(|part| part.eq_ignore_ascii_case(name))
}

/// Cuts at each `;` outside parentheses and bodies.
fn statements<'a>(kept: &'a [Lexeme<'a>]) -> Vec<&'a [Lexeme<'a>]> {
    let mut depth = 0_usize;
    let mut begins = false;
    kept.split(|lexeme| {
        // `BEGIN ATOMIC` opens the body of a function, in which `;` ends nothing.
        if begins && is_word(lexeme, "atomic") {
            depth = BODY_DEPTH;
        }
        begins = is_word(lexeme, "begin");
        if lexeme.kind == Kind::Mark(b'(') {
            depth += 1;
        } else if lexeme.kind == Kind::Mark(b')') {
            depth = depth.saturating_sub(1);
        }
        depth == 0 && lexeme.kind == Kind::Mark(b';')
    })
    .filter(|lexemes| !lexemes.is_empty())
    .collect()
}

/// What a long text has much of, and what says nothing about its writes.
const fn is_data(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::String
            | Kind::Escape
            | Kind::Bits
            | Kind::Dollar
            | Kind::Number
            | Kind::Parameter
            | Kind::Mark(b',')
    )
}

/// Deeper than any parentheses, so that the rest of the text is one statement.
const BODY_DEPTH: usize = usize::MAX / 2;

/// Longer texts are not looked up.
const PARSED_BYTES_MAX: usize = 16 * 1024;
