//! The server and the account that mysqld_exporter's files, variables and flags name, lowered into settings of ours.
//!
//! The file counts more than the flags, and both more than the variables.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use super::data_source_name;
use super::exporter_flags::{GivenFlag, given};
use super::layer::{Filling, Keys, Leaf};
use super::my_cnf::{Entry, MyCnf};
use super::origin::{File, Origin, Place};
use super::secret::Secret;
use super::section::{Account, Said, TlsSaid, is_true, mode_of, not_a_mode, tls_version};
use super::shape::AuthModule;
use super::value::{Value, spelled};

/// The name of the one target, for logs, `/health/detailed` and the environment.
pub(crate) const TARGET: &str = "mysqld";

pub(crate) const DATA_SOURCE_NAME: &str = "DATA_SOURCE_NAME";
const PASSWORD: &str = "MYSQLD_EXPORTER_PASSWORD";

/// Lowers the account and the server.
pub(crate) struct Lowering<'a, 'f> {
    pub filling: Filling<'f>,
    pub warnings: &'a mut Vec<String>,
    pub flags: &'a [GivenFlag],
    pub my_cnf: &'a MyCnf,
    pub file: Option<&'a File>,
    pub environment: &'a [(OsString, OsString)],
}

const CLEARTEXT: &str = "enable-cleartext-plugin";

