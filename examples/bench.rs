//! goneaway beside Debian's mysqld_exporter: on the same servers, in the same run.
//!
//! Started by `scripts/bench`, which builds what is measured: `bench [--short] GONEAWAY`. It prints a table for
//! each server, with ratios, and fails when a promise is broken. `--short` asks for a tenth of the time and only
//! for what a busy machine and a debug build cannot spoil.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "that is what it is for")]

// The tests' servers. An inline module, because the files below it are found by its path.
#[path = "../tests/it"]
mod it {
    #[allow(dead_code, reason = "the tests use it")]
    pub(crate) mod network;
    pub(crate) mod servers;
}

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use goneaway::collect::COLLECTORS;
use it::servers::{Kind, Server};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut effort = Effort::LONG;
    let mut binary = None;
    for argument in std::env::args_os().skip(1) {
        match argument.to_str() {
            Some("--short") => effort = Effort::SHORT,
            _ => binary = Some(PathBuf::from(argument)),
        }
    }
    let Some(binary) = binary else {
        eprintln!("usage: bench [--short] GONEAWAY");
        return ExitCode::from(3);
    };

    let mut broken = Vec::new();
    for kind in [Kind::MariadbStable, Kind::MysqlUnstable] {
        // `max_connections`: 50 scrapers of mysqld_exporter each need one, and refusals are not what is measured.
        let Some(server) = Server::private(kind, &["max_connections=300"]).await else { continue };
        for all in [false, true] {
            if all && effort.short {
                continue;
            }
            if all {
                fill(&server).await;
            }
            // With all of them a scrape of mysqld_exporter takes a second and more.
            let effort = if all { &Effort::ALL } else { &effort };
            let columns = measure(&server, &binary, effort, all).await;
            table(&server, &columns, effort, all);
            // What is promised is promised of the collectors that are on by default.
            let broken_now = if all { Vec::new() } else { broken_promises(&columns, effort) };
            broken.extend(broken_now.iter().map(|promise| format!("{}: {promise}", server.version)));
        }
    }
    for promise in &broken {
        println!("BROKEN on {promise}");
    }
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How much of everything.
struct Effort {
    short: bool,
    starts: usize,
    sequential: usize,
    until_resident: usize,
    paced: u32,
    scrapers: usize,
    load: Duration,
}

impl Effort {
    const LONG: Effort = Effort {
        short: false,
        starts: 5,
        sequential: 200,
        until_resident: 1000,
        paced: 30,
        scrapers: 50,
        load: Duration::from_secs(10),
    };
    const ALL: Effort = Effort { starts: 3, sequential: 20, until_resident: 60, paced: 15, ..Effort::LONG };
    const SHORT: Effort = Effort {
        short: true,
        starts: 1,
        sequential: 20,
        until_resident: 100,
        paced: 3,
        scrapers: 50,
        load: Duration::from_secs(1),
    };
}

/// What is measured of one exporter; times in seconds.
#[derive(Default)]
struct Column {
    name: String,
    start: f64,
    p50: f64,
    p99: f64,
    cpu: f64,
    resident: f64,
    load: Load,
    /// That the server counted, for one collection and scrape.
    statements: f64,
    /// `None`: no answer.
    frozen_p99: Option<f64>,
}

#[derive(Default)]
struct Load {
    scrapes: usize,
    errors: usize,
    p99: f64,
    /// New connections that the server counted, but for scheduled probes and our own queries.
    connections: i64,
    /// `Threads_connected` at the most.
    most_threads: u64,
}

