//! The items of all files of a compilation, and which of them are visible where.

use crate::diagnostics::{Diagnostic, SourceId, SourceMap, Span, codes};
use crate::syntax::{self, ast};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Position of a file in a [`Program`]; the standard library is [`STD`].
pub(super) type FileIx = usize;

/// The standard library.
pub(super) const STD: FileIx = 0;

/// Finds the text of a module for `use`: from `a/b` to the name that messages shall show, and the text.
pub type Resolver<'a> = dyn FnMut(&str) -> Option<(String, String)> + 'a;

/// The files of a compilation with their items by name.
pub(super) struct Program {
    files: Vec<Visible>,
    trees: Vec<ast::File>,
}

/// What the names of one file mean: its own items and those that it takes with `use`.
#[derive(Default)]
struct Visible {
    fns: FxHashMap<Arc<str>, (FileIx, usize)>,
    groups: FxHashMap<Arc<str>, (FileIx, usize)>,
}

/// How many files one compilation may have.
const MAX_FILES: usize = 256;

impl Program {
    /// Parses `root`, the standard library and everything that they use.
    pub(super) fn load(
        sources: &mut SourceMap,
        root: SourceId,
        resolver: &mut Resolver<'_>,
    ) -> (Self, FileIx, Vec<Diagnostic>) {
        let mut program = Self { files: Vec::new(), trees: Vec::new() };
        let mut diags = Vec::new();
        let mut modules: FxHashMap<String, FileIx> = FxHashMap::default();
        program.parse(sources, SourceId::STD, &mut diags);
        let root = if root == SourceId::STD { STD } else { program.parse(sources, root, &mut diags) };
        let mut next = 0;
        // Files are appended as they are used; `use` lines are linked once every tree is there.
        let mut links: Vec<(FileIx, ast::Use, FileIx)> = Vec::new();
        while next < program.trees.len() {
            let uses: Vec<ast::Use> = program.trees[next].items.iter().filter_map(as_use).cloned().collect();
            for u in uses {
                let path = u.path.segments.iter().map(ast::Name::as_str).collect::<Vec<_>>().join("/");
                let at = match modules.get(&path) {
                    Some(&at) => Some(at),
                    None if program.trees.len() >= MAX_FILES => None,
                    None => resolver(&path).and_then(|(name, text)| match sources.add(&name, &text) {
                        Ok(id) => {
                            let at = program.parse(sources, id, &mut diags);
                            modules.insert(path.clone(), at);
                            Some(at)
                        }
                        Err(e) => {
                            diags.push(Diagnostic::from(e).at(u.path.span, "used here"));
                            None
                        }
                    }),
                };
                match at {
                    Some(at) => links.push((next, u, at)),
                    None => diags.push(
                        Diagnostic::error(codes::E0109, format!("there is no module `{}`", u.path))
                            .at(u.path.span, format!("no file `{path}.weft` is found"))
                            .hint("a module `a.b` is the file `a/b.weft` beside the file that is compiled"),
                    ),
                }
            }
            next += 1;
        }
        for (user, u, module) in links {
            program.link(user, &u, module, &mut diags);
        }
        (program, root, diags)
    }

    fn parse(&mut self, sources: &SourceMap, id: SourceId, diags: &mut Vec<Diagnostic>) -> FileIx {
        let mut parsed = syntax::parse(id, sources.get(id).text());
        diags.append(&mut parsed.diagnostics);
        let tree = parsed.file;
        let at = self.trees.len();
        let mut visible = Visible::default();
        let mut layers: FxHashMap<Arc<str>, Span> = FxHashMap::default();
        let mut twice = |name: &ast::Name, first: Span| diags.push(defined_twice(name, first));
        for (i, item) in tree.items.iter().enumerate() {
            match item {
                ast::Item::Fn(f) => {
                    if let Some((_, first)) = visible.fns.insert(f.name.text.clone(), (at, i)) {
                        twice(&f.name, tree.items[first].span());
                    }
                }
                ast::Item::Group(g) => {
                    if let Some((_, first)) = visible.groups.insert(g.name.text.clone(), (at, i)) {
                        twice(&g.name, tree.items[first].span());
                    }
                }
                ast::Item::Layer(l) => {
                    if let Some(first) = layers.insert(l.name.text.clone(), l.name.span) {
                        twice(&l.name, first);
                    }
                }
                ast::Item::Use(_) => {}
            }
        }
        self.files.push(visible);
        self.trees.push(tree);
        at
    }

