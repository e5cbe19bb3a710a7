//! One layer of the configuration: what one file, the environment or the flags say, checked leaf by leaf.

use std::collections::BTreeMap;
use std::path::Path;

use super::mistakes::Mistakes;
use super::origin::{Origin, Place};
use super::query::names::query_flaw;
use super::settings::{Kind, PASSWORDS, Setting, find};
use super::value::{Value, convert};

/// The names from the top to a setting. Not one dotted text: a target's name may have dots.
pub(crate) type Keys = Vec<String>;

pub(crate) fn keys(path: &str) -> Keys {
    path.split('.').map(str::to_owned).collect()
}

#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    /// `None` when it was wrong: there is a mistake about it, and nothing else can be concluded.
    pub value: Option<Value>,
    pub origin: Origin,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Layer {
    pub leaves: BTreeMap<Keys, Leaf>,
    /// Each target that the layer names, and where it does first.
    pub targets: BTreeMap<String, Place>,
    /// Each auth module that it names, and where it does first.
    pub modules: BTreeMap<String, Place>,
    /// Each pool that it names, by the path of its name.
    pub pools: BTreeMap<Keys, Place>,
    /// Each query that it names, and where it does first.
    pub queries: BTreeMap<String, Place>,
    /// Each value column of a query, by the path of its name.
    pub columns: BTreeMap<Keys, Place>,
    /// What follows from naming something, where nothing says otherwise: a collector with settings is on.
    pub implied: BTreeMap<Keys, Leaf>,
}

/// What rooms below know and this one may not name. Each says what is wrong, or nothing.
#[derive(Clone, Copy, Debug)]
pub struct Judges {
    /// Of the address of a server.
    pub address: fn(&str) -> Result<(), String>,
    /// Of the name of a collector.
    pub collector: fn(&str) -> Result<(), String>,
    /// Of a pattern of servers.
    pub pattern: fn(&str) -> Result<(), String>,
    /// Of a pattern of clients' hosts with its name.
    pub host_group: fn(&str) -> Result<(), String>,
    /// Of another port of a server.
    pub door: fn(&str) -> Result<(), String>,
    /// The names of all collectors, for those who cannot spell them in full.
    pub collectors: fn() -> Vec<&'static str>,
}

/// Judges that are content with everything.
impl Default for Judges {
    fn default() -> Judges {
        let content: fn(&str) -> Result<(), String> = |_| Ok(());
        Judges {
            address: content,
            collector: content,
            pattern: content,
            host_group: content,
            door: content,
            collectors: Vec::new,
        }
    }
}

/// Fills a layer.
pub(crate) struct Filling<'a> {
    pub layer: Layer,
    pub mistakes: &'a mut Mistakes,
    /// The folder that relative paths start from.
    pub base: &'a Path,
    pub judges: Judges,
}

