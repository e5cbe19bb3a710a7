//! The layers over each other: defaults, file, environment, flags.
//!
//! `defaults` of the configuration are spread over the targets here, below everything that a target says itself in
//! whatever layer. Where a value came from is kept beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use figment::value::{Dict, Map, Value as Figment};
use figment::{Metadata, Profile, Provider};

use super::layer::{Keys, Layer, Leaf, keys};
use super::origin::{Origin, Origins, Place};
use super::settings::{
    DEFAULT_POOL, Given, Kind, OF_A_MODULE, OF_A_QUERY, OF_A_TARGET, PASSWORDS, SETTINGS, Setting, find,
};
use super::shape::Config;
use super::value::{Value, convert, spelled};

/// Layers that were spread over the targets, the weakest first.
#[derive(Debug)]
pub(crate) struct Merged {
    strata: Vec<Stratum>,
    pub targets: BTreeMap<String, Place>,
    pub modules: BTreeMap<String, Place>,
    /// The pools of each target, and where each is named; the one that all have that name none is named nowhere.
    pub pools: BTreeMap<String, BTreeMap<String, Place>>,
    /// Queries of which something is said, and where each is named.
    pub queries: BTreeMap<String, Place>,
    /// Their value columns.
    pub columns: BTreeMap<String, BTreeMap<String, Place>>,
}

/// What was concluded from the layers.
const SETTLED: &str = "settled";

/// What one layer gives to the finished configuration: no `defaults`, only targets.
#[derive(Debug)]
struct Stratum {
    name: &'static str,
    leaves: BTreeMap<Keys, Leaf>,
}

pub(crate) fn merge(layers: Vec<(&'static str, Layer)>) -> Merged {
    let (mut targets, mut modules) = (BTreeMap::new(), BTreeMap::new());
    for (_, layer) in &layers {
        for (all, named) in [(&mut targets, &layer.targets), (&mut modules, &layer.modules)] {
            for (name, place) in named {
                all.entry(name.clone()).or_insert_with(|| place.clone());
            }
        }
    }
    let pools = pools(&layers, &targets);
    let (queries, columns) = queries(&layers);
    let mut weakest = built_in(&targets, &modules, &pools, &columns);
    for (path, leaf) in layers.iter().flat_map(|(_, layer)| &layer.implied) {
        weakest.leaves.entry(path.clone()).or_insert_with(|| leaf.clone());
    }
    let mut merged = Merged { strata: vec![weakest], targets, modules, pools, queries, columns };
    for (name, layer) in &layers {
        let shared = layer.leaves.iter().filter(|(path, _)| path[0] == "defaults");
        let spread = shared.flat_map(|(path, leaf)| {
            merged.targets.keys().map(move |target| {
                let path =
                    ["targets", target].into_iter().map(str::to_owned).chain(path[1..].iter().cloned()).collect();
                (path, leaf.clone())
            })
        });
        let leaves = spread.collect();
        merged.over(Stratum { name, leaves });
    }
    for (name, layer) in layers {
        let leaves = layer.leaves.into_iter().filter(|(path, _)| path[0] != "defaults").collect();
        merged.over(Stratum { name, leaves });
    }
    merged
}

impl Merged {
    /// What counts in the end for a path.
    pub(crate) fn leaf(&self, path: &[String]) -> Option<&Leaf> {
        self.strata.iter().rev().find_map(|stratum| stratum.leaves.get(path))
    }

    /// Whether servers may be asked about that are no targets.
    pub(crate) fn allows_some(&self) -> bool {
        let of_modules = self.modules.keys().any(|module| self.of(Owner::Module(module), "allow").is_some());
        of_modules || self.leaf(&keys("probe.allow")).is_some()
    }

    /// What counts in the end for a setting of a target (`every`, `tls.ca`).
    pub(crate) fn of_target(&self, target: &str, setting: &str) -> Option<&Leaf> {
        self.of(Owner::Target(target), setting)
    }

    /// The same for whatever has an account.
    pub(crate) fn of(&self, owner: Owner<'_>, setting: &str) -> Option<&Leaf> {
        self.leaf(&owner.path(setting))
    }

    /// What counts in the end for a setting of a pool (`size`, `exercise.busy`).
    pub(crate) fn of_pool(&self, target: &str, pool: &str, setting: &str) -> Option<&Leaf> {
        self.leaf(&of_pool(target, pool, &format!("pools.*.{setting}")))
    }

    /// What counts in the end for a setting of a query.
    pub(crate) fn of_query(&self, query: &str, setting: &str) -> Option<&Leaf> {
        self.leaf(&["queries", query, setting].map(str::to_owned))
    }

    /// What counts in the end for a setting of a value column of a query.
    pub(crate) fn of_column(&self, query: &str, column: &str, setting: &str) -> Option<&Leaf> {
        self.leaf(&["queries", query, "values", column, setting].map(str::to_owned))
    }

    /// The collectors of which something is said.
    pub(crate) fn collectors(&self) -> BTreeSet<String> {
        let paths = self.strata.iter().flat_map(|stratum| stratum.leaves.keys());
        paths.filter(|path| path[0] == "collectors").map(|path| path[1].clone()).collect()
    }

    /// Replaces what counts, keeping where it came from.
    pub(crate) fn settle(&mut self, owner: Owner<'_>, setting: &str, leaf: Leaf) {
        self.conclude(owner.path(setting), leaf);
    }

    pub(crate) fn conclude(&mut self, path: Keys, leaf: Leaf) {
        if self.strata.last().is_none_or(|last| last.name != SETTLED) {
            self.strata.push(Stratum { name: SETTLED, leaves: BTreeMap::new() });
        }
        self.clear_for(&path);
        if let Some(last) = self.strata.last_mut() {
            last.leaves.insert(path, leaf);
        }
    }

    fn over(&mut self, stratum: Stratum) {
        stratum.leaves.keys().for_each(|path| self.clear_for(path));
        self.strata.push(stratum);
    }

    /// A password of any kind replaces those of the other kinds below it.
    fn clear_for(&mut self, path: &[String]) {
        let Some((name, group)) = path.split_last().filter(|(name, _)| PASSWORDS.contains(&name.as_str())) else {
            return;
        };
        for other in PASSWORDS.iter().filter(|other| *other != name) {
            let mut path = group.to_vec();
            path.push((*other).to_owned());
            self.strata.iter_mut().for_each(|below| drop(below.leaves.remove(&path)));
        }
    }

    pub(crate) fn origins(&self) -> Origins {
        let mut origins = Origins::default();
        for (name, place) in &self.targets {
            let setting = format!("targets.{name}");
            let origin = Origin { setting: setting.clone(), place: place.clone(), key: place.clone() };
            origins.insert(setting, origin);
        }
        for (path, leaf) in self.strata.iter().flat_map(|stratum| &stratum.leaves) {
            origins.insert(path.join("."), leaf.origin.clone());
        }
        origins
    }

    /// The finished configuration. To be asked only when nothing was wrong; an error is a mistake of ours.
    pub(crate) fn config(&self) -> Result<Config, String> {
        let all = self.strata.iter().fold(figment::Figment::new(), |all, stratum| all.merge(stratum));
        all.extract().map_err(|error| error.to_string())
    }
}

impl Provider for Stratum {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut dict = Dict::new();
        for (path, leaf) in &self.leaves {
            if let Some(value) = &leaf.value {
                insert(&mut dict, path, figment(value));
            }
        }
        Ok(Profile::Default.collect(dict))
    }
}

