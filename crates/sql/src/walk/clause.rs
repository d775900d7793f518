//! Clauses of a query, arguments of a call, and types.

use sqlparser::ast::{
    ArrayElemTypeDef, DataType, Distinct, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArgumentList, GroupByExpr, GroupByWithModifier, JsonReturningClause,
    NamedWindowDefinition, NamedWindowExpr, OrderBy, OrderByExpr, OrderByKind, OrderByOptions,
    OrderBySort, SelectItem, SelectItemQualifiedWildcardKind, TimezoneInfo,
    WildcardAdditionalOptions, WindowFrame, WindowFrameBound, WindowSpec, WindowType,
};

use super::{Walk, folded, name};
use crate::Reason;

impl Walk {
    pub(super) fn distinct(&mut self, distinct: &Distinct) {
        match distinct {
            Distinct::All | Distinct::Distinct => {}
            Distinct::On(exprs) => self.exprs(exprs),
        }
    }

    pub(super) fn item(&mut self, item: &SelectItem) {
        match item {
            SelectItem::UnnamedExpr(expr) => {
                self.expr(expr);
                self.output(expr, None);
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                self.expr(expr);
                self.label(alias);
                self.output(expr, Some(folded(alias)));
            }
            SelectItem::ExprWithAliases {
                expr: _,
                aliases: _,
            } => self.unsupported(),
            SelectItem::QualifiedWildcard(kind, options) => {
                match kind {
                    SelectItemQualifiedWildcardKind::ObjectName(_) => {}
                    SelectItemQualifiedWildcardKind::Expr(expr) => {
                        self.read.unnamed_columns = true;
                        self.expr(expr);
                    }
                }
                self.wildcard(options);
            }
            SelectItem::Wildcard(options) => self.wildcard(options),
        }
    }

    fn wildcard(&mut self, options: &WildcardAdditionalOptions) {
        let WildcardAdditionalOptions {
            wildcard_token: _,
            opt_ilike,
            opt_exclude,
            opt_except,
            opt_replace,
            opt_rename,
            opt_alias,
        } = options;
        let foreign = opt_ilike.is_some()
            || opt_exclude.is_some()
            || opt_except.is_some()
            || opt_replace.is_some()
            || opt_rename.is_some()
            || opt_alias.is_some();
        self.absent(foreign);
    }

    pub(super) fn group_by(&mut self, group_by: &GroupByExpr) {
        match group_by {
            GroupByExpr::All(_) => self.unsupported(),
            GroupByExpr::Expressions(exprs, modifiers) => {
                self.exprs(exprs);
                for modifier in modifiers {
                    match modifier {
                        GroupByWithModifier::Rollup
                        | GroupByWithModifier::Cube
                        | GroupByWithModifier::Totals => self.unsupported(),
                        GroupByWithModifier::GroupingSets(expr) => self.expr(expr),
                    }
                }
            }
        }
    }

    pub(super) fn order_by(&mut self, order_by: &OrderBy) {
        let OrderBy { kind, interpolate } = order_by;
        self.absent(interpolate.is_some());
        match kind {
            OrderByKind::All(_) => self.unsupported(),
            OrderByKind::Expressions(exprs) => {
                for expr in exprs {
                    self.order_by_expr(expr);
                }
            }
        }
    }

    pub(super) fn order_by_expr(&mut self, order: &OrderByExpr) {
        let OrderByExpr {
            expr,
            options,
            with_fill,
        } = order;
        let OrderByOptions {
            sort,
            nulls_first: _,
        } = options;
        match sort {
            None | Some(OrderBySort::Asc | OrderBySort::Desc) => {}
            Some(OrderBySort::Using(_)) => self.unsupported(),
        }
        self.absent(with_fill.is_some());
        self.expr(expr);
    }

    pub(super) fn named_window(&mut self, window: &NamedWindowDefinition) {
        let NamedWindowDefinition(_, window) = window;
        match window {
            NamedWindowExpr::NamedWindow(_) => {}
            NamedWindowExpr::WindowSpec(spec) => self.window_spec(spec),
        }
    }

