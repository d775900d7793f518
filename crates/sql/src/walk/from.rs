//! What a query selects from.

use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Join, JoinConstraint, JoinOperator, ObjectName, TableAlias,
    TableAliasColumnDef, TableFactor, TableFunctionArgs, TableWithJoins,
};

use super::shape::{shape, type_name, typed};
use super::{TIMEZONE, Walk, folded, name};
use crate::Reason;
use crate::facts::{Name, Shape, TypeName};

impl Walk {
    pub(super) fn table(&mut self, table: &TableWithJoins) {
        let TableWithJoins { relation, joins } = table;
        self.factor(relation);
        for Join {
            relation,
            global,
            join_operator,
        } in joins
        {
            self.absent(*global);
            self.factor(relation);
            self.join(join_operator);
        }
    }

    fn join(&mut self, operator: &JoinOperator) {
        let constraint = match operator {
            JoinOperator::Join(constraint)
            | JoinOperator::Inner(constraint)
            | JoinOperator::Left(constraint)
            | JoinOperator::LeftOuter(constraint)
            | JoinOperator::Right(constraint)
            | JoinOperator::RightOuter(constraint)
            | JoinOperator::FullOuter(constraint)
            | JoinOperator::CrossJoin(constraint) => constraint,
            JoinOperator::Semi(_)
            | JoinOperator::LeftSemi(_)
            | JoinOperator::RightSemi(_)
            | JoinOperator::Anti(_)
            | JoinOperator::LeftAnti(_)
            | JoinOperator::RightAnti(_)
            | JoinOperator::CrossApply
            | JoinOperator::OuterApply
            | JoinOperator::AsOf {
                match_condition: _,
                constraint: _,
            }
            | JoinOperator::StraightJoin(_)
            | JoinOperator::ArrayJoin
            | JoinOperator::LeftArrayJoin
            | JoinOperator::InnerArrayJoin => return self.unsupported(),
        };
        match constraint {
            JoinConstraint::On(condition) => self.expr(condition),
            JoinConstraint::Using(_) | JoinConstraint::Natural | JoinConstraint::None => {}
        }
    }

    fn factor(&mut self, factor: &TableFactor) {
        match factor {
            TableFactor::Table {
                name,
                alias,
                args,
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_hints,
            } => {
                self.absent(!with_hints.is_empty() || version.is_some() || !partitions.is_empty());
                self.absent(json_path.is_some() || !index_hints.is_empty());
                if sample.is_some() {
                    self.refuse(Reason::Sample);
                }
                match args {
                    None => self.relation(name, alias.as_ref()),
                    Some(TableFunctionArgs { args, settings }) => {
                        self.absent(settings.is_some());
                        self.table_function(name, args, alias.as_ref(), *with_ordinality);
                    }
                }
            }
            TableFactor::Derived {
                lateral: _,
                subquery,
                alias,
                sample,
            } => {
                self.absent(sample.is_some());
                self.query(subquery);
                self.aliases(alias);
            }
            TableFactor::Function {
                lateral: _,
                name,
                args,
                with_ordinality,
                alias,
            } => self.table_function(name, args, alias.as_ref(), *with_ordinality),
            TableFactor::UNNEST {
                alias,
                array_exprs,
                with_offset,
                with_offset_alias,
                with_ordinality,
            } => {
                self.absent(*with_offset || with_offset_alias.is_some());
                self.unnested(array_exprs, alias.as_ref(), *with_ordinality);
            }
            TableFactor::NestedJoin {
                table_with_joins,
                alias,
            } => {
                self.table(table_with_joins);
                self.aliases(alias);
            }
            TableFactor::TableFunction { .. }
            | TableFactor::JsonTable { .. }
            | TableFactor::OpenJsonTable { .. }
            | TableFactor::Pivot { .. }
            | TableFactor::Unpivot { .. }
            | TableFactor::UnpivotExpr { .. }
            | TableFactor::MatchRecognize { .. }
            | TableFactor::XmlTable { .. }
            | TableFactor::SemanticView { .. } => self.unsupported(),
        }
    }

