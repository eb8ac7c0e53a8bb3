//! The report of `weft check`, for people and for machines.

use std::time::Duration;

use serde_json::{Value, json};

use crate::diagnostics::{Color, to_json};
use crate::driver::{Against, KernelCost, Loaded, OutputRow, Phase, Report};
use weft_passes::saved::Saved;

/// How a cell is printed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Bold,
    Dim,
    Good,
    Bad,
}

impl Style {
    fn paint(self, text: &str, color: Color) -> String {
        let code = match self {
            _ if color == Color::Never => return text.to_owned(),
            Self::Plain => return text.to_owned(),
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Good => "32",
            Self::Bad => "1;31",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// A table whose columns are as wide as their widest cell.
struct Grid<'a> {
    /// For each column: is it aligned to the right?
    right: &'a [bool],
    rows: Vec<Vec<(String, Style)>>,
}

/// The widest a column of words gets; longer ones go on in the next line.
const WIDEST: usize = 46;

impl<'a> Grid<'a> {
    fn new(right: &'a [bool], head: &[&str]) -> Self {
        Self { right, rows: vec![head.iter().map(|h| ((*h).to_owned(), Style::Dim)).collect()] }
    }

    fn row(&mut self, cells: impl IntoIterator<Item = (String, Style)>) {
        self.rows.push(cells.into_iter().collect());
    }

    fn print(&self, color: Color) -> String {
        let columns = self.right.len();
        let wrapped: Vec<Vec<(Vec<String>, Style)>> =
            self.rows.iter().map(|r| r.iter().map(|(text, style)| (wrap(text), *style)).collect()).collect();
        let width = |c: usize| {
            let cells = wrapped.iter().filter_map(|r| r.get(c)).flat_map(|(lines, _)| lines);
            cells.map(|l| l.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut out = String::new();
        for row in &wrapped {
            let height = row.iter().map(|(lines, _)| lines.len()).max().unwrap_or(0);
            for line in 0..height {
                let mut text = String::from("  ");
                for (c, (lines, style)) in row.iter().enumerate() {
                    let cell = lines.get(line).map_or("", String::as_str);
                    let pad = " ".repeat(widths[c].saturating_sub(cell.chars().count()));
                    let cell = style.paint(cell, color);
                    text += &if self.right[c] { format!("{pad}{cell}") } else { format!("{cell}{pad}") };
                    text += "  ";
                }
                out += text.trim_end();
                out.push('\n');
            }
        }
        out
    }
}

/// Lines of at most [`WIDEST`] characters, broken at blanks.
fn wrap(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last_mut();
        match last {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDEST => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The report as a text of a few paragraphs.
pub(super) fn report(report: &Report, notes: bool, color: Color) -> String {
    let pairs =
        |list: &[(String, String)]| list.iter().map(|(n, v)| format!("{n}={}", short(v))).collect::<Vec<_>>().join(" ");
    let title = if report.gradients { format!("gradients of {}", report.layer) } else { report.layer.clone() };
    let mut out = format!("{}  {}\n", Style::Bold.paint(&title, color), pairs(&report.sizes)).trim_end().to_owned();
    let mut facts = vec![pairs(&report.extents), report.float.name().to_owned(), report.backend.name().to_owned()];
    facts.extend(match report.causal {
        Some(true) => Some("causal".to_owned()),
        Some(false) => Some("not causal".to_owned()),
        None if report.gradients => None,
        None => Some("no time axis".to_owned()),
    });
    facts.extend(report.algorithm.clone());
    // A function with a recurrence that is called twice makes two of one name.
    let mut recurrences: Vec<(String, usize)> = Vec::new();
    for (name, class) in &report.recurrences {
        let text = format!("rec {name}: {class}");
        match recurrences.iter_mut().find(|(t, _)| *t == text) {
            Some((_, n)) => *n += 1,
            None => recurrences.push((text, 1)),
        }
    }
    facts.extend(recurrences.into_iter().map(|(text, n)| if n == 1 { text } else { format!("{text} (x{n})") }));
    facts.push(format!("inputs: {}", report.inputs));
    facts.retain(|f| !f.is_empty());
    out += "\n";
    out += &paragraph(&facts, color);
    if !report.kernels.is_empty() {
        out += "\n";
        out += &kernels(&report.kernels, color);
    }
    if let Some(m) = report.memory {
        let bytes = |n: u64| scaled(n as f64, "B");
        let (inputs, outputs, workspace) = (bytes(m.inputs), bytes(m.outputs), bytes(m.workspace));
        let text = format!("memory: inputs {inputs} · outputs {outputs} · workspace {workspace}");
        out += &format!("  {}\n", Style::Dim.paint(&text, color));
    }
    if let Some(first) = report.forward {
        out += &training(report, first, color);
    }
    if notes && !report.notes.is_empty() {
        out += "\n";
        for note in &report.notes {
            out += &format!("  {}\n", Style::Dim.paint(note, color));
        }
    }
    if !report.decisions.is_empty() {
        out += "\n";
        out += &decisions(report, color);
    }
    if !report.outputs.is_empty() {
        out += "\n";
        out += &outputs(report, color);
    }
    if let Some((axis, positions)) = &report.rows
        && report.outputs.iter().any(|o| o.against == Against::Evaluator)
    {
        let text = format!(
            "compared with the evaluator at {} positions of {axis}; `--rows all` compares all",
            positions.len()
        );
        out += &format!("  {}\n", Style::Dim.paint(&text, color));
    }
    out += "\n";
    let times: Vec<String> = report.phases.iter().map(|(p, d)| format!("{} {}", p.name(), duration(*d))).collect();
    out += &paragraph(&times, color);
    out += &verdict(report, color);
    out
}

/// Facts, separated by dots, in lines that fit a screen.
fn paragraph(facts: &[String], color: Color) -> String {
    const WIDTH: usize = 100;
    let mut lines = vec![String::new()];
    for fact in facts {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(fact),
            Some(line) if line.chars().count() + 3 + fact.chars().count() <= WIDTH => {
                line.push_str(" · ");
                line.push_str(fact);
            }
            _ => lines.push(fact.clone()),
        }
    }
    lines.iter().map(|l| format!("  {}\n", Style::Dim.paint(l, color))).collect()
}

fn kernels(kernels: &[KernelCost], color: Color) -> String {
    let plain = |text: String| (text, Style::Plain);
    // Backends that are not there for speed give no times.
    let timed = kernels.iter().any(|k| k.time.is_some());
    let head = ["kernel", "grid", "streams", "flops", "read", "written", "time"];
    let right = [false, true, false, true, true, true, true];
    let columns = if timed { head.len() } else { head.len() - 1 };
    let mut grid = Grid::new(&right[..columns], &head[..columns]);
    let time = |t: Option<Duration>| t.map_or_else(String::new, duration);
    for k in kernels {
        let more = if k.at_least { ">" } else { "" };
        let cells = [
            (k.name.clone(), Style::Bold),
            plain(k.grid.clone()),
            (if k.streams.is_empty() { "-".to_owned() } else { k.streams.join("; ") }, Style::Plain),
            plain(format!("{more}{}", scaled(k.flops, ""))),
            plain(scaled(k.bytes_read as f64, "B")),
            plain(scaled(k.bytes_written as f64, "B")),
            plain(time(k.time)),
        ];
        grid.row(cells.into_iter().take(columns));
    }
    if kernels.len() > 1 {
        let sum = |f: fn(&KernelCost) -> f64| kernels.iter().map(f).sum::<f64>();
        let dim = |text: String| (text, Style::Dim);
        let cells = [
            dim(format!("{} kernels", kernels.len())),
            dim(String::new()),
            dim(String::new()),
            dim(scaled(sum(|k| k.flops), "")),
            dim(scaled(sum(|k| k.bytes_read as f64), "B")),
            dim(scaled(sum(|k| k.bytes_written as f64), "B")),
            dim(time(kernels.iter().map(|k| k.time).sum())),
        ];
        grid.row(cells.into_iter().take(columns));
    }
    grid.print(color)
}

/// What forward and backward do, and what the one saves for the other.
fn training(report: &Report, first: usize, color: Color) -> String {
    let (forward, backward) = report.kernels.split_at(first.min(report.kernels.len()));
    let about = |name: &str, kernels: &[KernelCost]| {
        let flops = scaled(kernels.iter().map(|k| k.flops).sum(), "");
        let time: Option<Duration> = kernels.iter().map(|k| k.time).sum();
        let time = time.map_or_else(String::new, |t| format!(", {}", duration(t)));
        format!("{name}: {} kernels, {flops} flops{time}", kernels.len())
    };
    let saved = report.saved.iter().map(|s| {
        let size = s.bytes.map_or_else(String::new, |n| format!(" {}", scaled(n as f64, "B")));
        format!("{}{size}{}", s.name, if s.decision { " (decision)" } else { "" })
    });
    let all: u64 = report.saved.iter().filter_map(|s| s.bytes).sum();
    let mut facts = vec![about("forward", forward), about("backward", backward)];
    facts.push(format!("saved for backward: {}", scaled(all as f64, "B")));
    facts.extend(saved);
    paragraph(&facts, color)
}

fn decisions(report: &Report, color: Color) -> String {
    let mut grid = Grid::new(&[false, true, false], &["decision", "off by", ""]);
    for d in &report.decisions {
        let verdict = if d.ok() {
            ("ok".to_owned(), Style::Good)
        } else {
            (format!("not optimal at {:?}", d.position), Style::Bad)
        };
        let worst = if d.worst == 0.0 { "0".to_owned() } else { format!("{:.2} tol", d.worst) };
        grid.row([(d.name.clone(), Style::Bold), (worst, Style::Plain), verdict]);
    }
    grid.print(color)
}

fn outputs(report: &Report, color: Color) -> String {
    let plain = |text: String| (text, Style::Plain);
    let head = ["output", "against", "max abs", "rel L2", "bound", ""];
    let mut grid = Grid::new(&[false, false, true, true, true, false], &head);
    let scores = report.scores.iter().map(|s| (format!("{} (scores)", s.name), s));
    for (name, o) in scores.chain(report.outputs.iter().map(|o| (o.name.clone(), o))) {
        let d = &o.distance;
        let verdict = if d.ok() { ("ok".to_owned(), Style::Good) } else { ("mismatch".to_owned(), Style::Bad) };
        let bound = if d.bound == 0.0 { "equal".to_owned() } else { error(d.bound) };
        grid.row([
            (name, Style::Bold),
            plain(against(o.against).to_owned()),
            plain(error(d.max_abs)),
            plain(error(d.relative)),
            (bound, Style::Dim),
            verdict,
        ]);
    }
    grid.print(color)
}

fn verdict(report: &Report, color: Color) -> String {
    let total: Duration = report.phases.iter().map(|(_, d)| *d).sum();
    let rows = || report.outputs.iter().chain(&report.scores);
    let count = rows().count() + report.decisions.len();
    let wrong = rows().filter(|o| !o.distance.ok()).count() + report.decisions.iter().filter(|d| !d.ok()).count();
    let (word, style, rest) = match (count, wrong) {
        (0, _) => ("nothing compared", Style::Dim, ": the evaluator needs `--golden` to be compared with".to_owned()),
        (_, 0) => ("ok", Style::Good, format!(": {count} of {count} comparisons agree")),
        _ => ("mismatch", Style::Bad, format!(": {wrong} of {count} comparisons disagree")),
    };
    format!("{}{rest}, in {}\n", style.paint(word, color), duration(total))
}

fn against(a: Against) -> &'static str {
    match a {
        Against::Evaluator => "evaluator",
        Against::Golden => "golden",
    }
}

fn error(x: f64) -> String {
    if x == 0.0 { "0".to_owned() } else { format!("{x:.1e}") }
}

/// A constant in at most six decimals: enough to recognise it.
fn short(number: &str) -> String {
    match number.parse::<f64>() {
        Ok(x) if number.len() > 8 && number.contains('.') => format!("{}", (x * 1e6).round() / 1e6),
        _ => number.to_owned(),
    }
}

/// A number with a decimal prefix: `12.3 M`.
fn scaled(x: f64, unit: &str) -> String {
    let prefixes = ["", "k", "M", "G", "T", "P"];
    let mut value = x;
    let mut at = 0;
    while value >= 999.5 && at + 1 < prefixes.len() {
        value /= 1000.0;
        at += 1;
    }
    let digits = if value >= 99.95 || at == 0 { 0 } else { 1 };
    format!("{value:.digits$} {}{unit}", prefixes[at]).trim_end().to_owned()
}

fn duration(d: Duration) -> String {
    let s = d.as_secs_f64();
    match s {
        _ if s >= 99.5 => format!("{s:.0} s"),
        _ if s >= 0.9995 => format!("{s:.1} s"),
        _ if s >= 0.00995 => format!("{:.0} ms", s * 1e3),
        _ => format!("{:.1} ms", s * 1e3),
    }
}

/// The table of `--time-passes`.
pub(super) fn phases(times: &[(Phase, Duration)]) -> String {
    let mut grid = Grid::new(&[false, true, false], &["phase", "time", ""]);
    for (phase, time) in times {
        grid.row([
            (phase.name().to_owned(), Style::Plain),
            (duration(*time), Style::Plain),
            (phase.describe().to_owned(), Style::Plain),
        ]);
    }
    let total: Duration = times.iter().map(|(_, d)| *d).sum();
    grid.row([("total".to_owned(), Style::Plain), (duration(total), Style::Plain), (String::new(), Style::Plain)]);
    grid.print(Color::Never)
}

/// The report as a JSON object: `ok`, the header's facts, `kernels`, `decisions`, `scores`, `outputs`, `seconds` by phase, `warnings`.
pub(super) fn report_json(report: &Report, loaded: &Loaded) -> Value {
    let numbers = |list: &[(String, String)]| -> serde_json::Map<String, Value> {
        let number = |v: &str| serde_json::from_str(v).unwrap_or_else(|_| json!(v));
        list.iter().map(|(n, v)| (n.clone(), number(v))).collect()
    };
    let kernel = |k: &KernelCost| {
        json!({
            "name": k.name, "grid": k.grid, "streams": k.streams, "flops": k.flops, "flops_at_least": k.at_least,
            "bytes_read": k.bytes_read, "bytes_written": k.bytes_written,
            "seconds": k.time.map(|t| t.as_secs_f64()),
        })
    };
    let saved = |s: &Saved| json!({ "name": s.name, "bytes": s.bytes, "decision": s.decision });
    // JSON has no infinity: an error that is none is null.
    let row = |o: &OutputRow| {
        json!({
            "name": o.name, "against": against(o.against), "max_abs": o.distance.max_abs,
            "relative_l2": o.distance.relative, "bound": o.distance.bound, "elements": o.distance.elements,
            "ok": o.distance.ok(),
        })
    };
    let decisions = report
        .decisions
        .iter()
        .map(|d| json!({ "name": d.name, "worst": d.worst, "position": d.position, "ok": d.ok() }));
    let recurrences = report.recurrences.iter().map(|(name, class)| json!({ "name": name, "class": class }));
    let seconds: serde_json::Map<String, Value> =
        report.phases.iter().map(|(p, d)| (p.name().to_owned(), json!(d.as_secs_f64()))).collect();
    json!({
        "ok": report.ok(),
        "layer": report.layer,
        "sizes": numbers(&report.sizes),
        "extents": numbers(&report.extents),
        "float": report.float.name(),
        "backend": report.backend.name(),
        "causal": report.causal,
        "algorithm": report.algorithm,
        "recurrences": recurrences.collect::<Vec<_>>(),
        "inputs": report.inputs,
        "rows": report.rows.as_ref().map(|(axis, positions)| json!({ "axis": axis, "positions": positions })),
        "kernels": report.kernels.iter().map(kernel).collect::<Vec<_>>(),
        "forward_kernels": report.forward,
        "saved": report.forward.map(|_| report.saved.iter().map(saved).collect::<Vec<_>>()),
        "memory": report.memory.map(|m| json!({ "inputs": m.inputs, "outputs": m.outputs, "workspace": m.workspace })),
        "notes": report.notes,
        "decisions": decisions.collect::<Vec<_>>(),
        "scores": report.scores.iter().map(row).collect::<Vec<_>>(),
        "outputs": report.outputs.iter().map(row).collect::<Vec<_>>(),
        "seconds": seconds,
        "warnings": loaded.checked.warnings.iter().map(|w| to_json(w, &loaded.sources)).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        let shown = [0.0, 12.0, 999.0, 1000.0, 12345.0, 1.5e9].map(|x| scaled(x, "B"));
        assert_eq!(shown, ["0 B", "12 B", "999 B", "1.0 kB", "12.3 kB", "1.5 GB"]);
        let shown = [1e-6, 0.004, 0.5, 1.0, 120.0].map(|s| duration(Duration::from_secs_f64(s)));
        assert_eq!(shown, ["0.0 ms", "4.0 ms", "500 ms", "1.0 s", "120 s"]);
    }

    #[test]
    fn columns_fit_their_cells() {
        let mut grid = Grid::new(&[false, true], &["a", "b"]);
        grid.row([("word ".repeat(20).trim_end().to_owned(), Style::Plain), ("1".to_owned(), Style::Plain)]);
        let text = grid.print(Color::Never);
        assert!(text.lines().all(|l| l.len() <= WIDEST + 6), "{text}");
        assert_eq!(text.lines().count(), 1 + 3);
    }
}
