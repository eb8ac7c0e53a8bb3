//! Causality.
use super::Definition;
use crate::diagnostics::{Diagnostic, Span};
use rustc_hash::FxHashMap;
use weft_ir::graph::{Graph, NodeId};
/// Clock
#[derive(Clone, Debug)]
pub struct Clock;
/// Info
#[derive(Clone, Debug)]
pub struct ClockInfo;
pub(super) fn check(_: &Graph, _: &[Definition], _: &FxHashMap<NodeId, Span>) -> (Vec<ClockInfo>, Vec<Diagnostic>) {
    (Vec::new(), Vec::new())
}
