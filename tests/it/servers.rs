//! Real servers for the tests: MariaDB and MySQL on loopback ports, as `scripts/fetch` brings them.
//!
//! [`shared`] for tests that leave the server as it is; [`Server::private`] for those that
//! freeze, fill, kill or configure one. Both give `None` where the program is missing (and the
//! test returns: a printed skip), but panic where `CI` is set.
//!
//! The helpers that run SQL connect once for each call, as root over the unix socket, and log
//! out. That moves counters such as `Connections`: by exactly one for each call.
//!
//! Servers run with `skip-name-resolve` (an account of 'localhost' is for the socket then); a
//! test about blocked hosts needs `skip-name-resolve=OFF` and an address other than 127.0.0.1.

// Each test file uses a part of this.
#![allow(dead_code)]

pub(crate) mod certificates;
pub(crate) mod process;
mod template;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Row, Value};
use tokio::sync::OnceCell;

pub(crate) use certificates::tls;

use super::network::Namespace;

/// The servers we promise to understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// MariaDB of the Debian release, 10.11 on Debian 12.
    MariadbStable,
    /// MariaDB of Debian's unstable suite, 11.8 or later.
    MariadbUnstable,
    /// MySQL of Debian's unstable suite, 9.7 or later.
    MysqlUnstable,
}

impl Kind {
    pub(crate) const ALL: [Kind; 3] = [Kind::MariadbStable, Kind::MariadbUnstable, Kind::MysqlUnstable];

    /// The group of `scripts/fetch`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::MariadbStable => "mariadb-stable",
            Kind::MariadbUnstable => "mariadb-unstable",
            Kind::MysqlUnstable => "mysql-unstable",
        }
    }

    pub(crate) fn is_mariadb(self) -> bool {
        self != Kind::MysqlUnstable
    }

    fn program(self) -> &'static str {
        match self {
            Kind::MariadbStable => "mariadbd-stable",
            Kind::MariadbUnstable => "mariadbd-unstable",
            Kind::MysqlUnstable => "mysqld-unstable",
        }
    }
}

/// The server of this kind that all tests share; started by the first that asks.
pub(crate) async fn shared(kind: Kind) -> Option<&'static Server> {
    static SHARED: [OnceCell<Result<Server, String>>; 3] = [const { OnceCell::const_new() }; 3];
    let installed = Installed::find(kind)?;
    // A failure is kept too: it would be the same for every test, a minute each.
    match SHARED[kind as usize].get_or_init(|| Server::start_new(&installed, &[], None, None)).await {
        Ok(server) => Some(server),
        Err(message) => panic!("{message}"),
    }
}

/// A running server. It is killed and its directory removed when dropped.
pub(crate) struct Server {
    pub(crate) kind: Kind,
    /// On 127.0.0.1, and on ::1 where the machine has it.
    pub(crate) port: u16,
    pub(crate) socket: PathBuf,
    /// What `SELECT VERSION()` says.
    pub(crate) version: String,
    directory: PathBuf,
    program: PathBuf,
    accounts: Vec<Account>,
    child: Mutex<Option<Child>>,
    /// Its network, where that is not the machine's.
    place: Option<Namespace>,
    // Beyond `max_connections` there is one more for root: our helpers take turns for it.
    observer: tokio::sync::Mutex<()>,
}

/// An account on '%'. Each may see what a monitor needs to see.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) plugin: String,
}

impl Server {
    /// A server for one test, with lines for its `[mysqld]` section, such as `max_connections=5`.
    pub(crate) async fn private(kind: Kind, options: &[&str]) -> Option<Server> {
        let installed = Installed::find(kind)?;
        match Server::start_new(&installed, options, None, None).await {
            Ok(server) => Some(server),
            Err(message) => panic!("{message}"),
        }
    }

    /// The same in a network of its own, on this address and port 3306.
    pub(crate) async fn placed(kind: Kind, options: &[&str], place: &Namespace, address: &str) -> Option<Server> {
        Server::placed_in(kind, options, place, address, None).await
    }

