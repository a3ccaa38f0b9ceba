//! Finds what can be mutated in a source.

use std::collections::BTreeMap;
use std::ops::Range;

use proc_macro2::Span;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Arm, Attribute, BinOp, Block, Expr, Lit, Pat, Stmt, Token};

use super::mutation::{Mutation, Shape};
use super::operators;

/// The constants of all sources, with their types.
pub type Constants = BTreeMap<String, String>;

/// All mutations of a source, in the order of its text.
pub fn mutations(source: &str, file: &syn::File, constants: &Constants) -> Vec<Mutation> {
    let mut finder = Finder { source, constants, functions: Vec::new(), found: Vec::new() };
    finder.visit_file(file);
    finder.found.sort_by_key(|mutation| (mutation.line, mutation.column, mutation.place.len()));
    finder.found
}

/// Adds the constants of one source.
pub fn add_constants(file: &syn::File, constants: &mut Constants) {
    struct Reader<'c>(&'c mut Constants);
    impl<'ast> Visit<'ast> for Reader<'_> {
        fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
            self.0.insert(item.ident.to_string(), type_name(&item.ty));
        }
        fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
            self.0.insert(item.ident.to_string(), type_name(&item.ty));
        }
    }
    Reader(constants).visit_file(file);
}

fn type_name(of: &syn::Type) -> String {
    match of {
        syn::Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default(),
        _ => String::new(),
    }
}

/// Whether an item is there for tests alone.
pub fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
    })
}

struct Finder<'s> {
    source: &'s str,
    constants: &'s Constants,
    /// The function that is walked, with what it lies in.
    functions: Vec<String>,
    found: Vec<Mutation>,
}

