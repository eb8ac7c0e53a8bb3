//! Smart constructors of the e-graph. Everything that rules make is made here: sums without unused axes or implied guards, products without
//! ones, substitutions that are done where that is plain.

use super::rules::Rule;
use super::term::{Head, Term};
use super::workshop::Eg;
use egg::Id;
use weft_ir::graph::{AxisId, AxisSet, Error, Extent, MapFn, NodeId, Op};

/// A term of the workshop as a node.
pub(crate) fn leaf(eg: &mut Eg, node: NodeId) -> Id {
    eg.add_uncanonical(Term::new(Head::Leaf(node), &[]))
}

/// A float constant.
pub(crate) fn number(eg: &mut Eg, value: f64) -> Result<Id, Error> {
    let node = eg.analysis.canon.float(value)?;
    Ok(leaf(eg, node))
}

/// The constant that a class is equal to.
pub(crate) fn constant(eg: &Eg, id: Id) -> Option<f64> {
    let node = eg[id].data.leaf?;
    eg.analysis.canon.g.constant(node).map(weft_ir::graph::Scalar::as_f64)
}

/// An elementwise function.
pub(crate) fn map(eg: &mut Eg, f: MapFn, args: &[Id]) -> Result<Id, Error> {
    match args {
        [] if f == MapFn::Add => return number(eg, 0.0),
        &[one] if f == MapFn::Add => return Ok(one),
        _ => {}
    }
    let leaves: Option<Vec<NodeId>> = args.iter().map(|&a| eg[a].data.leaf).collect();
    if let Some(leaves) = leaves
        && (leaves.iter().all(|&l| eg.analysis.canon.g.constant(l).is_some()))
    {
        let node = eg.analysis.canon.map(f, &leaves)?;
        return Ok(leaf(eg, node));
    }
    if f != MapFn::Add {
        return Ok(eg.add_uncanonical(Term::new(Head::Map(f), args)));
    }
    // Zeros are left out, and addends stand in the order of their classes.
    let mut parts: Vec<Id> = args.iter().copied().filter(|&a| constant(eg, a) != Some(0.0)).collect();
    parts.sort_by_key(|&a| eg.find(a));
    match parts[..] {
        [] => number(eg, 0.0),
        [one] => Ok(one),
        _ => Ok(eg.add_uncanonical(Term::new(Head::Map(f), &parts))),
    }
}

/// Sum over `axes` of the product of `factors` where all `guards` hold.
pub(crate) fn ein(eg: &mut Eg, axes: &[AxisId], guards: &[NodeId], factors: &[Id]) -> Result<Id, Error> {
    let Some(guards) = eg.analysis.simplified(guards)? else { return number(eg, 0.0) };
    let mut k = 1.0;
    let mut parts = Vec::new();
    for &f in factors {
        match constant(eg, f) {
            Some(c) => k *= c,
            None => parts.push(f),
        }
    }
    if k == 0.0 {
        return number(eg, 0.0);
    }
    let mut used: AxisSet = AxisSet::new();
    for &g in &guards {
        used.extend(eg.analysis.canon.g.free(g));
    }
    for &f in &parts {
        used.extend(&eg[f].data.free);
    }
    let mut bound: Vec<AxisId> = Vec::new();
    // A ragged extent mentions its batch axis, so ragged axes go first.
    let mut axes = axes.to_vec();
    axes.sort_by_key(|&a| !matches!(eg.analysis.canon.g.extent(a), Extent::Ragged(_) | Extent::Derived { .. }));
    for a in axes {
        if used.contains(a) {
            bound.push(a);
            let g = &eg.analysis.canon.g;
            used.extend(&g.ragged_over(g.axis(a).domain).into_iter().collect());
        } else if let Some(n) = eg.analysis.canon.g.static_extent(a) {
            k *= n as f64;
        } else {
            let domain = eg.analysis.canon.g.axis(a).domain;
            let size = eg.analysis.canon.make(&Op::Size(domain), &[])?;
            let float = eg.analysis.canon.float_of(size)?;
            used.extend(eg.analysis.canon.g.free(size));
            let float = leaf(eg, float);
            parts.push(float);
        }
    }
    bound.sort_unstable();
    if k != 1.0 || parts.is_empty() {
        let k = number(eg, k)?;
        parts.push(k);
    }
    parts.sort_by_key(|&a| eg.find(a));
    if let [one] = parts[..]
        && bound.is_empty()
        && guards.is_empty()
    {
        return Ok(one);
    }
    Ok(eg.add_uncanonical(Term::new(Head::Ein { axes: bound.into(), guards }, &parts)))
}

