//! Index expressions, atoms, guards and accesses.

use super::super::expr::{Atom, BinOp, Cmp, Expr, Guard};
use super::super::ops::{Access, Place};
use super::lex::Token;
use super::{Name, Parse, Parser};

const MAX_OPERATORS: usize = 300;

impl Parser {
    pub(super) fn expr(&mut self) -> Parse<Expr> {
        // Chains of operators make trees as deep as they are long, and trees are walked recursively: count over the whole.
        if self.expr_depth == 0 {
            self.operators = 0;
        }
        self.expr_depth += 1;
        let result = self.nested(Self::sum);
        self.expr_depth -= 1;
        result
    }

    fn sum(&mut self) -> Parse<Expr> {
        let mut left = self.product()?;
        loop {
            let op = match self.peek() {
                Token::Sign("+") => BinOp::Add,
                Token::Sign("-") => BinOp::Sub,
                _ => return Ok(left),
            };
            self.at += 1;
            self.operator()?;
            left = Expr::Binary(op, Box::new(left), Box::new(self.product()?));
        }
    }

    fn operator(&mut self) -> Parse<()> {
        self.operators += 1;
        if self.operators > MAX_OPERATORS { self.error("the expression is too long") } else { Ok(()) }
    }

    fn product(&mut self) -> Parse<Expr> {
        let mut left = self.leaf()?;
        loop {
            let op = match self.peek() {
                Token::Sign("*") => BinOp::Mul,
                Token::Sign("//") => BinOp::Div,
                Token::Sign("%") => BinOp::Mod,
                _ => return Ok(left),
            };
            self.at += 1;
            self.operator()?;
            left = Expr::Binary(op, Box::new(left), Box::new(self.leaf()?));
        }
    }

    fn leaf(&mut self) -> Parse<Expr> {
        let at = self.at;
        match self.bump() {
            Token::Int(_) | Token::Sign("-") => {
                self.at = at;
                self.integer().map(Expr::Const)
            }
            Token::Sign("(") => {
                let inner = self.expr()?;
                self.expect(")")?;
                Ok(inner)
            }
            Token::Value(_) => {
                self.at = at;
                self.value().map(Expr::Value)
            }
            Token::Word(word) if word == "min" || word == "max" => {
                let op = if word == "min" { BinOp::Min } else { BinOp::Max };
                self.expect("(")?;
                let a = self.expr()?;
                self.expect(",")?;
                let b = self.expr()?;
                self.expect(")")?;
                Ok(Expr::Binary(op, Box::new(a), Box::new(b)))
            }
            Token::Word(word) if word == "ceil" => {
                self.expect("(")?;
                let a = self.nested(Self::product)?;
                self.expect("/")?;
                let b = self.nested(Self::leaf)?;
                self.expect(")")?;
                Ok(Expr::Binary(BinOp::CeilDiv, Box::new(a), Box::new(b)))
            }
            Token::Word(word) => {
                let name = self.names.local.get(&word).or_else(|| self.names.plan.get(&word)).copied();
                match name {
                    Some(Name::Extent(e)) if self.accept("[") => {
                        let inner = self.expr()?;
                        self.expect("]")?;
                        Ok(Expr::Ragged(e, Box::new(inner)))
                    }
                    Some(Name::Extent(e)) => Ok(Expr::Extent(e)),
                    Some(Name::Param(p)) => Ok(Expr::Param(p)),
                    Some(Name::Dim(d)) => Ok(Expr::Dim(d)),
                    Some(Name::Var(v)) => Ok(Expr::Var(v)),
                    Some(Name::Axis(a)) => Ok(Expr::Axis(a)),
                    None => self.error_at(at, format!("`{word}` is not declared")),
                }
            }
            _ => {
                self.at = at;
                self.error(format!("expected an index expression, found {}", self.found()))
            }
        }
    }

    /// `[atom, .., %cond, ..]`
    pub(super) fn guard(&mut self) -> Parse<Guard> {
        self.expect("[")?;
        let mut guard = Guard::always();
        while !self.is_sign("]") {
            let at = self.at;
            let lhs = self.expr()?;
            let cmp = match self.peek() {
                Token::Sign(s) => Cmp::ALL.iter().find(|(_, sign)| sign == s).map(|(c, _)| *c),
                _ => None,
            };
            match (cmp, lhs) {
                (Some(cmp), lhs) => {
                    self.at += 1;
                    let rhs = self.expr()?;
                    if !guard.opaque.is_empty() {
                        return self.error_at(at, "affine conditions stand before opaque ones");
                    }
                    guard.atoms.push(Atom { lhs, cmp, rhs });
                }
                (None, Expr::Value(v)) => guard.opaque.push(v),
                _ => return self.error(format!("expected a comparison, found {}", self.found())),
            }
            if !self.accept(",") {
                break;
            }
        }
        self.expect("]")?;
        Ok(guard)
    }

    /// `name[index, ..]`
    pub(super) fn access(&mut self) -> Parse<Access> {
        let at = self.at;
        let name = self.word("a buffer or scratch table")?;
        let place = match (self.names.scratch.get(&name), self.plan.buffer_named(&name)) {
            (Some(s), _) => Place::Scratch(*s),
            (None, Some(b)) => Place::Buffer(b),
            (None, None) => return self.error_at(at, format!("`{name}` is not a buffer or scratch table")),
        };
        self.expect("[")?;
        let index = if self.is_sign("]") { Vec::new() } else { self.comma_list(Self::expr)? };
        self.expect("]")?;
        Ok(Access { place, index })
    }
}