    /// The same, with these lines in the place of /etc/hosts.
    pub(crate) async fn placed_with_hosts(
        kind: Kind,
        options: &[&str],
        place: &Namespace,
        address: &str,
        hosts: &str,
    ) -> Option<Server> {
        Server::placed_in(kind, options, place, address, Some(hosts)).await
    }

    async fn placed_in(
        kind: Kind,
        options: &[&str],
        place: &Namespace,
        address: &str,
        hosts: Option<&str>,
    ) -> Option<Server> {
        let installed = Installed::find(kind)?;
        let bind = format!("bind-address={address}");
        let options = [&[bind.as_str(), "port=3306"], options].concat();
        match Server::start_new(&installed, &options, hosts, Some(place.clone())).await {
            Ok(server) => Some(server),
            Err(message) => panic!("{message}"),
        }
    }

    /// The same, for a server that reads these lines where others read /etc/hosts: it counts errors only of hosts
    /// that have a name.
    pub(crate) async fn private_with_hosts(kind: Kind, options: &[&str], hosts: &str) -> Option<Server> {
        let installed = Installed::find(kind)?;
        match Server::start_new(&installed, options, Some(hosts), None).await {
            Ok(server) => Some(server),
            Err(message) => panic!("{message}"),
        }
    }

    /// Its resolver is another from its next start on. It needs lines in the place of /etc/hosts.
    pub(crate) fn resolves_by(&self, lines: &str) {
        assert!(self.hosts().exists(), "it has a mount namespace");
        fs::write(self.directory.join("resolv.conf"), lines).expect("its directory is ours");
    }

