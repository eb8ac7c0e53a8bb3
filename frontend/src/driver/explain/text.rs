//! An explanation as text.

use std::fmt::Write as _;

use super::shown::Outcome;
use super::{Explanation, Told};

/// The parts that are asked for.
pub(super) fn text(e: &Explanation, what: Told) -> String {
    let mut text = format!("layer {}\n", e.layer);
    match &e.outcome {
        _ if !what.derivation => {}
        Outcome::Unchanged => text.push_str("\nNo form was found that costs less: it is computed as it is written.\n"),
        Outcome::TooLarge => text.push_str("\nThe derivation is too long to be told; `--notes` lists the rules.\n"),
        Outcome::Steps { steps, result } => {
            for (n, step) in steps.iter().enumerate() {
                let way = if step.backwards { ", from right to left" } else { "" };
                let _ = writeln!(text, "\n{}. {}{way}", n + 1, step.rule.name);
                let _ = writeln!(text, "   {}", step.rule.mathematics);
                let _ = writeln!(text, "\n       {}", step.before);
                let _ = writeln!(text, "     = {}", step.after);
                for line in &step.definitions {
                    let _ = writeln!(text, "       with {line}");
                }
                for other in &step.likewise {
                    let _ = writeln!(text, "   and likewise\n       {other}");
                }
                if !step.rule.conditions.is_empty() {
                    let _ = writeln!(text, "\n   allowed, since {}", step.rule.conditions.join("; "));
                }
            }
            let _ = writeln!(text, "\nSo");
            for line in result.iter().flat_map(|r| r.lines()) {
                let _ = writeln!(text, "    {line}");
            }
        }
    }
    if let Some(warning) = &e.warning {
        let _ = writeln!(text, "\n{warning}");
    }
    if what.derivation && !e.missed.is_empty() {
        let _ = writeln!(text, "\nIt grows faster than time. Rules that would have been of use");
        for m in &e.missed {
            let _ = writeln!(text, "    {}: not for\n        {}\n      {}", m.rule, m.term, m.why);
        }
    }
    if what.derivation {
        walks(&mut text, e);
    }
    if what.cost {
        costs(&mut text, e);
    }
    text
}

fn costs(text: &mut String, e: &Explanation) {
    let blocks = e.blocks.map_or_else(String::new, |l| format!(", in blocks of {l}"));
    let _ = writeln!(
        text,
        "\nCosts, in operations of products: T^{:.1} as written, T^{:.1} as computed{blocks}",
        e.degree.0, e.degree.1
    );
    let _ = writeln!(text, "    as written   {}\n    as computed  {}\n", e.formulas.0, e.formulas.1);
    let _ = writeln!(text, "    {:>8} {:>12} {:>12} {:>8}", "T", "as written", "as computed", "gain");
    for &(t, from, to) in e.costs.iter().filter(|c| super::LENGTHS.contains(&c.0)) {
        let _ = writeln!(text, "    {t:>8} {from:>12.3e} {to:>12.3e} {:>7.1}x", from / to);
    }
}

fn walks(text: &mut String, e: &Explanation) {
    match &e.walks {
        Err(why) => {
            let _ = writeln!(text, "\nThere are no kernels for it: {why}");
        }
        Ok(walks) if !walks.is_empty() => {
            let _ = writeln!(
                text,
                "\nA condition with `or` is a sum of disjoint cases, each a loop over no more than it needs. For a row, kernels walk"
            );
            for (name, loops) in walks {
                let _ = writeln!(text, "    {name}");
                for l in loops {
                    let _ = writeln!(text, "        {l}");
                }
            }
        }
        Ok(_) => {}
    }
}
