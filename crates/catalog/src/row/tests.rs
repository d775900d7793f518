use super::*;
use crate::SearchPath;

/// Splits a row as `psql -At` prints it; an empty column is NULL.
fn columns(row: &str) -> impl Iterator<Item = Option<&str>> {
    row.split('|')
        .map(|column| (!column.is_empty()).then_some(column))
}

fn read(rows: &[(Kind, &str)]) -> Builder {
    let mut builder = Builder::default();
    for &(kind, row) in rows {
        builder.push(kind, columns(row)).unwrap();
    }
    builder
}

#[test]
fn public_is_told_from_roles_that_may_use_a_schema() {
    let builder = read(&[
        (Kind::Schemas, "2200|public|0 6171"),
        (Kind::Schemas, "17810|a|10 16389"),
        (Kind::Schemas, "17811|nobody|"),
    ]);
    let usage = |index: usize| {
        let schema = &builder.schemas[index];
        (
            schema.public_usage,
            schema
                .usage
                .iter()
                .map(|role| role.oid())
                .collect::<Vec<_>>(),
        )
    };
    assert_eq!(usage(0), (true, vec![6171]));
    assert_eq!(usage(1), (false, vec![10, 16389]));
    assert_eq!(usage(2), (false, vec![]));
}

#[test]
fn a_superuser_bypasses_row_security() {
    let builder = read(&[
        (Kind::Roles, "10|postgres|t|f"),
        (Kind::Roles, "11|auditor|f|t"),
        (Kind::Roles, "12|alice|f|f"),
    ]);
    let bypasses: Vec<_> = builder
        .roles
        .iter()
        .map(|role| role.bypasses_row_security)
        .collect();
    assert_eq!(bypasses, [true, true, false]);
}

#[test]
fn a_relation_gets_its_columns_parents_and_definition() {
    let snapshot = read(&[
        (Kind::Columns, "20002|name|25"),
        (Kind::Columns, "20002|id|23"),
        (Kind::Inherits, "20002|20001"),
        (Kind::Inherits, "30000|20001"),
        (Kind::Definitions, "20003|SELECT 1"),
        (Kind::Definitions, "20002|"),
        (Kind::Relations, "20003|2200|v|v|10|-|p|t|0|0|2|hstore"),
        (Kind::Relations, "20001|2200|base|p|10|o|u|f|0|0|1|"),
        (Kind::Relations, "20002|2200|part|r|10|f|t|f|0|0|1|"),
    ])
    .finish();
    let base = snapshot.relation(RelationId::from_oid(20_001)).unwrap();
    assert_eq!(
        (base.kind, base.row_security),
        (RelationKind::PartitionedTable, RowSecurity::On)
    );
    assert!(base.unlogged && !base.temporary);
    let part = snapshot.relation(RelationId::from_oid(20_002)).unwrap();
    assert_eq!(
        (part.row_security, part.temporary),
        (RowSecurity::Forced, true)
    );
    assert_eq!(*part.parents, [base.id]);
    let names: Vec<_> = part.columns.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["name", "id"]);
    assert_eq!(part.definition, None);
    let view = snapshot.relation(RelationId::from_oid(20_003)).unwrap();
    assert_eq!(view.definition.as_deref(), Some("SELECT 1"));
    assert_eq!(
        (view.security_invoker, view.extension.as_deref()),
        (true, Some("hstore"))
    );
}

#[test]
fn a_function_says_how_many_arguments_it_takes() {
    let builder = read(&[
        (
            Kind::Functions,
            "17872|2200|f|f|3|2|t|23 25|25|s|sql|f|select 1|search_path=a\u{1f}jit=off||23 25 20",
        ),
        (
            Kind::Functions,
            "17873|2200|g|p|2|1|f|23 23|2278|v|plpython3u|t||||",
        ),
        (
            Kind::Functions,
            "17884|2200|h|a|1|0|f|2276|20|i|internal|f|||hstore|",
        ),
        (Kind::Support, "17884|17883 0 17882 0 0 0 0 0"),
    ]);
    let first = &builder.functions[0];
    assert_eq!(
        (first.arguments, first.volatility),
        ((1, u16::MAX), Volatility::Stable)
    );
    assert_eq!(
        first.settings.iter().map(|set| &**set).collect::<Vec<_>>(),
        ["search_path=a", "jit=off"]
    );
    assert_eq!(*first.takes, [23, 25].map(TypeId::from_oid));
    assert_eq!(first.returns, TypeId::from_oid(25));
    let second = &builder.functions[1];
    assert_eq!(
        (second.arguments, second.language),
        ((1, 2), Language::Foreign)
    );
    assert!(second.settings.is_empty());
    let snapshot = builder.finish();
    let aggregate = snapshot.function(FunctionId::from_oid(17_884)).unwrap();
    assert_eq!(aggregate.kind, FunctionKind::Aggregate);
    assert_eq!(
        *aggregate.support,
        [17_883, 17_882].map(FunctionId::from_oid)
    );
    assert_eq!(aggregate.extension.as_deref(), Some("hstore"));
}

