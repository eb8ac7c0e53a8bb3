//! Linear integer forms and systems of inequalities: exact elimination by Fourier and Motzkin.
//!
//! Elimination is over the rationals, tightened to integers where all coefficients share a divisor. It is sound for
//! proofs of infeasibility (what has no rational point has no integer point); it may miss some that need more.

use std::cmp::Ordering;

/// `constant + sum of coefficient * variable`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Lin<V> {
    /// By variable, without coefficients of 0.
    terms: Vec<(V, i64)>,
    constant: i64,
}

impl<V> Default for Lin<V> {
    fn default() -> Self {
        Self { terms: Vec::new(), constant: 0 }
    }
}

impl<V: Ord + Clone> Lin<V> {
    /// A constant form.
    #[must_use]
    pub fn new(constant: i64) -> Self {
        Self { terms: Vec::new(), constant }
    }

    /// One variable.
    #[must_use]
    pub fn var(v: V) -> Self {
        Self { terms: vec![(v, 1)], constant: 0 }
    }

    /// `self + factor * other`, or `None` where a number leaves i64.
    #[must_use]
    pub fn checked_add(&self, other: &Self, factor: i64) -> Option<Self> {
        let constant = self.constant.checked_add(other.constant.checked_mul(factor)?)?;
        let mut terms = Vec::with_capacity(self.terms.len() + other.terms.len());
        let (mut own, mut more) = (self.terms.iter().peekable(), other.terms.iter().peekable());
        loop {
            let order = match (own.peek(), more.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((a, _)), Some((b, _))) => a.cmp(b),
            };
            let first = if order.is_le() { own.next() } else { None };
            let second = if order.is_ge() { more.next() } else { None };
            let added = second.map_or(Some(0), |t| t.1.checked_mul(factor))?;
            let c = first.map_or(0, |t| t.1).checked_add(added)?;
            if let (true, Some((v, _))) = (c != 0, first.or(second)) {
                terms.push((v.clone(), c));
            }
        }
        Some(Self { terms, constant })
    }

    /// `self + number`, or `None` on overflow.
    #[must_use]
    pub fn offset(&self, number: i64) -> Option<Self> {
        Some(Self { terms: self.terms.clone(), constant: self.constant.checked_add(number)? })
    }

    /// `factor * self`, or `None` on overflow.
    #[must_use]
    pub fn scaled(&self, factor: i64) -> Option<Self> {
        Self::default().checked_add(self, factor)
    }

    /// The product, where one of the two is a constant.
    #[must_use]
    pub fn times(&self, other: &Self) -> Option<Self> {
        match (self.as_constant(), other.as_constant()) {
            (Some(c), _) => other.scaled(c),
            (_, Some(c)) => self.scaled(c),
            _ => None,
        }
    }

    /// Variables with coefficients other than 0, in order.
    pub fn terms(&self) -> impl Iterator<Item = (&V, i64)> + '_ {
        self.terms.iter().map(|(v, c)| (v, *c))
    }

    /// Coefficient of a variable.
    #[must_use]
    pub fn coefficient(&self, v: &V) -> i64 {
        self.terms.binary_search_by(|(x, _)| x.cmp(v)).map_or(0, |n| self.terms[n].1)
    }

    /// The constant.
    #[must_use]
    pub fn constant(&self) -> i64 {
        self.constant
    }

    /// The value, if there are no variables.
    #[must_use]
    pub fn as_constant(&self) -> Option<i64> {
        self.terms.is_empty().then_some(self.constant)
    }

    /// The variable, if the form is just one.
    #[must_use]
    pub fn as_var(&self) -> Option<&V> {
        match self.terms.as_slice() {
            [(v, 1)] if self.constant == 0 => Some(v),
            _ => None,
        }
    }

    /// The form with `v` replaced.
    #[must_use]
    pub fn substitute(&self, v: &V, by: &Self) -> Option<Self> {
        let c = self.coefficient(v);
        if c == 0 {
            return Some(self.clone());
        }
        let mut rest = self.clone();
        rest.terms.retain(|(x, _)| x != v);
        rest.checked_add(by, c)
    }

    /// Splits into multiples of `m` and the rest: `self = m * high + low`, with the constants and coefficients of `low`
    /// in `0 .. m`.
    #[must_use]
    pub fn split_multiple(&self, m: i64) -> (Self, Self) {
        let part = |f: fn(i64, i64) -> i64| Self {
            terms: self.terms.iter().map(|(v, c)| (v.clone(), f(*c, m))).filter(|&(_, c)| c != 0).collect(),
            constant: f(self.constant, m),
        };
        (part(i64::div_euclid), part(i64::rem_euclid))
    }

    /// Divides `self >= 0` by the common divisor of the coefficients, rounding the constant down.
    fn tightened(mut self) -> Self {
        let g = self.terms.iter().fold(0i64, |g, t| gcd(g, t.1));
        if g > 1 {
            for (_, c) in &mut self.terms {
                *c /= g;
            }
            self.constant = self.constant.div_euclid(g);
        }
        self
    }
}

