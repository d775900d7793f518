//! The schemas in which unqualified names are looked up.

use foldhash::{HashSet, HashSetExt as _};

use crate::{Function, Relation, Role, RoleId, Schema, SchemaId, Snapshot};

/// The schemas in which unqualified names are looked up, in order, `pg_catalog` included where the
/// server puts it. Temporary schemas are never part of it: a session with temporary objects is
/// not looked up at all.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct SearchPath(pub Box<[SchemaId]>);

impl Snapshot {
    /// The effective path for the elements of the setting `search_path`, already unquoted, and the
    /// effective role.
    ///
    /// Like the server, it skips schemas that do not exist or that the role may not use, reads
    /// `$user` as the schema named like the role, and puts `pg_catalog` first unless it is listed.
    /// For a role that the snapshot does not hold the path is empty, so that nothing resolves.
    pub fn search_path(&self, names: &[&str], user: &str) -> SearchPath {
        let Some(role) = self.role_by_name(user) else {
            return SearchPath([].into());
        };
        let inherited = self.inherited(role.id);
        let mut path = Vec::with_capacity(names.len() + 1);
        for &name in names {
            let name = if name == "$user" { user } else { name };
            let Some(schema) = self.schema_by_name(name) else {
                continue;
            };
            if !path.contains(&schema.id)
                && !is_temporary(name)
                && self.may_use(role, &inherited, schema)
            {
                path.push(schema.id);
            }
        }
        if let Some(system) = self.schema_by_name("pg_catalog")
            && !path.contains(&system.id)
        {
            path.insert(0, system.id);
        }
        SearchPath(path.into())
    }

    /// The role and all roles whose privileges it has.
    fn inherited(&self, role: RoleId) -> HashSet<RoleId> {
        let mut all = HashSet::new();
        let mut open = vec![role];
        while let Some(role) = open.pop() {
            if all.insert(role) {
                open.extend(self.inherits_from(role));
            }
        }
        all
    }

    fn may_use(&self, role: &Role, inherited: &HashSet<RoleId>, schema: &Schema) -> bool {
        role.superuser
            || schema.public_usage
            || schema
                .usage
                .iter()
                .any(|granted| inherited.contains(granted))
            || ALL_DATA
                .iter()
                .filter_map(|name| self.role_by_name(name))
                .any(|role| inherited.contains(&role.id))
    }

    /// The relation that a name means: in `schema` if one is written, otherwise in the first
    /// schema of the path that has it.
    pub fn resolve_relation(
        &self,
        path: &SearchPath,
        schema: Option<&str>,
        name: &str,
    ) -> Option<&Relation> {
        match schema {
            Some(schema) => self.relation_by_name(self.schema_by_name(schema)?.id, name),
            None => path
                .0
                .iter()
                .find_map(|&schema| self.relation_by_name(schema, name)),
        }
    }

    /// Every function that a call by this name could mean, whatever its arguments: those in
    /// `schema` if one is written, otherwise those in any schema of the path.
    pub fn functions<'a>(
        &'a self,
        path: &'a SearchPath,
        schema: Option<&str>,
        name: &str,
    ) -> impl Iterator<Item = &'a Function> + use<'a> {
        let written = schema.map(|schema| self.schema_by_name(schema).map(|schema| schema.id));
        self.functions_named(name)
            .filter(move |function| match written {
                Some(schema) => schema == Some(function.schema),
                None => path.0.contains(&function.schema),
            })
    }
}

/// Whether a schema holds temporary objects of some session.
fn is_temporary(name: &str) -> bool {
    name == "pg_temp" || name.starts_with("pg_temp_") || name.starts_with("pg_toast_temp_")
}

