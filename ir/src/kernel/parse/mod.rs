//! Parsing of the text form.
//!
//! Names are resolved and types inferred while reading, so a value must stand before its use; whether its definition dominates
//! the use is the verifier's to say. Line breaks mean nothing; `#` starts a comment. `%x` is a value, `% x` a remainder.

mod body;
mod expr;
mod lex;

use rustc_hash::FxHashMap;

use super::declare::is_name;
use super::expr::Guard;
use super::ids::{AxisId, AxisSet, ExtentId, ParamId, ScratchId, ValueId, VarId};
use super::plan::{
    Axis, Buffer, Dim, Extent, GridAxis, Kernel, Param, ParamKind, Plan, Role, Scratch, Value, Var, VarDef,
};
use super::types::{ElemType, Literal, Type};
use lex::{Spanned, Token};

/// Where and why a text is not a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{col}: {message}")]
pub struct ParseError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub col: usize,
    /// What is wrong.
    pub message: String,
}

/// Reads a plan.
///
/// # Errors
/// The first place at which the text is not a plan, or at which types do not fit. Never panics.
pub fn parse(text: &str) -> Result<Plan, ParseError> {
    let tokens = lex::tokens(text)?;
    let mut parser = Parser {
        tokens,
        at: 0,
        plan: Plan::default(),
        kernel: Kernel::default(),
        names: Names::default(),
        depth: 0,
        expr_depth: 0,
        operators: 0,
    };
    parser.parse_plan()?;
    Ok(parser.plan)
}

/// What a name in an expression stands for.
#[derive(Clone, Copy)]
enum Name {
    Param(ParamId),
    Extent(ExtentId),
    Dim(u32),
    Var(VarId),
    Axis(AxisId),
}

#[derive(Default)]
struct Names {
    /// Parameters and extents of the plan.
    plan: FxHashMap<String, Name>,
    /// Dimensions of the buffer being read, or scalars and axes of the kernel being read.
    local: FxHashMap<String, Name>,
    /// Tile values of the kernel being read.
    values: FxHashMap<String, ValueId>,
    /// Scratch tables of the kernel being read.
    scratch: FxHashMap<String, ScratchId>,
}

struct Parser {
    tokens: Vec<Spanned>,
    at: usize,
    plan: Plan,
    kernel: Kernel,
    names: Names,
    /// Nesting of expressions and bodies, bounded so that no text can exhaust the stack.
    depth: usize,
    /// Nesting of the expression being read, and the number of its operators.
    expr_depth: usize,
    operators: usize,
}

const MAX_DEPTH: usize = 100;

