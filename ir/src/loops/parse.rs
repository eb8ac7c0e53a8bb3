//! Reads the text form that `Display` prints.
//!
//! Only the form is checked here: [`super::verify`] decides whether the kernel makes sense. Numbers of values are bounded
//! by the length of the text, and nesting by [`MAX_DEPTH`], so that no text makes the reader allocate or recurse
//! beyond measure.

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use super::kernel::{
    Access, Block, Buffer, Const, Dim, Extent, For, Kernel, Op, Pattern, Place, Reference, Scratch, Stmt, Unroll,
    Value, Var, VarData,
};
use super::lex::{Spanned, Token, lex};
use super::ops::{Binary, Compare, Function, Reduction, Unary};
use super::types::{Elem, Space, Ty};
use super::verify::MAX_DEPTH;

/// Where and why a text is no kernel.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ParseError {
    /// Line, from 1.
    pub line: usize,
    /// Column in bytes, from 1.
    pub column: usize,
    /// What was expected or is wrong.
    pub message: String,
}

impl ParseError {
    pub(super) fn new(text: &str, offset: usize, message: impl Into<String>) -> Self {
        let before = &text.as_bytes()[..offset.min(text.len())];
        let line = before.iter().filter(|&&c| c == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|&&c| c != b'\n').count() + 1;
        Self { line, column, message: message.into() }
    }
}

/// Reads one kernel.
///
/// # Errors
/// The first place where the text departs from the form.
pub fn parse(text: &str) -> Result<Kernel, ParseError> {
    let tokens = lex(text)?;
    let kernel = Kernel {
        name: String::new(),
        buffers: Vec::new(),
        dims: Vec::new(),
        begin: Value(0),
        end: Value(0),
        scratch: Vec::new(),
        values: Vec::new(),
        vars: Vec::new(),
        body: Block::default(),
    };
    let mut parser = Parser { text, tokens, at: 0, kernel, vars: FxHashMap::default(), defined: FxHashSet::default() };
    parser.kernel()?;
    Ok(parser.kernel)
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Spanned<'a>>,
    at: usize,
    kernel: Kernel,
    vars: FxHashMap<&'a str, Var>,
    defined: FxHashSet<u32>,
}

type Parse<T = ()> = Result<T, ParseError>;

impl<'a> Parser<'a> {
    fn error<T>(&self, message: impl Into<String>) -> Parse<T> {
        Err(ParseError::new(self.text, self.tokens[self.at].1, message))
    }

    /// An error about the token that was eaten last.
    fn error_before<T>(&self, message: impl Into<String>) -> Parse<T> {
        Err(ParseError::new(self.text, self.tokens[self.at.saturating_sub(1)].1, message))
    }

