//! The second door: where administrators get in when every connection is in use.
//!
//! MySQL has an admin port (`admin_address` and `admin_port`, since 8.0.14), MariaDB an extra port (`extra_port`). While the
//! main port answers 1040 collectors go on through it, one short connection a round: it is somebody's way in for an
//! emergency, and MySQL counts who comes that way among all. With the first login by the main port that gets in, all is as
//! before.
//!
//! Which port that is, an operator says, or the server has said it in its variables. Then nothing may be guessed, since
//! an account is shown there: only the very address that the main port was reached at is tried, only where nothing lies
//! between and the server's own port is the one that we know, and MySQL's only if it listens on that address. `entry`
//! goes in; here is decided whether, and where.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::circuit;
use super::loss::Identity;
use crate::mysql::endpoint::Endpoint;
use crate::mysql::failure::{Failure, Phase, Reason};
use crate::mysql::handshake::{Access, Facts};
use crate::mysql::path::Path;
use crate::mysql::rows::Rows;
use crate::mysql::server::{Flavor, Server};

/// The right that MySQL's admin port asks for.
pub const RIGHT: &str = "SERVICE_CONNECTION_ADMIN";

/// A port of the server; the label `door`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    Main,
    Admin,
    Extra,
}

impl Door {
    pub const ALL: [Door; 3] = [Door::Main, Door::Admin, Door::Extra];

    pub fn label(self) -> &'static str {
        match self {
            Door::Main => "main",
            Door::Admin => "admin",
            Door::Extra => "extra",
        }
    }

    /// What a second port of such a server is.
    pub fn second(flavor: Flavor) -> Door {
        match flavor {
            Flavor::MySql => Door::Admin,
            Flavor::MariaDb => Door::Extra,
        }
    }
}

/// What the operator said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    /// What the server says.
    Auto,
    Off,
    At(Endpoint),
}

impl Setting {
    /// Judges a text without knowing of which target.
    pub fn judge(text: &str) -> Result<(), String> {
        Setting::of(text, &Endpoint::Tcp { host: "db".to_owned(), port: 0 }).map(drop)
    }

    /// Reads `auto`, `off`, `host:port`, or `:port` on the target's own host. The error says what would be right.
    pub fn of(text: &str, target: &Endpoint) -> Result<Setting, String> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("auto") {
            return Ok(Setting::Auto);
        }
        if text.eq_ignore_ascii_case("off") {
            return Ok(Setting::Off);
        }
        let here = text.strip_prefix(':').filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
        let endpoint = match (here, target) {
            (Some(port), Endpoint::Tcp { host, .. }) => {
                // As an endpoint is read: what is no port has the same mistake.
                let Endpoint::Tcp { port, .. } = Endpoint::parse(&format!("db:{port}"))? else {
                    unreachable!("a port")
                };
                Endpoint::Tcp { host: host.clone(), port }
            }
            (Some(_), Endpoint::Socket(_)) => {
                return Err(format!("`{text}` is on the host of `address`, which is a unix socket; write `host:port`"));
            }
            (None, _) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                return Err(format!("`{text}` is only a port; write `:{text}` for the host of `address`"));
            }
            (None, _) => Endpoint::parse(text)?,
        };
        match &endpoint {
            Endpoint::Socket(_) => {
                Err(format!("`{text}` is a unix socket, and no server has a second one; write `host:port`"))
            }
            Endpoint::Tcp { .. } if endpoint == *target => {
                Err(format!("`{text}` is `address` itself; write the admin port or the extra port, or `off`"))
            }
            Endpoint::Tcp { .. } => Ok(Setting::At(endpoint)),
        }
    }
}

/// What a server says of its ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    port: Option<u16>,
    extra: Option<u16>,
    admin: Option<(String, u16)>,
}

impl Ports {
    /// Reads SHOW GLOBAL VARIABLES.
    pub fn read(variables: &Rows) -> Ports {
        let own = |name: &str| variables.pairs().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let text = |name: &str| own(name).map(|(_, value)| value).filter(|value| !value.is_empty());
        let port = |name: &str| text(name)?.parse().ok().filter(|port| *port != 0);
        Ports {
            port: port("port"),
            extra: port("extra_port"),
            admin: text("admin_address").map(str::to_owned).zip(port("admin_port")),
        }
    }
}

