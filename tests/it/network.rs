//! A network of our own: client, router and server, each in a namespace, so that faults happen on a real TCP path.
//!
//! ```text
//! client 10.77.1.2 --- 10.77.1.1 router 10.77.2.1 --- 10.77.2.2 (and .3) server
//! ```
//!
//! A namespace lives as long as somebody holds its descriptor, which ends with the test process: nothing is left on
//! the machine, and nothing of the machine's own network is touched. It needs root, and `ip` and `nft`, which
//! `scripts/fetch` brings.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::servers::{cache, process};

pub(crate) const CLIENT: &str = "10.77.1.2";
pub(crate) const ROUTER: &str = "10.77.1.1";
pub(crate) const SERVER: &str = "10.77.2.2";
pub(crate) const OTHER: &str = "10.77.2.3";

/// A network namespace. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Namespace(Arc<File>);

impl Namespace {
    fn new() -> io::Result<Namespace> {
        // The thread is in the new one, and ends; what it opened stays.
        let made = thread::spawn(|| {
            // SAFETY: a system call that changes the network namespace of this thread only.
            match unsafe { libc::unshare(libc::CLONE_NEWNET) } {
                0 => File::open("/proc/thread-self/ns/net"),
                _ => Err(io::Error::last_os_error()),
            }
        });
        Ok(Namespace(Arc::new(made.join().expect("opening a file does not panic")?)))
    }

    /// Has the command run inside.
    pub(crate) fn enter(&self, command: &mut Command) {
        let file = self.0.clone();
        // SAFETY: setns is one system call, allowed between fork and exec.
        unsafe {
            command.pre_exec(move || match libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            });
        }
    }

    /// Does something on a thread that is inside.
    pub(crate) fn within<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let file = self.0.clone();
        let inside = thread::spawn(move || {
            // SAFETY: a system call that changes the network namespace of this thread only.
            let entered = unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) };
            assert_eq!(entered, 0, "{}", io::Error::last_os_error());
            job()
        });
        inside.join().expect("the job does not panic")
    }

    /// A connection from inside, for use outside.
    pub(crate) fn connect(&self, address: SocketAddr) -> io::Result<tokio::net::TcpStream> {
        let stream = self.within(move || std::net::TcpStream::connect(address))?;
        stream.set_nonblocking(true)?;
        tokio::net::TcpStream::from_std(stream)
    }

    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    fn run(&self, program: &str, arguments: &str) {
        let mut command = Command::new(tool(program));
        command.args(arguments.split(' '));
        self.enter(&mut command);
        let output = command.output().unwrap_or_else(|error| panic!("{program}: {error}"));
        let says = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments}: {says}");
    }

    fn ip(&self, arguments: &str) {
        self.run("ip", arguments);
    }
}

/// The program of `scripts/fetch`.
fn tool(program: &str) -> PathBuf {
    cache().map(|cache| cache.join("bin").join(program)).unwrap_or_else(|| program.into())
}

pub(crate) struct Network {
    pub(crate) client: Namespace,
    pub(crate) router: Namespace,
    pub(crate) server: Namespace,
}

impl Network {
    /// A new one; none, with a word, where there is no right to make it.
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    pub(crate) fn new() -> Option<Network> {
        let missing = match Namespace::new() {
            Ok(_) if !tool("nft").exists() || !tool("ip").exists() => "run scripts/fetch nftables iproute2".to_owned(),
            Ok(_) => return Some(Network::build().expect("where one can be made, more can")),
            Err(error) => error.to_string(),
        };
        assert!(std::env::var_os("CI").is_none(), "no network namespaces: {missing}");
        eprintln!("skipped: no network namespaces: {missing}");
        None
    }