    /// One account for each authentication plugin with passwords, all with a hairy password.
    ///
    /// Besides there are `goneaway`, `encrypted` (REQUIRE SSL) and `certified` (REQUIRE X509),
    /// by the server's default plugin, each with its name as its password.
    pub(crate) fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// The RSA key that sha2 passwords are sent under without TLS, where the server has one.
    pub(crate) fn public_key(&self) -> Option<PathBuf> {
        let path = self.data().join("public_key.pem");
        path.exists().then_some(path)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn hosts(&self) -> PathBuf {
        self.directory.join("hosts")
    }

    /// The server's error log, from its first start on.
    pub(crate) fn log(&self) -> String {
        let log = fs::read(self.directory.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Runs one statement as root.
    pub(crate) async fn sql(&self, statement: &str) {
        self.rows(statement).await;
    }

    /// A session of root's that stays, over the socket.
    pub(crate) async fn operator(&self) -> Conn {
        let options = OptsBuilder::default()
            .socket(self.socket.to_str())
            .user(Some("root"))
            .max_allowed_packet(Some(16 << 20))
            .wait_timeout(Some(600));
        Conn::new(options).await.expect("root may always")
    }

    /// Ends all connections of an account; says how many there were.
    pub(crate) async fn kill_all_of(&self, user: &str) -> usize {
        let _turn = self.observer.lock().await;
        let options = OptsBuilder::default()
            .socket(self.socket.to_str())
            .user(Some("root"))
            .max_allowed_packet(Some(16 << 20))
            .wait_timeout(Some(600));
        let mut conn = Conn::new(options).await.expect("root may always");
        let query = format!("SELECT id FROM information_schema.processlist WHERE user = '{user}'");
        let ids: Vec<u64> = conn.query(query).await.expect("a list");
        let mut killed = 0;
        for id in ids {
            // One may have ended by itself.
            killed += usize::from(conn.query_drop(format!("KILL {id}")).await.is_ok());
        }
        conn.disconnect().await.expect("in order");
        killed
    }

    /// The first value of the first row, as text. NULL is `NULL`.
    pub(crate) async fn query_one(&self, query: &str) -> String {
        let rows = self.rows(query).await;
        let row = rows.first().unwrap_or_else(|| panic!("no row from: {query}"));
        text(row, 0)
    }

    /// The first column of all rows, as text.
    pub(crate) async fn column(&self, query: &str) -> Vec<String> {
        self.rows(query).await.iter().map(|row| text(row, 0)).collect()
    }

    /// Adds lines to the server's configuration, for its next start.
    pub(crate) fn configure(&self, lines: &[String]) {
        let path = self.directory.join("my.cnf");
        let before = fs::read_to_string(&path).expect("it was started with it");
        fs::write(&path, format!("{before}{}\n", lines.join("\n"))).expect("our own directory");
    }

    /// A number of SHOW GLOBAL STATUS.
    pub(crate) async fn status(&self, name: &str) -> u64 {
        let query = format!("SHOW GLOBAL STATUS WHERE Variable_name = '{name}'");
        let rows = self.rows(&query).await;
        let row = rows.first().unwrap_or_else(|| panic!("no status variable {name}"));
        let value = text(row, 1);
        value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}"))
    }

    /// How many errors the server has raised since it started, whoever asked.
    pub(crate) async fn raised_errors(&self) -> u64 {
        if self.kind.is_mariadb() {
            // A query quoted in the log may have lines of its own; entries start with the year.
            let log = fs::read(self.directory.join("data/raised.log")).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let is_error = |line: &&str| line.starts_with("20") && line.contains(" ERROR ");
            return log.lines().filter(is_error).count() as u64;
        }
        let sum = "SELECT CAST(SUM(SUM_ERROR_RAISED) AS UNSIGNED)
            FROM performance_schema.events_errors_summary_global_by_error";
        self.query_one(sum).await.parse().expect("a sum of counters")
    }

    /// Takes every connection that an ordinary account can get; dropping what comes back frees them.
    pub(crate) async fn fill(&self) -> Vec<Conn> {
        let mut taken = Vec::new();
        loop {
            let options = OptsBuilder::default()
                .prefer_socket(false)
                .ip_or_hostname("127.0.0.1")
                .tcp_port(self.port)
                .user(Some("goneaway"))
                .pass(Some("goneaway"))
                .max_allowed_packet(Some(16 << 20))
                .wait_timeout(Some(600));
            match tokio::time::timeout(PATIENCE, Conn::new(options)).await {
                Ok(Ok(conn)) => taken.push(conn),
                Ok(Err(mysql_async::Error::Server(error))) if error.code == 1040 => return taken,
                other => panic!("{} refuses otherwise: {other:?}", self.kind.name()),
            }
        }
    }

    /// The id of the process. Panics when the server is down.
    pub(crate) fn pid(&self) -> u32 {
        self.child().as_ref().expect("the server is running").id()
    }

    /// Stops the process as a hung machine would: connections stay, nothing answers.
    pub(crate) async fn freeze(&self) {
        self.signal(libc::SIGSTOP);
        let pid = self.pid();
        until("every thread of the server has stopped", || {
            let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the server is running");
            tasks.flatten().all(|task| state(&task.path()) == Some('T'))
        })
        .await;
    }

    /// Lets a frozen server go on.
    pub(crate) fn thaw(&self) {
        self.signal(libc::SIGCONT);
    }

    /// Ends the server as a power failure would.
    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.child().take() {
            // SIGKILL ends a frozen process too.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Ends the server as its operator would, and waits for it.
    pub(crate) async fn shutdown(&self) {
        if self.child().is_none() {
            return;
        }
        self.thaw();
        self.signal(libc::SIGTERM);
        until("the server has shut down", || self.has_ended()).await;
        self.child().take();
    }

    /// Tells the server to shut down, and does not wait.
    pub(crate) fn begin_shutdown(&self) {
        self.signal(libc::SIGTERM);
    }

    /// Starts a server that is down, on the same port with the same data.
    pub(crate) async fn start(&self) {
        // Down by its own doing, as after a SHUTDOWN statement.
        if self.has_ended() {
            self.child().take();
        }
        self.launch().unwrap_or_else(|message| panic!("{message}"));
        self.login().await.unwrap_or_else(|message| panic!("{message}"));
    }

    /// Shuts down and starts again.
    pub(crate) async fn restart(&self) {
        self.shutdown().await;
        self.start().await;
    }

    async fn start_new(
        installed: &Installed,
        options: &[&str],
        hosts: Option<&str>,
        place: Option<Namespace>,
    ) -> Result<Server, String> {
        let kind = installed.kind;
        let failed = |error: std::io::Error| format!("cannot start {}: {error}", kind.name());
        let template = {
            // Tests of one process wait for each other here; template.rs sees to other processes.
            static MAKING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
            let _one_at_a_time = MAKING.lock().await;
            template::template(installed).map_err(failed)?
        };
        let directory = process::directory();
        let mut server = Server {
            kind,
            port: 0,
            socket: directory.join("sock"),
            version: String::new(),
            program: installed.program.clone(),
            accounts: Vec::new(),
            child: Mutex::new(None),
            place,
            observer: tokio::sync::Mutex::new(()),
            directory,
        };
        template::copy(&template, &server.data()).map_err(failed)?;
        fs::create_dir(server.directory.join("tmp")).map_err(failed)?;
        if let Some(hosts) = hosts {
            fs::write(server.hosts(), hosts).map_err(failed)?;
        }

        for attempts_left in (0..5).rev() {
            server.port = free_port();
            let configuration = server.configuration(installed, options);
            fs::write(server.directory.join("my.cnf"), configuration).map_err(failed)?;
            server.launch()?;
            match server.login().await {
                Ok(()) => break,
                // Somebody took the port after we looked.
                Err(message) if attempts_left > 0 && message.contains("already in use") => {}
                Err(message) => return Err(message),
            }
        }

        server.version = server.query_one("SELECT VERSION()").await;
        let prefix = template::PREFIX;
        let accounts = format!("SELECT user, plugin FROM mysql.user WHERE user LIKE '{prefix}%' ORDER BY 1");
        server.accounts = server
            .rows(&accounts)
            .await
            .iter()
            .map(|row| Account { user: text(row, 0), password: template::hairy_password(), plugin: text(row, 1) })
            .collect();
        Ok(server)
    }

    fn configuration(&self, installed: &Installed, options: &[&str]) -> String {
        let directory = self.directory.display();
        let tls = tls();
        let addresses = if has_ipv6() { "127.0.0.1,::1" } else { "127.0.0.1" };
        let mut lines = vec!["[mysqld]".to_string()];
        lines.extend(installed.options().iter().map(|option| option.trim_start_matches('-').into()));
        lines.extend([
            format!("datadir={directory}/data"),
            format!("tmpdir={directory}/tmp"),
            format!("socket={}", self.socket.display()),
            format!("pid-file={directory}/pid"),
            format!("port={}", self.port),
            format!("server-id={}", self.port),
            format!("bind-address={addresses}"),
            format!("ssl-ca={}", tls.ca.display()),
            "performance-schema=ON".into(),
            "innodb-buffer-pool-load-at-startup=OFF".into(),
            "innodb-buffer-pool-dump-at-shutdown=OFF".into(),
        ]);
        lines.extend(tls.server.options());
        if self.kind.is_mariadb() {
            lines.push("plugin-load-add=sql_errlog".into());
            lines.push("sql-error-log-filename=raised.log".into());
            // A full file would be renamed, and the count start anew.
            lines.push("sql-error-log-size-limit=1G".into());
        } else {
            // The binary log is on by default in MySQL only, and half a second of each start.
            lines.push("skip-log-bin".into());
            lines.push("mysqlx=OFF".into());
        }
        // MySQL shows it OFF when a later line says so, and goes on as if it were ON.
        if !options.contains(&"skip-name-resolve=OFF") {
            lines.push("skip-name-resolve".into());
        }
        // Last, so that a test has the last word.
        lines.extend(options.iter().map(|&option| option.into()));
        lines.push(String::new());
        lines.join("\n")
    }

    fn launch(&self) -> Result<(), String> {
        let failed = |error| format!("cannot start {}: {error}", self.program.display());
        let log = self.directory.join("log");
        let open = || fs::File::options().create(true).append(true).open(&log);
        let mut command = if self.hosts().exists() {
            // In a mount namespace of its own: nobody else's /etc/hosts changes.
            let mut command = Command::new("unshare");
            // SAFETY: a system call without arguments.
            command.arg(if unsafe { libc::geteuid() } == 0 { "-m" } else { "-rm" });
            command
                .args([
                    "sh",
                    "-c",
                    "cd \"$0\" && mount --bind hosts /etc/hosts && { [ ! -e resolv.conf ] || mount --bind resolv.conf \
                     /etc/resolv.conf; } && exec \"$@\"",
                ])
                .arg(&self.directory)
                .arg(&self.program);
            command
        } else {
            Command::new(&self.program)
        };
        command
            .arg(format!("--defaults-file={}", self.directory.join("my.cnf").display()))
            .stdin(Stdio::null())
            .stdout(open().map_err(failed)?)
            .stderr(open().map_err(failed)?);
        if let Some(place) = &self.place {
            place.enter(&mut command);
        }
        let mut child = self.child();
        assert!(child.is_none(), "the server is running already");
        *child = Some(process::spawn(command).map_err(failed)?);
        Ok(())
    }

    // Ready is what a client calls ready: a login and an answer.
    async fn login(&self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if self.has_ended() {
                self.child().take();
                return Err(self.obituary("ended while starting"));
            }
            if self.socket.exists()
                && let Ok(Ok(_)) = tokio::time::timeout(Duration::from_secs(5), self.ask("SELECT 1")).await
            {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(self.obituary("did not accept a login"));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn obituary(&self, what: &str) -> String {
        let log = self.log();
        let from = log.len().saturating_sub(4000);
        let tail = log.get(from..).unwrap_or(&log);
        format!("{} {what}; the end of its log:\n{tail}", self.kind.name())
    }

    async fn rows(&self, query: &str) -> Vec<Row> {
        let _turn = self.observer.lock().await;
        // The place beyond the limit is free again a moment after whoever had it has left.
        let asking = async {
            let end = Instant::now() + Duration::from_secs(3);
            loop {
                match self.ask(query).await {
                    Err(mysql_async::Error::Server(error)) if error.code == 1040 && Instant::now() < end => {
                        tokio::time::sleep(POLL).await;
                    }
                    ended => return ended,
                }
            }
        };
        match tokio::time::timeout(PATIENCE, asking).await {
            Ok(Ok(rows)) => rows,
            Ok(Err(error)) => panic!("{} refuses `{query}`: {error}", self.kind.name()),
            Err(_) => panic!("{} does not answer `{query}`", self.kind.name()),
        }
    }

    async fn ask(&self, query: &str) -> mysql_async::Result<Vec<Row>> {
        let options = OptsBuilder::default()
            .prefer_socket(false)
            .socket(Some(self.socket.display().to_string()))
            .user(Some("root"))
            // Else the client asks the server for them, in queries of its own.
            .max_allowed_packet(Some(16 << 20))
            .wait_timeout(Some(600));
        let mut conn = Conn::new(options).await?;
        let rows = conn.query(query).await;
        conn.disconnect().await?;
        rows
    }

    fn signal(&self, signal: i32) {
        let pid = self.pid().try_into().expect("a process id is small");
        // SAFETY: plain system call; the id is our child's, which nobody has waited for yet.
        let sent = unsafe { libc::kill(pid, signal) };
        assert_eq!(sent, 0, "the server is running");
    }

    fn has_ended(&self) -> bool {
        let ended = |child: &mut Child| child.try_wait().expect("it is our child").is_some();
        self.child().as_mut().is_none_or(ended)
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "still waiting: {what}");
        tokio::time::sleep(POLL).await;
    }
}

fn text(row: &Row, column: usize) -> String {
    match row.as_ref(column) {
        Some(Value::Bytes(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        Some(Value::NULL) => "NULL".into(),
        other => panic!("column {column} is {other:?}"),
    }
}

// `R`, `S`, `T`… of a process or thread, from behind its name, which may have blanks.
fn state(process: &Path) -> Option<char> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

// Below the range that outgoing connections take theirs from. A port of that range could be
// taken while its server is down, even by the very client that tries to reach it: on loopback,
// TCP lets a socket connect to itself.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 15_000;
    const COUNT: u16 = 17_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test processes that run at once start far from each other.
    let offset = std::process::id().wrapping_mul(7919) % u32::from(COUNT);
    for _ in 0..COUNT {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = FIRST + ((offset + step) % u32::from(COUNT)) as u16;
        let free = |address: &str| TcpListener::bind((address, port)).is_ok();
        if free("127.0.0.1") && (!has_ipv6() || free("::1")) {
            return port;
        }
    }
    panic!("no port from {FIRST} on is free");
}

fn has_ipv6() -> bool {
    TcpListener::bind(("::1", 0)).is_ok()
}

/// A server's program as `scripts/fetch` left it.
struct Installed {
    kind: Kind,
    cache: PathBuf,
    program: PathBuf,
    version: String,
    base: PathBuf,
    share: PathBuf,
    plugins: PathBuf,
}

impl Installed {
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    fn find(kind: Kind) -> Option<Installed> {
        let installed = Installed::read(kind);
        if installed.is_none() {
            let name = kind.name();
            let missing = format!("there is no {name} on this machine: run scripts/fetch {name}");
            assert!(std::env::var_os("CI").is_none(), "{missing}");
            eprintln!("skipped: {missing}");
        }
        installed
    }

    fn read(kind: Kind) -> Option<Installed> {
        let cache = cache()?;
        let found = fs::read_to_string(cache.join(format!("{}.env", kind.name()))).ok()?;
        let value = |key: &str| {
            let lines = found.lines().filter_map(|line| line.split_once('='));
            lines.filter(|(name, _)| *name == key).map(|(_, value)| value.to_string()).next()
        };
        Some(Installed {
            kind,
            program: cache.join("bin").join(kind.program()),
            version: value("version")?,
            base: value("basedir")?.into(),
            share: value("sharedir")?.into(),
            plugins: value("plugindir")?.into(),
            cache,
        })
    }

    fn has_plugin(&self, file: &str) -> bool {
        self.plugins.join(format!("{file}.so")).exists()
    }

    // What every run of the program needs, the one that makes the template too.
    fn options(&self) -> Vec<String> {
        let mut options = vec![
            format!("--basedir={}", self.base.display()),
            format!("--lc-messages-dir={}", self.share.display()),
            format!("--character-sets-dir={}/charsets", self.share.display()),
            format!("--plugin-dir={}", self.plugins.display()),
            "--innodb-buffer-pool-size=32M".into(),
            // Nothing here has to survive a power failure.
            "--innodb-flush-log-at-trx-commit=0".into(),
            "--innodb-doublewrite=OFF".into(),
            // The kernel's limit of such requests is for the whole machine.
            "--innodb-use-native-aio=OFF".into(),
        ];
        // SAFETY: a system call without arguments.
        if unsafe { libc::geteuid() } == 0 {
            options.push("--user=root".into());
        }
        if self.kind.is_mariadb() {
            options.push("--innodb-log-file-size=8M".into());
            for plugin in ["auth_ed25519", "auth_parsec", "auth_mysql_sha2"] {
                if self.has_plugin(plugin) {
                    options.push(format!("--plugin-load-add={plugin}"));
                }
            }
        } else {
            options.push("--innodb-redo-log-capacity=8M".into());
            // The one compiled in does not exist here, and MySQL insists.
            options.push("--secure-file-priv=NULL".into());
        }
        options
    }
}

// Where scripts/fetch puts things.
pub(crate) fn cache() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("GONEAWAY_CACHE")
        .or_else(|| Some(set("XDG_CACHE_HOME")?.join("goneaway")))
        .or_else(|| Some(set("HOME")?.join(".cache/goneaway")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mysql_async::SslOpts;

    fn tcp(server: &Server, host: &str, user: &str, password: &str) -> OptsBuilder {
        OptsBuilder::default()
            .prefer_socket(false)
            .ip_or_hostname(host)
            .tcp_port(server.port)
            .user(Some(user))
            .pass(Some(password))
    }

    async fn can_log_in(options: OptsBuilder) -> mysql_async::Result<()> {
        let mut conn = tokio::time::timeout(PATIENCE, Conn::new(options)).await.expect("an answer")?;
        let one = conn.query_first::<u8, _>("SELECT 1").await;
        conn.disconnect().await?;
        assert_eq!(one?, Some(1));
        Ok(())
    }

    #[tokio::test]
    async fn every_server_starts_and_answers() {
        for kind in Kind::ALL {
            let Some(server) = shared(kind).await else { continue };
            assert_eq!(server.version.contains("MariaDB"), kind.is_mariadb(), "{}", server.version);
            for host in if has_ipv6() { &["127.0.0.1", "::1"][..] } else { &["127.0.0.1"] } {
                can_log_in(tcp(server, host, "goneaway", "goneaway")).await.expect(host);
            }
            assert!(server.status("Uptime").await < 3600);
        }
    }

    #[tokio::test]
    async fn the_monitor_may_see_what_it_needs() {
        for kind in Kind::ALL {
            let Some(server) = shared(kind).await else { continue };
            let options = tcp(server, "127.0.0.1", "goneaway", "goneaway");
            let mut conn = Conn::new(options).await.expect("the account exists");
            for query in [
                "SHOW GLOBAL STATUS",
                "SHOW REPLICA STATUS",
                "SELECT * FROM information_schema.PROCESSLIST",
                "SELECT * FROM performance_schema.host_cache",
            ] {
                conn.query_drop(query).await.expect(query);
            }
            conn.disconnect().await.expect("a clean end");
        }
    }

    #[tokio::test]
    async fn accounts_of_all_plugins_are_there() {
        for kind in Kind::ALL {
            let Some(server) = shared(kind).await else { continue };
            let plugins: Vec<&str> = server.accounts().iter().map(|account| &*account.plugin).collect();
            match kind {
                Kind::MariadbStable => assert_eq!(plugins, ["ed25519", "mysql_native_password"]),
                Kind::MariadbUnstable => {
                    assert_eq!(plugins, ["caching_sha2_password", "ed25519", "mysql_native_password", "parsec"]);
                }
                Kind::MysqlUnstable => assert_eq!(plugins, ["caching_sha2_password", "sha256_password"]),
            }
            for account in server.accounts() {
                // The client library has no sha256_password, and trips over one challenge in 256 of the others.
                if !["sha256_password", "parsec", "ed25519"].contains(&&*account.plugin) {
                    let options = tcp(server, "127.0.0.1", &account.user, &account.password);
                    can_log_in(options).await.expect(&account.plugin);
                    let wrong = tcp(server, "127.0.0.1", &account.user, "wrong");
                    can_log_in(wrong).await.expect_err(&account.plugin);
                }
            }
            assert_eq!(server.public_key().is_some(), plugins.contains(&"caching_sha2_password"));
        }
    }

    #[tokio::test]
    async fn certificates_are_good_and_bad_as_named() {
        let tls = tls();
        for kind in Kind::ALL {
            let trusting = |ca: &Path| SslOpts::default().with_root_certs(vec![ca.to_path_buf().into()]);
            let Some(server) = shared(kind).await else { continue };
            let encrypted =
                |server: &Server, ca: &Path| tcp(server, "localhost", "encrypted", "encrypted").ssl_opts(trusting(ca));
            can_log_in(encrypted(server, &tls.ca)).await.expect("the right authority");
            can_log_in(encrypted(server, &tls.other_ca)).await.expect_err("the wrong authority");
            can_log_in(tcp(server, "localhost", "encrypted", "encrypted")).await.expect_err("no TLS");

            let certified = || tcp(server, "localhost", "certified", "certified");
            let identity =
                mysql_async::ClientIdentity::new(tls.client.certificate.clone().into(), tls.client.key.clone().into());
            let with_identity = trusting(&tls.ca).with_client_identity(Some(identity));
            can_log_in(certified().ssl_opts(with_identity)).await.expect("a client certificate");
            can_log_in(certified().ssl_opts(trusting(&tls.ca))).await.expect_err("no client certificate");

            for bad in [&tls.expired, &tls.misnamed, &tls.stranger] {
                let options = bad.options();
                let options = options.each_ref().map(String::as_str);
                let server = Server::private(kind, &options).await.expect("shared() found it");
                can_log_in(encrypted(&server, &tls.ca)).await.expect_err("a bad certificate");
                if std::ptr::eq(bad, &tls.stranger) {
                    can_log_in(encrypted(&server, &tls.other_ca)).await.expect("its own authority");
                }
            }
        }
    }

    #[tokio::test]
    async fn raised_errors_are_counted() {
        for kind in Kind::ALL {
            let Some(server) = Server::private(kind, &[]).await else { continue };
            let before = server.raised_errors().await;
            let options = tcp(&server, "127.0.0.1", "goneaway", "goneaway");
            let mut conn = Conn::new(options).await.expect("the account exists");
            conn.query_drop("SELECT 1").await.expect("no error");
            assert_eq!(server.raised_errors().await, before, "{kind:?}");
            conn.query_drop("SELECT *\nFROM no_such.relation").await.expect_err("an error");
            assert_eq!(server.raised_errors().await, before + 1, "{kind:?}");
            conn.disconnect().await.expect("a clean end");
            can_log_in(tcp(&server, "127.0.0.1", "goneaway", "wrong")).await.expect_err("no login");
            assert_eq!(server.raised_errors().await, before + 2, "{kind:?}");
        }
    }

    #[tokio::test]
    async fn a_frozen_server_is_silent_until_thawed() {
        for kind in Kind::ALL {
            let Some(server) = Server::private(kind, &[]).await else { continue };
            server.freeze().await;
            let silence = tokio::time::timeout(Duration::from_millis(300), server.ask("SELECT 1")).await;
            assert!(silence.is_err(), "{kind:?} answered");
            server.thaw();
            assert_eq!(server.query_one("SELECT 2").await, "2");
        }
    }

    #[tokio::test]
    async fn private_servers_are_independent_and_survive_what_is_done_to_them() {
        for kind in Kind::ALL {
            let Some(one) = Server::private(kind, &["max_connections=17"]).await else { continue };
            let other = Server::private(kind, &[]).await.expect("the first was found");
            assert_eq!(one.query_one("SELECT @@max_connections").await, "17");
            assert_ne!(other.query_one("SELECT @@max_connections").await, "17");
            one.sql("CREATE DATABASE mine").await;
            let port = one.port;
            one.kill();
            one.start().await;
            one.restart().await;
            assert_eq!(one.query_one("SHOW DATABASES LIKE 'mine'").await, "mine");
            assert_eq!(one.query_one("SELECT @@port").await, port.to_string());
            one.shutdown().await;
            assert_eq!(
                other.query_one("SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = 'mine'").await,
                "0"
            );
        }
    }

    #[tokio::test]
    async fn a_dropped_server_leaves_no_process_and_no_directory() {
        for kind in Kind::ALL {
            let Some(server) = Server::private(kind, &[]).await else { continue };
            let (pid, directory) = (server.pid(), server.directory.clone());
            assert!(state(Path::new(&format!("/proc/{pid}"))).is_some());
            drop(server);
            assert!(state(Path::new(&format!("/proc/{pid}"))).is_none());
            assert!(!directory.exists());
        }
    }

    #[tokio::test]
    async fn our_own_queries_move_connections_by_one_each() {
        for kind in Kind::ALL {
            let Some(server) = Server::private(kind, &[]).await else { continue };
            let before = server.status("Connections").await;
            let (clients, connects) = (server.status("Aborted_clients").await, server.status("Aborted_connects").await);
            assert_eq!(server.status("Connections").await, before + 3, "{kind:?}");
            assert_eq!((clients, connects), (0, 0), "{kind:?}");
        }
    }
}