/// A way in by a second door.
#[derive(Clone, Debug)]
pub struct Way {
    pub access: Access,
    /// The address to connect to; the name is resolved where none.
    pub address: Option<SocketAddr>,
    /// What the server was that was met at the main port: another one is not shown the account.
    pub server: Option<Server>,
    /// Who that server is: another's answers are not this target's.
    pub identity: Option<Identity>,
}

impl Way {
    /// Where it is, for people.
    pub fn at(&self) -> String {
        self.address.map_or_else(|| self.access.endpoint.to_string(), |address| address.to_string())
    }
}

/// What is known of one target's second door.
#[derive(Debug)]
pub struct SecondDoor {
    setting: Setting,
    access: Access,
    ports: Option<Ports>,
    /// What was met by the main door last.
    met: Option<Met>,
    /// Whether the account has what MySQL asks for, as far as is known.
    may_use_admin: Option<bool>,
    closed: Closed,
    /// The refusal that was told last.
    told: Option<Failure>,
    in_use: Door,
    /// One at a time.
    turn: Arc<Semaphore>,
}

#[derive(Clone, Debug)]
struct Met {
    server: Server,
    peer: Option<SocketAddr>,
}

/// Until when it is not tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closed {
    No,
    Until(Instant),
    /// The main door opens.
    MainOpens,
}

/// Why there is no second door, by the label `why` of `mysql_conn_feature_supported`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Nobody says that there is one, or where it is it cannot be used from here.
    Off,
    /// The account may not use it.
    Grant,
}

impl Missing {
    pub fn label(self) -> &'static str {
        match self {
            Missing::Off => "off",
            Missing::Grant => "grant",
        }
    }
}

