//! Laws that hold for any text.

use proptest::prelude::*;

use super::*;

/// Words and marks from which texts are put together.
fn text() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "select",
        "insert",
        "into",
        "update",
        "delete",
        "from",
        "merge",
        "truncate",
        "city",
        "person",
        "public",
        ".",
        "(",
        ")",
        ";",
        ",",
        "begin",
        "end",
        "then",
        "else",
        "declare",
        "loop",
        "execute",
        "do",
        "set",
        "for",
        "key",
        "only",
        "'x'",
        "$1",
        ":=",
        "=",
        "<<",
        ">>",
        "as",
        "f",
        "\"city\"",
        "with",
        "atomic",
        "copy",
        "refresh",
        "materialized",
        "view",
    ]);
    prop::collection::vec(word, 0..24).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn any_text_has_an_outcome(bytes in prop::collection::vec(any::<u8>(), 0..64), text in text()) {
        let (db, _) = db();
        let effects = effects(db);
        effects.of_text(&bytes);
        effects.of_text(text.as_bytes());
    }

    #[test]
    fn a_statement_added_to_a_body_never_makes_it_write_less(text in text()) {
        let (mut db, [_, _, audit]) = db();
        let body = format!("BEGIN {text}; INSERT INTO audit VALUES (1); END");
        let function = db.plpgsql("f", &body);
        match effects(db).of_function(function).writes {
            Writes::Everything | Writes::Cluster => {}
            Writes::Relations(all) => prop_assert!(all.contains(&audit), "{}", body),
            Writes::Nothing | Writes::Code | Writes::Rows(_) => prop_assert!(false, "{}", body),
        }
    }

    #[test]
    fn every_written_table_is_named(text in text()) {
        let (mut db, [city, person, _]) = db();
        let function = db.plpgsql("f", &text);
        let writes = effects(db).of_function(function).writes;
        if let Writes::Relations(all) = writes {
            for (name, id) in [("city", city), ("person", person)] {
                prop_assert!(text.contains(name) || !all.contains(&id));
            }
        }
    }
}
