//! Who may be asked about, and as whom: judged before anything is resolved or connected.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::collection::Found;
use super::super::pools::Opener;
use super::super::target::Target;
use super::rules::Module;
use crate::mysql::endpoint::Endpoint;
use crate::mysql::pattern::Pattern;
use crate::mysql::pool::Pool;

/// The auth module of who names none, as mysqld_exporter has it.
const CLIENT: &str = "client";

/// How many names are told at most.
const LISTED: usize = 50;

/// A configured target, and what its task uses.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) target: Arc<Target>,
    pub(super) pool: Pool<Opener>,
    pub(super) found: Found,
}

/// Whom a visit is for.
#[derive(Clone, Debug)]
pub(super) enum Visited {
    Known(Known),
    Other { endpoint: Endpoint, module: String },
}

/// Why there is no visit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// What was asked makes no sense.
    Wrong(Rejected, String),
    /// It may not be asked.
    Forbidden(Rejected, String),
    /// Too many visits are under way.
    Busy,
    /// The program ends.
    Stopping,
}

/// What was wrong with a visit; the label `reason` of `mysql_conn_exporter_probe_targets_rejected_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// There is none, or it is no address.
    Target,
    AuthModule,
    /// Nobody has allowed it.
    NotAllowed,
    /// The account is for other servers.
    NotBound,
    Busy,
}

impl Rejected {
    pub const ALL: [Rejected; 5] =
        [Rejected::Target, Rejected::AuthModule, Rejected::NotAllowed, Rejected::NotBound, Rejected::Busy];

    pub fn label(self) -> &'static str {
        match self {
            Rejected::Target => "target",
            Rejected::AuthModule => "auth_module",
            Rejected::NotAllowed => "not_allowed",
            Rejected::NotBound => "not_bound",
            Rejected::Busy => "busy",
        }
    }
}

/// The rules.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) known: Vec<Known>,
    pub(super) modules: BTreeMap<String, Module>,
    pub(super) allow: Vec<Pattern>,
}

impl Admission {
    /// Judges the parameters of a request.
    pub(super) fn admit(&self, target: Option<&str>, module: Option<&str>) -> Result<Visited, Refusal> {
        let asked = target.map(str::trim).filter(|target| !target.is_empty()).ok_or_else(|| {
            let says = "`target` is missing; ask for `/probe?target=host:3306`, or a configured target";
            Refusal::Wrong(Rejected::Target, says.to_owned())
        })?;
        if let Some(name) = module.filter(|name| !self.modules.contains_key(*name)) {
            let names: Vec<&str> = self.modules.keys().map(String::as_str).take(LISTED).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let says = format!("there is no auth module `{}`\n  auth modules: {names}", shown(name));
            return Err(Refusal::Wrong(Rejected::AuthModule, says));
        }
        let by_name = self.known.iter().find(|known| known.target.name == asked);
        if let (Some(known), None) = (by_name, module) {
            return Ok(Visited::Known(known.clone()));
        }
        let endpoint = match by_name {
            Some(known) => known.target.access.endpoint.clone(),
            None => endpoint(asked).map_err(|says| Refusal::Wrong(Rejected::Target, says))?,
        };
        let known = self.known.iter().find(|known| is_same(&known.target.access.endpoint, &endpoint));
        if let Some(known) = known.filter(|known| module.is_none() || self.is_own(known, module)) {
            return Ok(Visited::Known(known.clone()));
        }
        let allowed = self.allow.iter().any(|pattern| pattern.means(&endpoint));
        let name = module.unwrap_or(CLIENT);
        let bound = self.modules.get(name).and_then(|module| module.allow.as_deref());
        match (self.modules.contains_key(name), bound) {
            (true, Some(bound)) if bound.iter().any(|pattern| pattern.means(&endpoint)) => {}
            (true, Some(_)) if allowed || known.is_some() => {
                return Err(Refusal::Forbidden(
                    Rejected::NotBound,
                    format!(
                        "the account of the auth module `{}` is not for {endpoint}\n  hint: `auth_modules.NAME.allow`, or \
                     the section's `host` in my.cnf, says which servers it may be shown to",
                        shown(name)
                    ),
                ));
            }
            (true, None) if allowed || known.is_some() => {}
            (false, _) if allowed => {
                return Err(Refusal::Wrong(
                    Rejected::AuthModule,
                    format!(
                        "there is no account for {endpoint}; name one by `auth_module`, or configure `auth_modules.{CLIENT}`"
                    ),
                ));
            }
            _ => {
                return Err(Refusal::Forbidden(
                    Rejected::NotAllowed,
                    format!(
                        "{endpoint} is not among the servers that may be asked about\n  hint: configure it as a target, or \
                     allow it by `probe.allow` or --probe.allow"
                    ),
                ));
            }
        }
        Ok(Visited::Other { endpoint, module: name.to_owned() })
    }

    /// Whether the module is the account that the target is watched with.
    fn is_own(&self, known: &Known, module: Option<&str>) -> bool {
        let Some(module) = module.and_then(|name| self.modules.get(name)) else { return false };
        let access = &known.target.access;
        let is_for_it =
            module.allow.as_ref().is_none_or(|own| own.iter().any(|pattern| pattern.means(&access.endpoint)));
        is_for_it && module.tls == known.target.tls && module.user == access.user && module.password == access.password
    }
}

