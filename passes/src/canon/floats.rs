//! Canonical floats: sums with coefficients, products as guarded `ein`, reciprocals.

use super::Canon;
use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use weft_ir::DType;
use weft_ir::graph::{Error, MapFn, NodeId, Op, Scalar};

impl Canon {
    /// A float constant.
    pub(crate) fn float(&mut self, value: f64) -> Result<NodeId, Error> {
        self.raw(Op::Const(Scalar::float(value)), &[])
    }

    /// A constant of the class of `like`.
    pub(crate) fn number(&mut self, value: f64, like: DType) -> Result<NodeId, Error> {
        if like.is_int() { self.int(value as i64) } else { self.float(value) }
    }

    /// A node with its commutative operands in canonical order.
    pub(crate) fn sorted(&mut self, op: Op, args: &[NodeId]) -> Result<NodeId, Error> {
        let mut args = args.to_vec();
        self.sort(&mut args);
        self.raw(op, &args)
    }

    /// Canonical order.
    pub(crate) fn sort(&self, ids: &mut [NodeId]) {
        ids.sort_by_key(|&x| self.rank(x));
        if ids.windows(2).any(|w| w[0] != w[1] && self.prints.of(w[0]) == self.prints.of(w[1])) {
            self.tied.set(true);
        }
    }

    /// What canonical order is by: structure, and age where that ties.
    pub(crate) fn rank(&self, x: NodeId) -> ((u64, u64), NodeId) {
        (self.prints.of(x), x)
    }

    /// Product without axes or guards.
    pub(crate) fn product(&mut self, factors: &[NodeId]) -> Result<NodeId, Error> {
        self.ein(&[], &[], factors)
    }

    /// Product of terms, flat.
    ///
    /// # Errors
    /// Only for operands that are not numbers.
    pub fn product_of(&mut self, factors: &[NodeId]) -> Result<NodeId, Error> {
        self.product(factors)
    }

    /// The float 1.
    ///
    /// # Errors
    /// Never in a graph of this pass.
    pub fn number_one(&mut self) -> Result<NodeId, Error> {
        self.float(1.0)
    }

    /// The float 0.
    ///
    /// # Errors
    /// Never in a graph of this pass.
    pub fn number_zero(&mut self) -> Result<NodeId, Error> {
        self.float(0.0)
    }

    /// An elementwise function of floats with a float result.
    pub(crate) fn float_map(&mut self, f: MapFn, args: &[NodeId]) -> Result<NodeId, Error> {
        let constants: Option<Vec<f64>> = args.iter().map(|&a| self.g.constant(a).map(Scalar::as_f64)).collect();
        if let Some(value) = constants.as_deref().and_then(|c| f.eval_float(c)) {
            return self.float(value);
        }
        match f {
            MapFn::Add => self.sum_of(args),
            MapFn::Sub => {
                let negated = self.scaled(-1.0, args[1])?;
                self.sum_of(&[args[0], negated])
            }
            MapFn::Neg => self.scaled(-1.0, args[0]),
            MapFn::Mul => self.product(args),
            MapFn::Div => {
                let inverse = self.float_map(MapFn::Inv, &[args[1]])?;
                self.product(&[args[0], inverse])
            }
            // One exponential has a scale, and so an algebra.
            MapFn::Exp2 => {
                let exponent = self.scaled(std::f64::consts::LN_2, args[0])?;
                self.float_map(MapFn::Exp, &[exponent])
            }
            MapFn::Div0 => {
                let inverse = self.float_map(MapFn::Inv0, &[args[1]])?;
                self.product(&[args[0], inverse])
            }
            MapFn::Pow => self.power(args[0], args[1]),
            MapFn::Max | MapFn::Min => {
                let mut parts: Vec<NodeId> = Vec::new();
                for &a in args {
                    let inner = if *self.g.op(a) == Op::Map(f) { self.g.args(a).to_vec() } else { vec![a] };
                    parts.extend(inner.into_iter().filter(|p| !parts.contains(p)).collect::<Vec<_>>());
                }
                if let [one] = parts[..] { Ok(one) } else { self.sorted(Op::Map(f), &parts) }
            }
            _ => self.raw(Op::Map(f), args),
        }
    }