    pub(super) fn window(&mut self, window: &WindowType) {
        match window {
            WindowType::WindowSpec(spec) => self.window_spec(spec),
            WindowType::NamedWindow(_) => {}
        }
    }

    fn window_spec(&mut self, spec: &WindowSpec) {
        let WindowSpec {
            window_name: _,
            partition_by,
            order_by,
            window_frame,
        } = spec;
        self.exprs(partition_by);
        for order in order_by {
            self.order_by_expr(order);
        }
        if let Some(WindowFrame {
            units: _,
            start_bound,
            end_bound,
        }) = window_frame
        {
            self.frame_bound(start_bound);
            if let Some(bound) = end_bound {
                self.frame_bound(bound);
            }
        }
    }

    fn frame_bound(&mut self, bound: &WindowFrameBound) {
        match bound {
            WindowFrameBound::CurrentRow => {}
            WindowFrameBound::Preceding(distance) | WindowFrameBound::Following(distance) => {
                self.exprs(distance.as_deref());
            }
        }
    }

    /// How many arguments are written; `None` if it cannot be said.
    pub(super) fn argument_list(&mut self, list: &FunctionArgumentList) -> Option<usize> {
        let FunctionArgumentList {
            duplicate_treatment: _,
            args,
            clauses,
        } = list;
        for clause in clauses {
            match clause {
                FunctionArgumentClause::OrderBy(exprs) => {
                    for expr in exprs {
                        self.order_by_expr(expr);
                    }
                }
                FunctionArgumentClause::JsonNullClause(_) => {}
                FunctionArgumentClause::JsonReturningClause(JsonReturningClause { data_type }) => {
                    self.data_type(data_type);
                }
                FunctionArgumentClause::IgnoreOrRespectNulls(_)
                | FunctionArgumentClause::Where(_)
                | FunctionArgumentClause::Limit(_)
                | FunctionArgumentClause::OnOverflow(_)
                | FunctionArgumentClause::Having(_)
                | FunctionArgumentClause::Separator(_) => self.unsupported(),
            }
        }
        self.arguments(args)
    }

    /// See [`Self::argument_list`].
    pub(super) fn arguments(&mut self, arguments: &[FunctionArg]) -> Option<usize> {
        let mut count = Some(0);
        for argument in arguments {
            let value = match argument {
                FunctionArg::Named {
                    name: _,
                    arg,
                    operator: _,
                } => arg,
                FunctionArg::ExprNamed {
                    name,
                    arg,
                    operator: _,
                } => {
                    self.expr(name);
                    count = None;
                    arg
                }
                FunctionArg::Unnamed(arg) => arg,
            };
            match value {
                FunctionArgExpr::Expr(expr) => {
                    self.expr(expr);
                    count = count.map(|count| count + 1);
                }
                // `count(*)` has no argument, `f(t.*)` has one or as many as `t` has columns.
                FunctionArgExpr::Wildcard => {}
                FunctionArgExpr::QualifiedWildcard(_) => {
                    self.read.whole_rows = true;
                    count = None;
                }
                FunctionArgExpr::WildcardWithOptions(_) => self.unsupported(),
            }
        }
        count
    }

    pub(super) fn data_type(&mut self, data_type: &DataType) {
        let mut data_type = data_type;
        while let DataType::Array(element) = data_type {
            data_type = match element {
                ArrayElemTypeDef::SquareBracket(element, _) => element,
                ArrayElemTypeDef::None
                | ArrayElemTypeDef::AngleBracket(_)
                | ArrayElemTypeDef::Parenthesis(_)
                | ArrayElemTypeDef::Qualified(_, _) => return self.unsupported(),
            };
        }
        self.read.names_time |= matches!(data_type, DataType::Time(..));
        self.read.names_texts |= !is_no_text(data_type);
        if let DataType::Time(_, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) = data_type {
            self.refuse(Reason::Clock);
        } else if let DataType::Custom(object, _) = data_type {
            let Some(name) = name(object) else {
                self.read.unnamed_types = true;
                return;
            };
            self.read.names_time |= &*name.name == "time";
            let schema = name.schema.as_deref();
            let system = schema.is_none_or(|schema| schema == "pg_catalog");
            if !system || !is_builtin(&name.name) {
                self.read.types.push(name);
            }
        } else {
            self.read.unnamed_types |= !is_builtin_variant(data_type);
        }
    }
}

