//! Expressions.

use sqlparser::ast::{
    AccessExpr, Array, BinaryOperator, CaseWhen, CastFormat, CastKind, CeilFloorKind, DataType,
    DateTimeField, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    Interval, ObjectNamePart, Subscript, TrimWhereField, TypedString,
};

use super::shape::{shape, type_name};
use super::{TIMEZONE, Walk, folded};
use crate::facts::{Name, Shape};

/// Expressions that wait to be looked at.
type Open<'a> = Vec<&'a Expr>;

impl Walk {
    /// Every expression of a list or option.
    pub(super) fn exprs<'a>(&mut self, exprs: impl IntoIterator<Item = &'a Expr>) {
        for expr in exprs {
            self.expr(expr);
        }
    }

    /// An expression and all below it. Recurs for subqueries alone.
    pub(super) fn expr(&mut self, expr: &Expr) {
        let mut open: Open<'_> = vec![expr];
        while let Some(expr) = open.pop() {
            self.one(expr, &mut open);
        }
    }

    /// One expression; what is below it is added to `open`.
    fn one<'a>(&mut self, expr: &'a Expr, open: &mut Open<'a>) {
        match expr {
            // A name alone is a column, a whole row or a word that was looked for in the text.
            Expr::Identifier(name) => {
                self.alone.insert(folded(name));
            }
            Expr::Wildcard(_) => {}
            Expr::QualifiedWildcard(_, _) => self.read.whole_rows = true,
            Expr::Value(_) => {}
            Expr::CompoundIdentifier(parts) => self.column(parts),
            Expr::CompoundFieldAccess { root, access_chain } => {
                open.push(root);
                for access in access_chain {
                    self.access(access, open);
                }
            }
            Expr::IsFalse(inner)
            | Expr::IsNotFalse(inner)
            | Expr::IsTrue(inner)
            | Expr::IsNotTrue(inner)
            | Expr::IsNull(inner)
            | Expr::IsNotNull(inner)
            | Expr::IsUnknown(inner)
            | Expr::IsNotUnknown(inner)
            | Expr::Nested(inner) => open.push(inner),
            Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
                open.extend([&**left, &**right]);
            }
            #[rustfmt::skip]
            Expr::IsJson { expr, kind: _, unique_keys: _, negated: _ } => open.push(expr),
            #[rustfmt::skip]
            Expr::IsNormalized { expr, form: _, negated: _ } => open.push(expr),
            #[rustfmt::skip]
            Expr::InList { expr, list, negated: _ } => {
                open.push(expr);
                open.extend(list);
            }
            #[rustfmt::skip]
            Expr::InSubquery { expr, subquery, negated: _ } => {
                open.push(expr);
                self.query(subquery);
            }
            #[rustfmt::skip]
            Expr::Between { expr, negated: _, low, high } => {
                open.extend([&**expr, &**low, &**high]);
            }
            Expr::BinaryOp { left, op, right } => {
                self.binary(op);
                self.operands(&[left, right]);
                open.extend([&**left, &**right]);
            }
            #[rustfmt::skip]
            Expr::Like { negated: _, any, expr, pattern, escape_char }
            | Expr::ILike { negated: _, any, expr, pattern, escape_char } => {
                // The parser takes `ALL (…)` and `SOME (…)` for calls.
                let listed = quantified(pattern);
                if *any || listed.is_some() {
                    self.operands(&[expr, listed.unwrap_or(pattern)]);
                }
                open.extend([&**expr, listed.unwrap_or(pattern)]);
                open.extend(escape_char.as_deref());
            }
            #[rustfmt::skip]
            Expr::SimilarTo { negated: _, expr, pattern, escape_char } => {
                open.extend([&**expr, &**pattern]);
                open.extend(escape_char.as_deref());
            }
            #[rustfmt::skip]
            Expr::AnyOp { left, compare_op, right, is_some: _ }
            | Expr::AllOp { left, compare_op, right } => {
                self.binary(compare_op);
                self.operands(&[left, right]);
                open.extend([&**left, &**right]);
            }
            Expr::UnaryOp { op: _, expr } => {
                self.operands(&[expr]);
                open.push(expr);
            }
            #[rustfmt::skip]
            Expr::Cast { kind, expr, data_type, format } => {
                self.cast(kind, data_type, format.as_ref());
                self.reads_as(type_name(data_type), shape(expr));
                open.push(expr);
            }
            #[rustfmt::skip]
            Expr::AtTimeZone { timestamp, time_zone } => {
                self.system_call(TIMEZONE, 2);
                self.read.zoned.push(shape(timestamp));
                open.extend([&**timestamp, &**time_zone]);
            }
            #[rustfmt::skip]
            Expr::Extract { field: _, syntax: _, expr } => {
                // `extract` was `date_part` until version 14; both treat their arguments alike.
                self.system_call("date_part", 2);
                open.push(expr);
            }
            Expr::Ceil { expr, field } => self.rounded("ceil", expr, field, open),
            Expr::Floor { expr, field } => self.rounded("floor", expr, field, open),
            Expr::Position { expr, r#in } => {
                self.plain_call("position", Some(2));
                open.extend([&**expr, &**r#in]);
            }
            #[rustfmt::skip]
            Expr::Substring { expr, substring_from, substring_for, special: _, shorthand: _ } => {
                self.plain_call("substring", None);
                open.push(expr);
                open.extend(substring_from.as_deref());
                open.extend(substring_for.as_deref());
            }
            #[rustfmt::skip]
            Expr::Trim { trim_where, trim_what, expr, trim_characters } => {
                self.system_call(trimming(trim_where.as_ref()), 2);
                open.push(expr);
                open.extend(trim_what.as_deref());
                open.extend(trim_characters.iter().flatten());
            }
            #[rustfmt::skip]
            Expr::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                self.plain_call("overlay", None);
                open.extend([&**expr, &**overlay_what, &**overlay_from]);
                open.extend(overlay_for.as_deref());
            }
            Expr::Collate { expr, collation: _ } => open.push(expr),
            Expr::TypedString(TypedString {
                data_type,
                value: _,
                uses_odbc_syntax,
            }) => {
                self.absent(*uses_odbc_syntax);
                self.data_type(data_type);
            }
            Expr::Function(function) => self.function(function),
            #[rustfmt::skip]
            Expr::Case { case_token: _, end_token: _, operand, conditions, else_result } => {
                open.extend(operand.as_deref());
                open.extend(else_result.as_deref());
                for CaseWhen { condition, result } in conditions {
                    open.extend([condition, result]);
                }
            }
            #[rustfmt::skip]
            Expr::Exists { subquery, negated: _ } => self.query(subquery),
            Expr::Subquery(query) => self.query(query),
            Expr::GroupingSets(sets) | Expr::Cube(sets) | Expr::Rollup(sets) => {
                open.extend(sets.iter().flatten());
            }
            Expr::Tuple(elements) => {
                self.read.whole_rows = true;
                open.extend(elements);
            }
            Expr::Array(Array { elem, named: _ }) => open.extend(elem),
            Expr::Interval(Interval {
                value,
                leading_field: _,
                leading_precision: _,
                last_field: _,
                fractional_seconds_precision: _,
            }) => open.push(value),
            Expr::JsonAccess { .. }
            | Expr::InUnnest { .. }
            | Expr::RLike { .. }
            | Expr::Convert { .. }
            | Expr::Prefixed { .. }
            | Expr::Struct { .. }
            | Expr::Named { .. }
            | Expr::Dictionary(_)
            | Expr::Map(_)
            | Expr::MatchAgainst { .. }
            | Expr::OuterJoin(_)
            | Expr::Prior(_)
            | Expr::Lambda(_)
            | Expr::MemberOf(_) => self.unsupported(),
        }
    }

    /// `range.column` may be a call in functional notation.
    fn column(&mut self, parts: &[Ident]) {
        if let [.., range, column] = parts {
            let (range, column) = (folded(range), folded(column));
            self.alone.insert(column.clone());
            self.read.columns.push((Some(range), column));
        }
    }

    fn access<'a>(&mut self, access: &'a AccessExpr, open: &mut Open<'a>) {
        match access {
            AccessExpr::Dot(Expr::Identifier(field)) => {
                let field = folded(field);
                self.read.columns.push((None, field));
            }
            // `(row).*`
            AccessExpr::Dot(Expr::Wildcard(_)) => self.read.unnamed_columns = true,
            AccessExpr::Dot(other) => {
                self.unsupported();
                open.push(other);
            }
            AccessExpr::Subscript(Subscript::Index { index }) => open.push(index),
            AccessExpr::Subscript(Subscript::Slice {
                lower_bound,
                upper_bound,
                stride,
            }) => {
                self.absent(stride.is_some());
                open.extend(lower_bound);
                open.extend(upper_bound);
            }
        }
    }

    /// Notes an operator whose operands may all be of any type.
    fn operands(&mut self, operands: &[&Expr]) {
        self.read.untyped |= operands
            .iter()
            .all(|operand| shape(operand) == Shape::Given);
    }

    /// Operators are read from the text; here those that PostgreSQL does not have are refused.
    fn binary(&mut self, operator: &BinaryOperator) {
        use BinaryOperator as Op;
        match operator {
            Op::Overlaps => self.system_call("overlaps", 4),
            Op::Xor
            | Op::DuckIntegerDivide
            | Op::MyIntegerDivide
            | Op::Match
            | Op::Regexp
            | Op::Glob
            | Op::Assignment => self.unsupported(),
            Op::Plus
            | Op::Minus
            | Op::Multiply
            | Op::Divide
            | Op::Modulo
            | Op::StringConcat
            | Op::Gt
            | Op::Lt
            | Op::GtEq
            | Op::LtEq
            | Op::Spaceship
            | Op::Eq
            | Op::NotEq
            | Op::And
            | Op::Or
            | Op::BitwiseOr
            | Op::BitwiseAnd
            | Op::BitwiseXor
            | Op::Custom(_)
            | Op::PGBitwiseXor
            | Op::PGBitwiseShiftLeft
            | Op::PGBitwiseShiftRight
            | Op::PGExp
            | Op::PGOverlap
            | Op::PGRegexMatch
            | Op::PGRegexIMatch
            | Op::PGRegexNotMatch
            | Op::PGRegexNotIMatch
            | Op::PGLikeMatch
            | Op::PGILikeMatch
            | Op::PGNotLikeMatch
            | Op::PGNotILikeMatch
            | Op::PGStartsWith
            | Op::Arrow
            | Op::LongArrow
            | Op::HashArrow
            | Op::HashLongArrow
            | Op::AtAt
            | Op::AtArrow
            | Op::ArrowAt
            | Op::HashMinus
            | Op::AtQuestion
            | Op::Question
            | Op::QuestionAnd
            | Op::QuestionPipe
            | Op::PGCustomBinaryOperator(_)
            | Op::DoubleHash
            | Op::LtDashGt
            | Op::AndLt
            | Op::AndGt
            | Op::LtLtPipe
            | Op::PipeGtGt
            | Op::AndLtPipe
            | Op::PipeAndGt
            | Op::LtCaret
            | Op::GtCaret
            | Op::QuestionHash
            | Op::QuestionDash
            | Op::QuestionDashPipe
            | Op::QuestionDoublePipe
            | Op::At
            | Op::TildeEq => {}
        }
    }

    fn cast(&mut self, kind: &CastKind, data_type: &DataType, format: Option<&CastFormat>) {
        self.absent(format.is_some());
        match kind {
            CastKind::Cast | CastKind::DoubleColon => self.data_type(data_type),
            CastKind::TryCast | CastKind::SafeCast => self.unsupported(),
        }
    }

    fn rounded<'a>(
        &mut self,
        name: &str,
        expr: &'a Expr,
        field: &CeilFloorKind,
        open: &mut Open<'a>,
    ) {
        let plain = CeilFloorKind::DateTimeField(DateTimeField::NoDateTime);
        self.absent(*field != plain);
        self.plain_call(name, Some(1));
        open.push(expr);
    }

    /// A call of a function that the parser reads by itself, though it may be the user's own.
    fn plain_call(&mut self, name: &str, arguments: Option<usize>) {
        let name = Name {
            schema: None,
            name: name.into(),
        };
        self.call(name, arguments);
    }
}

/// What stands in the parentheses of `ALL (…)` or `SOME (…)`.
fn quantified(pattern: &Expr) -> Option<&Expr> {
    let Expr::Function(Function {
        name,
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(list),
        filter: None,
        null_treatment: None,
        over: None,
        within_group,
    }) = pattern
    else {
        return None;
    };
    let [ObjectNamePart::Identifier(word)] = &*name.0 else {
        return None;
    };
    let keyword = ["all", "some"]
        .iter()
        .any(|it| word.quote_style.is_none() && word.value.eq_ignore_ascii_case(it));
    match &*list.args {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))]
            if keyword
                && within_group.is_empty()
                && list.clauses.is_empty()
                && list.duplicate_treatment.is_none() =>
        {
            Some(expr)
        }
        _ => None,
    }
}

const fn trimming(side: Option<&TrimWhereField>) -> &'static str {
    match side {
        None | Some(TrimWhereField::Both) => "btrim",
        Some(TrimWhereField::Leading) => "ltrim",
        Some(TrimWhereField::Trailing) => "rtrim",
    }
}
