//! Who holds the connections: three hundred of five applications, told as they are.

use std::collections::BTreeMap;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};

use super::daemon::{Daemon, watching};
use super::exposition::Exposition;
use super::servers::{Kind, Server};

/// An application: its account, its program, how many of its sessions rest, and how many of them in a transaction.
struct Application {
    user: &'static str,
    program: &'static str,
    resting: usize,
    in_transaction: usize,
}

const APPLICATIONS: [Application; 5] = [
    Application { user: "shop", program: "web", resting: 120, in_transaction: 3 },
    Application { user: "shop", program: "worker", resting: 80, in_transaction: 0 },
    Application { user: "billing", program: "billing", resting: 50, in_transaction: 7 },
    Application { user: "report", program: "report", resting: 40, in_transaction: 1 },
    Application { user: "cron", program: "cron", resting: 10, in_transaction: 0 },
];

/// After which a session of the first kind is near its timeout, at 80 % of it.
const WAIT_TIMEOUT: &str = "30";
const OLD: Duration = Duration::from_secs(26);

async fn open(server: &Server, application: &Application) -> Conn {
    let attributes = [("program_name".to_owned(), application.program.to_owned())];
    let options = OptsBuilder::default()
        .prefer_socket(false)
        .ip_or_hostname("127.0.0.1")
        .tcp_port(server.port)
        .user(Some(application.user))
        .pass(Some("secret"))
        .max_allowed_packet(Some(16 << 20))
        .wait_timeout(Some(600))
        .setup(vec!["SET SESSION wait_timeout = 600"])
        .connect_attributes(attributes.into_iter().collect());
    Conn::new(options).await.unwrap_or_else(|error| panic!("{}: {error}", server.version))
}

/// The sum of the series of a family that have all of these labels.
fn sum(seen: &Exposition, family: &str, labels: &[&str]) -> f64 {
    let prefix = format!("{family}{{");
    let of = seen.starting_with(&prefix).filter(|(series, _)| labels.iter().all(|label| series.contains(label)));
    of.map(|(_, value)| value).sum()
}

#[tokio::test]
async fn sessions_are_told_as_they_are_with_and_without_performance_schema() {
    let kinds = Kind::ALL.map(|kind| {
        tokio::spawn(async move {
            for schema in ["ON", "OFF"] {
                tell(kind, schema).await;
            }
        })
    });
    for kind in kinds {
        kind.await.expect("the sessions of this server are told otherwise");
    }
}