    fn power(&mut self, base: NodeId, exponent: NodeId) -> Result<NodeId, Error> {
        match self.g.constant(exponent).map(Scalar::as_f64) {
            Some(0.0) => self.float(1.0),
            Some(0.5) => self.raw(Op::Map(MapFn::Sqrt), &[base]),
            Some(-0.5) => {
                let root = self.raw(Op::Map(MapFn::Sqrt), &[base])?;
                self.raw(Op::Map(MapFn::Inv), &[root])
            }
            Some(k) if k.fract() == 0.0 && (1.0..=4.0).contains(&k.abs()) => {
                let p = self.product(&vec![base; k.abs() as usize])?;
                if k < 0.0 { self.raw(Op::Map(MapFn::Inv), &[p]) } else { Ok(p) }
            }
            _ => self.raw(Op::Map(MapFn::Pow), &[base, exponent]),
        }
    }

    /// `coefficient * x`
    ///
    /// # Errors
    /// Only for operands that are not numbers.
    pub fn scaled(&mut self, coefficient: f64, x: NodeId) -> Result<NodeId, Error> {
        let k = self.number(coefficient, self.g.dtype(x))?;
        self.product(&[k, x])
    }

    /// A product as its constant and the rest; guarded products and sums over axes are opaque.
    pub(crate) fn coefficient(&mut self, x: NodeId) -> Result<(f64, NodeId), Error> {
        if let Op::Ein { axes, guards: 0 } = self.g.op(x)
            && axes.is_empty()
            && let Some(k) = self.g.constant(self.g.args(x)[0])
        {
            let rest = self.g.args(x)[1..].to_vec();
            return Ok((k.as_f64(), self.product(&rest)?));
        }
        Ok((1.0, x))
    }

    /// Sum of floats: flat, equal addends collected, one constant at the end.
    ///
    /// # Errors
    /// Only for operands that are not numbers.
    pub fn sum_of(&mut self, addends: &[NodeId]) -> Result<NodeId, Error> {
        let mut collected: IndexMap<NodeId, f64, FxBuildHasher> = IndexMap::default();
        let mut constant = 0.0;
        for &a in addends {
            let parts = if *self.g.op(a) == Op::Map(MapFn::Add) { self.g.args(a).to_vec() } else { vec![a] };
            for p in parts {
                if let Some(k) = self.g.constant(p) {
                    constant += k.as_f64();
                } else {
                    let (k, body) = self.coefficient(p)?;
                    *collected.entry(body).or_insert(0.0) += k;
                }
            }
        }
        let mut parts = Vec::new();
        for (body, k) in collected {
            if k == 1.0 {
                parts.push(body);
            } else if k != 0.0 {
                parts.push(self.scaled(k, body)?);
            }
        }
        self.sort(&mut parts);
        if constant != 0.0 || parts.is_empty() {
            parts.push(self.float(constant)?);
        }
        if let [one] = parts[..] { Ok(one) } else { self.raw(Op::Map(MapFn::Add), &parts) }
    }

    /// `if c then a else b`
    pub(crate) fn choose(&mut self, c: NodeId, a: NodeId, b: NodeId) -> Result<NodeId, Error> {
        if let Some(k) = self.known(c) {
            return Ok(if k { a } else { b });
        }
        if a == b {
            return Ok(a);
        }
        match self.g.dtype(a) {
            DType::Bool => {
                let not = self.negate(c)?;
                let yes = self.bool_map(MapFn::And, &[c, a])?;
                let no = self.bool_map(MapFn::And, &[not, b])?;
                self.bool_map(MapFn::Or, &[yes, no])
            }
            t if t.is_float() => {
                let not = self.negate(c)?;
                let yes = self.ein(&[], &[c], &[a])?;
                let no = self.ein(&[], &[not], &[b])?;
                self.sum_of(&[yes, no])
            }
            _ => self.raw(Op::Select, &[c, a, b]),
        }
    }
}
