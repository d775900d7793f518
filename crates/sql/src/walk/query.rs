//! Queries and what they select from.

use sqlparser::ast::{
    Cte, Expr, Fetch, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Join,
    JoinConstraint, JoinOperator, LimitClause, ObjectName, Offset, Query, Select, SetExpr,
    TableAlias, TableAliasColumnDef, TableFactor, TableFunctionArgs, TableWithJoins, Value, Values,
    With,
};

use super::session::is_role;
use super::shape::{self, shape, type_name, typed};
use super::{TIMEZONE, Walk, folded, name};
use crate::Reason;
use crate::clock::path_names_clock;
use crate::facts::{Name, Shape, TypeName};

impl Walk {
    pub(super) fn query(&mut self, query: &Query) {
        let Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        self.scopes.push(Vec::new());
        if let Some(with) = with {
            self.with(with);
        }
        self.body(body);
        if let Some(order_by) = order_by {
            self.order_by(order_by);
        }
        if let Some(limit) = limit_clause {
            self.limit(limit);
        }
        if let Some(Fetch {
            with_ties: _,
            percent,
            quantity,
        }) = fetch
        {
            self.absent(*percent);
            self.exprs(quantity);
        }
        if !locks.is_empty() {
            self.refuse(Reason::LocksRows);
        }
        self.absent(for_clause.is_some() || settings.is_some() || format_clause.is_some());
        self.absent(!pipe_operators.is_empty());
        self.scopes.pop();
    }

    fn with(&mut self, with: &With) {
        let With {
            with_token: _,
            recursive,
            cte_tables,
        } = with;
        let bind = |walk: &mut Self, cte: &Cte| {
            let name = folded(&cte.alias.name);
            if let Some(scope) = walk.scopes.last_mut() {
                scope.push(name);
            }
        };
        // With RECURSIVE every name is seen by every query of the list, without it by later ones.
        if *recursive {
            cte_tables.iter().for_each(|cte| bind(self, cte));
        }
        for cte in cte_tables {
            let Cte {
                alias,
                query,
                from,
                materialized: _,
                closing_paren_token: _,
            } = cte;
            self.absent(from.is_some());
            self.alias(alias, None);
            self.query(query);
            if !recursive {
                bind(self, cte);
            }
        }
    }

    /// The left arms of set operations form a chain as long as the text.
    fn body(&mut self, body: &SetExpr) {
        let mut left = body;
        loop {
            match left {
                SetExpr::SetOperation {
                    left: further,
                    op: _,
                    set_quantifier: _,
                    right,
                } => {
                    self.body(right);
                    left = further;
                    continue;
                }
                SetExpr::Select(select) => self.select(select),
                SetExpr::Query(query) => self.query(query),
                SetExpr::Values(values) => self.values(values),
                SetExpr::Insert(_)
                | SetExpr::Update(_)
                | SetExpr::Delete(_)
                | SetExpr::Merge(_) => self.refuse(Reason::Writes),
                // Its name comes without its quotes.
                SetExpr::Table(_) => self.unsupported(),
            }
            return;
        }
    }

    fn values(&mut self, values: &Values) {
        let Values {
            explicit_row,
            value_keyword,
            rows,
        } = values;
        self.absent(*explicit_row || *value_keyword);
        for row in rows {
            self.exprs(&row.content);
        }
    }

    fn limit(&mut self, limit: &LimitClause) {
        match limit {
            LimitClause::LimitOffset {
                limit,
                offset,
                limit_by,
            } => {
                self.absent(!limit_by.is_empty());
                self.exprs(limit);
                if let Some(Offset { value, rows: _ }) = offset {
                    self.expr(value);
                }
            }
            LimitClause::OffsetCommaLimit {
                offset: _,
                limit: _,
            } => self.unsupported(),
        }
    }

    fn select(&mut self, select: &Select) {
        let Select {
            select_token: _,
            optimizer_hints: _,
            distinct,
            select_modifiers,
            top,
            top_before_distinct: _,
            projection,
            exclude,
            into,
            from,
            lateral_views,
            prewhere,
            selection,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify,
            window_before_qualify: _,
            value_table_mode,
            flavor: _,
        } = select;
        if into.is_some() {
            self.refuse(Reason::Writes);
        }
        let foreign = select_modifiers.is_some()
            || top.is_some()
            || exclude.is_some()
            || prewhere.is_some()
            || qualify.is_some()
            || value_table_mode.is_some();
        let foreign_lists = !lateral_views.is_empty()
            || !connect_by.is_empty()
            || !cluster_by.is_empty()
            || !distribute_by.is_empty()
            || !sort_by.is_empty();
        self.absent(foreign || foreign_lists);
        if let Some(distinct) = distinct {
            self.distinct(distinct);
        }
        for item in projection {
            self.item(item);
        }
        for table in from {
            self.table(table);
        }
        self.exprs(selection);
        self.group_by(group_by);
        self.exprs(having);
        for window in named_window {
            self.named_window(window);
        }
    }

    fn table(&mut self, table: &TableWithJoins) {
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
                self.call(unnest(), Some(array_exprs.len()));
                // `FROM unnest` takes any number, as many calls of one.
                self.call(unnest(), Some(1));
                self.exprs(array_exprs);
                // Of several arrays each gives a column.
                let source = match array_exprs.as_slice() {
                    [one] => shape(one),
                    _ => Shape::Text,
                };
                self.rows(source, "unnest".into(), alias.as_ref(), *with_ordinality);
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

    fn alias(&mut self, alias: &TableAlias, relation: Option<Name>) {
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

    pub(super) fn function(&mut self, function: &Function) {
        let Function {
            name: object,
            uses_odbc_syntax,
            parameters,
            args,
            within_group,
            filter,
            null_treatment,
            over,
        } = function;
        self.absent(*uses_odbc_syntax || null_treatment.is_some());
        self.absent(!matches!(parameters, FunctionArguments::None));
        let written = match args {
            FunctionArguments::None => Some(0),
            FunctionArguments::Subquery(query) => {
                self.query(query);
                None
            }
            FunctionArguments::List(list) => self.argument_list(list),
        };
        for order in within_group {
            self.order_by_expr(order);
        }
        match name(object) {
            Some(name) if is_role(object, args) => self.label_of_role(&name),
            Some(name) if self.reads_setting(&name, args) => {}
            Some(name) => {
                let given = shape::arguments(function);
                if let Some([only]) = given.as_deref() {
                    self.reads_as(TypeName::Named(name.clone()), only.clone());
                }
                if &*name.name == TIMEZONE {
                    let last = given.and_then(|mut given| given.pop());
                    self.read.zoned.push(last.unwrap_or(Shape::Value));
                }
                if &*name.name == JSON_EXISTS && !has_timeless_path(args) {
                    self.refuse(Reason::Clock);
                }
                self.call(name, written.map(|count| count + within_group.len()));
            }
            None => self.refuse(Reason::UnknownFunction),
        }
        if let Some(filter) = filter {
            self.expr(filter);
        }
        if let Some(over) = over {
            self.window(over);
        }
    }
}

/// Whether the path of JSON_EXISTS is written out and makes no times of day, which it would compare
/// with others by today's offset.
fn has_timeless_path(arguments: &FunctionArguments) -> bool {
    let FunctionArguments::List(list) = arguments else {
        return false;
    };
    let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(path)))) = list.args.get(1)
    else {
        return false;
    };
    matches!(&path.value, Value::SingleQuotedString(path) if !path_names_clock(path.as_bytes()))
}

const JSON_EXISTS: &str = "json_exists";

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