/// Whether the values of a type are never made by writing those of another one down.
fn is_no_text(data_type: &DataType) -> bool {
    use DataType as T;
    if let T::Custom(object, _) = data_type {
        return name(object).is_some_and(|it| NO_TEXTS.contains(&&*it.name));
    }
    matches!(
        data_type,
        T::Uuid
            | T::Numeric(_)
            | T::Decimal(_)
            | T::Float(_)
            | T::Int2(_)
            | T::SmallInt(_)
            | T::Int(_)
            | T::Int4(_)
            | T::Int8(_)
            | T::Integer(_)
            | T::BigInt(_)
            | T::Float4
            | T::Real
            | T::Float8
            | T::DoublePrecision
            | T::Bool
            | T::Boolean
            | T::Date
            | T::Timestamp(_, _)
            | T::Interval { .. }
    )
}

/// Builtin types of which the same holds, and that the parser takes for the user's own.
const NO_TEXTS: [&str; 9] = [
    "bool", "date", "float4", "float8", "int2", "int4", "int8", "numeric", "uuid",
];

/// Types that the parser knows and PostgreSQL has.
pub(super) fn is_builtin_variant(data_type: &DataType) -> bool {
    use DataType as T;
    matches!(
        data_type,
        T::Character(_)
            | T::Char(_)
            | T::CharacterVarying(_)
            | T::CharVarying(_)
            | T::Varchar(_)
            | T::Uuid
            | T::Numeric(_)
            | T::Decimal(_)
            | T::Dec(_)
            | T::Float(_)
            | T::Int2(_)
            | T::SmallInt(_)
            | T::Int(_)
            | T::Int4(_)
            | T::Int8(_)
            | T::Integer(_)
            | T::BigInt(_)
            | T::Float4
            | T::Real
            | T::Float8
            | T::DoublePrecision
            | T::Bool
            | T::Boolean
            | T::Date
            | T::Time(_, _)
            | T::Timestamp(_, _)
            | T::Interval { .. }
            | T::JSON
            | T::JSONB
            | T::Text
            | T::Bytea
            | T::Bit(_)
            | T::BitVarying(_)
            | T::VarBit(_)
            | T::GeometricType(_)
            | T::TsVector
            | T::TsQuery
    )
}

fn is_builtin(name: &str) -> bool {
    BUILTIN.contains(&name)
}

/// Builtin types that the parser takes for the user's own. Those that read the catalogs are
/// refused elsewhere.
const BUILTIN: [&str; 52] = [
    "bit",
    "bool",
    "box",
    "bpchar",
    "bytea",
    "char",
    "cidr",
    "circle",
    "date",
    "datemultirange",
    "daterange",
    "float4",
    "float8",
    "inet",
    "int2",
    "int4",
    "int4multirange",
    "int4range",
    "int8",
    "int8multirange",
    "int8range",
    "interval",
    "json",
    "jsonb",
    "jsonpath",
    "line",
    "lseg",
    "macaddr",
    "macaddr8",
    "money",
    "name",
    "numeric",
    "nummultirange",
    "numrange",
    "oid",
    "path",
    "pg_lsn",
    "point",
    "polygon",
    "regconfig",
    "regdictionary",
    "text",
    "time",
    "timestamp",
    "timestamptz",
    "tsmultirange",
    "tsquery",
    "tsrange",
    "tstzmultirange",
    "tstzrange",
    "tsvector",
    "uuid",
];
