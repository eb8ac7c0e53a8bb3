//! Clocks in the user's words: the table of `check`, and the error for an output that looks ahead.

use super::super::bounds;
use super::{Clock, ClockInfo, Clocks, Entry, Read};
use crate::diagnostics::{Diagnostic, SourceId, Span, codes};
use crate::sema::Definition;
use rustc_hash::FxHashMap;
use std::rc::Rc;
use weft_ir::graph::affine::Affine;
use weft_ir::graph::{AxisId, DomainId, MapFn, NodeId, Op, Output, Role};

impl Clocks {
    /// When a value is known, for every time axis of the layer that it depends on.
    pub(super) fn describe(&mut self, d: &Definition) -> Vec<ClockInfo> {
        let entries = self.known.get(&d.node).map(|e| (**e).clone()).unwrap_or_default();
        let times: Vec<DomainId> = (0..self.graph.domains().len() as u32)
            .map(DomainId)
            .filter(|&t| self.graph.domain(t).role == Role::Time)
            .collect();
        let single = times.len() == 1;
        times
            .into_iter()
            .filter_map(|time| {
                let own: Vec<Entry> = entries.iter().filter(|e| e.time == time).cloned().collect();
                if own.is_empty() && !single {
                    return None;
                }
                let clock = self.clock(d.node, time, &own);
                Some(ClockInfo { name: d.name.clone(), time: self.graph.domain(time).name.to_string(), clock })
            })
            .collect()
    }

    fn clock(&mut self, node: NodeId, time: DomainId, entries: &[Entry]) -> Clock {
        if entries.is_empty() {
            return Clock::Always;
        }
        // Positions of the value's own time axes, whichever are needed; else the entry's own formula.
        let axes: Vec<AxisId> = self.graph.free(node).iter().filter(|&a| self.graph.axis(a).domain == time).collect();
        let mut formulas: Vec<String> = Vec::new();
        let mut bounds: Vec<NodeId> = Vec::new();
        let mut others: Vec<&Entry> = Vec::new();
        for e in entries {
            let Some(at) = e.at else { return Clock::End };
            match self.formula(at, node) {
                Some(text) => {
                    bounds.push(at);
                    if !formulas.contains(&text) {
                        formulas.push(text);
                    }
                }
                None => others.push(e),
            }
        }
        for e in others {
            if bounds.iter().any(|&b| self.at_most(e, b)) {
                continue;
            }
            let plain = axes.iter().copied().find(|&a| self.graph.index(a).is_ok_and(|b| self.at_most(e, b)));
            let Some(a) = plain else { return Clock::End };
            let name = self.graph.axis(a).name.to_string();
            if !formulas.contains(&name) {
                formulas.push(name);
            }
        }
        Clock::At(formulas)
    }

    /// An affine position over the free axes of a value, as text.
    fn formula(&self, at: NodeId, of: NodeId) -> Option<String> {
        let form = self.affine(at)?;
        let mut text = String::new();
        for (&a, c) in form.terms() {
            if !self.graph.free(of).contains(a) {
                return None;
            }
            let name = &self.graph.axis(a).name;
            let term = if c.abs() == 1 { name.to_string() } else { format!("{}*{name}", c.abs()) };
            text += &match (text.is_empty(), c < 0) {
                (true, false) => term,
                (true, true) => format!("-{term}"),
                (false, false) => format!(" + {term}"),
                (false, true) => format!(" - {term}"),
            };
        }
        match (form.constant(), text.is_empty()) {
            (c, true) => Some(c.to_string()),
            (0, _) => Some(text),
            (c, _) => Some(format!("{text} {} {}", if c < 0 { '-' } else { '+' }, c.abs())),
        }
    }

    pub(super) fn affine(&self, at: NodeId) -> Option<Affine> {
        let Op::Sub { axes } = self.graph.op(at) else { return Affine::of(&self.graph, at) };
        // Substituted positions, one level after the other.
        let args = self.graph.args(at);
        let mut form = Affine::new(0);
        let body = self.affine(args[0])?;
        for (a, c) in body.terms() {
            let by = match axes.iter().position(|x| x == a) {
                Some(k) => self.affine(args[k + 1])?,
                None => Affine::var(*a),
            };
            form = form.checked_add(&by, c)?;
        }
        form.checked_add(&Affine::new(body.constant()), 1)
    }

    /// The error for an output that may depend on inputs after its own time.
    pub(super) fn output(
        &mut self,
        out: &Output,
        definitions: &[Definition],
        spans: &FxHashMap<NodeId, Span>,
    ) -> Option<Diagnostic> {
        let entries = self.known.get(&out.node).map(|e| (**e).clone()).unwrap_or_default();
        // Of several leaks, the one whose reduction is written first is the cause of the others.
        let mut worst: Option<(NodeId, Entry, Option<NodeId>)> = None;
        for e in entries {
            let Some(goal) = self.leaks(out, &e) else { continue };
            let binder = self.binder(&chain(&e.why), e.time).map_or(out.node, |(n, _)| n);
            if worst.as_ref().is_none_or(|w| binder < w.0) {
                worst = Some((binder, e, goal));
            }
        }
        worst.map(|(_, e, goal)| self.leak(out, &e, goal, definitions, spans))
    }

