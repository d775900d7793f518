use catalog::fixture::Fixture;
use catalog::{ForeignKeyAction, FunctionKind, Moment, RelationKind, Volatility};

use super::*;

mod bodies;
mod properties;

const ALL: [Event; 4] = [Event::Insert, Event::Update, Event::Delete, Event::Truncate];

/// A fixture with the tables `city`, `person` and `audit`.
fn db() -> (Fixture, [RelationId; 3]) {
    let mut db = Fixture::new();
    let tables = ["city", "person", "audit"].map(|name| db.table("public", name, &["id", "name"]));
    (db, tables)
}

impl Effects {
    fn of_write(&self, relation: RelationId, event: Event) -> Outcome {
        self.within(&Temporary::Plain).of_write(relation, event)
    }

    fn of_read(&self, relation: RelationId) -> Outcome {
        self.within(&Temporary::Plain).of_read(relation)
    }

    fn of_function(&self, id: FunctionId) -> Outcome {
        self.within(&Temporary::Plain).of_function(id)
    }

    fn of_any(&self) -> Outcome {
        self.within(&Temporary::Plain).of_any()
    }
}

fn effects(db: Fixture) -> Effects {
    Effects::build(Arc::new(db.finish()), None)
}

fn relations(ids: &[RelationId]) -> Writes {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    if ids.is_empty() {
        Writes::Nothing
    } else {
        Writes::Relations(ids.into())
    }
}

#[test]
fn a_write_to_a_plain_table_writes_that_table() {
    let (db, [city, ..]) = db();
    let effects = effects(db);
    for event in ALL {
        assert_eq!(effects.of_write(city, event).writes, relations(&[city]));
    }
}

#[test]
fn unknown_relations_and_functions_may_write_everything() {
    let effects = effects(Fixture::new());
    let relation = effects.of_write(RelationId::from_oid(1), Event::Insert);
    assert_eq!(relation, Outcome::EVERYTHING);
    assert_eq!(
        effects.of_read(RelationId::from_oid(1)),
        Outcome::EVERYTHING
    );
    assert_eq!(
        effects.of_function(FunctionId::from_oid(1)),
        Outcome::EVERYTHING
    );
}

#[test]
fn a_write_reaches_partitions_and_their_parents_but_not_siblings() {
    let mut db = Fixture::new();
    let root = db.relation(RelationKind::PartitionedTable, "public", "root", &["id"]);
    let middle = db.relation(RelationKind::PartitionedTable, "public", "middle", &["id"]);
    let [leaf, sibling] = ["leaf", "sibling"].map(|name| db.table("public", name, &["id"]));
    for (child, parent) in [(middle, root), (leaf, middle), (sibling, root)] {
        db.inherit(child, parent);
    }
    let effects = effects(db);
    for event in ALL {
        let of = |relation| effects.of_write(relation, event).writes;
        assert_eq!(of(root), relations(&[root, middle, leaf, sibling]));
        assert_eq!(of(middle), relations(&[root, middle, leaf]));
        assert_eq!(of(leaf), relations(&[root, middle, leaf]));
    }
}

#[test]
fn an_update_that_moves_a_row_fires_delete_and_insert_triggers_of_partitions() {
    let (mut db, [_, person, audit]) = db();
    let root = db.relation(RelationKind::PartitionedTable, "public", "root", &["id"]);
    let leaf = db.table("public", "leaf", &["id"]);
    db.inherit(leaf, root);
    let [left, came] = [("left_it", "person"), ("came_in", "audit")].map(|(name, table)| {
        db.plpgsql(
            name,
            &format!("BEGIN INSERT INTO {table} VALUES (1); RETURN NEW; END"),
        )
    });
    db.trigger(leaf, left, &[Event::Delete]);
    db.trigger(leaf, came, &[Event::Insert]);
    let effects = effects(db);
    let writes = effects.of_write(root, Event::Update).writes;
    assert_eq!(writes, relations(&[root, leaf, person, audit]));
    assert_eq!(
        effects.of_write(leaf, Event::Update).writes,
        relations(&[root, leaf])
    );
}

