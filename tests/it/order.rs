//! The law of the house: a file names only what is listed above it in the `mod` lists.
//!
//! `src/lib.rs` lists the rooms, each room's root file lists its files. A root file may name its own files, they
//! never name it: what they share stands in a file above them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A module by its path, `["mysql", "handshake", "auth"]`, with the modules it declares in their order.
struct Module {
    path: Vec<String>,
    file: PathBuf,
    code: String,
    children: Vec<String>,
}

#[test]
fn every_file_names_only_what_is_listed_above_it() {
    let modules = read_modules();
    assert!(modules.len() > 30, "only {} modules found", modules.len());
    let breaches: Vec<String> = modules.values().flat_map(|module| breaches(module, &modules)).collect();
    assert!(breaches.is_empty(), "{} breaches of the order:\n{}", breaches.len(), breaches.join("\n"));
}

#[test]
fn a_breach_is_found() {
    let module = |path: &[&str], code: &str| {
        let path: Vec<String> = path.iter().map(|part| part.to_string()).collect();
        let module = Module { file: path.join("/").into(), children: children(code), code: code.to_owned(), path };
        (module.path.clone(), module)
    };
    let modules = BTreeMap::from([
        module(&[], "mod a; mod b;"),
        module(&["a"], "mod x; mod y; use self::y::Z; struct Own;"),
        module(&["a", "x"], "use super::y::Z; use super::Own; fn f() { crate::b::g() }"),
        module(&["a", "y"], "use super::{x::Q, x}; use crate::a::x;"),
        module(&["b"], "use crate::{a, a::x}; mod c;"),
        module(&["b", "c"], "use super::super::a::x;"),
    ]);
    let found: Vec<String> = modules.values().flat_map(|module| breaches(module, &modules)).collect();
    assert_eq!(found, ["a/x: `b` is listed below it", "a/x: `a::y` is listed below it", "a/x: `a` is its root file"]);
}

fn breaches(module: &Module, modules: &BTreeMap<Vec<String>, Module>) -> Vec<String> {
    let mut breaches = Vec::new();
    for named in named_modules(module, modules) {
        let common = module.path.iter().zip(&named).take_while(|(a, b)| a == b).count();
        let own = module.path.get(common);
        let other = named.get(common);
        let wrong = match (own, other) {
            // Itself, or a root file that names its own files.
            (None, _) => continue,
            (Some(_), None) if named.is_empty() => continue,
            (Some(_), None) => "is its root file",
            (Some(own), Some(other)) => {
                let listed = &modules[&module.path[..common]].children;
                let place = |name: &String| listed.iter().position(|child| child == name);
                if place(other) < place(own) {
                    continue;
                }
                "is listed below it"
            }
        };
        breaches.push(format!("{}: `{}` {wrong}", module.file.display(), named.join("::")));
    }
    breaches
}

/// Every module that a file's paths lead to.
fn named_modules(module: &Module, modules: &BTreeMap<Vec<String>, Module>) -> Vec<Vec<String>> {
    let mut named = Vec::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in module.code.match_indices(start) {
            let before = module.code[..at].chars().next_back();
            // In the middle of a path, or of a word; a macro's `$crate` is a path of this crate like any other.
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            for path in paths(&module.code[at..]) {
                named.push(resolve(&module.path, &path, modules));
            }
        }
    }
    named.dedup();
    named
}

/// The paths that a use tree stands for: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn paths(text: &str) -> Vec<Vec<String>> {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(text.len());
    let mut trunk: Vec<String> = text[..end].split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
    // Macros stand at the root whatever file declares them.
    if text[end..].starts_with('!') {
        trunk.pop();
    }
    if !(text[end..].starts_with('{') && text[..end].ends_with("::")) {
        return vec![trunk];
    }
    branches(&text[end..])
        .iter()
        .flat_map(|branch| paths(branch.trim()))
        .map(|branch| [trunk.clone(), branch].concat())
        .collect()
}

fn branches(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0, 1, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => {
                found.push(&group[start..at]);
                return found;
            }
            '}' => depth -= 1,
            ',' if depth == 1 => {
                found.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found
}

/// The innermost module on the way; what is left is an item of it.
fn resolve(from: &[String], path: &[String], modules: &BTreeMap<Vec<String>, Module>) -> Vec<String> {
    let mut at: Vec<String> = from.to_vec();
    for part in path {
        match part.as_str() {
            "crate" => at.clear(),
            "self" => {}
            "super" => {
                at.pop();
            }
            name => {
                at.push(name.to_owned());
                if !modules.contains_key(&at) {
                    at.pop();
                    break;
                }
            }
        }
    }
    at
}

fn read_modules() -> BTreeMap<Vec<String>, Module> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut modules = BTreeMap::new();
    let mut todo = vec![(Vec::new(), source.join("lib.rs"), source.clone())];
    while let Some((path, file, folder)) = todo.pop() {
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let code = without_comments_and_tests(&text);
        let children = children(&code);
        for child in &children {
            let path: Vec<String> = [path.clone(), vec![child.clone()]].concat();
            todo.push((path, folder.join(format!("{child}.rs")), folder.join(child)));
        }
        let file = file.strip_prefix(&source).unwrap_or(&file).to_owned();
        modules.insert(path.clone(), Module { path, file, code, children });
    }
    modules
}

fn children(code: &str) -> Vec<String> {
    let statements = code.split(';').map(str::trim);
    statements
        .filter_map(|statement| {
            let (before, name) = statement.rsplit_once("mod ")?;
            let is_declaration = before.is_empty() || before.ends_with(['\n', ' ', ')']);
            let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
            (is_declaration && is_name).then(|| name.to_owned())
        })
        .collect()
}

/// Tests stand last in a file and may name anything.
fn without_comments_and_tests(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}