    /// The condition that an entry should imply and does not; `Some(None)` for what is known only at the end.
    fn leaks(&mut self, out: &Output, e: &Entry) -> Option<Option<NodeId>> {
        let mut bounds: Vec<NodeId> = Vec::new();
        let mut timed = false;
        for &a in &out.axes {
            let domain = self.graph.axis(a).domain;
            if self.time_of(domain) == Some(e.time) {
                timed |= self.graph.domain(domain).role == Role::Time;
                let index = self.graph.index(a).ok()?;
                bounds.extend(self.exists(domain, index));
            }
        }
        // Without a time axis, an output is what it is at the end.
        if !timed {
            return None;
        }
        let Some(at) = e.at else { return Some(None) };
        let goals: Vec<NodeId> = bounds.iter().filter_map(|&b| self.map(MapFn::Le, &[at, b])).collect();
        let goal = match goals.as_slice() {
            [one] => Some(*one),
            several => self.map(MapFn::Or, several),
        };
        if goal.is_some_and(|g| self.implied(&e.guards, g)) { None } else { Some(goal) }
    }

    /// What binds the position of an entry: the reduction nearest to the output that ranges over its time, with its place
    /// in the chain.
    fn binder(&self, chain: &[Step], time: DomainId) -> Option<(NodeId, usize)> {
        let over_time = |&(n, binds): &Step| {
            let op = self.graph.op(n);
            binds && op.bound().iter().any(|&a| self.time_of(self.graph.axis(a).domain) == Some(time))
        };
        chain.iter().position(over_time).map(|k| (chain[k].0, k))
    }

    fn leak(
        &self,
        out: &Output,
        e: &Entry,
        goal: Option<NodeId>,
        definitions: &[Definition],
        spans: &FxHashMap<NodeId, Span>,
    ) -> Diagnostic {
        let time = out
            .axes
            .iter()
            .find(|&&a| self.graph.axis(a).domain == e.time)
            .map_or_else(|| "t".to_owned(), |&a| self.graph.axis(a).name.to_string());
        let chain = chain(&e.why);
        let name = |n: NodeId| -> Option<String> {
            let by_definition = definitions.iter().find(|d| d.node == n).map(|d| d.name.clone());
            by_definition.or_else(|| self.graph.label(n).map(str::to_owned)).or_else(|| match self.graph.op(n) {
                Op::Input(i) => Some(self.graph.input(*i).name.to_string()),
                _ => None,
            })
        };
        let named: Vec<String> = chain.iter().filter_map(|&(n, _)| name(n)).fold(Vec::new(), |mut all, n| {
            if all.last() != Some(&n) && n != *out.name {
                all.push(n);
            }
            all
        });
        let input = chain.last().filter(|&&(n, _)| matches!(self.graph.op(n), Op::Input(_)));
        let source = input.and_then(|_| named.last().cloned());
        let written = |(n, _): &Step| spans.get(n).copied().filter(|s| s.source != SourceId::STD);
        // Within the library, the call is what the user wrote.
        let binder = self.binder(&chain, e.time);
        let binder = binder.and_then(|(_, k)| chain[..=k].iter().rev().find_map(written));
        let size = chain.iter().copied().find(|&(n, _)| matches!(self.graph.op(n), Op::Size(_)));
        let bound: Option<String> = e.at.and_then(|at| {
            let other =
                self.graph.free(at).iter().find(|a| !out.axes.contains(a) && self.graph.axis(*a).domain == e.time)?;
            Some(self.graph.axis(other).name.to_string())
        });
        let message = match (&source, size) {
            (_, Some(_)) => format!(
                "output `{}` at {time} depends on the length of the sequence, which is known only at its end",
                out.name
            ),
            (Some(s), _) => format!("output `{}` at {time} may depend on `{s}` at a later position", out.name),
            (None, _) => format!("output `{}` at {time} depends on positions that do not exist yet", out.name),
        };
        let mut d = Diagnostic::error(codes::E0401, message);
        let definition = definitions.iter().rev().find(|d| d.node == out.node && *d.name == *out.name);
        let own = definition.map(|d| d.span);
        let place = size.and_then(|n| written(&n)).or(binder).or(own);
        if let Some(place) = place {
            let label = match (&bound, size) {
                (_, Some(_)) => "the extent of a time axis is known only at the end".to_owned(),
                (Some(j), _) => format!("ranges over `{j}` after `{time}`"),
                (None, _) => format!("reads after `{time}`"),
            };
            d = d.at(place, label);
        }
        // From the output down to the input, value by value.
        let mut above = out.name.to_string();
        let mut last: Option<Span> = place;
        for n in &named {
            let span = definitions.iter().find(|d| d.name == *n).map(|d| d.span);
            if let Some(span) = span.filter(|s| Some(*s) != last && d.secondary.len() < 6) {
                d = d.also(span, format!("`{above}` depends on `{n}`"));
                last = Some(span);
            }
            above.clone_from(n);
        }
        if let Some(own) = own.filter(|o| Some(*o) != place) {
            d = d.also(own, "the output");
        }
        if !named.is_empty() {
            d = d.note(format!("the chain of reads: {} <- {}", out.name, named.join(" <- ")));
        }
        if let Some(goal) = goal
            && let Some(example) = bounds::refutation(&self.graph, &e.guards, goal)
        {
            d = d.note(format!("for example, {example}"));
        }
        match bound {
            Some(j) if size.is_none() => d.hint(format!("keep it in the past: `where {j} <= {time}`")),
            _ if size.is_some() => d.hint(format!("use a count of what has been seen, such as `{time} + 1`")),
            _ => d.hint(format!("read it at `{time}` or before")),
        }
    }
}

/// A node of a chain of reads, and whether it binds the position.
type Step = (NodeId, bool);

/// From the value at hand down to the input.
fn chain(why: &Rc<Read>) -> Vec<Step> {
    let mut all = vec![(why.node, why.binds)];
    let mut at = why;
    while let Some(below) = &at.below {
        all.push((below.node, below.binds));
        at = below;
    }
    all
}
