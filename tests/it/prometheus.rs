//! Prometheus, and other programs of its house.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::daemon;
use super::servers::{self, process};

/// A program that `scripts/fetch` brought; where CI is set it must be there.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = servers::cache().map(|cache| cache.join("bin").join(name)).filter(|path| path.exists());
    if path.is_none() {
        assert!(std::env::var_os("CI").is_none(), "there is no {name} on this machine: run scripts/fetch");
        println!("skipped: there is no {name} on this machine: run scripts/fetch");
    }
    path
}

/// A running Prometheus that scrapes one daemon.
pub(crate) struct Prometheus {
    child: Child,
    pub(crate) address: SocketAddr,
    directory: PathBuf,
}

impl Prometheus {
    /// Scrapes every second; `more` goes on with the lines of the job.
    pub(crate) fn start(program: &PathBuf, daemon: SocketAddr, more: &str) -> Prometheus {
        let configuration = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\n\
             scrape_configs:\n- job_name: mysql\n  static_configs: [{{targets: ['{daemon}']}}]\n{more}"
        );
        Prometheus::configured(program, &configuration, &[])
    }

    /// With a whole configuration, and files beside it.
    pub(crate) fn configured(program: &PathBuf, configuration: &str, files: &[(&str, String)]) -> Prometheus {
        let address = free_address();
        let directory = process::directory();
        for (name, text) in files {
            fs::write(directory.join(name), text).expect("the directory was just made");
        }
        let file = directory.join("prometheus.yml");
        fs::write(&file, configuration).expect("the directory was just made");
        let log = fs::File::create(directory.join("log")).expect("the directory was just made");
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let child = process::spawn(command).expect("Prometheus runs");
        Prometheus { child, address, directory }
    }

    /// The value of a query that has one, awaited.
    pub(crate) async fn value(&self, query: &str, holds: impl Fn(f64) -> bool) -> f64 {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(value) = self.ask(query).await.filter(|value| holds(*value)) {
                return value;
            }
            let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
            assert!(Instant::now() < end, "Prometheus does not have {query}; its log:\n{log}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn ask(&self, query: &str) -> Option<f64> {
        let path = format!("/api/v1/query?query={}", query.replace(' ', "%20").replace('"', "%22"));
        self.get(&path).await?["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }

    /// What its API answers; none while it does not listen yet.
    pub(crate) async fn get(&self, path: &str) -> Option<serde_json::Value> {
        tokio::net::TcpStream::connect(self.address).await.ok()?;
        serde_json::from_slice(&daemon::get_in(self.address, path, "", "1.0").await.body).ok()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("it is bound")
}
