//! Scripts for psql in which each read runs twice, so that the second can be a hit.

/// Puts `\g`, which sends the last query again, behind each statement that begins like a read, and
/// a pause before the first read behind a definition: until pgmemo has read the catalog again, it
/// looks up nothing.
///
/// Lines are looked at, not tokens: a statement that shares its last line with another is sent
/// again together with it, at the server and through pgmemo alike.
pub(super) fn reread(script: &str) -> String {
    let mut twice = String::with_capacity(script.len() * 2);
    let mut quote: Option<&str> = None;
    let (mut begins, mut reads, mut defined) = (true, false, false);
    for line in script.split_inclusive('\n') {
        let code = line.trim();
        if quote.is_none() && (code.is_empty() || code.starts_with("--")) {
            twice.push_str(line);
            continue;
        }
        if code.starts_with('\\') {
            twice.push_str(line);
            begins = true;
            continue;
        }
        if begins && quote.is_none() {
            let word = code.split(|sign: char| !sign.is_ascii_alphabetic()).next();
            let is_in = |words: &[&str]| {
                word.is_some_and(|word| words.iter().any(|it| word.eq_ignore_ascii_case(it)))
            };
            reads = is_in(&READS);
            if reads && defined {
                twice.push_str("\\! sleep 0.2\n");
                defined = false;
            }
            defined |= is_in(&DEFINITIONS);
        }
        twice.push_str(line);
        quote = dollars(line, quote);
        let code = code.split("--").next().unwrap_or(code).trim_end();
        begins = quote.is_none() && code.ends_with(';');
        if begins && reads {
            twice.push_str("\\g\n");
        }
    }
    twice
}

const READS: [&str; 4] = ["select", "values", "table", "with"];

const DEFINITIONS: [&str; 3] = ["create", "alter", "drop"];

/// The dollar quote that is open behind a line.
fn dollars<'a>(line: &'a str, mut open: Option<&'a str>) -> Option<&'a str> {
    let mut rest = line;
    while let Some(start) = rest.find('$') {
        let behind = rest.get(start + 1..).unwrap_or_default();
        let name = behind.find(|sign: char| !(sign.is_ascii_alphabetic() || sign == '_'));
        let Some(end) =
            name.filter(|&end| behind.get(end..).is_some_and(|rest| rest.starts_with('$')))
        else {
            rest = behind;
            continue;
        };
        let tag = behind.get(..end).unwrap_or_default();
        match open {
            None => open = Some(tag),
            Some(opened) if opened == tag => open = None,
            Some(_) => {}
        }
        rest = behind.get(end + 1..).unwrap_or_default();
    }
    open
}

#[cfg(test)]
mod tests {
    use super::reread;

    #[test]
    fn reads_run_twice_and_bodies_stay_whole() {
        let script = concat!(
            "SELECT 1; -- one\n",
            "INSERT INTO t VALUES (1);\n",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $x$\n",
            "SELECT 1;\n",
            "$x$;\n",
            "with a as (select 1)\n",
            "select * from a;\n",
            "\\pset null x\n",
        );
        let twice = concat!(
            "SELECT 1; -- one\n\\g\n",
            "INSERT INTO t VALUES (1);\n",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $x$\n",
            "SELECT 1;\n",
            "$x$;\n",
            "\\! sleep 0.2\n",
            "with a as (select 1)\n",
            "select * from a;\n\\g\n",
            "\\pset null x\n",
        );
        assert_eq!(reread(script), twice);
    }
}
