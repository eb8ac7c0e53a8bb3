//! Parser of the text form that `print` writes. `parse(print(g))` prints as `g` does.
//!
//! Declarations may refer to domains and axes that are declared later; nodes only to nodes above them. Blank lines and
//! lines that start with `;` are skipped. The type and free axes after a node are checked against the inferred ones.

use super::axes::{AxisId, DomainId, Extent, Role};
use super::node::{Graph, Init, Input, InputKind, NodeId, Output, RecDecl, RecId};
use super::op::{Extremum, Op, Scalar, ThresholdFamily};
use crate::dtype::DType;
use crate::elementwise::MapFn;
use rustc_hash::FxHashMap;

/// Where and why a text is not a graph. Lines and columns count from 1; columns count characters.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ParseError {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// The text follows the grammar, and says something that breaks a rule of the IR.
    pub refused: bool,
}

type Result<T> = std::result::Result<T, ParseError>;

/// Deepest initialiser.
const DEPTH: u32 = 64;

impl Graph {
    /// Reads the text form.
    ///
    /// # Errors
    /// Where the text does not follow the grammar, a name is unknown or declared twice, a number is out of range, or
    /// [`Graph::add`] or [`Graph::verify`] refuses what it says.
    pub fn parse(text: &str) -> Result<Self> {
        Parser::default().run(text)
    }
}

impl std::str::FromStr for Graph {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

/// One line, and how far it has been read.
#[derive(Clone)]
struct Cursor<'a> {
    line: usize,
    text: &'a str,
    at: usize,
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '\'' | '$')
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// The grammar is followed, the rules are not.
    fn refused<T>(&self, error: &super::node::Error) -> Result<T> {
        self.error(error.to_string()).map_err(|e| ParseError { refused: true, ..e })
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T> {
        let column = self.text[..self.at].chars().count() + 1;
        Err(ParseError { line: self.line, column, message: message.into(), refused: false })
    }

    fn skip(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.skip();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn expect(&mut self, token: &str) -> Result<()> {
        if self.eat(token) {
            return Ok(());
        }
        let found: String = self.rest().chars().take(12).collect();
        if found.is_empty() {
            self.error(format!("expected `{token}`, found the end of the line"))
        } else {
            self.error(format!("expected `{token}`, found `{found}`"))
        }
    }

    /// Letters, digits, `_`, `.`, `'` and `$`.
    fn name(&mut self, what: &str) -> Result<&'a str> {
        self.skip();
        let rest = self.rest();
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        if end == 0 {
            return self.error(format!("expected {what}"));
        }
        self.at += end;
        Ok(&rest[..end])
    }

    /// The characters of a number, sign and exponent included.
    fn number(&mut self) -> Result<&'a str> {
        self.skip();
        let rest = self.rest();
        let mut end = 0;
        let mut before = ' ';
        for (i, c) in rest.char_indices() {
            let sign = matches!(c, '+' | '-') && (i == 0 || matches!(before, 'e' | 'E'));
            if !(sign || c.is_ascii_alphanumeric() || c == '.') {
                break;
            }
            end = i + c.len_utf8();
            before = c;
        }
        if end == 0 {
            return self.error("expected a number");
        }
        self.at += end;
        Ok(&rest[..end])
    }

    fn parsed<T: std::str::FromStr>(&mut self, what: &str) -> Result<T> {
        self.skip();
        let start = self.clone();
        let text = self.number()?;
        text.parse().or_else(|_| start.error(format!("`{text}` is not {what}")))
    }

    fn integer(&mut self) -> Result<i64> {
        self.parsed("a 64-bit integer")
    }

    fn end(&mut self) -> Result<()> {
        self.skip();
        if self.rest().is_empty() { Ok(()) } else { self.error("expected the end of the line") }
    }

    fn list<T>(&mut self, close: &str, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut all = Vec::new();
        if self.eat(close) {
            return Ok(all);
        }
        loop {
            all.push(item(self)?);
            if self.eat(close) {
                return Ok(all);
            }
            self.expect(",")?;
        }
    }
}

#[derive(Default)]
struct Parser {
    graph: Graph,
    domains: FxHashMap<String, DomainId>,
    axes: FxHashMap<String, AxisId>,
    inputs: FxHashMap<String, super::node::InputId>,
    recs: FxHashMap<String, RecId>,
    nodes: FxHashMap<u32, NodeId>,
}

fn named<T: Copy>(c: &Cursor<'_>, table: &FxHashMap<String, T>, what: &str, name: &str) -> Result<T> {
    table.get(name).copied().map_or_else(|| c.error(format!("there is no {what} `{name}`")), Ok)
}