fn insert(dict: &mut Dict, path: &[String], value: Figment) {
    match path {
        [] => {}
        [last] => drop(dict.insert(last.clone(), value)),
        [first, rest @ ..] => {
            let group = dict.entry(first.clone()).or_insert_with(|| Figment::from(Dict::new()));
            if let Figment::Dict(_, group) = group {
                insert(group, rest, value);
            }
        }
    }
}

fn figment(value: &Value) -> Figment {
    match value {
        Value::Text(text) => Figment::from(text.as_str()),
        Value::Secret(secret) => Figment::from(secret.expose()),
        Value::Switch(on) => Figment::from(*on),
        Value::Count(number) => Figment::from(*number),
        Value::Span(duration) => Figment::from(spelled(*duration)),
        Value::List(items) => Figment::from(items.clone()),
        Value::Path(path) => Figment::from(path.to_string_lossy().into_owned()),
        Value::Lifetime(None) => Figment::from("never"),
        Value::Lifetime(Some(duration)) => Figment::from(spelled(*duration)),
    }
}

/// Which pools each target has.
fn pools(
    layers: &[(&'static str, Layer)],
    targets: &BTreeMap<String, Place>,
) -> BTreeMap<String, BTreeMap<String, Place>> {
    let mut pools: BTreeMap<String, BTreeMap<String, Place>> =
        targets.keys().map(|name| (name.clone(), BTreeMap::new())).collect();
    for (path, place) in layers.iter().flat_map(|(_, layer)| &layer.pools) {
        let Some((pool, of)) = path.split_last() else { continue };
        let mut name = |target: &mut BTreeMap<String, Place>| {
            target.entry(pool.clone()).or_insert_with(|| place.clone());
        };
        match of.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["targets", target, _] => pools.get_mut(*target).into_iter().for_each(&mut name),
            _ => pools.values_mut().for_each(&mut name),
        }
    }
    for of_target in pools.values_mut().filter(|of_target| of_target.is_empty()) {
        of_target.insert(DEFAULT_POOL.to_owned(), Place::Default);
    }
    pools
}

type Named = BTreeMap<String, Place>;

/// The queries of which something is said, and the columns of each.
fn queries(layers: &[(&'static str, Layer)]) -> (Named, BTreeMap<String, Named>) {
    let said = |name: &String| {
        let mut paths = layers.iter().flat_map(|(_, layer)| layer.leaves.keys());
        paths.any(|path| path.len() > 2 && path[0] == "queries" && path[1] == *name)
    };
    let (mut queries, mut columns) = (Named::new(), BTreeMap::new());
    for (name, place) in layers.iter().flat_map(|(_, layer)| &layer.queries).filter(|(name, _)| said(name)) {
        queries.entry(name.clone()).or_insert_with(|| place.clone());
        columns.entry(name.clone()).or_insert_with(Named::new);
    }
    for (path, place) in layers.iter().flat_map(|(_, layer)| &layer.columns) {
        if let [_, query, _, column] = path.as_slice()
            && let Some(of_query) = columns.get_mut(query)
        {
            of_query.entry(column.clone()).or_insert_with(|| place.clone());
        }
    }
    (queries, columns)
}

/// What has an account and a way to a server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Owner<'a> {
    Target(&'a str),
    Module(&'a str),
}

impl Owner<'_> {
    /// The path of one of its settings.
    fn path(self, setting: &str) -> Keys {
        let (group, name) = match self {
            Owner::Target(name) => ("targets", name),
            Owner::Module(name) => ("auth_modules", name),
        };
        [group, name].into_iter().chain(setting.split('.')).map(str::to_owned).collect()
    }
}

/// The defaults of the table.
fn built_in(
    targets: &BTreeMap<String, Place>,
    modules: &BTreeMap<String, Place>,
    pools: &BTreeMap<String, BTreeMap<String, Place>>,
    columns: &BTreeMap<String, Named>,
) -> Stratum {
    let mut leaves = BTreeMap::new();
    let mut take = |path: Keys, setting: &Setting| {
        if let Some(value) = default(setting) {
            let origin = Origin { setting: path.join("."), place: Place::Default, key: Place::Default };
            leaves.insert(path, Leaf { value: Some(value), origin });
        }
    };
    // Of a collector that nobody names nothing is to be known.
    let is_free = |setting: &&Setting| setting.path.contains('*') || setting.path.starts_with("collectors.");
    for setting in SETTINGS.iter().filter(|setting| !is_free(setting)) {
        take(keys(setting.path), setting);
    }
    for target in targets.keys() {
        for name in OF_A_TARGET.iter() {
            let named: Vec<Keys> = match name.contains('*') {
                true => pools[target].keys().map(|pool| of_pool(target, pool, name)).collect(),
                false => vec![Owner::Target(target).path(name)],
            };
            for path in named {
                if let Some(setting) = find(&path) {
                    take(path, setting);
                }
            }
        }
    }
    for module in modules.keys() {
        for name in OF_A_MODULE.iter() {
            let path = Owner::Module(module).path(name);
            if let Some(setting) = find(&path) {
                take(path, setting);
            }
        }
    }
    for (query, columns) in columns {
        for name in OF_A_QUERY.iter() {
            let own = |keys: &[&str]| ["queries", query].iter().chain(keys).map(|key| (*key).to_owned()).collect();
            let paths: Vec<Keys> = match name.strip_prefix("values.*.") {
                Some(key) => columns.keys().map(|column| own(&["values", column, key])).collect(),
                None => vec![own(&[name])],
            };
            for path in paths {
                if let Some(setting) = find(&path) {
                    take(path, setting);
                }
            }
        }
    }
    Stratum { name: "default", leaves }
}

fn default(setting: &Setting) -> Option<Value> {
    let Given::Default(text) = setting.given else { return None };
    if let Kind::Spans { .. } | Kind::Names = setting.kind {
        return Some(Value::List(text.split(',').map(|item| item.trim().to_owned()).collect()));
    }
    let value = convert(setting.kind, text, Path::new("")).ok()?;
    Some(match (setting.kind, value) {
        (Kind::Listen, Value::Text(one)) => Value::List(vec![one]),
        (_, value) => value,
    })
}

/// The path of a setting of a pool (`pools.*.size`); the name may have dots.
fn of_pool(target: &str, pool: &str, setting: &str) -> Keys {
    let keys = setting.split('.').map(|key| if key == "*" { pool } else { key });
    ["targets", target].into_iter().chain(keys).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_of_the_table_is_a_good_value() {
        for setting in SETTINGS {
            assert_eq!(default(setting).is_some(), setting.default().is_some(), "{}", setting.path);
            let samples: Vec<&str> = match setting.kind.is_list() {
                true => setting.sample().split(',').map(str::trim).collect(),
                false => vec![setting.sample()],
            };
            for sample in samples {
                assert!(convert(setting.kind, sample, Path::new("")).is_ok(), "{}", setting.path);
            }
        }
    }
}