#[test]
fn foreign_key_actions_go_on_from_table_to_table() {
    let mut db = Fixture::new();
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| db.table("public", name, &["id"]));
    db.foreign_key(b, a, ForeignKeyAction::Writes);
    db.foreign_key(c, b, ForeignKeyAction::Writes);
    db.foreign_key(a, c, ForeignKeyAction::Writes);
    db.foreign_key(d, a, ForeignKeyAction::None);
    let effects = effects(db);
    assert_eq!(
        effects.of_write(a, Event::Delete).writes,
        relations(&[a, b, c])
    );
    assert_eq!(
        effects.of_write(a, Event::Update).writes,
        relations(&[a, b, c])
    );
    assert_eq!(effects.of_write(a, Event::Insert).writes, relations(&[a]));
}

#[test]
fn truncate_reaches_all_referencing_tables_whatever_their_action() {
    let mut db = Fixture::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| db.table("public", name, &["id"]));
    db.foreign_key(b, a, ForeignKeyAction::None);
    db.foreign_key(c, b, ForeignKeyAction::None);
    assert_eq!(
        effects(db).of_write(a, Event::Truncate).writes,
        relations(&[a, b, c])
    );
}

#[test]
fn a_foreign_key_to_a_partition_acts_when_its_parent_is_written() {
    let mut db = Fixture::new();
    let root = db.relation(RelationKind::PartitionedTable, "public", "root", &["id"]);
    let [leaf, other] = ["leaf", "other"].map(|name| db.table("public", name, &["id"]));
    db.inherit(leaf, root);
    db.foreign_key(other, leaf, ForeignKeyAction::Writes);
    assert_eq!(
        effects(db).of_write(root, Event::Delete).writes,
        relations(&[root, leaf, other])
    );
}

#[test]
fn a_view_stands_for_the_tables_behind_it() {
    let (mut db, [city, person, _]) = db();
    let inner = db.view(
        "public",
        "inner_v",
        &["id"],
        "SELECT id FROM public.city",
        &[city],
    );
    let outer = db.view(
        "public",
        "outer_v",
        &["id"],
        "SELECT id FROM public.inner_v",
        &[inner],
    );
    db.foreign_key(person, city, ForeignKeyAction::Writes);
    let effects = effects(db);
    assert_eq!(
        effects.of_write(outer, Event::Insert).writes,
        relations(&[city])
    );
    assert_eq!(
        effects.of_write(outer, Event::Delete).writes,
        relations(&[city, person])
    );
    assert_eq!(effects.of_read(outer).writes, Writes::Nothing);
}

#[test]
fn an_instead_of_trigger_on_a_view_counts() {
    let (mut db, [city, _, audit]) = db();
    let view = db.view(
        "public",
        "v",
        &["id"],
        "SELECT id FROM public.city",
        &[city],
    );
    let function = db.plpgsql(
        "log",
        "BEGIN INSERT INTO public.audit VALUES (1); RETURN NEW; END",
    );
    db.trigger(view, function, &[Event::Insert]);
    assert_eq!(
        effects(db).of_write(view, Event::Insert).writes,
        relations(&[city, audit])
    );
}

#[test]
fn reading_a_view_calls_its_functions() {
    let (mut db, [city, _, audit]) = db();
    db.plpgsql("log", "BEGIN INSERT INTO audit VALUES (1); RETURN 1; END");
    let definition = "SELECT public.log() AS log FROM public.city;";
    let view = db.view("public", "v", &["log"], definition, &[city]);
    let over = db.view(
        "public",
        "w",
        &["log"],
        "SELECT log FROM public.v;",
        &[view],
    );
    assert_eq!(effects(db).of_read(over).writes, relations(&[audit]));
}

#[test]
fn a_view_without_a_known_query_may_do_anything() {
    let mut db = Fixture::new();
    let view = db.relation(RelationKind::View, "public", "v", &["id"]);
    assert_eq!(effects(db).of_read(view), Outcome::EVERYTHING);
}

#[test]
fn a_materialized_view_is_written_by_refresh_alone() {
    let (mut db, [city, ..]) = db();
    let view = db.view(
        "public",
        "mv",
        &["id"],
        "SELECT id FROM public.city",
        &[city],
    );
    db.last_relation().unwrap().kind = RelationKind::MaterializedView;
    let effects = effects(db);
    assert_eq!(
        effects.of_write(city, Event::Update).writes,
        relations(&[city])
    );
    assert_eq!(
        effects.of_write(view, Event::Insert).writes,
        relations(&[view])
    );
}

