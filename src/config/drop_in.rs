//! mysqld_exporter's flags, its my.cnf and its variables, lowered into layers of our own settings.
//!
//! Where they are given, there is one target, and no `exporter.yaml`. The file counts more than the flags. The defaults
//! are mysqld_exporter's where it has one. Where it has none they fit into an account with MAX_USER_CONNECTIONS 3,
//! which is what its manual tells people to create: one connection for the probe, one for asking about losses, one for
//! the pool.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::exporter_account::{DATA_SOURCE_NAME, Lowering, TARGET, of_target, variable};
use super::exporter_flags::{
    EXPORTER_FLAGS, ExporterFlag, GivenFlag, Takes, exporter_collectors, given, is_percona, tunable,
};
use super::layer::{Filling, Judges, Keys, Layer, keys};
use super::mistakes::Mistakes;
use super::my_cnf::{self, MyCnf};
use super::origin::{File, Place, file};
use super::rules::{cannot_read, read_at_most};
use super::settings::{Kind, Setting};
use super::shape::{AuthModule, DropIn};

/// What is said in mysqld_exporter's words.
#[derive(Clone, Debug, Default)]
pub struct MysqldExporter {
    /// Its flags, each at most once.
    pub flags: Vec<GivenFlag>,
    /// Why its words are meant although no flag says so: the program is called by its name.
    pub meant: Option<String>,
    /// The option file that is read, if it is there, when no flag names one.
    pub my_cnf: Option<PathBuf>,
}

/// What is read, and what counts more than the environment's `GONEAWAY_…` of it.
#[derive(Debug)]
pub(crate) struct Read {
    pub defaults: Layer,
    pub said: Layer,
    pub drop_in: DropIn,
    pub auth_modules: BTreeMap<String, AuthModule>,
    pub file: Option<File>,
}

/// Why mysqld_exporter's words take the place of a file, if they do. Its flags for collectors are ours too: they do so
/// only where nothing else is configured.
pub(crate) fn reason(
    asked: &MysqldExporter,
    environment: &[(OsString, OsString)],
    is_configured: impl FnOnce() -> bool,
) -> Option<String> {
    let is_shared = |flag: &&GivenFlag| flag.name.starts_with("collect.") || flag.name.starts_with("web.");
    let told = |flag: &GivenFlag| format!("`{}`", flag.typed);
    asked
        .meant
        .clone()
        .or_else(|| asked.flags.iter().find(|flag| !is_shared(flag)).map(told))
        .or_else(|| variable(environment, DATA_SOURCE_NAME).map(|_| format!("the variable {DATA_SOURCE_NAME}")))
        .or_else(|| {
            asked.flags.iter().find(|flag| flag.name.starts_with("collect.")).filter(|_| !is_configured()).map(told)
        })
}

/// What is wrong with a file beside mysqld_exporter's words.
pub(crate) fn beside(reason: &str) -> String {
    format!(
        "given beside {reason}: mysqld_exporter's flags are a whole configuration, and no file is read beside them; \
         leave one of them out, or have the flags written as a file by `goneaway config from-mysqld-exporter FLAGS…`"
    )
}

/// Takes the flags that count beside a file too: those of the collectors, and of the HTTP side.
pub(crate) fn beside_a_file(asked: &MysqldExporter, filling: &mut Filling<'_>, warnings: &mut Vec<String>) {
    judge(&asked.flags, filling.mistakes);
    sockets(&asked.flags, filling);
    for not_built in collectors(&asked.flags, filling) {
        if let Some(typed) = not_built.typed {
            warnings.push(missing(typed, not_built.name));
        }
    }
    unsupported(&asked.flags, warnings);
}

