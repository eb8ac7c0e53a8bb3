//! Statements.

use smallvec::SmallVec;

use super::super::build::position;
use super::super::ids::{AxisSet, ValueId};
use super::super::ops::{AccumMode, AttrKind, Attrs, Inst, Monoid, OpCode};
use super::super::plan::{Carried, Domain, If, Loop, Stmt, VarDef, While};
use super::super::types::Type;
use super::super::typing::infer;
use super::lex::Token;
use super::{Parse, Parser};
use crate::elementwise::MapFn;

/// A value on the left of `=`: its name, its type if it is written, and where it stands.
struct NewValue {
    at: usize,
    name: String,
    ty: Option<Type>,
}

impl Parser {
    pub(super) fn stmts(&mut self) -> Parse<Vec<Stmt>> {
        let mut out = Vec::new();
        while !self.is_sign("}") && !self.is_word("yield") {
            out.push(self.nested(Self::stmt)?);
        }
        Ok(out)
    }

    fn stmt(&mut self) -> Parse<Stmt> {
        if self.accept_word("let") {
            return self.let_stmt();
        }
        let mut results = Vec::new();
        if matches!(self.peek(), Token::Value(_)) {
            results = self.comma_list(Self::result)?;
            self.expect("=")?;
        }
        if self.accept_word("loop") {
            self.loop_stmt(results)
        } else if self.accept_word("while") {
            self.while_stmt(results)
        } else if self.accept_word("if") {
            self.if_stmt(results)
        } else {
            self.inst(results)
        }
    }

    fn let_stmt(&mut self) -> Parse<Stmt> {
        let at = self.at;
        let name = self.name("a scalar's name")?;
        self.expect("=")?;
        let (def, axes) = if self.accept_word("load") {
            (VarDef::Load(self.access()?), AxisSet::EMPTY)
        } else if self.accept_word("scalar") {
            (VarDef::Scalar(self.value()?), AxisSet::EMPTY)
        } else {
            let e = self.expr()?;
            let axes = self.kernel.expr_axes(&e);
            (VarDef::Let(e), axes)
        };
        self.declare_var(at, name, def, axes).map(Stmt::Let)
    }

    /// A use of a value.
    pub(super) fn value(&mut self) -> Parse<ValueId> {
        let at = self.at;
        match self.bump() {
            Token::Value(name) => match self.names.values.get(&name) {
                Some(id) => Ok(*id),
                None => self.error_at(at, format!("`%{name}` is not defined before its use")),
            },
            _ => {
                self.at = at;
                self.error(format!("expected a value, found {}", self.found()))
            }
        }
    }

    fn new_value(&mut self) -> Parse<(usize, String)> {
        let at = self.at;
        match self.bump() {
            Token::Value(name) => Ok((at, name)),
            _ => {
                self.at = at;
                self.error(format!("expected a value, found {}", self.found()))
            }
        }
    }

    fn result(&mut self) -> Parse<NewValue> {
        let (at, name) = self.new_value()?;
        let ty = if self.accept(":") { Some(self.ty()?) } else { None };
        Ok(NewValue { at, name, ty })
    }

    fn ty(&mut self) -> Parse<Type> {
        let elem = self.elem_type()?;
        let mut axes = AxisSet::EMPTY;
        if self.accept("[") {
            axes = self.comma_list(Self::axis)?.into_iter().collect();
            self.expect("]")?;
        }
        Ok(Type { elem, axes })
    }

    fn define(&mut self, results: Vec<NewValue>, types: &[Type]) -> Parse<Vec<ValueId>> {
        if results.len() != types.len() {
            let at = results.first().map_or(self.at.saturating_sub(1), |r| r.at);
            return self.error_at(at, format!("the statement has {} results, not {}", types.len(), results.len()));
        }
        let mut out = Vec::new();
        for (r, ty) in results.into_iter().zip(types) {
            if r.ty.is_some_and(|t| t != *ty) {
                return self
                    .error_at(r.at, format!("`%{}` has another type than written: {}", r.name, self.type_text(*ty)));
            }
            out.push(self.declare_value(r.at, r.name, *ty)?);
        }
        Ok(out)
    }