    fn build() -> io::Result<Network> {
        let network = Network { client: Namespace::new()?, router: Namespace::new()?, server: Namespace::new()? };
        let Network { client, router, server } = &network;
        for (side, far, ours) in [("c", client, "10.77.1.1/24"), ("s", server, "10.77.2.1/24")] {
            router.ip(&format!("link add {side} type veth peer name eth0 netns {}", far.path()));
            router.ip(&format!("addr add {ours} dev {side}"));
            router.ip(&format!("link set {side} up"));
        }
        for (far, addresses, way) in
            [(client, [CLIENT].as_slice(), ROUTER), (server, [SERVER, OTHER].as_slice(), "10.77.2.1")]
        {
            for address in addresses {
                far.ip(&format!("addr add {address}/24 dev eth0"));
            }
            far.ip("link set eth0 up");
            far.ip("link set lo up");
            far.ip(&format!("route add default via {way}"));
        }
        router.ip("link set lo up");
        router.within(|| fs::write("/proc/sys/net/ipv4/ip_forward", "1"))?;
        network.nft("add table inet fault");
        network.nft("add chain inet fault forward { type filter hook forward priority 0 ; }");
        Ok(network)
    }

    /// A command to the router's firewall.
    pub(crate) fn nft(&self, command: &str) {
        self.router.run("nft", command);
    }

    /// A rule for what passes the router.
    pub(crate) fn forward(&self, rule: &str) {
        self.nft(&format!("add rule inet fault forward {rule}"));
    }

    /// All rules are gone.
    pub(crate) fn heal(&self) {
        self.nft("flush chain inet fault forward");
    }

    /// The router forgets what rested for so many seconds, and drops what it does not know.
    pub(crate) fn forget_after(&self, seconds: u32) {
        self.router.within(move || {
            let set = |name: &str, value: &str| {
                fs::write(format!("/proc/sys/net/netfilter/{name}"), value).expect("the kernel tracks connections");
            };
            set("nf_conntrack_tcp_timeout_established", &seconds.to_string());
            set("nf_conntrack_tcp_timeout_unacknowledged", &seconds.to_string());
            set("nf_conntrack_tcp_loose", "0");
        });
        self.forward("ct state invalid drop");
    }

    /// The client has no way to anywhere.
    pub(crate) fn lose_route(&self) {
        self.client.ip("route del default");
    }

    pub(crate) fn find_route(&self) {
        self.client.ip(&format!("route add default via {ROUTER}"));
    }

    /// The client's ports of the connections to port 3306 that are open now.
    pub(crate) fn client_ports(&self) -> Vec<u16> {
        let table = self.client.within(|| fs::read_to_string("/proc/thread-self/net/tcp")).expect("Linux has it");
        let port = |field: &str| u16::from_str_radix(field.rsplit_once(':')?.1, 16).ok();
        let open = table.lines().skip(1).filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (ours, theirs, state) = (port(fields.get(1)?)?, port(fields.get(2)?)?, *fields.get(3)?);
            (theirs == 3306 && state == "01").then_some(ours)
        });
        open.collect()
    }
}

/// HAProxy on the router, in front of the server.
pub(crate) struct Proxy {
    network: Namespace,
    file: PathBuf,
    child: Option<Child>,
}

impl Proxy {
    /// Starts one with these timeouts, in milliseconds, and waits until it listens.
    pub(crate) async fn start(network: &Network, client: u32, server: u32) -> Proxy {
        let file = process::directory().join("haproxy.cfg");
        let configuration = format!(
            "global\n  maxconn 200\ndefaults\n  mode tcp\n  timeout connect 1s\n  timeout client {client}ms\n  timeout server \
             {server}ms\nlisten db\n  bind {ROUTER}:3306\n  server one {SERVER}:3306\n"
        );
        fs::write(&file, configuration).expect("the temporary directory is ours");
        let mut proxy = Proxy { network: network.router.clone(), file, child: None };
        proxy.run().await;
        proxy
    }

    pub(crate) async fn run(&mut self) {
        let mut command = Command::new(tool("haproxy"));
        command.arg("-db").arg("-f").arg(&self.file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.network.enter(&mut command);
        self.child = Some(process::spawn(command).expect("scripts/fetch has brought it"));
        let end = Instant::now() + Duration::from_secs(10);
        let address: SocketAddr = format!("{ROUTER}:3306").parse().expect("an address");
        // Connecting would reach the server and count there.
        let listens = |table: String| table.lines().any(|line| line.contains(":0CEA 00000000:0000 0A"));
        while !self.network.within(|| fs::read_to_string("/proc/thread-self/net/tcp")).is_ok_and(listens) {
            assert!(Instant::now() < end, "HAProxy does not listen on {address}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it is our child");
            child.wait().expect("it is our child");
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