/// The greatest common divisor; of nothing but zeros 0.
#[must_use]
pub fn gcd(a: i64, b: i64) -> i64 {
    let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    // Only i64::MIN has a divisor beyond i64, and then 1 is a safe answer.
    i64::try_from(a).unwrap_or(1)
}

/// Elimination made the system too large to go on; nothing is known then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLarge;

/// Conjunction of inequalities `form >= 0`.
#[derive(Clone, Debug)]
pub struct System<V> {
    rows: Vec<Lin<V>>,
    contradiction: bool,
}

impl<V> Default for System<V> {
    fn default() -> Self {
        Self { rows: Vec::new(), contradiction: false }
    }
}

/// Beyond this many inequalities an elimination is given up.
const LIMIT: usize = 400;

impl<V: Ord + Clone> System<V> {
    /// The system without inequalities.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `form >= 0`.
    pub fn at_least_zero(&mut self, form: Lin<V>) {
        let form = form.tightened();
        match form.as_constant() {
            Some(c) => self.contradiction |= c < 0,
            None => {
                // Of two inequalities with the same left side only the tighter says anything.
                match self.rows.iter_mut().find(|r| r.terms == form.terms) {
                    Some(r) => r.constant = r.constant.min(form.constant),
                    None => self.rows.push(form),
                }
            }
        }
    }

    /// Adds `form == 0`.
    pub fn zero(&mut self, form: &Lin<V>) {
        self.at_least_zero(form.clone());
        if let Some(negated) = form.scaled(-1) {
            self.at_least_zero(negated);
        }
    }

    /// The inequalities left.
    #[must_use]
    pub fn rows(&self) -> &[Lin<V>] {
        &self.rows
    }

    /// Is an inequality without variables false?
    #[must_use]
    pub fn contradiction(&self) -> bool {
        self.contradiction
    }

    /// Every variable of the system.
    #[must_use]
    pub fn vars(&self) -> Vec<V> {
        let mut all: Vec<&V> = self.rows.iter().flat_map(|r| r.terms.iter().map(|t| &t.0)).collect();
        all.sort_unstable();
        all.dedup();
        all.into_iter().cloned().collect()
    }

    /// The same with variables numbered in their order: cheaper to work with.
    #[must_use]
    pub fn numbered(&self) -> System<u32> {
        let vars = self.vars();
        let number = |v: &V| vars.binary_search(v).map_or(0, |n| n as u32);
        let row =
            |r: &Lin<V>| Lin { terms: r.terms.iter().map(|(v, c)| (number(v), *c)).collect(), constant: r.constant };
        System { rows: self.rows.iter().map(row).collect(), contradiction: self.contradiction }
    }