impl Parser {
    fn run(mut self, text: &str) -> Result<Graph> {
        let lines: Vec<(Cursor<'_>, &str)> = text
            .lines()
            .enumerate()
            .filter(|(_, l)| !l.trim().is_empty() && !l.trim_start().starts_with(';'))
            .map(|(i, text)| {
                let mut c = Cursor { line: i + 1, text, at: 0 };
                c.skip();
                let word = if c.rest().starts_with('%') { Ok("%") } else { c.name("a declaration") };
                word.map(|w| (c, w))
            })
            .collect::<Result<_>>()?;
        // Names first: extents and axes may refer to what comes later.
        for wanted in ["domain", "axis"] {
            for (c, word) in lines.iter().filter(|l| l.1 == wanted) {
                self.declare(&mut c.clone(), word)?;
            }
        }
        for (c, word) in &lines {
            if *word == "domain" {
                self.extent(&mut c.clone())?;
            }
        }
        for (c, word) in lines {
            let mut c = c;
            match word {
                "graph" => self.graph.name = c.rest().trim().into(),
                "domain" | "axis" => {}
                "in" | "param" => self.input(&mut c, word)?,
                "rec" => self.rec(&mut c)?,
                "out" => self.output(&mut c)?,
                "%" => self.node(&mut c)?,
                _ => return Cursor { at: 0, ..c }.error(format!("`{word}` is no declaration")),
            }
        }
        let end = Cursor { line: text.lines().count().max(1), text: "", at: 0 };
        match self.graph.verify() {
            Ok(()) => Ok(self.graph),
            Err(e) => end.refused(&e),
        }
    }

    fn declare(&mut self, c: &mut Cursor<'_>, word: &str) -> Result<()> {
        let before = c.clone();
        let fresh = match word {
            "domain" => {
                let name = c.name("the name of a domain")?;
                let id = self.graph.add_domain(name, Extent::Runtime, Role::Plain);
                self.domains.insert(name.into(), id).is_none()
            }
            _ => {
                let name = c.name("the name of an axis")?;
                c.expect(":")?;
                let domain = c.name("the name of a domain")?;
                c.end()?;
                let domain = named(c, &self.domains, "domain", domain)?;
                let id = self.graph.add_axis(name, domain);
                self.axes.insert(name.into(), id).is_none()
            }
        };
        if fresh { Ok(()) } else { before.error("this name is declared twice") }
    }

    fn extent(&mut self, c: &mut Cursor<'_>) -> Result<()> {
        let name = c.name("the name of a domain")?;
        let id = named(c, &self.domains, "domain", name)?;
        c.expect("=")?;
        c.skip();
        let start = c.clone();
        let extent = if c.eat("(") {
            let mul = c.integer()?;
            c.expect("*")?;
            c.expect("|")?;
            let base = c.name("the name of a domain")?;
            let base = named(c, &self.domains, "domain", base)?;
            c.expect("|")?;
            c.expect("+")?;
            let add = c.integer()?;
            c.expect(")")?;
            c.expect("//")?;
            c.skip();
            let at = c.clone();
            let div = c.integer()?;
            if div < 1 {
                return at.error("the divisor of an extent is positive");
            }
            Extent::Derived { base, mul, add, div }
        } else if c.eat("runtime") {
            Extent::Runtime
        } else if c.eat("ragged") {
            c.expect("(")?;
            let batch = c.name("the name of an axis")?;
            let batch = named(c, &self.axes, "axis", batch)?;
            c.expect(")")?;
            Extent::Ragged(batch)
        } else {
            let n = c.integer()?;
            if n < 0 {
                return start.error("an extent is not negative");
            }
            Extent::Const(n)
        };
        let role = if c.eat("time") { Role::Time } else { Role::Plain };
        c.end()?;
        self.graph.set_extent(id, extent);
        self.graph.set_role(id, role);
        // Extents that are derived from each other would never be known.
        let mut at = id;
        for _ in 0..=self.graph.domains().len() {
            match self.graph.domain(at).extent {
                Extent::Derived { base, .. } => at = base,
                _ => return Ok(()),
            }
        }
        start.error("this extent is derived from itself")
    }

    fn axis_list(&self, c: &mut Cursor<'_>, close: &str) -> Result<Vec<AxisId>> {
        c.list(close, |c| {
            let name = c.name("the name of an axis")?;
            named(c, &self.axes, "axis", name)
        })
    }

    fn dtype(c: &mut Cursor<'_>) -> Result<DType> {
        let name = c.name("an element type")?;
        DType::from_name(name).map_or_else(|| c.error(format!("`{name}` is no element type")), Ok)
    }

    /// `name[axes]: dtype`
    fn typed<'a>(&self, c: &mut Cursor<'a>) -> Result<(&'a str, Vec<AxisId>, DType)> {
        let name = c.name("a name")?;
        c.expect("[")?;
        let axes = self.axis_list(c, "]")?;
        c.expect(":")?;
        Ok((name, axes, Self::dtype(c)?))
    }