impl<'a> Filling<'a> {
    pub(crate) fn new(mistakes: &'a mut Mistakes, base: &'a Path, judges: Judges) -> Filling<'a> {
        Filling { layer: Layer::default(), mistakes, base, judges }
    }

    /// Takes the name of a target; the same one may come again.
    pub(crate) fn target(&mut self, name: &str, key: &Place) {
        if self.layer.targets.contains_key(name) {
            return;
        }
        self.layer.targets.insert(name.to_owned(), key.clone());
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)) {
            let says = format!("`{name}` cannot name a target; write letters, digits, `_`, `.` and `-`");
            self.mistakes.at(key, "targets", says);
        }
    }

    /// Takes the name of an auth module, which may be any text. One that says nothing is none: so the shipped file, which
    /// shows its settings, has none.
    fn module(&mut self, name: &str, key: &Place) {
        if name.is_empty() && !self.layer.modules.contains_key(name) {
            self.mistakes.at(
                key,
                "auth_modules",
                "an auth module wants a name; `client` is the one for who names none",
            );
        }
        self.layer.modules.entry(name.to_owned()).or_insert_with(|| key.clone());
    }

    /// Takes the name of a pool, the last of its path; the same one may come again.
    pub(crate) fn pool(&mut self, path: &[String], key: &Place) {
        if self.layer.pools.contains_key(path) {
            return;
        }
        self.layer.pools.insert(path.to_vec(), key.clone());
        let name = path.last().map_or("", String::as_str);
        if name.is_empty() || name.len() > 64 || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)) {
            let says = format!("`{name}` cannot name a pool; write letters, digits, `_`, `.` and `-`");
            self.mistakes.at(key, &path[..path.len() - 1].join("."), says);
        }
    }

    /// Takes the name of a query; the same one may come again. One of which nothing is said is none, as of modules.
    pub(crate) fn query(&mut self, name: &str, key: &Place) {
        if self.layer.queries.contains_key(name) {
            return;
        }
        self.layer.queries.insert(name.to_owned(), key.clone());
        if let Some(says) = query_flaw(name) {
            self.mistakes.at(key, "queries", says);
        }
    }

    /// Takes a value column of a query, the last of its path; the same one may come again.
    pub(crate) fn column(&mut self, path: &[String], key: &Place) {
        self.layer.columns.entry(path.to_vec()).or_insert_with(|| key.clone());
    }

    /// Takes the name of a collector. Says whether there is one of that name.
    pub(crate) fn collector(&mut self, name: &str, key: &Place) -> bool {
        let judged = (self.judges.collector)(name);
        if let Err(says) = &judged {
            self.mistakes.at(key, &format!("collectors.{name}"), says);
        }
        judged.is_ok()
    }

    /// A collector has settings of its own: unless somebody says otherwise, it is on or off.
    pub(crate) fn tuned(&mut self, name: &str, key: &Place, is_on: bool) {
        let path = ["collectors", name, ENABLED].map(str::to_owned).to_vec();
        let origin = Origin { setting: path.join("."), place: key.clone(), key: key.clone() };
        self.layer.implied.entry(path).or_insert(Leaf { value: Some(Value::Switch(is_on)), origin });
    }

    pub(crate) fn scalar(&mut self, path: &[String], place: &Place, key: &Place, text: &str) {
        let Some(setting) = find(path) else { return };
        let value = match setting.kind {
            kind if kind.is_list() => return self.list(path, place, key, &[(place.clone(), text.to_owned())]),
            _ => self.judged(setting, text),
        };
        if let Err(says) = &value {
            self.mistakes.at(place, &path.join("."), says);
        }
        self.put(path, place, key, value.ok());
    }

    pub(crate) fn list(&mut self, path: &[String], place: &Place, key: &Place, items: &[(Place, String)]) {
        let Some(setting) = find(path) else { return };
        let before = self.mistakes.len();
        let dotted = path.join(".");
        let mut good = Vec::new();
        for (place, item) in items {
            match self.judged(setting, item) {
                Ok(_)
                    if matches!(setting.kind, Kind::Listen | Kind::Patterns | Kind::HostGroups)
                        && good.contains(item) =>
                {
                    self.mistakes.at(place, &dotted, format!("`{item}` is listed twice"))
                }
                Ok(_) => good.push(item.clone()),
                Err(says) => self.mistakes.at(place, &dotted, says),
            }
        }
        if items.is_empty() {
            self.mistakes.at(place, &dotted, format!("is empty; list at least one, such as `{}`", setting.sample()));
        }
        let value = (self.mistakes.len() == before).then_some(Value::List(good));
        self.put(path, place, key, value);
    }

    /// Takes a setting that another program's words say; a mistake in it names those.
    pub(crate) fn translated(&mut self, path: &[String], place: &Place, theirs: &str, text: &str) {
        let Some(setting) = find(path) else { return };
        let value = self.judged(setting, text);
        if let Err(says) = &value {
            self.mistakes.at(place, theirs, says);
        }
        let setting = if theirs.is_empty() { path.join(".") } else { theirs.to_owned() };
        let origin = Origin { setting, place: place.clone(), key: place.clone() };
        self.layer.leaves.insert(path.to_vec(), Leaf { value: value.ok(), origin });
    }

    /// A setting that could not be read at all.
    pub(crate) fn wrong(&mut self, path: &[String], place: &Place, key: &Place, says: String) {
        self.mistakes.at(place, &path.join("."), says);
        self.unusable(path, place, key);
    }

    /// A setting that was said and cannot be used: nothing may be concluded from its absence. For a target that is its
    /// address.
    pub(crate) fn unusable(&mut self, path: &[String], place: &Place, key: &Place) {
        let mut path = path.to_vec();
        if path.len() == 2 && path[0] == "targets" {
            path.push("address".to_owned());
        }
        if find(&path).is_some() && !self.layer.leaves.contains_key(&in_full(&path)) {
            self.put(&path, place, key, None);
        }
    }

    /// The finished layer.
    pub(crate) fn done(mut self) -> Layer {
        self.one_password();
        self.layer
    }

    fn judged(&self, setting: &Setting, text: &str) -> Result<Value, String> {
        let value = convert(setting.kind, text, self.base)?;
        match setting.kind {
            Kind::Address => (self.judges.address)(text)?,
            Kind::Patterns => (self.judges.pattern)(text)?,
            Kind::HostGroups => (self.judges.host_group)(text)?,
            Kind::Door => (self.judges.door)(text)?,
            _ => {}
        }
        Ok(value)
    }

    fn put(&mut self, path: &[String], place: &Place, key: &Place, value: Option<Value>) {
        if let [group, module, ..] = path
            && group == "auth_modules"
        {
            self.module(module, key);
        }
        if let [group, name, ..] = path
            && group == "queries"
        {
            self.query(name, key);
            if let Some(length) = (1..path.len()).find(|length| is_column(&path[..*length])) {
                self.column(&path[..length], key);
            }
        }
        let path = in_full(path);
        let origin = Origin { setting: path.join("."), place: place.clone(), key: key.clone() };
        self.layer.leaves.insert(path, Leaf { value, origin });
    }

    /// Within one layer a password is said in one way; a higher layer may say it in another.
    fn one_password(&mut self) {
        let mut said: BTreeMap<&[String], Vec<&mut Leaf>> = BTreeMap::new();
        for (path, leaf) in &mut self.layer.leaves {
            if let Some((name, group)) = path.split_last()
                && PASSWORDS.contains(&name.as_str())
            {
                said.entry(group).or_default().push(leaf);
            }
        }
        for mut leaves in said.into_values().filter(|leaves| leaves.len() > 1) {
            leaves.sort_by(|one, other| one.origin.key.cmp(&other.origin.key));
            let first = leaves[0].origin.setting.rsplit('.').next().unwrap_or_default().to_owned();
            for Leaf { origin, .. } in &leaves[1..] {
                let says = format!("beside `{first}`; a password is said in one way, give one of them");
                self.mistakes.at(&origin.key, &origin.setting, says);
            }
            leaves.into_iter().for_each(|leaf| leaf.value = None);
        }
    }
}

