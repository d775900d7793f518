//! Values of keys, in the one form that equal values share.
//!
//! Invariant: two values that PostgreSQL takes for equal become equal here, or one of them becomes
//! nothing. So only forms are read that leave no doubt, and of text only ASCII, which is the same
//! bytes in every client encoding.

use catalog::{RowClass, TypeId};

/// Types whose values compare alike, whichever of them a column and a value have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Family {
    /// `int2`, `int4`, `int8`
    Integer,
    /// `uuid`
    Uuid,
    /// `text`, `varchar`
    Text,
}

impl Family {
    /// The family of a column's type.
    pub(crate) const fn of(kind: TypeId) -> Option<Self> {
        match kind.oid() {
            INT8 | INT2 | INT4 => Some(Self::Integer),
            TEXT | VARCHAR => Some(Self::Text),
            UUID => Some(Self::Uuid),
            _ => None,
        }
    }

    /// Whether the arrays of this type hold values of the family.
    pub(crate) const fn has_array(self, array: u32) -> bool {
        matches!(
            (self, array),
            (Self::Integer, 1_005 | 1_007 | 1_016)
                | (Self::Text, 1_009 | 1_015)
                | (Self::Uuid, 2_951)
        )
    }

    /// Whether this type is one of the family.
    pub(crate) fn has(self, kind: u32) -> bool {
        Self::of(TypeId::from_oid(kind)) == Some(self)
    }

    /// The family of a type as a cast names it.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "int" | "integer" | "bigint" | "smallint" | "int2" | "int4" | "int8" => {
                Some(Self::Integer)
            }
            "uuid" => Some(Self::Uuid),
            "text" => Some(Self::Text),
            _ => None,
        }
    }
}

/// Whether a type is of any family.
pub(crate) fn is_key_type(kind: TypeId) -> bool {
    Family::of(kind).is_some()
}

/// One value.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Value<'a> {
    Integer(i64),
    Uuid(u128),
    Text(&'a str),
}

impl<'a> Value<'a> {
    /// Reads the text format.
    pub(crate) fn from_text(family: Family, text: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok().filter(|it| it.is_ascii())?;
        match family {
            Family::Integer => {
                let digits = text.strip_prefix('-').unwrap_or(text);
                let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
                text.parse().ok().filter(|_| plain).map(Self::Integer)
            }
            Family::Uuid => uuid(text.as_bytes()).map(Self::Uuid),
            Family::Text => Some(Self::Text(text)),
        }
    }

    /// Reads the binary format, whose length tells the integers apart.
    pub(crate) fn from_binary(family: Family, bytes: &'a [u8]) -> Option<Self> {
        match family {
            Family::Integer => {
                let two = || bytes.try_into().map(i16::from_be_bytes).map(i64::from);
                let four = || bytes.try_into().map(i32::from_be_bytes).map(i64::from);
                let eight = || bytes.try_into().map(i64::from_be_bytes);
                let number = two().or_else(|_| four()).or_else(|_| eight());
                number.ok().map(Self::Integer)
            }
            Family::Uuid => bytes
                .try_into()
                .map(u128::from_be_bytes)
                .ok()
                .map(Self::Uuid),
            Family::Text => Self::from_text(family, bytes),
        }
    }
}

/// `8-4-4-4-12` digits; the server reads other forms as well.
fn uuid(text: &[u8]) -> Option<u128> {
    if text.len() != 36 {
        return None;
    }
    let mut value = 0;
    for (index, &byte) in text.iter().enumerate() {
        if matches!(index, 8 | 13 | 18 | 23) {
            if byte != b'-' {
                return None;
            }
        } else {
            value = value << 4 | u128::from(char::from(byte).to_digit(16)?);
        }
    }
    Some(value)
}

/// The values of an array in text format, each in its text format. NULL is no value, and neither is
/// what would need unescaping.
pub(crate) fn text_elements(array: &[u8]) -> Option<Vec<&[u8]>> {
    let inner = array.strip_prefix(b"{")?.strip_suffix(b"}")?;
    if inner.is_empty() {
        return Some(Vec::new());
    }
    inner.split(|&byte| byte == b',').map(element).collect()
}

fn element(text: &[u8]) -> Option<&[u8]> {
    let plain =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'@' | b'.');
    match text.strip_prefix(b"\"") {
        Some(quoted) => quoted
            .strip_suffix(b"\"")
            .filter(|inner| inner.iter().all(plain)),
        None => Some(text).filter(|text| {
            !text.is_empty() && text.iter().all(plain) && !text.eq_ignore_ascii_case(b"null")
        }),
    }
}

/// The values of an array in binary format, each in its binary format.
pub(crate) fn binary_elements(family: Family, array: &[u8]) -> Option<Vec<&[u8]>> {
    let mut rest = array;
    let (dimensions, _flags, kind) = (word(&mut rest)?, word(&mut rest)?, word(&mut rest)?);
    if !family.has(kind) {
        return None;
    }
    if dimensions == 0 {
        return rest.is_empty().then(Vec::new);
    }
    let (count, _lower) = (word(&mut rest)?, word(&mut rest)?);
    // Each needs four bytes for its length at least.
    if dimensions != 1 || count as usize > rest.len() / 4 {
        return None;
    }
    let mut elements = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let length = usize::try_from(word(&mut rest)?.cast_signed()).ok()?;
        let (element, after) = rest.split_at_checked(length)?;
        elements.push(element);
        rest = after;
    }
    rest.is_empty().then_some(elements)
}