    fn input(&mut self, c: &mut Cursor<'_>, word: &str) -> Result<()> {
        let start = c.clone();
        let (name, axes, dtype) = self.typed(c)?;
        let init = if c.eat("~") { Some(Self::init(c, DEPTH)?) } else { None };
        c.end()?;
        let kind = if word == "in" { InputKind::In } else { InputKind::Param };
        let id = self.graph.add_input(Input { name: name.into(), axes, dtype, kind, init });
        match self.inputs.insert(name.into(), id) {
            None => Ok(()),
            Some(_) => start.error(format!("input `{name}` is declared twice")),
        }
    }

    fn init(c: &mut Cursor<'_>, depth: u32) -> Result<Init> {
        let Some(depth) = depth.checked_sub(1) else { return c.error("this initialiser is too deep") };
        c.skip();
        let start = c.clone();
        if !c.rest().starts_with(|ch: char| ch.is_alphabetic())
            || c.rest().starts_with("inf")
            || c.rest().starts_with("NaN")
        {
            return Ok(Init::Const(c.parsed("a number")?));
        }
        let name = c.name("an initialiser")?;
        c.expect("(")?;
        if let "uniform" | "normal" = name {
            let a = c.parsed("a number")?;
            c.expect(",")?;
            let b = c.parsed("a number")?;
            c.expect(")")?;
            return Ok(if name == "uniform" { Init::Uniform(a, b) } else { Init::Normal(a, b) });
        }
        let args = c.list(")", |c| Self::init(c, depth))?;
        match MapFn::from_name(name) {
            Some(f) => Ok(Init::Map(f, args)),
            None => start.error(format!("`{name}` is no initialiser")),
        }
    }

    fn rec(&mut self, c: &mut Cursor<'_>) -> Result<()> {
        let start = c.clone();
        let name = c.name("the name of a recurrence")?;
        c.expect("over")?;
        let (time, state, dtype) = self.typed(c)?;
        let time = named(c, &self.axes, "axis", time)?;
        let reverse = c.eat("reverse");
        c.end()?;
        let id = self.graph.add_rec(RecDecl { name: name.into(), time, state, dtype, reverse });
        match self.recs.insert(name.into(), id) {
            None => Ok(()),
            Some(_) => start.error(format!("recurrence `{name}` is declared twice")),
        }
    }

    fn node_ref(&self, c: &mut Cursor<'_>) -> Result<NodeId> {
        c.expect("%")?;
        let start = c.clone();
        let n: u32 = c.parsed("a node")?;
        self.nodes.get(&n).copied().map_or_else(|| start.error(format!("there is no node %{n} above")), Ok)
    }

    fn output(&mut self, c: &mut Cursor<'_>) -> Result<()> {
        let (name, axes, dtype) = self.typed(c)?;
        c.expect("=")?;
        let node = self.node_ref(c)?;
        c.end()?;
        self.graph.outputs.push(Output { name: name.into(), axes, dtype, node });
        Ok(())
    }

    fn node(&mut self, c: &mut Cursor<'_>) -> Result<()> {
        c.expect("%")?;
        let start = c.clone();
        let number: u32 = c.parsed("a node")?;
        if self.nodes.contains_key(&number) {
            return start.error(format!("%{number} is defined twice"));
        }
        c.expect("=")?;
        c.skip();
        let at = c.clone();
        let (op, args) = self.op(c)?;
        let id = self.graph.add(op, &args).or_else(|e| at.refused(&e))?;
        c.expect(":")?;
        c.skip();
        let said = c.clone();
        let dtype = Self::dtype(c)?;
        c.expect("[")?;
        let axes = self.axis_list(c, "]")?;
        if dtype != self.graph.dtype(id) {
            return said.error(format!("this node has type {}", self.graph.dtype(id)));
        }
        if axes.into_iter().collect::<super::AxisSet>() != *self.graph.free(id) {
            let names = super::print::Names::of(&self.graph);
            let own: Vec<&str> = self.graph.free(id).iter().map(|a| names.axes[a.index()].as_str()).collect();
            return said.error(format!("this node depends on [{}]", own.join(", ")));
        }
        if c.eat(";") {
            self.graph.set_label(id, c.rest().trim());
        } else {
            c.end()?;
        }
        self.nodes.insert(number, id);
        Ok(())
    }

