//! Queries: WITH, set operations, and the parts of a SELECT.

use sqlparser::ast::{Cte, Fetch, LimitClause, Offset, Query, Select, SetExpr, Values, With};

use super::{Walk, folded};
use crate::Reason;

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
}
