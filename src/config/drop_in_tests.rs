//! What mysqld_exporter's flags, files and variables become.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::drop_in::MysqldExporter;
use super::exporter_flags::{EXPORTER_FLAGS, GivenFlag, Takes, exporter_collectors, flag};
use super::flags::Flag;
use super::from_mysqld_exporter::from_mysqld_exporter;
use super::layer::Judges;
use super::load::{Loaded, Sources, load};
use super::shape::{Target, TlsMode, TlsVersion};
use super::show::show;

/// A folder with files that is gone afterwards, and what is said beside them.
struct Case {
    folder: PathBuf,
    sources: Sources,
}

impl Case {
    /// With this option file, in the place where one is looked for.
    fn new(my_cnf: &str) -> Case {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("goneaway-drop-in-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).expect("a temporary folder");
        let collector = |name: &str| match ["global_status", "global_variables"].contains(&name) {
            true => Ok(()),
            false => Err("not built".to_owned()),
        };
        let mysqld_exporter = MysqldExporter { my_cnf: Some(folder.join("my.cnf")), ..MysqldExporter::default() };
        let judges = Judges { collector, ..Judges::default() };
        let case = Case { folder, sources: Sources { judges, mysqld_exporter, ..Sources::default() } };
        if !my_cnf.is_empty() {
            case.write("my.cnf", my_cnf);
        }
        case
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.join(name), text).expect("a temporary file");
    }

    /// Flags without their dashes: `mysqld.address=db:1`, `no-collect.heartbeat`.
    fn flags(mut self, flags: &[&str]) -> Case {
        for typed in flags {
            let (name, value) = typed.split_once('=').unwrap_or((typed, "true"));
            let (positive, value) = match name.strip_prefix("no-") {
                Some(positive) => (positive, "false"),
                None => (name, value),
            };
            let row = flag(positive).unwrap_or_else(|| panic!("{name} is in the table"));
            let given = GivenFlag { name: row.name, typed: format!("--{name}"), values: vec![value.to_owned()] };
            self.sources.mysqld_exporter.flags.push(given);
        }
        self
    }

    fn env(mut self, name: &str, text: &str) -> Case {
        self.sources.env.push((OsString::from(name), OsString::from(text)));
        self
    }

    fn load(&self) -> Result<Loaded, String> {
        load(&self.sources).map_err(|mistakes| self.shown(&mistakes.to_string()))
    }

