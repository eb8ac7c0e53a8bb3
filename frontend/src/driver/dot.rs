//! Graph IR as a picture: the language of graphviz.

use std::fmt::Write;

use weft_ir::graph::{Graph, NodeId, Op};

/// The graph as a `digraph`: inputs at the top, outputs at the bottom, decisions as diamonds, values with a name in the source in
/// bold. Constants and indices are drawn anew for each reader, since edges to them say nothing.
#[must_use]
pub fn dot(graph: &Graph) -> String {
    let mut out = format!("digraph {} {{\n", quoted(&graph.name));
    out += "  rankdir=TB; node [shape=box, fontname=\"monospace\", fontsize=10]; edge [arrowsize=0.6];\n";
    let small = |id: NodeId| matches!(graph.op(id), Op::Const(_) | Op::Index(_) | Op::Size(_));
    for id in graph.reachable() {
        if small(id) {
            continue;
        }
        let op = graph.op(id);
        let axes: Vec<&str> = graph.free(id).iter().map(|a| &*graph.axis(a).name).collect();
        let mut text = format!("{} [{}]", caption(graph, id), axes.join(","));
        if let Some(label) = graph.label(id) {
            text = format!("{label}\n{text}");
        }
        let style = match op {
            Op::Input(_) => ", style=filled, fillcolor=lightblue",
            _ if op.is_decision() => ", shape=diamond",
            _ if graph.label(id).is_some() => ", style=bold",
            _ => "",
        };
        // Writing into a string does not fail.
        let _ = writeln!(out, "  n{} [label={}{style}];", id.0, quoted(&text));
        for (k, &arg) in graph.args(id).iter().enumerate() {
            if small(arg) {
                let _ = writeln!(out, "  n{}_{k} [label={}, shape=plaintext];", id.0, quoted(&caption(graph, arg)));
                let _ = writeln!(out, "  n{}_{k} -> n{};", id.0, id.0);
            } else {
                let _ = writeln!(out, "  n{} -> n{};", arg.0, id.0);
            }
        }
    }
    for (i, output) in graph.outputs.iter().enumerate() {
        let text = format!("out {}", output.name);
        let _ = writeln!(out, "  out{i} [label={}, style=filled, fillcolor=lightgrey];", quoted(&text));
        let from = if small(output.node) { continue } else { output.node.0 };
        let _ = writeln!(out, "  n{from} -> out{i};");
    }
    out + "}\n"
}

fn caption(graph: &Graph, id: NodeId) -> String {
    let names = |axes: &[weft_ir::graph::AxisId]| {
        axes.iter().map(|&a| graph.axis(a).name.to_string()).collect::<Vec<_>>().join(",")
    };
    match graph.op(id) {
        Op::Input(i) => graph.input(*i).name.to_string(),
        Op::Const(c) => c.to_string(),
        Op::Index(a) => graph.axis(*a).name.to_string(),
        Op::Size(d) => format!("|{}|", graph.domain(*d).name),
        Op::Map(f) => f.name().to_owned(),
        op if op.bound().is_empty() => op.name().to_owned(),
        op => format!("{}({})", op.name(), names(op.bound())),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
