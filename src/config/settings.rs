//! The table of settings, from which come the checks, the environment's names, `exporter.yaml` and the README's table.

use std::sync::LazyLock;
use std::time::Duration;

/// One key that may be set.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Dotted; `*` is a name that the operator chooses.
    pub path: &'static str,
    pub kind: Kind,
    pub given: Given,
    /// A sentence or two, made of the lines of its comment below.
    doc: &'static [&'static str],
}

impl Setting {
    pub(crate) fn doc(&self) -> String {
        self.doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
    }

    /// The default or, where there is none, a value that would do.
    pub(crate) fn sample(&self) -> &'static str {
        match self.given {
            Given::Default(text) | Given::Example(text) => text,
        }
    }

    pub(crate) fn default(&self) -> Option<&'static str> {
        match self.given {
            Given::Default(text) => Some(text),
            Given::Example(_) => None,
        }
    }

    /// The names of its path, one by one. A collector's name has dots of its own.
    pub(crate) fn segments(&self) -> Vec<&'static str> {
        match self.path.strip_prefix("collectors.").and_then(|rest| rest.rsplit_once('.')) {
            Some((name, key)) => vec!["collectors", name, key],
            None => self.path.split('.').collect(),
        }
    }
}

/// What a setting is when nobody says it: a value, written as the operator would, or nothing (and an example).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Given {
    Default(&'static str),
    Example(&'static str),
}

/// What the value of a setting may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Text,
    /// Any text; never shown.
    Secret,
    /// `true` or `false`.
    Switch,
    /// A whole number.
    Count {
        least: u64,
        most: u64,
    },
    /// A duration with its unit.
    Span {
        least: Duration,
        most: Duration,
    },
    Choice(&'static [&'static str]),
    /// A list of addresses to listen on; one alone needs no list.
    Listen,
    /// The path of an HTTP route of ours.
    Route,
    /// `host:port` or a socket; what it must look like is judged by whoever connects.
    Address,
    /// A file that must be readable.
    File,
    /// The name of an environment variable.
    Variable,
    /// A list of durations, each with its unit.
    Spans {
        least: Duration,
        most: Duration,
    },
    /// A duration with its unit, or `never`.
    SpanOrNever {
        least: Duration,
        most: Duration,
    },
    /// Letters, digits and `_`.
    Word,
    /// A folder; whether it can be written shows when it is.
    Folder,
    /// The path of a unix socket of ours, or `off`.
    Control,
    /// A list of patterns of servers, judged by whoever connects.
    Patterns,
    /// A list of names.
    Names,
    /// Text that may be empty.
    Prefix,
    /// A regular expression of the server.
    Regex,
    /// A statement that only reads.
    Statement,
    /// The name of a metric of the operator's own.
    Metric,
    /// A list of columns that become labels.
    Labels,
    /// A list of flavors and versions of servers.
    Servers,
    /// A list of `pattern=name`, judged by whoever asks who is connected.
    HostGroups,
    /// Another port of a target's server; what it must look like is judged by whoever connects.
    Door,
}

impl Kind {
    /// Whether it is written as a list.
    pub(crate) fn is_list(self) -> bool {
        matches!(
            self,
            Kind::Listen
                | Kind::Spans { .. }
                | Kind::Names
                | Kind::Patterns
                | Kind::Labels
                | Kind::Servers
                | Kind::HostGroups
        )
    }
}

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(86_400);
const MONTH: Duration = Duration::from_secs(30 * 86_400);

/// As large as mysqld_exporter's flags may be.
const LARGEST: u64 = u32::MAX as u64;
const LONGEST: Duration = Duration::from_secs(LARGEST);