impl<'a> Lowering<'a, '_> {
    /// The target: the section `[client]`, and the flags where it says nothing.
    pub(crate) fn client(&mut self) {
        match self.user("client") {
            Some(user) => self.put("user", &user),
            None => {
                let place = self.file.map_or(Place::Everywhere, |file| Place::File(file.clone()));
                let says = "no account to log in as; give `--mysqld.username`, or write `user=` below `[client]` in the \
                            file that `--config.my-cnf` names";
                self.filling.mistakes.at(&place, "", says);
            }
        }
        let address = self.address();
        if let Some(address) = &address {
            self.put("address", address);
        }
        let password = self.my_cnf.of("client", "password").cloned();
        match password {
            Some(Entry { value: Some(text), place }) => self.secret(Secret::new(text), &place, "[client] password"),
            _ => self.password_of_the_environment(),
        }
        match self.account("client").switch(&[CLEARTEXT]) {
            Ok(Some(said)) => self.put("cleartext", &said),
            Ok(None) => {}
            Err(wrong) => self.wrong(&wrong),
        }
        let newest = self.account("client").text("tls-max-version");
        if let Some(said) = newest.filter(|said| tls_version(&said.text) == Some("1.2")) {
            let says = "not used; the newest TLS that both sides have is taken";
            self.warnings.push(format!("{}: {}: {says}", said.place.brief(), said.word));
        }
        match self.account("client").tls() {
            Ok(mut tls) => {
                let is_socket =
                    address.is_some_and(|address| address.text.starts_with('/') || address.text.starts_with("unix:"));
                if is_socket && let Some(mode) = tls.mode.take_if(|mode| mode.text != "DISABLED") {
                    tls = TlsSaid::default();
                    self.warnings.push(format!(
                        "{}: {}: not used, as the server is on a unix socket",
                        mode.place.brief(),
                        mode.word
                    ));
                }
                for (setting, said) in tls.settings() {
                    self.put(setting, said);
                }
            }
            Err(wrong) => wrong.iter().for_each(|wrong| self.wrong(wrong)),
        }
    }

    fn account<'b>(&self, section: &'b str) -> Account<'b>
    where
        'a: 'b,
    {
        Account { section, my_cnf: self.my_cnf, flags: self.flags }
    }

    fn user(&self, section: &str) -> Option<Said> {
        let flag = given(self.flags, "mysqld.username").filter(|_| is_client(section));
        self.account(section).text("user").or_else(|| {
            let given = flag.filter(|given| !given.last().is_empty())?;
            Some(Said::by(given))
        })
    }

    /// Where the server is. None for the default, and where something is wrong with it.
    fn address(&mut self) -> Option<Said> {
        let client = self.account("client");
        if let Some(socket) = client.text("socket") {
            return Some(socket);
        }
        let given = given(self.flags, "mysqld.address").filter(|given| !given.last().is_empty()).map(Said::by);
        let (host, port) = (client.text("host"), client.text("port"));
        if host.is_none() && port.is_none() {
            return given;
        }
        let base = given.map_or("localhost:3306".to_owned(), |given| given.text);
        let (base_host, base_port) = split(&base);
        if let Some(port) = &port
            && !port.text.parse::<u16>().is_ok_and(|number| number != 0)
        {
            let wrong = Said { text: not_a_port(&port.text), ..port.clone() };
            self.wrong(&wrong);
            self.filling.unusable(&of_target("address"), &port.place, &port.place);
            return None;
        }
        if let Some(host) = &host
            && let Some((name, behind)) = host.text.rsplit_once(':')
            && !name.contains(':')
            && behind.bytes().all(|byte| byte.is_ascii_digit())
        {
            let text = format!("`{}` has a port in it; write `host={name}` and `port={behind}`", host.text);
            self.wrong(&Said { text, ..host.clone() });
            self.filling.unusable(&of_target("address"), &host.place, &host.place);
            return None;
        }
        let host_text = host.as_ref().map_or(base_host, |host| &host.text).trim_matches(['[', ']']);
        let port_text = port.as_ref().map_or(base_port, |port| &port.text);
        let text = match host_text.contains(':') {
            true => format!("[{host_text}]:{port_text}"),
            false => format!("{host_text}:{port_text}"),
        };
        Some(Said { text, ..host.or(port)? })
    }

    pub(crate) fn auth_modules(&mut self) -> BTreeMap<String, AuthModule> {
        let mut names: Vec<&str> = self.my_cnf.sections.iter().map(|section| section.name.as_str()).collect();
        if !names.contains(&"client") {
            names.push("client");
        }
        let mut modules = BTreeMap::new();
        for name in names {
            let place = self.my_cnf.section(name).map(|section| section.place.brief()).unwrap_or_default();
            let Some(user) = self.user(name) else {
                // That of the target is a mistake already.
                if name != "client" {
                    self.warnings.push(format!("{place}: the section `[{name}]` is skipped, as it names no user"));
                }
                continue;
            };
            let cleartext = self.account(name).switch(&[CLEARTEXT]);
            let (cleartext, tls) = match (cleartext, self.account(name).tls()) {
                (Ok(cleartext), Ok(tls)) => (cleartext.is_some_and(|said| said.text == "true"), tls.finished()),
                (cleartext, tls) => {
                    let wrong = cleartext.err().or_else(|| tls.err()?.into_iter().next());
                    // That of the target is a mistake already.
                    if let Some(Said { text, place, word }) = wrong.filter(|_| name != "client") {
                        let says = format!("{place}: {word}: {text}; the section `[{name}]` is skipped");
                        self.warnings.push(says);
                    }
                    continue;
                }
            };
            let password = self.module_password(name);
            let allow = self.bound_to(name);
            modules.insert(name.to_owned(), AuthModule { user: user.text, password, allow, cleartext, tls });
        }
        modules
    }

    /// The server that a section names itself: its account is for that one. What it has from `[client]` is the target.
    fn bound_to(&self, section: &str) -> Option<Vec<String>> {
        let own = self.my_cnf.section(section).filter(|_| section != "client")?;
        if let Some(socket) = own.text("socket") {
            return Some(vec![format!("unix:{socket}")]);
        }
        let (host, port) = (own.text("host")?.trim_matches(['[', ']']), own.text("port").unwrap_or("3306"));
        Some(vec![match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        }])
    }

    fn module_password(&self, section: &str) -> Secret {
        match self.my_cnf.of(section, "password") {
            Some(Entry { value: Some(text), .. }) => Secret::new(text.as_str()),
            _ if is_client(section) => Secret::new(variable(self.environment, PASSWORD).unwrap_or_default()),
            _ => Secret::default(),
        }
    }

    pub(crate) fn data_source_name(&mut self, text: &str) -> BTreeMap<String, AuthModule> {
        self.warnings.push(format!(
            "{DATA_SOURCE_NAME}: deprecated, and ignored by mysqld_exporter since 0.15; use `--mysqld.address`, \
             `--mysqld.username` and the variable {PASSWORD}, or a my.cnf"
        ));
        let place = Place::Environment(DATA_SOURCE_NAME.to_owned());
        let parsed = match data_source_name::parse(text) {
            Ok(parsed) => parsed,
            Err(says) => {
                self.filling.mistakes.at(&place, "", says);
                return BTreeMap::new();
            }
        };
        let said = |text: &str| Said { text: text.to_owned(), place: place.clone(), word: String::new() };
        match parsed.user.as_str() {
            "" => self.filling.mistakes.at(&place, "", "names no user; write `user:password@tcp(host:3306)/`"),
            user => self.put("user", &said(user)),
        }
        self.put("address", &said(&parsed.address));
        if let Some(database) = &parsed.database {
            self.put("database", &said(database));
        }
        let password = match parsed.password.is_empty() {
            false => parsed.password.clone(),
            true => Secret::new(variable(self.environment, PASSWORD).unwrap_or_default()),
        };
        match parsed.password.is_empty() {
            false => self.secret(parsed.password, &place, ""),
            true => self.password_of_the_environment(),
        }
        let mut tls = TlsSaid::default();
        let (mut cleartext, mut ignored) = (false, Vec::new());
        for (name, value) in &parsed.parameters {
            match (name.as_str(), mode_of(value)) {
                ("tls", Some(mode)) => tls.mode = Some(said(mode)),
                ("tls", None) => self.filling.mistakes.at(&place, "tls", not_a_mode(value)),
                ("allowCleartextPasswords", _) => cleartext = is_true(value) == Some(true),
                _ => ignored.push(name.as_str()),
            }
        }
        if cleartext {
            self.put("cleartext", &said("true"));
        }
        for (setting, said) in tls.settings() {
            self.put(setting, said);
        }
        if !ignored.is_empty() {
            self.warnings.push(format!("{DATA_SOURCE_NAME}: ignored parameters: {}", ignored.join(", ")));
        }
        let module = AuthModule { user: parsed.user, password, allow: None, cleartext, tls: tls.finished() };
        BTreeMap::from([("client".to_owned(), module)])
    }

    /// What the flags say of connections and answers.
    pub(crate) fn limits(&mut self) {
        let most = given(self.flags, "exporter.max_open_connections").or(given(self.flags, "exporter.max-open-conns"));
        if let Some((given, most)) = most.and_then(|given| Some((given, given.last().parse::<u32>().ok()?))) {
            // Probe and questions about losses take two; a pool has at most 32 beside its first.
            let total = most.clamp(3, 35);
            self.flag("connections", given, &total.to_string());
            self.flag("pools.default.max_overflow", given, &(total - 3).to_string());
        }
        if let Some(given) = given(self.flags, "exporter.query_timeout").filter(|given| given.last() != "0") {
            self.flag("pools.default.read_timeout", given, &format!("{}s", given.last()));
        }
        if let Some(given) = given(self.flags, "timeout-offset").filter(|given| given.mistake().is_none()) {
            let said = Said::by(given);
            let path = ["probe", "timeout_offset"].map(str::to_owned);
            let seconds =
                given.last().parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            let text = seconds.map_or_else(|| given.last().to_owned(), spelled);
            self.filling.translated(&path, &said.place, &said.word, &text);
        }
        if let Some(given) = given(self.flags, "exporter.conn-max-lifetime") {
            let age = humantime::parse_duration(given.last());
            let is_never = given.last() == "0" || age.is_ok_and(|age| age == Duration::ZERO);
            self.flag("pools.default.recycle", given, if is_never { "never" } else { given.last() });
        }
    }

    fn flag(&mut self, setting: &str, given: &GivenFlag, text: &str) {
        if given.mistake().is_none() {
            self.put(setting, &Said { text: text.to_owned(), ..Said::by(given) });
        }
    }

    fn put(&mut self, setting: &str, said: &Said) {
        self.filling.translated(&of_target(setting), &said.place, &said.word, &said.text);
    }

    fn secret(&mut self, secret: Secret, place: &Place, word: &str) {
        let path = of_target("password");
        let setting = if word.is_empty() { path.join(".") } else { word.to_owned() };
        let origin = Origin { setting, place: place.clone(), key: place.clone() };
        self.filling.layer.leaves.insert(path, Leaf { value: Some(Value::Secret(secret)), origin });
    }

    fn password_of_the_environment(&mut self) {
        let is_set = self.environment.iter().any(|(name, text)| name == PASSWORD && !text.is_empty());
        if is_set {
            let place = Place::Environment(PASSWORD.to_owned());
            self.filling.translated(&of_target("password_env"), &place, "", PASSWORD);
        }
    }

    fn wrong(&mut self, wrong: &Said) {
        self.filling.mistakes.at(&wrong.place, &wrong.word, wrong.text.clone());
    }
}

pub(crate) fn of_target(setting: &str) -> Keys {
    ["targets", TARGET].into_iter().chain(setting.split('.')).map(str::to_owned).collect()
}

/// A variable that is set and has a text.
pub(crate) fn variable<'a>(environment: &'a [(OsString, OsString)], name: &str) -> Option<&'a str> {
    let (_, text) = environment.iter().find(|(other, _)| other == name)?;
    text.to_str().filter(|text| !text.is_empty())
}

/// Sections that have what the flags and the environment say of the account.
fn is_client(section: &str) -> bool {
    section == "client" || section.starts_with("client.")
}

/// Host and port of an address; a socket has neither, and gives way to what a file says of them.
fn split(address: &str) -> (&str, &str) {
    match address.rsplit_once(':') {
        _ if address.starts_with('/') || address.starts_with("unix:") => ("localhost", "3306"),
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port),
        _ => (address, "3306"),
    }
}

fn not_a_port(text: &str) -> String {
    format!("`{text}` is not a port; write a number from 1 to 65535")
}
