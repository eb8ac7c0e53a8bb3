//! The schedule file: choices of the scheduler as text that can be edited and given back.
//!
//! ```text
//! # attention.weft, typical length 4096
//! tiles o: rows 32, stream 64, block 64, depth 128, vector 2048
//! tiles y: rows 64
//! fuse k+v: yes
//! ```
//!
//! A line `tiles KERNEL: ..` pins tile extents of one kernel, by its name before fusion; `fuse FIRST+SECOND: yes` or `no` says whether
//! two kernels become one ([`crate::fuse`]). What a file leaves out is the compiler's choice. Results do not depend on any of it but in
//! rounding. `#` begins a comment.

use super::Tiles;
use std::collections::BTreeMap;
use std::fmt;

/// The largest tile extent that a file may ask for.
const LARGEST: i64 = 1 << 16;

/// Pinned choices.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pins {
    /// Tile extents, by kernel.
    pub tiles: BTreeMap<String, TilePins>,
    /// Are two kernels one? By `first+second`.
    pub fuse: BTreeMap<String, bool>,
}

/// Tile extents of one kernel, as far as they are pinned.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TilePins {
    values: [Option<i64>; 5],
}

/// A fault of a schedule file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct PinError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, and what was expected.
    pub message: String,
}

impl Tiles {
    /// Names of the extents in a schedule file, in order.
    pub const NAMES: [&'static str; 5] = ["rows", "stream", "block", "depth", "vector"];

    fn values(self) -> [i64; 5] {
        [self.rows, self.stream, self.block, self.depth, self.vector]
    }

    fn from_values([rows, stream, block, depth, vector]: [i64; 5]) -> Self {
        Self { rows, stream, block, depth, vector }
    }
}

impl From<Tiles> for TilePins {
    fn from(tiles: Tiles) -> Self {
        Self { values: tiles.values().map(Some) }
    }
}

impl TilePins {
    /// The extents, where they are not pinned those of `other`.
    #[must_use]
    pub fn or(self, other: Tiles) -> Tiles {
        let mut values = other.values();
        for (value, pin) in values.iter_mut().zip(self.values) {
            *value = pin.unwrap_or(*value);
        }
        Tiles::from_values(values)
    }
}

impl Pins {
    /// Reads a schedule file.
    ///
    /// # Errors
    /// The first line that is not understood.
    pub fn parse(text: &str) -> Result<Self, PinError> {
        let mut pins = Self::default();
        for (n, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or("").trim();
            if !line.is_empty() {
                pins.line(line).map_err(|message| PinError { line: n + 1, message })?;
            }
        }
        Ok(pins)
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        let form = "expected `tiles KERNEL: rows 32, stream 64, ..` or `fuse FIRST+SECOND: yes`";
        let (head, values) = line.split_once(':').ok_or(form)?;
        let words: Vec<&str> = head.split_whitespace().collect();
        match words[..] {
            ["tiles", kernel] => self.tiles_of(kernel, values),
            ["fuse", pair] => {
                let yes = match values.trim() {
                    "yes" => true,
                    "no" => false,
                    other => return Err(format!("`{other}`: expected `yes` or `no`")),
                };
                match self.fuse.insert(pair.to_owned(), yes) {
                    None => Ok(()),
                    Some(_) => Err(format!("`{pair}` has a line already")),
                }
            }
            _ => Err(format!("`{head}`: {form}")),
        }
    }

    fn tiles_of(&mut self, kernel: &str, values: &str) -> Result<(), String> {
        let mut tiles = TilePins::default();
        for part in values.split(',') {
            let [name, value] = part.split_whitespace().collect::<Vec<_>>()[..] else {
                return Err(format!("`{}`: expected a name and a number, such as `rows 32`", part.trim()));
            };
            let at = Tiles::NAMES.iter().position(|&n| n == name).ok_or_else(|| {
                format!("`{name}` is no tile extent; there are {}", Tiles::NAMES.map(|n| format!("`{n}`")).join(", "))
            })?;
            let value = value.parse().ok().filter(|v| (1..=LARGEST).contains(v));
            let value = value.ok_or_else(|| format!("`{}`: expected a number from 1 to {LARGEST}", part.trim()))?;
            if tiles.values[at].replace(value).is_some() {
                return Err(format!("`{name}` is there twice"));
            }
        }
        if self.tiles.insert(kernel.to_owned(), tiles).is_some() {
            return Err(format!("the kernel `{kernel}` has a line already"));
        }
        Ok(())
    }
}

impl fmt::Display for Pins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kernel, tiles) in &self.tiles {
            let values = Tiles::NAMES.iter().zip(tiles.values).filter_map(|(n, v)| v.map(|v| format!("{n} {v}")));
            writeln!(f, "tiles {kernel}: {}", values.collect::<Vec<_>>().join(", "))?;
        }
        for (pair, yes) in &self.fuse {
            writeln!(f, "fuse {pair}: {}", if *yes { "yes" } else { "no" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_parses() {
        let text = "tiles o: rows 32, depth 7\ntiles y: rows 64, stream 64, block 64, depth 128, vector 2048\n\
                    fuse k+v: yes\nfuse q+o: no\n";
        let pins = Pins::parse(text).expect("a schedule file");
        assert_eq!(pins.to_string(), text);
        assert_eq!(pins.tiles["o"].or(Tiles::default()), Tiles { rows: 32, depth: 7, ..Tiles::default() });
    }

    #[test]
    fn faults_name_the_line() {
        let form = "expected `tiles KERNEL: rows 32, stream 64, ..` or `fuse FIRST+SECOND: yes`";
        let fault = |text: &str| Pins::parse(text).expect_err("a fault").to_string();
        assert_eq!(fault("\n# c\ntile o: rows 3"), format!("line 3: `tile o`: {form}"));
        assert_eq!(fault("tiles o: rows 0"), "line 1: `rows 0`: expected a number from 1 to 65536");
        assert_eq!(fault("tiles o: rows 3\ntiles o: rows 4"), "line 2: the kernel `o` has a line already");
        assert_eq!(fault("tiles o: rows 3, rows 4"), "line 1: `rows` is there twice");
        let names = "`rows`, `stream`, `block`, `depth`, `vector`";
        assert_eq!(fault("tiles o: cols 3"), format!("line 1: `cols` is no tile extent; there are {names}"));
        assert_eq!(fault("tiles o"), format!("line 1: {form}"));
        assert_eq!(fault("fuse a+b: maybe"), "line 1: `maybe`: expected `yes` or `no`");
    }
}