impl SecondDoor {
    pub fn new(setting: Setting, access: Access) -> SecondDoor {
        SecondDoor {
            setting,
            access,
            ports: None,
            met: None,
            may_use_admin: None,
            closed: Closed::No,
            told: None,
            in_use: Door::Main,
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// Whoever goes in holds this.
    pub fn turn(&self) -> &Arc<Semaphore> {
        &self.turn
    }

    pub fn in_use(&self) -> Door {
        self.in_use
    }

    /// A round has told the server's variables.
    pub fn advertised(&mut self, ports: Ports) {
        self.ports = Some(ports);
    }

    /// What is known of the account's right.
    pub fn may_use_admin(&mut self, may: bool) {
        self.may_use_admin = Some(may);
    }

    /// A login by the main door got in. Says whether the second door was in use until now.
    pub fn main_opened(&mut self, facts: &Facts) -> bool {
        self.met = Some(Met { server: facts.server.clone(), peer: facts.peer_addr });
        (self.closed, self.told) = (Closed::No, None);
        std::mem::replace(&mut self.in_use, Door::Main) != Door::Main
    }

    /// We are in by a second door. Says whether that is news.
    pub fn entered(&mut self, door: Door) -> bool {
        self.told = None;
        std::mem::replace(&mut self.in_use, door) != door
    }

    /// It did not let us in; the next try is when it can be another. Says whether the main door's kept connections serve
    /// again until then, and whether the refusal is to be told.
    pub fn refused(&mut self, failure: &Failure, pause: Duration, now: Instant) -> (bool, bool) {
        self.closed = match (failure.reason, failure.phase) {
            // Somebody else is in there, or there is no such port.
            (Reason::TooManyConnections, _) | (Reason::Refused, Phase::Tcp) => Closed::No,
            // The server holds it against this host, or it is not our server at all.
            _ if circuit::is_held_against_us(failure) => Closed::MainOpens,
            _ => Closed::Until(now + pause),
        };
        let is_new = self.told.as_ref().is_none_or(|told| told.reason != failure.reason || told.errno != failure.errno);
        if is_new {
            self.told = Some(failure.clone());
        }
        (std::mem::replace(&mut self.in_use, Door::Main) != Door::Main, is_new)
    }

    /// An operator wants it tried.
    pub fn try_again(&mut self) {
        self.closed = Closed::No;
    }

    /// The way in, if there is one and it is worth a try now.
    ///
    /// `path` is what lies between us and the main port, and `identity` who was met there, where that is one server.
    pub fn way(&self, path: Option<Path>, identity: Option<&Identity>, now: Instant) -> Option<Way> {
        match self.closed {
            Closed::MainOpens => return None,
            Closed::Until(until) if now < until => return None,
            Closed::Until(_) | Closed::No => {}
        }
        self.known(path, identity).ok()
    }

    /// Why there would be none, for who looks before it is needed; none while not known.
    pub fn missing(&self, path: Option<Path>) -> Option<Result<(), Missing>> {
        let is_known = self.setting != Setting::Auto || self.ports.is_some() && self.met.is_some();
        is_known.then(|| self.known(path, None).map(drop))
    }

    fn known(&self, path: Option<Path>, identity: Option<&Identity>) -> Result<Way, Missing> {
        let met = self.met.as_ref();
        let (endpoint, address) = match &self.setting {
            Setting::Off => return Err(Missing::Off),
            Setting::At(endpoint) => (endpoint.clone(), None),
            Setting::Auto => {
                let (peer, port) = self.seen(path).ok_or(Missing::Off)?;
                let Endpoint::Tcp { host, .. } = &self.access.endpoint else { return Err(Missing::Off) };
                (Endpoint::Tcp { host: host.clone(), port }, Some(SocketAddr::new(peer, port)))
            }
        };
        let is_mysql = met.is_some_and(|met| met.server.flavor == Flavor::MySql);
        if is_mysql && self.may_use_admin == Some(false) {
            // The server would count one more error, each time.
            return Err(Missing::Grant);
        }
        Ok(Way {
            access: Access { endpoint, lookup: Arc::default(), ..self.access.clone() },
            address,
            server: met.filter(|_| address.is_some()).map(|met| met.server.clone()),
            identity: identity.cloned(),
        })
    }

    /// The address and port that the server's own words and the main door lead to.
    fn seen(&self, path: Option<Path>) -> Option<(IpAddr, u16)> {
        let (Some(ports), Some(met), Endpoint::Tcp { host, port }) = (&self.ports, &self.met, &self.access.endpoint)
        else {
            return None;
        };
        let peer = met.peer?.ip();
        // Behind a proxy, or a port that is passed on, the same number may be anybody's.
        if path != Some(Path::Direct) || ports.port != Some(*port) {
            return None;
        }
        match met.server.flavor {
            Flavor::MariaDb => Some((peer, ports.extra?)),
            Flavor::MySql => {
                let (listens, port) = ports.admin.as_ref()?;
                let is_here = match listens.parse::<IpAddr>() {
                    Ok(listens) => listens.to_canonical() == peer.to_canonical(),
                    Err(_) => listens.eq_ignore_ascii_case(host),
                };
                is_here.then_some((peer, *port))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mysql::handshake::{SystemRoots, TlsPolicy};

    const SECOND: Duration = Duration::from_secs(1);

    fn tcp(text: &str) -> Endpoint {
        Endpoint::parse(text).expect("an endpoint")
    }

    fn variables(pairs: &[(&str, &str)]) -> Rows {
        Rows::of(&["Variable_name", "Value"], pairs.iter().map(|(name, value)| vec![Some(*name), Some(*value)]))
    }

    fn door(setting: Setting, target: &str) -> SecondDoor {
        let tls = crate::config::Tls {
            mode: crate::config::TlsMode::Preferred,
            ca: None,
            cert: None,
            key: None,
            server_name: None,
            min_version: crate::config::TlsVersion::Tls12,
        };
        let access = Access {
            endpoint: tcp(target),
            user: "u".to_owned(),
            password: Default::default(),
            database: None,
            tls: TlsPolicy::load(&tls, &SystemRoots::default()).expect("no files"),
            cleartext: false,
            lookup: Arc::default(),
            driver_fails: Arc::default(),
        };
        SecondDoor::new(setting, access)
    }

    fn facts(version: &str, peer: Option<&str>) -> Facts {
        Facts {
            server: Server::from_version(version),
            connection_id: 1,
            auth_plugin: String::new(),
            tls: None,
            local_addr: None,
            peer_addr: peer.map(|peer| peer.parse().expect("an address")),
        }
    }

    #[test]
    fn a_setting_is_a_port_of_the_same_host_or_an_address() {
        let target = tcp("db.example:3306");
        for (text, expect) in [
            ("auto", Setting::Auto),
            ("OFF", Setting::Off),
            (":33062", Setting::At(tcp("db.example:33062"))),
            ("10.0.0.1:33062", Setting::At(tcp("10.0.0.1:33062"))),
            ("[::1]:3307", Setting::At(tcp("[::1]:3307"))),
        ] {
            assert_eq!(Setting::of(text, &target), Ok(expect), "{text}");
            assert_eq!(Setting::judge(text), Ok(()), "{text}");
        }
        for (text, says) in [
            ("33062", "`33062` is only a port; write `:33062`"),
            (":0", "`0` is not a port"),
            (":99999", "`99999` is not a port"),
            ("/run/mysqld/extra.sock", "is a unix socket"),
            ("db.example:3306", "is `address` itself"),
            (":3306", "is `address` itself"),
            ("a:b:c", "neither `host:port`"),
        ] {
            let told = Setting::of(text, &target).expect_err(text);
            assert!(told.contains(says), "{text}: {told}");
        }
        let told = Setting::of(":33062", &tcp("/run/mysqld.sock")).expect_err("no host");
        assert!(told.contains("which is a unix socket; write `host:port`"), "{told}");
    }

    /// Where the door is that is seen from what the server says.
    fn seen(
        target: &str,
        version: &str,
        peer: Option<&str>,
        path: Option<Path>,
        says: &[(&str, &str)],
    ) -> Option<String> {
        let mut door = door(Setting::Auto, target);
        assert!(door.way(path, None, Instant::now()).is_none(), "nothing is known yet");
        assert_eq!(door.missing(path), None);
        door.advertised(Ports::read(&variables(says)));
        door.main_opened(&facts(version, peer));
        let way = door.way(path, None, Instant::now())?;
        assert_eq!(door.missing(path), Some(Ok(())));
        assert_eq!(way.server, Some(Server::from_version(version)), "another is not shown the account");
        way.address.map(|address| address.to_string())
    }

    #[test]
    fn an_extra_port_is_tried_where_it_can_only_be_the_same_server() {
        let direct = Some(Path::Direct);
        let extra = [("port", "3306"), ("extra_port", "3307")];
        let check = |target, peer, path, says: &[(&str, &str)], expect: Option<&str>| {
            assert_eq!(
                seen(target, "11.8.9-MariaDB", peer, path, says).as_deref(),
                expect,
                "{target} {path:?} {says:?}"
            );
        };
        check("db:3306", Some("10.0.0.1:3306"), direct, &extra, Some("10.0.0.1:3307"));
        check("[::1]:3306", Some("[::1]:3306"), direct, &extra, Some("[::1]:3307"));
        check("db:3306", Some("10.0.0.1:3306"), Some(Path::Proxied), &extra, None);
        check("db:3306", Some("10.0.0.1:3306"), None, &extra, None);
        // A port that is passed on to the server's: next to it may be anything.
        check("db:13306", Some("10.0.0.1:13306"), direct, &extra, None);
        check("db:3306", Some("10.0.0.1:3306"), direct, &[("port", "3306"), ("extra_port", "0")], None);
        check("db:3306", Some("10.0.0.1:3306"), direct, &[("port", "3306")], None);
        // The server behind a socket may have a network of its own.
        check("/run/mysqld.sock", None, direct, &extra, None);
    }

    #[test]
    fn an_admin_port_is_tried_where_it_listens_on_the_address_that_we_reached() {
        let check = |target, peer, admin, expect: Option<&str>| {
            let says = [("port", "3306"), ("admin_address", admin), ("admin_port", "33062"), ("extra_port", "9")];
            let found = seen(target, "9.7.4", Some(peer), Some(Path::Direct), &says);
            assert_eq!(found.as_deref(), expect, "{target} {peer} {admin}");
        };
        check("db:3306", "10.0.0.1:3306", "10.0.0.1", Some("10.0.0.1:33062"));
        check("localhost:3306", "127.0.0.1:3306", "127.0.0.1", Some("127.0.0.1:33062"));
        check("db:3306", "10.0.0.1:3306", "DB", Some("10.0.0.1:33062"));
        // 127.0.0.1 of the server is not ours.
        check("db:3306", "10.0.0.1:3306", "127.0.0.1", None);
        check("db:3306", "10.0.0.1:3306", "10.0.0.2", None);
        check("db:3306", "10.0.0.1:3306", "10.0.0.1/net", None);
        check("db:3306", "10.0.0.1:3306", "", None);
        let mut door = door(Setting::Auto, "db:3306");
        let says = [("port", "3306"), ("admin_address", "10.0.0.1"), ("admin_port", "33062")];
        door.advertised(Ports::read(&variables(&says)));
        door.main_opened(&facts("9.7.4", Some("10.0.0.1:3306")));
        door.may_use_admin(false);
        assert!(door.way(Some(Path::Direct), None, Instant::now()).is_none(), "it would be refused, and counted");
        assert_eq!(door.missing(Some(Path::Direct)), Some(Err(Missing::Grant)));
    }

    #[test]
    fn what_an_operator_says_needs_no_server_to_say_it() {
        let mut door = door(Setting::At(tcp("other:33062")), "db:3306");
        let way = door.way(None, None, Instant::now()).expect("it is said");
        assert_eq!((way.access.endpoint.to_string().as_str(), way.address, way.server), ("other:33062", None, None));
        door.main_opened(&facts("9.7.4", Some("10.0.0.1:3306")));
        assert!(door.way(Some(Path::Proxied), None, Instant::now()).is_some());
        assert!(super::tests::door(Setting::Off, "db:3306").way(None, None, Instant::now()).is_none());
    }

    #[test]
    fn a_door_that_refuses_is_tried_again_when_it_may_be_another_answer() {
        let mut door = door(Setting::At(tcp("db:33062")), "db:3306");
        let zero = Instant::now();
        let mut refuse = |phase, reason, errno: Option<u16>| {
            let mut failure = Failure::new(phase, reason, "words");
            failure.errno = errno;
            door.try_again();
            let told = door.refused(&failure, SECOND * 300, zero).1;
            let open = |door: &SecondDoor, after: u32| door.way(None, None, zero + SECOND * after).is_some();
            let result = (told, open(&door, 1), open(&door, 301));
            door.main_opened(&facts("9.7.4", None));
            assert!(open(&door, 1), "with the main door everything is open again");
            result
        };
        assert_eq!(refuse(Phase::Auth, Reason::TooManyConnections, Some(1040)), (true, true, true));
        assert_eq!(refuse(Phase::Tcp, Reason::Refused, None), (true, true, true));
        assert_eq!(refuse(Phase::Auth, Reason::Other, Some(1227)), (true, false, true));
        assert_eq!(refuse(Phase::Tcp, Reason::Timeout, None), (true, false, true));
        assert_eq!(refuse(Phase::Tls, Reason::TlsExpired, None), (true, false, false));
    }

    #[test]
    fn each_refusal_and_each_change_is_told_once() {
        let mut door = door(Setting::At(tcp("db:33062")), "db:3306");
        let now = Instant::now();
        let full = Failure::new(Phase::Auth, Reason::TooManyConnections, "words");
        assert_eq!(door.refused(&full, SECOND, now), (false, true));
        assert_eq!(door.refused(&full, SECOND, now), (false, false));
        assert!(door.entered(Door::Admin) && !door.entered(Door::Admin));
        assert_eq!(door.refused(&full, SECOND, now), (true, true));
        assert_eq!(door.in_use(), Door::Main);
        assert!(door.entered(Door::Admin));
        assert!(door.main_opened(&facts("9.7.4", None)) && !door.main_opened(&facts("9.7.4", None)));
    }
}
