//! The file: TOML with places, cut into settings and rules.

use std::path::Path;

use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use crate::{
    FunctionRule, Place, Problem, TableRule,
    form::Written,
    nearest::nearest,
    registry::{SETTINGS, Setting},
    rules,
};

/// A key with its value, both with their places.
pub(crate) type Item<'t, 'i> = (&'t Spanned<DeString<'i>>, &'t Spanned<DeValue<'i>>);

/// Finds line and column of a byte in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) path: &'a Path,
    pub(crate) text: &'a str,
}

impl Source<'_> {
    /// The place of the byte at `offset`.
    pub(crate) fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1;
        Place::File {
            path: self.path.to_owned(),
            line,
            column,
        }
    }

    /// The place of a key or a value.
    pub(crate) fn of<T>(&self, spanned: &Spanned<T>) -> Place {
        self.place(spanned.span().start)
    }
}

/// What a file says, still unchecked as far as values of settings go.
#[derive(Debug, Default)]
pub(crate) struct Contents<'t> {
    pub(crate) settings: Vec<(&'static Setting, Written<'t>, Place)>,
    pub(crate) tables: Vec<TableRule>,
    pub(crate) functions: Vec<FunctionRule>,
    pub(crate) problems: Vec<Problem>,
}

/// Parses as much as can be parsed. The tree may have holes where there are syntax errors.
pub(crate) fn parse<'i>(source: Source<'i>) -> (Spanned<DeTable<'i>>, Vec<Problem>) {
    let (tree, errors) = DeTable::parse_recoverable(source.text);
    let problems = errors.iter().map(|error| Problem {
        place: source.place(error.span().map_or(source.text.len(), |span| span.start)),
        what: format!("not TOML: {}", error.message()),
        remedy: "text stands in quotes, a section in brackets, each key on a line of its own"
            .to_owned(),
    });
    (tree, problems.collect())
}

impl<'t> Contents<'t> {
    /// Sorts a tree into settings and rules.
    pub(crate) fn read(tree: &'t DeTable<'_>, source: Source<'_>) -> Self {
        let mut contents = Self::default();
        for (key, value) in in_order(tree) {
            match key.get_ref().as_ref() {
                "tables" => rules::tables(value, source, &mut contents),
                "functions" => rules::functions(value, source, &mut contents),
                name => match (find("", name), value.get_ref()) {
                    (Some(setting), value_here) => {
                        contents
                            .settings
                            .push((setting, written(value_here), source.of(value)));
                    }
                    (None, DeValue::Table(table)) if is_section(name) => {
                        contents.section(name, table, source);
                    }
                    (None, _) if is_section(name) => {
                        contents
                            .problems
                            .push(not_a_section(name, source.of(value)));
                    }
                    (None, _) => contents.problems.push(unknown("", name, source.of(key))),
                },
            }
        }
        contents
    }

    fn section(&mut self, section: &str, table: &'t DeTable<'_>, source: Source<'_>) {
        for (key, value) in in_order(table) {
            let name = key.get_ref().as_ref();
            match find(section, name) {
                Some(setting) => {
                    self.settings
                        .push((setting, written(value.get_ref()), source.of(value)));
                }
                None => self.problems.push(unknown(section, name, source.of(key))),
            }
        }
    }
}

/// The items of a table in the order of the file.
pub(crate) fn in_order<'t, 'i>(table: &'t DeTable<'i>) -> Vec<Item<'t, 'i>> {
    let mut items: Vec<_> = table.iter().collect();
    items.sort_by_key(|(key, _)| key.span().start);
    items
}

/// A value as settings read it.
pub(crate) fn written<'t>(value: &'t DeValue<'_>) -> Written<'t> {
    match value {
        DeValue::String(text) => Written::Text(text),
        DeValue::Integer(number) if number.radix() == 10 => Written::Number(number.as_str()),
        DeValue::Integer(_) => Written::Other("number that is not decimal"),
        DeValue::Float(number) => Written::Number(number.as_str()),
        DeValue::Boolean(value) => Written::Boolean(*value),
        DeValue::Datetime(_) => Written::Other("date or time"),
        DeValue::Array(_) => Written::Other("array"),
        DeValue::Table(_) => Written::Other("table"),
    }
}

/// What to write instead of a section's scalar value.
pub(crate) fn not_a_section(name: &str, place: Place) -> Problem {
    Problem {
        place,
        what: format!("{name} is a section, not a value"),
        remedy: format!("write [{name}] on a line of its own and the keys below it"),
    }
}

/// What is wrong with a key nobody knows.
fn unknown(section: &str, name: &str, place: Place) -> Problem {
    let shown = if section.is_empty() {
        name.to_owned()
    } else {
        format!("{section}.{name}")
    };
    let elsewhere = SETTINGS.iter().find(|setting| setting.path().1 == name);
    let remedy = if let Some(setting) = elsewhere {
        match setting.path() {
            ("", _) => format!("`{name}` stands at the top of the file, above all sections"),
            (section, _) => format!("`{name}` stands in [{section}]"),
        }
    } else if let Some(near) = nearest(name, known(section)) {
        format!("did you mean `{near}`?")
    } else {
        format!(
            "known here: {}",
            known(section).collect::<Vec<_>>().join(", ")
        )
    };
    Problem {
        place,
        what: format!("unknown key `{}`", shown.escape_debug()),
        remedy,
    }
}

fn find(section: &str, name: &str) -> Option<&'static Setting> {
    SETTINGS
        .iter()
        .find(|setting| setting.path() == (section, name))
}

fn is_section(name: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.path().0 == name)
}

/// What may stand in a section; at the top, the sections too.
fn known(section: &str) -> impl Iterator<Item = &'static str> {
    let sections: &[&str] = if section.is_empty() {
        &["cache", "redis", "limits", "tables", "functions"]
    } else {
        &[]
    };
    SETTINGS
        .iter()
        .map(Setting::path)
        .filter(move |(of, _)| *of == section)
        .map(|(_, name)| name)
        .chain(sections.iter().copied())
}
