//! Tables in PostgreSQL's protocol: RowDescription and DataRow, in text and in binary.

use bytes::{BufMut, BytesMut};
use wire::backend::tag;

use crate::table::{Column, Kind, Value};

/// How values are written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Format {
    #[default]
    Text,
    Binary,
}

/// The formats that a Bind asks for: none means text, one stands for all columns, else one for each.
#[derive(Clone, Debug, Default)]
pub(super) struct Formats(Vec<Format>);

impl Formats {
    /// `codes` holds two bytes each; `None` if they do not fit that many columns, or name no format.
    pub(super) fn read(codes: &[u8], columns: usize) -> Option<Self> {
        let (codes, _) = codes.as_chunks::<2>();
        if codes.len() > 1 && codes.len() != columns {
            return None;
        }
        let format = |code: &[u8; 2]| match u16::from_be_bytes(*code) {
            0 => Some(Format::Text),
            1 => Some(Format::Binary),
            _ => None,
        };
        codes.iter().map(format).collect::<Option<_>>().map(Self)
    }

    fn of(&self, column: usize) -> Format {
        let index = if self.0.len() == 1 { 0 } else { column };
        self.0.get(index).copied().unwrap_or_default()
    }
}

/// Appends a RowDescription.
pub(super) fn put_description(out: &mut BytesMut, columns: &[Column], formats: &Formats) {
    put(out, tag::ROW_DESCRIPTION, |body| {
        put_count(body, columns.len());
        for (index, Column(name, kind)) in columns.iter().enumerate() {
            let (oid, length) = type_of(*kind);
            body.put_slice(name.as_bytes());
            body.put_slice(&[0; 1 + 4 + 2]);
            body.put_u32(oid);
            body.put_i16(length);
            body.put_i32(-1);
            body.put_u16(formats.of(index) as u16);
        }
    });
}

/// Appends a DataRow.
pub(super) fn put_row(out: &mut BytesMut, row: &[Value], formats: &Formats) {
    put(out, tag::DATA_ROW, |body| {
        put_count(body, row.len());
        for (index, value) in row.iter().enumerate() {
            put_value(body, value, formats.of(index));
        }
    });
}

fn put_value(body: &mut BytesMut, value: &Value, format: Format) {
    match (value, format) {
        (Value::Null, _) => body.put_i32(-1),
        (Value::Text(text), _) => put_field(body, text.replace('\0', " ").as_bytes()),
        (Value::Integer(number), Format::Text) => put_field(body, number.to_string().as_bytes()),
        (Value::Integer(number), Format::Binary) => put_field(body, &number.to_be_bytes()),
        (Value::Number(number), Format::Text) => put_field(body, number.to_string().as_bytes()),
        (Value::Number(number), Format::Binary) => put_field(body, &number.to_be_bytes()),
        (Value::Time(us), Format::Text) => put_field(body, time_text(*us).as_bytes()),
        (Value::Time(us), Format::Binary) => {
            put_field(body, &us.saturating_sub(YEAR_2000_US).to_be_bytes());
        }
    }
}

/// A moment in UTC, as PostgreSQL writes it: `2026-11-30 12:00:00.5+00`.
fn time_text(us: i64) -> String {
    let (days, us) = (us.div_euclid(DAY_US), us.rem_euclid(DAY_US));
    let (year, month, day) = date(days);
    let (seconds, us) = (us / 1_000_000, us % 1_000_000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = match us {
        0 => String::new(),
        us => format!(".{us:06}").trim_end_matches('0').to_owned(),
    };
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{fraction}+00")
}

/// Year, month and day of a day counted from 1970-01-01: years begin in March, so that the leap day
/// is their last.
const fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400;
    (if month <= 2 { year + 1 } else { year }, month, day)
}

/// The OID of a type in every PostgreSQL, and its length.
const fn type_of(kind: Kind) -> (u32, i16) {
    match kind {
        Kind::Text => (25, -1),
        Kind::Integer => (20, 8),
        Kind::Number => (701, 8),
        Kind::Time => (1184, 8),
    }
}

/// Fields of an ErrorResponse, by their letters.
pub(super) fn put_error(out: &mut BytesMut, fields: &[(u8, &str)]) {
    put(out, tag::ERROR, |body| {
        for (letter, text) in fields.iter().filter(|(_, text)| !text.is_empty()) {
            body.put_u8(*letter);
            body.put_slice(text.replace('\0', " ").as_bytes());
            body.put_u8(0);
        }
        body.put_u8(0);
    });
}

/// Appends a message whose body is text, each ended by a NUL.
pub(super) fn put_texts(out: &mut BytesMut, tag: u8, texts: &[&str]) {
    put(out, tag, |body| {
        for text in texts {
            body.put_slice(text.as_bytes());
            body.put_u8(0);
        }
    });
}

/// Appends a message.
pub(super) fn put(out: &mut BytesMut, tag: u8, write: impl FnOnce(&mut BytesMut)) {
    out.put_u8(tag);
    put_sized(out, write);
}

fn put_field(out: &mut BytesMut, bytes: &[u8]) {
    out.put_i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
    out.put_slice(bytes);
}

/// A length, which counts itself, and what it is of.
fn put_sized(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32(0);
    write(out);
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    if let Some(field) = out.get_mut(start..start + 4) {
        field.copy_from_slice(&length.to_be_bytes());
    }
}

fn put_count(out: &mut BytesMut, count: usize) {
    out.put_u16(u16::try_from(count).unwrap_or(u16::MAX));
}

const DAY_US: i64 = 86_400_000_000;

/// PostgreSQL counts from 2000-01-01.
const YEAR_2000_US: i64 = 10_957 * DAY_US;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_postgresql_writes_them() {
        for (us, expected) in [
            (0, "1970-01-01 00:00:00+00"),
            (YEAR_2000_US, "2000-01-01 00:00:00+00"),
            (951_782_399_500_000, "2000-02-28 23:59:59.5+00"),
            (951_825_600_000_001, "2000-02-29 12:00:00.000001+00"),
            (1_796_083_200_000_000, "2026-12-01 00:00:00+00"),
            (4_107_542_399_000_000, "2100-02-28 23:59:59+00"),
            (4_107_542_400_000_000, "2100-03-01 00:00:00+00"),
            (-1_000_000, "1969-12-31 23:59:59+00"),
        ] {
            assert_eq!(time_text(us), expected);
        }
    }

    #[test]
    fn formats_are_none_one_or_one_for_each() {
        let read = |codes: &[u8]| Formats::read(codes, 3).map(|it| [0, 1, 2].map(|at| it.of(at)));
        use Format::{Binary, Text};
        assert_eq!(read(&[]), Some([Text; 3]));
        assert_eq!(read(&[0, 1]), Some([Binary; 3]));
        assert_eq!(read(&[0, 1, 0, 0, 0, 1]), Some([Binary, Text, Binary]));
        assert_eq!(read(&[0, 1, 0, 0]), None);
        assert_eq!(read(&[0, 2]), None);
    }
}
