//! Whole configurations: which layer counts, and that nothing on the way changes a text.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::flags::Flag;
use super::layer::Judges;
use super::load::{Loaded, Sources, load};
use super::mistakes::Mistakes;
use super::shape::{LogLevel, TlsMode, TlsVersion};
use super::show::show;

/// Collectors that the environment can spell.
fn known() -> Vec<&'static str> {
    vec!["global_status", "info_schema.tables", "perf_schema.eventsstatements", "a.b", "a_b"]
}

/// A folder with an `exporter.yaml`, gone afterwards.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn with(yaml: &str) -> Folder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("goneaway-load-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).expect("a temporary folder");
        let folder = Folder(folder);
        folder.write("exporter.yaml", yaml);
        folder
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).expect("a temporary file");
    }

    pub(super) fn load(&self, env: &[(&str, &str)], flags: Vec<Flag>) -> Result<Loaded, String> {
        let env = env.iter().map(|(name, text)| (OsString::from(name), OsString::from(text))).collect();
        let judges = Judges { collectors: known, ..Judges::default() };
        let sources = Sources { file: Some(self.0.join("exporter.yaml")), env, flags, judges, ..Sources::default() };
        let folder = format!("{}/", self.0.display());
        load(&sources).map_err(|mistakes| mistakes.to_string().replace(&folder, ""))
    }

    fn good(&self, env: &[(&str, &str)]) -> Loaded {
        self.load(env, Vec::new()).unwrap_or_else(|mistakes| panic!("{mistakes}"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

pub(super) fn good(yaml: &str, env: &[(&str, &str)]) -> Loaded {
    Folder::with(yaml).good(env)
}

pub(super) fn wrong(yaml: &str, env: &[(&str, &str)]) -> String {
    Folder::with(yaml).load(env, Vec::new()).map(|loaded| loaded.config).expect_err(yaml)
}

pub(super) const ORDERS: &str = "targets:\n  orders:\n    address: db:3306\n";

#[test]
fn what_nobody_says_is_the_default_of_the_table() {
    let config = good(ORDERS, &[]).config;
    assert_eq!(config.web.listen_addresses, [":10306"]);
    assert_eq!(config.web.telemetry_path, "/metrics");
    let orders = &config.targets["orders"];
    assert_eq!((orders.address.as_str(), orders.user.as_str()), ("db:3306", "goneaway"));
    assert_eq!((orders.password.is_empty(), &orders.database), (true, &None));
    assert_eq!([orders.every, orders.timeout, orders.connect_timeout].map(|d| d.as_secs()), [15, 5, 3]);
    assert_eq!((orders.required, orders.connections, orders.cleartext), (true, 8, false));
    assert_eq!((orders.tls.mode, orders.tls.min_version), (TlsMode::Preferred, TlsVersion::Tls12));
    assert_eq!((&orders.tls.ca, &orders.tls.server_name), (&None, &None));
}

#[test]
fn flags_count_more_than_the_environment_and_that_more_than_the_file() {
    let folder = Folder::with(&format!("log: {{level: error, format: json}}\nweb: {{telemetry_path: /m}}\n{ORDERS}"));
    let flags = vec![Flag::new("--log.level", "log.level", ["warn", "debug"])];
    let loaded = folder.load(&[("GONEAWAY_LOG__LEVEL", "info"), ("GONEAWAY_WEB__TELEMETRY_PATH", "/e")], flags);
    let Loaded { config, origins, .. } = loaded.expect("good");
    assert_eq!((config.log.level, config.web.telemetry_path.as_str()), (LogLevel::Debug, "/e"));
    let place = |path: &str| origins.of(path).map(|origin| origin.place.brief().rsplit('/').next().unwrap().to_owned());
    assert_eq!(place("log.level").as_deref(), Some("--log.level"));
    assert_eq!(place("log.format").as_deref(), Some("exporter.yaml:1"));
    assert_eq!(place("web.telemetry_path").as_deref(), Some("GONEAWAY_WEB__TELEMETRY_PATH"));
    assert_eq!(place("web.listen_addresses").as_deref(), Some("default"));
    assert_eq!(place("targets.orders").as_deref(), Some("exporter.yaml:4"));
    assert_eq!(place("targets.orders.database"), None);
}

#[test]
fn a_path_starts_from_the_folder_of_its_file_and_a_typed_one_from_where_it_is_typed() {
    let folder = Folder::with(&format!("web: {{config_file: web.yml}}\n{ORDERS}"));
    let config = folder.good(&[]).config;
    assert_eq!(config.web.config_file, Some(folder.0.join("web.yml")));
    let flags = vec![Flag::new("--web.config.file", "web.config_file", ["web.yml"])];
    let loaded = folder.load(&[], flags).expect("good");
    assert_eq!(loaded.config.web.config_file, Some(PathBuf::from("web.yml")));
    assert!(show(&loaded).contains("  config_file: web.yml  # --web.config.file\n"), "{}", show(&loaded));
}

#[test]
fn where_to_listen_is_one_address_or_a_list_and_flags_replace_it() {
    let check = |web: &str, env: &[(&str, &str)], flags: &[&str], expect: &[&str]| {
        let folder = Folder::with(&format!("web: {web}\n{ORDERS}"));
        let flags = vec![Flag::new("--web.listen-address", "web.listen_addresses", flags.iter().copied())];
        let config = folder.load(env, flags).unwrap_or_else(|mistakes| panic!("{mistakes}")).config;
        assert_eq!(config.web.listen_addresses, expect, "{web} {env:?}");
    };
    let (unix, variable) = ("unix:/run/goneaway/metrics.sock", "GONEAWAY_WEB__LISTEN_ADDRESSES");
    check("{listen_addresses: localhost:80}", &[], &[], &["localhost:80"]);
    check("{listen_addresses: ':1, unix:/run/goneaway/metrics.sock'}", &[], &[], &[":1", unix]);
    check("{listen_addresses: [':1', 'unix:/run/a, b']}", &[], &[], &[":1", "unix:/run/a, b"]);
    check("{listen_addresses: [':1', ':2']}", &[(variable, ":3,unix:/run/goneaway/metrics.sock")], &[], &[":3", unix]);
    check("{listen_addresses: ':1'}", &[(variable, ":2")], &["localhost:3", unix], &["localhost:3", unix]);
}

#[test]
fn the_flags_name_of_a_setting_is_answered_with_the_settings() {
    assert!(
        wrong(&format!("web: {{listen_address: ':1'}}\n{ORDERS}"), &[]).contains("did you mean `listen_addresses`?")
    );
    let says = wrong(ORDERS, &[("GONEAWAY_WEB__LISTEN_ADDRESS", ":1")]);
    assert!(says.contains("did you mean `LISTEN_ADDRESSES`?"), "{says}");
}

#[test]
fn a_target_counts_more_than_defaults_of_any_layer() {
    let yaml = "defaults: {every: 20s, user: shared}\ntargets:\n  a: {address: a, every: 30s}\n  b: {address: b}\n";
    let loaded = good(yaml, &[("GONEAWAY_DEFAULTS__EVERY", "40s")]);
    let every = |name: &str| loaded.config.targets[name].every.as_secs();
    assert_eq!((every("a"), every("b")), (30, 40));
    assert_eq!(loaded.config.targets["a"].user, "shared");
    let origin = loaded.origins.of("targets.b.user").expect("it has one");
    assert_eq!((origin.setting.as_str(), origin.is_inherited()), ("defaults.user", true));
}

#[test]
fn the_environment_reaches_targets_whatever_their_name() {
    let yaml = "targets:\n  Orders-EU.1: {address: a}\n  a__b: {address: a}\n";
    let env = [
        ("GONEAWAY_TARGETS__ORDERS_EU_1__USER", "one"),
        ("goneaway_targets__a__b__tls__mode", "required"),
        ("GONEAWAY_TARGETS__NEW__ADDRESS", "new:3307"),
        ("GONEAWAY_WEB__LISTEN_ADDRESSES", ":1, [::1]:2"),
        ("GONEAWAY_COLLECTORS__GLOBAL_STATUS", "false"),
        ("GONEAWAY_TEST_SERVERS", "ours"),
        ("GONEAWAY_CACHE", "ours"),
        ("GONEAWAY_SERVICE_HOST", "10.0.0.1"),
        ("GONEAWAY_PORT_10306_TCP_ADDR", "10.0.0.1"),
        ("GONEAWAYS_LOG", "not ours"),
        ("PATH", "not ours"),
    ];
    let config = good(yaml, &env).config;
    assert_eq!(config.targets.keys().collect::<Vec<_>>(), ["Orders-EU.1", "a__b", "new"]);
    assert_eq!(config.targets["Orders-EU.1"].user, "one");
    assert_eq!(config.targets["a__b"].tls.mode, TlsMode::Required);
    assert_eq!(config.targets["new"].address, "new:3307");
    assert_eq!(config.web.listen_addresses, [":1", "[::1]:2"]);
    assert!(!config.collectors["global_status"].enabled);
}

#[test]
fn a_daemon_needs_no_file_when_the_environment_names_a_target() {
    let search = vec![PathBuf::from("no/such/exporter.yaml")];
    let env = vec![("GONEAWAY_TARGETS__A__ADDRESS".into(), "db".into())];
    let loaded = load(&Sources { search: search.clone(), env, ..Sources::default() }).expect("good");
    assert_eq!((loaded.config.targets.len(), loaded.file), (1, None));
    let mistakes = load(&Sources { search, ..Sources::default() }).expect_err("nothing to watch").to_string();
    assert_eq!(
        mistakes,
        "error: no configuration: there is no no/such/exporter.yaml; name one by `--config.file`, or a server by \
             `GONEAWAY_TARGETS__NAME__ADDRESS`"
    );
}

/// Passwords that one reader or another is known to mangle, and every printable character alone and in the middle.
fn passwords() -> Vec<String> {
    let mut all: Vec<String> = [
        "012345",
        "true",
        "null",
        "~",
        "1e3",
        "0x1f",
        "[secret]",
        "{a: b}",
        "  two  ",
        "a # b",
        "#",
        "a: b",
        "- a",
        "'",
        "\"",
        "''",
        "\\",
        "\\n",
        "$HOME",
        "${HOME}",
        "%d",
        "a,b",
        "*",
        "&a",
        "!a",
        "|",
        ">",
        "@",
        "`",
        "pä$$wörd",
        "密码",
        "🔑",
        "a\tb",
        "no",
        "=",
        "==",
        "a=b",
        "******",
        "\u{a0}",
        "1_000",
        ".inf",
        "<<",
    ]
    .map(str::to_owned)
    .to_vec();
    for c in ' '..='~' {
        all.extend([c.to_string(), format!("a{c}b")]);
    }
    all.push((' '..='~').collect());
    all
}

#[test]
fn any_password_survives_from_everywhere() {
    let folder = Folder::with(ORDERS);
    let said = |loaded: &Loaded| loaded.config.targets["orders"].password.expose().to_owned();
    for password in passwords() {
        let single = password.replace('\'', "''");
        folder.write("exporter.yaml", &format!("{ORDERS}    password: '{single}'\n"));
        assert_eq!(said(&folder.good(&[])), password, "single quotes");
        let double = password.replace('\\', "\\\\").replace('"', "\\\"");
        folder.write("exporter.yaml", &format!("{ORDERS}    password: \"{double}\"\n"));
        let loaded = folder.good(&[]);
        assert_eq!(said(&loaded), password, "double quotes");
        assert!(!show(&loaded).contains(&password) || password.len() < 5 || password == "******", "{password}");

        folder.write("exporter.yaml", ORDERS);
        assert_eq!(said(&folder.good(&[("GONEAWAY_TARGETS__ORDERS__PASSWORD", &password)])), password, "environment");
        let env = [("GONEAWAY_TARGETS__ORDERS__PASSWORD_ENV", "X"), ("X", &password)];
        assert_eq!(said(&folder.good(&env)), password, "reference");
        for end in ["", "\n", "\r\n"] {
            folder.write("secret", &format!("{password}{end}"));
            let env = [("GONEAWAY_TARGETS__ORDERS__PASSWORD_FILE", "secret")];
            assert_eq!(said(&folder.good(&env)), password, "file");
        }
    }
    folder.write("secret", "two\n\n");
    assert_eq!(said(&folder.good(&[("GONEAWAY_TARGETS__ORDERS__PASSWORD_FILE", "secret")])), "two\n");
}

#[test]
fn a_plain_scalar_is_a_password_as_it_stands() {
    for password in ["012345", "true", "null", "1e3", "0x1f", "no", "1.50", "a#b", "pä$$", ".inf", "2020-01-01", "a'b"]
    {
        let loaded = good(&format!("{ORDERS}    password: {password}\n"), &[]);
        assert_eq!(loaded.config.targets["orders"].password.expose(), password);
    }
    for nothing in ["", "~", "# to be said"] {
        let loaded = good(&format!("defaults: {{password: x}}\n{ORDERS}    password: {nothing}\n"), &[]);
        assert_eq!(loaded.config.targets["orders"].password.expose(), "x", "{nothing}");
    }
    let loaded = good(&format!("defaults: {{password: x}}\n{ORDERS}    password: ''\n"), &[]);
    assert_eq!(loaded.config.targets["orders"].password.expose(), "");
}

#[test]
fn a_password_replaces_one_of_another_kind_below_it() {
    let password = |loaded: Loaded| loaded.config.targets["orders"].password.expose().to_owned();
    let yaml = format!("{ORDERS}    password_file: /no/such/file\n");
    assert_eq!(password(good(&yaml, &[("GONEAWAY_TARGETS__ORDERS__PASSWORD", "env")])), "env");
    let yaml = format!("defaults: {{password_env: NOT_SET}}\n{ORDERS}    password: file\n");
    assert_eq!(password(good(&yaml, &[])), "file");
    let yaml = format!("defaults: {{password: shared}}\n{ORDERS}    password_env: GONEAWAY_ORDERS\n");
    assert_eq!(password(good(&yaml, &[("GONEAWAY_ORDERS", "own")])), "own");
    let yaml = format!("{ORDERS}    password: file\n");
    let shared = [("GONEAWAY_DEFAULTS__PASSWORD", "shared")];
    assert_eq!(password(good(&yaml, &shared)), "file");
}

#[test]
fn a_default_deadline_gives_way_and_a_said_one_does_not() {
    let target = good(&format!("{ORDERS}    every: 2s\n"), &[]).config.targets["orders"].clone();
    assert_eq!((target.timeout, target.connect_timeout), (Duration::from_secs(2), Duration::from_secs(2)));
    let says = wrong(&format!("{ORDERS}    every: 2s\n    timeout: 5s\n"), &[]);
    assert!(
        says.contains("exporter.yaml:5:14: targets.orders.timeout: `5s` is longer than `every`, which is 2s"),
        "{says}"
    );
    let says = wrong(&format!("defaults: {{timeout: 5s}}\n{ORDERS}    every: 2s\n"), &[]);
    assert!(
        says.contains("exporter.yaml:5:12: targets.orders.every: `2s` is shorter than `timeout`, which is 5s"),
        "{says}"
    );
    let says = wrong(ORDERS, &[("GONEAWAY_TARGETS__ORDERS__CONNECT_TIMEOUT", "6s")]);
    let expect =
        "GONEAWAY_TARGETS__ORDERS__CONNECT_TIMEOUT: targets.orders.connect_timeout: `6s` is longer than `timeout`";
    assert!(says.contains(expect), "{says}");
}

#[test]
fn a_target_may_switch_off_the_tls_it_inherits() {
    let folder = Folder::with(
        "defaults: {tls: {mode: VERIFY_CA, ca: ca.pem}}\ntargets: {a: {address: /s, tls: {mode: disabled}}}\n",
    );
    folder.write("ca.pem", "");
    let loaded = folder.good(&[]);
    let tls = &loaded.config.targets["a"].tls;
    assert_eq!((tls.mode, tls.ca.as_deref()), (TlsMode::Disabled, Some(folder.0.join("ca.pem").as_path())));
    assert_eq!(loaded.warnings, [""; 0]);
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    let folder = Folder::with(&format!("{ORDERS}    password: ${{ORDERS_PASSWORD}}\n    tls: {{ca: ca.pem}}\n"));
    folder.write("ca.pem", "");
    let loaded = folder.good(&[]);
    assert_eq!(loaded.config.targets["orders"].password.expose(), "${ORDERS_PASSWORD}");
    let warnings = loaded.warnings.join("\n");
    assert_eq!(loaded.warnings.len(), 2, "{warnings}");
    assert!(warnings.contains("exporter.yaml:5:15: targets.orders.tls.ca: not used"), "{warnings}");
    assert!(warnings.contains("exporter.yaml:4:15: targets.orders.password: looks like a reference"), "{warnings}");
    assert!(!warnings.contains("ORDERS_PASSWORD"), "{warnings}");
}

#[test]
fn what_is_shown_loads_again_as_the_same() {
    let yaml = "
web: {listen_addresses: [':1', '[::1]:2']}
collectors: {global_status: false}
targets:
  true: {address: '[::1]:3306', user: 'a \"b\\', database: '012', every: 1m30s, timeout: 500ms, connect_timeout: 400ms}
  a.b: {address: /run/s, required: false, tls: {mode: DISABLED, server_name: x}}
";
    let first = good(yaml, &[("GONEAWAY_TARGETS__A_B__CONNECTIONS", "9")]);
    let text = show(&first);
    let again = Folder::with(&text).good(&[]);
    assert_eq!(first.config, again.config, "{text}");
    assert!(text.contains("    connections: 9  # GONEAWAY_TARGETS__A_B__CONNECTIONS\n"), "{text}");
}

#[test]
fn rooms_below_judge_in_the_same_list() {
    let folder =
        Folder::with("collectors: {colour: true}\nprobe: {allow: [x]}\ntargets: {a: {address: bad, evry: 1s}}\n");
    let judges = Judges {
        address: |text| Err(format!("`{text}` is no address")),
        collector: |_| Err("no collector".to_owned()),
        pattern: |text| Err(format!("`{text}` is no pattern")),
        ..Judges::default()
    };
    let sources = Sources { file: Some(folder.0.join("exporter.yaml")), judges, ..Sources::default() };
    let mistakes = load(&sources).expect_err("four mistakes");
    let all: Vec<String> = mistakes.iter().map(|mistake| format!("{}: {}", mistake.path, mistake.text)).collect();
    assert_eq!(
        all,
        [
            "collectors.colour: no collector",
            "probe.allow: `x` is no pattern",
            "targets.a.address: `bad` is no address",
            "targets.a.evry: unknown setting; did you mean `every`?",
        ]
    );
}

#[test]
fn what_is_judged_later_reports_into_the_same_list() {
    let loaded = good(ORDERS, &[]);
    let mut mistakes = Mistakes::default();
    mistakes.add(loaded.origins.of("targets.orders.address"), "targets.orders.address", "cannot be");
    mistakes.add(loaded.origins.of("targets.orders.user"), "targets.orders.user", "is a default");
    let says = mistakes.to_string();
    assert!(
        says.starts_with("error: the configuration has 2 mistakes\n  targets.orders.user: is a default\n"),
        "{says}"
    );
    assert!(says.ends_with("exporter.yaml:3:14: targets.orders.address: cannot be"), "{says}");
}

#[test]
fn what_is_shown_names_every_origin_and_no_secret() {
    let folder = Folder::with(
        "defaults:\n  every: 20s\ntargets:\n  orders:\n    address: db:3306\n    password_file: secret\n    tls: {server_name: db}\nprobe: {allow: [\"*.db:3306\"]}\nauth_modules: {other: {password: hunter2, tls: {mode: REQUIRED}}}\n",
    );
    folder.write("secret", "hunter2");
    let flags = vec![Flag::new("--log.level", "log.level", ["debug"])];
    let loaded = folder.load(&[("GONEAWAY_TARGETS__ORDERS__USER", "monitor")], flags).expect("good");
    let text = show(&loaded).replace(&format!("{}/", folder.0.display()), "");
    let expect = r#"# The configuration in effect. A comment says where its value comes from.
web:
  listen_addresses: [":10306"]  # default
  systemd_socket: false  # default
  telemetry_path: /metrics  # default
  lifecycle: true  # default
log:
  level: debug  # --log.level
  format: logfmt  # default
events:
  keep: 1000  # default
probe:
  allow: ["*.db:3306"]  # exporter.yaml:8
  limit: 16  # default
  timeout: 10s  # default
  timeout_offset: 250ms  # default
auth_modules:
  other:
    user: goneaway  # default
    password: "******"  # exporter.yaml:9
    cleartext: false  # default
    tls:
      mode: REQUIRED  # exporter.yaml:9
      min_version: "1.2"  # default
targets:
  orders:
    address: "db:3306"  # exporter.yaml:5
    user: monitor  # GONEAWAY_TARGETS__ORDERS__USER
    password: "******"  # exporter.yaml:6, targets.orders.password_file
    every: 20s  # exporter.yaml:2, defaults.every
    timeout: 5s  # default
    connect_timeout: 3s  # default
    second_door: auto  # default
    required: true  # default
    connections: 8  # default
    max_series: 100000  # default
    cleartext: false  # default
    tls:
      mode: PREFERRED  # default
      server_name: db  # exporter.yaml:7
      min_version: "1.2"  # default
    backoff:
      floor: 250ms  # default
      first: 1s  # default
      cap: 15s  # default
    circuit_interval: 5m  # default
    down_after: 1m  # default
    give_up_after: 5m  # default
    ladder:
      enabled: true  # default
      cap: 1h  # default
      ages: [50s, 1m50s, 3m45s, 4m50s, 5m40s, 6m, 9m50s, 14m50s, 29m50s, 59m50s]  # default
      precision: 10s  # default
      stagger: 12s  # default
      recheck_every: 6h  # default
    pools:
      default:
        size: 2  # default
        max_overflow: 1  # default
        timeout: 30s  # default
        recycle: 4m40s  # default
        pre_ping: true  # default
        reset_on_return: rollback  # default
        connect_timeout: 5s  # default
        read_timeout: 5s  # default
        write_timeout: 5s  # default
        exercise:
          enabled: true  # default
          statement: "SELECT 1"  # default
          busy: 1s  # default
          rests: [30s, 4m]  # default
"#;
    assert_eq!(text, expect);
}

#[test]
fn no_part_of_a_password_is_ever_in_a_message() {
    let folder = Folder::with("");
    for password in
        ["{hunter2: &hunter b}", "[hunter2, *hunter]", "hunter2: hunter3", "!hunter2 x", "\"\\hunter2\"", "@hunter2"]
    {
        folder.write("exporter.yaml", &format!("{ORDERS}    password: {password}\n"));
        let says = folder.load(&[], Vec::new()).map(|loaded| loaded.config).expect_err(password);
        assert!(!says.contains("hunter"), "{says}");
    }
}

#[test]
fn a_variable_without_a_target_is_told_what_to_name() {
    for variable in [
        "GONEAWAY_TARGETS",
        "GONEAWAY_TARGETS_",
        "GONEAWAY_TARGETS__",
        "GONEAWAY_TARGETS____",
        "GONEAWAY_TARGETS____ADDRESS",
    ] {
        let says = wrong(ORDERS, &[(variable, "x")]);
        let told = "names no target; name it and the setting, such as `GONEAWAY_TARGETS__ORDERS__ADDRESS`";
        assert!(says.contains(variable) && says.contains(told), "{says}");
    }
}

#[cfg(unix)]
#[test]
fn a_file_without_an_end_is_not_read_for_ever() {
    let says = wrong(&format!("{ORDERS}    password_file: /dev/zero\n"), &[]);
    assert!(says.contains("cannot read /dev/zero: it is larger than 64 KiB; is it the right file?"), "{says}");
    let sources = Sources { file: Some(PathBuf::from("/dev/zero")), ..Sources::default() };
    let says = load(&sources).expect_err("it has no end").to_string();
    assert_eq!(says, "error: cannot read /dev/zero: it is larger than 16 MiB; is it the right file?");
}

#[test]
fn a_password_may_fill_its_file_to_the_limit() {
    let folder = Folder::with(&format!("{ORDERS}    password_file: secret\n"));
    folder.write("secret", &"x".repeat(64 << 10));
    assert_eq!(folder.good(&[]).config.targets["orders"].password.expose().len(), 64 << 10);
    folder.write("secret", &"x".repeat((64 << 10) + 1));
    assert!(folder.load(&[], Vec::new()).is_err());
}

#[test]
fn pools_come_from_the_file_the_environment_and_the_defaults_of_all_targets() {
    let folder = Folder::with(
        "defaults:\n  connections: 30\n  pools:\n    shared: {size: 3}\ntargets:\n  a:\n    address: db\n    pools:\n      to.day: {recycle: never}\n  b:\n    address: db\n",
    );
    let env = [
        ("GONEAWAY_TARGETS__A__POOLS__SHARED__SIZE", "4"),
        ("GONEAWAY_TARGETS__B__POOLS__NEW__EXERCISE__RESTS", "2s, 1m"),
        ("STATE_DIRECTORY", "/var/lib/one:/var/lib/two"),
    ];
    let config = folder.load(&env, Vec::new()).expect("good").config;
    let names = |target: &str| config.targets[target].pools.keys().map(String::as_str).collect::<Vec<_>>();
    assert_eq!((names("a"), names("b")), (vec!["shared", "to.day"], vec!["new", "shared"]));
    let (a, b) = (&config.targets["a"].pools, &config.targets["b"].pools);
    assert_eq!((a["shared"].size, b["shared"].size, a["to.day"].size), (4, 3, 2));
    assert_eq!((a["to.day"].recycle, a["shared"].recycle), (None, Some(Duration::from_secs(280))));
    assert_eq!(b["new"].exercise.rests, [2, 60].map(Duration::from_secs));
    assert_eq!(config.state_directory.as_deref(), Some(Path::new("/var/lib/one")));
}

#[test]
fn the_control_socket_is_where_it_is_said_or_in_the_folder_of_the_service_or_of_the_user() {
    let control = |said: &str, env: &[(&str, &str)]| {
        let folder = Folder::with(&format!("{said}{ORDERS}"));
        let loaded = folder.load(env, Vec::new()).expect("good");
        let shown = show(&loaded).lines().find(|line| line.starts_with("control:")).map(str::to_owned);
        (loaded.config.control, shown)
    };
    let at = |path: &str| Some(std::path::PathBuf::from(path));
    let (service, user) = (("RUNTIME_DIRECTORY", "/run/goneaway:/run/b"), ("XDG_RUNTIME_DIR", "/run/user/7"));
    assert_eq!(control("", &[]), (None, None));
    let shown = Some("control: /run/goneaway/goneaway.sock  # RUNTIME_DIRECTORY".to_owned());
    assert_eq!(control("", &[user, service]), (at("/run/goneaway/goneaway.sock"), shown));
    assert_eq!(control("", &[user]).0, at("/run/user/7/goneaway.sock"));
    assert_eq!(control("", &[("XDG_RUNTIME_DIR", "run")]).0, None);
    assert_eq!(control("control: /run/g.sock\n", &[service]).0, at("/run/g.sock"));
    let (off, shown) = control("control: off\n", &[service]);
    assert_eq!((off, shown.map(|line| line.starts_with("control: \"off\""))), (None, Some(true)));
    let env = ("GONEAWAY_CONTROL", "/run/e.sock");
    assert_eq!(control("control: /run/g.sock\n", &[env]).0, at("/run/e.sock"));
}

#[test]
fn a_target_that_names_no_pool_has_the_usual_one_and_a_pool_may_be_named_only() {
    let folder = Folder::with(
        "targets:\n  a: {address: db}\n  b:\n    address: db\n    pools:\n      mine:\nstate_directory: state\n",
    );
    let config = folder.load(&[], Vec::new()).expect("good").config;
    let pools = |target: &str| config.targets[target].pools.clone();
    assert_eq!(pools("a").keys().collect::<Vec<_>>(), ["default"]);
    assert_eq!(pools("b").keys().collect::<Vec<_>>(), ["mine"]);
    assert_eq!(pools("a")["default"], pools("b")["mine"]);
    assert_eq!(config.state_directory, Some(folder.0.join("state")));
}

#[test]
fn a_rest_that_is_never_tried_is_warned_of() {
    let folder = Folder::with("targets:\n  a:\n    address: db\n    pools:\n      default: {recycle: 4m}\n");
    let warnings = folder.load(&[], Vec::new()).expect("good").warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("rests `4m` is replaced untried, as `recycle` is 4m"), "{warnings:?}");
}