    fn peek(&self) -> Token<'a> {
        self.tokens[self.at].0
    }

    fn next(&mut self) -> Token<'a> {
        let token = self.peek();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        token
    }

    fn eat(&mut self, token: Token<'_>) -> bool {
        let found = self.peek() == token;
        if found {
            self.next();
        }
        found
    }

    fn punct(&mut self, p: &str) -> Parse {
        if self.eat(Token::Punct(p)) { Ok(()) } else { self.error(format!("expected `{p}`")) }
    }

    fn keyword(&mut self, word: &str) -> Parse {
        if self.eat(Token::Word(word)) { Ok(()) } else { self.error(format!("expected `{word}`")) }
    }

    fn word(&mut self, what: &str) -> Parse<&'a str> {
        match self.peek() {
            Token::Word(word) => {
                self.next();
                Ok(word)
            }
            _ => self.error(format!("expected {what}")),
        }
    }

    fn value(&mut self) -> Parse<Value> {
        match self.peek() {
            // Each value is defined somewhere in the text, which takes more than one byte.
            Token::Value(n) if (n as usize) < self.text.len() => {
                self.next();
                Ok(Value(n))
            }
            Token::Value(_) => self.error("value number is larger than the text"),
            _ => self.error("expected a value"),
        }
    }

    /// A value has one type, so it is defined once.
    fn define(&mut self, value: Value, ty: Ty) -> Parse {
        if !self.defined.insert(value.0) {
            return self.error_before(format!("%{} is defined twice", value.0));
        }
        let i = value.0 as usize;
        if self.kernel.values.len() <= i {
            self.kernel.values.resize(i + 1, Ty::BOOL);
        }
        self.kernel.values[i] = ty;
        Ok(())
    }

    fn number<T: std::str::FromStr>(&mut self, what: &str) -> Parse<T> {
        let parsed = match self.peek() {
            Token::Number(n) => n.parse().ok(),
            _ => None,
        };
        match parsed {
            Some(n) => {
                self.next();
                Ok(n)
            }
            None => self.error(format!("expected {what}")),
        }
    }

    /// An integer with an optional sign.
    fn integer(&mut self) -> Parse<i64> {
        let negative = self.eat(Token::Punct("-"));
        let magnitude: i128 = self.number("an integer")?;
        match i64::try_from(if negative { -magnitude } else { magnitude }) {
            Ok(n) => Ok(n),
            Err(_) => self.error_before("integer out of range"),
        }
    }

    fn elem(&mut self) -> Parse<Elem> {
        match self.peek() {
            Token::Word(word) => match Elem::from_name(word) {
                Some(elem) => {
                    self.next();
                    Ok(elem)
                }
                None => self.error("expected an element type"),
            },
            _ => self.error("expected an element type"),
        }
    }

    fn ty(&mut self) -> Parse<Ty> {
        let word = self.word("a type")?;
        if word == "ptr" {
            self.punct("<")?;
            let elem = self.elem()?;
            self.punct(",")?;
            let space = match self.word("an address space")? {
                "global" => Space::Global,
                "scratch" => Space::Scratch,
                _ => return self.error_before("expected `global` or `scratch`"),
            };
            self.punct(">")?;
            return Ok(Ty::ptr(elem, space));
        }
        if let Some(elem) = Elem::from_name(word) {
            return Ok(Ty::scalar(elem));
        }
        let vector = word.split_once('x').and_then(|(e, n)| Some((Elem::from_name(e)?, n.parse::<u16>().ok()?)));
        match vector {
            Some((elem, lanes)) if lanes > 1 => Ok(Ty::vector(elem, lanes)),
            _ => self.error_before("expected a type"),
        }
    }

    fn kernel(&mut self) -> Parse {
        self.keyword("kernel")?;
        let Token::At(name) = self.peek() else {
            return self.error("expected the kernel's name, as in `@name`");
        };
        self.next();
        name.clone_into(&mut self.kernel.name);
        self.punct("(")?;
        self.kernel.begin = self.value()?;
        self.punct("..")?;
        self.kernel.end = self.value()?;
        self.punct(")")?;
        self.define(self.kernel.begin, Ty::I64)?;
        self.define(self.kernel.end, Ty::I64)?;
        self.punct("{")?;
        while self.declaration()? {}
        self.kernel.body = self.block(0)?;
        if self.peek() == Token::End { Ok(()) } else { self.error("expected the end of the text") }
    }

    fn declaration(&mut self) -> Parse<bool> {
        match self.peek() {
            Token::Word("dim") => {
                self.next();
                let value = self.value()?;
                self.punct("=")?;
                let name = self.word("a name")?.to_owned();
                self.define(value, Ty::I64)?;
                self.kernel.dims.push(Dim { value, name });
            }
            Token::Word("buffer") => self.buffer()?,
            Token::Word("scratch") => {
                self.next();
                let value = self.value()?;
                self.punct("=")?;
                let name = self.word("a name")?.to_owned();
                let elem = self.elem()?;
                self.punct("[")?;
                let len = self.number("a number of elements")?;
                self.punct("]")?;
                self.define(value, Ty::ptr(elem, Space::Scratch))?;
                self.kernel.scratch.push(Scratch { value, name, elem, len });
            }
            Token::Word("var") => {
                self.next();
                let Token::Var(name) = self.peek() else {
                    return self.error("expected a variable, as in `$name`");
                };
                self.next();
                self.punct(":")?;
                let ty = self.ty()?;
                let Ok(number) = u32::try_from(self.kernel.vars.len()) else {
                    return self.error("too many variables");
                };
                self.vars.insert(name, Var(number));
                self.kernel.vars.push(VarData { name: name.to_owned(), ty });
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn buffer(&mut self) -> Parse {
        self.next();
        let value = self.value()?;
        self.punct("=")?;
        let access = match self.word("`read` or `write`")? {
            "read" => Access::Read,
            "write" => Access::Write,
            _ => return self.error_before("expected `read` or `write`"),
        };
        let name = self.word("a name")?.to_owned();
        let elem = self.elem()?;
        self.punct("[")?;
        let mut extents = Vec::new();
        while !self.eat(Token::Punct("]")) {
            if !extents.is_empty() {
                self.punct("*")?;
            }
            extents.push(if let Token::Value(_) = self.peek() {
                let dim = self.value()?;
                match self.kernel.dims.iter().position(|d| d.value == dim).map(u32::try_from) {
                    Some(Ok(d)) => Extent::Dim(d),
                    _ => return self.error_before("expected a dimension"),
                }
            } else {
                Extent::Const(self.number("an extent")?)
            });
        }
        self.define(value, Ty::ptr(elem, Space::Global))?;
        self.kernel.buffers.push(Buffer { value, name, elem, access, extents });
        Ok(())
    }

    /// Statements up to and including the closing brace; the opening one has been eaten.
    fn block(&mut self, depth: usize) -> Parse<Block> {
        if depth > MAX_DEPTH {
            return self.error(format!("blocks nest deeper than {MAX_DEPTH}"));
        }
        let mut stmts = Vec::new();
        while !self.eat(Token::Punct("}")) {
            stmts.push(self.stmt(depth)?);
        }
        Ok(Block { stmts })
    }

    fn stmt(&mut self, depth: usize) -> Parse<Stmt> {
        match self.peek() {
            Token::Value(_) => self.definition(),
            Token::Var(_) => {
                let var = self.var()?;
                self.punct("=")?;
                Ok(Stmt::Set(var, self.value()?))
            }
            Token::Word("store") => {
                self.next();
                let reference = self.reference()?;
                self.punct(",")?;
                Ok(Stmt::Store(reference, self.value()?))
            }
            Token::Word("store_block") => {
                self.next();
                let place = self.place()?;
                self.keyword("by")?;
                let stride = self.value()?;
                let mut columns = [Value(0); 4];
                for column in &mut columns {
                    self.punct(",")?;
                    *column = self.value()?;
                }
                Ok(Stmt::StoreBlock { columns, place, stride })
            }
            Token::Word("for") => self.for_loop(depth),
            Token::Word("if") => {
                self.next();
                let cond = self.value()?;
                self.punct("{")?;
                let then = self.block(depth + 1)?;
                let otherwise = if self.eat(Token::Word("else")) {
                    self.punct("{")?;
                    self.block(depth + 1)?
                } else {
                    Block::default()
                };
                Ok(Stmt::If(cond, then, otherwise))
            }
            Token::Word("while") => {
                self.next();
                self.punct("{")?;
                let header = self.block(depth + 1)?;
                self.keyword("go")?;
                let cond = self.value()?;
                self.punct("{")?;
                let body = self.block(depth + 1)?;
                Ok(Stmt::While { header, cond, body })
            }
            _ => self.error("expected a statement or `}`"),
        }
    }

    fn for_loop(&mut self, depth: usize) -> Parse<Stmt> {
        self.next();
        let index = self.value()?;
        self.keyword("in")?;
        let lo = self.value()?;
        self.punct("..")?;
        let hi = self.value()?;
        self.keyword("step")?;
        let step = self.integer()?;
        let unroll = if !self.eat(Token::Word("unroll")) {
            Unroll::No
        } else if self.eat(Token::Word("full")) {
            Unroll::Full
        } else {
            Unroll::By(self.number("a number of copies or `full`")?)
        };
        self.define(index, Ty::I64)?;
        self.punct("{")?;
        let body = self.block(depth + 1)?;
        Ok(Stmt::For(Box::new(For { index, lo, hi, step, unroll, body })))
    }

    fn definition(&mut self) -> Parse<Stmt> {
        let first = self.value()?;
        if self.eat(Token::Punct(",")) {
            let mut columns = [first; 4];
            for (i, column) in columns.iter_mut().enumerate().skip(1) {
                if i > 1 {
                    self.punct(",")?;
                }
                *column = self.value()?;
            }
            self.punct(":")?;
            let ty = self.ty()?;
            self.punct("=")?;
            self.keyword("load_block")?;
            let place = self.place()?;
            self.keyword("by")?;
            let stride = self.value()?;
            columns.iter().try_for_each(|&c| self.define(c, ty))?;
            return Ok(Stmt::LoadBlock { columns, place, stride });
        }
        self.punct(":")?;
        let ty = self.ty()?;
        self.punct("=")?;
        let op = self.op(ty)?;
        self.define(first, ty)?;
        Ok(Stmt::Let(first, op))
    }

    fn var(&mut self) -> Parse<Var> {
        match self.peek() {
            Token::Var(name) => match self.vars.get(name) {
                Some(&var) => {
                    self.next();
                    Ok(var)
                }
                None => self.error(format!("variable ${name} is not declared")),
            },
            _ => self.error("expected a variable"),
        }
    }

    fn place(&mut self) -> Parse<Place> {
        let ptr = self.value()?;
        self.punct("[")?;
        let place = if let Token::Value(_) = self.peek() {
            let index = Some(self.value()?);
            let signed = self.eat(Token::Punct("+")) || self.peek() == Token::Punct("-");
            let offset = if signed { self.integer()? } else { 0 };
            Place { ptr, index, offset }
        } else {
            Place { ptr, index: None, offset: self.integer()? }
        };
        self.punct("]")?;
        Ok(place)
    }

    fn reference(&mut self) -> Parse<Reference> {
        let place = self.place()?;
        let pattern = if self.eat(Token::Word("splat")) {
            Pattern::Splat
        } else if self.eat(Token::Word("by")) {
            Pattern::Strided(self.value()?)
        } else if self.eat(Token::Word("at")) {
            Pattern::Indexed(self.value()?)
        } else {
            Pattern::Contiguous
        };
        let mask = if self.eat(Token::Word("where")) { Some(self.value()?) } else { None };
        Ok(Reference { place, pattern, mask })
    }

    fn two(&mut self) -> Parse<(Value, Value)> {
        let a = self.value()?;
        self.punct(",")?;
        Ok((a, self.value()?))
    }

    fn three(&mut self) -> Parse<(Value, Value, Value)> {
        let (a, b) = self.two()?;
        self.punct(",")?;
        Ok((a, b, self.value()?))
    }

    fn lane(&mut self) -> Parse<u16> {
        self.punct(",")?;
        self.number("a lane number")
    }

    fn op(&mut self, ty: Ty) -> Parse<Op> {
        if let Token::Var(_) = self.peek() {
            return Ok(Op::Get(self.var()?));
        }
        let name = self.word("an operation")?;
        if let Some(op) = Unary::from_name(name) {
            return Ok(Op::Unary(op, self.value()?));
        }
        if let Some(op) = Binary::from_name(name) {
            let (a, b) = self.two()?;
            return Ok(Op::Binary(op, a, b));
        }
        if let Some(op) = Compare::from_name(name) {
            let (a, b) = self.two()?;
            return Ok(Op::Compare(op, a, b));
        }
        if let Some(op) = name.strip_prefix("reduce_").and_then(Reduction::from_name) {
            return Ok(Op::Reduce(op, self.value()?));
        }
        Ok(match name {
            "const" => Op::Const(self.constant(ty.elem())?),
            "fma" => {
                let (a, b, c) = self.three()?;
                Op::Fma(a, b, c)
            }
            "select" => {
                let (c, a, b) = self.three()?;
                Op::Select(c, a, b)
            }
            "convert" => Op::Convert(self.value()?),
            "bitcast" => Op::Bitcast(self.value()?),
            "splat" => Op::Splat(self.value()?),
            "iota" => Op::Iota,
            "extract" => Op::Extract(self.value()?, self.lane()?),
            "insert" => {
                let (a, x) = self.two()?;
                Op::Insert(a, x, self.lane()?)
            }
            "shuffle" => {
                let (a, b) = self.two()?;
                self.punct(",")?;
                self.punct("[")?;
                let mut lanes = SmallVec::new();
                while !self.eat(Token::Punct("]")) {
                    lanes.push(self.number("a lane number or `]`")?);
                }
                Op::Shuffle(a, b, lanes)
            }
            "advance" => {
                let (p, n) = self.two()?;
                Op::Advance(p, n)
            }
            "load" => Op::Load(self.reference()?),
            "call" => {
                let name = self.word("a function")?;
                let Some(function) = Function::from_name(name) else {
                    return self.error_before(format!("`{name}` is no intrinsic function"));
                };
                self.punct("(")?;
                let mut args = SmallVec::new();
                while !self.eat(Token::Punct(")")) {
                    if !args.is_empty() {
                        self.punct(",")?;
                    }
                    args.push(self.value()?);
                }
                Op::Call(function, args)
            }
            _ => return self.error_before(format!("`{name}` is no operation")),
        })
    }

    fn constant(&mut self, elem: Elem) -> Parse<Const> {
        if elem == Elem::Bool {
            return match self.word("`true` or `false`")? {
                "true" => Ok(Const::Bool(true)),
                "false" => Ok(Const::Bool(false)),
                _ => self.error_before("expected `true` or `false`"),
            };
        }
        if elem.is_int() {
            return Ok(Const::Int(self.integer()?));
        }
        let negative = self.eat(Token::Punct("-"));
        let magnitude = match self.peek() {
            Token::Word("inf") => {
                self.next();
                f64::INFINITY
            }
            Token::Word("nan") => {
                self.next();
                f64::NAN
            }
            _ => self.number("a float")?,
        };
        Ok(Const::Float(if negative { -magnitude } else { magnitude }))
    }
}