/// Reads everything.
pub(crate) fn read(
    asked: &MysqldExporter,
    environment: &[(OsString, OsString)],
    judges: Judges,
    mistakes: &mut Mistakes,
    warnings: &mut Vec<String>,
) -> Read {
    let flags = &asked.flags;
    judge(flags, mistakes);
    let defaults = defaults(mistakes, judges);
    let is_server = |flag: &GivenFlag| flag.name.starts_with("mysqld.") || flag.name == "config.my-cnf";
    let dsn = variable(environment, DATA_SOURCE_NAME);
    if let (Some(_), Some(flag)) = (dsn, flags.iter().find(|flag| is_server(flag))) {
        warnings.push(format!("{DATA_SOURCE_NAME}: ignored, as `{}` is given", flag.typed));
    }
    let dsn = dsn.filter(|_| !flags.iter().any(is_server));
    let (file, my_cnf) = match dsn {
        Some(_) => (None, MyCnf::default()),
        None => option_file(asked, environment, mistakes, warnings),
    };
    warnings.extend(my_cnf.warnings.iter().cloned());

    let mut filling = Filling::new(mistakes, Path::new(""), judges);
    sockets(flags, &mut filling);
    let not_built = collectors(flags, &mut filling);
    let mut lowering = Lowering { filling, warnings, flags, my_cnf: &my_cnf, file: file.as_ref(), environment };
    let auth_modules = match dsn {
        Some(dsn) => lowering.data_source_name(dsn),
        None => {
            lowering.client();
            lowering.auth_modules()
        }
    };
    lowering.limits();
    let said = lowering.filling.done();

    let by_default: Vec<&str> = not_built.iter().filter(|one| one.typed.is_none()).map(|one| one.name).collect();
    warnings.extend(not_built.iter().filter_map(|one| Some(missing(one.typed?, one.name))));
    if !by_default.is_empty() {
        let names = by_default.join(", ");
        warnings.push(format!("mysqld_exporter collects by default what this build has no collector for yet: {names}"));
    }
    unsupported(flags, warnings);
    let drop_in = DropIn { target: TARGET.to_owned() };
    Read { defaults, said, drop_in, auth_modules, file }
}

/// mysqld_exporter's own defaults, and what fits into its account.
fn defaults(mistakes: &mut Mistakes, judges: Judges) -> Layer {
    let mut filling = Filling::new(mistakes, Path::new(""), judges);
    filling.target(TARGET, &Place::Default);
    filling.pool(&of_target("pools.default"), &Place::Default);
    let mut take = |path: Keys, text: &str| filling.scalar(&path, &Place::Default, &Place::Default, text);
    take(keys("web.listen_addresses"), ":9104");
    for (setting, text) in [
        ("address", "localhost:3306"),
        ("tls.mode", "DISABLED"),
        ("connections", "3"),
        ("ladder.enabled", "false"),
        ("pools.default.size", "1"),
        ("pools.default.max_overflow", "0"),
    ] {
        take(of_target(setting), text);
    }
    filling.done()
}

/// Says what is wrong with single flags.
fn judge(flags: &[GivenFlag], mistakes: &mut Mistakes) {
    for given in flags {
        if let Some(says) = given.mistake() {
            mistakes.at(&Place::Flag(given.typed.clone()), "", says);
        }
    }
}

/// Takes what the flags say of systemd's sockets.
fn sockets(flags: &[GivenFlag], filling: &mut Filling<'_>) {
    if let Some(given) = given(flags, "web.systemd-socket").filter(|given| given.mistake().is_none()) {
        let place = Place::Flag(given.typed.clone());
        filling.scalar(&keys("web.systemd_socket"), &place, &place, given.last());
    }
}

/// A collector that is on and not built.
struct NotBuilt<'a> {
    name: &'static str,
    /// The flag that switches it on; none if it is on by default.
    typed: Option<&'a str>,
}

fn missing(typed: &str, name: &str) -> String {
    format!("{typed}: this build has no collector `{name}` yet; its metrics are missing")
}

/// Takes what the flags say of each collector.
fn collectors<'a>(flags: &'a [GivenFlag], filling: &mut Filling<'_>) -> Vec<NotBuilt<'a>> {
    let all = given(flags, "collect.all").filter(|given| given.is_on());
    let mut not_built = Vec::new();
    for (flag, name) in exporter_collectors() {
        let given = given(flags, flag.name);
        let is_on = given.map_or(all.is_some() || flag.default == "true", GivenFlag::is_on);
        let said = given.or(all).filter(|given| given.mistake().is_none());
        if (filling.judges.collector)(name).is_err() {
            if is_on {
                not_built.push(NotBuilt { name, typed: said.map(|given| given.typed.as_str()) });
            }
        } else if let Some(given) = said {
            let place = Place::Flag(given.typed.clone());
            let path = ["collectors".to_owned(), name.to_owned()];
            filling.scalar(&path, &place, &place, if is_on { "true" } else { "false" });
        }
    }
    for flag in EXPORTER_FLAGS {
        tune(flag, flags, filling);
    }
    not_built
}

