//! What a kernel computes itself, and what it reads from other kernels.
//!
//! Going down from the stored term, a subterm becomes a read of a stored value where computing it in place would repeat
//! work or pass over memory again:
//! * under a substitution: it is wanted at other positions;
//! * a long sum, a recurrence or a decision, but for those that the kernel is about;
//! * a contraction inside another reduction;
//! * operands with reductions in them of a contraction, of a sum over two long axes' pairs and of a streamed sum; these
//!   are stored as large as possible (with elementwise functions applied), but never with more elements than
//!   their parts have, and never as an exponential, which would lose its scale;
//! * dear functions of positions alone: tables.

use super::{Error, Scheduler};
use rustc_hash::FxHashMap;
use weft_ir::graph::{AxisId, MapFn, NodeId, Op};

/// A sum over at least this many elements is a contraction: worth a pass of its own over its operands.
const CONTRACTION: i64 = 16;

/// How a term stands in the kernel that is being formed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Place {
    /// The stored value itself, or under elementwise functions only.
    Root,
    /// The operand of the extremum that is the stored value.
    Operand,
    /// Inside a reduction of the kernel.
    Inside,
}

pub(super) type Memo = FxHashMap<(NodeId, Place), NodeId>;

impl Scheduler {
    /// The term with everything that other kernels compute replaced by reads.
    pub(crate) fn cut(&mut self, root: NodeId) -> Result<NodeId, Error> {
        if self.is_walk(root)? {
            return self.cut_walk(root);
        }
        self.cut_at(root, Place::Root, root, &mut Memo::default())
    }

    pub(super) fn cut_at(&mut self, id: NodeId, place: Place, root: NodeId, memo: &mut Memo) -> Result<NodeId, Error> {
        if let Some(&done) = memo.get(&(id, place)) {
            return Ok(done);
        }
        let made = if id == root || !self.is_shared(id)? {
            self.cut_one(id, place, root, memo)?
        } else if self.comes_along(id, place, root)? {
            let made = self.cut_one(id, place, root, memo)?;
            self.beside.push((id, made));
            made
        } else {
            self.stored(id)?
        };
        if id != root && !self.is_read(made) {
            self.note_computed(id, root)?;
        }
        memo.insert((id, place), made);
        Ok(made)
    }

    fn cut_one(&mut self, id: NodeId, place: Place, root: NodeId, memo: &mut Memo) -> Result<NodeId, Error> {
        if id != root && self.c.is_table(id) && !self.c.is_table(root) {
            return self.stored(id);
        }
        let op = self.c.g.op(id).clone();
        if id != root && !matches!(op, Op::Sub { .. }) && self.is_walk(id)? {
            return self.stored(id);
        }
        let args = self.c.g.args(id).to_vec();
        match &op {
            Op::Sub { axes } => {
                if place == Place::Operand
                    && !matches!(self.c.g.op(args[0]), Op::Input(_) | Op::Prev(_))
                    && let Some(names) = self.renaming(axes, &args[1..])
                {
                    // The operand of an extremum under the extremum's own name of its axis: computed here.
                    let renamed = self.c.rename(args[0], &names)?;
                    // What is costly is not made again for another name: it stays as it is.
                    if renamed != id {
                        return self.cut_at(renamed, place, root, memo);
                    }
                }
                // A long sum under another name of its rows, as adjoints of keys are: no reason to store it twice.
                if place == Place::Root
                    && self.is_streamed(args[0])
                    && !self.c.g.op(args[0]).is_decision()
                    && self.readers(args[0]) <= 1
                    && !self.is_shared(args[0])?
                    && let Some(names) = self.renaming(axes, &args[1..])
                {
                    let renamed = self.c.rename(args[0], &names)?;
                    if renamed != id {
                        return self.cut_at(renamed, place, root, memo);
                    }
                }
                let wrapped = args[0];
                if !self.is_walk(wrapped)? && !self.is_shared(wrapped)? && self.is_light_wrap(wrapped)? {
                    let map: Vec<(AxisId, NodeId)> = axes.iter().copied().zip(args[1..].iter().copied()).collect();
                    let inner = self.c.g.op(wrapped).clone();
                    let mut new = Vec::new();
                    for a in self.c.g.args(wrapped).to_vec() {
                        new.push(self.c.substitute(a, &map)?);
                    }
                    let moved = self.c.make(&inner, &new)?;
                    return self.cut_at(moved, place, root, memo);
                }
                let elementwise = !self.c.g.op(args[0]).is_reduction() && !self.is_walk(args[0])?;
                let here = place == Place::Root && self.readers(args[0]) <= 1;
                // In memory an exponential would have lost its scale.
                let scaled = !self.c.has_long_reduction(args[0]) && self.is_unbounded_weight(args[0]);
                if elementwise && self.c.is_heavy(args[0]) && (here || scaled || !self.is_storable(args[0])) {
                    // Read here only, once an element, or larger than its parts: its elementwise part is computed here.
                    let map: Vec<(AxisId, NodeId)> = axes.iter().copied().zip(args[1..].iter().copied()).collect();
                    let pushed = self.c.push_to_reductions(args[0], &map)?;
                    return self.cut_at(pushed, place, root, memo);
                }
                let body =
                    if self.c.is_heavy(args[0]) || self.c.is_table(args[0]) { self.stored(args[0])? } else { args[0] };
                let mut map = Vec::new();
                for (&a, &p) in axes.iter().zip(&args[1..]) {
                    map.push((a, self.cut_at(p, Place::Inside, root, memo)?));
                }
                Ok(self.c.substitute(body, &map)?)
            }
            _ if op.is_reduction() => self.cut_reduction(id, place, root, memo),
            Op::Ein { guards, .. } => {
                if id == root && *guards == 0 {
                    let fewer = self.use_products(&args);
                    if fewer.len() < args.len() {
                        return self.cut_operands(&op, &fewer, 0, place, root, memo);
                    }
                }
                let args = self.join_walks(&args, *guards as usize, root)?;
                let args =
                    if place == Place::Root { self.join_strangers(&args, *guards as usize, root)? } else { args };
                self.cut_operands(&op, &args, *guards as usize, place, root, memo)
            }
            _ => self.cut_operands(&op, &args, 0, place, root, memo),
        }
    }