/// What the README promises of goneaway and is not so.
fn broken_promises(columns: &[Column], effort: &Effort) -> Vec<String> {
    let ours = &columns[0];
    // A debug build on a busy machine: what is left is sanity.
    let slack = if effort.short { 10.0 } else { 1.0 };
    let most =
        |what: &str, is: f64, bound: f64| (is > bound).then(|| format!("{what} is {is:.4}, promised {bound:.4}"));
    let mut broken = vec![
        most("start to first complete scrape (s)", ours.start, 1.0 * slack),
        most("scrape p50 (s)", ours.p50, 0.001 * slack),
        most("scrape p99 (s)", ours.p99, 0.005 * slack),
        most("scrape p99 while the server is frozen (s)", ours.frozen_p99.unwrap_or(f64::INFINITY), 0.005 * slack),
        most("resident (MiB)", ours.resident, if effort.short { 24.0 } else { 12.0 }),
        most("errors under load", ours.load.errors as f64, 0.0),
        most("connections opened by scrapes", ours.load.connections as f64, 0.0),
    ];
    // The newest of theirs, the last column.
    if !effort.short
        && let [_, .., theirs] = columns
    {
        broken.push(most("CPU of one collection and scrape (s)", ours.cpu, theirs.cpu / 20.0));
    }
    broken.into_iter().flatten().collect()
}

/// Something for every collector to tell.
async fn fill(server: &Server) {
    server.sql("CREATE DATABASE shop").await;
    for number in 0..TABLES {
        server
            .sql(&format!("CREATE TABLE shop.t{number} (id INT AUTO_INCREMENT PRIMARY KEY, what INT, KEY (what))"))
            .await;
    }
    server.sql("GRANT SELECT, REPLICATION SLAVE ON *.* TO 'goneaway'@'%'").await;
}

const TABLES: usize = 500;

async fn measure(server: &Server, binary: &Path, effort: &Effort, all: bool) -> Vec<Column> {
    let programs = programs(binary, all);
    let mut columns = Vec::new();
    let mut running = Vec::new();
    for program in &programs {
        let mut starts = Vec::new();
        for _ in 1..effort.starts {
            starts.push(program.start(server, "15s").1);
        }
        let (exporter, start) = program.start(server, "15s");
        starts.push(start);
        columns.push(Column { name: program.name.clone(), start: quantile(&mut starts, 0.5), ..Column::default() });
        running.push(exporter);
    }

    // In turns, so that a busy moment of this machine meets all of them.
    let mut clients: Vec<Client> = running.iter().map(|exporter| Client::to(exporter.port)).collect();
    let mut times = vec![Vec::new(); running.len()];
    for _ in 0..effort.sequential {
        for (client, times) in clients.iter_mut().zip(&mut times) {
            times.push(client.scrape().expect("an answer"));
        }
    }
    for (column, times) in columns.iter_mut().zip(&mut times) {
        column.p50 = quantile(times, 0.5);
        column.p99 = quantile(times, 0.99);
    }
    for (index, client) in clients.iter_mut().enumerate() {
        for _ in effort.sequential..effort.until_resident {
            client.scrape().expect("an answer");
        }
        columns[index].resident = running[index].resident();
    }

    for index in 0..running.len() {
        columns[index].load = load(server, &running[index], &running[0], effort).await;
    }

    // A server that hangs. mysqld_exporter is asked once: it would wait without an end.
    server.freeze().await;
    for (index, exporter) in running.iter().enumerate() {
        let mut client = Client::to(exporter.port);
        let count = if index == 0 { effort.sequential } else { 1 };
        let mut times: Vec<f64> = (0..count).map_while(|_| client.scrape().ok()).collect();
        columns[index].frozen_p99 = (times.len() == count).then(|| quantile(&mut times, 0.99));
    }
    server.thaw();
    drop(running);

    if !effort.short {
        statements(server, &programs, &mut columns).await;
    }
    cpu(server, &programs, &mut columns, effort);
    columns
}

