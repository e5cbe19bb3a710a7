//! The program as mysqld_exporter's users start it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::daemon::{ask, get};
use super::servers::{Kind, Server};

/// A working directory of its own, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn with(my_cnf: &str) -> Folder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("goneaway-started-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).expect("a temporary folder");
        fs::write(folder.join(".my.cnf"), my_cnf).expect("a temporary file");
        Folder(folder)
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(&self.0).args(arguments).stdin(Stdio::null());
        command
    }

    /// Starts the daemon and waits until it says where it listens.
    fn start(&self, program: &Path, flags: &[&str]) -> (Running, SocketAddr) {
        let mut command = self.command(program, &["--web.listen-address=127.0.0.1:0"]);
        let started = command.args(flags).stderr(Stdio::piped()).spawn();
        let mut running = Running(started.expect("the program was built for this test"));
        let mut lines = BufReader::new(running.0.stderr.take().expect("stderr is piped")).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.split_once("listening=")?.1.split(' ').next()?.parse().ok())
            .expect("it says where it listens");
        // Read on, so that it can write on; ends with the program.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        (running, address)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(program(), arguments).output().expect("the program was built for this test")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_goneaway"))
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("messages are text")
}

/// Ended with the test, whatever its end.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

const ACCOUNT: &str = "[client]\nuser = exporter\npassword = \"hunter2 #$HOME\"\nhost = 127.0.0.1\nport = 9\n";

/// Called by the incumbent's name and with nothing but a file, it serves one server's series without a label.
#[tokio::test]
async fn called_mysqld_exporter_it_serves_one_server_without_a_label() {
    let folder = Folder::with(ACCOUNT);
    let name = folder.0.join("mysqld_exporter");
    std::os::unix::fs::symlink(program(), &name).expect("a link");
    let (_running, address) = folder.start(&name, &["--collect.global_status"]);
    let answer = get(address, "/metrics", "").await;
    assert!(answer.text().lines().any(|line| line == "mysql_up 0"), "{}", answer.text());
    assert!(!answer.text().contains("target=\""), "{}", answer.text());
}