#[test]
fn foreign_tables_and_system_catalogs_write_everything() {
    let mut db = Fixture::new();
    let foreign = db.relation(RelationKind::ForeignTable, "public", "f", &["id"]);
    let parent = db.relation(RelationKind::PartitionedTable, "public", "p", &["id"]);
    db.inherit(foreign, parent);
    let effects = effects(db);
    assert_eq!(
        effects.of_write(foreign, Event::Insert),
        Outcome::EVERYTHING
    );
    assert_eq!(effects.of_write(parent, Event::Insert), Outcome::EVERYTHING);
    assert_eq!(effects.of_read(foreign), Outcome::NOTHING);
    let class = effects
        .snapshot
        .relations_named("pg_class")
        .next()
        .unwrap()
        .id;
    assert_eq!(effects.of_write(class, Event::Update), Outcome::EVERYTHING);
    assert_eq!(effects.of_read(class), Outcome::NOTHING);
}

#[test]
fn a_trigger_that_only_sets_a_column_writes_nothing_more() {
    let (mut db, [city, ..]) = db();
    let touch = db.plpgsql(
        "touch",
        "BEGIN\n  NEW.updated_at = now();\n  RETURN NEW;\nEND;",
    );
    db.trigger(city, touch, &[Event::Update]);
    let outcome = effects(db).of_write(city, Event::Update);
    assert_eq!(
        outcome,
        Outcome {
            writes: relations(&[city]),
            sets: false,
            foreign: false,
        }
    );
}

#[test]
fn an_audit_trigger_writes_the_audit_and_what_follows_from_it() {
    let (mut db, [city, person, audit]) = db();
    let log = db.plpgsql(
        "log",
        "BEGIN IF TG_OP = 'DELETE' THEN INSERT INTO audit VALUES (OLD.id); RETURN OLD; END IF;
         INSERT INTO audit VALUES (NEW.id, CASE WHEN NEW.name IS NULL THEN 'x' ELSE NEW.name END);
         RETURN NEW; END",
    );
    let count = db.plpgsql(
        "count",
        "BEGIN UPDATE person SET id = id + 1; RETURN NULL; END",
    );
    db.trigger(city, log, &[Event::Insert, Event::Delete]);
    db.trigger(audit, count, &[Event::Insert]);
    let effects = effects(db);
    assert_eq!(
        effects.of_write(city, Event::Insert).writes,
        relations(&[city, person, audit])
    );
    assert_eq!(
        effects.of_write(city, Event::Update).writes,
        relations(&[city])
    );
}

#[test]
fn triggers_that_fire_each_other_end() {
    let (mut db, [city, person, _]) = db();
    let one = db.plpgsql(
        "one",
        "BEGIN INSERT INTO person VALUES (1); RETURN NEW; END",
    );
    let two = db.plpgsql(
        "two",
        "BEGIN INSERT INTO city VALUES (1); PERFORM two(); END",
    );
    db.trigger(city, one, &[Event::Insert]);
    db.trigger(person, two, &[Event::Insert]);
    let effects = effects(db);
    assert_eq!(
        effects.of_write(city, Event::Insert).writes,
        relations(&[city, person])
    );
    assert_eq!(effects.of_function(two).writes, relations(&[city, person]));
}

#[test]
fn rules_are_followed_and_unreadable_ones_mean_everything() {
    let (mut db, [city, person, audit]) = db();
    db.rule(
        city,
        "CREATE RULE r AS\n    ON INSERT TO public.city\n   WHERE (new.id > 0) DO  INSERT INTO \
         public.audit (id)\n  VALUES (new.id);",
    );
    db.rule(
        city,
        "CREATE RULE two AS ON DELETE TO public.city DO INSTEAD ( UPDATE public.person SET id = 1;
         SELECT 1;);",
    );
    let nothing = db.table("public", "nothing", &["id"]);
    db.rule(
        nothing,
        "CREATE RULE n AS ON UPDATE TO public.nothing DO INSTEAD NOTHING;",
    );
    let odd = db.table("public", "odd", &["id"]);
    db.rule(
        odd,
        "CREATE RULE o AS ON UPDATE TO public.odd DO INSTEAD CALL x();",
    );
    let effects = effects(db);
    assert_eq!(
        effects.of_write(city, Event::Insert).writes,
        relations(&[city, person, audit])
    );
    assert_eq!(
        effects.of_write(nothing, Event::Update).writes,
        relations(&[nothing])
    );
    assert_eq!(
        effects.of_write(odd, Event::Update).writes,
        Writes::Everything
    );
}

