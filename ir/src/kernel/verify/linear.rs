//! Linear inequalities over integers, and a sound test that they have no solution (Fourier-Motzkin elimination with
//! tightening by the greatest common divisor). "No" means *not shown*, never *has a solution*.

use smallvec::SmallVec;

/// `sum coefficient * unknown + constant`; unknowns by number, rising, coefficients not 0.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub(super) struct Linear {
    pub(super) terms: SmallVec<[(usize, i128); 4]>,
    pub(super) constant: i128,
}

/// Numbers beyond this are given up on, so that sums of products of two stay inside `i128`.
const LIMIT: i128 = 1 << 62;
/// More inequalities than this are given up on.
const MAX_INEQUALITIES: usize = 2000;

impl Linear {
    pub(super) fn constant(n: impl Into<i128>) -> Self {
        Self { terms: SmallVec::new(), constant: n.into() }
    }
    pub(super) fn unknown(x: usize) -> Self {
        Self { terms: SmallVec::from_slice(&[(x, 1)]), constant: 0 }
    }
    /// `self * a + other * b`; `None` if a number grows too large.
    pub(super) fn combine(&self, a: i128, other: &Self, b: i128) -> Option<Self> {
        let fits = |n: i128| (-LIMIT..=LIMIT).contains(&n);
        if !fits(a) || !fits(b) {
            return None;
        }
        let mut out = Self { terms: SmallVec::new(), constant: self.constant * a + other.constant * b };
        let (mut left, mut right) = (self.terms.iter().peekable(), other.terms.iter().peekable());
        loop {
            let next = match (left.peek(), right.peek()) {
                (None, None) => break,
                (Some((x, _)), Some((y, _))) => *x.min(y),
                (Some((x, _)), None) | (None, Some((x, _))) => *x,
            };
            let mut coefficient = 0;
            if let Some((_, c)) = left.next_if(|(x, _)| *x == next) {
                coefficient += c * a;
            }
            if let Some((_, c)) = right.next_if(|(x, _)| *x == next) {
                coefficient += c * b;
            }
            if coefficient != 0 {
                out.terms.push((next, coefficient));
            }
        }
        let small = fits(out.constant) && out.terms.iter().all(|(_, c)| fits(*c));
        small.then_some(out)
    }
    pub(super) fn plus(&self, other: &Self) -> Option<Self> {
        self.combine(1, other, 1)
    }
    pub(super) fn minus(&self, other: &Self) -> Option<Self> {
        self.combine(1, other, -1)
    }
    pub(super) fn add_constant(&self, n: i128) -> Option<Self> {
        self.plus(&Self::constant(n))
    }
    pub(super) fn times(&self, n: i128) -> Option<Self> {
        self.combine(n, &Self::default(), 0)
    }
    pub(super) fn as_constant(&self) -> Option<i128> {
        self.terms.is_empty().then_some(self.constant)
    }
    fn coefficient(&self, x: usize) -> i128 {
        self.terms.iter().find(|(y, _)| *y == x).map_or(0, |(_, c)| *c)
    }
    /// The same inequality `self >= 0` for integers, with coprime coefficients and the tightest constant.
    fn tightened(mut self) -> Self {
        let divisor = self.terms.iter().fold(0, |g, (_, c)| gcd(g, c.abs()));
        if divisor > 1 {
            self.terms.iter_mut().for_each(|(_, c)| *c /= divisor);
            self.constant = self.constant.div_euclid(divisor);
        }
        self
    }
}

fn gcd(a: i128, b: i128) -> i128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Alternatives of which at least one holds; each a conjunction of inequalities `>= 0`.
pub(super) type Split = [Vec<Linear>; 2];

/// Is it shown that no integers satisfy all `facts` (each `>= 0`) and one alternative of each of the `splits`?
pub(super) fn impossible(facts: &[Linear], splits: &[Split]) -> bool {
    // Splits multiply; more than this many are more than any kernel's bounds need.
    const MAX_SPLITS: usize = 6;
    if eliminate(facts.to_vec()) {
        return true;
    }
    let Some((first, rest)) = splits.split_first() else { return false };
    if splits.len() > MAX_SPLITS {
        return impossible(facts, splits.get(..MAX_SPLITS).unwrap_or_default());
    }
    first.iter().all(|alternative| {
        let mut more = facts.to_vec();
        more.extend(alternative.iter().cloned());
        impossible(&more, rest)
    })
}

