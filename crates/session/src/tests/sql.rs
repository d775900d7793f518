//! The few statements that the model server understands.

/// A statement.
#[derive(Clone, Debug)]
pub(super) enum Sql {
    Select {
        shape: Shape,
        table: String,
        rows: Which,
    },
    /// Adds one to `v`, or fails when it runs.
    Update {
        table: String,
        rows: Which,
        fails: bool,
    },
    Begin {
        start: bool,
        repeatable: bool,
    },
    Commit {
        chain: bool,
    },
    Rollback {
        chain: bool,
    },
    Savepoint(String),
    RollbackTo(String),
    Release(String),
    /// `None` is the default.
    Set {
        local: bool,
        name: String,
        value: Option<String>,
    },
    ResetAll,
    DiscardAll,
    Show,
    /// A query without a table, whose answer nobody hears.
    Look,
    Prepare(String, Box<Sql>),
    Execute(String),
    /// `None` is all of them.
    Deallocate(Option<String>),
    Declare(String, Box<Sql>),
    Fetch(usize, String),
    CloseCursor(String),
    CopyIn(String),
    CopyOut(String),
    /// The session's question about its own state.
    Probe,
}

/// What a SELECT returns of each row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Shape {
    /// `v`
    Value,
    /// `id, v`
    Both,
    /// `v / 0`, which fails at the first row.
    Fails,
}

/// Which rows a statement is about.
#[derive(Clone, Debug)]
pub(super) enum Which {
    All,
    One(i32),
    Parameter,
}

impl Sql {
    /// Whether it may run in a failed transaction block.
    pub(super) const fn leaves_failed_block(&self) -> bool {
        matches!(
            self,
            Self::Commit { .. } | Self::Rollback { .. } | Self::RollbackTo(_)
        )
    }

    pub(super) const fn is_control(&self) -> bool {
        matches!(
            self,
            Self::Begin { .. }
                | Self::Commit { .. }
                | Self::Rollback { .. }
                | Self::RollbackTo(_)
                | Self::Savepoint(_)
                | Self::Release(_)
        )
    }

    /// Whether it takes a parameter.
    pub(super) fn has_parameter(&self) -> bool {
        match self {
            Self::Select { rows, .. } | Self::Update { rows, .. } => {
                matches!(rows, Which::Parameter)
            }
            Self::Prepare(_, inner) | Self::Declare(_, inner) => inner.has_parameter(),
            _ => false,
        }
    }

    /// The table it names.
    pub(super) fn table(&self) -> Option<&str> {
        match self {
            Self::Select { table, .. }
            | Self::Update { table, .. }
            | Self::CopyIn(table)
            | Self::CopyOut(table) => Some(table),
            Self::Prepare(_, inner) | Self::Declare(_, inner) => inner.table(),
            _ => None,
        }
    }
}

/// The statements of a string; `None` for a syntax error.
pub(super) fn read(text: &str) -> Option<Vec<Sql>> {
    if text.starts_with(crate::identity::WHO) {
        return Some(vec![Sql::Probe]);
    }
    text.split(';')
        .filter(|part| !part.trim().is_empty())
        .map(|part| {
            let words: Vec<&str> = part.split_whitespace().collect();
            statement(&words)
        })
        .collect()
}

fn statement(words: &[&str]) -> Option<Sql> {
    let name = |name: &&str| (*name).to_owned();
    Some(match words {
        ["select", "v", "from", table, rest @ ..] => select(Shape::Value, table, rest)?,
        ["select", "id,", "v", "from", table, rest @ ..] => select(Shape::Both, table, rest)?,
        ["select", "v", "/", "0", "from", table, rest @ ..] => select(Shape::Fails, table, rest)?,
        [
            "update",
            table,
            "set",
            "v",
            "=",
            "v",
            operator,
            number,
            rest @ ..,
        ] => Sql::Update {
            table: name(table),
            rows: which(rest)?,
            fails: match (*operator, *number) {
                ("+", "1") => false,
                ("/", "0") => true,
                _ => return None,
            },
        },
        ["begin"] | ["begin", "read", "write"] => Sql::Begin {
            start: false,
            repeatable: false,
        },
        ["start", "transaction"] => Sql::Begin {
            start: true,
            repeatable: false,
        },
        ["begin", "isolation", "level", "repeatable", "read"] => Sql::Begin {
            start: false,
            repeatable: true,
        },
        ["commit" | "end"] => Sql::Commit { chain: false },
        ["commit", "and", "chain"] => Sql::Commit { chain: true },
        ["rollback" | "abort"] => Sql::Rollback { chain: false },
        ["rollback", "and", "chain"] => Sql::Rollback { chain: true },
        ["savepoint", s] => Sql::Savepoint(name(s)),
        ["rollback", "to", s] => Sql::RollbackTo(name(s)),
        ["release", s] => Sql::Release(name(s)),
        ["set", "local", setting, "=", value @ ..] => set(true, setting, value),
        ["set", setting, "=", value @ ..] => set(false, setting, value),
        ["reset", "all"] => Sql::ResetAll,
        ["reset", setting] => set(false, setting, &["default"]),
        ["discard", "all"] => Sql::DiscardAll,
        ["show", "timezone"] => Sql::Show,
        // For what was answered by the session itself.
        ["SELECT", "1"] => Sql::Look,
        ["prepare", s, "as", inner @ ..] => Sql::Prepare(name(s), Box::new(statement(inner)?)),
        ["execute", s] => Sql::Execute(name(s)),
        ["deallocate", "all"] => Sql::Deallocate(None),
        ["deallocate", s] => Sql::Deallocate(Some(name(s))),
        ["declare", c, "cursor", "for", inner @ ..] => {
            Sql::Declare(name(c), Box::new(statement(inner)?))
        }
        ["fetch", count, "from", c] => Sql::Fetch(count.parse().ok()?, name(c)),
        ["close", c] => Sql::CloseCursor(name(c)),
        ["copy", table, "from", "stdin"] => Sql::CopyIn(name(table)),
        ["copy", table, "to", "stdout"] => Sql::CopyOut(name(table)),
        _ => return None,
    })
}

fn select(shape: Shape, table: &str, rest: &[&str]) -> Option<Sql> {
    Some(Sql::Select {
        shape,
        table: table.to_owned(),
        rows: which(rest)?,
    })
}

fn which(rest: &[&str]) -> Option<Which> {
    match rest {
        [] | ["order", "by", "id"] => Some(Which::All),
        ["where", "id", "=", "$1"] => Some(Which::Parameter),
        ["where", "id", "=", number] => Some(Which::One(number.parse().ok()?)),
        _ => None,
    }
}

fn set(local: bool, setting: &str, value: &[&str]) -> Sql {
    let value = value.join(" ").replace("E'", "").replace('\'', "");
    Sql::Set {
        local,
        name: setting.to_owned(),
        value: (value != "default").then_some(value),
    }
}
