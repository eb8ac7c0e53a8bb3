//! Sizes that follow from the shapes of inputs: `in x[b,t,e]` with `index e: E` says what E is.

use super::program::{FileIx, Program};
use super::{Number, Resolver, pick_layer};
use crate::diagnostics::{Diagnostic, SourceId, SourceMap};
use crate::syntax::ast::{Decl, DeclKind, ExprKind, Layer, LayerItem, Name, OperandDecl, StmtKind};
use indexmap::IndexMap;
use rustc_hash::FxHashMap;

/// Sizes of a layer that the shapes of its inputs and parameters (by their names in files: `x`, `k.wz`) determine: those that
/// are the whole extent of an index. Give the result to [`Settings::recorded`](super::Settings::recorded). Where two
/// shapes contradict each other the first counts; the other is found when the tensors are bound.
///
/// # Errors
/// As [`compile`](super::compile), for a source that cannot be parsed or a layer that is not there.
pub fn sizes_from_shapes(
    sources: &mut SourceMap,
    root: SourceId,
    layer: Option<&str>,
    shapes: &[(String, Vec<usize>)],
    resolver: &mut Resolver<'_>,
) -> Result<Vec<(String, Number)>, Vec<Diagnostic>> {
    let (program, root, diags) = Program::load(sources, root, resolver);
    if diags.iter().any(Diagnostic::is_error) {
        return Err(diags);
    }
    let layer = pick_layer(&program, root, layer).map_err(|d| vec![*d])?;
    let sizes = sizes_of_indices(layer);
    let tensors = tensors(&program, root, layer);
    let mut found: IndexMap<String, Number> = IndexMap::new();
    for (name, shape) in shapes {
        let Some(axes) = tensors.get(name).filter(|axes| axes.len() == shape.len()) else { continue };
        for (axis, &n) in axes.iter().zip(shape) {
            if let (Some(size), Ok(n)) = (sizes.get(axis), i64::try_from(n)) {
                found.entry(size.clone()).or_insert(Number::Int(n));
            }
        }
    }
    Ok(found.into_iter().collect())
}

fn declarations(layer: &Layer) -> impl Iterator<Item = &Decl> {
    layer.items.iter().filter_map(|i| match i {
        LayerItem::Decl(d) => Some(d),
        LayerItem::Stmt(_) => None,
    })
}

/// The size that is the extent of each index, for those whose domain is one size.
fn sizes_of_indices(layer: &Layer) -> FxHashMap<String, String> {
    let sizes: Vec<&str> = declarations(layer)
        .filter_map(|d| if let DeclKind::Size(all) = &d.kind { Some(all) } else { None })
        .flat_map(|all| all.iter().map(|v| v.name.as_str()))
        .collect();
    let mut of: FxHashMap<String, String> = FxHashMap::default();
    for item in &layer.items {
        let LayerItem::Stmt(stmt) = item else { continue };
        let StmtKind::Index(decls) = &stmt.kind else { continue };
        for d in decls {
            let ExprKind::Ref(path) = &d.domain.kind else { continue };
            let Some(domain) = path.as_name().map(Name::as_str) else { continue };
            // The name of an index means that index's own domain.
            let size = if sizes.contains(&domain) { Some(domain.to_owned()) } else { of.get(domain).cloned() };
            for name in &d.names {
                if let Some(size) = &size {
                    of.insert(name.as_str().to_owned(), size.clone());
                }
            }
        }
    }
    of
}

/// Indices of all inputs and parameters, by the tensors' names in files.
fn tensors(program: &Program, file: FileIx, layer: &Layer) -> FxHashMap<String, Vec<String>> {
    let names = |all: &[Name]| all.iter().map(|n| n.as_str().to_owned()).collect::<Vec<_>>();
    let mut found = FxHashMap::default();
    for d in declarations(layer) {
        let (DeclKind::In(all) | DeclKind::Param(all)) = &d.kind else { continue };
        for operand in all {
            match operand {
                OperandDecl::Tensor(t) => {
                    found.insert(t.name.as_str().to_owned(), names(&t.axes));
                }
                OperandDecl::Group(g) => {
                    let Some((_, group)) = program.group(file, g.group.as_str()) else { continue };
                    let actual = |formal: &Name| {
                        let at = group.axes.iter().position(|a| a.text == formal.text)?;
                        g.axes.get(at).map(|n| n.as_str().to_owned())
                    };
                    for t in &group.fields {
                        if let Some(axes) = t.axes.iter().map(actual).collect() {
                            found.insert(format!("{}.{}", g.name, t.name), axes);
                        }
                    }
                }
            }
        }
    }
    found
}
