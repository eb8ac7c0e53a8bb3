//! Text with places where lines may end (Wadler, "A prettier printer", in the strict form of Lindig).

/// Text that may be laid out on one or several lines.
#[derive(Clone, Debug)]
pub(super) enum Doc {
    Text(String),
    /// A blank, or a line end if the enclosing group is broken.
    Line,
    /// Further indentation of the lines inside.
    Nest(usize, Box<Doc>),
    /// Broken as a whole or not at all; an outer group is broken before an inner one.
    Group(Box<Doc>),
    Concat(Vec<Doc>),
}

impl Doc {
    pub(super) fn text(text: impl Into<String>) -> Doc {
        Doc::Text(text.into())
    }

    pub(super) fn group(parts: Vec<Doc>) -> Doc {
        Doc::Group(Box::new(Doc::Concat(parts)))
    }

    pub(super) fn nest(by: usize, parts: Vec<Doc>) -> Doc {
        Doc::Nest(by, Box::new(Doc::Concat(parts)))
    }

    /// On one line, however long.
    pub(super) fn flat(&self) -> String {
        let mut out = String::new();
        let mut stack = vec![self];
        while let Some(doc) = stack.pop() {
            match doc {
                Doc::Text(text) => out += text,
                Doc::Line => out.push(' '),
                Doc::Nest(_, inner) | Doc::Group(inner) => stack.push(inner),
                Doc::Concat(parts) => stack.extend(parts.iter().rev()),
            }
        }
        out
    }

    /// Lines of at most `width` columns where that is possible. The first begins at column `column`; the others are indented by `indent` blanks.
    pub(super) fn render(&self, column: usize, indent: usize, width: usize) -> Vec<String> {
        let mut lines = vec![String::new()];
        let mut column = column;
        let mut stack = vec![(indent, true, self)];
        while let Some((indent, flat, doc)) = stack.pop() {
            let mut line = lines.last_mut().map_or_else(String::new, std::mem::take);
            match doc {
                Doc::Text(text) => {
                    line += text;
                    column += text.chars().count();
                }
                Doc::Line if flat => {
                    line.push(' ');
                    column += 1;
                }
                Doc::Line => {
                    if let Some(last) = lines.last_mut() {
                        *last = line;
                    }
                    line = " ".repeat(indent);
                    column = indent;
                    lines.push(String::new());
                }
                Doc::Nest(by, inner) => stack.push((indent + by, flat, inner)),
                Doc::Group(inner) => {
                    let fits = fits(inner, &stack, width.saturating_sub(column));
                    stack.push((indent, fits, inner));
                }
                Doc::Concat(parts) => stack.extend(parts.iter().rev().map(|part| (indent, flat, part))),
            }
            if let Some(last) = lines.last_mut() {
                *last = line;
            }
        }
        lines
    }
}

/// True if `doc` on one line, and what follows it up to the next line end, has at most `room` columns.
fn fits(doc: &Doc, rest: &[(usize, bool, &Doc)], room: usize) -> bool {
    let mut room = room;
    let mut rest = rest.iter().rev();
    let mut stack = vec![(true, doc)];
    loop {
        let Some((flat, doc)) = stack.pop().or_else(|| rest.next().map(|(_, flat, doc)| (*flat, *doc))) else {
            return true;
        };
        let width = match doc {
            Doc::Text(text) => text.chars().count(),
            Doc::Line if flat => 1,
            Doc::Line => return true,
            Doc::Nest(_, inner) | Doc::Group(inner) => {
                stack.push((flat, inner));
                0
            }
            Doc::Concat(parts) => {
                stack.extend(parts.iter().rev().map(|part| (flat, part)));
                0
            }
        };
        match room.checked_sub(width) {
            Some(left) => room = left,
            None => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outer_groups_break_first() {
        let inner = Doc::group(vec![Doc::text("b"), Doc::Line, Doc::text("c")]);
        let doc = Doc::group(vec![Doc::text("a"), Doc::nest(2, vec![Doc::Line, inner]), Doc::Line, Doc::text("d")]);
        assert_eq!(doc.render(0, 0, 7), ["a b c d"]);
        assert_eq!(doc.render(0, 1, 6), ["a", "   b c", " d"]);
        assert_eq!(doc.render(0, 0, 4), ["a", "  b", "  c", "d"]);
    }
}