    fn cut_operands(
        &mut self,
        op: &Op,
        args: &[NodeId],
        guards: usize,
        place: Place,
        root: NodeId,
        memo: &mut Memo,
    ) -> Result<NodeId, Error> {
        let mut new = Vec::with_capacity(args.len());
        for (n, &a) in args.iter().enumerate() {
            let place = if n < guards { Place::Inside } else { place };
            new.push(self.cut_at(a, place, root, memo)?);
        }
        Ok(self.c.make(op, &new)?)
    }

    /// Factors of a product whose long sums another kernel must compute are stored as one product: a normaliser and what it
    /// normalises stay one pass.
    fn join_strangers(&mut self, args: &[NodeId], guards: usize, root: NodeId) -> Result<Vec<NodeId>, Error> {
        let strange = |s: &Self, f: NodeId| {
            let sums = s.streamed(f);
            !sums.is_empty()
                && !matches!(s.c.g.op(f), Op::Sub { .. })
                && sums.iter().all(|&x| x != root && !s.joins(x, root))
        };
        let (strangers, rest): (Vec<NodeId>, Vec<NodeId>) = args[guards..].iter().partition(|&&f| strange(self, f));
        if strangers.len() < 2 {
            return Ok(args.to_vec());
        }
        let product = self.c.product_of(&strangers)?;
        if product == root || self.c.long_axes(product).len() > 1 || !self.is_no_larger(product, &strangers) {
            return Ok(args.to_vec());
        }
        let mut new = args[..guards].to_vec();
        new.push(self.stored(product)?);
        new.extend(rest);
        Ok(new)
    }

    fn cut_reduction(&mut self, id: NodeId, place: Place, root: NodeId, memo: &mut Memo) -> Result<NodeId, Error> {
        let op = self.c.g.op(id).clone();
        let args = self.c.g.args(id).to_vec();
        if id != root && self.c.long_axes(id).len() <= 1 {
            let long = self.is_streamed(id);
            let elsewhere = op.is_decision()
                || match place {
                    Place::Root => (long && !self.joins(id, root)) || self.is_repeated(id, root),
                    Place::Operand => long,
                    Place::Inside => long || self.is_contraction(id),
                };
            if elsewhere {
                return self.stored(id);
            }
        }
        if let Op::Ein { axes, guards } = &op {
            return self.cut_sum(id, axes, *guards as usize, root, memo);
        }
        let place = if id == root && !self.is_streamed(id) { Place::Operand } else { Place::Inside };
        self.cut_operands(&op, &args, op.guards(), place, root, memo)
    }

