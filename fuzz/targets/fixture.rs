//! A small database.

use std::sync::Arc;

use catalog::{
    Event, ForeignKeyAction, Language, RoleId, RowSecurity, SearchPath, Volatility,
    fixture::Fixture,
};
use sql::Schema;

/// What statements are planned in.
pub(crate) struct World {
    pub(crate) schema: Arc<Schema>,
    /// That of an ordinary role.
    pub(crate) path: SearchPath,
    pub(crate) other_path: SearchPath,
    pub(crate) alice: RoleId,
    pub(crate) owner: RoleId,
}

impl World {
    pub(crate) fn new() -> Self {
        let mut db = Fixture::new();
        let city = db.table("public", "city", &["id", "name text", "founded date"]);
        let person = db.table("public", "person", &["id", "city_id", "name text"]);
        let log = db.table("public", "log", &["id", "at timestamptz", "line text"]);
        let part = db.table("public", "log_1", &["id", "at timestamptz", "line text"]);
        db.table("app", "city", &["id", "note text"]);
        db.table("public", "secret", &["id"]);
        if let Some(relation) = db.last_relation() {
            relation.row_security = RowSecurity::On;
        }
        db.inherit(part, log);
        db.foreign_key(person, city, ForeignKeyAction::Writes);
        let query = "SELECT c.id, c.name FROM public.city c";
        db.view("public", "town", &["id", "name text"], query, &[city]);
        let noted = "BEGIN INSERT INTO public.log(line) VALUES ('x'); RETURN NEW; END";
        let noted = db.plpgsql("noted", noted);
        db.trigger(person, noted, &[Event::Insert]);
        db.rule(
            log,
            "CREATE RULE r AS ON DELETE TO public.log DO ALSO NOTIFY x",
        );
        let stable = "SELECT name FROM public.city WHERE id = $1";
        db.function(
            "public",
            "name_of",
            Language::Sql,
            Volatility::Stable,
            stable,
        );
        db.plpgsql("touch", "BEGIN UPDATE public.city SET name = ''; END");

        let snapshot = Arc::new(db.finish());
        let role = |name| snapshot.role_by_name(name).expect("fixtures have it").id;
        Self {
            path: snapshot.search_path(&["$user", "public"], "alice"),
            other_path: snapshot.search_path(&["app", "public"], "postgres"),
            alice: role("alice"),
            owner: role("postgres"),
            schema: Arc::new(Schema::new(Arc::clone(&snapshot), &[])),
        }
    }
}
