//! Did you mean …?

/// The candidate that `written` is a slip of the pen away from, if there is one.
pub(crate) fn nearest<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let written = written.to_ascii_lowercase().replace('-', "_");
    let slips_max = written.chars().count() / 3;
    candidates
        .into_iter()
        .map(|candidate| (slips(&written, &candidate.to_ascii_lowercase()), candidate))
        .filter(|&(slips, _)| slips <= slips_max.max(1))
        .min_by_key(|&(slips, _)| slips)
        .map(|(_, candidate)| candidate)
}

/// How many characters must be inserted, removed or replaced to make one out of the other.
fn slips(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, in_a) in a.chars().enumerate() {
        let mut left = i + 1;
        let mut diagonal = i;
        for (above, in_b) in row.iter_mut().skip(1).zip(b.chars()) {
            let replaced = diagonal + usize::from(in_a != in_b);
            diagonal = *above;
            left = replaced.min(left + 1).min(diagonal + 1);
            *above = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_of_the_pen_and_nothing_else() {
        let keys = ["listen", "upstream", "store", "default_ttl"];
        let check = |written, expected| assert_eq!(nearest(written, keys), expected, "{written}");
        check("lisen", Some("listen"));
        check("Upstream", Some("upstream"));
        check("default-ttl", Some("default_ttl"));
        check("defualt_ttl", Some("default_ttl"));
        check("password", None);
        check("", None);
    }

    #[test]
    fn counts_insertions_removals_and_replacements() {
        let check = |a, b, count| assert_eq!(slips(a, b), count, "{a} {b}");
        check("", "", 0);
        check("abc", "", 3);
        check("", "abc", 3);
        check("kitten", "sitting", 3);
    }
}