/// The three ways to say a password. They are one setting: the one said last, or nearest, counts.
pub(crate) const PASSWORDS: [&str; 3] = ["password", "password_file", "password_env"];

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $path:literal: $kind:expr, $given:ident $text:literal;)+) => {
        pub(crate) static SETTINGS: &[Setting] = &[$(
            Setting { path: $path, kind: $kind, given: settings!(@ $given $text), doc: &[$($doc),+] },
        )+];
    };
    (@ default $text:literal) => { Given::Default($text) };
    (@ example $text:literal) => { Given::Example($text) };
}

settings! {
    /// Where goneaway listens, one or a list: `address:port` (without an address, on all of the machine; a host name is
    /// each of its own), or `unix:` and the absolute path of a unix socket.
    "web.listen_addresses": Kind::Listen, default ":10306";
    /// Takes the sockets that systemd opened (`deploy/goneaway.socket`), and listens on no address of `listen_addresses`.
    "web.systemd_socket": Kind::Switch, default "false";
    /// The path of the metrics.
    "web.telemetry_path": Kind::Route, default "/metrics";
    /// Whether `POST /-/reload` and `POST /-/recover` may be asked for at these addresses. At the control socket, and by
    /// SIGHUP, they always may.
    "web.lifecycle": Kind::Switch, default "true";
    /// A file in the web configuration format of Prometheus' exporters: TLS, basic authentication, headers, a rate limit.
    "web.config_file": Kind::File, example "/etc/goneaway/web.yml";
    /// The least severe messages that are logged: error, warn, info or debug.
    "log.level": Kind::Choice(&["error", "warn", "info", "debug"]), default "info";
    /// How a message is written: logfmt or json.
    "log.format": Kind::Choice(&["logfmt", "json"]), default "logfmt";
    /// Where the learned idle limits are kept over a restart, in a file `idle.json`; systemd's STATE_DIRECTORY when not
    /// said, and nowhere when that is not set either.
    "state_directory": Kind::Folder, example "/var/lib/goneaway";
    /// The unix socket by which the commands find the daemon that runs here, or `off`. Only the daemon's own user (and root)
    /// may use it, and needs no password there. When not said: `goneaway.sock` in RUNTIME_DIRECTORY, else in
    /// XDG_RUNTIME_DIR, and off where neither is set.
    "control": Kind::Control, example "/run/goneaway/goneaway.sock";
    /// Hosts of clients that are told as one in the label `host_group`, of sessions and of the connections that accounts
    /// open: a list of `pattern=name`, of which the first that fits counts. A pattern is an address, a network
    /// (`10.1.0.0/16`), a name with `*` (`*.web.example` is every name below a domain), or `*` for all. A host that fits
    /// none is told by itself.
    "host_groups": Kind::HostGroups, example "10.1.0.0/16=web";
    /// How many events are kept in memory for `/events`.
    "events.keep": Kind::Count { least: 10, most: 100_000 }, default "1000";
    /// Which servers `/probe` may be asked about, besides the targets below: `host:port`, `*.db.example:3306` (names below
    /// a domain), `10.1.0.0/16:3306` (addresses), `:*` for every port, or the path of a unix socket. None when not said.
    "probe.allow": Kind::Patterns, example "*.db.example:3306";
    /// How many servers `/probe` asks at once; who comes then waits for a turn.
    "probe.limit": Kind::Count { least: 1, most: 1024 }, default "16";
    /// The deadline of `/probe` where the scraper does not say its own (X-Prometheus-Scrape-Timeout-Seconds).
    "probe.timeout": Kind::Span { least: MILLISECOND, most: Duration::from_secs(600) }, default "10s";
    /// How much earlier than the scraper's own deadline `/probe` answers.
    "probe.timeout_offset": Kind::Span { least: Duration::ZERO, most: Duration::from_secs(60) }, default "250ms";
    /// The account of the auth module `NAME` of `/probe?auth_module=NAME`; `client` is the one for who names none.
    "auth_modules.*.user": Kind::Text, default "goneaway";
    /// Its password, any text.
    "auth_modules.*.password": Kind::Secret, example "any text";
    /// A file that holds the password; one line break at its end is not part of it.
    "auth_modules.*.password_file": Kind::File, example "/run/secrets/probe";
    /// An environment variable that holds the password.
    "auth_modules.*.password_env": Kind::Variable, example "PROBE_PASSWORD";
    /// The servers that this account may be shown to, in the patterns of `probe.allow`; when not said, those of
    /// `probe.allow`.
    "auth_modules.*.allow": Kind::Patterns, example "orders.db.example:3306";
    /// Allows `mysql_clear_password`, on a secure channel only.
    "auth_modules.*.cleartext": Kind::Switch, default "false";
    /// As `targets.*.tls.mode`.
    "auth_modules.*.tls.mode": Kind::Choice(&["DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"]), default "PREFERRED";
    /// The trusted authorities (PEM), for the VERIFY modes; the system's when not said.
    "auth_modules.*.tls.ca": Kind::File, example "/etc/goneaway/ca.pem";
    /// Our certificate (PEM), for an account that requires one; with `tls.key`.
    "auth_modules.*.tls.cert": Kind::File, example "/etc/goneaway/client.pem";
    /// The key of our certificate (PEM).
    "auth_modules.*.tls.key": Kind::File, example "/etc/goneaway/client-key.pem";
    /// The name that the servers' certificates must have, when it is not the host that is asked for.
    "auth_modules.*.tls.server_name": Kind::Text, example "db.example";
    /// The oldest TLS to accept: 1.2 or 1.3.
    "auth_modules.*.tls.min_version": Kind::Choice(&["1.2", "1.3"]), default "1.2";
    /// Switches a collector on or off for all targets; the README names them. A collector with settings below its name is
    /// on, unless they say otherwise.
    "collectors.*": Kind::Switch, example "true";
    /// Whether the collector is on.
    "collectors.*.enabled": Kind::Switch, example "true";
    /// How often the collector asks, where that is not with every round: at most as often as the target's `every`. Some
    /// that may take long have minutes when nothing is said. Not for global_status and global_variables, which every
    /// round needs.
    "collectors.*.every": Kind::Span { least: SECOND, most: DAY }, example "10m";
    /// The deadline of the collector, at most its `every`. Within a round the target's `timeout` counts too; a longer one
    /// has the collector ask beside the rounds. One minute when nothing is said, for what asks beside the rounds.
    "collectors.*.timeout": Kind::Span { least: MILLISECOND, most: DAY }, example "30s";
    /// The database of pt-heartbeat's table.
    "collectors.heartbeat.database": Kind::Text, default "heartbeat";
    /// The table that pt-heartbeat writes.
    "collectors.heartbeat.table": Kind::Text, default "heartbeat";
    /// Whether pt-heartbeat runs with `--utc`.
    "collectors.heartbeat.utc": Kind::Switch, default "false";
    /// Threads that are in their state for less are left out; whole seconds.
    "collectors.info_schema.processlist.min_time": Kind::Span { least: Duration::ZERO, most: LONGEST }, default "0s";
    /// Whether threads are told by account too.
    "collectors.info_schema.processlist.processes_by_user": Kind::Switch, default "true";
    /// Whether threads are told by host too.
    "collectors.info_schema.processlist.processes_by_host": Kind::Switch, default "true";
    /// The databases whose tables are told, in a list or separated by commas; `*` for all but the server's own.
    "collectors.info_schema.tables.databases": Kind::Names, default "*";
    /// Whether the accounts' privileges are told too.
    "collectors.mysql.user.privileges": Kind::Switch, default "false";
    /// How many digests are told at most.
    "collectors.perf_schema.eventsstatements.limit": Kind::Count { least: 0, most: LARGEST }, default "250";
    /// Digests that were not seen for so long are left out; whole seconds.
    "collectors.perf_schema.eventsstatements.timelimit": Kind::Span { least: Duration::ZERO, most: LONGEST }, default "1day";
    /// How many characters of a digest's text are told.
    "collectors.perf_schema.eventsstatements.digest_text_limit": Kind::Count { least: 0, most: LARGEST }, default "120";
    /// Databases whose statements are left out besides the server's own, in a list or separated by commas.
    "collectors.perf_schema.eventsstatements.exclude_schemas": Kind::Names, example "scratch";
    /// The regular expression that the name of a file must match.
    "collectors.perf_schema.file_instances.filter": Kind::Regex, default ".*";
    /// What is taken off the beginning of a file's name; may be empty.
    "collectors.perf_schema.file_instances.remove_prefix": Kind::Prefix, default "/var/lib/mysql/";
    /// What is taken off the beginning of an event's name; may be empty.
    "collectors.perf_schema.memory_events.remove_prefix": Kind::Prefix, default "memory/";
    /// The statement: one, which only reads (SELECT, WITH, SHOW, TABLE, VALUES). It runs in a read-only transaction, on a
    /// connection of its own that is opened for it.
    "queries.*.sql": Kind::Statement, example "SELECT shop, COUNT(*) AS waiting FROM sales.orders WHERE sent IS NULL GROUP BY shop";
    /// How often the query asks; at most as often as the target's `every`.
    "queries.*.every": Kind::Span { least: SECOND, most: DAY }, default "1m";
    /// Its deadline, at most its `every`; the server itself ends a SELECT a little earlier. When not said, and `every` is
    /// shorter, `every`.
    "queries.*.timeout": Kind::Span { least: Duration::from_millis(10), most: Duration::from_secs(3600) }, default "10s";
    /// Columns that are labels, each called as its label (`AS shop`). A NULL is an empty label; the labels of two rows must
    /// differ.
    "queries.*.labels": Kind::Labels, example "shop";
    /// Targets that are asked, by name; all when not said.
    "queries.*.targets": Kind::Names, example "local";
    /// Servers that are asked: `mysql`, `mariadb`, or of some versions, such as `mysql>=8.0 <9.0`; all when not said. What
    /// another server is not asked for has `why="version"` in `mysql_conn_feature_supported`.
    "queries.*.servers": Kind::Servers, example "mysql>=8.0";
    /// An answer of more rows is an error. No more are asked for, and none is kept.
    "queries.*.max_rows": Kind::Count { least: 1, most: 100_000 }, default "1000";
    /// An answer that makes more series (rows times values) is an error.
    "queries.*.max_series": Kind::Count { least: 1, most: 100_000 }, default "1000";
    /// The metric that the column becomes: small letters, digits and `_`, no name of goneaway or mysqld_exporter; `_total`
    /// for counters and for nothing else.
    "queries.*.values.*.name": Kind::Metric, example "shop_orders_waiting";
    /// What the metric is: gauge, counter (never negative) or untyped.
    "queries.*.values.*.type": Kind::Choice(&["gauge", "counter", "untyped"]), default "gauge";
    /// What the metric says, with its unit.
    "queries.*.values.*.help": Kind::Text, example "Orders that were paid and not sent, by shop.";
    /// The server: `host:port` (3306 when no port is said), `[IPv6]:port`, or the path of a unix socket.
    "targets.*.address": Kind::Address, example "127.0.0.1:3306";
    /// The account to log in as.
    "targets.*.user": Kind::Text, default "goneaway";
    /// The account's password, any text. It is taken as it stands: nothing in it is expanded.
    "targets.*.password": Kind::Secret, example "any text";
    /// A file that holds the password; one line break at its end is not part of it.
    "targets.*.password_file": Kind::File, example "/run/secrets/orders";
    /// An environment variable that holds the password.
    "targets.*.password_env": Kind::Variable, example "ORDERS_PASSWORD";
    /// The default database of our connections; none when not said.
    "targets.*.database": Kind::Text, example "orders";
    /// How often the target is probed and its figures collected.
    "targets.*.every": Kind::Span { least: SECOND, most: DAY }, default "15s";
    /// The deadline of one round, at most `every`; when not said, and `every` is shorter, `every`.
    "targets.*.timeout": Kind::Span { least: MILLISECOND, most: DAY }, default "5s";
    /// The deadline for reaching the host, all its addresses together, at most `timeout`; when not said, and `timeout`
    /// is shorter, `timeout`.
    "targets.*.connect_timeout": Kind::Span { least: MILLISECOND, most: DAY }, default "3s";
    /// Where collectors get in when the server refuses new connections since all are in use (1040): `host:port`, or `:port`
    /// on the host of `address`, of MySQL's admin port (the account needs SERVICE_CONNECTION_ADMIN there) or MariaDB's
    /// extra port; `off`; or `auto`, which is what the server's variables tell, where that can only be the same server: on
    /// the address that `address` reached, with nothing between, and MySQL's only if `admin_address` is that address. One
    /// connection at a time, for as long as a round takes.
    "targets.*.second_door": Kind::Door, default "auto";
    /// Whether `/health/db` fails when this target does.
    "targets.*.required": Kind::Switch, default "true";
    /// How many connections may be held to the target at once: one for the probe, one for asking about losses, three for
    /// the idle ladder, and what the pools may open.
    "targets.*.connections": Kind::Count { least: 3, most: 512 }, default "8";
    /// How many series the target may have. What a collector or a query has beyond is left out, and counted by
    /// `mysql_conn_exporter_series_dropped_total{reason="budget"}`.
    "targets.*.max_series": Kind::Count { least: 1000, most: LARGEST }, default "100000";
    /// Allows `mysql_clear_password`, on a secure channel only.
    "targets.*.cleartext": Kind::Switch, default "false";
    /// As the mysql client spells it: DISABLED, PREFERRED (TLS when the server has it, unverified), REQUIRED (the same, or
    /// no connection), VERIFY_CA (and the certificate is signed by a trusted authority), VERIFY_IDENTITY (and it names the host).
    "targets.*.tls.mode": Kind::Choice(&["DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"]), default "PREFERRED";
    /// The trusted authorities (PEM), for the VERIFY modes; the system's when not said.
    "targets.*.tls.ca": Kind::File, example "/etc/goneaway/ca.pem";
    /// Our certificate (PEM), for an account that requires one; with `tls.key`.
    "targets.*.tls.cert": Kind::File, example "/etc/goneaway/client.pem";
    /// The key of our certificate (PEM).
    "targets.*.tls.key": Kind::File, example "/etc/goneaway/client-key.pem";
    /// The name that the server's certificate must have, when it is not the host of `address`.
    "targets.*.tls.server_name": Kind::Text, example "db.example";
    /// The oldest TLS to accept: 1.2 or 1.3.
    "targets.*.tls.min_version": Kind::Choice(&["1.2", "1.3"]), default "1.2";
    /// The least between two attempts to connect anew.
    "targets.*.backoff.floor": Kind::Span { least: MILLISECOND, most: DAY }, default "250ms";
    /// The most that the first attempt waits; twice that for the second, and so on. Each wait is drawn at random between
    /// the floor and its most.
    "targets.*.backoff.first": Kind::Span { least: MILLISECOND, most: DAY }, default "1s";
    /// The most that any attempt waits: it bounds how late a server that is back is noticed.
    "targets.*.backoff.cap": Kind::Span { least: MILLISECOND, most: DAY }, default "15s";
    /// Where trying makes it worse (access denied, account locked or expired, host blocked, user limit), one attempt is
    /// made per so long.
    "targets.*.circuit_interval": Kind::Span { least: SECOND, most: DAY }, default "5m";
    /// After so long without a usable connection the state is `down`.
    "targets.*.down_after": Kind::Span { least: SECOND, most: DAY }, default "1m";
    /// How long a server may be away before lost connections get their cause without knowing how it comes back.
    "targets.*.give_up_after": Kind::Span { least: SECOND, most: DAY }, default "5m";
    /// Whether connections are left to rest, to find out how long an idle connection lives on the path. Takes up to three.
    "targets.*.ladder.enabled": Kind::Switch, default "true";
    /// No connection of the ladder rests longer, whatever the server allows.
    "targets.*.ladder.cap": Kind::Span { least: SECOND, most: MONTH }, default "1h";
    /// The rests to try first, rising: just below the limits that middleboxes are known to have.
    "targets.*.ladder.ages": Kind::Spans { least: Duration::from_millis(100), most: MONTH }, default "50s, 110s, 225s, 290s, 340s, 360s, 590s, 890s, 1790s, 3590s";
    /// A limit is known well enough when it is bounded this closely, or to 5 %.
    "targets.*.ladder.precision": Kind::Span { least: Duration::from_millis(50), most: DAY }, default "10s";
    /// Between opening two connections of the ladder. Those that end within half of this ended by one event.
    "targets.*.ladder.stagger": Kind::Span { least: Duration::from_millis(100), most: DAY }, default "12s";
    /// How often a known limit is looked at again.
    "targets.*.ladder.recheck_every": Kind::Span { least: SECOND, most: MONTH }, default "6h";
    /// How many connections stay in the pool.
    "targets.*.pools.*.size": Kind::Count { least: 1, most: 32 }, default "2";
    /// How many more there may be; they are closed when they come back.
    "targets.*.pools.*.max_overflow": Kind::Count { least: 0, most: 32 }, default "1";
    /// How long to wait for a connection when all are in use.
    "targets.*.pools.*.timeout": Kind::Span { least: MILLISECOND, most: DAY }, default "30s";
    /// The age at which a connection is replaced when it is next wanted, or `never`.
    "targets.*.pools.*.recycle": Kind::SpanOrNever { least: SECOND, most: MONTH }, default "280s";
    /// Whether a connection that rested half a second is asked for a sign of life before it is used.
    "targets.*.pools.*.pre_ping": Kind::Switch, default "true";
    /// What is done to a connection that is given back: rollback or none.
    "targets.*.pools.*.reset_on_return": Kind::Choice(&["rollback", "none"]), default "rollback";
    /// How long logging in may take.
    "targets.*.pools.*.connect_timeout": Kind::Span { least: MILLISECOND, most: DAY }, default "5s";
    /// How long an answer may take.
    "targets.*.pools.*.read_timeout": Kind::Span { least: MILLISECOND, most: DAY }, default "5s";
    /// How much longer it may take for a statement above 64 KiB, which has to be sent first.
    "targets.*.pools.*.write_timeout": Kind::Span { least: MILLISECOND, most: DAY }, default "5s";
    /// The character set of the connections (`SET NAMES`); utf8mb4 when not said.
    "targets.*.pools.*.charset": Kind::Word, example "utf8mb4";
    /// Whether the pool is used when nothing else uses it, as an application would.
    "targets.*.pools.*.exercise.enabled": Kind::Switch, default "true";
    /// The statement that each use sends.
    "targets.*.pools.*.exercise.statement": Kind::Text, default "SELECT 1";
    /// How often the first connection is used.
    "targets.*.pools.*.exercise.busy": Kind::Span { least: Duration::from_millis(50), most: DAY }, default "1s";
    /// How long the other connections rest before they are used, in turn.
    "targets.*.pools.*.exercise.rests": Kind::Spans { least: Duration::from_millis(50), most: MONTH }, default "30s, 4m";
}

