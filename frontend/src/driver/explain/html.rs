//! An explanation as a page: one file that needs no other.

use std::fmt::Write as _;

use super::Explanation;
use super::plot::plot;
use super::shown::Outcome;

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1d2330; --faint: #68707f; --line: #d6dae2; --paper: #fff; --box: #f5f6f9; --far: #7fa7dd; --near: #d9822b; --old: #b2485a; --new: #2f7d5b }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7ee; --faint: #9aa2b1; --line: #353b47; --paper: #15181e; --box: #1e222a } }
body { margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: var(--ink); background: var(--paper); font: 16px/1.5 system-ui, sans-serif }
h1 { font-size: 1.6rem } h2 { margin-top: 2.5rem; font-size: 1.2rem; border-bottom: 1px solid var(--line) }
pre { overflow-x: auto; padding: .6rem .8rem; background: var(--box); border-radius: 4px; font: 13px/1.45 ui-monospace, monospace }
ol.steps > li { margin: 1.5rem 0 } .rule { font-weight: 600 } .law, .why, .key, figcaption { color: var(--faint); font-size: .9rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums } td, th { padding: .15rem .9rem; text-align: right; border-bottom: 1px solid var(--line) } td:first-child, th:first-child { text-align: left }
figure { margin: 1rem 0 } svg { max-width: 100%; border: 1px solid var(--line); background: var(--paper) }
.seen { fill: var(--far) } .perhaps { fill: var(--far); opacity: .35 } .near { fill: var(--near) } .near.perhaps { opacity: .45 }
.old { stroke: var(--old) } .new { stroke: var(--new) } polyline { fill: none; stroke-width: 2 } .grid { stroke: var(--line) } svg text { fill: var(--faint); font: 11px system-ui, sans-serif }
.key span { display: inline-block; width: .8rem; height: .8rem; margin: 0 .3rem 0 1rem; vertical-align: -1px }
";

/// What a page has beyond what is told as text.
pub(super) struct Extras {
    /// Who sees whom.
    pub(super) mask: Option<String>,
    /// The number of positions that the picture shows.
    pub(super) shown: i64,
    /// Kernels by name with their text, or why there are none.
    pub(super) kernels: Result<Vec<(String, String)>, String>,
    /// What the scheduler chose.
    pub(super) notes: Vec<String>,
    /// The layer's source.
    pub(super) source: String,
}

/// The page.
pub(super) fn page(e: &Explanation, x: &Extras) -> String {
    let name = escaped(&e.layer);
    let mut h = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{name}: how it is computed</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{name}</h1>\n"
    );
    let blocks = e.blocks.map_or_else(String::new, |l| format!(", in blocks of {l}"));
    let _ = writeln!(
        h,
        "<p>T<sup>{:.1}</sup> as written, T<sup>{:.1}</sup> as computed{blocks}.</p>",
        e.degree.0, e.degree.1
    );
    let _ = writeln!(h, "<pre>{}</pre>", escaped(&x.source));
    if let Some(warning) = &e.warning {
        let _ = writeln!(h, "<p>{}</p>", escaped(warning));
    }
    if let Some(mask) = &x.mask {
        let _ = writeln!(
            h,
            "<h2>Who sees whom</h2>\n<figure>{mask}\n<figcaption>Rows are positions, columns those that they sum over; {} of each.</figcaption></figure>\n\
             <p class=\"key\"><span style=\"background: var(--near)\"></span>pair by pair <span style=\"background: var(--far)\"></span>\
             through states and tables, or not at all as long as nothing is derived; pale where the data decide</p>",
            x.shown
        );
    }
    derivation(&mut h, e);
    walks(&mut h, e);
    costs(&mut h, e);
    kernels(&mut h, x);
    h.push_str("</body>\n</html>\n");
    h
}

