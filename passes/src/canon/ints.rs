//! Canonical integers and their comparisons.

use super::Canon;
use weft_ir::graph::prove::Prover;
use weft_ir::graph::{Error, MapFn, NodeId, Op, Scalar};
use weft_ir::linear::{Lin, gcd};

/// Affine over integer terms that are not themselves affine.
pub type IntForm = Lin<NodeId>;

impl Canon {
    /// The affine form of a canonical integer term.
    #[must_use]
    pub fn int_form(&self, id: NodeId) -> Option<IntForm> {
        let args = self.g.args(id);
        match self.g.op(id) {
            Op::Const(Scalar::Int(c)) => Some(IntForm::new(*c)),
            Op::Map(MapFn::Add) => {
                args.iter().try_fold(IntForm::default(), |acc, &a| acc.checked_add(&self.int_form(a)?, 1))
            }
            Op::Map(MapFn::Mul) => match args {
                [c, x] => self.int_form(*c)?.times(&self.int_form(*x)?).or_else(|| Some(IntForm::var(id))),
                _ => Some(IntForm::var(id)),
            },
            _ => Some(IntForm::var(id)),
        }
    }

    /// The canonical term of an affine form.
    ///
    /// # Errors
    /// Never for forms over terms of this graph.
    pub fn int_term(&mut self, form: &IntForm) -> Result<NodeId, Error> {
        let mut terms: Vec<NodeId> = form.terms().map(|(&v, _)| v).collect();
        self.sort(&mut terms);
        let mut parts = Vec::new();
        for v in terms {
            let c = form.coefficient(&v);
            if c == 1 {
                parts.push(v);
            } else {
                let k = self.int(c)?;
                parts.push(self.raw(Op::Map(MapFn::Mul), &[k, v])?);
            }
        }
        if form.constant() != 0 || parts.is_empty() {
            parts.push(self.int(form.constant())?);
        }
        if let [one] = parts[..] { Ok(one) } else { self.raw(Op::Map(MapFn::Add), &parts) }
    }

    /// An integer constant.
    ///
    /// # Errors
    /// Never.
    pub fn int(&mut self, value: i64) -> Result<NodeId, Error> {
        self.raw(Op::Const(Scalar::Int(value)), &[])
    }

    /// `coefficient * x` added up, canonically.
    fn combine(&mut self, parts: &[(NodeId, i64)], op: MapFn, args: &[NodeId]) -> Result<NodeId, Error> {
        let form = parts.iter().try_fold(IntForm::default(), |acc, &(x, c)| acc.checked_add(&self.int_form(x)?, c));
        match form {
            Some(f) => self.int_term(&f),
            None => self.raw(Op::Map(op), args),
        }
    }

    /// An elementwise function of integers with an integer result.
    pub(crate) fn int_map(&mut self, f: MapFn, args: &[NodeId]) -> Result<NodeId, Error> {
        let constants: Option<Vec<i64>> = args
            .iter()
            .map(|&a| match self.g.constant(a) {
                Some(Scalar::Int(c)) => Some(c),
                _ => None,
            })
            .collect();
        if let Some(value) = constants.as_deref().and_then(|c| f.eval_int(c)) {
            return self.int(value);
        }
        match f {
            MapFn::Add => self.combine(&args.iter().map(|&a| (a, 1)).collect::<Vec<_>>(), f, args),
            MapFn::Sub => self.combine(&[(args[0], 1), (args[1], -1)], f, args),
            MapFn::Neg => self.combine(&[(args[0], -1)], f, args),
            MapFn::Mul => {
                let product = args.iter().try_fold(IntForm::new(1), |acc, &a| acc.times(&self.int_form(a)?));
                match product {
                    Some(p) => self.int_term(&p),
                    None => self.sorted(Op::Map(f), args),
                }
            }
            MapFn::IDiv | MapFn::Mod => match (self.int_form(args[0]), self.g.constant(args[1])) {
                (Some(x), Some(Scalar::Int(m))) if m > 0 => self.divide(&x, m, f == MapFn::Mod),
                _ => self.raw(Op::Map(f), args),
            },
            MapFn::Max | MapFn::Min => self.sorted(Op::Map(f), args),
            _ => self.raw(Op::Map(f), args),
        }
    }

