//! A network, a server, perhaps a proxy, and a goneaway that has warmed up.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::super::daemon::Daemon;
use super::super::network::{CLIENT, Network, OTHER, Proxy, ROUTER, SERVER};
use super::super::servers::{Kind, Server, process};
use super::{Fault, Strike, Way};

pub(super) struct World {
    pub(super) network: Network,
    pub(super) server: Server,
    pub(super) daemon: Daemon,
    proxy: Option<Proxy>,
    other: Option<Server>,
    hosts: PathBuf,
}

impl World {
    /// Builds it, and waits until the pool's connections have been used. None where there can be none.
    pub(super) async fn build(fault: &Fault, kind: Kind) -> Option<World> {
        let network = Network::new()?;
        let server = Server::placed(kind, &[fault.server, &["server-id=1"]].concat(), &network.server, SERVER).await?;
        let other = match fault.way {
            Way::Named => Some(Server::placed(kind, &["server-id=2"], &network.server, OTHER).await?),
            _ => None,
        };
        let proxy = match fault.way {
            Way::Proxied(client, server) => Some(Proxy::start(&network, client, server).await),
            _ => None,
        };
        let hosts = process::directory().join("hosts");
        fs::write(&hosts, format!("127.0.0.1 localhost\n{SERVER} db.test\n")).expect("ours");
        let address = match fault.way {
            Way::Direct => SERVER,
            Way::Proxied(..) => ROUTER,
            Way::Named => "db.test",
        };
        let ladder = match fault.has_ladder {
            true => "{cap: 8s, ages: [1s, 2s, 4s], precision: 250ms, stagger: 400ms}",
            false => "{enabled: false}",
        };
        // As the file has it in one line, with a comment to make it long.
        let pool = fault.pool.replace("LARGE", &format!("\"SELECT /* {} */ 1\"", "x".repeat(100_000)));
        let configuration = format!(
            "targets:\n  t:\n    address: {address}:3306\n    user: goneaway\n    password: goneaway\n    every: 1s\n    \
             timeout: 1s\n    connect_timeout: 1s\n    give_up_after: 6s\n    backoff: {{floor: 100ms, first: 200ms, \
             cap: 1s}}\n    ladder: {ladder}\n    pools:\n      default:\n        recycle: never\n        \
             connect_timeout: 1s\n        read_timeout: 1s\n        {pool}\n"
        );
        let daemon = Daemon::start_at(&configuration, Some((&network.client, &hosts))).await;
        let warm = |seen: &super::super::exposition::Exposition| {
            let opened = seen.of("mysql_conn_pool_opened_total", "pool=\"default\",result=\"ok\"");
            seen.up() && seen.has_copied() && opened.is_some_and(|opened| opened >= 2.0)
        };
        daemon.until(Duration::from_secs(10), "a warm pool", warm).await;
        // Where resting is all that happens, it has begun; else each connection is to have rested a while.
        if fault.strike != Strike::None {
            tokio::time::sleep(Duration::from_millis(2500)).await;
        }
        Some(World { network, server, daemon, proxy, other, hosts })
    }

    /// Losses that have their cause, by cause, whosever they were.
    pub(super) async fn lost(&self) -> BTreeMap<String, f64> {
        let seen = self.daemon.scrape().await;
        let mut lost = BTreeMap::new();
        for (series, count) in seen.starting_with("mysql_conn_lost_total{") {
            let cause = series.split("cause=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a cause");
            *lost.entry(cause.to_owned()).or_default() += count;
        }
        lost
    }

    /// Waits until the ladder knows the limit, and says what else than `unknown` was lost before.
    pub(super) async fn learn(&self, expected: &str, within: Duration) -> Vec<String> {
        let knows = |seen: &super::super::exposition::Exposition| match expected {
            "wait_timeout" => seen.of("mysql_conn_idle_limit_owner", "owner=\"server\"") == Some(1.0),
            _ => seen.of("mysql_conn_idle_lost_min_seconds", "").is_some(),
        };
        self.daemon.until(within, "what the ladder is to learn", knows).await;
        // A loss that was noticed before has its verdict soon.
        self.settle(Duration::from_secs(5)).await;
        let lost = self.lost().await;
        let otherwise = lost.iter().filter(|(cause, count)| **count > 0.0 && *cause != "unknown" && *cause != expected);
        otherwise.map(|(cause, count)| format!("{cause} +{count} while it learned")).collect()
    }

    pub(super) async fn strike(&mut self, strike: Strike) {
        let pause = |millis| tokio::time::sleep(Duration::from_millis(millis));
        match strike {
            Strike::None => {}
            Strike::Kill => {
                let longest = "SELECT id FROM information_schema.processlist WHERE user = 'goneaway' AND command = \
                               'Sleep' ORDER BY time DESC, id LIMIT 1";
                let id = self.server.query_one(longest).await;
                self.server.sql(&format!("KILL {id}")).await;
            }
            Strike::Restart => {
                self.server.shutdown().await;
                pause(1500).await;
                self.server.start().await;
            }
            Strike::Crash => {
                self.server.kill();
                pause(1500).await;
                self.server.start().await;
            }
            Strike::ShutdownForGood => self.server.shutdown().await,
            Strike::Freeze => self.server.freeze().await,
            Strike::ProxyKilled => {
                let proxy = self.proxy.as_mut().expect("this world has one");
                proxy.kill();
                pause(1000).await;
                proxy.run().await;
            }
            Strike::StateLostReset | Strike::StateLostSilent => {
                let ports: Vec<String> = self.network.client_ports().iter().map(u16::to_string).collect();
                assert!(ports.len() >= 2, "{ports:?}");
                let ports = ports.join(", ");
                match strike {
                    Strike::StateLostReset => {
                        let rule = format!("ip saddr {CLIENT} tcp sport {{ {ports} }} reject with tcp reset");
                        self.network.forward(&rule);
                        self.network.forward(&format!("ip daddr {CLIENT} tcp dport {{ {ports} }} drop"));
                    }
                    _ => {
                        self.network.forward(&format!("tcp sport {{ {ports} }} drop"));
                        self.network.forward(&format!("tcp dport {{ {ports} }} drop"));
                    }
                }
            }
            Strike::RouteLost => {
                self.network.lose_route();
                pause(5000).await;
                self.network.find_route();
            }
            Strike::Offline => self.server.sql("SET GLOBAL offline_mode = ON").await,
            Strike::Failover => {
                // In place: the file is bound into the program's view.
                fs::write(&self.hosts, format!("127.0.0.1 localhost\n{OTHER} db.test\n")).expect("ours");
                assert!(self.other.is_some());
                self.server.kill();
            }
        }
    }

    /// Waits until no loss is undecided, and a while for those that nobody has noticed.
    pub(super) async fn settle(&self, within: Duration) {
        let end = Instant::now() + within;
        tokio::time::sleep(Duration::from_millis(3500)).await;
        while Instant::now() < end {
            let answer = self.daemon.get("/health/detailed").await;
            let health: serde_json::Value = serde_json::from_str(answer.text()).expect("JSON");
            let undecided = &health["checks"]["t:undecidedLosses"];
            if undecided[0]["observedValue"] == 0 && undecided[1]["observedValue"] == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// How much more was lost than before, by causes that fit.
pub(super) fn lost_by(now: &BTreeMap<String, f64>, before: &BTreeMap<String, f64>, fits: impl Fn(&str) -> bool) -> f64 {
    let moved = |(cause, count): (&String, &f64)| count - before.get(cause).copied().unwrap_or(0.0);
    now.iter().filter(|(cause, _)| fits(cause)).map(moved).sum()
}