    /// Projects `v` away.
    ///
    /// # Errors
    /// When the system grows too large; it is unchanged then.
    pub fn eliminate(&mut self, v: &V) -> Result<(), TooLarge> {
        let (with, rest): (Vec<&Lin<V>>, Vec<&Lin<V>>) = self.rows.iter().partition(|r| r.coefficient(v) != 0);
        let (lower, upper): (Vec<&Lin<V>>, Vec<&Lin<V>>) = with.into_iter().partition(|r| r.coefficient(v) > 0);
        if rest.len() + lower.len() * upper.len() > LIMIT {
            return Err(TooLarge);
        }
        let mut next = Self { rows: rest.into_iter().cloned().collect(), contradiction: self.contradiction };
        for l in &lower {
            for u in &upper {
                let (a, b) = (l.coefficient(v), -u.coefficient(v));
                let g = gcd(a, b);
                let sum = l.scaled(b / g).and_then(|x| x.checked_add(u, a / g)).ok_or(TooLarge)?;
                next.at_least_zero(sum);
            }
        }
        *self = next;
        Ok(())
    }

    /// Has the system certainly no integer solution? `false` also where elimination gave up.
    #[must_use]
    pub fn infeasible(&self) -> bool {
        let mut s = self.clone();
        loop {
            if s.contradiction {
                return true;
            }
            // Eliminating a variable whose lower or upper bounds all have coefficient 1 loses no integer point, so such
            // variables go first; among them, the one that makes the fewest new rows.
            let Some(v) = s.vars().into_iter().min_by_key(|v| {
                let (mut lo, mut hi) = (0usize, 0usize);
                let (mut unit_lo, mut unit_hi) = (true, true);
                for r in &s.rows {
                    match r.coefficient(v) {
                        0 => {}
                        c if c > 0 => (lo, unit_lo) = (lo + 1, unit_lo && c == 1),
                        c => (hi, unit_hi) = (hi + 1, unit_hi && c == -1),
                    }
                }
                (!(unit_lo || unit_hi), lo * hi)
            }) else {
                return false;
            };
            if s.eliminate(&v).is_err() {
                return false;
            }
        }
    }

    /// Is `form >= 0` wherever the system holds?
    #[must_use]
    pub fn implies(&self, form: &Lin<V>) -> bool {
        let mut s = self.clone();
        match form.scaled(-1).and_then(|f| f.offset(-1)) {
            Some(violated) => s.at_least_zero(violated),
            None => return false,
        }
        s.infeasible()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lin(terms: &[(&'static str, i64)], constant: i64) -> Lin<&'static str> {
        terms.iter().fold(Lin::new(constant), |l, &(v, c)| l.checked_add(&Lin::var(v), c).expect("small"))
    }

    #[test]
    fn blocks_stay_below_the_extent() {
        // c <= n - 1, 16 n <= t <= 16 n + 15, 0 <= l < 16  =>  16 c + l <= t - 1
        let mut s = System::new();
        s.at_least_zero(lin(&[("n", 1), ("c", -1)], -1));
        s.at_least_zero(lin(&[("t", 1), ("n", -16)], 0));
        s.at_least_zero(lin(&[("l", -1)], 15));
        assert!(s.implies(&lin(&[("t", 1), ("c", -16), ("l", -1)], -1)));
        assert!(!s.implies(&lin(&[("t", 1), ("c", -16), ("l", -1)], -2)));
    }

    #[test]
    fn integers_are_tighter_than_rationals() {
        // 2 x == 1 has rational but no integer solutions
        let mut s = System::new();
        s.zero(&lin(&[("x", 2)], -1));
        assert!(s.infeasible());
    }

    #[test]
    fn exact_eliminations_come_first() {
        // t == 0 and t % 3 >= 1, with q = t // 3
        let mut s = System::new();
        s.zero(&lin(&[("t", 1)], 0));
        s.at_least_zero(lin(&[("t", 1), ("q", -3)], 0));
        s.at_least_zero(lin(&[("t", -1), ("q", 3)], 2));
        s.at_least_zero(lin(&[("t", 1), ("q", -3)], -1));
        assert!(s.infeasible());
    }

    #[test]
    fn feasible_systems_are_not_refuted() {
        let mut s = System::new();
        s.at_least_zero(lin(&[("x", 1), ("y", -1)], -3));
        s.at_least_zero(lin(&[("y", 1)], 0));
        assert!(!s.infeasible());
    }
}
