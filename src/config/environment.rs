//! The environment's layer: `GONEAWAY_TARGETS__ORDERS__PASSWORD`.
//!
//! A variable's value is the text of the setting, exactly: nothing is unquoted, trimmed or expanded. A variable that
//! begins as ours do and names no setting is a mistake, since it is most often a slip of the pen.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::layer::{Filling, Keys, folded, in_full, is_pool};
use super::origin::Place;
use super::settings::{OF_A_MODULE, OF_A_TARGET, SETTINGS, below, find, meant};

pub(crate) const PREFIX: &str = "GONEAWAY_";

/// Ours, but for scripts and tests.
const OF_SCRIPTS: [&str; 2] = ["GONEAWAY_TEST_", "GONEAWAY_CACHE"];

/// A variable that may be a mistake.
#[derive(Debug)]
pub(crate) struct Unknown {
    pub variable: String,
    pub says: String,
}

/// Reads the environment into a layer. `targets` are the names that the file has. Answers the variables that name no
/// setting: whether they are mistakes depends on what the whole configuration refers to.
pub(crate) fn read<'n>(
    environment: &[(OsString, OsString)],
    targets: impl Iterator<Item = &'n String>,
    filling: &mut Filling<'_>,
) -> Vec<Unknown> {
    let names: BTreeMap<String, &String> = targets.map(|name| (folded(name), name)).collect();
    let collectors = (filling.judges.collectors)();
    let mut unknown = Vec::new();
    let mut first: BTreeMap<Keys, String> = BTreeMap::new();
    let mut sorted: Vec<_> = environment.iter().filter_map(|(name, text)| Some((name.to_str()?, text))).collect();
    sorted.sort();
    for (variable, text) in sorted {
        let Some(rest) = ours(variable) else { continue };
        let place = Place::Environment(variable.to_owned());
        let path = match locate(&rest, &names, &collectors) {
            Ok(path) => path,
            Err(says) => {
                unknown.push(Unknown { variable: variable.to_owned(), says });
                continue;
            }
        };
        if let Some(other) = first.insert(in_full(&path), variable.to_owned()) {
            filling.mistakes.at(&place, &path.join("."), format!("set twice; the other is {other}"));
            continue;
        }
        if path[0] == "targets" {
            filling.target(&path[1], &place);
        }
        if let Some(length) = (1..path.len()).find(|length| is_pool(&path[..*length])) {
            filling.pool(&path[..length], &place);
        }
        if path[0] == "collectors" {
            if !filling.collector(&path[1], &place) {
                continue;
            }
            if path.len() > 2 {
                filling.tuned(&path[1], &place, true);
            }
        }
        match text.to_str() {
            Some(text) => said(filling, &path, &place, text),
            None => filling.wrong(&path, &place, &place, "is not UTF-8".to_owned()),
        }
    }
    unknown
}

/// Takes one text for a setting; a list is separated by commas.
pub(crate) fn said(filling: &mut Filling<'_>, path: &[String], place: &Place, text: &str) {
    match find(path) {
        Some(setting) if setting.kind.is_list() => {
            let items: Vec<(Place, String)> =
                text.split(',').map(|item| (place.clone(), item.trim().to_owned())).collect();
            filling.list(path, place, place, &items);
        }
        _ => filling.scalar(path, place, place, text),
    }
}

/// The name after the prefix in lower case, unless the variable is not meant for us.
fn ours(variable: &str) -> Option<String> {
    let upper = variable.to_ascii_uppercase();
    let rest = upper.strip_prefix(PREFIX)?;
    let theirs = OF_SCRIPTS.iter().any(|ours| upper.starts_with(ours)) || is_service_link(rest);
    (!theirs).then(|| rest.to_ascii_lowercase())
}

/// Kubernetes tells every container of the services beside it: a service that is called `goneaway` becomes
/// `GONEAWAY_SERVICE_HOST`, `GONEAWAY_PORT_10306_TCP_ADDR` and so on.
fn is_service_link(rest: &str) -> bool {
    let service = rest.contains("SERVICE_HOST") || rest.contains("SERVICE_PORT");
    let port = rest == "PORT" || rest.starts_with("PORT_") || rest.ends_with("_PORT") || rest.contains("_PORT_");
    !rest.contains("__") && (service || port)
}

fn locate(rest: &str, names: &BTreeMap<String, &String>, collectors: &[&str]) -> Result<Keys, String> {
    if rest == "targets" || rest == "targets_" || rest == "targets__" || rest.starts_with("targets____") {
        return Err(format!("names no target; name it and the setting, such as `{PREFIX}TARGETS__ORDERS__ADDRESS`"));
    }
    if let Some(tail) = rest.strip_prefix("targets__") {
        return of_a_target(tail, names);
    }
    if let Some(tail) = rest.strip_prefix("auth_modules__") {
        return of_a_module(tail);
    }
    if let Some(tail) = rest.strip_prefix("collectors__").filter(|tail| !tail.is_empty()) {
        return of_a_collector(tail, collectors);
    }
    let path: Keys = rest.split("__").map(str::to_owned).collect();
    match find(&path) {
        Some(_) => Ok(path),
        None => Err(stray(rest, &path)),
    }
}

