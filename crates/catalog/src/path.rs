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

    /// Whether a role may look up names in a schema.
    pub fn may_use_schema(&self, role: RoleId, schema: SchemaId) -> bool {
        match (self.role(role), self.schema(schema)) {
            (Some(role), Some(schema)) => self.may_use(role, &self.inherited(role.id), schema),
            _ => false,
        }
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

    /// Those that have this name in any schema of the path.
    pub fn relations_in<'a>(
        &'a self,
        path: &'a SearchPath,
        name: &'a str,
    ) -> impl Iterator<Item = &'a Relation> {
        self.relations_named(name)
            .filter(move |relation| path.0.contains(&relation.schema))
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
mod tests;