async fn tell(kind: Kind, schema: &str) {
    let options =
        [&format!("performance-schema={schema}"), "max_connections=500", &format!("wait_timeout={WAIT_TIMEOUT}")];
    let Some(server) = Server::private(kind, &options).await else { return };
    server.sql("CREATE DATABASE d").await;
    server.sql("CREATE TABLE d.t (a INT) ENGINE=InnoDB").await;
    server.sql("INSERT INTO d.t VALUES (1)").await;
    let users: BTreeMap<&str, ()> = APPLICATIONS.iter().map(|application| (application.user, ())).collect();
    for user in users.keys() {
        server.sql(&format!("CREATE USER {user}@'%' IDENTIFIED BY 'secret'")).await;
        server.sql(&format!("GRANT SELECT ON d.* TO {user}@'%'")).await;
    }
    server.sql("ALTER USER cron@'%' WITH MAX_USER_CONNECTIONS 20").await;
    server.sql("GRANT SELECT (User, max_user_connections) ON mysql.user TO goneaway@'%'").await;
    // One of each is old: it opened first, and rests since then.
    let mut held = Vec::new();
    for application in &APPLICATIONS {
        held.push(open(&server, application).await);
    }
    tokio::time::sleep(OLD).await;
    for application in &APPLICATIONS {
        for number in 1..application.resting {
            let mut conn = open(&server, application).await;
            if number <= application.in_transaction {
                conn.query_drop("START TRANSACTION").await.expect("it may");
                let _: Vec<i64> = conn.query("SELECT a FROM d.t").await.expect("it may");
            }
            held.push(conn);
        }
    }
    // And one that works.
    let mut working = open(&server, &APPLICATIONS[0]).await;
    let work = tokio::spawn(async move {
        // Ended with the server.
        let _ = working.query_drop("SELECT SLEEP(60)").await;
    });
    let daemon = Daemon::start(&watching(&server, "    every: 1s\n    timeout: 1s\n    connect_timeout: 1s\n")).await;
    let seen = daemon
        .until(Duration::from_secs(10), "all sessions", |seen| sum(seen, "mysql_conn_sessions", &[]) >= 301.0)
        .await;
    let version = format!("{} with performance_schema {schema}", server.version);
    let told: Vec<(&str, f64)> = seen.starting_with("mysql_conn_sessions{").collect();
    // The servers of tests have no other sessions but root's, which come and go.
    let of = |labels: &[&str]| sum(&seen, "mysql_conn_sessions", labels);
    for application in &APPLICATIONS {
        let user = format!("user=\"{}\"", application.user);
        let program = format!("program=\"{}\"", application.program);
        let labels: &[&str] = match schema {
            "ON" => &[&user, &program, "state=\"sleep\""],
            _ => continue,
        };
        assert_eq!(of(labels), application.resting as f64, "{version}: {told:#?}");
    }
    for user in users.keys() {
        let mine = || APPLICATIONS.iter().filter(|application| application.user == *user);
        let (resting, in_transaction): (usize, usize) =
            mine().fold((0, 0), |sums, one| (sums.0 + one.resting, sums.1 + one.in_transaction));
        let user = format!("user=\"{user}\"");
        let user = user.as_str();
        assert_eq!(of(&[user, "state=\"sleep\""]), resting as f64, "{version}: {told:#?}");
        let value = |family: &str| seen.of(family, user).unwrap_or_else(|| panic!("{version}: no {family} of {user}"));
        assert_eq!(value("mysql_conn_sessions_idle_in_transaction"), in_transaction as f64, "{version}");
        assert_eq!(value("mysql_conn_sessions_near_timeout"), mine().count() as f64, "{version}");
        let oldest = value("mysql_conn_sessions_idle_oldest_seconds");
        assert!((26.0..60.0).contains(&oldest), "{version}: {oldest}");
        let of_transaction = value("mysql_conn_sessions_idle_in_transaction_oldest_seconds");
        assert!(of_transaction < 30.0, "{version}: {of_transaction}");
        let histogram = |suffix: &str, le: &str| {
            let name = format!("mysql_conn_sessions_idle_age_seconds{suffix}");
            let labels = if le.is_empty() { user.to_owned() } else { format!("{user},le=\"{le}\"") };
            seen.of(&name, &labels).unwrap_or_else(|| panic!("{version}: no {name} {labels}"))
        };
        assert_eq!(histogram("_gcount", ""), resting as f64, "{version}");
        assert_eq!(histogram("_bucket", "10.0"), (resting - mine().count()) as f64, "{version}");
        assert_eq!(histogram("_bucket", "60.0"), resting as f64, "{version}");
    }
    assert_eq!(of(&["user=\"shop\"", "state=\"active\""]), 1.0, "{version}: {told:#?}");
    assert_eq!(of(&["user=\"goneaway\""]), 0.0, "{version}: our own sessions are left out: {told:#?}");
    assert_eq!(seen.of("mysql_conn_headroom_ratio", "scope=\"account\",user=\"cron\""), Some(0.5), "{version}");
    let own = seen.starting_with("mysql_conn_").filter(|(series, _)| series.contains("target=\"t\"")).count();
    println!("{version}: {} series of sessions, {own} of our own in all", told.len());

    if schema == "ON" {
        // Forty more of one application are opened and closed; a wrong password is told where the server tells.
        let opened = |seen: &Exposition| sum(seen, "mysql_conn_sessions_opened_total", &["user=\"cron\""]);
        let before = opened(&daemon.scrape().await);
        for _ in 0..4 {
            open(&server, &APPLICATIONS[4]).await.disconnect().await.expect("in order");
        }
        daemon
            .until(Duration::from_secs(5), "four more", |seen| (opened(seen) - before - 4.0).abs() < f64::EPSILON)
            .await;
    }
    if kind == Kind::MysqlUnstable && schema == "ON" {
        assert_eq!(seen.of("mysql_conn_sessions_tls", "version=\"none\""), Some(301.0), "{version}");
    }
    // MySQL counts them in the performance schema.
    if kind.is_mariadb() || schema == "ON" {
        let errors = server.raised_errors().await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(server.raised_errors().await, errors, "{version}: errors in the server");
    }
    daemon.stop().await;
    work.abort();
    drop(held);
}
