//! Calls of functions.

use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectName, ObjectNamePart,
    Value,
};

use super::session::is_role;
use super::shape;
use super::{TIMEZONE, Walk, name};
use crate::Reason;
use crate::clock::path_names_clock;
use crate::facts::{Shape, TypeName};

const JSON_EXISTS: &str = "json_exists";

impl Walk {
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
                // A cast may be written as a call, but not by a keyword.
                if let (false, Some([only])) = (is_grouping(object), given.as_deref()) {
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

/// Whether a name is the keyword GROUPING, which no type has without quotes.
fn is_grouping(object: &ObjectName) -> bool {
    match &*object.0 {
        [ObjectNamePart::Identifier(word)] => {
            word.quote_style.is_none() && word.value.eq_ignore_ascii_case("grouping")
        }
        _ => false,
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