/// `host:port` or a socket, from what mysqld_exporter takes too: `unix:///run/mysqld.sock`.
fn endpoint(asked: &str) -> Result<Endpoint, String> {
    let text = asked.strip_prefix("unix://").map_or(asked.to_owned(), |path| format!("unix:{path}"));
    let endpoint = Endpoint::parse(&text).map_err(|says| shown(&says))?;
    let has_port = text.rsplit_once(':').is_some_and(|(host, _)| !host.contains(':') || host.ends_with(']'));
    match endpoint {
        Endpoint::Tcp { .. } if !has_port => {
            Err(format!("`{}` has no port; write `{}:3306`", shown(asked), bracketed(asked)))
        }
        endpoint => Ok(endpoint),
    }
}

fn bracketed(host: &str) -> String {
    let host = shown(host);
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host }
}

/// A name's case means nothing.
fn is_same(one: &Endpoint, other: &Endpoint) -> bool {
    match (one, other) {
        (Endpoint::Tcp { host, port }, Endpoint::Tcp { host: other, port: other_port }) => {
            port == other_port && host.eq_ignore_ascii_case(other)
        }
        (one, other) => one == other,
    }
}

/// What a client sent, fit to be sent back: short, on one line, without control characters.
fn shown(text: &str) -> String {
    text.chars().take(160).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::secret::Secret;
    use crate::config::{Tls, TlsMode, TlsVersion};
    use crate::mysql::handshake::TlsPolicy;

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().map(|text| Pattern::parse(text).expect("a pattern")).collect()
    }

    fn nobody(allow: Option<Vec<Pattern>>) -> Module {
        let tls = Tls {
            mode: TlsMode::Disabled,
            ca: None,
            cert: None,
            key: None,
            server_name: None,
            min_version: TlsVersion::Tls12,
        };
        Module {
            user: "u".to_owned(),
            password: Secret::default(),
            allow,
            cleartext: false,
            tls,
            policy: TlsPolicy::disabled(),
        }
    }

    fn admission(allow: &[&str]) -> Admission {
        let module = |allow: Option<&[&str]>| nobody(allow.map(patterns));
        let modules =
            BTreeMap::from([("bound".to_owned(), module(Some(&["orders:3306"]))), ("client".to_owned(), module(None))]);
        Admission { known: Vec::new(), modules, allow: patterns(allow) }
    }

    fn told(admission: &Admission, target: Option<&str>, module: Option<&str>) -> String {
        match admission.admit(target, module) {
            Ok(Visited::Other { endpoint, module }) => format!("{endpoint} as {module}"),
            Ok(Visited::Known(known)) => known.target.name.clone(),
            Err(Refusal::Wrong(_, says)) => format!("400 {says}"),
            Err(Refusal::Forbidden(_, says)) => format!("403 {says}"),
            Err(Refusal::Busy | Refusal::Stopping) => "503".to_owned(),
        }
    }

    #[test]
    fn nothing_is_allowed_that_was_not_said() {
        let (closed, open) = (admission(&[]), admission(&["db1:3306", "/run/a.sock"]));
        for (admission, target, module, expect) in [
            (&closed, "db1:3306", None, "403 db1:3306 is not among the servers"),
            (&closed, "169.254.169.254:80", Some("client"), "403 169.254.169.254:80 is not among the servers"),
            (&closed, "orders:3306", Some("bound"), "orders:3306 as bound"),
            (&closed, "orders:3306", None, "403 orders:3306 is not among the servers"),
            (&open, "db1:3306", None, "db1:3306 as client"),
            (&open, "db1:3306", Some("bound"), "403 the account of the auth module `bound` is not for db1:3306"),
            (&open, "db1:3307", None, "403 db1:3307"),
            (&open, "unix:///run/a.sock", None, "unix:/run/a.sock as client"),
            (&open, "/run/b.sock", None, "403 unix:/run/b.sock"),
        ] {
            let told = told(admission, Some(target), module);
            assert!(told.starts_with(expect), "{target} {module:?}: {told}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_told_as_such() {
        let open = admission(&["*:3306"]);
        for (target, module, expect) in [
            (None, None, "400 `target` is missing"),
            (Some(" "), None, "400 `target` is missing"),
            (Some("db1"), None, "400 `db1` has no port; write `db1:3306`"),
            (Some("::1"), None, "400 `::1` has no port; write `[::1]:3306`"),
            (Some("[::1]"), None, "400 `[::1]` has no port; write `[::1]:3306`"),
            (Some("[::1]:3306"), None, "[::1]:3306 as client"),
            (Some("db1:x"), None, "400 `x` is not a port"),
            (Some("mysql://db1"), None, "400 `mysql://db1` is a URL"),
            (
                Some("db1:3306"),
                Some("nobody\n"),
                "400 there is no auth module `nobody\\n`\n  auth modules: bound, client",
            ),
        ] {
            let told = told(&open, target, module);
            assert!(told.starts_with(expect), "{target:?} {module:?}: {told}");
        }
    }
}