    /// Quotient or remainder of an affine form by a positive constant, with multiples of the divisor taken out.
    fn divide(&mut self, form: &IntForm, m: i64, remainder: bool) -> Result<NodeId, Error> {
        let (high, low) = form.split_multiple(m);
        let low_term = self.int_term(&low)?;
        let within = {
            let p = Prover::new(&self.g);
            p.form_of(low_term).is_some_and(|f| {
                p.proves(&f) && f.scaled(-1).and_then(|f| f.offset(m - 1)).is_some_and(|f| p.proves(&f))
            })
        };
        let divisor = self.int(m)?;
        match (remainder, within) {
            (true, true) => Ok(low_term),
            (true, false) => self.raw(Op::Map(MapFn::Mod), &[low_term, divisor]),
            (false, true) => self.int_term(&high),
            (false, false) => {
                let q = self.raw(Op::Map(MapFn::IDiv), &[low_term, divisor])?;
                match high.checked_add(&IntForm::var(q), 1) {
                    Some(f) => self.int_term(&f),
                    None => {
                        let x = self.int_term(form)?;
                        self.raw(Op::Map(MapFn::IDiv), &[x, divisor])
                    }
                }
            }
        }
    }

    /// `form >= 0`
    ///
    /// # Errors
    /// Never for forms over terms of this graph.
    pub fn at_least_zero(&mut self, form: &IntForm) -> Result<NodeId, Error> {
        let g = common_divisor(form);
        let form = if g > 1 { form.split_multiple(g).0 } else { form.clone() };
        if let Some(c) = form.as_constant() {
            return self.bool(c >= 0);
        }
        let term = self.int_term(&form)?;
        if let Some(&made) = self.comparisons.get(&term) {
            return Ok(made);
        }
        let made = self.compared(term)?;
        self.comparisons.insert(term, made);
        Ok(made)
    }

    /// `term >= 0`, unless that is known.
    fn compared(&mut self, term: NodeId) -> Result<NodeId, Error> {
        let known = {
            let p = Prover::new(&self.g);
            p.form_of(term).and_then(|f| {
                if p.proves(&f) {
                    Some(true)
                } else {
                    let below = f.scaled(-1).and_then(|f| f.offset(-1))?;
                    p.proves(&below).then_some(false)
                }
            })
        };
        match known {
            Some(k) => self.bool(k),
            None => {
                let zero = self.int(0)?;
                self.raw(Op::Map(MapFn::Le), &[zero, term])
            }
        }
    }

    /// `form >= 0` as it stands, also where ranges of axes decide it: a bound of a loop, not a condition.
    ///
    /// # Errors
    /// Never for forms over terms of this graph.
    pub fn make_raw_inequality(&mut self, form: &IntForm) -> Result<NodeId, Error> {
        let term = self.int_term(form)?;
        let zero = self.int(0)?;
        self.raw(Op::Map(MapFn::Le), &[zero, term])
    }

    /// `form == 0`, or `form != 0`.
    ///
    /// # Errors
    /// Never for forms over terms of this graph.
    pub fn equals_zero(&mut self, form: &IntForm, equal: bool) -> Result<NodeId, Error> {
        let g = common_divisor(form);
        if g > 1 && form.constant().rem_euclid(g) != 0 {
            return self.bool(!equal);
        }
        let mut form = if g > 1 { form.split_multiple(g).0 } else { form.clone() };
        if let Some(c) = form.as_constant() {
            return self.bool((c == 0) == equal);
        }
        // One of the two signs: that in which the first term in canonical order is positive.
        let first = form.terms().min_by_key(|&(&v, _)| self.rank(v)).map_or(1, |(_, c)| c);
        if first < 0 {
            form = form.scaled(-1).unwrap_or(form);
        }
        let term = self.int_term(&form)?;
        let zero = self.int(0)?;
        self.raw(Op::Map(if equal { MapFn::Eq } else { MapFn::Ne }), &[term, zero])
    }

    /// Is a term a comparison of integers? To make it anew is cheaper than to read it.
    #[must_use]
    pub fn is_comparison(&self, id: NodeId) -> bool {
        matches!(self.g.op(id), Op::Map(MapFn::Le | MapFn::Eq | MapFn::Ne))
            && self.g.args(id).iter().all(|&a| self.g.dtype(a).is_int())
    }

    /// The form of which a canonical comparison says `>= 0`, `== 0` or `!= 0`.
    #[must_use]
    pub fn comparison(&self, id: NodeId) -> Option<(MapFn, IntForm)> {
        let args = self.g.args(id);
        match self.g.op(id) {
            Op::Map(MapFn::Le) if self.g.dtype(args[1]).is_int() => Some((MapFn::Le, self.int_form(args[1])?)),
            Op::Map(f @ (MapFn::Eq | MapFn::Ne)) if self.g.dtype(args[0]).is_int() => {
                Some((*f, self.int_form(args[0])?))
            }
            _ => None,
        }
    }
}

fn common_divisor(form: &IntForm) -> i64 {
    form.terms().fold(0, |g, (_, c)| gcd(g, c))
}