impl Finder<'_> {
    fn text(&self, of: &impl Spanned) -> &str {
        &self.source[of.span().byte_range()]
    }

    fn add(&mut self, shape: Shape, span: Span, at: usize, code: impl Into<String>, what: String) {
        let (place, code, start) = (span.byte_range(), code.into(), span.start());
        let same = |other: &Mutation| other.place == place && other.shape == shape && other.code == code;
        if !self.found.iter().any(same) {
            let (line, column, function) = (start.line, start.column + 1, self.functions.join("::"));
            self.found.push(Mutation { shape, place, at, code, what, function, line, column });
        }
    }

    /// Another expression in the place of this one.
    fn replace(&mut self, expression: &impl Spanned, code: impl Into<String>) {
        let (span, code) = (expression.span(), code.into());
        let what = format!("{} -> {}", one_line(self.text(expression)), one_line(&code));
        self.add(Shape::Expression, span, span.byte_range().end, code, what);
    }

    fn replace_part(&mut self, whole: &impl Spanned, part: &Range<usize>, code: &str) {
        let all = whole.span().byte_range();
        let code = format!("{}{code}{}", &self.source[all.start..part.start], &self.source[part.end..all.end]);
        self.replace(whole, code);
    }

    fn yes_and_no(&mut self, condition: &Expr) {
        for answer in ["true", "false"] {
            if self.text(condition) != answer {
                self.replace(condition, answer);
            }
        }
    }

    /// Code at the begin of a block, which makes it answer this.
    fn answer(&mut self, block: &Block, about: &impl Spanned, answer: &str) {
        let what = format!("answers {} at once", if answer.is_empty() { "nothing" } else { answer });
        let at = block.brace_token.span.open().byte_range().end;
        self.add(Shape::Entry, about.span(), at, format!("return {answer};"), what);
    }

    /// A condition behind this, so that it never holds.
    fn never(&mut self, about: &impl Spanned, joined: &str) {
        let what = format!("{} never holds", one_line(self.text(about)));
        self.add(Shape::Condition, about.span(), about.span().byte_range().end, joined, what);
    }

    fn function(&mut self, signature: &syn::Signature, block: &Block) {
        if signature.constness.is_some() {
            return;
        }
        self.functions.push(signature.ident.to_string());
        if signature.ident != "default" {
            for answer in operators::answers(&signature.output) {
                let code = self.text(block);
                if code.trim_matches(['{', '}', ' ']) != answer {
                    self.answer(block, &signature.ident, &answer);
                }
            }
        }
        if matches!(signature.output, syn::ReturnType::Default) {
            self.is_unit_block(block);
        }
        self.visit_block(block);
        self.functions.pop();
    }

    /// Each statement that can be left out.
    fn statements_go(&mut self, statements: &[Stmt]) {
        for (index, statement) in statements.iter().enumerate() {
            match statement {
                Stmt::Expr(expression, Some(_)) => {
                    let can_go = match expression {
                        Expr::Call(_) | Expr::MethodCall(_) | Expr::Assign(_) | Expr::Try(_) | Expr::Await(_) => true,
                        Expr::Binary(binary) => is_assignment(&binary.op),
                        Expr::Break(of) => of.expr.is_none(),
                        Expr::Return(of) => of.expr.is_none(),
                        Expr::Continue(_) => true,
                        _ => false,
                    };
                    if can_go {
                        let what = format!("without {}", one_line(self.text(expression)));
                        let span = statement.span();
                        self.add(Shape::Statement, span, span.byte_range().end, "", what);
                    }
                }
                Stmt::Expr(expression, None) if index + 1 < statements.len() => self.is_unit(expression),
                _ => {}
            }
        }
    }

    /// A block that answers nothing: its last call can be left out too.
    fn is_unit_block(&mut self, block: &Block) {
        if let Some(Stmt::Expr(last, None)) = block.stmts.last() {
            self.is_unit(last);
        }
    }

    fn is_unit(&mut self, expression: &Expr) {
        match expression {
            Expr::Call(_) | Expr::MethodCall(_) => self.replace(expression, "()"),
            Expr::Assign(_) => self.replace(expression, "()"),
            Expr::Binary(binary) if binary.op.span().byte_range().len() > 1 && is_assignment(&binary.op) => {
                self.replace(expression, "()");
            }
            Expr::Block(of) => self.is_unit_block(&of.block),
            Expr::If(of) => {
                self.is_unit_block(&of.then_branch);
                if let Some((_, other)) = &of.else_branch {
                    self.is_unit(other);
                }
            }
            Expr::Match(of) => of.arms.iter().for_each(|arm| self.is_unit(&arm.body)),
            _ => {}
        }
    }

    /// Each part of a conjunction may not matter, and each of a disjunction.
    fn parts(&mut self, binary: &syn::ExprBinary) {
        let (is_and, idle) = match binary.op {
            BinOp::And(_) => (true, "true"),
            BinOp::Or(_) => (false, "false"),
            _ => return,
        };
        for side in [&*binary.left, &*binary.right] {
            let goes_on = match side {
                Expr::Let(_) => true,
                Expr::Binary(of) => {
                    matches!(of.op, BinOp::And(_)) && is_and || matches!(of.op, BinOp::Or(_)) && !is_and
                }
                _ => false,
            };
            if !goes_on {
                self.replace(side, idle);
            }
        }
    }

    fn literal(&mut self, literal: &syn::LitInt) {
        let Ok(value) = literal.base10_parse::<u128>() else { return };
        for other in [value.checked_add(1), value.checked_sub(1)].into_iter().flatten() {
            self.replace(literal, format!("{other}{}", literal.suffix()));
        }
    }
}

fn is_assignment(operator: &BinOp) -> bool {
    matches!(
        operator,
        BinOp::AddAssign(_)
            | BinOp::SubAssign(_)
            | BinOp::MulAssign(_)
            | BinOp::DivAssign(_)
            | BinOp::BitAndAssign(_)
            | BinOp::BitOrAssign(_)
            | BinOp::BitXorAssign(_)
    )
}

/// Whether a condition binds names, which nothing can stand in for.
fn binds(condition: &Expr) -> bool {
    match condition {
        Expr::Let(_) => true,
        Expr::Binary(of) => matches!(of.op, BinOp::And(_)) && (binds(&of.left) || binds(&of.right)),
        _ => false,
    }
}