/// Takes what a flag says of a collector that it does not switch. A collector that is not built has been told.
fn tune(flag: &ExporterFlag, flags: &[GivenFlag], filling: &mut Filling<'_>) {
    let Some((name, key, setting)) = tunable(flag) else { return };
    let Some(given) = given(flags, flag.name).filter(|given| given.mistake().is_none()) else { return };
    if (filling.judges.collector)(name).is_err() {
        return;
    }
    let place = Place::Flag(given.typed.clone());
    let path = ["collectors", name, key].map(str::to_owned);
    match setting.kind {
        Kind::Names => {
            let items: Vec<(Place, String)> = names(flag, given).map(|name| (place.clone(), name.to_owned())).collect();
            // None is what is so without the flag.
            if items.is_empty() {
                return;
            }
            filling.list(&path, &place, &place, &items);
        }
        _ => filling.scalar(&path, &place, &place, &in_our_words(setting, given.last())),
    }
    let is_on = exporter_collectors().any(|(flag, other)| other == name && flag.default == "true");
    filling.tuned(name, &Place::Default, is_on);
}

/// mysqld_exporter separates databases by commas, and has schemas one a flag.
fn names<'a>(flag: &ExporterFlag, given: &'a GivenFlag) -> impl Iterator<Item = &'a str> {
    let is_one = flag.takes == Takes::Texts;
    let each = given.values.iter().flat_map(move |value| match is_one {
        true => vec![value.as_str()],
        false => value.split(',').map(str::trim).collect(),
    });
    each.filter(|name| !name.is_empty())
}

/// Where we have a duration, mysqld_exporter has seconds.
fn in_our_words(setting: &Setting, text: &str) -> String {
    match setting.kind {
        Kind::Span { .. } => format!("{text}s"),
        _ => text.to_owned(),
    }
}

/// What is accepted and does nothing, where somebody may count on it.
fn unsupported(flags: &[GivenFlag], warnings: &mut Vec<String>) {
    for given in flags.iter().filter(|given| given.mistake().is_none()) {
        let says = match given.name {
            "exporter.lock_wait_timeout" if given.last() != "2" => "our sessions wait 2 s for metadata locks",
            "exporter.enable_lock_wait_timeout" if !given.is_on() => "our sessions wait 2 s for metadata locks",
            "exporter.log_slow_filter" if given.is_on() => "what the slow query log takes is left to the server",
            "collect.plugins" | "collect.custom_query.hr" | "collect.custom_query.mr" | "collect.custom_query.lr"
                if given.is_on() =>
            {
                "collectors of Percona's fork are not supported"
            }
            _ => continue,
        };
        warnings.push(format!("{}: has no effect; {says}", given.typed));
    }
}

/// Large enough for every option file.
const FILE_BYTES: u64 = 1 << 20;

/// The option file, if there is one.
fn option_file(
    asked: &MysqldExporter,
    environment: &[(OsString, OsString)],
    mistakes: &mut Mistakes,
    warnings: &mut Vec<String>,
) -> (Option<File>, MyCnf) {
    let named = given(&asked.flags, "config.my-cnf");
    let path = match named {
        // How mysqld_exporter is told to read none.
        Some(given) if given.last().is_empty() => None,
        Some(given) => Some(PathBuf::from(given.last())),
        None => asked.my_cnf.clone().map(|path| of_percona(path, asked, environment)),
    };
    let Some(path) = path else { return Default::default() };
    match read_at_most(&path, FILE_BYTES) {
        Ok(bytes) => {
            let file = file(path);
            let read = my_cnf::read(&bytes, &file, mistakes);
            return (Some(file), read);
        }
        Err(error) => {
            let says = cannot_read(&path, &error);
            // mysqld_exporter goes on without it where the flags say enough, as in containers that mount it or not.
            let may_be_missing =
                error.kind() == ErrorKind::NotFound && given(&asked.flags, "mysqld.username").is_some();
            match named {
                None if error.kind() == ErrorKind::NotFound => {}
                Some(given) if may_be_missing => warnings.push(format!("{}: {says}", given.typed)),
                Some(given) => mistakes.at(&Place::Flag(given.typed.clone()), "", says),
                None => mistakes.at(&Place::Everywhere, "", says),
            }
        }
    }
    Default::default()
}

/// Percona's fork looks for its file in the home directory: whoever uses flags that only it has may have it there.
fn of_percona(path: PathBuf, asked: &MysqldExporter, environment: &[(OsString, OsString)]) -> PathBuf {
    if path.exists() || !asked.flags.iter().any(|flag| is_percona(flag.name)) {
        return path;
    }
    let home = environment.iter().find(|(name, home)| name == "HOME" && !home.is_empty());
    home.map(|(_, home)| Path::new(home).join(".my.cnf")).filter(|path| path.exists()).unwrap_or(path)
}
