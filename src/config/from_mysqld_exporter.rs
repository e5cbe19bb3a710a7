//! The `exporter.yaml` that does what mysqld_exporter's flags and files do.
//!
//! No secret is repeated: one that has a name (a variable) is referred to by it, for the others the file tells where to
//! write it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write;
use std::path::Path;

use super::drop_in;
use super::environment::PREFIX;
use super::flags;
use super::layer::{Filling, Keys, Layer};
use super::load::{Sources, load};
use super::mistakes::Mistakes;
use super::settings::{SETTINGS, find};
use super::shape::AuthModule;
use super::show::{mode, scalar, version, words};
use super::value::{Value, spelled};

/// Writes the file, or says everything that is wrong. Our own variables are no part of it.
pub fn from_mysqld_exporter(sources: &Sources) -> Result<String, Mistakes> {
    let mut sources = sources.clone();
    let is_ours = |name: &OsString| name.to_str().is_some_and(|name| name.to_ascii_uppercase().starts_with(PREFIX));
    sources.env.retain(|(name, _)| !is_ours(name));
    sources.mysqld_exporter.meant = Some("`config from-mysqld-exporter`".to_owned());
    let loaded = load(&sources)?;

    let (mut mistakes, mut warnings) = (Mistakes::default(), Vec::new());
    let read = drop_in::read(&sources.mysqld_exporter, &sources.env, sources.judges, &mut mistakes, &mut warnings);
    let mut filling = Filling::new(&mut mistakes, Path::new(""), sources.judges);
    flags::read(&sources.flags, &mut filling);
    let mut all = read.defaults;
    for layer in [read.said, filling.done()] {
        all.leaves.extend(layer.leaves);
        for (path, leaf) in layer.implied {
            all.leaves.entry(path).or_insert(leaf);
        }
    }

    let mut out = HEAD.to_owned();
    for warning in &loaded.warnings {
        line(&mut out, 0, &format!("# {warning}"));
    }
    out.push('\n');
    write(&mut out, &all);
    // `[client]` alone is the target's own account, and nobody may ask for another server.
    if read.auth_modules.len() > 1 || !loaded.config.probe.allow.is_empty() {
        modules(&mut out, &read.auth_modules);
    }
    Ok(out)
}

/// The sections of my.cnf.
fn modules(out: &mut String, modules: &BTreeMap<String, AuthModule>) {
    line(out, 0, "auth_modules:");
    for (name, module) in modules {
        line(out, 1, &format!("{}:", scalar(name)));
        line(out, 2, &format!("user: {}", scalar(&module.user)));
        if !module.password.is_empty() {
            line(out, 2, "# Write the password into this file; it is not repeated here.");
            line(out, 2, &format!("password_file: {}", scalar(&format!("/etc/goneaway/{}.password", file_name(name)))));
        }
        if let Some(allow) = &module.allow {
            line(out, 2, &format!("allow: {}", yaml(&Value::List(allow.clone()))));
        }
        if module.cleartext {
            line(out, 2, "cleartext: true");
        }
        line(out, 2, "tls:");
        line(out, 3, &format!("mode: {}", mode(module.tls.mode)));
        let files = [("ca", &module.tls.ca), ("cert", &module.tls.cert), ("key", &module.tls.key)];
        for (key, file) in files.into_iter().filter_map(|(key, file)| Some((key, file.as_ref()?))) {
            line(out, 3, &format!("{key}: {}", yaml(&Value::Path(file.clone()))));
        }
        if let Some(name) = &module.tls.server_name {
            line(out, 3, &format!("server_name: {}", scalar(name)));
        }
        line(out, 3, &format!("min_version: {}", version(module.tls.min_version)));
    }
}

/// A section may be called anything.
fn file_name(section: &str) -> String {
    section.chars().map(|c| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '_' }).collect()
}

const HEAD: &str = "\
# What mysqld_exporter's flags and files say, as goneaway's configuration.
# One thing differs: series of a target that has a name carry it as the label `target`.
";

/// Writes what the leaves say, in the order of the shipped file.
fn write(out: &mut String, layer: &Layer) {
    let is_tuned = |name: &String| layer.leaves.keys().filter(|path| path.get(1) == Some(name)).count() > 1;
    let short = |path: &Keys| match path.as_slice() {
        [group, name, _] if group == "collectors" && !is_tuned(name) => path[..2].to_vec(),
        _ => path.clone(),
    };
    let mut sorted: Vec<(Keys, &Value)> =
        layer.leaves.iter().filter_map(|(path, leaf)| Some((short(path), leaf.value.as_ref()?))).collect();
    let row = |path: &[String]| find(path).and_then(|found| SETTINGS.iter().position(|row| row.path == found.path));
    sorted.sort_by_cached_key(|(path, _)| match path.as_slice() {
        // What is said of one collector stands together.
        [group, name, ..] if group == "collectors" => (row(&path[..2]), name.clone(), row(path)),
        _ => (row(path), String::new(), None),
    });
    let mut open: &[String] = &[];
    for (path, value) in &sorted {
        let (group, depth) = (&path[..path.len() - 1], path.len() - 1);
        let shared = open.iter().zip(group).take_while(|(one, other)| one == other).count();
        for (depth, name) in group.iter().enumerate().skip(shared) {
            line(out, depth, &format!("{}:", scalar(name)));
        }
        open = group;
        match value {
            Value::Secret(secret) if secret.is_empty() => {}
            Value::Secret(_) => {
                line(out, depth, "# Write the password into this file; it is not repeated here.");
                line(out, depth, "password_file: /etc/goneaway/password");
            }
            value => line(out, depth, &format!("{}: {}", scalar(&path[depth]), yaml(value))),
        }
    }
}

fn line(out: &mut String, depth: usize, text: &str) {
    let written = writeln!(out, "{:indent$}{text}", "", indent = 2 * depth);
    debug_assert!(written.is_ok(), "a string takes everything");
}

fn yaml(value: &Value) -> String {
    match value {
        Value::Text(text) => scalar(text),
        Value::Switch(on) => on.to_string(),
        Value::Count(number) => number.to_string(),
        Value::Span(duration) | Value::Lifetime(Some(duration)) => spelled(*duration),
        Value::Lifetime(None) => "never".to_owned(),
        Value::List(items) => words(items),
        // There a relative path starts from the file's folder, wherever that will be.
        Value::Path(path) => {
            let full = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            scalar(&full.to_string_lossy())
        }
        Value::Secret(secret) => secret.to_string(),
    }
}