    fn cut_sum(
        &mut self,
        id: NodeId,
        axes: &[AxisId],
        guards: usize,
        root: NodeId,
        memo: &mut Memo,
    ) -> Result<NodeId, Error> {
        let args = self.c.g.args(id).to_vec();
        let mut gs = Vec::new();
        for &g in &args[..guards] {
            gs.push(self.cut_at(g, Place::Inside, root, memo)?);
        }
        let factors = self.use_products_at(&args[guards..])?;
        let streamed = self.is_streamed(id);
        let pair = self.c.long_axes(id).len() > 1;
        let whole = streamed || pair || self.is_contraction(id);
        let mut fs = Vec::new();
        // Rows that will be one stored operand, by their long axes.
        let mut groups: Vec<(Vec<AxisId>, Vec<NodeId>)> = Vec::new();
        for &f in &factors {
            let rows = self.c.long_axes(f);
            if rows.len() > 1 || !(whole || self.c.has_long_reduction(f)) {
                fs.push(self.cut_at(f, Place::Inside, root, memo)?);
            } else if streamed || rows.is_empty() {
                fs.push(self.store_maximal(f, root, memo)?);
            } else {
                match groups.iter_mut().find(|(r, _)| *r == rows) {
                    Some((_, members)) => members.push(f),
                    None => groups.push((rows, vec![f])),
                }
            }
        }
        let alone = fs.is_empty() && groups.len() == 1;
        for (_, members) in groups {
            if alone && let Some((base, power)) = self.power(&members)? {
                let base =
                    if self.is_storable(base) { self.stored(base)? } else { self.store_maximal(base, root, memo)? };
                fs.extend(std::iter::repeat_n(base, power));
                continue;
            }
            if let [one] = members[..] {
                fs.push(self.store_maximal(one, root, memo)?);
                continue;
            }
            if alone {
                // Every element of the product is used once: it is made where it is summed.
                for f in self.use_products_at_home(&members)? {
                    fs.push(self.cut_at(f, Place::Inside, root, memo)?);
                }
                continue;
            }
            let product = self.c.product_of(&members)?;
            let storable = members.iter().all(|&f| self.is_storable(f));
            let one = storable && members.iter().any(|&f| self.c.is_heavy(f)) && self.is_no_larger(product, &members);
            if one && (self.is_shared(product)? || !self.is_light_wrap(product)?) {
                fs.push(self.stored(product)?);
            } else {
                for f in members {
                    fs.push(self.store_maximal(f, root, memo)?);
                }
            }
        }
        Ok(self.c.ein(axes, &gs, &fs)?)
    }

    /// Factors of a sum that are all there is in it, as a power of one product: a norm's sum of squares reads one operand.
    fn power(&mut self, factors: &[NodeId]) -> Result<Option<(NodeId, usize)>, Error> {
        let mut distinct: Vec<NodeId> = Vec::new();
        for &f in factors {
            if !distinct.contains(&f) {
                distinct.push(f);
            }
        }
        let count = |f: NodeId| factors.iter().filter(|&&x| x == f).count();
        let power = count(distinct[0]);
        if power < 2 || distinct.iter().any(|&f| count(f) != power) {
            return Ok(None);
        }
        let base = self.c.product_of(&distinct)?;
        let heavy = distinct.iter().any(|&f| self.c.is_heavy(f));
        Ok((heavy && (distinct.len() == 1 || self.is_no_larger(base, &distinct))).then_some((base, power)))
    }

    /// Stores the largest parts of a term that have no axis more than what is reduced in them.
    fn store_maximal(&mut self, id: NodeId, root: NodeId, memo: &mut Memo) -> Result<NodeId, Error> {
        if !self.c.is_heavy(id) {
            return self.cut_at(id, Place::Inside, root, memo);
        }
        let op = self.c.g.op(id).clone();
        let args = self.c.g.args(id).to_vec();
        let scale = matches!(op, Op::Map(MapFn::Exp | MapFn::Inv | MapFn::Inv0));
        if matches!(op, Op::Sub { .. }) || op.is_reduction() || self.is_walk(id)? {
            return self.cut_at(id, Place::Inside, root, memo);
        }
        if self.is_shared(id)? {
            return self.stored(id);
        }
        if self.is_light_wrap(id)? {
            return self.cut_operands(&op, &args, op.guards(), Place::Inside, root, memo);
        }
        if !scale && self.c.g.dtype(id).is_float() && self.is_no_larger(id, &args) {
            return self.stored(id);
        }
        let mut new = Vec::with_capacity(args.len());
        for a in args {
            new.push(self.store_maximal(a, root, memo)?);
        }
        Ok(self.c.make(&op, &new)?)
    }

    /// Would a kernel that stores `root` compute a sum again for each block of features on which the sum does not depend?
    fn is_repeated(&self, id: NodeId, root: NodeId) -> bool {
        let size = |id: NodeId| -> i64 {
            let short = self.c.g.free(id).iter().filter_map(|a| self.c.g.static_extent(a));
            short.fold(1, i64::saturating_mul)
        };
        self.is_contraction(id) && !self.is_streamed(id) && size(root) / size(id).max(1) > super::Tiles::default().block
    }