    /// Makes names of `module` visible in `user`; a file's own names win.
    fn link(&mut self, user: FileIx, u: &ast::Use, module: FileIx, diags: &mut Vec<Diagnostic>) {
        let of = |items: &FxHashMap<Arc<str>, (FileIx, usize)>| -> FxHashMap<Arc<str>, (FileIx, usize)> {
            items.iter().filter(|(_, at)| at.0 == module).map(|(n, &at)| (n.clone(), at)).collect()
        };
        let (fns, groups) = (of(&self.files[module].fns), of(&self.files[module].groups));
        if let Some(names) = &u.names {
            for name in names {
                let (f, g) = (fns.get(&name.text), groups.get(&name.text));
                if f.is_none() && g.is_none() {
                    let have = fns.keys().chain(groups.keys()).map(|n| &**n);
                    let mut d = Diagnostic::error(codes::E0110, format!("module `{}` has no `{name}`", u.path))
                        .at(name.span, "not a function or group of that module");
                    if let Some(near) = nearest(name.as_str(), have) {
                        d = d.hint(format!("did you mean `{near}`?"));
                    }
                    diags.push(d);
                }
                if let Some(&f) = f {
                    self.files[user].fns.entry(name.text.clone()).or_insert(f);
                }
                if let Some(&g) = g {
                    self.files[user].groups.entry(name.text.clone()).or_insert(g);
                }
            }
        } else {
            for (n, at) in sorted(fns) {
                self.files[user].fns.entry(n).or_insert(at);
            }
            for (n, at) in sorted(groups) {
                self.files[user].groups.entry(n).or_insert(at);
            }
        }
    }

    /// The function that `name` means in `file`, but for the standard library's.
    pub(super) fn user_fn(&self, file: FileIx, name: &str) -> Option<(FileIx, &ast::Fn)> {
        if file == STD { None } else { self.fn_at(self.files.get(file)?.fns.get(name)?) }
    }

    /// The standard library's function of that name.
    pub(super) fn std_fn(&self, name: &str) -> Option<(FileIx, &ast::Fn)> {
        self.fn_at(self.files.get(STD)?.fns.get(name)?)
    }

    fn fn_at(&self, &(file, item): &(FileIx, usize)) -> Option<(FileIx, &ast::Fn)> {
        match self.trees.get(file)?.items.get(item)? {
            ast::Item::Fn(f) => Some((file, f)),
            _ => None,
        }
    }

    /// The group that `name` means in `file`.
    pub(super) fn group(&self, file: FileIx, name: &str) -> Option<(FileIx, &ast::Group)> {
        let &(file, item) = self.files.get(file)?.groups.get(name).or_else(|| self.files[STD].groups.get(name))?;
        match self.trees.get(file)?.items.get(item)? {
            ast::Item::Group(g) => Some((file, g)),
            _ => None,
        }
    }

    /// All layers of a file.
    pub(super) fn layers(&self, file: FileIx) -> impl Iterator<Item = &ast::Layer> {
        self.trees[file].items.iter().filter_map(|i| match i {
            ast::Item::Layer(l) => Some(l),
            _ => None,
        })
    }

    /// Names of functions and groups that `file` can use.
    pub(super) fn visible_names(&self, file: FileIx) -> impl Iterator<Item = &str> {
        let (own, std) = (&self.files[file], &self.files[STD]);
        [&own.fns, &own.groups, &std.fns, &std.groups].into_iter().flat_map(|m| m.keys().map(|n| &**n))
    }
}

fn as_use(item: &ast::Item) -> Option<&ast::Use> {
    match item {
        ast::Item::Use(u) => Some(u),
        _ => None,
    }
}

fn sorted(items: FxHashMap<Arc<str>, (FileIx, usize)>) -> Vec<(Arc<str>, (FileIx, usize))> {
    let mut all: Vec<_> = items.into_iter().collect();
    all.sort();
    all
}

/// The error for a second definition of a name.
pub(super) fn defined_twice(name: &ast::Name, first: Span) -> Diagnostic {
    Diagnostic::error(codes::E0102, format!("`{name}` is defined twice"))
        .at(name.span, "second definition")
        .also(first, "first definition")
        .hint("there is one namespace: rename one of them")
}

/// The candidate that is closest to a misspelt name, if one is close.
pub(super) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|c| (distance(name, c), c))
        .filter(|&(d, c)| d <= 1 + name.len().min(c.len()) / 4 && d < name.len())
        .min()
        .map(|(_, c)| c)
}

/// Edit distance (Levenshtein), for names.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &cb) in b.iter().enumerate() {
            let cost = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_name_is_close() {
        assert_eq!(nearest("sofmax", ["softmax", "sparsek"].into_iter()), Some("softmax"));
        assert_eq!(nearest("zebra", ["softmax", "sparsek"].into_iter()), None);
        assert_eq!(nearest("q", ["k", "v"].into_iter()), None);
    }
}