fn derivation(h: &mut String, e: &Explanation) {
    h.push_str("<h2>Derivation</h2>\n");
    match &e.outcome {
        Outcome::Unchanged => {
            h.push_str("<p>No form was found that costs less: it is computed as it is written.</p>\n");
        }
        Outcome::TooLarge => h.push_str("<p>It has too many steps to be told.</p>\n"),
        Outcome::Steps { steps, result } => {
            h.push_str("<ol class=\"steps\">\n");
            for s in steps {
                let way = if s.backwards { ", from right to left" } else { "" };
                let _ = writeln!(h, "<li><span class=\"rule\">{}{way}</span>", escaped(s.rule.name));
                let _ = writeln!(h, "<div class=\"law\">{}</div>", escaped(s.rule.mathematics));
                let mut text = format!("  {}\n= {}", s.before, s.after);
                for d in &s.definitions {
                    let _ = write!(text, "\n  with {d}");
                }
                for other in &s.likewise {
                    let _ = write!(text, "\nand likewise\n  {other}");
                }
                let _ = writeln!(h, "<pre>{}</pre>", escaped(&text));
                if !s.rule.conditions.is_empty() {
                    let _ = writeln!(
                        h,
                        "<div class=\"why\">allowed, since {}</div>",
                        escaped(&s.rule.conditions.join("; "))
                    );
                }
                h.push_str("</li>\n");
            }
            let _ = writeln!(h, "</ol>\n<p>So</p>\n<pre>{}</pre>", escaped(&result.join("\n")));
        }
    }
    if !e.missed.is_empty() {
        h.push_str("<p>It grows faster than time. Rules that would have been of use:</p>\n<ul>\n");
        for m in &e.missed {
            let _ = writeln!(
                h,
                "<li><span class=\"rule\">{}</span>: {}<pre>{}</pre></li>",
                escaped(m.rule),
                escaped(m.why),
                escaped(&m.term)
            );
        }
        h.push_str("</ul>\n");
    }
}

fn walks(h: &mut String, e: &Explanation) {
    let Ok(walks) = &e.walks else { return };
    if walks.is_empty() {
        return;
    }
    h.push_str(
        "<h2>Positions</h2>\n<p>A condition with <code>or</code> is a sum of disjoint cases, each a loop over no more than it needs. For a row, kernels \
         walk</p>\n<ul>\n",
    );
    for (name, loops) in walks {
        let _ = writeln!(
            h,
            "<li><span class=\"rule\">{}</span><pre>{}</pre></li>",
            escaped(name),
            escaped(&loops.join("\n"))
        );
    }
    h.push_str("</ul>\n");
}

fn costs(h: &mut String, e: &Explanation) {
    let _ = writeln!(
        h,
        "<h2>Costs</h2>\n<p>In operations of products, for sequences of T positions:</p>\n<pre>as written   {}\nas computed  {}</pre>\n\
         <figure>{}</figure>\n<table><tr><th>T</th><th>as written</th><th>as computed</th><th>gain</th></tr>",
        escaped(&e.formulas.0),
        escaped(&e.formulas.1),
        plot(&e.costs)
    );
    for &(t, from, to) in &e.costs {
        let _ = writeln!(h, "<tr><td>{t}</td><td>{from:.3e}</td><td>{to:.3e}</td><td>{:.1}x</td></tr>", from / to);
    }
    h.push_str("</table>\n");
}

fn kernels(h: &mut String, x: &Extras) {
    h.push_str("<h2>Plan and kernels</h2>\n");
    match &x.kernels {
        Err(why) => {
            let _ = writeln!(h, "<p>{}</p>", escaped(why));
        }
        Ok(kernels) => {
            for (name, text) in kernels {
                let _ =
                    writeln!(h, "<details><summary>{}</summary><pre>{}</pre></details>", escaped(name), escaped(text));
            }
            let _ = writeln!(
                h,
                "<details><summary>what the scheduler chose</summary><pre>{}</pre></details>",
                escaped(&x.notes.join("\n"))
            );
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
