//! The text form. [`super::parse`] reads it back.

use std::fmt::{self, Display, Formatter};

use super::kernel::{Access, Block, Const, Extent, Kernel, Op, Pattern, Place, Reference, Stmt, Unroll, Value, Var};

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

impl Display for Const {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(b) => write!(f, "{b}"),
            Self::Int(n) => write!(f, "{n}"),
            Self::Float(x) if x.is_nan() => f.write_str("nan"),
            // The debug form is the shortest that reads back to the same bits, and always has a point or an exponent.
            Self::Float(x) => write!(f, "{x:?}"),
        }
    }
}

impl Display for Access {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
        })
    }
}

impl Display for Kernel {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "kernel @{}({}..{}) {{", self.name, self.begin, self.end)?;
        for dim in &self.dims {
            writeln!(f, "  dim {} = {}", dim.value, dim.name)?;
        }
        for b in &self.buffers {
            write!(f, "  buffer {} = {} {} {}[", b.value, b.access, b.name, b.elem)?;
            for (i, extent) in b.extents.iter().enumerate() {
                let times = if i == 0 { "" } else { " * " };
                match extent {
                    Extent::Const(n) => write!(f, "{times}{n}")?,
                    Extent::Dim(d) => match self.dims.get(*d as usize) {
                        Some(dim) => write!(f, "{times}{}", dim.value)?,
                        None => write!(f, "{times}dim#{d}")?,
                    },
                }
            }
            writeln!(f, "]")?;
        }
        for s in &self.scratch {
            writeln!(f, "  scratch {} = {} {}[{}]", s.value, s.name, s.elem, s.len)?;
        }
        for v in &self.vars {
            writeln!(f, "  var ${}: {}", v.name, v.ty)?;
        }
        self.block(f, &self.body, 1)?;
        writeln!(f, "}}")
    }
}

impl Kernel {
    fn block(&self, f: &mut Formatter<'_>, block: &Block, depth: usize) -> fmt::Result {
        for stmt in &block.stmts {
            self.stmt(f, stmt, depth)?;
        }
        Ok(())
    }

    fn stmt(&self, f: &mut Formatter<'_>, stmt: &Stmt, depth: usize) -> fmt::Result {
        let pad = Pad(depth);
        match stmt {
            Stmt::Let(value, op) => {
                write!(f, "{pad}{} ", Typed(self, *value))?;
                self.op(f, op)?;
                writeln!(f)
            }
            Stmt::Set(var, value) => writeln!(f, "{pad}{} = {value}", Named(self, *var)),
            Stmt::Store(reference, value) => writeln!(f, "{pad}store {reference}, {value}"),
            Stmt::LoadBlock { columns: [a, b, c, d], place, stride } => {
                let ty = Typed(self, *a).ty();
                writeln!(f, "{pad}{a}, {b}, {c}, {d}: {ty} = load_block {place} by {stride}")
            }
            Stmt::StoreBlock { columns: [a, b, c, d], place, stride } => {
                writeln!(f, "{pad}store_block {place} by {stride}, {a}, {b}, {c}, {d}")
            }
            Stmt::For(l) => {
                write!(f, "{pad}for {} in {}..{} step {}", l.index, l.lo, l.hi, l.step)?;
                match l.unroll {
                    Unroll::No => {}
                    Unroll::By(n) => write!(f, " unroll {n}")?,
                    Unroll::Full => write!(f, " unroll full")?,
                }
                writeln!(f, " {{")?;
                self.block(f, &l.body, depth + 1)?;
                writeln!(f, "{pad}}}")
            }
            Stmt::If(cond, then, otherwise) => {
                writeln!(f, "{pad}if {cond} {{")?;
                self.block(f, then, depth + 1)?;
                if !otherwise.stmts.is_empty() {
                    writeln!(f, "{pad}}} else {{")?;
                    self.block(f, otherwise, depth + 1)?;
                }
                writeln!(f, "{pad}}}")
            }
            Stmt::While { header, cond, body } => {
                writeln!(f, "{pad}while {{")?;
                self.block(f, header, depth + 1)?;
                writeln!(f, "{pad}}} go {cond} {{")?;
                self.block(f, body, depth + 1)?;
                writeln!(f, "{pad}}}")
            }
        }
    }

    fn op(&self, f: &mut Formatter<'_>, op: &Op) -> fmt::Result {
        match op {
            Op::Const(c) => write!(f, "const {c}"),
            Op::Get(var) => write!(f, "{}", Named(self, *var)),
            Op::Unary(op, a) => write!(f, "{} {a}", op.name()),
            Op::Binary(op, a, b) => write!(f, "{} {a}, {b}", op.name()),
            Op::Compare(op, a, b) => write!(f, "{} {a}, {b}", op.name()),
            Op::Fma(a, b, c) => write!(f, "fma {a}, {b}, {c}"),
            Op::Select(c, a, b) => write!(f, "select {c}, {a}, {b}"),
            Op::Convert(a) => write!(f, "convert {a}"),
            Op::Bitcast(a) => write!(f, "bitcast {a}"),
            Op::Splat(a) => write!(f, "splat {a}"),
            Op::Iota => f.write_str("iota"),
            Op::Extract(a, lane) => write!(f, "extract {a}, {lane}"),
            Op::Insert(a, x, lane) => write!(f, "insert {a}, {x}, {lane}"),
            Op::Shuffle(a, b, lanes) => {
                write!(f, "shuffle {a}, {b}, [")?;
                for (i, lane) in lanes.iter().enumerate() {
                    write!(f, "{}{lane}", if i == 0 { "" } else { " " })?;
                }
                f.write_str("]")
            }
            Op::Reduce(op, a) => write!(f, "reduce_{} {a}", op.name()),
            Op::Advance(p, n) => write!(f, "advance {p}, {n}"),
            Op::Load(reference) => write!(f, "load {reference}"),
            Op::Call(function, args) => {
                write!(f, "call {}(", function.name())?;
                for (i, a) in args.iter().enumerate() {
                    write!(f, "{}{a}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str(")")
            }
        }
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (self.index, self.offset) {
            (None, n) => write!(f, "{}[{n}]", self.ptr),
            (Some(i), 0) => write!(f, "{}[{i}]", self.ptr),
            (Some(i), n) if n < 0 => write!(f, "{}[{i} - {}]", self.ptr, n.unsigned_abs()),
            (Some(i), n) => write!(f, "{}[{i} + {n}]", self.ptr),
        }
    }
}

impl Display for Reference {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)?;
        match self.pattern {
            Pattern::Contiguous => {}
            Pattern::Splat => f.write_str(" splat")?,
            Pattern::Strided(s) => write!(f, " by {s}")?,
            Pattern::Indexed(i) => write!(f, " at {i}")?,
        }
        self.mask.map_or(Ok(()), |m| write!(f, " where {m}"))
    }
}

struct Pad(usize);

impl Display for Pad {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        (0..self.0).try_for_each(|_| f.write_str("  "))
    }
}

/// A value's definition: `%7: f32x8 =`; an unknown value prints a type that does not parse.
struct Typed<'a>(&'a Kernel, Value);

impl Typed<'_> {
    fn ty(&self) -> String {
        self.0.ty(self.1).map_or_else(|| "?".to_owned(), |ty| ty.to_string())
    }
}

impl Display for Typed<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} =", self.1, self.ty())
    }
}

struct Named<'a>(&'a Kernel, Var);

impl Display for Named<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.var(self.1) {
            Some(v) => write!(f, "${}", v.name),
            None => write!(f, "$#{}", self.1.0),
        }
    }
}