fn word(rest: &mut &[u8]) -> Option<u32> {
    let (word, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u32::from_be_bytes(*word))
}

/// The class of rows whose key columns have these values.
///
/// The digest must never change: instances of different builds share versions by it.
pub(crate) fn class(key: &[Value<'_>]) -> RowClass {
    let mut digest = FNV_BASIS;
    let mut feed = |bytes: &[u8]| {
        for &byte in bytes {
            digest = (digest ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
        }
    };
    for value in key {
        match value {
            Value::Integer(number) => feed(&number.to_be_bytes()),
            Value::Uuid(number) => feed(&number.to_be_bytes()),
            Value::Text(text) => {
                feed(text.as_bytes());
                // Ends no ASCII text, so that neighbours do not glue.
                feed(&[0xff]);
            }
        }
    }
    // The finalizer of splitmix64, because the class is of the upper bits.
    digest = (digest ^ (digest >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    digest = (digest ^ (digest >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    RowClass::from_digest(digest ^ (digest >> 31))
}

const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

const INT8: u32 = 20;
const INT2: u32 = 21;
const INT4: u32 = 23;
const TEXT: u32 = 25;
pub(crate) const VARCHAR: u32 = 1_043;
const UUID: u32 = 2_950;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_equal_in_every_format_or_nothing() {
        let text = |family, text: &'static str| Value::from_text(family, text.as_bytes());
        for form in ["5", "05", "0000000000000000005"] {
            assert_eq!(text(Family::Integer, form), Some(Value::Integer(5)));
        }
        for form in [
            "", "-", "+5", " 5", "5 ", "0x5", "5.0", "5e0", "1_0", "--5", "\u{665}",
        ] {
            assert_eq!(text(Family::Integer, form), None, "{form}");
        }
        assert_eq!(text(Family::Integer, "9223372036854775808"), None);
        for bytes in [&[0, 5][..], &[0, 0, 0, 5], &[0, 0, 0, 0, 0, 0, 0, 5]] {
            let value = Value::from_binary(Family::Integer, bytes);
            assert_eq!(value, Some(Value::Integer(5)));
        }
        assert_eq!(Value::from_binary(Family::Integer, &[5]), None);
        assert_eq!(
            Value::from_binary(Family::Integer, &[0xff, 0xfb]),
            text(Family::Integer, "-5")
        );

        let form = "A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11";
        let value = Some(Value::Uuid(0xa0ee_bc99_9c0b_4ef8_bb6d_6bb9_bd38_0a11));
        assert_eq!(text(Family::Uuid, form), value);
        for form in [
            "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
            "a0eebc999c0b4ef8bb6d6bb9bd380a11",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g",
            "a0eebc9-99c0b-4ef8-bb6d-6bb9bd380a11",
        ] {
            assert_eq!(text(Family::Uuid, form), None, "{form}");
        }
        assert_eq!(text(Family::Text, "a b"), Some(Value::Text("a b")));
        assert_eq!(text(Family::Text, "\u{e9}"), None);
    }

    #[test]
    fn arrays_without_doubt_are_read() {
        let text = |array: &'static str| text_elements(array.as_bytes());
        assert_eq!(text("{}"), Some(vec![]));
        assert_eq!(text("{1,-2}"), Some(vec![&b"1"[..], b"-2"]));
        assert_eq!(text("{\"a\",b}"), Some(vec![&b"a"[..], b"b"]));
        for array in [
            "",
            "{",
            "{1,}",
            "{1, 2}",
            "{NULL}",
            "{{1}}",
            "[0:0]={1}",
            "{\"a,b\"}",
        ] {
            assert_eq!(text(array), None, "{array}");
        }
        let mut array = Vec::new();
        for number in [1_u32, 0, 23, 2, 1, 4, 7, 4, 8] {
            array.extend(number.to_be_bytes());
        }
        let elements = binary_elements(Family::Integer, &array);
        assert_eq!(elements, Some(vec![&[0, 0, 0, 7][..], &[0, 0, 0, 8]]));
        assert_eq!(binary_elements(Family::Text, &array), None);
        for end in 0..array.len() {
            assert_eq!(binary_elements(Family::Integer, &array[..end]), None);
        }
        array[20..24].copy_from_slice(&u32::MAX.to_be_bytes());
        assert_eq!(binary_elements(Family::Integer, &array), None, "NULL");
    }

    #[test]
    fn classes_are_the_same_in_every_build() {
        let number = |key: &[Value<'_>]| class(key).number();
        assert_eq!(number(&[Value::Integer(5)]), 134_833);
        assert_ne!(
            number(&[Value::Text("ab"), Value::Text("c")]),
            number(&[Value::Text("a"), Value::Text("bc")])
        );
        let few: std::collections::HashSet<_> =
            (0..10_000).map(|n| number(&[Value::Integer(n)])).collect();
        assert!(few.len() > 9_900, "{}", few.len());
    }
}
