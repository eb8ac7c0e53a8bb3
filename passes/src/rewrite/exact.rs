//! The cheapest terms of all: branch and bound over the choices, seeded by what hill climbing found.
//!
//! A choice is made class by class, from the root. What is certain of a half-made choice is what its finished rows cost, and of every other row that
//! any completion needs, the cost of its cheapest term: rows are paid for once, whoever reads them, so these add up. As soon as that is no less than
//! the best that is known, the half-made choice is left. The search is exact where it ends; otherwise what it found so far stands.

mod space;

use super::cost::Cost;
use super::import::Choice;
use super::workshop::Eg;
use egg::Id;
use rustc_hash::{FxHashMap, FxHashSet};
use space::Space;

/// What a search came to.
pub(crate) struct Searched {
    /// The choice, and what it costs.
    pub(crate) best: (Choice, f64),
    /// Is there none that costs less?
    pub(crate) proven: bool,
}

/// Looks for something cheaper than `seed`, a choice with its cost, in so many steps.
pub(crate) fn search(eg: &Eg, cost: &Cost<'_>, root: Id, seed: (Choice, f64), steps: usize) -> Searched {
    searched(eg, cost, root, seed, steps, true)
}

/// The same, and by lower bounds, or else one by one.
pub(crate) fn searched(
    eg: &Eg,
    cost: &Cost<'_>,
    root: Id,
    seed: (Choice, f64),
    steps: usize,
    bounded: bool,
) -> Searched {
    let space = Space::new(eg, cost, eg.find(root));
    let mut s = Search {
        space: &space,
        cost,
        choice: seed.0.clone(),
        bounded,
        decided: vec![false; space.ids.len()],
        pushed: vec![false; space.ids.len()],
        needed: vec![false; space.ids.len()],
        trail: Vec::new(),
        cells: Vec::new(),
        paid: 0.0,
        pending: 0.0,
        rows: space.ids.iter().zip(&space.row).filter(|(_, r)| **r).map(|(&id, _)| (id, ())).collect(),
        best: seed,
        root: eg.find(root),
    };
    let proven = s.run(steps);
    Searched { best: s.best, proven }
}

/// Less than this share of the whole is no gain.
const GAIN: f64 = 1e-9;

/// What is still to do. One row at a time is open: what it is made of is chosen before the next row is looked at, so that its cost is known then.
#[derive(Clone, Copy, Default)]
struct Todo {
    /// The row that is open.
    open: Option<usize>,
    /// Classes in it that have no term yet, as a list in [`Search::cells`].
    inside: Option<usize>,
    /// Rows that it needs, and others that are needed.
    rows: Option<usize>,
}

/// A place where another term can be tried.
struct Branch {
    class: usize,
    next: usize,
    todo: Todo,
    trail: usize,
    cells: usize,
    paid: f64,
    pending: f64,
}

/// What was changed.
enum Change {
    Decided(usize),
    Pushed(usize),
    Needed(usize),
}

struct Search<'a, 'c> {
    space: &'a Space<'a>,
    cost: &'a Cost<'c>,
    choice: Choice,
    /// Are bounds believed?
    bounded: bool,
    decided: Vec<bool>,
    pushed: Vec<bool>,
    needed: Vec<bool>,
    trail: Vec<Change>,
    /// What is to do, as lists that share their ends.
    cells: Vec<(usize, Option<usize>)>,
    /// What closed rows cost.
    paid: f64,
    /// What other rows that are needed cost at least.
    pending: f64,
    best: (Choice, f64),
    /// All rows, as if they were paid for.
    rows: FxHashMap<Id, ()>,
    root: Id,
}

impl Search<'_, '_> {
    /// Did it end?
    fn run(&mut self, steps: usize) -> bool {
        let mut todo = Todo::default();
        self.push(self.space.number(self.root), &mut todo);
        let mut branches: Vec<Branch> = Vec::new();
        for _ in 0..steps {
            let class = if self.is_too_dear() { None } else { self.next(&mut todo) };
            if let Some(class) = class {
                let (trail, cells, paid, pending) = (self.trail.len(), self.cells.len(), self.paid, self.pending);
                branches.push(Branch { class, next: 0, todo, trail, cells, paid, pending });
            }
            match self.another(&mut branches) {
                Some(next) => todo = next,
                None => return true,
            }
        }
        false
    }

