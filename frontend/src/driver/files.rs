//! Files, standard input and standard output.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::fault::Fault;
use crate::diagnostics::codes;

/// A file's path, or standard input or output (`-`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// `-`
    Standard,
    /// A file.
    File(PathBuf),
}

impl Place {
    /// Reads a command line's argument.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        if path.as_os_str() == "-" { Self::Standard } else { Self::File(path.to_owned()) }
    }

    /// What messages call it, as a source of bytes.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Standard => "<stdin>".to_owned(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// All bytes, at most `limit`.
    ///
    /// # Errors
    /// E0510 if it cannot be read or has more.
    pub fn read(&self, limit: u64) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::new();
        let take = limit.saturating_add(1);
        let result = match self {
            Self::Standard => std::io::stdin().lock().take(take).read_to_end(&mut bytes),
            Self::File(path) => std::fs::File::open(path).and_then(|f| f.take(take).read_to_end(&mut bytes)),
        };
        let name = self.name();
        match result {
            Err(e) => Err(Fault::user(codes::E0510, format!("{name} cannot be read: {}", plain(&e)))),
            Ok(n) if n as u64 > limit => {
                Err(Fault::user(codes::E0510, format!("{name} is too large: more than {limit} bytes")))
            }
            Ok(_) => Ok(bytes),
        }
    }

    /// Writes all bytes: to a new file beside the old one, which then takes its name, so that nobody ever sees half of it and
    /// a failure leaves what was there.
    ///
    /// # Errors
    /// E0510 if it cannot be written.
    pub fn write(&self, bytes: &[u8]) -> Result<(), Fault> {
        let result = match self {
            Self::Standard => {
                let mut out = std::io::stdout().lock();
                out.write_all(bytes).and_then(|()| out.flush())
            }
            Self::File(path) => write_aside(path, bytes),
        };
        let name = match self {
            Self::Standard => "<stdout>".to_owned(),
            Self::File(path) => path.display().to_string(),
        };
        result.map_err(|e| Fault::user(codes::E0510, format!("{name} cannot be written: {}", plain(&e))))
    }
}

fn write_aside(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().ok_or_else(|| std::io::Error::other("it is not a file name"))?);
    name.push(format!(".{}.tmp", std::process::id()));
    let aside = path.with_file_name(name);
    let write = || {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&aside, path)
    };
    write().inspect_err(|_| {
        // What remains is of no use to anyone; that it cannot be removed is less important than the error itself.
        let _ = std::fs::remove_file(&aside);
    })
}

/// The operating system's words without its number.
fn plain(e: &std::io::Error) -> String {
    let text = e.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_lowercase(),
        None => text,
    }
}