    fn shown(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.folder.display()), "")
    }

    fn good(&self) -> Loaded {
        self.load().unwrap_or_else(|mistakes| panic!("{mistakes}"))
    }

    fn target(&self) -> Target {
        self.good().config.targets["mysqld"].clone()
    }

    fn wrong(&self) -> String {
        self.load().map(|loaded| loaded.config).expect_err("wrong")
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

const USER: &str = "mysqld.username=u";

#[test]
fn without_a_file_the_flags_and_mysqld_exporters_defaults_count() {
    let case = Case::new("").flags(&[USER]);
    let loaded = case.good();
    assert_eq!(loaded.config.web.listen_addresses, [":9104"]);
    assert_eq!(loaded.config.targets.len(), 1);
    let target = case.target();
    assert_eq!((target.address.as_str(), target.user.as_str()), ("localhost:3306", "u"));
    assert_eq!((target.tls.mode, target.password.is_empty()), (TlsMode::Disabled, true));
    assert_eq!(loaded.config.drop_in.map(|drop_in| drop_in.target).as_deref(), Some("mysqld"));
}

/// mysqld_exporter's manual has people create its account with MAX_USER_CONNECTIONS 3.
#[test]
fn the_defaults_fit_into_an_account_with_three_connections() {
    let target = Case::new("").flags(&[USER]).target();
    let pool = &target.pools["default"];
    assert_eq!((target.connections, target.ladder.enabled), (3, false));
    assert_eq!((pool.size, pool.max_overflow), (1, 0));
    for (flag, connections, overflow) in [
        ("exporter.max_open_connections=1", 3, 0),
        ("exporter.max_open_connections=5", 5, 2),
        ("exporter.max-open-conns=4", 4, 1),
        ("exporter.max_open_connections=1000", 35, 32),
    ] {
        let target = Case::new("").flags(&[USER, flag]).target();
        assert_eq!((target.connections, target.pools["default"].max_overflow), (connections, overflow), "{flag}");
    }
}

#[test]
fn what_limits_an_answer_and_a_connection_is_taken() {
    let pool = |flag: &str| Case::new("").flags(&[USER, flag]).target().pools["default"].clone();
    assert_eq!(pool("exporter.query_timeout=7").read_timeout, Duration::from_secs(7));
    assert_eq!(pool("exporter.query_timeout=0").read_timeout, Duration::from_secs(5));
    assert_eq!(pool("exporter.conn-max-lifetime=1m30s").recycle, Some(Duration::from_secs(90)));
    assert_eq!(pool("exporter.conn-max-lifetime=0s").recycle, None);
}

#[test]
fn the_file_counts_more_than_the_flags_and_those_more_than_the_variables() {
    let both = "[client]\nuser=file\npassword=file\nhost=file\n";
    let flags = [USER, "mysqld.address=flag:1"];
    let said = |case: Case| {
        let target = case.flags(&flags).env("MYSQLD_EXPORTER_PASSWORD", "variable").target();
        (target.address, target.user, target.password.expose().to_owned())
    };
    let three = |one: &str, two: &str, three: &str| (one.to_owned(), two.to_owned(), three.to_owned());
    assert_eq!(said(Case::new(both)), three("file:1", "file", "file"));
    assert_eq!(said(Case::new("[client]\n")), three("flag:1", "u", "variable"));
    assert_eq!(said(Case::new("[client]\nuser\npassword\n")), three("flag:1", "u", "variable"));
    assert_eq!(said(Case::new("[client]\npassword=\n")), three("flag:1", "u", ""));
    let case = Case::new("").flags(&[USER]).env("GONEAWAY_TARGETS__MYSQLD__EVERY", "20s");
    assert_eq!(case.target().every, Duration::from_secs(20));
}

#[test]
fn the_server_is_where_file_and_flags_say() {
    for (keys, flags, address) in [
        ("", "db:1", "db:1"),
        ("", "db", "db"),
        ("", "unix:///run/my.sock", "unix:///run/my.sock"),
        ("host=h", "db:1", "h:1"),
        ("port=2", "db:1", "db:2"),
        ("port=2", "[::1]:1", "[::1]:2"),
        ("host=::1", "db:1", "[::1]:1"),
        ("host=h\nport=2", "db:1", "h:2"),
        ("host=h", "unix:///run/my.sock", "h:3306"),
        ("host=h\nsocket=/run/my.sock", "db:1", "/run/my.sock"),
        ("host=\nsocket=", "db:1", "db:1"),
    ] {
        let case = Case::new(&format!("[client]\n{keys}\n")).flags(&[USER, &format!("mysqld.address={flags}")]);
        assert_eq!(case.target().address, address, "{keys} {flags}");
    }
}

#[test]
fn tls_is_what_mysqld_exporter_does_without_its_defects() {
    let check = |keys: &str, flags: &[&str], mode: TlsMode, files: [bool; 3]| {
        let case = Case::new(&keys.replace(' ', "\n")).flags(flags).flags(&[USER]);
        for name in ["ca", "cert", "key"] {
            case.write(name, "pem");
        }
        let text = fs::read_to_string(case.folder.join("my.cnf")).unwrap_or_default();
        let full = |name: &str| case.folder.join(name).display().to_string();
        case.write("my.cnf", &format!("[client]\n{}", text.replace('@', &full(""))));
        let loaded = case.good();
        let tls = &loaded.config.targets["mysqld"].tls;
        assert_eq!(tls.mode, mode, "{keys} {flags:?}");
        assert_eq!([&tls.ca, &tls.cert, &tls.key].map(Option::is_some), files, "{keys} {flags:?}");
        let module = &loaded.config.auth_modules["client"];
        assert_eq!(&module.tls, tls, "{keys} {flags:?}");
    };
    let skip = &["tls.insecure-skip-verify"];
    check("", &[], TlsMode::Disabled, [false; 3]);
    check("", skip, TlsMode::Required, [false; 3]);
    check("ssl-skip-verfication", &[], TlsMode::Required, [false; 3]);
    check("ssl-skip-verification=true", &[], TlsMode::Required, [false; 3]);
    check("ssl_skip_verification=false", skip, TlsMode::Disabled, [false; 3]);
    check("ssl-ca=@ca", &[], TlsMode::VerifyIdentity, [true, false, false]);
    check("ssl-ca=@ca ssl-cert=@cert ssl-key=@key", &[], TlsMode::VerifyIdentity, [true; 3]);
    check("ssl-ca=@ca ssl-cert=@cert ssl-key=@key", skip, TlsMode::Required, [false, true, true]);
    check("ssl-cert=@cert ssl-key=@key", &[], TlsMode::Preferred, [false, true, true]);
    check("tls=true", &[], TlsMode::VerifyIdentity, [false; 3]);
    check("tls=true", skip, TlsMode::Required, [false; 3]);
    check("tls=skip-verify", &[], TlsMode::Required, [false; 3]);
    check("tls=preferred", &[], TlsMode::Preferred, [false; 3]);
    check("tls=false ssl-ca=@ca", &[], TlsMode::Disabled, [false; 3]);
    check("tls=custom ssl-ca=@ca", &[], TlsMode::VerifyIdentity, [true, false, false]);
    check("ssl-ca=@ca socket=/run/my.sock tls=false", &[], TlsMode::Disabled, [false; 3]);

    let case = Case::new("[client]\ntls=true\ntls-server-name=db\ntls-min-version=TLSv1.3\nenable-cleartext-plugin\n");
    let target = case.flags(&[USER]).target();
    assert_eq!((target.tls.server_name.as_deref(), target.tls.min_version), (Some("db"), TlsVersion::Tls13));
    assert!(target.cleartext);
    let case = Case::new("[client]\ntls-max-version=TLSv1.2\n").flags(&[USER]);
    let warning = case.shown(&case.good().warnings[0]);
    assert_eq!(warning, "my.cnf:2: [client] tls-max-version: not used; the newest TLS that both sides have is taken");
}

#[test]
fn a_socket_has_no_tls_whatever_else_is_said() {
    let case = Case::new("[client]\nsocket=/run/my.sock\ntls=true\n").flags(&[USER]);
    assert_eq!(case.target().tls.mode, TlsMode::Disabled);
    let warning = case.shown(&case.good().warnings.join("\n"));
    assert!(warning.contains("my.cnf:3: [client] tls: not used, as the server is on a unix socket"), "{warning}");
}

/// Every printable character alone, in the middle, all of them, and what other readers are known to mangle.
fn passwords() -> Vec<String> {
    let mut all: Vec<String> = (' '..='~').flat_map(|c| [c.to_string(), format!("a{c}b")]).collect();
    all.push((' '..='~').collect());
    for more in
        ["pä$$wörd", "密码🔑", "${HOME}", "a # b", "x\\", "\\n", "'a'", "\"a\"", " a ", "?/@:(x)/", "%41", "\u{a0}"]
    {
        all.push(more.to_owned());
    }
    all
}

#[test]
fn any_password_survives_from_everywhere() {
    let file = Case::new("[client]\n").flags(&[USER]);
    for password in passwords() {
        let quoted = password.replace('\\', "\\\\").replace('"', "\\\"");
        let mut forms = vec![format!("\"{quoted}\""), format!("'{}'", password.replace('\\', "\\\\"))];
        let is_quoted = password.len() > 1 && password.starts_with(['"', '\'']) && password.ends_with(['"', '\'']);
        if password.trim() == password && !is_quoted {
            forms.push(password.clone());
        }
        for form in forms {
            file.write("my.cnf", &format!("[client]\npassword={form}\n"));
            let loaded = file.good();
            assert_eq!(loaded.config.targets["mysqld"].password.expose(), password, "{form}");
            let module = &loaded.config.auth_modules["client"];
            assert_eq!(module.password.expose(), password, "{form}");
            assert!(!show(&loaded).contains(&password) || password.len() < 5, "{password}");
        }
        let variable = Case::new("").flags(&[USER]).env("MYSQLD_EXPORTER_PASSWORD", &password);
        assert_eq!(variable.target().password.expose(), password, "variable");
        let dsn = Case::new("").env("DATA_SOURCE_NAME", &format!("u:{password}@tcp(db:1)/?tls=preferred"));
        assert_eq!(dsn.target().password.expose(), password, "DATA_SOURCE_NAME");
    }
}

#[test]
fn a_data_source_name_is_read_unless_flags_name_a_server() {
    let dsn = "dsn:p@tcp(dsn:1)/app?tls=skip-verify&allowCleartextPasswords=true&loc=Local";
    let case = Case::new("[client]\nuser=file\n").env("DATA_SOURCE_NAME", dsn);
    let target = case.target();
    assert_eq!((target.address.as_str(), target.user.as_str()), ("dsn:1", "dsn"));
    assert_eq!((target.database.as_deref(), target.tls.mode), (Some("app"), TlsMode::Required));
    assert!(target.cleartext);
    let warnings = case.good().warnings;
    assert!(warnings[0].starts_with("DATA_SOURCE_NAME: deprecated"), "{warnings:?}");
    assert_eq!(warnings[1], "DATA_SOURCE_NAME: ignored parameters: loc");
    let case = case.flags(&[USER]);
    assert_eq!(case.target().user, "file");
    assert_eq!(case.good().warnings[0], "DATA_SOURCE_NAME: ignored, as `--mysqld.username` is given");
    let wrong = Case::new("").env("DATA_SOURCE_NAME", "postgresql://u:hunter2@db/x").wrong();
    assert!(wrong.contains("DATA_SOURCE_NAME: is a URL") && !wrong.contains("hunter2"), "{wrong}");
}

#[test]
fn every_section_with_a_user_is_an_auth_module() {
    let case = Case::new(
        "[client]\nuser=u\npassword=p\n[client.eu]\nuser=eu\ntls=preferred\n[other]\nuser=o\n[mysqldump]\nquick\n\
         [bad]\nuser=b\ntls=maybe\n",
    )
    .flags(&["config.my-cnf=replaced"]);
    let mut sources = case.sources.clone();
    sources.mysqld_exporter.flags[0].values = vec![case.folder.join("my.cnf").display().to_string()];
    let loaded = load(&sources).expect("good");
    let modules = loaded.config.auth_modules;
    let told: Vec<(&str, &str, &str)> =
        modules.iter().map(|(name, module)| (name.as_str(), module.user.as_str(), module.password.expose())).collect();
    assert_eq!(told, [("client", "u", "p"), ("client.eu", "eu", "p"), ("other", "o", "")]);
    assert_eq!(modules["client.eu"].tls.mode, TlsMode::Preferred);
    let warnings = case.shown(&loaded.warnings.join("\n"));
    assert!(warnings.contains("my.cnf:9: the section `[mysqldump]` is skipped, as it names no user"), "{warnings}");
    assert!(warnings.contains("[bad] tls: `maybe` is not one of true"), "{warnings}");
}

#[test]
fn what_switches_the_mode_on() {
    let is_on = |case: &Case| case.load().is_ok_and(|loaded| loaded.config.drop_in.is_some());
    let with_user = "[client]\nuser=u\n";
    for flag in EXPORTER_FLAGS.iter().filter(|flag| !flag.name.starts_with("web.")) {
        let value = match (flag.name, flag.takes) {
            ("config.my-cnf", _) => continue,
            (_, Takes::Switch) => "true",
            _ => flag.default,
        };
        let value = if value.is_empty() { "x" } else { value };
        let case = Case::new(with_user).flags(&[&format!("{}={value}", flag.name)]);
        assert!(is_on(&case), "--{}", flag.name);
    }
    assert!(!is_on(&Case::new(with_user)));
    let mut case = Case::new(with_user);
    case.sources.mysqld_exporter.meant = Some("its name".to_owned());
    assert!(is_on(&case));

    let mut case = Case::new(with_user).flags(&["no-collect.global_status"]);
    case.write("exporter.yaml", "targets: {a: {address: a}}\n");
    case.sources.search = vec![case.folder.join("exporter.yaml")];
    let config = case.good().config;
    assert_eq!((config.drop_in, config.collectors["global_status"].enabled), (None, false));
    assert!(config.targets.contains_key("a"));
}

#[test]
fn collectors_are_switched_and_missing_ones_told() {
    for (flag, name) in exporter_collectors() {
        for (typed, on) in [(flag.name, true), (flag.negative, false)] {
            let loaded = Case::new("").flags(&[USER, typed]).good();
            let is_built = name.starts_with("global_");
            let told =
                loaded.warnings.iter().any(|warning| warning.starts_with(&format!("--{typed}: this build has no")));
            assert_eq!(told, on && !is_built, "{typed}: {:?}", loaded.warnings);
            let switched = loaded.config.collectors.get(name).map(|said| said.enabled);
            assert_eq!(switched, is_built.then_some(on), "{typed}");
        }
    }
    let loaded = Case::new("").flags(&[USER, "no-collect.slave_status"]).good();
    let by_default = loaded.warnings.last().expect("a warning");
    assert!(
        by_default.ends_with("yet: info_schema.innodb_cmp, info_schema.innodb_cmpmem, info_schema.query_response_time"),
        "{by_default}"
    );
    let loaded = Case::new("").flags(&[USER, "collect.all", "no-collect.global_status"]).good();
    assert_eq!(
        loaded.config.collectors.iter().map(|(name, said)| (name.as_str(), said.enabled)).collect::<Vec<_>>(),
        [("global_status", false), ("global_variables", true)]
    );
    let mut case = Case::new("").flags(&[USER, "collect.heartbeat.table=beat", "collect.heartbeat.utc"]);
    assert!(!case.good().config.collectors.contains_key("heartbeat"), "it is not built");
    case.sources.judges = Judges::default();
    let heartbeat = case.good().config.collectors["heartbeat"].clone();
    // A setting alone switches nothing on, as with mysqld_exporter.
    assert_eq!(
        (heartbeat.enabled, heartbeat.table.as_deref(), heartbeat.utc, heartbeat.database),
        (false, Some("beat"), Some(true), None)
    );
}

#[test]
fn every_mistake_has_its_place() {
    let check = |my_cnf: &str, flags: &[&str], says: &[&str]| {
        let wrong = Case::new(my_cnf).flags(flags).wrong();
        let lines: Vec<&str> = wrong
            .lines()
            .skip(usize::from(says.len() > 1 || !wrong.starts_with("error: no ")))
            .map(str::trim)
            .collect();
        assert_eq!(lines, says, "{my_cnf}");
    };
    let nobody = "no account to log in as; give `--mysqld.username`, or write `user=` below `[client]` in the file that \
                  `--config.my-cnf` names";
    check("", &["mysqld.address=db"], &[&format!("error: {nobody}")]);
    check("[mysql]\nuser=u\n", &["mysqld.address=db"], &[&format!("my.cnf: {nobody}")]);
    check(
        "[client]\nport=0\n",
        &[USER],
        &["my.cnf:2:1: [client] port: `0` is not a port; write a number from 1 to 65535"],
    );
    check(
        "[client]\n  tls=maybe\nenable-cleartext-plugin=x\ntls-max-version=2\n",
        &[USER],
        &[
            "my.cnf:2:3: [client] tls: `maybe` is not one of true, false, skip-verify or preferred",
            "my.cnf:3:1: [client] enable-cleartext-plugin: `x` is neither true nor false",
            "my.cnf:4:1: [client] tls-max-version: `2` is not a version of TLS; write 1.2 or 1.3",
        ],
    );
    check(
        "",
        &[USER, "exporter.max_open_connections=0", "collect.heartbeat=yes", "web.systemd-socket=1"],
        &[
            "--collect.heartbeat: `yes` is neither true nor false; write `true`",
            "--exporter.max_open_connections: `0` is out of range; write a number from 1 to 4294967295",
            "--web.systemd-socket: `1` is neither true nor false; write `true`",
        ],
    );
    let case = Case::new("").flags(&[USER]).env("GONEAWAY_TARGETS__OTHER__ADDRESS", "x");
    assert!(
        case.wrong().contains("there is no target but `mysqld` beside mysqld_exporter's flags"),
        "{}",
        case.wrong()
    );
    let mut case = Case::new("").flags(&[USER]);
    case.sources.file = Some(PathBuf::from("exporter.yaml"));
    let wrong = case.wrong();
    assert!(wrong.contains("--config.file: given beside `--mysqld.username`"), "{wrong}");
    assert!(wrong.contains("`goneaway config from-mysqld-exporter FLAGS…`"), "{wrong}");
}

#[test]
fn systemds_sockets_are_taken_in_both_modes() {
    let place = |loaded: &Loaded| loaded.origins.of("web.systemd_socket").expect("it has one").place.brief();
    let loaded = Case::new("").flags(&[USER, "web.systemd-socket"]).good();
    assert_eq!((loaded.config.web.systemd_socket, place(&loaded).as_str()), (true, "--web.systemd-socket"));
    assert!(!Case::new("").flags(&[USER]).good().config.web.systemd_socket);

    let mut case = Case::new("").flags(&["no-web.systemd-socket"]);
    case.write("exporter.yaml", "web: {systemd_socket: true}\ntargets: {a: {address: a}}\n");
    case.sources.search = vec![case.folder.join("exporter.yaml")];
    let loaded = case.good();
    assert_eq!((loaded.config.drop_in.is_some(), loaded.config.web.systemd_socket), (false, false));
    assert_eq!(place(&loaded), "--no-web.systemd-socket");
    case.sources.mysqld_exporter.flags.clear();
    assert!(case.good().config.web.systemd_socket);
}

#[test]
fn a_named_file_may_be_missing_only_where_flags_name_the_account() {
    let loaded = Case::new("").flags(&["config.my-cnf=/no/such/my.cnf", USER]).good();
    assert!(loaded.warnings[0].starts_with("--config.my-cnf: cannot read /no/such/my.cnf"), "{:?}", loaded.warnings);
    let wrong = Case::new("").flags(&["config.my-cnf=/no/such/my.cnf"]).wrong();
    assert!(wrong.contains("--config.my-cnf: cannot read /no/such/my.cnf"), "{wrong}");
    assert_eq!(Case::new("[client]\nuser=file\n").flags(&["config.my-cnf=", USER]).target().user, "u");
}

/// A value that is not the default for every flag that tunes a collector.
const TUNED: [&str; 18] = [
    USER,
    "collect.info_schema.tables",
    "no-collect.slave_status",
    "collect.heartbeat.database=ops",
    "collect.heartbeat.table=beat",
    "collect.heartbeat.utc",
    "collect.info_schema.processlist.min_time=5",
    "no-collect.info_schema.processlist.processes_by_user",
    "no-collect.info_schema.processlist.processes_by_host",
    "collect.info_schema.tables.databases=shop, a b",
    "collect.mysql.user.privileges",
    "collect.perf_schema.eventsstatements.limit=10",
    "collect.perf_schema.eventsstatements.timelimit=60",
    "collect.perf_schema.eventsstatements.digest_text_limit=0",
    "collect.perf_schema.eventsstatements.exclude_schemas=a,b",
    "collect.perf_schema.file_instances.filter=ibd$",
    "collect.perf_schema.file_instances.remove_prefix=",
    "collect.perf_schema.memory_events.remove_prefix=m/",
];

/// Percona's fork has its option file in the home directory.
#[test]
fn flags_of_perconas_fork_look_for_its_option_file() {
    let user = |flags: &[&str], with_own: bool| {
        let case = Case::new(if with_own { "[client]\nuser=here\n" } else { "" }).flags(flags);
        case.write(".my.cnf", "[client]\nuser=home\n");
        let home = case.folder.display().to_string();
        let case = case.env("HOME", &home);
        case.load().ok().map(|loaded| loaded.config.targets["mysqld"].user.clone())
    };
    let (percona, plain) = (["exporter.max-idle-conns=1"], ["mysqld.address=db:1"]);
    assert_eq!(user(&percona, false).as_deref(), Some("home"));
    assert_eq!(user(&percona, true).as_deref(), Some("here"));
    assert_eq!(user(&plain, false), None);
}

#[test]
fn the_file_that_is_written_does_the_same_and_holds_no_secret() {
    let check = |case: Case| {
        let yaml = from_mysqld_exporter(&case.sources).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert!(!yaml.contains("hunter2"), "{yaml}");
        case.write("secret", "hunter2");
        let secret = case.folder.join("secret").display().to_string();
        case.write(
            "exporter.yaml",
            &yaml.replace("/etc/goneaway/password", &secret).replace("/etc/goneaway/client.password", &secret),
        );
        let file = Some(case.folder.join("exporter.yaml"));
        let sources =
            Sources { file, env: case.sources.env.clone(), judges: case.sources.judges, ..Sources::default() };
        let sources = Sources {
            env: sources.env.into_iter().filter(|(name, _)| name != "DATA_SOURCE_NAME").collect(),
            ..sources
        };
        let same = load(&sources).unwrap_or_else(|mistakes| panic!("{mistakes}\n{yaml}")).config;
        let mut config = case.good().config;
        config.drop_in = None;
        // The target's own account is written where somebody may ask for more.
        if config.auth_modules.len() == 1 {
            config.auth_modules.clear();
        }
        assert_eq!(same, config, "{yaml}");
        yaml
    };
    check(Case::new("").flags(&[USER, "no-collect.global_status", "exporter.max_open_connections=6"]));
    check(Case::new("").flags(&[USER, "exporter.conn-max-lifetime=0s", "exporter.query_timeout=9"]));
    check(Case::new("").flags(&[USER, "exporter.conn-max-lifetime=0"]));
    let mut tuned = Case::new("").flags(&TUNED);
    tuned.sources.judges = Judges::default();
    let yaml = check(tuned);
    assert!(yaml.contains("  info_schema.tables:\n    enabled: true\n    databases: [\"shop\", \"a b\"]\n"), "{yaml}");
    assert!(yaml.contains("    min_time: 5s\n") && yaml.contains("    remove_prefix: \"\"\n"), "{yaml}");
    let yaml = check(Case::new("").flags(&[USER]).env("MYSQLD_EXPORTER_PASSWORD", "hunter2"));
    assert!(yaml.contains("    password_env: MYSQLD_EXPORTER_PASSWORD\n"), "{yaml}");
    let yaml =
        check(Case::new("[client]\nuser=u\npassword=hunter2\ntls=true\n[o]\nuser=o\n").flags(&["mysqld.address=db"]));
    assert!(yaml.contains("    # Write the password into this file; it is not repeated here.\n"), "{yaml}");
    assert!(yaml.contains("auth_modules:\n  client:\n    user: u\n") && yaml.contains("  o:\n    user: o\n"), "{yaml}");
    check(Case::new("").env("DATA_SOURCE_NAME", "u:hunter2@unix(/run/my.sock)/app"));
    let mut case = Case::new("").flags(&[USER, "web.systemd-socket"]);
    let addresses = ["localhost:9104", "unix:/run/goneaway/metrics.sock"];
    case.sources.flags = vec![Flag::new("--web.listen-address", "web.listen_addresses", addresses)];
    let yaml = check(case);
    let web =
        "web:\n  listen_addresses: [\"localhost:9104\", \"unix:/run/goneaway/metrics.sock\"]\n  systemd_socket: true\n";
    assert!(yaml.contains(web), "{yaml}");
}
