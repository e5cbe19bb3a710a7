//! Thousands of accounts from thousands of hosts: the series stay few, nothing that is counted falls, and telling it costs
//! the exporter little. The full number where `GONEAWAY_TEST_LONG` is set, a part of it otherwise.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::daemon::Daemon;
use super::exposition::Exposition;
use super::servers::{Kind, Server};

const OPENED: &str = "mysql_conn_sessions_opened_total";

/// How many accounts there are, and from how many hosts they come.
fn size() -> (usize, usize) {
    match std::env::var_os("GONEAWAY_TEST_LONG") {
        Some(_) => (10_000, 2_000),
        None => (1_200, 240),
    }
}

/// Of our own families, whatever there is to tell.
const MOST_SERIES: usize = 1_300;

/// For one round of everything, probe and scrape among it.
const MOST_CPU: Duration = Duration::from_millis(50);

/// The next packet and its number.
async fn packet(stream: &mut TcpStream) -> (Vec<u8>, u8) {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.expect("the server speaks");
    let mut payload = vec![0; u32::from_le_bytes([head[0], head[1], head[2], 0]) as usize];
    stream.read_exact(&mut payload).await.expect("all of it");
    (payload, head[3])
}

async fn send(stream: &mut TcpStream, number: u8, payload: &[u8]) {
    let length = (payload.len() as u32).to_le_bytes();
    let all = [&length[..3], &[number], payload].concat();
    stream.write_all(&all).await.expect("the server listens");
}

/// Logs in without a password, from a host of its own.
async fn log_in(port: u16, user: &str, host: Ipv4Addr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((host, 0).into()).expect("all of 127.0.0.0/8 is this machine");
    let server = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = socket.connect(server).await.expect("the server listens");
    let (greeting, _) = packet(&mut stream).await;
    let plugin = greeting[..greeting.len() - 1].rsplit(|byte| *byte == 0).next().expect("the name of a plugin");
    // Long password, protocol 4.1, secure connection, plugins.
    let capabilities: u32 = 0x1 | 0x200 | 0x8000 | 0x8_0000;
    let answer = [&capabilities.to_le_bytes(), &[0, 0, 0, 1, 45][..], &[0; 23], user.as_bytes(), &[0, 0], plugin, &[0]];
    send(&mut stream, 1, &answer.concat()).await;
    loop {
        let (said, number) = packet(&mut stream).await;
        match said.first() {
            Some(0) => return stream,
            // Another plugin: without a password there is nothing to say by that one either.
            Some(0xFE) => send(&mut stream, number + 1, &[]).await,
            Some(1) => {}
            _ => panic!("{user} from {host}: {}", String::from_utf8_lossy(&said)),
        }
    }
}

async fn visit(port: u16, user: String, host: Ipv4Addr) {
    let mut stream = log_in(port, &user, host).await;
    send(&mut stream, 0, &[1]).await;
    // Until the server has closed it.
    let mut rest = Vec::new();
    drop(stream.read_to_end(&mut rest).await);
}

fn host(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 1, (number / 250) as u8, (number % 250 + 1) as u8)
}

/// Each of these accounts opens so many connections.
async fn open(port: u16, accounts: impl Iterator<Item = usize>, times: usize) {
    let (_, hosts) = size();
    let visits = accounts.flat_map(|account| std::iter::repeat_n(account, times));
    let visits = visits.map(|account| visit(port, format!("app{account:05}"), host(account % hosts)));
    stream::iter(visits).buffer_unordered(8).collect::<Vec<()>>().await;
}

fn cpu(daemon: &Daemon) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).expect("it runs");
    let (_, after) = stat.rsplit_once(") ").expect("its name");
    let ticks: u64 = after.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().expect("a number")).sum();
    Duration::from_millis(ticks * 10)
}

/// The counters of connections by account and host.
fn opened(seen: &Exposition, target: &str) -> Vec<(String, f64)> {
    let prefix = format!("{OPENED}{{target=\"{target}\"");
    seen.starting_with(&prefix).map(|(series, count)| (series.to_owned(), count)).collect()
}

#[tokio::test]
async fn thousands_of_accounts_stay_few_series_and_nothing_falls() {
    let long = std::env::var_os("GONEAWAY_TEST_LONG").is_some();
    for kind in Kind::ALL.into_iter().filter(|kind| long || *kind != Kind::MariadbUnstable) {
        let options = [
            "performance-schema=ON",
            "performance-schema-accounts-size=12000",
            "performance-schema-users-size=12000",
            "performance-schema-hosts-size=3000",
            "skip-name-resolve",
            "max_connections=500",
        ];
        let Some(server) = Server::private(kind, &options).await else { continue };
        check(&server).await;
    }
}

