//! Who sees whom: the conditions of sums over pairs of positions, drawn.
//!
//! Rows are positions, columns the positions that they sum over. What the data decide is drawn as a perhaps. Of an algorithm, what is summed
//! pair by pair is drawn apart from what a row gets from states and tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use weft_ir::graph::{AxisId, Graph, MapFn, NodeId, Op, Role, Scalar};

/// Cells on each side.
const CELLS: i64 = 64;
/// The size of a cell in the picture.
const SIDE: i64 = 6;

/// What is known of a pair.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    Never,
    Perhaps,
    Always,
}

/// Pairs that are summed one by one.
struct Mask(Vec<Seen>);

/// A picture of the pairs that a definition and an algorithm sum, over sequences of this many positions. None if there are no pairs.
pub(super) fn picture(definition: &Graph, algorithm: Option<&Graph>, length: i64) -> Option<String> {
    let all = Mask::of(definition, length)?;
    let pairs =
        algorithm.map(|g| Mask::of(g, length).unwrap_or_else(|| Mask(vec![Seen::Never; (CELLS * CELLS) as usize])));
    let side = CELLS * SIDE;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {side} {side}\" width=\"{side}\" role=\"img\" aria-label=\"which positions see which\">"
    );
    let class = |n: usize| {
        let one_by_one = pairs.as_ref().map_or(Seen::Never, |p| p.0[n]);
        match (all.0[n], one_by_one) {
            (Seen::Never, Seen::Never) => None,
            (Seen::Perhaps, Seen::Never) => Some("perhaps"),
            (Seen::Always, Seen::Never) => Some("seen"),
            (_, Seen::Perhaps) => Some("near perhaps"),
            (_, Seen::Always) => Some("near"),
        }
    };
    for row in 0..CELLS {
        let mut from = 0;
        // Runs of equal cells are one rectangle.
        while from < CELLS {
            let at = |column: i64| class((row * CELLS + column) as usize);
            let mut to = from + 1;
            while to < CELLS && at(to) == at(from) {
                to += 1;
            }
            if let Some(c) = at(from) {
                let (x, y, w) = (from * SIDE, row * SIDE, (to - from) * SIDE);
                let _ = write!(svg, "<rect class=\"{c}\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{SIDE}\"/>");
            }
            from = to;
        }
    }
    svg.push_str("</svg>");
    Some(svg)
}

impl Mask {
    /// Every sum, and every search, over positions for every position.
    fn of(g: &Graph, length: i64) -> Option<Self> {
        let time = |a: AxisId| {
            let d = g.domain(g.axis(a).domain);
            d.role == Role::Time
        };
        let mut cells = vec![Seen::Never; (CELLS * CELLS) as usize];
        let mut any = false;
        for id in reachable(g).into_iter().filter(|&n| g.op(n).is_reduction()) {
            let guards = g.guards(id);
            for &column in g.op(id).bound().iter().filter(|&&a| time(a)) {
                let rows: Vec<AxisId> = g.free(id).iter().filter(|&a| time(a)).collect();
                let &[row] = rows.as_slice() else { continue };
                any = true;
                for (n, cell) in cells.iter_mut().enumerate() {
                    let at = |k: i64| k * length / CELLS;
                    let (y, x) = (n as i64 / CELLS, n as i64 % CELLS);
                    let env = BTreeMap::from([(row, at(y)), (column, at(x))]);
                    let seen = guards.iter().map(|&c| holds(g, c, &env, length)).min().unwrap_or(Seen::Always);
                    *cell = (*cell).max(seen);
                }
            }
        }
        any.then_some(Self(cells))
    }
}

fn reachable(g: &Graph) -> Vec<NodeId> {
    let mut stack: Vec<NodeId> = g.outputs.iter().map(|o| o.node).collect();
    let mut seen = vec![false; g.len()];
    let mut all = Vec::new();
    while let Some(n) = stack.pop() {
        if !std::mem::replace(&mut seen[n.index()], true) {
            all.push(n);
            stack.extend(g.args(n));
        }
    }
    all
}

/// Does a condition hold at a pair of positions?
fn holds(g: &Graph, id: NodeId, env: &BTreeMap<AxisId, i64>, length: i64) -> Seen {
    let args = g.args(id);
    let of = |n: NodeId| holds(g, n, env, length);
    let is = |b: bool| if b { Seen::Always } else { Seen::Never };
    let ints = || Some((number(g, args[0], env, length)?, number(g, args[1], env, length)?));
    match g.op(id) {
        Op::Const(Scalar::Bool(b)) => is(*b),
        Op::Map(MapFn::And) => args.iter().map(|&a| of(a)).min().unwrap_or(Seen::Always),
        Op::Map(MapFn::Or) => args.iter().map(|&a| of(a)).max().unwrap_or(Seen::Never),
        Op::Map(MapFn::Not) => match of(args[0]) {
            Seen::Never => Seen::Always,
            Seen::Perhaps => Seen::Perhaps,
            Seen::Always => Seen::Never,
        },
        Op::Map(MapFn::Le) => ints().map_or(Seen::Perhaps, |(a, b)| is(a <= b)),
        Op::Map(MapFn::Lt) => ints().map_or(Seen::Perhaps, |(a, b)| is(a < b)),
        Op::Map(MapFn::Eq) => ints().map_or(Seen::Perhaps, |(a, b)| is(a == b)),
        Op::Map(MapFn::Ne) => ints().map_or(Seen::Perhaps, |(a, b)| is(a != b)),
        _ => Seen::Perhaps,
    }
}

/// An integer, if no data are in it. Axes other than the two are at their first position.
fn number(g: &Graph, id: NodeId, env: &BTreeMap<AxisId, i64>, length: i64) -> Option<i64> {
    match g.op(id) {
        Op::Const(Scalar::Int(c)) => Some(*c),
        Op::Index(a) => Some(env.get(a).copied().unwrap_or(0)),
        Op::Size(d) => (g.domain(*d).role == Role::Time).then_some(length),
        Op::Map(f) => {
            let values = g.args(id).iter().map(|&a| number(g, a, env, length)).collect::<Option<Vec<i64>>>()?;
            f.eval_int(&values)
        }
        _ => None,
    }
}