    fn type_text(&self, ty: Type) -> String {
        let names: Vec<_> = ty.axes.iter().filter_map(|a| self.kernel.axis(a)).map(|a| a.name.as_str()).collect();
        if names.is_empty() { ty.elem.name().into() } else { format!("{}[{}]", ty.elem.name(), names.join(", ")) }
    }

    fn carry(&mut self) -> Parse<Vec<Carried>> {
        if !self.accept_word("carry") {
            return Ok(Vec::new());
        }
        self.expect("(")?;
        let carried = self.comma_list(|p| {
            let (at, name) = p.new_value()?;
            p.expect("=")?;
            let init = p.value()?;
            let Some(ty) = p.kernel.value_type(init) else { return p.error("the initial value is not defined") };
            let param = p.declare_value(at, name, ty)?;
            Ok(Carried { param, init })
        })?;
        self.expect(")")?;
        Ok(carried)
    }

    /// `{ statements [yield values] }`
    fn block(&mut self) -> Parse<(Vec<Stmt>, Vec<ValueId>)> {
        self.expect("{")?;
        let body = self.stmts()?;
        let yields = if self.accept_word("yield") { self.comma_list(Self::value)? } else { Vec::new() };
        self.expect("}")?;
        Ok((body, yields))
    }

    fn carried_types(&self, carried: &[Carried]) -> Vec<Type> {
        carried.iter().filter_map(|c| self.kernel.value_type(c.param)).collect()
    }

    fn loop_stmt(&mut self, results: Vec<NewValue>) -> Parse<Stmt> {
        let index_at = self.at;
        let index_name = self.name("the loop's index")?;
        self.expect_word("at")?;
        let pos_at = self.at;
        let pos_name = self.name("the loop's position")?;
        let axis = if self.accept_word("over") { Some(self.axis()?) } else { None };
        self.expect_word("in")?;
        let domain = self.domain()?;
        let mut full = None;
        if self.accept_word("full") {
            self.expect("[")?;
            let lo = self.expr()?;
            self.expect(",")?;
            let hi = self.expr()?;
            self.expect(")")?;
            full = Some((lo, hi));
        }
        let index = self.declare_var(index_at, index_name, VarDef::LoopIndex, AxisSet::EMPTY)?;
        let def = position(&domain, index, axis);
        let axes = match &def {
            VarDef::Position(e) => self.kernel.expr_axes(e),
            VarDef::Entry(access) => self.kernel.access_axes(access),
            _ => AxisSet::EMPTY,
        };
        let pos = self.declare_var(pos_at, pos_name, def, axes)?;
        let carried = self.carry()?;
        let (body, yields) = self.block()?;
        let types = self.carried_types(&carried);
        let results = self.define(results, &types)?;
        Ok(Stmt::Loop(Box::new(Loop { index, pos, axis, domain, full, carried, body, yields, results })))
    }

    fn domain(&mut self) -> Parse<Domain> {
        let at = self.at;
        let kind = self.word("a loop's domain")?;
        self.expect("(")?;
        let domain = match kind.as_str() {
            "dense" => {
                let lo = self.expr()?;
                self.expect(",")?;
                Domain::Dense { lo, hi: self.expr()? }
            }
            "strided" => {
                let base = self.expr()?;
                self.expect(",")?;
                let stride = self.expr()?;
                self.expect(",")?;
                let lo = self.expr()?;
                self.expect(",")?;
                Domain::Strided { base, stride, lo, hi: self.expr()? }
            }
            "list" => {
                let list = self.access()?;
                self.expect(",")?;
                Domain::List { list, count: self.expr()? }
            }
            "table" => Domain::Table { count: self.expr()? },
            "point" => Domain::Point { at: self.expr()? },
            _ => {
                return self
                    .error_at(at, format!("`{kind}` is not a loop's domain (dense, strided, list, table, point)"));
            }
        };
        self.expect(")")?;
        Ok(domain)
    }

