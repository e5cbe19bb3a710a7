//! The real program, started as an operator would start it: a configuration file, a port of its own choosing.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::exposition::Exposition;
use super::network::Namespace;
use super::servers::{Server, process};

/// A running goneaway. It is told to stop when dropped.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
    directory: PathBuf,
    /// Its network, where that is not the machine's.
    place: Option<Namespace>,
}

/// One HTTP answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("answers are UTF-8")
    }
}

/// A configuration for one server and the account `goneaway`.
pub(crate) fn watching(server: &Server, more: &str) -> String {
    format!(
        "targets:\n  t:\n    address: 127.0.0.1:{}\n    user: goneaway\n    password: goneaway\n{more}",
        server.port
    )
}

/// Runs the program to its end with a configuration.
pub(crate) fn run(configuration: &str, arguments: &[&str]) -> Output {
    let directory = process::directory();
    let file = directory.join("exporter.yaml");
    fs::write(&file, configuration).expect("the temporary directory is ours");
    let output = program()
        .arg("--config.file")
        .arg(&file)
        .args(arguments)
        .output()
        .expect("the program was built for this test");
    let _ = fs::remove_dir_all(&directory);
    output
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_goneaway"));
    command.env_clear().stdin(Stdio::null());
    command
}

impl Daemon {
    /// Starts with this configuration (without its `web` part) and waits until it listens.
    pub(crate) async fn start(configuration: &str) -> Daemon {
        Daemon::start_at(configuration, None).await
    }

    /// The same with files beside the configuration.
    pub(crate) async fn start_beside(configuration: &str, files: &[(&str, &str)]) -> Daemon {
        let directory = process::directory();
        for (name, text) in files {
            fs::write(directory.join(name), text).expect("the temporary directory is ours");
        }
        Daemon::start_in(directory, configuration, None).await
    }

    /// The same in a network of its own, with these lines in the place of /etc/hosts.
    pub(crate) async fn start_at(configuration: &str, place: Option<(&Namespace, &Path)>) -> Daemon {
        Daemon::start_in(process::directory(), configuration, place).await
    }

    async fn start_in(directory: PathBuf, configuration: &str, place: Option<(&Namespace, &Path)>) -> Daemon {
        let file = directory.join("exporter.yaml");
        fs::write(&file, configuration).expect("the temporary directory is ours");
        let mut command = program();
        if let Some((place, hosts)) = place {
            // In a mount namespace of its own: nobody else's /etc/hosts changes.
            command = Command::new("unshare");
            command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
            command.args(["-m", "sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\""]);
            command.arg(hosts).arg(env!("CARGO_BIN_EXE_goneaway"));
            place.enter(&mut command);
        }
        command.arg("--config.file").arg(&file).args(["--web.listen-address", "127.0.0.1:0"]).stderr(Stdio::piped());
        let mut child = process::spawn(command).expect("the program was built for this test");
        let log = Arc::new(Mutex::new(Vec::new()));
        let (listening, heard) = tokio::sync::oneshot::channel();
        let lines = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let kept = log.clone();
        // Ends when the program closes its stderr.
        std::thread::spawn(move || {
            let mut listening = Some(listening);
            for line in lines.lines().map_while(Result::ok) {
                let address = line.split_once("listening=").and_then(|(_, rest)| {
                    rest.trim_matches('"').split([' ', '"', ',']).next()?.parse::<SocketAddr>().ok()
                });
                if let (Some(address), Some(sender)) = (address, listening.take_if(|_| address.is_some())) {
                    let _ = sender.send(address);
                }
                kept.lock().expect("no holder panics").push(line);
            }
        });
        let address = match tokio::time::timeout(Duration::from_secs(10), heard).await {
            Ok(Ok(address)) => address,
            _ => {
                let _ = child.kill();
                panic!("the daemon did not say where it listens; its log: {:#?}", log.lock());
            }
        };
        Daemon { child, address, log, directory, place: place.map(|(place, _)| place.clone()) }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().expect("no holder panics").clone()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_with(path, "").await
    }

    /// A request with more header lines, each ended by CRLF.
    pub(crate) async fn get_with(&self, path: &str, headers: &str) -> Answer {
        match &self.place {
            None => get(self.address, path, headers).await,
            Some(place) => {
                let stream = place.connect(self.address).expect("it listens");
                ask(stream, "GET", path, headers, "1.1").await
            }
        }
    }