    /// `FROM unnest(…)`: of several arrays each gives a column.
    fn unnested(&mut self, arrays: &[Expr], alias: Option<&TableAlias>, with_ordinality: bool) {
        self.call(unnest(), Some(arrays.len()));
        // It takes any number, as many calls of one.
        self.call(unnest(), Some(1));
        self.exprs(arrays);
        let source = match arrays {
            [one] => shape(one),
            _ => Shape::Text,
        };
        self.rows(source, "unnest".into(), alias, with_ordinality);
    }

    fn relation(&mut self, object: &ObjectName, alias: Option<&TableAlias>) {
        let Some(name) = name(object) else {
            return self.refuse(Reason::UnknownRelation);
        };
        let relation = if name.schema.is_none() && self.is_common(&name.name) {
            None
        } else {
            self.read.relations.push(name.clone());
            Some(name.clone())
        };
        match alias {
            Some(alias) => self.alias(alias, relation),
            None => self.read.ranges.push((name.name, relation)),
        }
    }

    fn table_function(
        &mut self,
        object: &ObjectName,
        arguments: &[FunctionArg],
        alias: Option<&TableAlias>,
        ordinality: bool,
    ) {
        let count = self.arguments(arguments);
        let given = arguments.iter().map(argument_shape).collect::<Option<_>>();
        match name(object) {
            Some(name) => {
                let source = match given {
                    Some(given) => Shape::Call(name.clone(), given),
                    None => Shape::Text,
                };
                if let [FunctionArg::Unnamed(FunctionArgExpr::Expr(only))] = arguments {
                    self.reads_as(TypeName::Named(name.clone()), shape(only));
                }
                if &*name.name == TIMEZONE {
                    self.read.zoned.push(Shape::Value);
                }
                // Without an alias the function's name is that of its rows.
                self.read.ranges.push((name.name.clone(), None));
                self.read.labels.push(name.name.clone());
                self.rows(source, name.name.clone(), alias, ordinality);
                self.call(name, count);
            }
            None => self.refuse(Reason::UnknownFunction),
        }
    }

    /// Rows of a function of this name: a scalar is a column named after function or alias.
    fn rows(
        &mut self,
        source: Shape,
        name: Box<str>,
        alias: Option<&TableAlias>,
        ordinality: bool,
    ) {
        let columns = alias.map_or(&[][..], |alias| &alias.columns);
        let typed = !columns.is_empty() && columns.iter().all(|column| column.data_type.is_some());
        if !typed {
            self.read.rows.push((source.clone(), !columns.is_empty()));
        }
        self.read.outputs.push((name, source.clone()));
        let Some(alias) = alias else { return };
        self.read
            .outputs
            .push((folded(&alias.name), source.clone()));
        let scalar = columns.len() == 1 || (columns.len() == 2 && ordinality);
        let first = columns
            .first()
            .filter(|column| scalar && column.data_type.is_none());
        if let Some(first) = first {
            self.read.outputs.push((folded(&first.name), source));
        }
        self.named(alias, None, first.is_some());
    }

    fn aliases(&mut self, alias: &Option<TableAlias>) {
        if let Some(alias) = alias {
            self.alias(alias, None);
        }
    }

    pub(super) fn alias(&mut self, alias: &TableAlias, relation: Option<Name>) {
        self.named(alias, relation, false);
    }

    /// Notes an alias and the names it gives to columns; of what the first of them is made may be
    /// known.
    fn named(&mut self, alias: &TableAlias, relation: Option<Name>, first_known: bool) {
        let TableAlias {
            explicit: _,
            name,
            columns,
            at,
        } = alias;
        self.absent(at.is_some());
        self.no_string(name);
        self.read.ranges.push((folded(name), relation));
        for (index, TableAliasColumnDef { name, data_type }) in columns.iter().enumerate() {
            self.label(name);
            if let Some(data_type) = data_type {
                self.data_type(data_type);
                // Of records made from JSON: each field is read from its text.
                self.reads_as(type_name(data_type), Shape::Text);
                self.read.outputs.push((folded(name), typed(data_type)));
            } else if index > 0 || !first_known {
                self.read.outputs.push((folded(name), Shape::Text));
            }
        }
    }
}

fn unnest() -> Name {
    Name {
        schema: None,
        name: "unnest".into(),
    }
}

/// What an argument could be; `None` if it has a name or stands for several.
fn argument_shape(argument: &FunctionArg) -> Option<Shape> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(shape(expr)),
        FunctionArg::Unnamed(_) | FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => None,
    }
}
