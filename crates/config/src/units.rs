//! Durations and sizes as people write them: a whole number and a unit.

use std::time::Duration;

use crate::problem::Refusal;

/// Units of time in microseconds, largest first; of two names the first is printed.
const TIME: [(&str, u64); 7] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("min", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

/// Units of size in bytes. Those without an `i` are powers of 1000, as SI has them.
const SIZE: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

pub(crate) const TIME_REMEDY: &str =
    "write a whole number and a unit, such as \"250ms\", \"30s\", \"5m\", \"1h\" or \"1d\"";
pub(crate) const SIZE_REMEDY: &str =
    "write a whole number and a unit, such as \"64KiB\", \"256MiB\" or \"2GB\"";

/// Reads a duration; `0` needs no unit.
pub(crate) fn duration(text: &str) -> Result<Duration, Refusal> {
    quantity(text, &TIME)
        .map(Duration::from_micros)
        .map_err(|fault| fault.refusal("duration", "s", TIME_REMEDY))
}

/// Reads a size in bytes; `0` needs no unit.
pub(crate) fn size(text: &str) -> Result<u64, Refusal> {
    quantity(text, &SIZE).map_err(|fault| fault.refusal("size", "B", SIZE_REMEDY))
}

/// A duration in the largest unit that divides it: `5m`, `90s`, `250ms`. Less than a microsecond
/// is cut off.
pub fn duration_text(duration: Duration) -> String {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    text_of(micros, &TIME, "0s")
}

/// A size in the largest binary unit that divides it: `256MiB`, `1000B`.
pub fn size_text(bytes: u64) -> String {
    text_of(bytes, &SIZE, "0B")
}

fn text_of(amount: u64, units: &[(&str, u64)], zero: &str) -> String {
    let decimal = |unit: &str| unit.ends_with('B') && unit.len() == 2;
    units
        .iter()
        .filter(|(unit, _)| !decimal(unit))
        .find(|&&(_, factor)| amount > 0 && amount.is_multiple_of(factor))
        .map_or_else(
            || zero.to_owned(),
            |(unit, factor)| format!("{}{unit}", amount / factor),
        )
}

/// Why a text is not a quantity.
#[derive(Debug)]
enum Fault<'a> {
    NotANumber,
    Negative,
    Fraction,
    NoUnit(&'a str),
    UnknownUnit(&'a str),
    TooLarge,
}

impl Fault<'_> {
    fn refusal(self, noun: &str, unit: &str, remedy: &str) -> Refusal {
        match self {
            Self::NotANumber => Refusal::new(format!("is not a {noun}"), remedy),
            Self::Negative => Refusal::new("is negative", remedy),
            Self::Fraction => {
                Refusal::new("has a fraction", format!("{remedy}; use a smaller unit"))
            }
            Self::NoUnit(digits) => Refusal::new(
                "has no unit",
                format!("{remedy}; \"{digits}{unit}\" may be meant"),
            ),
            Self::UnknownUnit(unknown) => Refusal::new(
                format!("has the unknown unit `{}`", unknown.escape_debug()),
                remedy,
            ),
            Self::TooLarge => Refusal::new("is too large", remedy),
        }
    }
}

fn quantity<'a>(text: &'a str, units: &[(&str, u64)]) -> Result<u64, Fault<'a>> {
    let text = text.trim();
    if text.starts_with('-') {
        return Err(Fault::Negative);
    }
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    if digits.is_empty() {
        return Err(Fault::NotANumber);
    }
    if unit.starts_with(['.', ',']) {
        return Err(Fault::Fraction);
    }
    let number: u64 = digits.parse().map_err(|_| Fault::TooLarge)?;
    let unit = unit.trim_start();
    if unit.is_empty() {
        return if number == 0 {
            Ok(0)
        } else {
            Err(Fault::NoUnit(digits))
        };
    }
    let (_, factor) = units
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or(Fault::UnknownUnit(unit))?;
    number.checked_mul(*factor).ok_or(Fault::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations() {
        let check = |text, millis| {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        };
        check("250ms", 250);
        check("5m", 300_000);
        check("5min", 300_000);
        check(" 1 h ", 3_600_000);
        check("1d", 86_400_000);
        check("0", 0);
        check("0s", 0);
        check("5000us", 5);
    }

    #[test]
    fn refuses_what_is_not_a_duration() {
        let check = |text, what: &str| assert_eq!(duration(text).unwrap_err().what, what, "{text}");
        check("", "is not a duration");
        check("soon", "is not a duration");
        check("60", "has no unit");
        check("-5s", "is negative");
        check("1.5s", "has a fraction");
        check("5 minutes", "has the unknown unit `minutes`");
        check("5M", "has the unknown unit `M`");
        check("1m30s", "has the unknown unit `m30s`");
        check("99999999999999999999s", "is too large");
        check("9999999999999d", "is too large");
    }

    #[test]
    fn reads_and_refuses_sizes() {
        let check = |text, bytes| assert_eq!(size(text), Ok(bytes), "{text}");
        check("256MiB", 256 << 20);
        check("64kB", 64_000);
        check("64KiB", 65_536);
        check("1B", 1);
        let check = |text, what: &str| assert_eq!(size(text).unwrap_err().what, what, "{text}");
        check("1024", "has no unit");
        check("256mb", "has the unknown unit `mb`");
        check("99999999TiB", "is too large");
    }

    #[test]
    fn what_is_printed_reads_as_the_same() {
        for micros in [
            0,
            1,
            999,
            1_000,
            90_000_000,
            300_000_000,
            86_400_000_000,
            u64::MAX,
        ] {
            let time = Duration::from_micros(micros);
            assert_eq!(duration(&duration_text(time)), Ok(time));
            assert_eq!(size(&size_text(micros)), Ok(micros));
        }
        assert_eq!(duration_text(Duration::from_secs(60)), "1m");
        assert_eq!(duration_text(Duration::from_secs(90)), "90s");
        assert_eq!(size_text(256 << 20), "256MiB");
    }
}