#[test]
fn foreign_keys_and_triggers_are_read_from_their_letters_and_bits() {
    let builder = read(&[
        (Kind::Constraints, "1|2|n|r"),
        (Kind::Constraints, "1|2|a|c"),
        (Kind::Triggers, "1|9|13"),
        (Kind::Triggers, "1|9|48"),
    ]);
    let actions: Vec<_> = builder
        .constraints
        .iter()
        .map(|key| (key.on_update, key.on_delete))
        .collect();
    assert_eq!(
        actions,
        [
            (ForeignKeyAction::Writes, ForeignKeyAction::None),
            (ForeignKeyAction::None, ForeignKeyAction::Writes)
        ]
    );
    assert_eq!(*builder.triggers[0].events, [Event::Insert, Event::Delete]);
    assert_eq!(
        *builder.triggers[1].events,
        [Event::Update, Event::Truncate]
    );
}

#[test]
fn rejects_rows_of_another_shape_and_says_where() {
    let check = |kind, row| {
        Builder::default()
            .push(kind, columns(row))
            .unwrap_err()
            .column
    };
    assert_eq!(check(Kind::Relations, "x"), 0);
    assert_eq!(check(Kind::Relations, "1|2"), 2);
    assert_eq!(check(Kind::Roles, "1|alice|yes|f"), 2);
    assert_eq!(check(Kind::Schemas, "1|a|0 x"), 2);
    assert_eq!(check(Kind::Triggers, "1|2|-1"), 2);
    assert_eq!(check(Kind::Server, ""), 0);
}

#[test]
fn an_identity_may_lack_what_the_role_must_not_see() {
    let full = columns("7711185903919068996|16391|150018|1795400381087720|1|f|1795400381087000");
    let full = Identity::from_row(full).unwrap();
    let system = SystemId(7_711_185_903_919_068_996);
    assert_eq!(
        full.database_id(),
        Some(DatabaseId {
            system,
            oid: 16_391
        })
    );
    let partial = Identity::from_row(columns("|16391|150018|1795400381087720||t|")).unwrap();
    assert_eq!(
        (partial.system, partial.timeline, partial.in_recovery),
        (None, None, true)
    );
    let signed = Identity::from_row(columns("-1|1|150000|0|1|f|0")).unwrap();
    assert_eq!(signed.system, Some(SystemId(u64::MAX)));
    assert!(Identity::from_row(columns("1|2")).is_err());
}

#[test]
fn a_type_is_what_its_elements_are() {
    let snapshot = read(&[
        (Kind::Types, "25|11|text|b|0|t|t"),
        (Kind::Types, "1009|11|_text|b|25|f|f"),
        (Kind::Types, "1082|11|date|b|0|f|f"),
        (Kind::Types, "1186|11|interval|b|0|f|f"),
        (Kind::Types, "1182|11|_date|b|1082|f|f"),
        (Kind::Types, "20000|2200|mail|d|25|t|f"),
        (Kind::Types, "20001|2200|_mail|b|20000|f|f"),
        (Kind::Types, "20002|2200|status|e|0|f|f"),
        (Kind::Types, "20003|2200|due|d|1182|f|f"),
        (Kind::Types, "20004|2200|interval|b|0|f|f"),
        (Kind::Types, "20005|2200|_row|b|30000|f|f"),
    ])
    .finish();
    let check = |oid, expected| {
        let known = snapshot.type_by_id(TypeId::from_oid(oid)).unwrap();
        assert_eq!((known.is_text, known.reads_clock), expected, "{oid}");
    };
    check(25, (true, false));
    check(1_009, (true, false));
    check(1_082, (false, true));
    check(1_186, (false, false));
    check(1_182, (false, true));
    check(20_000, (true, false));
    check(20_001, (true, false));
    check(20_002, (false, false));
    check(20_003, (false, true));
    check(20_004, (false, true));
    check(20_005, (true, true));
    let path = SearchPath([SchemaId::from_oid(11)].into());
    assert_eq!(snapshot.types(&path, None, "interval").count(), 1);
    assert_eq!(snapshot.types(&path, None, "status").count(), 0);
}
