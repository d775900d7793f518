//! Writing HTML so that nothing from outside becomes part of it.

use std::fmt::Write as _;

use crate::table::{Column, Kind, Table, Value};

/// Text as content, or as the value of an attribute in double quotes.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\0' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

/// A table with those of its columns that are named, under other names.
pub(super) fn put_table(out: &mut String, table: &Table, columns: &[(&str, &str)]) {
    let found: Vec<(usize, Kind, &str)> = columns
        .iter()
        .filter_map(|(name, heading)| {
            let at = table.columns.iter().position(|column| column.0 == *name)?;
            let Column(_, kind) = table.columns.get(at)?;
            Some((at, *kind, *heading))
        })
        .collect();
    out.push_str("<div class=\"scroll\" tabindex=\"0\"><table><thead><tr>");
    for (_, kind, heading) in &found {
        let class = class(*kind);
        _ = write!(out, "<th scope=\"col\"{class}>{}</th>", escaped(heading));
    }
    out.push_str("</tr></thead><tbody>");
    for row in &table.rows {
        out.push_str("<tr>");
        for (at, kind, _) in &found {
            let value = row.get(*at).map_or_else(String::new, shown);
            _ = write!(out, "<td{}>{}</td>", class(*kind), escaped(&value));
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
}

const fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Integer | Kind::Number => " class=\"number\"",
        Kind::Text | Kind::Time => "",
    }
}

/// A value for people.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::Text(text) => text.clone().into_owned(),
        Value::Integer(number) => grouped(*number),
        Value::Number(number) => number.to_string(),
        Value::Time(us) => us.to_string(),
    }
}

/// With thin spaces between thousands.
pub(super) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut out = String::from(if number < 0 { "−" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_is_markup() {
        let mut table = Table::new(&[Column("a", Kind::Text), Column("b", Kind::Integer)]);
        let evil = "<script>alert(\"1\")</script> & '\0'".to_owned();
        table.rows.push(vec![evil.into(), 1_234_567_u64.into()]);
        let mut out = String::new();
        put_table(&mut out, &table, &[("b", "B<"), ("a", "A"), ("c", "C")]);
        assert!(
            out.contains(
                "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;\u{fffd}&#39;"
            ),
            "{out}"
        );
        assert!(
            out.contains("<th scope=\"col\" class=\"number\">B&lt;</th>"),
            "{out}"
        );
        assert!(out.contains("1\u{202f}234\u{202f}567"), "{out}");
        assert!(!out.contains("<script") && !out.contains(">C<"), "{out}");
    }
}