/// The name of the pool of a target that names none.
pub(crate) const DEFAULT_POOL: &str = "default";

/// Words of other programs, and ours for the same.
const OTHER_WORDS: &[(&str, &str)] = &[
    ("host", "address"),
    ("hostname", "address"),
    ("port", "address"),
    ("socket", "address"),
    ("url", "address"),
    ("username", "user"),
    ("pass", "password"),
    ("pwd", "password"),
    ("interval", "every"),
    ("period", "every"),
    ("deadline", "timeout"),
    ("on", "enabled"),
    ("dbname", "database"),
    ("schema", "database"),
    ("ssl", "tls"),
    ("ssl_mode", "tls.mode"),
    ("ssl-mode", "tls.mode"),
    ("ssl_ca", "tls.ca"),
    ("ssl-ca", "tls.ca"),
    ("pool_size", "pools"),
    ("pool", "pools"),
    ("pool_recycle", "recycle"),
    ("pool_timeout", "timeout"),
    ("pool_pre_ping", "pre_ping"),
    ("pool_reset_on_return", "reset_on_return"),
    ("maxlifetime", "recycle"),
    ("max_lifetime", "recycle"),
    ("conn_max_lifetime", "recycle"),
    ("maximumpoolsize", "size"),
    ("pool_min", "size"),
    ("max_open_conns", "size"),
    ("query", "statement"),
    ("query", "sql"),
    ("statement", "sql"),
    ("metric", "name"),
    ("description", "help"),
    ("flavors", "servers"),
    ("columns", "values"),
    ("limit", "max_rows"),
    ("logging", "log"),
    ("servers", "targets"),
    ("listen", "listen_addresses"),
    ("systemd", "systemd_socket"),
    ("enable-lifecycle", "lifecycle"),
    ("control_socket", "control"),
    ("admin_port", "second_door"),
    ("extra_port", "second_door"),
];

