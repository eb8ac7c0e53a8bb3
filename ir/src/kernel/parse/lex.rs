//! Tokens of the text form.

use super::ParseError;

/// A token; names and numbers as written.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Token {
    /// A name or a keyword.
    Word(String),
    /// `%name`
    Value(String),
    /// A decimal integer without sign.
    Int(u64),
    /// A number with a point or an exponent.
    Float(f64),
    /// A sign.
    Sign(&'static str),
    /// The end of the text.
    End,
}

/// A token and where it starts (line and column from 1, columns in characters).
#[derive(Clone, Debug)]
pub(super) struct Spanned {
    pub(super) token: Token,
    pub(super) line: usize,
    pub(super) col: usize,
}

/// Longest first, so that a prefix does not hide a longer sign.
const SIGNS: [&str; 24] = [
    "..", "+=", "<=", ">=", "==", "!=", "//", "{", "}", "[", "]", "(", ")", ",", ":", "=", "<", ">", "+", "-", "*",
    "/", "%", ".",
];

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '\'')
}

/// All tokens of `text`, the last one [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Spanned>, ParseError> {
    let chars: Vec<char> = text.chars().collect();
    let mut out = Vec::new();
    let (mut at, mut line, mut start_of_line) = (0usize, 1usize, 0usize);
    // A dot between words belongs to the name; two dots do not.
    let joined = |i: usize| chars.get(i) == Some(&'.') && chars.get(i + 1).copied().is_some_and(is_word);
    let word_from = |from: usize| -> String {
        let inside = |(i, c): &(usize, &char)| is_word(**c) || joined(*i);
        chars.iter().enumerate().skip(from).take_while(inside).map(|(_, c)| c).collect()
    };
    while let Some(&c) = chars.get(at) {
        let col = at - start_of_line + 1;
        let next = chars.get(at + 1).copied();
        let (token, len) = if c == '\n' {
            at += 1;
            line += 1;
            start_of_line = at;
            continue;
        } else if c.is_whitespace() {
            at += 1;
            continue;
        } else if c == '#' {
            at += chars.iter().skip(at).take_while(|c| **c != '\n').count();
            continue;
        } else if c.is_ascii_digit() {
            number(&chars, at).ok_or(ParseError { line, col, message: "the number is too large".into() })?
        } else if is_word(c) {
            let word = word_from(at);
            let len = word.chars().count();
            (Token::Word(word), len)
        } else if c == '%' && next.is_some_and(is_word) {
            let word = word_from(at + 1);
            let len = 1 + word.chars().count();
            (Token::Value(word), len)
        } else {
            let sign = SIGNS.iter().find(|s| s.chars().enumerate().all(|(i, sc)| chars.get(at + i) == Some(&sc)));
            let sign = sign.ok_or(ParseError { line, col, message: format!("unexpected character {c:?}") })?;
            (Token::Sign(sign), sign.len())
        };
        out.push(Spanned { token, line, col });
        at += len;
    }
    out.push(Spanned { token: Token::End, line, col: at - start_of_line + 1 });
    Ok(out)
}

/// A number at `at` and its length in characters; `a..b` is two numbers, not one with a point.
fn number(chars: &[char], at: usize) -> Option<(Token, usize)> {
    let get = |i: usize| chars.get(i).copied().unwrap_or(' ');
    let digits = |mut i: usize| {
        while get(i).is_ascii_digit() {
            i += 1;
        }
        i
    };
    let mut end = digits(at);
    let mut float = false;
    if get(end) == '.' && get(end + 1).is_ascii_digit() {
        float = true;
        end = digits(end + 1);
    }
    if matches!(get(end), 'e' | 'E') {
        let sign = usize::from(matches!(get(end + 1), '+' | '-'));
        if get(end + 1 + sign).is_ascii_digit() {
            float = true;
            end = digits(end + 1 + sign);
        }
    }
    let text: String = chars.iter().skip(at).take(end - at).collect();
    let token = if float { Token::Float(text.parse().ok()?) } else { Token::Int(text.parse().ok()?) };
    Some((token, end - at))
}