async fn check(server: &Server) {
    let (accounts, hosts) = size();
    let (version, port) = (&server.version, server.port);
    server.sql("CREATE USER ''@'%'").await;
    open(port, 0..accounts, 1).await;
    let rows = server.query_one("SELECT COUNT(*) FROM performance_schema.accounts WHERE USER LIKE 'app%'").await;
    assert_eq!(rows, accounts.to_string(), "{version}: the server remembers them");
    let of_hosts = server.query_one("SELECT COUNT(DISTINCT HOST) FROM performance_schema.accounts").await;
    assert!(of_hosts.parse::<usize>().is_ok_and(|count| count >= hosts), "{version}: {of_hosts} hosts");

    let one = format!("address: \"127.0.0.1:{port}\"");
    let daemon = Daemon::start(&format!(
        "defaults: {{user: goneaway, password: goneaway, every: 2s, timeout: 2s, connect_timeout: 2s, \
         ladder: {{enabled: false}}}}\ntargets:\n  t: {{{one}}}\n  small: {{{one}, max_series: 1000}}\n"
    ))
    .await;
    let collected = |seen: &Exposition| {
        let last = "mysql_conn_exporter_collector_last_success_timestamp_seconds";
        let at =
            |target: &str| seen.plain(&format!("{last}{{target=\"{target}\",collector=\"collect.conn.accounts\"}}"));
        ["t", "small"].iter().all(|target| at(target).is_some_and(|at| at > 0.0))
    };
    daemon.until(Duration::from_secs(20), "the first collection", collected).await;

    // Those that open most are others each time; what stays open is of more accounts than are told apart.
    let mut held = Vec::new();
    for number in 0..200 {
        held.push(log_in(port, &format!("app{number:05}"), host(number % hosts)).await);
    }
    let mut last: Vec<(String, f64)> = Vec::new();
    for phase in 0..5 {
        let first = phase * accounts / 5;
        let opening = open(port, first..first + 60, 4 + phase);
        tokio::pin!(opening);
        loop {
            let is_over = tokio::select! {
                () = &mut opening => true,
                () = tokio::time::sleep(Duration::from_millis(100)) => false,
            };
            let now = opened(&daemon.scrape().await, "t");
            for (series, count) in &last {
                let after = now.iter().find(|(other, _)| other == series).map(|(_, count)| *count);
                assert!(
                    after.is_some_and(|after| after >= *count),
                    "{version}: {series} fell from {count} to {after:?}"
                );
            }
            last = now;
            if is_over {
                break;
            }
        }
    }
    // What was opened since the first look is told, in whatever series.
    let opened_by_phases: usize = (0..5).map(|phase| 60 * (4 + phase)).sum();
    let seen = daemon
        .until(Duration::from_secs(20), "all connections", |seen| {
            let all: f64 = opened(seen, "t").iter().map(|(_, count)| count).sum();
            all >= opened_by_phases as f64
        })
        .await;
    let of_others = seen.plain(&format!("{OPENED}{{target=\"t\",host_group=\"other\",user=\"other\"}}"));
    assert!(of_others.is_some_and(|count| count > 0.0), "{version}: {:#?}", opened(&seen, "t"));
    assert!(opened(&seen, "t").len() <= 21, "{version}: {:#?}", opened(&seen, "t"));

    let series = |target: &str, prefix: &str| {
        let label = format!("target=\"{target}\"");
        seen.starting_with(prefix).filter(|(series, _)| series.contains(&label)).count()
    };
    let own = series("t", "mysql_conn_");
    assert!(own < MOST_SERIES, "{version}: {own} series of our own");
    let told: f64 = seen.starting_with("mysql_conn_sessions{target=\"t\"").map(|(_, count)| count).sum();
    assert!(told >= held.len() as f64, "{version}: {told} sessions of {}", held.len());

    // Rounds, probes and a scrape of two targets, of which each is to cost so much at most.
    let rounds = 8;
    let every = 2;
    let (before, at) = (cpu(&daemon), Instant::now());
    while at.elapsed() < Duration::from_secs(rounds * every) {
        daemon.scrape().await;
        tokio::time::sleep(Duration::from_secs(every)).await;
    }
    let each = (cpu(&daemon) - before) / (2 * rounds as u32);
    let is_long = std::env::var_os("GONEAWAY_TEST_LONG").is_some();
    // The full number is run by itself, on a machine that has nothing else to do.
    assert!(!is_long || each < MOST_CPU, "{version}: {each:?} of CPU a round");

    // A target that may have fewer series than there are has no more, and says how many it left out.
    // What counters of our own have grown by in one round is room that the others lose in the next.
    let of_small =
        |seen: &Exposition| seen.starting_with("").filter(|(series, _)| series.contains("target=\"small\"")).count();
    let seen = daemon
        .until(Duration::from_secs(10), "the budget of series", |seen| (900..=1_050).contains(&of_small(seen)))
        .await;
    let dropped = "mysql_conn_exporter_series_dropped_total{target=\"small\",reason=\"budget\"}";
    assert!(seen.plain(dropped).is_some_and(|count| count > 0.0), "{version}: nothing was left out");
    assert_eq!(seen.plain(&dropped.replace("small", "t")), Some(0.0), "{version}");
    assert_eq!(seen.plain("mysql_up{target=\"small\"}"), Some(1.0), "{version}");
    daemon.stop().await;
    drop(held);
    println!("{version}: {accounts} accounts of {hosts} hosts are {own} series, {each:?} of CPU a round");
}