    /// Does every completion cost as much as the best that is known?
    fn is_too_dear(&self) -> bool {
        self.bounded && self.paid + self.pending >= self.best.1 * (1.0 - GAIN)
    }

    /// The next class that needs a term. If there is none, a choice is complete.
    fn next(&mut self, todo: &mut Todo) -> Option<usize> {
        if let Some(cell) = todo.inside {
            let (class, rest) = self.cells[cell];
            todo.inside = rest;
            return Some(class);
        }
        if let Some(c) = todo.open.take() {
            self.paid += self.cost.alone(&self.choice, self.space.ids[c], &mut self.rows);
            self.pending -= self.space.least[c];
            if self.is_too_dear() {
                return None;
            }
        }
        let Some(cell) = todo.rows else {
            let price = self.cost.total(&self.choice, self.root);
            if price < self.best.1 * (1.0 - GAIN) {
                self.best = (self.choice.clone(), price);
            }
            return None;
        };
        let (class, rest) = self.cells[cell];
        *todo = Todo { open: Some(class), inside: None, rows: rest };
        Some(class)
    }

    /// The next term of the last class that has another, and what is to do with it.
    fn another(&mut self, branches: &mut Vec<Branch>) -> Option<Todo> {
        loop {
            let b = branches.last_mut()?;
            let (class, n, todo) = (b.class, b.next, b.todo);
            b.next += 1;
            let (trail, cells) = (b.trail, b.cells);
            (self.paid, self.pending) = (b.paid, b.pending);
            self.undo(trail);
            self.cells.truncate(cells);
            if n >= self.space.terms[class].len() {
                branches.pop();
            } else if let Some(next) = self.choose(class, n, todo) {
                return Some(next);
            }
        }
    }

    /// Takes a term; what is to do then. None if it is made of itself.
    fn choose(&mut self, class: usize, n: usize, mut todo: Todo) -> Option<Todo> {
        let space = self.space;
        let (term, kids) = &space.terms[class][n];
        if kids.iter().any(|&k| self.reaches(k, class)) {
            return None;
        }
        self.choice.insert(space.ids[class], term.clone());
        self.decided[class] = true;
        self.trail.push(Change::Decided(class));
        for &k in kids {
            self.push(k, &mut todo);
        }
        Some(todo)
    }

    /// Puts a class before what is to do, if it was not there.
    fn push(&mut self, class: usize, todo: &mut Todo) {
        if self.pushed[class] {
            return;
        }
        self.pushed[class] = true;
        self.trail.push(Change::Pushed(class));
        for (w, &word) in self.space.must[class].iter().enumerate() {
            let mut bits = word;
            while bits != 0 {
                let r = w * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                if r < self.needed.len() && !self.needed[r] {
                    self.needed[r] = true;
                    self.trail.push(Change::Needed(r));
                    self.pending += self.space.least[r];
                }
            }
        }
        let list = if self.space.row[class] { &mut todo.rows } else { &mut todo.inside };
        self.cells.push((class, *list));
        *list = Some(self.cells.len() - 1);
    }

    /// Is a class made of another, as far as terms are chosen?
    fn reaches(&self, from: usize, to: usize) -> bool {
        let (mut stack, mut seen) = (vec![from], FxHashSet::default());
        while let Some(c) = stack.pop() {
            if c == to {
                return true;
            }
            if self.decided[c] && seen.insert(c) {
                stack.extend(self.choice[&self.space.ids[c]].args.iter().map(|&a| self.space.number(a)));
            }
        }
        false
    }

    fn undo(&mut self, to: usize) {
        while self.trail.len() > to {
            match self.trail.pop() {
                Some(Change::Decided(c)) => self.decided[c] = false,
                Some(Change::Pushed(c)) => self.pushed[c] = false,
                Some(Change::Needed(c)) => self.needed[c] = false,
                None => return,
            }
        }
    }
}