/// Predefined roles whose members may use every schema.
const ALL_DATA: [&str; 2] = ["pg_read_all_data", "pg_write_all_data"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;
    use crate::{Language, RelationId, Volatility};

    fn path<'a>(db: &'a Snapshot, names: &[&str], user: &str) -> Vec<&'a str> {
        let path = db.search_path(names, user);
        path.0
            .iter()
            .map(|&id| &*db.schema(id).unwrap().name)
            .collect()
    }

    #[test]
    fn the_catalog_comes_first_unless_it_is_listed() {
        let db = Fixture::new().finish();
        assert_eq!(path(&db, &["public"], "alice"), ["pg_catalog", "public"]);
        assert_eq!(
            path(&db, &["public", "pg_catalog"], "alice"),
            ["public", "pg_catalog"]
        );
        assert_eq!(path(&db, &[], "alice"), ["pg_catalog"]);
    }

    #[test]
    fn the_user_stands_for_the_schema_of_that_name() {
        let mut db = Fixture::new();
        db.schema("alice");
        let db = db.finish();
        let setting = ["$user", "public"];
        assert_eq!(
            path(&db, &setting, "alice"),
            ["pg_catalog", "alice", "public"]
        );
        assert_eq!(path(&db, &setting, "bob"), ["pg_catalog", "public"]);
    }

    #[test]
    fn unknown_repeated_and_temporary_schemas_are_skipped() {
        let mut db = Fixture::new();
        db.schema("pg_temp_3");
        let db = db.finish();
        let setting = [
            "nowhere",
            "public",
            "pg_temp",
            "pg_temp_3",
            "public",
            "Public",
        ];
        assert_eq!(path(&db, &setting, "alice"), ["pg_catalog", "public"]);
    }

    #[test]
    fn a_schema_is_skipped_by_roles_that_may_not_use_it() {
        let mut db = Fixture::new();
        let (staff, team, carol) = (db.role("staff"), db.role("team"), db.role("carol"));
        let (reader, all) = (db.role("reader"), db.role("pg_read_all_data"));
        db.private_schema("secret", &[staff]);
        db.grant(staff, team);
        db.grant(team, carol);
        db.grant(all, reader);
        let db = db.finish();
        for (user, visible) in [
            ("carol", true),
            ("alice", false),
            ("postgres", true),
            ("reader", true),
        ] {
            assert_eq!(
                path(&db, &["secret"], user).contains(&"secret"),
                visible,
                "{user}"
            );
        }
    }

    #[test]
    fn nothing_resolves_for_an_unknown_role() {
        let db = Fixture::new().finish();
        assert!(path(&db, &["public"], "mallory").is_empty());
    }

    #[test]
    fn a_name_means_the_first_relation_on_the_path() {
        let mut db = Fixture::new();
        let (a, b) = (db.table("a", "t", &[]), db.table("b", "t", &[]));
        let only = db.table("b", "T", &[]);
        db.table("public", "pg_class", &[]);
        let db = db.finish();
        let check = |names: &[&str], schema, name, expected: Option<RelationId>| {
            let path = db.search_path(names, "alice");
            let found = db
                .resolve_relation(&path, schema, name)
                .map(|found| found.id);
            assert_eq!(found, expected, "{names:?} {schema:?} {name}");
        };
        check(&["a", "b"], None, "t", Some(a));
        check(&["b", "a"], None, "t", Some(b));
        check(&["a", "b"], None, "T", Some(only));
        check(&["a"], None, "T", None);
        check(&["a"], Some("b"), "t", Some(b));
        check(&["a"], Some("nowhere"), "t", None);
        let path = db.search_path(&["public"], "alice");
        let class = db.resolve_relation(&path, None, "pg_class").unwrap();
        assert!(db.is_system_schema(class.schema));
    }

    #[test]
    fn a_call_may_mean_every_function_on_the_path() {
        let mut db = Fixture::new();
        let mut add =
            |schema| db.function(schema, "lower", Language::Sql, Volatility::Volatile, "");
        let (mine, other) = (add("public"), add("other"));
        let db = db.finish();
        let path = db.search_path(&["public"], "alice");
        let ids = |schema, name| {
            db.functions(&path, schema, name)
                .map(|function| function.id)
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(None, "lower").len(), 2);
        assert!(ids(None, "lower").contains(&mine));
        assert_eq!(ids(Some("other"), "lower"), [other]);
        assert_eq!(ids(Some("pg_catalog"), "lower").len(), 1);
        assert!(ids(Some("nowhere"), "lower").is_empty());
        assert!(ids(None, "LOWER").is_empty());
    }
}