    fn op(&self, c: &mut Cursor<'_>) -> Result<(Op, Vec<NodeId>)> {
        let start = c.clone();
        let word = c.name("an op")?;
        let reduction = |c: &mut Cursor<'_>| -> Result<(Vec<AxisId>, u32, Vec<NodeId>)> {
            c.expect("{")?;
            let axes = self.axis_list(c, "}")?;
            let mut args = if c.eat("[") { c.list("]", |c| self.node_ref(c))? } else { Vec::new() };
            let guards = args.len() as u32;
            args.extend(self.node_refs(c)?);
            Ok((axes, guards, args))
        };
        let single = |c: &mut Cursor<'_>| -> Result<(AxisId, u32, Vec<NodeId>)> {
            match reduction(c)? {
                (axes, guards, args) if axes.len() == 1 => Ok((axes[0], guards, args)),
                _ => start.error(format!("`{word}` binds one axis")),
            }
        };
        let extremum = if word.ends_with("max") { Extremum::Max } else { Extremum::Min };
        Ok(match word {
            "input" => {
                let name = c.name("the name of an input")?;
                (Op::Input(named(c, &self.inputs, "input", name)?), Vec::new())
            }
            "const" => (Op::Const(constant(c)?), Vec::new()),
            "index" => {
                let name = c.name("the name of an axis")?;
                (Op::Index(named(c, &self.axes, "axis", name)?), Vec::new())
            }
            "size" => {
                let name = c.name("the name of a domain")?;
                (Op::Size(named(c, &self.domains, "domain", name)?), Vec::new())
            }
            "cast" => (Op::Cast(Self::dtype(c)?), self.node_refs(c)?),
            "rec" | "prev" => {
                let name = c.name("the name of a recurrence")?;
                let rec = named(c, &self.recs, "recurrence", name)?;
                if word == "rec" { (Op::Rec(rec), self.node_refs(c)?) } else { (Op::Prev(rec), Vec::new()) }
            }
            "select" => (Op::Select, self.node_refs(c)?),
            "stop" => (Op::Stop, self.node_refs(c)?),
            "ste" => (Op::Ste, self.node_refs(c)?),
            "ein" => {
                let (axes, guards, args) = reduction(c)?;
                (Op::Ein { axes: axes.into(), guards }, args)
            }
            "reduce_max" | "reduce_min" => {
                let (axes, guards, args) = reduction(c)?;
                (Op::Reduce { extremum, axes: axes.into(), guards }, args)
            }
            "argmax" | "argmin" => {
                let (axis, guards, args) = single(c)?;
                (Op::Arg { extremum, axis, guards }, args)
            }
            "kth_value" => {
                let (axis, guards, args) = single(c)?;
                (Op::KthValue { axis, guards }, args)
            }
            "kth_index" => {
                let (axis, guards, args) = single(c)?;
                (Op::KthIndex { axis, guards }, args)
            }
            _ => {
                if let Some(name) = word.strip_prefix("threshold.") {
                    let Some(family) = ThresholdFamily::ALL.into_iter().find(|f| f.name() == name) else {
                        return start.error(format!("there is no threshold family `{name}`"));
                    };
                    let (axis, guards, args) = single(c)?;
                    return Ok((Op::Threshold { family, axis, guards }, args));
                }
                let mut args = self.node_refs(c)?;
                // The difference and the substitution have one name; only the latter has braces.
                if word == "sub" && c.eat("{") {
                    let pairs = c.list("}", |c| {
                        let name = c.name("the name of an axis")?;
                        let axis = named(c, &self.axes, "axis", name)?;
                        c.expect(":=")?;
                        Ok((axis, self.node_ref(c)?))
                    })?;
                    args.extend(pairs.iter().map(|p| p.1));
                    return Ok((Op::Sub { axes: pairs.iter().map(|p| p.0).collect() }, args));
                }
                match MapFn::from_name(word) {
                    Some(f) => (Op::Map(f), args),
                    None => return start.error(format!("there is no op `{word}`")),
                }
            }
        })
    }

    /// Nodes, separated by commas.
    fn node_refs(&self, c: &mut Cursor<'_>) -> Result<Vec<NodeId>> {
        let mut all = vec![self.node_ref(c)?];
        while c.eat(",") {
            all.push(self.node_ref(c)?);
        }
        Ok(all)
    }
}

fn constant(c: &mut Cursor<'_>) -> Result<Scalar> {
    c.skip();
    let start = c.clone();
    let text = c.number()?;
    match text {
        "true" => return Ok(Scalar::Bool(true)),
        "false" => return Ok(Scalar::Bool(false)),
        _ => {}
    }
    let is_int = text.trim_start_matches(['-', '+']).chars().all(|ch| ch.is_ascii_digit());
    let parsed = if is_int { text.parse().ok().map(Scalar::Int) } else { text.parse().ok().map(Scalar::float) };
    parsed.map_or_else(|| start.error(format!("`{text}` is no constant")), Ok)
}