fn one_line(code: &str) -> String {
    code.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What `matches!` is given.
struct Matches {
    value: Expr,
    guard: Option<Expr>,
}

impl Parse for Matches {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let value = input.parse()?;
        input.parse::<Token![,]>()?;
        Pat::parse_multi_with_leading_vert(input)?;
        let guard = if input.parse::<Option<Token![if]>>()?.is_some() { Some(input.parse()?) } else { None };
        input.parse::<Option<Token![,]>>()?;
        Ok(Self { value, guard })
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_for_tests(&item.attrs) {
            self.function(&item.sig, &item.block);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_for_tests(&item.attrs) {
            self.function(&item.sig, &item.block);
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if !is_for_tests(&item.attrs) {
            self.functions.push(type_name(&item.self_ty));
            visit::visit_item_impl(self, item);
            self.functions.pop();
        }
    }

    // What is worked out while compiling cannot be switched.
    fn visit_item_const(&mut self, _: &'ast syn::ItemConst) {}
    fn visit_item_static(&mut self, _: &'ast syn::ItemStatic) {}
    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}
    fn visit_item_enum(&mut self, _: &'ast syn::ItemEnum) {}
    fn visit_type(&mut self, _: &'ast syn::Type) {}
    fn visit_pat(&mut self, _: &'ast Pat) {}
    fn visit_attribute(&mut self, _: &'ast Attribute) {}
    fn visit_generic_argument(&mut self, _: &'ast syn::GenericArgument) {}

    fn visit_local(&mut self, local: &'ast syn::Local) {
        let Some(init) = local.init.as_ref().filter(|_| !is_for_tests(&local.attrs)) else { return };
        self.visit_expr(&init.expr);
        if let Some((_, other)) = &init.diverge
            && let Expr::Block(of) = &**other
        {
            // Its last statement leads out of it, and cannot go.
            let rest = of.block.stmts.split_last().map_or(&[][..], |(_, rest)| rest);
            self.statements_go(rest);
            visit::visit_block(self, &of.block);
        }
    }

    fn visit_block(&mut self, block: &'ast Block) {
        self.statements_go(&block.stmts);
        visit::visit_block(self, block);
    }

    fn visit_expr_if(&mut self, of: &'ast syn::ExprIf) {
        if binds(&of.cond) {
            self.never(&of.cond, "&&");
        } else {
            self.yes_and_no(&of.cond);
        }
        if of.else_branch.is_none() {
            self.is_unit_block(&of.then_branch);
        }
        visit::visit_expr_if(self, of);
    }

    fn visit_expr_while(&mut self, of: &'ast syn::ExprWhile) {
        if binds(&of.cond) {
            self.never(&of.cond, "&&");
        } else {
            self.replace(&of.cond, "false");
        }
        self.is_unit_block(&of.body);
        visit::visit_expr_while(self, of);
    }

    fn visit_expr_for_loop(&mut self, of: &'ast syn::ExprForLoop) {
        self.is_unit_block(&of.body);
        visit::visit_expr_for_loop(self, of);
    }

    fn visit_expr_loop(&mut self, of: &'ast syn::ExprLoop) {
        self.is_unit_block(&of.body);
        visit::visit_expr_loop(self, of);
    }

    fn visit_expr_match(&mut self, of: &'ast syn::ExprMatch) {
        let catches_all = |arm: &Arm| match &arm.pat {
            _ if arm.guard.is_some() => false,
            Pat::Wild(_) => true,
            // A name that is bound, and none of a variant or a constant.
            Pat::Ident(of) => of.subpat.is_none() && of.ident.to_string().starts_with(char::is_lowercase),
            _ => false,
        };
        let open = of.arms.last().is_some_and(catches_all);
        for (index, arm) in of.arms.iter().enumerate() {
            match &arm.guard {
                Some((_, guard)) => self.yes_and_no(guard),
                None if open && index + 1 < of.arms.len() => self.never(&arm.pat, "if"),
                None => {}
            }
        }
        visit::visit_expr_match(self, of);
    }

    fn visit_expr_binary(&mut self, binary: &'ast syn::ExprBinary) {
        let whole = Expr::Binary(binary.clone());
        if !binds(&whole) {
            let (left, right) = (self.text(&binary.left).to_owned(), self.text(&binary.right).to_owned());
            for operator in operators::instead_of(&binary.op) {
                let code = match is_assignment(&binary.op) {
                    true => format!("{left} {operator} {right}"),
                    false => format!("({left}) {operator} ({right})"),
                };
                self.replace(binary, code);
            }
        }
        self.parts(binary);
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_unary(&mut self, unary: &'ast syn::ExprUnary) {
        if matches!(unary.op, syn::UnOp::Not(_) | syn::UnOp::Neg(_)) {
            self.replace(unary, self.text(&unary.expr).to_owned());
        }
        visit::visit_expr_unary(self, unary);
    }

    fn visit_expr_range(&mut self, range: &'ast syn::ExprRange) {
        if let Some(end) = &range.end {
            let step = if matches!(range.limits, syn::RangeLimits::HalfOpen(_)) { "+" } else { "-" };
            if !matches!(&**end, Expr::Lit(_)) {
                self.replace(end, format!("({}) {step} 1", self.text(end)));
            }
        }
        visit::visit_expr_range(self, range);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let method = call.method.to_string();
        for sibling in operators::siblings(&method) {
            self.replace_part(call, &call.method.span().byte_range(), sibling);
        }
        if operators::may_be_left_out(&method, call.args.len()) {
            self.replace(call, self.text(&call.receiver).to_owned());
        }
        if method == "cmp" {
            self.replace(call, format!("{}.reverse()", self.text(call)));
        }
        if operators::takes_a_condition(&method)
            && let Some(Expr::Closure(closure)) = call.args.last()
        {
            match &*closure.body {
                Expr::Block(of) => ["true", "false"].iter().for_each(|answer| self.answer(&of.block, closure, answer)),
                body => self.yes_and_no(body),
            }
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_field_value(&mut self, field: &'ast syn::FieldValue) {
        if field.colon_token.is_some() && !operators::is_a_default(self.text(&field.expr)) {
            self.replace(&field.expr, "Default::default()");
        }
        visit::visit_field_value(self, field);
    }

    fn visit_expr_repeat(&mut self, of: &'ast syn::ExprRepeat) {
        self.visit_expr(&of.expr);
    }

    fn visit_expr_lit(&mut self, of: &'ast syn::ExprLit) {
        if let Lit::Int(literal) = &of.lit {
            self.literal(literal);
        }
    }

    fn visit_expr_path(&mut self, path: &'ast syn::ExprPath) {
        let Some(name) = path.path.segments.last().map(|last| last.ident.to_string()) else { return };
        match self.constants.get(&name).map(String::as_str) {
            Some("u16" | "u32" | "u64" | "usize" | "i64") => {
                for other in ["+ 1", "- 1"] {
                    self.replace(path, format!("{} {other}", self.text(path)));
                }
            }
            Some("Duration" | "TimeDelta") => {
                for other in ["* 2", "/ 2"] {
                    self.replace(path, format!("{} {other}", self.text(path)));
                }
            }
            _ => {}
        }
    }

    fn visit_macro(&mut self, of: &'ast syn::Macro) {
        if of.path.is_ident("matches") {
            let Ok(matches) = of.parse_body::<Matches>() else { return };
            self.replace(of, format!("!{}", self.text(of)));
            self.visit_expr(&matches.value);
            if let Some(guard) = &matches.guard {
                self.yes_and_no(guard);
                self.visit_expr(guard);
            }
        } else if of.path.is_ident("vec") {
            let Ok(values) = of.parse_body_with(Punctuated::<Expr, Token![,]>::parse_terminated) else { return };
            values.iter().for_each(|value| self.visit_expr(value));
        }
    }
}

#[cfg(test)]
mod tests;
