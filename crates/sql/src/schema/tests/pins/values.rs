//! Values of parameters, and what transactions add up to.

use super::*;

/// A Bind with these declared types, formats and values.
fn bind(
    text: &str,
    types: &[u32],
    formats: &[u16],
    values: &[Option<&[u8]>],
    db: &Database,
) -> (String, String) {
    let types: Vec<u8> = types.iter().flat_map(|oid| oid.to_be_bytes()).collect();
    let formats: Vec<u8> = formats.iter().flat_map(|code| code.to_be_bytes()).collect();
    let mut encoded = Vec::new();
    for value in values {
        let length = value.map_or(-1, |bytes| i32::try_from(bytes.len()).unwrap());
        encoded.extend(length.to_be_bytes());
        encoded.extend(value.unwrap_or_default());
    }
    let arguments = Arguments {
        types: &types,
        formats: &formats,
        values: &encoded,
        ..Arguments::default()
    };
    (db.rows(text, &arguments), db.changes(text, &arguments))
}

#[test]
fn parameters_count_if_their_type_is_certain() {
    let db = database();
    let read = "SELECT v FROM acc WHERE id = $1";
    let five: [&[u8]; 4] = [b"5", &[0, 5], &[0, 0, 0, 5], &[0, 0, 0, 0, 0, 0, 0, 5]];
    let row = |types: &[u32], formats: &[u16], value: &[u8]| {
        bind(read, types, formats, &[Some(value)], &db).0
    };
    for types in [&[][..], &[0], &[705], &[20], &[21], &[23]] {
        assert_eq!(row(types, &[], five[0]), "acc 5 !1", "{types:?}");
        for value in &five[1..] {
            assert_eq!(row(types, &[1], value), "acc 5 !1", "{types:?}");
        }
    }
    for types in [&[701][..], &[1700], &[25], &[26], &[16_500]] {
        assert_eq!(row(types, &[1], five[3]), "acc *", "{types:?}");
        assert_eq!(row(types, &[], five[0]), "acc *", "{types:?}");
    }
    assert_eq!(row(&[], &[], b"5.0"), "acc *");
    assert_eq!(bind(read, &[], &[], &[None], &db).0, "acc *", "NULL");
    assert_eq!(bind(read, &[], &[], &[], &db).0, "acc *", "no value");

    // Its other use may decide that it is a numeric, whose zero has eight bytes as well.
    let twice = "SELECT v FROM acc WHERE abs($1) = n AND id = $1";
    assert_eq!(bind(twice, &[], &[1], &[Some(five[3])], &db).0, "acc *");
    assert_eq!(bind(twice, &[20], &[1], &[Some(five[3])], &db).0, "acc 5");
    let second = "UPDATE acc SET v = $1 WHERE id = $2";
    let values = [Some(&b"x"[..]), Some(five[2])];
    assert_eq!(bind(second, &[], &[0, 1], &values, &db).1, "acc 5");
    assert_eq!(
        bind(second, &[0, 701], &[0, 1], &values, &db).1,
        "acc *, kid *"
    );
    assert_eq!(bind(second, &[], &[0, 0], &values, &db).1, "acc *, kid *");

    let any = "SELECT v FROM acc WHERE id = ANY ($1)";
    assert_eq!(
        bind(any, &[1007], &[], &[Some(b"{5,6}")], &db).0,
        "acc 5 6 !2"
    );
    assert_eq!(bind(any, &[], &[], &[Some(b"{}")], &db).0, "acc  !0");
    assert_eq!(bind(any, &[1009], &[], &[Some(b"{5,6}")], &db).0, "acc *");
    let cast = "SELECT v FROM doc WHERE id = $1::uuid";
    assert_eq!(
        bind(cast, &[], &[], &[Some(UUID.as_bytes())], &db).0,
        "doc ab !1"
    );
    let text = "SELECT v FROM word WHERE k = $1";
    for (kind, expected) in [
        (0, "word x !1"),
        (25, "word x !1"),
        (1043, "word x !1"),
        (1042, "word *"),
        (19, "word *"),
    ] {
        assert_eq!(
            bind(text, &[kind], &[], &[Some(b"x")], &db).0,
            expected,
            "{kind}"
        );
    }
    let insert = "INSERT INTO acc (id, v) VALUES ($1, $2)";
    let values = [Some(&b"7"[..]), Some(&b"x"[..])];
    assert_eq!(bind(insert, &[], &[], &values, &db).1, "acc 7");
    assert_eq!(bind(insert, &[701], &[], &values, &db).1, "acc +");
}

#[test]
fn a_transaction_keeps_its_rows_apart_up_to_a_bound() {
    let db = database();
    let mut writes = Writes::Nothing;
    let add = |text: &str, writes: &mut Writes| {
        let plan = db.plan(text);
        let narrow = plan.pinned.writes(&Arguments::default());
        writes.add(narrow.as_ref().unwrap_or(&plan.writes));
    };
    for id in 0..256 {
        add(
            &format!("UPDATE acc SET v = 'x' WHERE id = {id}"),
            &mut writes,
        );
    }
    add("INSERT INTO seen DEFAULT VALUES", &mut writes);
    let Writes::Rows(changes) = &writes else {
        panic!("{writes:?}")
    };
    assert_eq!((changes.relations.len(), changes.rows.len()), (0, 256));
    assert_eq!(changes.inserts.len(), 1);
    add("UPDATE acc SET v = 'x' WHERE id = 1000", &mut writes);
    let Writes::Rows(changes) = &writes else {
        panic!("{writes:?}")
    };
    assert_eq!((changes.relations.len(), changes.rows.len()), (1, 0));
    add("DELETE FROM seen", &mut writes);
    let Writes::Rows(changes) = &writes else {
        panic!("{writes:?}")
    };
    assert_eq!((changes.relations.len(), changes.inserts.len()), (2, 0));
}