    fn while_stmt(&mut self, results: Vec<NewValue>) -> Parse<Stmt> {
        self.expect_word("max")?;
        let bound = self.expr()?;
        let carried = self.carry()?;
        let (body, yields) = self.block()?;
        let types = self.carried_types(&carried);
        let results = self.define(results, &types)?;
        Ok(Stmt::While(Box::new(While { bound, carried, body, yields, results })))
    }

    fn if_stmt(&mut self, results: Vec<NewValue>) -> Parse<Stmt> {
        let cond = self.guard()?;
        let (then_body, then_yields) = self.block()?;
        let (else_body, else_yields) = if self.accept_word("else") { self.block()? } else { (Vec::new(), Vec::new()) };
        let types: Vec<_> = then_yields.iter().filter_map(|v| self.kernel.value_type(*v)).collect();
        let results = self.define(results, &types)?;
        Ok(Stmt::If(Box::new(If { cond, then_body, then_yields, else_body, else_yields, results })))
    }

    fn inst(&mut self, results: Vec<NewValue>) -> Parse<Stmt> {
        let at = self.at;
        let word = self.word("a statement")?;
        let mut attrs = Attrs::default();
        let named = OpCode::ALL.iter().copied().find(|op| *op != OpCode::Map && op.spec().name == word);
        let op = match (named, MapFn::from_name(&word)) {
            (Some(op), _) => op,
            (None, Some(function)) => {
                attrs.function = Some(function);
                OpCode::Map
            }
            (None, None) => return self.error_at(at, format!("`{word}` is not an op")),
        };
        let spec = op.spec();
        if spec.allows(AttrKind::Access) {
            attrs.access = Some(self.access()?);
            if spec.operands.1 > 0 {
                self.expect(spec.assignment())?;
            }
        }
        if spec.allows(AttrKind::Value) {
            attrs.value = Some(self.literal()?);
        }
        let mut args = SmallVec::new();
        if spec.operands.1 > 0 {
            args.extend(self.comma_list(Self::value)?);
        }
        while self.attribute(&mut attrs)? {}
        let mut inst = Inst { op, args, attrs, results: SmallVec::new() };
        match infer(&self.plan, &self.kernel, &inst) {
            Ok(types) => inst.results = self.define(results, &types)?.into_iter().collect(),
            Err(message) => return self.error_at(at, message),
        }
        Ok(Stmt::Inst(Box::new(inst)))
    }

    /// Reads one attribute; false if none comes next. Whether the op takes it is for the type rule to say.
    fn attribute(&mut self, attrs: &mut Attrs) -> Parse<bool> {
        let Token::Word(word) = self.peek().clone() else { return Ok(false) };
        let at = self.at;
        self.at += 1;
        let repeated = match word.as_str() {
            "at" => attrs.at.replace(self.expr()?).is_some(),
            "as" => attrs.elem.replace(self.elem_type()?).is_some(),
            "on" => {
                self.expect("[")?;
                let axes = self.comma_list(Self::axis)?.into_iter().collect();
                self.expect("]")?;
                !std::mem::replace(&mut attrs.on, axes).is_empty()
            }
            "by" => attrs.monoid.replace(self.one_of("a monoid", &Monoid::ALL)?).is_some(),
            "over" => {
                !std::mem::replace(&mut attrs.over, self.comma_list(Self::axis)?.into_iter().collect()).is_empty()
            }
            "to" => attrs.to.replace(self.axis()?).is_some(),
            "where" => {
                let guard = self.guard()?;
                !std::mem::replace(&mut attrs.guard, guard).is_always()
            }
            "else" => attrs.otherwise.replace(self.literal()?).is_some(),
            "mode" => attrs.mode.replace(self.one_of("a mode", &AccumMode::ALL)?).is_some(),
            "rev" => std::mem::replace(&mut attrs.rev, true),
            "excl" => std::mem::replace(&mut attrs.excl, true),
            _ => {
                self.at = at;
                return Ok(false);
            }
        };
        if repeated {
            return self.error_at(at, format!("`{word}` is given twice"));
        }
        Ok(true)
    }
}