/// CPU of one default collection and scrape, when both happen once a second. goneaway's has a probe in it, too.
fn cpu(server: &Server, programs: &[Program], columns: &mut [Column], effort: &Effort) {
    let running: Vec<Exporter> = programs.iter().map(|program| program.start(server, "1s").0).collect();
    let mut clients: Vec<Client> = running.iter().map(|exporter| Client::to(exporter.port)).collect();
    // The first seconds are for what is done once: phase lock, pages touched for the first time.
    let mut before = Vec::new();
    let mut next = Instant::now();
    for second in 0..effort.paced + 3 {
        if second == 3 {
            before = running.iter().map(Exporter::cpu).collect();
        }
        for client in &mut clients {
            client.scrape().expect("an answer");
        }
        next += Duration::from_secs(1);
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    for ((column, exporter), before) in columns.iter_mut().zip(&running).zip(before) {
        column.cpu = (exporter.cpu() - before) / f64::from(effort.paced);
    }
}

/// Statements of one collection and scrape, when both happen once a second. goneaway's have those of a probe, of a pool
/// that is used and of the idle ladder in them, too.
async fn statements(server: &Server, programs: &[Program], columns: &mut [Column]) {
    const SECONDS: u32 = 10;
    for (program, column) in programs.iter().zip(columns) {
        let (exporter, _) = program.start(server, "1s");
        let mut client = Client::to(exporter.port);
        tokio::time::sleep(Duration::from_secs(3)).await;
        let before = server.status("Questions").await;
        for _ in 0..SECONDS {
            client.scrape().expect("an answer");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        // The second of our own two questions.
        column.statements = (server.status("Questions").await - before - 1) as f64 / f64::from(SECONDS);
    }
}

/// Many scrapers at once, each with its own connection, as fast as they can.
async fn load(server: &Server, exporter: &Exporter, prober: &Exporter, effort: &Effort) -> Load {
    let probes = prober.probes();
    let before = server.status("Connections").await;
    let end = Instant::now() + effort.load;
    let port = exporter.port;
    let scraper = move || {
        let mut client = Client::to(port);
        let (mut times, mut errors) = (Vec::new(), 0);
        while Instant::now() < end {
            match client.scrape() {
                Ok(time) => times.push(time),
                Err(_) => {
                    errors += 1;
                    client = Client::to(port);
                }
            }
        }
        (times, errors)
    };
    let scrapers: Vec<_> = (0..effort.scrapers).map(|_| thread::spawn(scraper)).collect();

    let (mut most_threads, mut asked) = (0, 1);
    while !scrapers.iter().all(|scraper| scraper.is_finished()) {
        most_threads = most_threads.max(server.status("Threads_connected").await);
        asked += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let after = server.status("Connections").await;
    let probes = prober.probes() - probes;

    let (mut times, mut errors) = (Vec::new(), 0);
    for scraper in scrapers {
        let (its_times, its_errors) = scraper.join().expect("scrapers don't panic");
        times.extend(its_times);
        errors += its_errors;
    }
    Load {
        scrapes: times.len(),
        errors,
        p99: quantile(&mut times, 0.99),
        connections: after as i64 - before as i64 - asked - probes,
        most_threads,
    }
}

/// One of the programs that are compared; the first is goneaway.
struct Program {
    name: String,
    path: PathBuf,
    is_ours: bool,
    /// Those that are on; none for those that are by default.
    collectors: Vec<&'static str>,
}

fn programs(binary: &Path, all: bool) -> Vec<Program> {
    let theirs = COLLECTORS.iter().filter(|one| all && !one.is_ours());
    let every: Vec<&'static str> = theirs.map(|one| one.name).collect();
    let mut programs =
        vec![Program { name: "goneaway".into(), path: binary.into(), is_ours: true, collectors: every.clone() }];
    let cache = it::servers::cache().expect("the servers were found in it");
    for suffix in ["0.14", "unstable"] {
        let group = cache.join(format!("mysqld-exporter-{suffix}.env"));
        let Ok(found) = fs::read_to_string(group) else { continue };
        let version = found.lines().find_map(|line| line.strip_prefix("version=")).unwrap_or(suffix);
        let path = cache.join("bin").join(format!("mysqld_exporter-{suffix}"));
        // An older one has fewer.
        let help = Command::new(&path).arg("--help-long").output().expect("it was fetched");
        let help = [help.stdout, help.stderr].concat();
        let help = String::from_utf8_lossy(&help);
        let has =
            |name: &&&str| help.contains(&format!("collect.{name} ")) || help.contains(&format!("collect.{name}\n"));
        let collectors = every.iter().filter(has).copied().collect();
        programs.push(Program { name: format!("mysqld_exporter {version}"), path, is_ours: false, collectors });
    }
    programs
}

impl Program {
    /// Starts it, and says how long it took to a scrape that has the server's figures.
    fn start(&self, server: &Server, every: &str) -> (Exporter, f64) {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port();
        // Beside the server's data, and removed with it.
        let file = server.data().with_file_name(format!("exporter-{port}"));
        let mut command = Command::new(&self.path);
        if self.is_ours {
            // Without TLS, as mysqld_exporter is by default.
            let switched: String = self.collectors.iter().map(|name| format!("  {name}: true\n")).collect();
            let switched = if switched.is_empty() { switched } else { format!("collectors:\n{switched}") };
            let text = format!(
                "{switched}web: {{listen_addresses: ['127.0.0.1:{port}']}}\n\
                 targets: {{bench: {{address: '127.0.0.1:{}', user: goneaway, password: goneaway, every: {every}, tls: {{mode: DISABLED}}}}}}\n",
                server.port
            );
            fs::write(&file, text).expect("the server's directory is writable");
            command.arg("--config.file").arg(&file);
        } else {
            let text = format!("[client]\nhost=127.0.0.1\nport={}\nuser=goneaway\npassword=goneaway\n", server.port);
            fs::write(&file, text).expect("the server's directory is writable");
            command.arg(format!("--config.my-cnf={}", file.display()));
            command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
            command.args(self.collectors.iter().map(|name| format!("--collect.{name}")));
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(fs::File::create(file.with_extension("log")).expect("the server's directory is writable"));
        // SAFETY: prctl with these arguments is one system call, allowed between fork and exec.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            });
        }

        let began = Instant::now();
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {}: {error}", self.path.display()));
        let exporter = Exporter { child, port };
        loop {
            let text = exporter.text().unwrap_or_default();
            let has = |name: &str, value: &str| {
                text.lines().any(|line| line.starts_with(name) && line.ends_with(value) && !line.starts_with('#'))
            };
            if has("mysql_up", " 1") && has("mysql_global_status_connections", "") {
                return (exporter, began.elapsed().as_secs_f64());
            }
            if began.elapsed() > Duration::from_secs(15) {
                let log = fs::read_to_string(file.with_extension("log")).unwrap_or_default();
                panic!("{} has no figures of the server; its log:\n{log}", self.name);
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// One that runs. Ended when dropped.
struct Exporter {
    child: Child,
    port: u16,
}

impl Exporter {
    /// The page as text.
    fn text(&self) -> io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }

    /// How many probes have connected to the server; 0 for one that has no probes.
    fn probes(&self) -> i64 {
        let text = self.text().expect("an answer");
        let ended = ["result=\"success\"", "result=\"failure\""];
        text.lines()
            .filter(|line| {
                line.starts_with("mysql_conn_probes_total{") && ended.iter().any(|result| line.contains(result))
            })
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum::<f64>() as i64
    }

    /// Seconds on a CPU so far, all threads. Not from `stat`: its ticks are of 10 ms.
    fn cpu(&self) -> f64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it is running");
        let nanoseconds = tasks.flatten().filter_map(|task| {
            let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        nanoseconds.sum::<u64>() as f64 / 1e9
    }

    /// MiB in memory.
    fn resident(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it is running");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has memory");
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().expect("a number of kB");
        kib / 1024.0
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let pid = self.child.id().try_into().expect("a process id is small");
        // SAFETY: plain system call; the id is our child's, which nobody has waited for yet.
        unsafe { libc::kill(pid, libc::SIGTERM) };
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const PATIENCE: Duration = Duration::from_secs(5);

/// A scraper that asks as Prometheus does, on a connection that it keeps.
struct Client {
    port: u16,
    stream: Option<BufReader<TcpStream>>,
}

impl Client {
    fn to(port: u16) -> Client {
        Client { port, stream: None }
    }

    /// One scrape; how long it took.
    fn scrape(&mut self) -> io::Result<f64> {
        let began = Instant::now();
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(("127.0.0.1", self.port))?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                BufReader::new(stream)
            }
        };
        stream.get_mut().write_all(
            b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\
              Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5\r\n\r\n",
        )?;
        body(&mut stream)?;
        self.stream = Some(stream);
        Ok(began.elapsed().as_secs_f64())
    }
}

/// Reads an answer to its end; anything but a good one is an error.
fn body(stream: &mut BufReader<TcpStream>) -> io::Result<()> {
    let bad = |what: &str| io::Error::other(what.to_string());
    let line = |stream: &mut BufReader<TcpStream>| -> io::Result<String> {
        let mut line = String::new();
        match stream.read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_ascii_lowercase()),
        }
    };
    let skip =
        |stream: &mut BufReader<TcpStream>, length: u64| match io::copy(&mut stream.take(length), &mut io::sink())? {
            copied if copied == length => Ok(()),
            _ => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        };

    let status = line(stream)?;
    if !status.starts_with("http/1.1 200") {
        return Err(bad(&status));
    }
    let mut length = None;
    loop {
        let header = line(stream)?;
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = Some(value.trim().parse::<u64>().map_err(|_| bad(&header))?);
        }
    }
    if let Some(length) = length {
        return skip(stream, length);
    }
    // In chunks, each with its length before it and a line's end behind it; one of no length is the last.
    loop {
        let size = line(stream)?;
        let size = u64::from_str_radix(&size, 16).map_err(|_| bad(&size))?;
        skip(stream, size + 2)?;
        if size == 0 {
            return Ok(());
        }
    }
}

fn quantile(values: &mut [f64], quantile: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (quantile * values.len() as f64).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

fn table(server: &Server, columns: &[Column], effort: &Effort, all: bool) {
    let what = if all { format!("all collectors, {TABLES} tables") } else { "default collectors".to_owned() };
    println!("\n{} ({}), {what}", server.version, server.kind.name());
    print!("{:<44}{:>12}", "", columns[0].name);
    for column in &columns[1..] {
        print!("{:>24}{:>9}", column.name, "ratio");
    }
    println!();
    let row = |what: &str, places: usize, value: &dyn Fn(&Column) -> Option<f64>| {
        let ours = value(&columns[0]);
        let text = |value: Option<f64>| value.map_or("no answer".into(), |value| format!("{value:.places$}"));
        print!("{what:<44}{:>12}", text(ours));
        for column in &columns[1..] {
            let theirs = value(column);
            let ratio = match (theirs, ours) {
                (Some(theirs), Some(ours)) if ours > 0.0 => format!("{:.3}", ours / theirs),
                _ => String::new(),
            };
            print!("{:>24}{ratio:>9}", text(theirs));
        }
        println!();
    };
    let load = effort.load.as_secs_f64();
    row("start to first complete scrape, ms", 0, &|column| Some(column.start * 1e3));
    row(&format!("{} scrapes in turn, p50, ms", effort.sequential), 2, &|column| Some(column.p50 * 1e3));
    row("  p99, ms", 2, &|column| Some(column.p99 * 1e3));
    row("CPU of one collection and scrape, ms", 2, &|column| Some(column.cpu * 1e3));
    if !effort.short {
        row("statements of one collection and scrape", 1, &|column| Some(column.statements));
    }
    row(&format!("resident after {} scrapes, MiB", effort.until_resident), 1, &|column| Some(column.resident));
    row(&format!("{} scrapers for {load} s: scrapes a second", effort.scrapers), 0, &|column| {
        Some(column.load.scrapes as f64 / load)
    });
    row("  p99, ms", 1, &|column| Some(column.load.p99 * 1e3));
    row("  errors", 0, &|column| Some(column.load.errors as f64));
    row("  database connections opened by scrapes", 0, &|column| Some(column.load.connections as f64));
    row("  Threads_connected at the most", 0, &|column| Some(column.load.most_threads as f64));
    row("server frozen: scrape p99, ms (5 s at most)", 2, &|column| column.frozen_p99.map(|time| time * 1e3));
}