    pub(crate) async fn post(&self, path: &str) -> Answer {
        self.post_with(path, "").await
    }

    pub(crate) async fn post_with(&self, path: &str, headers: &str) -> Answer {
        let stream = TcpStream::connect(self.address).await.expect("it listens");
        ask(stream, "POST", path, &format!("Content-Length: 0\r\n{headers}"), "1.1").await
    }

    /// The events of a kind, as JSON.
    pub(crate) async fn events(&self, kind: &str) -> Vec<serde_json::Value> {
        let answer = self.get(&format!("/events?kind={kind}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let document: serde_json::Value = serde_json::from_str(answer.text()).expect("JSON");
        document["events"].as_array().expect("a list").clone()
    }

    pub(crate) async fn scrape(&self) -> Exposition {
        let answer = self.get("/metrics").await;
        assert_eq!(answer.status, 200, "{}", answer.head);
        Exposition::parse(answer.text())
    }

    /// Scrapes until the condition holds, and returns that scrape.
    pub(crate) async fn until(&self, within: Duration, what: &str, holds: impl Fn(&Exposition) -> bool) -> Exposition {
        let end = Instant::now() + within;
        loop {
            let seen = self.scrape().await;
            if holds(&seen) {
                return seen;
            }
            assert!(Instant::now() < end, "not within {within:?}: {what}; log: {:#?}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Writes its configuration anew; nothing is read before somebody wants it.
    pub(crate) fn reconfigure(&self, configuration: &str) {
        self.write("exporter.yaml", configuration);
    }

    /// Writes a file beside its configuration.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.directory.join(name), text).expect("the temporary directory is ours");
    }

    /// A file beside its configuration.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Sends SIGHUP.
    pub(crate) fn hang_up(&self) {
        // SAFETY: a plain system call; the child has not been waited for, so the pid is still its own.
        unsafe { libc::kill(self.pid() as libc::pid_t, libc::SIGHUP) };
    }

    /// Runs a command with its configuration, to the end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = program();
        command.arg("--config.file").arg(self.directory.join("exporter.yaml")).args(arguments);
        let ended = tokio::task::spawn_blocking(move || command.output()).await;
        ended.expect("it does not panic").expect("the program was built for this test")
    }

    /// Resident memory in bytes and open descriptors, from /proc.
    pub(crate) fn footprint(&self) -> (u64, usize) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("every process has it");
        let kilobytes: u64 = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number");
        let descriptors = fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("it runs").count();
        (kilobytes * 1024, descriptors)
    }

    /// Sends SIGTERM and returns how long it took to exit, and its exit code.
    pub(crate) async fn stop(mut self) -> (Duration, Option<i32>) {
        let began = Instant::now();
        self.terminate();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return (began.elapsed(), status.code());
            }
            assert!(began.elapsed() < Duration::from_secs(20), "does not stop; log: {:#?}", self.log());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    fn terminate(&self) {
        // SAFETY: a plain system call; the child has not been waited for, so the pid is still its own.
        unsafe { libc::kill(self.pid() as libc::pid_t, libc::SIGTERM) };
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// One request on a connection of its own.
pub(crate) async fn get(address: SocketAddr, path: &str, headers: &str) -> Answer {
    get_in(address, path, headers, "1.1").await
}

/// The same in another version of HTTP: in 1.0 nobody answers in chunks.
pub(crate) async fn get_in(address: SocketAddr, path: &str, headers: &str, version: &str) -> Answer {
    let stream = TcpStream::connect(address).await.expect("it listens");
    ask(stream, "GET", path, headers, version).await
}

/// One request on a stream that is open, and closed then.
pub(crate) async fn ask(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    method: &str,
    path: &str,
    headers: &str,
    version: &str,
) -> Answer {
    let request = format!("{method} {path} HTTP/{version}\r\nHost: test\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("it answers and closes");
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer has a head");
    let head = String::from_utf8(bytes[..end].to_vec()).expect("heads are ASCII");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("an answer has a status");
    assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "answers have a length: {head}");
    Answer { status, head, body: bytes[end + 4..].to_vec() }
}