/// What a collector alone is short for.
pub(crate) const ENABLED: &str = "enabled";

/// The path of a setting as it is kept: `collectors.NAME` is short for `collectors.NAME.enabled`.
pub(crate) fn in_full(path: &[String]) -> Keys {
    let mut full = path.to_vec();
    if collector(path).is_some() {
        full.push(ENABLED.to_owned());
    }
    full
}

/// The collector that a path is the name of.
pub(crate) fn collector(path: &[String]) -> Option<&str> {
    match path {
        [group, name] if group == "collectors" => Some(name),
        _ => None,
    }
}

/// Whether a path is that of a pool's name.
pub(crate) fn is_pool(path: &[String]) -> bool {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    matches!(path.as_slice(), ["targets", _, "pools", _] | ["defaults", "pools", _])
}

/// Whether a path is that of the name of a query.
pub(crate) fn is_query(path: &[String]) -> bool {
    matches!(path, [group, _] if group == "queries")
}

/// Whether a path is that of a value column of a query.
pub(crate) fn is_column(path: &[String]) -> bool {
    matches!(path, [group, _, values, _] if group == "queries" && values == "values")
}

/// A name as the environment can spell it: `Orders-EU` and `orders.eu` are both `orders_eu`.
pub(crate) fn folded(name: &str) -> String {
    name.to_ascii_lowercase().replace(['-', '.'], "_")
}