/// The setting of a path.
pub(crate) fn find<P: AsRef<str>>(path: &[P]) -> Option<&'static Setting> {
    let asked = canonical(path)?;
    SETTINGS.iter().find(|setting| {
        let mine = setting.segments();
        mine.len() == asked.len() && mine.iter().zip(&asked).all(|(mine, asked)| *mine == "*" || mine == asked)
    })
}

/// The names that may follow a path; `*` where the operator chooses. Empty for what is not a group.
pub(crate) fn below<P: AsRef<str>>(path: &[P]) -> Vec<&'static str> {
    if path.is_empty() {
        return vec![
            "web",
            "log",
            "state_directory",
            "control",
            "host_groups",
            "events",
            "probe",
            "auth_modules",
            "collectors",
            "queries",
            "defaults",
            "targets",
        ];
    }
    let Some(asked) = canonical(path) else { return Vec::new() };
    let mut names = Vec::new();
    for setting in SETTINGS {
        let mut mine = setting.segments().into_iter();
        let under = asked.iter().all(|asked| mine.next().is_some_and(|mine| mine == "*" || mine == *asked));
        let hidden = path[0].as_ref() == "defaults" && setting.path == "targets.*.address";
        if let Some(name) = mine.next().filter(|name| under && !hidden && !names.contains(name)) {
            names.push(name);
        }
    }
    // Names that the table knows too are among those that the operator may write.
    if names.contains(&"*") { vec!["*"] } else { names }
}