    /// One cheap operation on values that are stored anyway: not worth memory of its own.
    fn is_light_wrap(&mut self, id: NodeId) -> Result<bool, Error> {
        let cheap = match self.c.g.op(id) {
            Op::Map(f) => matches!(f, MapFn::Add | MapFn::Mul | MapFn::Max | MapFn::Min),
            Op::Ein { axes, .. } => axes.is_empty(),
            _ => false,
        };
        if !cheap || self.c.g.args(id).len() > 2 {
            return Ok(false);
        }
        for a in self.c.g.args(id).to_vec() {
            let stored = match self.c.g.op(a) {
                Op::Sub { .. } => self.c.g.args(a)[0],
                _ => a,
            };
            if self.c.is_heavy(a) && !self.was_stored(stored)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Would the term take no more memory than the largest of its parts with reductions, as those are stored?
    pub(super) fn is_no_larger(&self, id: NodeId, parts: &[NodeId]) -> bool {
        let stored = |p: NodeId| if let Op::Sub { .. } = self.c.g.op(p) { self.c.g.args(p)[0] } else { p };
        let largest = parts.iter().filter(|&&p| self.c.is_heavy(p)).map(|&p| self.elements(stored(p))).max();
        largest.is_some_and(|l| self.elements(id) <= l)
    }

    /// How many elements a term has: its axes without a static extent, then the product of the others.
    pub(super) fn elements(&self, id: NodeId) -> (usize, i64) {
        let free = self.c.g.free(id);
        let short = free.iter().map(|a| self.c.g.static_extent(a).unwrap_or(1)).fold(1, i64::saturating_mul);
        (free.iter().filter(|&a| self.c.g.static_extent(a).is_none()).count(), short)
    }

    /// A substitution by other axes of the same domains, as such.
    pub(super) fn renaming(&self, axes: &[AxisId], positions: &[NodeId]) -> Option<Vec<(AxisId, AxisId)>> {
        let name = |(&a, &p): (&AxisId, &NodeId)| match self.c.g.op(p) {
            Op::Index(to) if self.c.g.axis(*to).domain == self.c.g.axis(a).domain => Some((a, *to)),
            _ => None,
        };
        axes.iter().zip(positions).map(name).collect()
    }

    /// Is a term after the cut nothing but a read of memory?
    pub(super) fn is_read(&self, id: NodeId) -> bool {
        match self.c.g.op(id) {
            Op::Input(_) => true,
            Op::Sub { .. } => self.is_read(self.c.g.args(id)[0]),
            _ => false,
        }
    }

    /// Can a term be stored as it stands, without taking more memory than what is reduced in it?
    fn is_storable(&self, id: NodeId) -> bool {
        let op = self.c.g.op(id);
        if let Op::Sub { .. } = op {
            return self.is_storable(self.c.g.args(id)[0]);
        }
        let reduced = matches!(op, Op::Rec(_)) || op.is_reduction();
        !self.c.is_heavy(id) || reduced || self.is_no_larger(id, self.c.g.args(id))
    }

    /// How many terms of the layer read a term.
    fn readers(&self, id: NodeId) -> usize {
        self.readers.get(&id).copied().unwrap_or(0)
    }

    /// A contraction: a sum over enough elements, of a product.
    pub(crate) fn is_contraction(&self, id: NodeId) -> bool {
        matches!(self.c.g.op(id), Op::Ein { axes, .. } if {
            let extents = axes.iter().map(|&a| self.c.g.static_extent(a).unwrap_or(i64::MAX));
            extents.fold(1, i64::saturating_mul) >= CONTRACTION
        })
    }

    /// Is it reduced over an axis whose extent is known only when it runs?
    pub(crate) fn is_streamed(&self, id: NodeId) -> bool {
        let op = self.c.g.op(id);
        op.is_reduction() && op.bound().iter().any(|&a| self.c.g.static_extent(a).is_none())
    }

    /// May a streamed sum be computed by the kernel of `root`? Its rows must be the root's.
    pub(crate) fn joins(&self, sum: NodeId, root: NodeId) -> bool {
        let own = self.c.long_axes(sum);
        let same_rows = self.c.g.free(sum).is_subset(self.c.g.free(root)) && own == self.c.long_axes(root);
        // One kernel streams one domain: that of the first sum over a long axis.
        let all = self.streamed(root);
        let long = all.iter().find(|&&s| self.c.g.op(s).bound().iter().any(|&a| self.c.is_long(a)));
        let primary = long.or(all.first()).and_then(|&s| self.stream_domain(s).ok());
        same_rows && primary.is_none_or(|d| self.stream_domain(sum).is_ok_and(|own| own == d))
    }
}
