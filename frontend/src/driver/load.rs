//! From the text of a layer to a checked layer.

use std::path::{Path, PathBuf};

use super::fault::{Failure, Fault};
use super::files::Place;
use super::watch::{Phase, Watch};
use crate::diagnostics::{SourceMap, codes};
use crate::sema::{Checked, Number, Settings, compile};
use crate::syntax::{ast, parse};
use weft_ir::DType;

/// Which layer, and what is known of it before the inputs are seen.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Name of the layer; needed if the file has several.
    pub layer: Option<String>,
    /// `-D NAME=VALUE`.
    pub defines: Vec<(String, Number)>,
    /// Sizes that an input file records; they give way to `defines`.
    pub recorded: Vec<(String, Number)>,
    /// A layer's name that an input file records; it counts where the file has several layers.
    pub recorded_layer: Option<String>,
    /// The type parameter `float`.
    pub float: DType,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { layer: None, defines: Vec::new(), recorded: Vec::new(), recorded_layer: None, float: DType::F32 }
    }
}

/// A layer that has passed all checks, with its sources.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The file, what it uses, the standard library.
    pub sources: SourceMap,
    /// The layer, or the layer with its gradients.
    pub checked: Checked,
    /// If its gradients are there: what of the graph is the layer's own.
    pub own: Option<Own>,
}

/// What is a layer's own in the graph of the layer and its gradients.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Own {
    /// So many inputs, from the first; the others are cotangents.
    pub inputs: usize,
    /// So many outputs, from the first; the others are gradients.
    pub outputs: usize,
}

/// Reads and checks a layer. Modules that it uses are looked for beside it (for standard input: in the current directory).
///
/// # Errors
/// Everything that is wrong with the file, with the sources.
pub fn load(path: &Path, options: &LoadOptions, watch: &mut Watch<'_>) -> Result<Loaded, Failure> {
    let place = Place::of(path);
    // A source that is too large gets a message of its own from the map; a limit there must be all the same.
    let bytes = place.read(64 * SourceMap::MAX_BYTES as u64)?;
    let folder = match &place {
        Place::File(path) => path.parent().unwrap_or(Path::new("")).to_owned(),
        Place::Standard => PathBuf::new(),
    };
    load_bytes(&place.name(), &bytes, &folder, options, watch)
}

/// Checks a layer whose text is at hand; modules that it uses are looked for in `folder`.
///
/// # Errors
/// As [`load`].
pub fn load_bytes(
    name: &str,
    bytes: &[u8],
    folder: &Path,
    options: &LoadOptions,
    watch: &mut Watch<'_>,
) -> Result<Loaded, Failure> {
    let mut sources = SourceMap::new();
    let id = match sources.add_bytes(name, bytes) {
        Ok(id) => id,
        Err(e) => return Err(Fault::User(vec![e.into()]).within(sources)),
    };
    let mut find = |module: &str| -> Option<(String, String)> {
        let path = folder.join(format!("{module}.weft"));
        let bytes = Place::File(path.clone()).read(SourceMap::MAX_BYTES as u64).ok()?;
        Some((path.display().to_string(), String::from_utf8(bytes).ok()?))
    };
    let settings =
        Settings { defines: options.defines.clone(), recorded: options.recorded.clone(), float: options.float };
    let result = watch.time(Phase::Elaborate, || {
        let recorded = options.recorded_layer.as_deref();
        let recorded = recorded.filter(|wanted| has_layer(&parse(id, sources.get(id).text()).file, wanted));
        let layer = options.layer.as_deref().or(recorded);
        compile(&mut sources, id, layer, &settings, &mut find)
    });
    match result {
        Ok(checked) => {
            watch.show(Phase::Elaborate, &checked.graph);
            Ok(Loaded { sources, checked, own: None })
        }
        Err(diagnostics) if diagnostics.is_empty() => Err(Fault::bug("an error without a message").within(sources)),
        Err(diagnostics) => Err(Fault::User(diagnostics).within(sources)),
    }
}

fn has_layer(file: &ast::File, name: &str) -> bool {
    file.items.iter().any(|i| matches!(i, ast::Item::Layer(l) if l.name.as_str() == name))
}

/// Reads `NAME=VALUE` of `-D`.
///
/// # Errors
/// What is wrong with it, for a message about the command line.
pub fn parse_define(text: &str) -> Result<(String, Number), String> {
    let (name, value) = text.split_once('=').ok_or("it has no `=`; write NAME=VALUE")?;
    let number = Number::parse(value).ok_or_else(|| format!("`{value}` is not a number"))?;
    match name.trim() {
        "" => Err("there is no name before `=`".to_owned()),
        name => Ok((name.to_owned(), number)),
    }
}

/// The error for something that the contract of the command line names and this version cannot do.
pub(crate) fn later(what: &str, instead: &str) -> Fault {
    Fault::user(codes::E0604, format!("{what} is not in this version of Weft")).hint(instead)
}
