//! Whether an expression could be text, as far as its syntax says.
//!
//! Only where text is cast to another type does it matter: the text might name the clock.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is not named here, or does not exist yet, counts as text"
)]

use sqlparser::ast::{
    AccessExpr, Array, ArrayElemTypeDef, BinaryOperator, CaseWhen, CastKind, DataType, Expr,
    Function, FunctionArg, FunctionArgExpr, FunctionArguments, Query, SelectItem, SetExpr,
    TypedString, Value, ValueWithSpan,
};

use super::clause::is_builtin_variant;
use super::{Walk, folded, name};
use crate::facts::{Shape, TypeName};

impl Walk {
    /// Notes that an expression is read as a type.
    pub(super) fn reads_as(&mut self, target: TypeName, operand: Shape) {
        let harmless = matches!(operand, Shape::Given)
            || is_never_text(&operand)
            || matches!(target, TypeName::Known { clock: false, .. });
        if !harmless {
            self.read.casts.push((target, operand));
        }
    }

    /// Notes what a column of the output is called and where it comes from.
    ///
    /// What the outermost query returns is seen by nothing but its ORDER BY.
    pub(super) fn output(&mut self, expr: &Expr, label: Option<Box<str>>) {
        if self.scopes.len() <= 1 {
            return;
        }
        // A column that keeps its name is found as what it is.
        let plain = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
        let name = match label {
            Some(label) => Some(label),
            None if plain => None,
            None => figure(expr),
        };
        if let Some(name) = name {
            self.read.outputs.push((name, shape(expr)));
        }
    }
}

const fn is_never_text(shape: &Shape) -> bool {
    matches!(
        shape,
        Shape::Plain | Shape::Value | Shape::Time | Shape::Span | Shape::Sum(_)
    )
}

/// What could come of an expression.
pub(super) fn shape(expr: &Expr) -> Shape {
    shape_within(expr, SUM_DEPTH_MAX)
}

/// The same, for what sums so many deep are made of.
fn shape_within(expr: &Expr, depth: u8) -> Shape {
    let expr = unwrapped(expr);
    match expr {
        Expr::Value(ValueWithSpan { value, span: _ }) => value_shape(value),
        Expr::Identifier(ident) => Shape::Column(folded(ident)),
        Expr::CompoundIdentifier(parts) => parts
            .last()
            .map_or(Shape::Text, |column| Shape::Column(folded(column))),
        #[rustfmt::skip]
        Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr, data_type, format: None } => {
            cast(expr, data_type)
        },
        Expr::TypedString(TypedString {
            data_type,
            value: _,
            uses_odbc_syntax: _,
        }) => typed(data_type),
        Expr::BinaryOp { left, op, right } => operation(left, op, right, depth),
        Expr::Function(function) => call(function),
        Expr::Array(Array { elem, named: _ }) => Shape::Any(elem.iter().map(shape).collect()),
        #[rustfmt::skip]
        Expr::Case { case_token: _, end_token: _, operand: _, conditions, else_result } => {
            let results = conditions.iter().map(|CaseWhen { condition: _, result }| result);
            Shape::Any(results.chain(else_result.as_deref()).map(shape).collect())
        }
        Expr::Subquery(query) => first(query).map_or(Shape::Text, shape),
        Expr::UnaryOp { .. } | Expr::Interval(_) => Shape::Span,
        Expr::AtTimeZone { .. }
        | Expr::Extract { .. }
        | Expr::Ceil { .. }
        | Expr::Floor { .. }
        | Expr::Position { .. }
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::Exists { .. } => Shape::Plain,
        _ => Shape::Text,
    }
}

/// What parentheses, subscripts and the like hold: its type is theirs, or that of its elements.
fn unwrapped(mut expr: &Expr) -> &Expr {
    loop {
        expr = match expr {
            Expr::Nested(inner) => inner,
            #[rustfmt::skip]
            Expr::Collate { expr: inner, collation: _ } => inner,
            Expr::CompoundFieldAccess { root, access_chain }
                if access_chain
                    .iter()
                    .all(|access| matches!(access, AccessExpr::Subscript(_))) =>
            {
                root
            }
            // Text without a limit is the text it was made of.
            #[rustfmt::skip]
            Expr::Cast { kind: _, expr: inner, data_type, format: None }
                if is_whole_text(data_type) && is_cast_to_text(inner) => inner,
            other => return other,
        };
    }
}

fn is_cast_to_text(expr: &Expr) -> bool {
    matches!(expr, Expr::Cast { data_type, .. } if is_whole_text(data_type))
}

fn is_whole_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Text
            | DataType::Varchar(None)
            | DataType::CharacterVarying(None)
            | DataType::CharVarying(None)
    )
}

fn cast(expr: &Expr, data_type: &DataType) -> Shape {
    if !is_whole_text(data_type) {
        return typed(data_type);
    }
    match unwrapped(expr) {
        Expr::Value(_) => Shape::Given,
        _ => Shape::Text,
    }
}

pub(super) fn typed(data_type: &DataType) -> Shape {
    match type_name(data_type) {
        TypeName::Known { text: true, .. } => Shape::Text,
        TypeName::Known { text: false, .. } => moment(data_type),
        TypeName::Named(name) => Shape::Typed(name),
    }
}

fn value_shape(value: &Value) -> Shape {
    match value {
        Value::Number(..) | Value::Boolean(_) => Shape::Plain,
        _ => Shape::Given,
    }
}

/// A builtin type that is no text, or an array of one.
fn moment(data_type: &DataType) -> Shape {
    let mut element = data_type;
    while let DataType::Array(ArrayElemTypeDef::SquareBracket(inner, _)) = element {
        element = inner;
    }
    match element {
        DataType::Time(..) => Shape::Time,
        DataType::Interval { .. } => Shape::Span,
        _ => Shape::Plain,
    }
}

