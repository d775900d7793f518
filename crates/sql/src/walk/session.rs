//! What a query asks of its session, where the key holds the answer.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is not named here is no literal"
)]

use sqlparser::ast::{
    CastKind, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectName,
    ObjectNamePart, Value,
};

use super::Walk;
use crate::facts::Name;

impl Walk {
    /// Whether a call is `current_setting` of a setting of the application that is written out;
    /// notes it. The function that is meant is looked up where names are resolved.
    pub(super) fn reads_setting(&mut self, name: &Name, arguments: &FunctionArguments) -> bool {
        let schema = name.schema.as_deref();
        if &*name.name != CURRENT_SETTING || schema.is_some_and(|schema| schema != "pg_catalog") {
            return false;
        }
        let FunctionArguments::List(list) = arguments else {
            return false;
        };
        let mut values = list.args.iter().map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => literal(expr),
            FunctionArg::Unnamed(_) | FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => {
                None
            }
        });
        let setting = match values.next() {
            Some(Some(Value::SingleQuotedString(setting))) => setting,
            Some(_) | None => return false,
        };
        let optional = match values.next() {
            Some(Some(Value::Boolean(_))) | None => true,
            Some(_) => false,
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
        // Settings without a dot are the server's own.
        if !optional
            || values.next().is_some()
            || !setting.contains('.')
            || !setting.bytes().all(plain)
        {
            return false;
        }
        self.read.settings.push(setting.to_ascii_lowercase().into());
        true
    }

    /// A role of the session: a column of its own name.
    pub(super) fn label_of_role(&mut self, name: &Name) {
        self.read.labels.push(name.name.clone());
    }
}

/// Whether a name without parentheses stands for a role of the session.
pub(super) fn is_role(object: &ObjectName, arguments: &FunctionArguments) -> bool {
    let [ObjectNamePart::Identifier(ident)] = &*object.0 else {
        return false;
    };
    matches!(arguments, FunctionArguments::None)
        && ident.quote_style.is_none()
        && ROLES
            .iter()
            .any(|role| ident.value.eq_ignore_ascii_case(role))
}

/// A literal, perhaps with the type that the server prints behind it.
fn literal(expr: &Expr) -> Option<&Value> {
    let expr = match expr {
        #[rustfmt::skip]
        Expr::Cast { kind: CastKind::DoubleColon, expr, data_type: DataType::Text, format: None } => expr,
        other => other,
    };
    if let Expr::Value(value) = expr {
        Some(&value.value)
    } else {
        None
    }
}

/// The function that reads a setting.
pub(crate) const CURRENT_SETTING: &str = "current_setting";

const ROLES: [&str; 4] = ["current_role", "current_user", "session_user", "user"];