/// The name that was probably meant by an unknown one inside the group `path`.
pub(crate) fn meant<P: AsRef<str>>(path: &[P], unknown: &str) -> Option<String> {
    let unknown = unknown.to_ascii_lowercase().replace('-', "_");
    let group = below(path);
    let known = |word: &str| {
        let mut full: Vec<&str> = path.iter().map(AsRef::as_ref).collect();
        full.extend(word.split('.'));
        find(&full).is_some() || !below(&full).is_empty()
    };
    if let Some((_, ours)) = OTHER_WORDS.iter().find(|(other, ours)| other.replace('-', "_") == unknown && known(ours))
    {
        return Some((*ours).to_owned());
    }
    // A key of a group below, without its group: `ca` for `tls.ca`.
    for name in &group {
        let mut full: Vec<&str> = path.iter().map(AsRef::as_ref).collect();
        full.push(name);
        if below(&full).contains(&unknown.as_str()) {
            return Some(format!("{name}.{unknown}"));
        }
    }
    let best = nearest(&unknown, group.iter().copied().filter(|name| *name != "*"))?;
    Some(best.to_owned())
}

/// The nearest of some words, if any is near.
pub(crate) fn nearest<'a>(unknown: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let unknown = unknown.to_lowercase();
    words
        .map(|word| (strsim::damerau_levenshtein(&unknown, &word.to_lowercase()), word))
        .filter(|(distance, word)| {
            let word = word.to_lowercase();
            let begun = unknown.len() >= 3 && word.starts_with(&unknown);
            let within = word.len() >= 3 && unknown.contains(&word);
            *distance <= 1.max(word.len() / 3) || begun || within
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// What comes below `targets.*`, dotted: `every`, `tls.ca`.
pub(crate) static OF_A_TARGET: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| SETTINGS.iter().filter_map(|setting| setting.path.strip_prefix("targets.*.")).collect());

/// What comes below `queries.*`, dotted: `sql`, `values.*.name`.
pub(crate) static OF_A_QUERY: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| SETTINGS.iter().filter_map(|setting| setting.path.strip_prefix("queries.*.")).collect());