/// Eliminates all unknowns; true if what remains is false.
fn eliminate(facts: Vec<Linear>) -> bool {
    let Some(mut facts) = simplified(facts) else { return true };
    loop {
        // (unknown, lower bounds, upper bounds, all coefficients are 1 or -1)
        let mut unknowns: Vec<(usize, usize, usize, bool)> = Vec::new();
        for (x, c) in facts.iter().flat_map(|f| &f.terms) {
            let at = unknowns.iter().position(|(y, ..)| y == x).unwrap_or_else(|| {
                unknowns.push((*x, 0, 0, true));
                unknowns.len() - 1
            });
            if let Some((_, lower, upper, unit)) = unknowns.get_mut(at) {
                *lower += usize::from(*c > 0);
                *upper += usize::from(*c < 0);
                *unit &= c.abs() == 1;
            }
        }
        // First those whose elimination loses no integer solution, so that tightening sees multiples (of a step, of a divisor)
        // meet each other; then the one that makes the fewest new inequalities.
        let next = unknowns.into_iter().min_by_key(|(x, l, u, unit)| (!(*unit && l * u <= 40), l * u, *x));
        let Some((x, lower, upper, _)) = next else { return false };
        if lower * upper > MAX_INEQUALITIES {
            return false;
        }
        let (with, mut next): (Vec<_>, Vec<_>) = facts.into_iter().partition(|f| f.coefficient(x) != 0);
        for low in with.iter().filter(|f| f.coefficient(x) > 0) {
            for high in with.iter().filter(|f| f.coefficient(x) < 0) {
                // An inequality that grows too large is left out: less is known, never more.
                next.extend(low.combine(-high.coefficient(x), high, low.coefficient(x)));
            }
        }
        match simplified(next) {
            None => return true,
            Some(next) if next.len() > MAX_INEQUALITIES => return false,
            Some(next) => facts = next,
        }
    }
}

/// Without trivial and doubled inequalities; `None` if one is false.
fn simplified(facts: Vec<Linear>) -> Option<Vec<Linear>> {
    let mut best: rustc_hash::FxHashMap<SmallVec<[(usize, i128); 4]>, i128> = rustc_hash::FxHashMap::default();
    let mut order = Vec::new();
    for fact in facts {
        let fact = fact.tightened();
        if fact.terms.is_empty() {
            if fact.constant < 0 {
                return None;
            }
            continue;
        }
        match best.get_mut(&fact.terms) {
            Some(constant) => *constant = fact.constant.min(*constant),
            None => {
                order.push(fact.terms.clone());
                best.insert(fact.terms, fact.constant);
            }
        }
    }
    let fact =
        |terms: SmallVec<_>| best.get(&terms).map(|constant| Linear { terms: terms.clone(), constant: *constant });
    Some(order.into_iter().filter_map(fact).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lin(terms: &[(usize, i128)], constant: i128) -> Linear {
        Linear { terms: SmallVec::from_slice(terms), constant }
    }

    #[test]
    fn contradictions_and_solutions() {
        // x >= 3 and x <= 2
        assert!(impossible(&[lin(&[(0, 1)], -3), lin(&[(0, -1)], 2)], &[]));
        assert!(!impossible(&[lin(&[(0, 1)], -2), lin(&[(0, -1)], 2)], &[]));
        // 2x = 1 has no integer solution
        assert!(impossible(&[lin(&[(0, 2)], -1), lin(&[(0, -2)], 1)], &[]));
    }

    #[test]
    fn tiles_do_not_overlap() {
        // 16n + i = 16m + j, 0 <= i, j < 16, n < m
        let equal = [lin(&[(0, 16), (1, 1), (2, -16), (3, -1)], 0), lin(&[(0, -16), (1, -1), (2, 16), (3, 1)], 0)];
        let mut facts = equal.to_vec();
        facts.extend([
            lin(&[(1, 1)], 0),
            lin(&[(1, -1)], 15),
            lin(&[(3, 1)], 0),
            lin(&[(3, -1)], 15),
            lin(&[(0, -1), (2, 1)], -1),
        ]);
        assert!(impossible(&facts, &[]));
        facts[3] = lin(&[(1, -1)], 16);
        assert!(!impossible(&facts, &[]), "i may be 16");
    }

    #[test]
    fn splits_need_every_alternative() {
        let split = [vec![lin(&[(0, 1)], -5)], vec![lin(&[(0, -1)], -5)]];
        assert!(impossible(&[lin(&[(0, 1)], 4), lin(&[(0, -1)], 4)], std::slice::from_ref(&split)));
        assert!(!impossible(&[lin(&[(0, 1)], 4), lin(&[(0, -1)], 5)], &[split]));
    }
}