/// A dot in the name of a collector is written `_`. One that is not among `known` is judged by its name.
fn of_a_collector(tail: &str, known: &[&str]) -> Result<Keys, String> {
    let (spelled, key) = match tail.split_once("__") {
        Some((name, key)) => (name, Some(key)),
        None => (tail, None),
    };
    let meant: Vec<&str> = known.iter().copied().filter(|name| folded(name) == spelled).collect();
    let name = match meant.as_slice() {
        [] => return Ok(vec!["collectors".to_owned(), if known.is_empty() { tail } else { spelled }.to_owned()]),
        [name] => *name,
        several => return Err(format!("may be any of the collectors {}; set it in the file", several.join(", "))),
    };
    let path: Keys = ["collectors", name].into_iter().chain(key).map(str::to_owned).collect();
    match find(&path) {
        Some(_) => Ok(path),
        None => Err(stray("", &path)),
    }
}

/// The name of a target may itself hold `__`: what follows it must be a setting.
fn of_a_target(tail: &str, names: &BTreeMap<String, &String>) -> Result<Keys, String> {
    let settings = OF_A_TARGET.iter().filter_map(|setting| {
        let (name, pool, setting) = match setting.strip_prefix("pools.*.") {
            Some(of_pool) => {
                let head = tail.strip_suffix(&of_pool.replace('.', "__"))?.strip_suffix("__")?;
                let (name, pool) = head.split_once("__pools__")?;
                (name, Some(pool), of_pool)
            }
            None => (tail.strip_suffix(&setting.replace('.', "__"))?.strip_suffix("__")?, None, *setting),
        };
        (!name.is_empty() && pool != Some("")).then_some((name, pool, setting))
    });
    if let Some((name, pool, setting)) = settings.min_by_key(|(name, pool, _)| (pool.is_none(), name.len())) {
        let name = names.get(name).map_or(name, |name| name.as_str());
        let mut path = vec!["targets".to_owned(), name.to_owned()];
        path.extend(pool.into_iter().flat_map(|pool| ["pools".to_owned(), pool.to_owned()]));
        path.extend(setting.split('.').map(str::to_owned));
        return Ok(path);
    }
    let known = names.keys().find_map(|name| Some((name.as_str(), tail.strip_prefix(name)?.strip_prefix("__")?)));
    let Some((name, keys)) = known.or_else(|| tail.split_once("__")) else {
        return Err(format!(
            "names no setting of a target; write one such as `{PREFIX}TARGETS__{}__ADDRESS`",
            upper(tail)
        ));
    };
    let mut path = vec!["targets".to_owned(), name.to_owned()];
    path.extend(keys.split("__").map(str::to_owned));
    Err(stray("", &path))
}

/// An auth module's name is in lower case here.
fn of_a_module(tail: &str) -> Result<Keys, String> {
    let setting = OF_A_MODULE.iter().find_map(|setting| {
        let name = tail.strip_suffix(&setting.replace('.', "__"))?.strip_suffix("__")?;
        (!name.is_empty()).then_some((name, *setting))
    });
    if let Some((name, setting)) = setting {
        let keys = ["auth_modules", name].into_iter().chain(setting.split('.'));
        return Ok(keys.map(str::to_owned).collect());
    }
    let path = format!("auth_modules__{tail}");
    let path: Keys = path.split("__").map(str::to_owned).collect();
    match path.len() {
        0..=2 => Err(format!(
            "names no setting of an auth module; write one such as `{PREFIX}AUTH_MODULES__CLIENT__PASSWORD`"
        )),
        _ => Err(stray("", &path)),
    }
}

/// What a variable that names nothing is answered.
fn stray(rest: &str, path: &[String]) -> String {
    let known = (1..path.len()).take_while(|length| !below(&path[..*length]).is_empty()).count();
    let (group, key) = (&path[..known], &path[known]);
    if let Some(ours) = meant(group, key).filter(|_| known > 0 || path.len() > 1) {
        return format!("unknown setting; did you mean `{}`?", upper(&ours.replace('.', "__")));
    }
    let flat = |path: &str| path.replace('.', "_");
    if let Some(setting) = SETTINGS.iter().find(|setting| flat(setting.path) == rest.replace("__", "_")) {
        return format!("unknown setting; did you mean `{PREFIX}{}`?", upper(&setting.path.replace('.', "__")));
    }
    let here: Vec<String> = below(group).into_iter().map(|name| format!("`{}`", upper(name))).collect();
    if known > 0 {
        return format!("unknown setting; known here: {}", here.join(", "));
    }
    format!("unknown setting; its parts are joined by `__`, as in `{PREFIX}LOG__LEVEL`")
}

fn upper(text: &str) -> String {
    text.to_ascii_uppercase()
}
