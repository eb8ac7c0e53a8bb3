//! What is stored because more than one kernel needs it.
//!
//! Scheduling goes down from the outputs and stores what it must ([`super::cut`]). Whether a term that a kernel could compute in
//! place is wanted by another kernel too is only known afterwards. So scheduling runs in rounds: each notes what its kernels
//! computed and what was stored, and the next stores
//! * a contraction that two kernels computed (projecting twice costs more than a pass over the result);
//! * a term that one kernel computed in place although it is stored for another.
//!
//! The set only grows, and what is stored follows from it, so the rounds end; most layers need two or three.

use super::identity::Key;
use super::{Error, Scheduler};
use rustc_hash::{FxHashMap, FxHashSet};
use weft_ir::graph::{NodeId, Op};

/// Rounds after which the plan is taken as it is; a layer that needs more has a chain of that many values.
pub(crate) const ROUNDS: usize = 12;

/// What rounds of scheduling learn about shared terms.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reuse {
    /// Terms that are read wherever they occur.
    must: FxHashSet<Key>,
    /// Is something among them that has no reduction in it?
    light: bool,
    /// What the round before stored.
    before: FxHashSet<Key>,
    /// Terms that this round stored.
    stored: FxHashSet<Key>,
    /// Terms that kernels of this round computed in place: the kernels' own keys, and whether the term is a contraction.
    computed: FxHashMap<Key, (Vec<Key>, bool)>,
}

impl Reuse {
    /// What the next round starts from; none if it would be no different.
    pub(crate) fn next(self) -> Option<Self> {
        let mut must = self.must.clone();
        #[expect(clippy::iter_over_hash_type, reason = "a set is made of it, in any order")]
        for (key, (kernels, contraction)) in &self.computed {
            if self.stored.contains(key) || (*contraction && kernels.len() > 1) {
                must.insert(*key);
            }
        }
        (must != self.must || self.stored != self.before).then(|| Self { must, before: self.stored, ..Self::default() })
    }
}

impl Scheduler {
    /// Is a term read wherever it occurs?
    pub(crate) fn is_shared(&mut self, id: NodeId) -> Result<bool, Error> {
        if self.reuse.must.is_empty() || !self.could_be_shared(id)? {
            return Ok(false);
        }
        let key = self.key(id)?;
        Ok(self.reuse.must.contains(&key))
    }

    /// Did the round before store a term?
    pub(crate) fn was_stored(&mut self, id: NodeId) -> Result<bool, Error> {
        if self.reuse.before.is_empty() {
            return Ok(false);
        }
        let key = self.key(id)?;
        Ok(self.reuse.before.contains(&key))
    }

    /// Notes that a term at home axes is stored.
    pub(crate) fn note_stored(&mut self, home: NodeId) -> Result<(), Error> {
        let key = self.key(home)?;
        self.reuse.stored.insert(key);
        Ok(())
    }

    /// Notes that the kernel of `root` computes a term in place.
    pub(crate) fn note_computed(&mut self, id: NodeId, root: NodeId) -> Result<(), Error> {
        if !self.could_be_shared(id)? {
            return Ok(());
        }
        let contraction = self.is_contraction(id) && !self.is_streamed(id);
        let (key, kernel) = (self.key(id)?, self.key(root)?);
        let entry = self.reuse.computed.entry(key).or_insert((Vec::new(), contraction));
        if !entry.0.contains(&kernel) {
            entry.0.push(kernel);
        }
        Ok(())
    }

    /// Scores along time that ranks over time are taken of are stored, however cheap they are: all who compare them with a rank read the same numbers, and
    /// so does a check.
    pub(crate) fn share_scores(&mut self) -> Result<(), Error> {
        for id in self.c.g.reachable() {
            let (Op::KthValue { axis, .. } | Op::KthIndex { axis, .. }) = *self.c.g.op(id) else { continue };
            if !self.c.is_long(axis) {
                continue;
            }
            let Some(&(mut score)) = self.c.g.operands(id).first() else { continue };
            while matches!(self.c.g.op(score), Op::Sub { .. }) {
                score = self.c.g.args(score)[0];
            }
            let along_time = self.c.long_axes(score).len() == 1 && !self.c.is_data_free(score);
            let light = std::mem::replace(&mut self.reuse.light, true);
            if along_time && self.could_be_shared(score)? {
                let key = self.key(score)?;
                self.reuse.must.insert(key);
                self.reuse.light = light || !self.c.is_heavy(score);
            } else {
                self.reuse.light = light;
            }
        }
        Ok(())
    }

    fn could_be_shared(&mut self, id: NodeId) -> Result<bool, Error> {
        let bound = matches!(self.c.g.op(id), Op::Sub { .. } | Op::Prev(_) | Op::Input(_));
        // A recurrence can be stored; a term of a previous state cannot.
        let inside = !matches!(self.c.g.op(id), Op::Rec(_)) && self.states(id)?.previous;
        let row = self.c.is_row_value(id) || self.reuse.light && self.c.long_axes(id).len() == 1;
        Ok(!bound && !self.c.is_comparison(id) && row && !inside)
    }
}