#[test]
fn defaults_run_on_writes_and_policies_on_reads_too() {
    let (mut db, [city, person, audit]) = db();
    let next = db.function(
        "public",
        "next",
        Language::Sql,
        Volatility::Volatile,
        "BEGIN ATOMIC\n UPDATE public.person SET id = (person.id + 1);\n SELECT 1;\nEND",
    );
    let seen = db.plpgsql(
        "seen",
        "BEGIN INSERT INTO audit VALUES (1); RETURN true; END",
    );
    db.uses(city, next, Moment::Write);
    db.uses(city, seen, Moment::Read);
    let effects = effects(db);
    assert_eq!(
        effects.of_write(city, Event::Insert).writes,
        relations(&[city, person, audit])
    );
    assert_eq!(effects.of_read(city).writes, relations(&[audit]));
}

#[test]
fn the_key_of_a_partitioned_table_is_computed_for_its_partitions() {
    let (mut db, [city, person, _]) = db();
    let leaf = db.table("public", "leaf", &["id"]);
    db.inherit(leaf, city);
    let key = db.plpgsql("key", "BEGIN INSERT INTO person VALUES (1); RETURN 1; END");
    db.uses(city, key, Moment::Write);
    let writes = effects(db).of_write(leaf, Event::Insert).writes;
    assert_eq!(writes, relations(&[city, leaf, person]));
}

#[test]
fn casts_and_operators_may_run_in_any_statement() {
    let (mut db, [city, person, _]) = db();
    let convert = db.plpgsql("convert", "BEGIN DELETE FROM person; RETURN 1; END");
    db.cast("text", "int4", convert);
    let effects = effects(db);
    assert_eq!(effects.of_any().writes, relations(&[person]));
    assert_eq!(
        effects.of_write(city, Event::Insert).writes,
        relations(&[city, person])
    );
    assert_eq!(effects.of_text(b"SELECT 1").writes, relations(&[person]));
}

#[test]
fn unparsed_statements_are_bounded_by_their_names() {
    let (mut db, [city, person, audit]) = db();
    db.plpgsql("log", "BEGIN INSERT INTO audit VALUES (1); RETURN 1; END");
    let effects = effects(db);
    let check = |text: &str, expected: Option<&[RelationId]>| {
        let expected = expected.map_or(Writes::Everything, relations);
        assert_eq!(effects.of_text(text.as_bytes()).writes, expected, "{text}");
    };
    check("SELECT * FROM city GRAPH WHATEVER", Some(&[]));
    check("(SELECT log()) UNION TABLE city;", Some(&[audit]));
    check(
        "INSERT INTO city VALUES (1) ON CONFLICT DO FROBNICATE",
        Some(&[city]),
    );
    check(
        "WITH d AS (DELETE FROM city RETURNING *) UPDATE person SET id = 1;;",
        Some(&[city, person]),
    );
    check(
        "COPY public.city (id) FROM STDIN WITH (FROBNICATE)",
        Some(&[city]),
    );
    check(
        "COPY (DELETE FROM city RETURNING *) TO STDOUT",
        Some(&[city]),
    );
    check("COPY city FROM PROGRAM 'x'", None);
    check("SELECT 1; SELECT 2", None);
    check("SELECT 1 INTO x", None);
    check("TRUNCATE city", None);
    check("CALL log()", None);
    check("UPDATE unknown SET x = 1", None);
    check("", None);
    check(";", None);
    assert_eq!(effects.of_text(b"SELECT '\xff', \xff"), Outcome::EVERYTHING);
}

#[test]
fn long_texts_take_linear_time() {
    let (db, [city, ..]) = db();
    let effects = effects(db);
    let text = format!(
        "WITH {} SELECT 1",
        "x AS (INSERT INTO city VALUES (1)), ".repeat(20_000)
    );
    assert_eq!(effects.of_text(text.as_bytes()).writes, relations(&[city]));
}

#[test]
fn behind_a_view_of_nothing_are_the_catalogs() {
    let (mut db, [city, ..]) = db();
    let catalogs = db.view(
        "public",
        "roles",
        &["id"],
        "SELECT rolname FROM pg_authid",
        &[],
    );
    let cities = db.view("public", "cities", &["id"], "SELECT id FROM city", &[city]);
    let effects = effects(db);
    let written = |view| effects.of_write(view, Event::Update).writes;
    assert_eq!(written(catalogs), Writes::Everything);
    assert_eq!(written(cities), relations(&[city]));
}
