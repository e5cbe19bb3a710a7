//! From sources to a configuration, or to everything that is wrong with them.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::drop_in::{self, MysqldExporter};
use super::exporter_account::TARGET;
use super::flags::Flag;
use super::layer::{Filling, Judges, Layer};
use super::merge::{Merged, merge};
use super::mistakes::Mistakes;
use super::origin::{File, Origins, Place, file, shown};
use super::rules::{cannot_read, judge, read_at_most};
use super::shape::Config;
use super::value::Value;
use super::{document, environment, flags};

/// Where a configuration is looked for when no file is named.
pub const SEARCHED: [&str; 2] = ["exporter.yaml", "/etc/goneaway/exporter.yaml"];

/// Everything that a configuration is made of. The weakest first.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file that was named; it must exist.
    pub file: Option<PathBuf>,
    /// Where to look when none was named: the first that exists counts.
    pub search: Vec<PathBuf>,
    /// The whole environment of the process.
    pub env: Vec<(OsString, OsString)>,
    pub flags: Vec<Flag>,
    pub judges: Judges,
    /// What is said in mysqld_exporter's words.
    pub mysqld_exporter: MysqldExporter,
}

/// A good configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    pub config: Config,
    pub origins: Origins,
    /// What is allowed and probably not meant.
    pub warnings: Vec<String>,
    /// The file that was read.
    pub file: Option<PathBuf>,
}

/// Reads all sources. The file system is read here and nothing is kept open; the process's environment is not read.
pub fn load(sources: &Sources) -> Result<Loaded, Mistakes> {
    match drop_in::reason(&sources.mysqld_exporter, &sources.env, || is_configured(sources)) {
        Some(reason) => load_drop_in(sources, &reason),
        None => load_file(sources),
    }
}

fn load_file(sources: &Sources) -> Result<Loaded, Mistakes> {
    let (mut mistakes, mut warnings) = (Mistakes::default(), Vec::new());
    let found = find_file(sources, &mut mistakes);
    let base = found.as_ref().and_then(|(path, _)| path.parent()).unwrap_or(Path::new(""));

    let from_file = match &found {
        Some((path, bytes)) => fill(&mut mistakes, base, sources.judges, |filling| read_file(path, bytes, filling)),
        None => Layer::default(),
    };
    let mut unknown = Vec::new();
    let from_environment = fill(&mut mistakes, base, sources.judges, |filling| {
        unknown = environment::read(&sources.env, from_file.targets.keys(), filling);
    });
    // A path that is typed is meant from where it is typed.
    let from_flags = fill(&mut mistakes, Path::new(""), sources.judges, |filling| {
        flags::read(&sources.flags, filling);
        drop_in::beside_a_file(&sources.mysqld_exporter, filling, &mut warnings);
    });
    stray(unknown, &[&from_file, &from_environment], &mut mistakes);

    let mut merged = merge(vec![("file", from_file), ("environment", from_environment), ("flags", from_flags)]);
    judge(&mut merged, &sources.env, &mut mistakes, &mut warnings);
    // `/probe` may be all that is wanted.
    if merged.targets.is_empty() && !merged.allows_some() && mistakes.is_empty() {
        match &found {
            Some((path, _)) => {
                let says = "no targets; add one below `targets:`, such as `local: {address: 127.0.0.1:3306}`";
                mistakes.at(&Place::File(path.clone()), "", says);
            }
            None => mistakes.at(&Place::Everywhere, "", nothing_found(&sources.search)),
        }
    }
    finish(merged, mistakes, warnings, found.map(|(path, _)| path))
}

/// mysqld_exporter's flags and files in the place of `exporter.yaml`, which is not read.
fn load_drop_in(sources: &Sources, reason: &str) -> Result<Loaded, Mistakes> {
    let (mut mistakes, mut warnings) = (Mistakes::default(), Vec::new());
    if sources.file.is_some() {
        mistakes.at(&Place::Flag("--config.file".to_owned()), "", drop_in::beside(reason));
    }
    let read = drop_in::read(&sources.mysqld_exporter, &sources.env, sources.judges, &mut mistakes, &mut warnings);
    let mut unknown = Vec::new();
    let from_environment = fill(&mut mistakes, Path::new(""), sources.judges, |filling| {
        unknown = environment::read(&sources.env, std::iter::once(&TARGET.to_owned()), filling);
    });
    for (name, place) in from_environment.targets.iter().filter(|(name, _)| *name != TARGET) {
        let says = format!("there is no target but `{TARGET}` beside mysqld_exporter's flags, {reason} here");
        mistakes.at(place, &format!("targets.{name}"), says);
    }
    let from_flags = fill(&mut mistakes, Path::new(""), sources.judges, |filling| flags::read(&sources.flags, filling));
    stray(unknown, &[&from_environment], &mut mistakes);

    let layers = vec![
        ("mysqld_exporter's defaults", read.defaults),
        ("environment", from_environment),
        ("mysqld_exporter's flags", read.said),
        ("flags", from_flags),
    ];
    let mut merged = merge(layers);
    judge(&mut merged, &sources.env, &mut mistakes, &mut warnings);
    let mut loaded = finish(merged, mistakes, warnings, read.file)?;
    for (name, module) in read.auth_modules {
        loaded.config.auth_modules.entry(name).or_insert(module);
    }
    loaded.config.drop_in = Some(read.drop_in);
    Ok(loaded)
}