/// `body[axes := positions]`.
pub(crate) fn sub(eg: &mut Eg, body: Id, map: &[(AxisId, NodeId)]) -> Result<Id, Error> {
    let mut map: Vec<(AxisId, NodeId)> = map
        .iter()
        .copied()
        .filter(|&(a, p)| eg[body].data.free.contains(a) && *eg.analysis.canon.g.op(p) != Op::Index(a))
        .collect();
    if map.is_empty() {
        return Ok(body);
    }
    let by_steps = map.iter().any(|&(a, _)| eg.analysis.counts_steps(a));
    if let Some(l) = eg[body].data.leaf.filter(|_| !by_steps) {
        let node = eg.analysis.canon.substitute(l, &map)?;
        return Ok(leaf(eg, node));
    }
    // A substitution in a substitution is one.
    let inner = eg[body].nodes.iter().find(|n| matches!(n.head, Head::Sub { .. })).cloned();
    if let Some(Term { head: Head::Sub { axes, at }, args }) = inner {
        let inner_free = eg[args[0]].data.free.clone();
        let mut all = Vec::new();
        for (&a, &p) in axes.iter().zip(&at) {
            all.push((a, eg.analysis.canon.substitute(p, &map)?));
        }
        all.extend(map.iter().copied().filter(|(a, _)| !axes.contains(a) && inner_free.contains(*a)));
        return sub(eg, args[0], &all);
    }
    map.sort_unstable();
    let (axes, at): (Vec<AxisId>, Vec<NodeId>) = map.iter().copied().unzip();
    eg.analysis.note_ranges(&axes, &at)?;
    let head = Head::Sub { axes: map.iter().map(|m| m.0).collect(), at: map.iter().map(|m| m.1).collect() };
    Ok(eg.add_uncanonical(Term::new(head, &[body])))
}

/// All axes that a term mentions outside its binders: those it binds, and those free in its children and guards.
pub(crate) fn mentioned(eg: &Eg, term: &Term) -> AxisSet {
    let mut all: AxisSet = term.bound().iter().copied().collect();
    for &a in &term.args {
        all.extend(&eg[a].data.free);
    }
    if let Head::Ein { guards: leaves, .. } | Head::Sub { at: leaves, .. } = &term.head {
        for &n in leaves {
            all.extend(eg.analysis.canon.g.free(n));
        }
    }
    all
}

/// A linear recurrence: `addend`, and what of the last state is kept.
pub(crate) fn scan(eg: &mut Eg, axis: AxisId, reverse: bool, addend: Id, kept: Option<Id>) -> Id {
    let args: Vec<Id> = [Some(addend), kept].into_iter().flatten().collect();
    eg.add_uncanonical(Term::new(Head::Scan { axis, reverse }, &args))
}

/// A sum's axes, guards and factors.
pub(crate) type Parts = (Vec<AxisId>, Vec<NodeId>, Vec<Id>);

/// A sum with the sum that its factor `n` is, as one sum. Axes of the inner sum that are in use outside are renamed, which is the first condition
/// of the rule.
pub(crate) fn merged(eg: &mut Eg, rule: &Rule, term: &Term, n: usize, inner: &Term) -> Result<Parts, Error> {
    let (Head::Ein { axes, guards }, Head::Ein { axes: below, guards: conditions }) = (&term.head, &inner.head) else {
        return Err(Error::Missing("a sum in a sum".into()));
    };
    // Other names for inner axes that are in use outside.
    let mut used: AxisSet = axes.iter().copied().collect();
    for &g in guards {
        used.extend(eg.analysis.canon.g.free(g));
    }
    for (m, &f) in term.args.iter().enumerate() {
        if m != n {
            used.extend(&eg[f].data.free);
        }
    }
    let mut taken = used.clone();
    taken.extend(&mentioned(eg, inner));
    let mut names: Vec<(AxisId, NodeId)> = Vec::new();
    let mut all: Vec<AxisId> = axes.to_vec();
    for &a in below {
        if !eg.analysis.met(rule, 0, !used.contains(a)) {
            let new = eg.analysis.fresh(a, &taken);
            taken.insert(new);
            names.push((a, eg.analysis.index(new)?));
            all.push(new);
        } else {
            all.push(a);
        }
    }
    let mut gs: Vec<NodeId> = guards.to_vec();
    for &g in conditions {
        gs.push(eg.analysis.canon.substitute(g, &names)?);
    }
    let mut fs: Vec<Id> = term.args.iter().enumerate().filter(|&(m, _)| m != n).map(|(_, &f)| f).collect();
    for &f in &inner.args {
        fs.push(sub(eg, f, &names)?);
    }
    Ok((all, gs, fs))
}
