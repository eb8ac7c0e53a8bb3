//! The lines of a block or file before their columns are known, and the alignment of consecutive ones.

use super::WIDTH;
use super::doc::Doc;
use super::list::Line;

/// Longer left sides do not push the `=` of their neighbours to the right.
const WIDEST_ALIGNED: usize = 32;

/// What stands between two line ends.
pub(super) enum Row {
    Blank,
    /// A comment on its own line.
    Comment(String),
    /// `left = right`, to be aligned with its neighbours.
    Definition {
        left: String,
        right: Doc,
        comment: Option<String>,
    },
    /// Anything else, without indentation.
    Lines(Vec<Line>),
}

/// Appends `rows` to `lines`, indented.
pub(super) fn lay_out(rows: Vec<Row>, indent: usize, lines: &mut Vec<Line>) {
    let blanks = " ".repeat(indent);
    let columns = columns(&rows);
    for (row, column) in rows.into_iter().zip(columns) {
        match row {
            Row::Blank => lines.push(Line { text: String::new(), comment: None }),
            Row::Comment(text) => lines.push(Line { text: blanks.clone() + &text, comment: None }),
            Row::Lines(inner) => {
                let indented = |line: Line| Line { text: blanks.clone() + &line.text, ..line };
                lines.extend(inner.into_iter().map(indented));
            }
            Row::Definition { left, right, comment } => {
                let head = format!("{blanks}{left:column$} = ");
                let mut rendered = right.render(head.chars().count(), indent + 2, WIDTH);
                rendered[0].insert_str(0, &head);
                lines.extend(rendered.into_iter().map(|text| Line { text, comment: None }));
                if let Some(last) = lines.last_mut() {
                    last.comment = comment;
                }
            }
        }
    }
}

/// The width of the left side of each definition: that of the widest in its run.
fn columns(rows: &[Row]) -> Vec<usize> {
    let mut columns = vec![0; rows.len()];
    let mut at = 0;
    while at < rows.len() {
        let run = rows[at..].iter().take_while(|row| matches!(row, Row::Definition { .. })).count();
        let widths = rows[at..at + run].iter().map(|row| match row {
            Row::Definition { left, .. } => left.chars().count(),
            _ => 0,
        });
        let widest = widths.filter(|&width| width <= WIDEST_ALIGNED).max().unwrap_or(0);
        columns[at..at + run].fill(widest);
        at += run.max(1);
    }
    columns
}

/// The text of the lines, with the comments behind consecutive lines in one column.
pub(super) fn join(lines: &[Line]) -> String {
    let mut out = String::new();
    let mut at = 0;
    while at < lines.len() {
        let run = lines[at..].iter().take_while(|line| line.comment.is_some()).count();
        let column = lines[at..at + run].iter().map(|line| line.text.chars().count()).max().unwrap_or(0);
        for line in &lines[at..at + run] {
            out += &format!("{:column$}  {}\n", line.text, line.comment.as_deref().unwrap_or(""));
        }
        if let Some(line) = lines.get(at + run) {
            out += line.text.trim_end();
            out.push('\n');
        }
        at += run + 1;
    }
    out
}