/// A variable that begins as ours do is a mistake, unless a password is read from it.
fn stray(unknown: Vec<environment::Unknown>, layers: &[&Layer], mistakes: &mut Mistakes) {
    let referred = referred_variables(layers);
    for stray in unknown.into_iter().filter(|stray| !referred.contains(&stray.variable)) {
        mistakes.at(&Place::Environment(stray.variable), "", stray.says);
    }
}

fn finish(
    merged: Merged,
    mut mistakes: Mistakes,
    warnings: Vec<String>,
    file: Option<File>,
) -> Result<Loaded, Mistakes> {
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let config = merged.config().map_err(|error| {
        mistakes.at(&Place::Everywhere, "", error);
        mistakes
    })?;
    Ok(Loaded { config, origins: merged.origins(), warnings, file: file.map(|path| path.to_path_buf()) })
}

/// Whether there is a configuration of our own.
fn is_configured(sources: &Sources) -> bool {
    let names_a_target = |(name, _): &(OsString, OsString)| {
        name.to_str().is_some_and(|name| name.to_ascii_uppercase().starts_with("GONEAWAY_TARGETS__"))
    };
    sources.file.is_some() || sources.search.iter().any(|path| path.exists()) || sources.env.iter().any(names_a_target)
}

fn fill(mistakes: &mut Mistakes, base: &Path, judges: Judges, with: impl FnOnce(&mut Filling<'_>)) -> Layer {
    let mut filling = Filling::new(mistakes, base, judges);
    with(&mut filling);
    filling.done()
}

/// Room for tens of thousands of targets.
const FILE_BYTES: u64 = 16 << 20;

/// The file and its bytes; none when none was named and none is where it is looked for.
fn find_file(sources: &Sources, mistakes: &mut Mistakes) -> Option<(File, Vec<u8>)> {
    let named = sources.file.iter();
    let candidates: Vec<&PathBuf> = match sources.file {
        Some(_) => named.collect(),
        None => sources.search.iter().collect(),
    };
    for path in candidates {
        match read_at_most(path, FILE_BYTES) {
            Ok(bytes) => return Some((file(path.clone()), bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound && sources.file.is_none() => {}
            Err(error) => {
                let hint = match sources.file {
                    // That one asks already.
                    _ if error.kind() == ErrorKind::FileTooLarge => "",
                    Some(_) => "; check `--config.file`",
                    None => "; or name another by `--config.file`",
                };
                mistakes.at(&Place::Everywhere, "", format!("{}{hint}", cannot_read(path, &error)));
                return None;
            }
        }
    }
    None
}

fn read_file(path: &File, bytes: &[u8], filling: &mut Filling<'_>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => document::read(text, path, filling),
        Err(error) => {
            let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            let place = Place::Line { file: path.clone(), line, column };
            filling.mistakes.at(&place, "", "the file is not UTF-8 from here on; save it as UTF-8");
        }
    }
}

/// Variables that hold passwords may be called as the operator likes, also as ours are.
fn referred_variables(layers: &[&Layer]) -> BTreeSet<String> {
    let leaves = layers.iter().flat_map(|layer| &layer.leaves);
    leaves
        .filter(|(path, _)| path.last().is_some_and(|name| name == "password_env"))
        .filter_map(|(_, leaf)| match &leaf.value {
            Some(Value::Text(name)) => Some(name.clone()),
            _ => None,
        })
        .collect()
}

fn nothing_found(search: &[PathBuf]) -> String {
    let places: Vec<String> = search.iter().map(|path| shown(path)).collect();
    let looked = match places.is_empty() {
        true => "no configuration was named".to_owned(),
        false => format!("no configuration: there is no {}", places.join(" and no ")),
    };
    format!("{looked}; name one by `--config.file`, or a server by `{}TARGETS__NAME__ADDRESS`", environment::PREFIX)
}