/// What comes of an operator; those that are named return no text, whatever they are given.
fn operation(left: &Expr, operator: &BinaryOperator, right: &Expr, depth: u8) -> Shape {
    use BinaryOperator as Op;
    match operator {
        Op::Plus | Op::Minus => match depth.checked_sub(1) {
            Some(depth) => Shape::Sum(Box::new([
                shape_within(left, depth),
                shape_within(right, depth),
            ])),
            None => Shape::Value,
        },
        Op::Multiply | Op::Divide | Op::Modulo | Op::PGExp => Shape::Span,
        Op::Gt | Op::Lt | Op::GtEq | Op::LtEq | Op::Eq | Op::NotEq | Op::And | Op::Or => {
            Shape::Plain
        }
        _ => Shape::Text,
    }
}

fn call(function: &Function) -> Shape {
    let Some(arguments) = arguments(function) else {
        return Shape::Text;
    };
    let Some(name) = name(&function.name) else {
        return Shape::Text;
    };
    let syntax = name.schema.is_none()
        && matches!(
            &*name.name,
            "coalesce" | "greatest" | "least" | "nullif" | "grouping"
        );
    match (&*name.name, syntax) {
        ("grouping", true) => Shape::Plain,
        (_, true) => Shape::Any(arguments.into()),
        (_, false) => Shape::Call(name, arguments.into()),
    }
}

/// What a call is given; `None` if that cannot be said.
pub(super) fn arguments(function: &Function) -> Option<Vec<Shape>> {
    let FunctionArguments::List(list) = &function.args else {
        return None;
    };
    let written = list.args.iter().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(shape(expr)),
        _ => None,
    });
    let ordered = function
        .within_group
        .iter()
        .map(|order| Some(shape(&order.expr)));
    written.chain(ordered).collect()
}

/// The first column of a query, if it is written out.
fn first(query: &Query) -> Option<&Expr> {
    match &*query.body {
        SetExpr::Select(select) => match select.projection.first()? {
            SelectItem::UnnamedExpr(expr) => Some(expr),
            #[rustfmt::skip]
            SelectItem::ExprWithAlias { expr, alias: _ } => Some(expr),
            _ => None,
        },
        _ => None,
    }
}

/// How the server names a column without a label (`FigureColname`).
fn figure(expr: &Expr) -> Option<Box<str>> {
    let mut expr = expr;
    let mut otherwise = None;
    loop {
        expr = match expr {
            Expr::Nested(inner) => inner,
            #[rustfmt::skip]
            Expr::Collate { expr: inner, collation: _ } => inner,
            #[rustfmt::skip]
            Expr::Cast { kind: _, expr: inner, data_type, format: _ } => {
                otherwise = otherwise.or_else(|| Some(last_word(data_type)));
                inner
            }
            #[rustfmt::skip]
            Expr::Case { else_result: Some(result), .. } => {
                otherwise = otherwise.or_else(|| Some("case".into()));
                result
            }
            Expr::Subquery(query) => match &*query.body {
                SetExpr::Select(select) => match select.projection.first()? {
                    SelectItem::UnnamedExpr(inner) => inner,
                    #[rustfmt::skip]
                    SelectItem::ExprWithAlias { expr: _, alias } => return Some(folded(alias)),
                    _ => return otherwise,
                },
                _ => return otherwise,
            },
            Expr::Identifier(ident) => return Some(folded(ident)),
            Expr::CompoundIdentifier(parts) => return parts.last().map(folded),
            Expr::CompoundFieldAccess { root, access_chain } => {
                let field = access_chain.iter().rev().find_map(|access| match access {
                    AccessExpr::Dot(Expr::Identifier(field)) => Some(folded(field)),
                    _ => None,
                });
                match field {
                    Some(field) => return Some(field),
                    None => root,
                }
            }
            Expr::Function(function) => return name(&function.name).map(|name| name.name),
            Expr::TypedString(typed) => return Some(last_word(&typed.data_type)),
            Expr::Case { .. } => return Some("case".into()),
            _ => return otherwise,
        };
    }
}

/// The last word of a type's name, as the server would call a column after it.
fn last_word(data_type: &DataType) -> Box<str> {
    match type_name(data_type) {
        TypeName::Named(name) => name.name,
        // Builtin types with names of their own: none of them is a column's name by chance.
        TypeName::Known { .. } => data_type.to_string().to_ascii_lowercase().into(),
    }
}

/// What is known of a type by its name.
pub(super) fn type_name(data_type: &DataType) -> TypeName {
    use DataType as T;
    let mut element = data_type;
    while let T::Array(ArrayElemTypeDef::SquareBracket(inner, _)) = element {
        element = inner;
    }
    let text = matches!(
        element,
        T::Character(_)
            | T::Char(_)
            | T::CharacterVarying(_)
            | T::CharVarying(_)
            | T::Varchar(_)
            | T::Text
    );
    let clock = matches!(element, T::Date | T::Time(..) | T::Timestamp(..));
    match element {
        T::Custom(object, _) => match name(object) {
            Some(name) => TypeName::Named(name),
            None => UNKNOWN,
        },
        known if is_builtin_variant(known) => TypeName::Known { text, clock },
        _ => UNKNOWN,
    }
}

/// Sums of sums deeper than this are not looked into: chains are as deep as the text is long.
const SUM_DEPTH_MAX: u8 = 4;

/// A type of which nothing is known.
const UNKNOWN: TypeName = TypeName::Known {
    text: true,
    clock: true,
};
