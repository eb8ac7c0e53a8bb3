//! Tokens of the text form.

use super::parse::ParseError;

/// A token; names borrow from the text.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Token<'a> {
    /// `%7`.
    Value(u32),
    /// `$name`.
    Var(&'a str),
    /// `@name`.
    At(&'a str),
    /// A word.
    Word(&'a str),
    /// A number, as written, without sign.
    Number(&'a str),
    /// Punctuation: one character, or `..`.
    Punct(&'a str),
    /// The end.
    End,
}

/// A token with the byte offset where it starts.
pub(super) type Spanned<'a> = (Token<'a>, usize);

fn is_word(c: u8) -> bool {
    c.is_ascii_alphanumeric() || c == b'_' || c == b'.'
}

/// Splits the text; `//` starts a comment that runs to the end of the line.
pub(super) fn lex(text: &str) -> Result<Vec<Spanned<'_>>, ParseError> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    // End of the run of characters from `from` that satisfy `f`.
    let run = |from: usize, f: &dyn Fn(u8) -> bool| from + bytes[from..].iter().take_while(|&&c| f(c)).count();
    while at < bytes.len() {
        let start = at;
        let token = match bytes[at] {
            c if c.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at = run(at, &|c| c != b'\n');
                continue;
            }
            b'%' => {
                at = run(at + 1, &|c| c.is_ascii_digit());
                let number = text[start + 1..at].parse();
                Token::Value(number.map_err(|_| ParseError::new(text, start, "expected a value number"))?)
            }
            sigil @ (b'$' | b'@') => {
                at = run(at + 1, &is_word);
                if at == start + 1 {
                    return Err(ParseError::new(text, start, "expected a name"));
                }
                let name = &text[start + 1..at];
                if sigil == b'$' { Token::Var(name) } else { Token::At(name) }
            }
            c if c.is_ascii_digit() => {
                at = number_end(bytes, at);
                Token::Number(&text[start..at])
            }
            c if c.is_ascii_alphabetic() || c == b'_' => {
                at = run(at, &is_word);
                Token::Word(&text[start..at])
            }
            b'.' if bytes.get(at + 1) == Some(&b'.') => {
                at += 2;
                Token::Punct(&text[start..at])
            }
            b'{' | b'}' | b'(' | b')' | b'[' | b']' | b'<' | b'>' | b',' | b':' | b'=' | b'*' | b'+' | b'-' => {
                at += 1;
                Token::Punct(&text[start..at])
            }
            _ => return Err(ParseError::new(text, start, "unexpected character")),
        };
        tokens.push((token, start));
    }
    tokens.push((Token::End, text.len()));
    Ok(tokens)
}

/// End of `12`, `1.5`, `1e-30`, `1.5e10`; a range `1..2` is not eaten.
fn number_end(bytes: &[u8], mut at: usize) -> usize {
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    at = digits(at);
    if bytes.get(at) == Some(&b'.') && bytes.get(at + 1).is_some_and(u8::is_ascii_digit) {
        at = digits(at + 1);
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let end = digits(at + 1 + sign);
        if end > at + 1 + sign {
            at = end;
        }
    }
    at
}