/// mysqld_exporter's manual has people create its account with MAX_USER_CONNECTIONS 3.
#[tokio::test]
async fn three_connections_are_enough_for_it() {
    for kind in Kind::ALL {
        let Some(server) = Server::private(kind, &[]).await else { continue };
        server.sql("CREATE USER exporter@'%' IDENTIFIED BY 'a#$b' WITH MAX_USER_CONNECTIONS 3").await;
        let folder = Folder::with("[client]\nuser=exporter\npassword=a#$b\nhost=127.0.0.1\n");
        let (_running, address) = folder.start(program(), &[&format!("--mysqld.address=localhost:{}", server.port)]);
        let end = Instant::now() + Duration::from_secs(20);
        let is_whole = |text: &str| {
            ["mysql_up 1", "mysql_exporter_collector_success{collector=\"collect.global_status\"} 1"]
                .iter()
                .all(|wanted| text.lines().any(|line| line == *wanted))
        };
        let seen = loop {
            let answer = get(address, "/metrics", "").await;
            if is_whole(answer.text()) {
                break answer;
            }
            assert!(Instant::now() < end, "{}: not complete: {}", server.version, answer.text());
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let refused = |line: &&str| line.contains("user_limit") && !line.ends_with(" 0");
        assert_eq!(seen.text().lines().filter(|line| !line.starts_with('#')).find(refused), None, "{}", server.version);
        assert!(seen.text().contains("\nmysql_global_status_uptime "), "{}", server.version);
    }
}

#[test]
fn the_working_directorys_file_is_found_and_shown_with_its_lines() {
    let folder = Folder::with(ACCOUNT);
    let output = folder.run(&["config", "show", "--tls.insecure-skip-verify"]);
    let shown = text(&output.stdout);
    for line in [
        "  listen_addresses: [\":9104\"]  # default",
        "    address: \"127.0.0.1:9\"  # .my.cnf:4, [client] host",
        "    user: exporter  # .my.cnf:2, [client] user",
        "    password: \"******\"  # .my.cnf:3, [client] password",
        "      mode: REQUIRED  # --tls.insecure-skip-verify",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
    }
}

#[test]
fn a_configuration_file_beside_the_flags_is_refused_with_the_way_out() {
    let output = Folder::with(ACCOUNT).run(&["--config.file", "x.yaml", "--mysqld.address", "db:1", "config", "check"]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        text(&output.stderr),
        "error: the configuration has 1 mistake\n  --config.file: given beside `--mysqld.address`: mysqld_exporter's \
         flags are a whole configuration, and no file is read beside them; leave one of them out, or have the flags \
         written as a file by `goneaway config from-mysqld-exporter FLAGS…`\n"
    );
}

#[test]
fn the_flags_are_written_as_a_file_that_is_good() {
    let folder = Folder::with(ACCOUNT);
    let flags = ["--exporter.max_open_connections=4", "--no-collect.global_variables", "--log.level", "debug"];
    let output = folder.run(&[&["config", "from-mysqld-exporter"], flags.as_slice()].concat());
    let yaml = text(&output.stdout);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{yaml}");
    assert!(!yaml.contains("hunter2"), "{yaml}");
    fs::write(folder.0.join("password"), "hunter2").expect("a temporary file");
    fs::write(folder.0.join("exporter.yaml"), yaml.replace("/etc/goneaway/password", "password")).expect("the same");
    let output = folder.run(&["config", "check"]);
    assert_eq!(text(&output.stdout), "exporter.yaml: good, 1 target\n", "{}", text(&output.stderr));
    let shown = folder.run(&["config", "show"]);
    assert!(text(&shown.stdout).contains("  global_variables: false  # exporter.yaml:"), "{}", text(&shown.stdout));
}

/// What is printed for each flag that tunes a collector is what the flag says.
#[test]
fn the_collectors_own_flags_are_written_too() {
    let folder = Folder::with(ACCOUNT);
    let flags = [
        "--collect.info_schema.tables",
        "--collect.info_schema.tables.databases=shop,attic",
        "--collect.perf_schema.eventsstatements.exclude_schemas=a",
        "--collect.perf_schema.eventsstatements.exclude_schemas=b,c",
        "--collect.perf_schema.eventsstatements.timelimit=3600",
        "--no-collect.info_schema.processlist.processes_by_host",
    ];
    let output = folder.run(&[&["config", "from-mysqld-exporter"], flags.as_slice()].concat());
    let yaml = text(&output.stdout);
    let (_, collectors) = yaml.split_once("collectors:\n").unwrap_or_else(|| panic!("{}", text(&output.stderr)));
    let expect = "  info_schema.processlist:
    enabled: false
    processes_by_host: false
  info_schema.tables:
    enabled: true
    databases: [\"shop\", \"attic\"]
  perf_schema.eventsstatements:
    enabled: false
    timelimit: 1h
    exclude_schemas: [\"a\", \"b,c\"]
targets:
";
    assert!(collectors.starts_with(expect), "{yaml}");
    // The same flags count beside a file, and say where they come from.
    fs::write(folder.0.join("exporter.yaml"), "targets: {a: {address: db}}\n").expect("a temporary file");
    let shown = folder.run(&[&["config", "show"], flags.as_slice()].concat());
    let line = "    databases: [\"shop\", \"attic\"]  # --collect.info_schema.tables.databases\n";
    assert!(text(&shown.stdout).contains(line), "{}", text(&shown.stdout));
}

#[test]
fn the_help_has_a_section_for_the_flags() {
    let output = Folder::with("").run(&["--help"]);
    let help = text(&output.stdout);
    let (_, section) = help.split_once("Flags of mysqld_exporter").expect("a section of its own");
    for flag in ["--mysqld.address", "--collect.heartbeat.table", "--exporter.max-open-conns", "--timeout-offset"] {
        assert!(section.contains(flag), "{flag}");
    }
    assert!(!text(&Folder::with("").run(&["-h"]).stdout).contains("--mysqld.address"));
}

#[tokio::test]
async fn a_reload_reads_my_cnf_anew() {
    let Some(server) = Server::private(Kind::MariadbStable, &[]).await else { return };
    let folder = Folder::with("[client]\nuser=goneaway\npassword=wrong\n");
    let flag = format!("--mysqld.address=127.0.0.1:{}", server.port);
    let (_running, address) = folder.start(program(), &[&flag]);
    let until = async |what: &str| {
        let end = Instant::now() + Duration::from_secs(10);
        while !get(address, "/metrics", "").await.text().contains(what) {
            assert!(Instant::now() < end, "not in time: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    until("mysql_conn_probe_failures_total{phase=\"auth\",reason=\"access_denied\"} 1\n").await;
    fs::write(folder.0.join(".my.cnf"), "[client]\nuser=goneaway\npassword=goneaway\n").expect("ours");
    let stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
    let answer = ask(stream, "POST", "/-/reload", "Content-Length: 0\r\n", "1.1").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().starts_with("reloaded: 0 added, 1 altered, 0 removed"), "{}", answer.text());
    until("\nmysql_up 1\n").await;
}