type Parse<T> = Result<T, ParseError>;

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).map_or(&Token::End, |t| &t.token)
    }
    fn bump(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }
    /// An error at the token that comes next.
    fn error<T>(&self, message: impl Into<String>) -> Parse<T> {
        self.error_at(self.at, message)
    }
    fn error_at<T>(&self, at: usize, message: impl Into<String>) -> Parse<T> {
        let (line, col) = self.tokens.get(at).or(self.tokens.last()).map_or((1, 1), |t| (t.line, t.col));
        Err(ParseError { line, col, message: message.into() })
    }
    fn found(&self) -> String {
        match self.peek() {
            Token::Word(w) => format!("`{w}`"),
            Token::Value(v) => format!("`%{v}`"),
            Token::Int(n) => format!("`{n}`"),
            Token::Float(x) => format!("`{x:?}`"),
            Token::Sign(s) => format!("`{s}`"),
            Token::End => "the end".into(),
        }
    }
    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(s) if *s == sign)
    }
    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Word(w) if w == word)
    }
    fn accept(&mut self, sign: &str) -> bool {
        let yes = self.is_sign(sign);
        self.at += usize::from(yes);
        yes
    }
    fn accept_word(&mut self, word: &str) -> bool {
        let yes = self.is_word(word);
        self.at += usize::from(yes);
        yes
    }
    fn expect(&mut self, sign: &str) -> Parse<()> {
        if self.accept(sign) { Ok(()) } else { self.error(format!("expected `{sign}`, found {}", self.found())) }
    }
    fn expect_word(&mut self, word: &str) -> Parse<()> {
        if self.accept_word(word) { Ok(()) } else { self.error(format!("expected `{word}`, found {}", self.found())) }
    }
    fn word(&mut self, what: &str) -> Parse<String> {
        match self.peek() {
            Token::Word(w) => {
                let w = w.clone();
                self.at += 1;
                Ok(w)
            }
            _ => self.error(format!("expected {what}, found {}", self.found())),
        }
    }
    /// A new name.
    fn name(&mut self, what: &str) -> Parse<String> {
        let at = self.at;
        let name = self.word(what)?;
        if is_name(&name) { Ok(name) } else { self.error_at(at, format!("`{name}` is a reserved word, not {what}")) }
    }
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<T> {
        if self.depth >= MAX_DEPTH {
            return self.error("nested too deeply");
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }
    /// Items with commas between.
    fn comma_list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Parse<T>) -> Parse<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.accept(",") {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn parse_plan(&mut self) -> Parse<()> {
        self.expect_word("plan")?;
        self.plan.name = self.name("the plan's name")?;
        self.expect("{")?;
        loop {
            if self.accept("}") {
                break;
            }
            let word = self.word("a declaration, a kernel or `}`")?;
            match word.as_str() {
                "size" | "tile" => {
                    let kind = if word == "size" { ParamKind::Size } else { ParamKind::Tile };
                    self.comma_list(|p| p.param(kind))?;
                }
                "extent" => {
                    self.comma_list(Self::extent)?;
                }
                "buffer" => self.buffer()?,
                "kernel" => self.parse_kernel()?,
                _ => {
                    self.at -= 1;
                    return self.error(format!("expected a declaration, a kernel or `}}`, found {}", self.found()));
                }
            }
        }
        match self.peek() {
            Token::End => Ok(()),
            _ => self.error(format!("expected the end, found {}", self.found())),
        }
    }

    /// Declares a name of the plan (of a buffer: without a meaning in expressions).
    fn declare_plan(&mut self, at: usize, name: &str, meaning: Option<Name>) -> Parse<()> {
        let taken = self.names.plan.contains_key(name) || self.plan.buffer_named(name).is_some();
        if taken {
            return self.error_at(at, format!("`{name}` is declared twice"));
        }
        if let Some(meaning) = meaning {
            self.names.plan.insert(name.to_owned(), meaning);
        }
        Ok(())
    }

    fn param(&mut self, kind: ParamKind) -> Parse<()> {
        let at = self.at;
        let name = self.name("a parameter's name")?;
        self.declare_plan(at, &name, Some(Name::Param(ParamId::new(self.plan.params.len()))))?;
        self.expect("=")?;
        let value = self.integer()?;
        self.plan.params.push(Param { name, kind, value });
        Ok(())
    }

    fn extent(&mut self) -> Parse<()> {
        let at = self.at;
        let name = self.name("an extent's name")?;
        let mut over = None;
        if self.accept("[") {
            let outer = self.word("an extent")?;
            match self.names.plan.get(&outer) {
                Some(Name::Extent(e)) => over = Some(*e),
                _ => return self.error_at(self.at - 1, format!("`{outer}` is not an extent")),
            }
            self.expect("]")?;
        }
        self.declare_plan(at, &name, Some(Name::Extent(ExtentId::new(self.plan.extents.len()))))?;
        self.plan.extents.push(Extent { name, over });
        Ok(())
    }

    fn buffer(&mut self) -> Parse<()> {
        let at = self.at;
        let name = self.name("a buffer's name")?;
        self.declare_plan(at, &name, None)?;
        self.expect(":")?;
        let elem = self.elem_type()?;
        self.names.local.clear();
        let mut dims: Vec<Dim> = Vec::new();
        self.expect("[")?;
        while !self.is_sign("]") {
            let at = self.at;
            let dim = self.name("a dimension's name")?;
            self.expect(":")?;
            let extent = self.expr()?;
            let number = Name::Dim(u32::try_from(dims.len()).unwrap_or(u32::MAX));
            if self.names.local.insert(dim.clone(), number).is_some() {
                return self.error_at(at, format!("dimension `{dim}` is declared twice"));
            }
            dims.push(Dim { name: dim, extent });
            if !self.accept(",") {
                break;
            }
        }
        self.expect("]")?;
        let role = self.one_of("a role", &Role::ALL)?;
        let mut range = None;
        if self.accept_word("range") {
            let lo = self.expr()?;
            self.expect("..")?;
            range = Some((lo, self.expr()?));
        }
        let init = if self.accept_word("init") { Some(self.literal()?) } else { None };
        self.names.local.clear();
        self.plan.buffers.push(Buffer { name, elem, dims, role, range, init });
        Ok(())
    }

    fn parse_kernel(&mut self) -> Parse<()> {
        let at = self.at;
        let name = self.name("the kernel's name")?;
        if self.plan.kernels.iter().any(|k| k.name == name) {
            return self.error_at(at, format!("kernel `{name}` is declared twice"));
        }
        self.kernel = Kernel { name, ..Kernel::default() };
        self.names.local.clear();
        self.names.values.clear();
        self.names.scratch.clear();
        self.expect("{")?;
        loop {
            if self.accept_word("grid") {
                self.comma_list(Self::grid_axis)?;
            } else if self.accept_word("axis") {
                self.comma_list(Self::axis_decl)?;
            } else if self.accept_word("lanes") {
                self.kernel.lanes = Some(self.axis()?);
            } else if self.accept_word("scratch") {
                self.scratch()?;
            } else {
                break;
            }
        }
        self.kernel.body = self.stmts()?;
        self.expect("}")?;
        let kernel = std::mem::take(&mut self.kernel);
        self.plan.kernels.push(kernel);
        Ok(())
    }

    /// Declares a scalar or an axis of the kernel.
    fn declare_local(&mut self, at: usize, name: &str, meaning: Name) -> Parse<()> {
        if self.names.plan.contains_key(name) || self.names.local.insert(name.to_owned(), meaning).is_some() {
            return self.error_at(at, format!("`{name}` is declared twice"));
        }
        Ok(())
    }

    fn declare_var(&mut self, at: usize, name: String, def: VarDef, axes: AxisSet) -> Parse<VarId> {
        let id = VarId::new(self.kernel.vars.len());
        self.declare_local(at, &name, Name::Var(id))?;
        self.kernel.vars.push(Var { name, def, axes });
        Ok(id)
    }

    fn declare_value(&mut self, at: usize, name: String, ty: Type) -> Parse<ValueId> {
        let id = ValueId::new(self.kernel.values.len());
        if self.names.values.insert(name.clone(), id).is_some() {
            return self.error_at(at, format!("`%{name}` is defined twice"));
        }
        self.kernel.values.push(Value { name, ty });
        Ok(id)
    }

    fn grid_axis(&mut self) -> Parse<()> {
        let at = self.at;
        let name = self.name("a grid axis")?;
        self.expect(":")?;
        let extent = self.expr()?;
        let var = self.declare_var(at, name, VarDef::Grid, AxisSet::EMPTY)?;
        self.kernel.grid.push(GridAxis { var, extent });
        Ok(())
    }

    fn axis_decl(&mut self) -> Parse<()> {
        let at = self.at;
        let name = self.name("a tile axis")?;
        if self.kernel.axes.len() >= AxisSet::CAPACITY {
            return self.error_at(at, format!("a kernel has at most {} axes", AxisSet::CAPACITY));
        }
        self.expect(":")?;
        let extent = self.expr()?;
        let id = AxisId::new(self.kernel.axes.len());
        self.declare_local(at, &name, Name::Axis(id))?;
        self.kernel.axes.push(Axis { name, extent, valid: Guard::always() });
        if self.accept_word("where") {
            let valid = self.guard()?;
            if let Some(axis) = self.kernel.axes.get_mut(id.index()) {
                axis.valid = valid;
            }
        }
        Ok(())
    }

    fn scratch(&mut self) -> Parse<()> {
        let at = self.at;
        let name = self.name("a scratch table's name")?;
        self.expect(":")?;
        let elem = self.elem_type()?;
        self.expect("[")?;
        let dims = if self.is_sign("]") { Vec::new() } else { self.comma_list(Self::expr)? };
        self.expect("]")?;
        let init = if self.accept_word("init") { Some(self.literal()?) } else { None };
        let id = ScratchId::new(self.kernel.scratch.len());
        let taken = self.plan.buffer_named(&name).is_some() || self.names.plan.contains_key(&name);
        if taken || self.names.scratch.insert(name.clone(), id).is_some() {
            return self.error_at(at, format!("`{name}` is declared twice"));
        }
        self.kernel.scratch.push(Scratch { name, elem, dims, init });
        Ok(())
    }

    fn one_of<T: Copy>(&mut self, what: &str, all: &[(T, &'static str)]) -> Parse<T> {
        let at = self.at;
        let word = self.word(what)?;
        match all.iter().find(|(_, n)| *n == word) {
            Some((item, _)) => Ok(*item),
            None => {
                let names: Vec<_> = all.iter().map(|(_, n)| *n).collect();
                self.error_at(at, format!("expected {what} ({}), found `{word}`", names.join(", ")))
            }
        }
    }

    fn elem_type(&mut self) -> Parse<ElemType> {
        self.one_of("an element type", &ElemType::ALL)
    }

    fn integer(&mut self) -> Parse<i64> {
        let negative = self.accept("-");
        match self.peek() {
            Token::Int(n) => {
                let value = if negative { 0i64.checked_sub_unsigned(*n) } else { i64::try_from(*n).ok() };
                match value {
                    Some(value) => {
                        self.at += 1;
                        Ok(value)
                    }
                    None => self.error("the number is too large"),
                }
            }
            _ => self.error(format!("expected an integer, found {}", self.found())),
        }
    }

    fn literal(&mut self) -> Parse<Literal> {
        let negative = self.is_sign("-");
        let at = self.at + usize::from(negative);
        let sign = if negative { -1.0 } else { 1.0 };
        match self.tokens.get(at).map(|t| t.token.clone()) {
            Some(Token::Int(_)) => Ok(Literal::Int(self.integer()?)),
            Some(Token::Float(x)) => {
                self.at = at + 1;
                Ok(Literal::Float(sign * x))
            }
            Some(Token::Word(w)) if w == "inf" => {
                self.at = at + 1;
                Ok(Literal::Float(sign * f64::INFINITY))
            }
            Some(Token::Word(w)) if !negative && (w == "true" || w == "false") => {
                self.at = at + 1;
                Ok(Literal::Bool(w == "true"))
            }
            _ => self.error(format!("expected a constant, found {}", self.found())),
        }
    }

    fn axis(&mut self) -> Parse<AxisId> {
        let name = self.word("a tile axis")?;
        match self.names.local.get(&name) {
            Some(Name::Axis(a)) => Ok(*a),
            _ => self.error_at(self.at - 1, format!("`{name}` is not a tile axis")),
        }
    }
}