/// What comes below `auth_modules.*`, dotted.
pub(crate) static OF_A_MODULE: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| SETTINGS.iter().filter_map(|setting| setting.path.strip_prefix("auth_modules.*.")).collect());

/// `defaults` has the keys of a target but for `address`.
fn canonical<P: AsRef<str>>(path: &[P]) -> Option<Vec<&str>> {
    let path: Vec<&str> = path.iter().map(AsRef::as_ref).collect();
    match path.as_slice() {
        ["defaults", "address", ..] => None,
        ["defaults", rest @ ..] => Some(["targets", "*"].iter().chain(rest).copied().collect()),
        _ => Some(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_have_the_keys_of_a_target_but_the_address() {
        assert!(find(&["targets", "a", "tls", "ca"]).is_some());
        assert!(find(&["defaults", "tls", "ca"]).is_some());
        assert!(find(&["targets", "a", "address"]).is_some());
        assert!(find(&["defaults", "address"]).is_none());
        assert!(find(&["targets", "a"]).is_none());
        assert!(find(&["tls", "ca"]).is_none());
        assert!(!below(&["defaults"]).contains(&"address"));
        assert_eq!(below(&["targets"]), ["*"]);
        assert_eq!(below(&["log"]), ["level", "format"]);
        assert_eq!(below(&["log", "level"]), [""; 0]);
        assert_eq!(below(&["collectors"]), ["*"]);
        assert_eq!(below(&["collectors", "info_schema.tables"]), ["enabled", "every", "timeout", "databases"]);
        assert_eq!(below(&["collectors", "binlog_size"]), ["enabled", "every", "timeout"]);
        assert!(find(&["collectors", "heartbeat", "databases"]).is_none());
        for name in below::<&str>(&[]) {
            assert!(!below(&[name]).is_empty() || find(&[name]).is_some(), "{name}");
        }
        for setting in SETTINGS {
            assert!(below::<&str>(&[]).contains(&setting.segments()[0]), "{}", setting.path);
        }
    }

    #[test]
    fn a_wrong_key_is_answered_with_the_one_that_was_meant() {
        let target = ["targets", "orders"];
        for (unknown, ours) in [
            ("evrey", Some("every")),
            ("Every", Some("every")),
            ("pasword", Some("password")),
            ("host", Some("address")),
            ("ca", Some("tls.ca")),
            ("ssl-ca", Some("tls.ca")),
            ("connect-timeout", Some("connect_timeout")),
            ("conn", Some("connections")),
            ("colour", None),
        ] {
            assert_eq!(meant(&target, unknown).as_deref(), ours, "{unknown}");
        }
        assert_eq!(meant::<&str>(&[], "target").as_deref(), Some("targets"));
        assert_eq!(meant(&["web"], "host"), None);
    }
}
