//! Where the daemon listens: several addresses at once, unix sockets, sockets that systemd passes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tokio::net::UnixStream;

use super::daemon::{Answer, ask, get};
use super::servers::process;

/// A directory of one test, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        Folder(process::directory())
    }

    fn socket(&self) -> PathBuf {
        self.0.join("metrics.sock")
    }

    fn unix(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    /// A configuration with this part `web`; nobody listens at its target.
    fn configured(&self, web: &str) -> Command {
        let file = self.0.join("exporter.yaml");
        let text = format!("web: {web}\ntargets: {{t: {{address: 127.0.0.1:9}}}}\n");
        fs::write(&file, text).expect("the directory is ours");
        let mut command = program();
        command.arg("--config.file").arg(file);
        command
    }

    /// mysqld_exporter's flags.
    fn flags(&self, flags: &[&str]) -> Command {
        let mut command = program();
        command.current_dir(&self.0).args(["--mysqld.username=u", "--mysqld.address=127.0.0.1:9"]).args(flags);
        command
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_goneaway"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// A daemon that has said where it listens.
#[derive(Debug)]
struct Running {
    child: Child,
    addresses: Vec<String>,
    /// One for each address.
    lines: Vec<String>,
}

impl Running {
    fn start(mut command: Command) -> Running {
        command.stderr(Stdio::piped());
        let mut child = process::spawn(command).expect("the program was built for this test");
        let mut lines = BufReader::new(child.stderr.take().expect("stderr is piped")).lines().map_while(Result::ok);
        let mut told = Vec::new();
        let started = lines.by_ref().inspect(|line| told.push(line.clone())).find(|line| line.contains("listening="));
        let Some(started) = started else { panic!("it did not start: {told:#?}") };
        let (_, list) = started.split_once("listening=").expect("it was found by this");
        let addresses: Vec<String> = list.trim().split(',').map(str::to_owned).collect();
        let lines_of_addresses = lines.by_ref().take(addresses.len()).collect();
        // Read on, so that it can write on; ends with the program.
        std::thread::spawn(move || lines.for_each(drop));
        Running { child, addresses, lines: lines_of_addresses }
    }

    fn tcp(&self, at: usize) -> SocketAddr {
        self.addresses[at].parse().unwrap_or_else(|_| panic!("no address of TCP: {:?}", self.addresses))
    }

    fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Its exit code after SIGTERM.
    fn stop(mut self) -> Option<i32> {
        // SAFETY: a plain system call; the child has not been waited for, so the pid is still its own.
        unsafe { libc::kill(self.child.id() as libc::pid_t, libc::SIGTERM) };
        self.child.wait().expect("it is our child").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn at_socket(path: &Path) -> Answer {
    let stream = UnixStream::connect(path).await.expect("it listens");
    ask(stream, "GET", "/metrics", "", "1.1").await
}

/// The message of a daemon that cannot start, without the name of the folder.
fn refused(folder: &Folder, mut command: Command) -> String {
    let Output { status, stderr, .. } = command.output().expect("the program was built for this test");
    let says = String::from_utf8(stderr).expect("messages are text");
    assert_eq!(status.code(), Some(3), "{says}");
    let says = says.lines().filter(|line| !line.starts_with("ts=")).collect::<Vec<_>>().join("\n");
    says.replace(&folder.0.display().to_string(), "/folder")
}

#[tokio::test]
async fn two_addresses_and_a_unix_socket_at_once() {
    let folder = Folder::new();
    let flags = ["--web.listen-address=127.0.0.1:0", "--web.listen-address=127.0.0.2:0"];
    let more = format!("--web.listen-address={}", folder.unix());
    let mut by_flags = folder.configured("{listen_addresses: \"192.0.2.1:1\"}");
    by_flags.args(flags).arg(&more);
    for command in [
        folder.configured(&format!("{{listen_addresses: [\"127.0.0.1:0\", \"127.0.0.2:0\", \"{}\"]}}", folder.unix())),
        by_flags,
        folder.flags(&[flags[0], flags[1], &more]),
    ] {
        let running = Running::start(command);
        assert_eq!((running.addresses.len(), running.addresses[2].as_str()), (3, folder.unix().as_str()));
        assert_ne!(running.tcp(0), running.tcp(1));
        for answer in [
            get(running.tcp(0), "/metrics", "").await,
            get(running.tcp(1), "/metrics", "").await,
            at_socket(&folder.socket()).await,
        ] {
            assert_eq!(answer.status, 200, "{}", answer.head);
            assert!(answer.text().contains("\nmysql_up"), "{}", answer.text());
        }
        let line = format!("address={} from=goneaway", running.tcp(1));
        assert!(running.lines[1].contains("message=listening") && running.lines[1].contains(&line), "{running:?}");
        let ask = format!("ask=\"curl --unix-socket {} http://localhost/metrics\"", folder.socket().display());
        assert!(running.lines[2].contains(&ask), "{running:?}");
        assert_eq!(fs::metadata(folder.socket()).expect("it is there").permissions().mode() & 0o777, 0o660);
        assert_eq!(running.stop(), Some(0));
        assert!(!folder.socket().exists(), "it goes with the daemon");
    }
}

#[tokio::test]
async fn a_host_name_and_one_address_without_a_list_are_enough() {
    let folder = Folder::new();
    let running = Running::start(folder.configured("{listen_addresses: \"localhost:0\"}"));
    for at in 0..running.addresses.len() {
        assert!(running.tcp(at).ip().is_loopback(), "{running:?}");
        assert_eq!(get(running.tcp(at), "/health", "").await.status, 200);
    }
    drop(running);
    let mut by_environment = folder.configured("{listen_addresses: \"192.0.2.1:1\"}");
    by_environment.env("GONEAWAY_WEB__LISTEN_ADDRESSES", format!("127.0.0.1:0, {}", folder.unix()));
    let running = Running::start(by_environment);
    assert_eq!((running.addresses.len(), at_socket(&folder.socket()).await.status), (2, 200));
}

/// Its file stays, and nobody else could listen there for ever.
#[tokio::test]
async fn the_socket_of_a_daemon_that_was_killed_is_replaced() {
    let folder = Folder::new();
    let web = format!("{{listen_addresses: \"{}\"}}", folder.unix());
    Running::start(folder.configured(&web)).kill();
    assert!(folder.socket().exists(), "it was killed");
    let running = Running::start(folder.configured(&web));
    assert_eq!(at_socket(&folder.socket()).await.status, 200);
    drop(running);
}

#[tokio::test]
async fn what_is_in_use_or_no_socket_stays_and_is_told() {
    let folder = Folder::new();
    let web = format!("{{listen_addresses: \"{}\"}}", folder.unix());
    let running = Running::start(folder.configured(&web));
    assert_eq!(
        refused(&folder, folder.configured(&web)),
        "error: cannot listen on `unix:/folder/metrics.sock`\n  cause: another program listens there\n  \
         hint: stop that program, or choose another path with --web.listen-address"
    );
    assert_eq!(at_socket(&folder.socket()).await.status, 200);
    assert_eq!(running.stop(), Some(0));

    fs::write(folder.socket(), "precious").expect("the directory is ours");
    assert_eq!(
        refused(&folder, folder.configured(&web)),
        "error: cannot listen on `unix:/folder/metrics.sock`\n  cause: a file is there, and no socket\n  \
         hint: only a socket is replaced; take it away if nobody needs it, or choose another path with \
         --web.listen-address"
    );
    assert_eq!(fs::read_to_string(folder.socket()).expect("it is left alone"), "precious");
}

/// Starts it as systemd does: the sockets from descriptor 3 on, and variables that tell of them.
fn passed(command: &Command, sockets: Vec<OwnedFd>, pid: &str, count: usize) -> Command {
    let mut wrapper = Command::new("/bin/sh");
    // The process id is known between fork and exec only, so a shell says it.
    wrapper.args(["-c", &format!("export LISTEN_PID={pid}; exec \"$@\""), "sh"]);
    wrapper.arg(command.get_program()).args(command.get_args());
    wrapper.env_clear().env("LISTEN_FDS", count.to_string()).env("LISTEN_FDNAMES", "one:two");
    wrapper.stdin(Stdio::null());
    if let Some(folder) = command.get_current_dir() {
        wrapper.current_dir(folder);
    }
    // SAFETY: two plain system calls, allowed between fork and exec.
    unsafe {
        wrapper.pre_exec(move || {
            // Out of the way first: a socket may be where another belongs.
            let mut aside = [-1; 8];
            for (socket, aside) in sockets.iter().zip(&mut aside) {
                *aside = libc::fcntl(socket.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 200);
            }
            for (at, aside) in (3..).zip(aside.iter().take(sockets.len())) {
                if libc::dup2(*aside, at) != at {
                    return Err(std::io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
    wrapper
}

#[tokio::test]
async fn sockets_of_systemd_are_served_and_no_other_address() {
    let folder = Folder::new();
    for command in [
        folder.configured("{systemd_socket: true, listen_addresses: \"192.0.2.1:1\"}"),
        folder.flags(&["--web.systemd-socket", "--web.listen-address=192.0.2.1:1"]),
    ] {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = tcp.local_addr().expect("it is bound");
        let unix = UnixListener::bind(folder.socket()).expect("the directory is ours");
        let running = Running::start(passed(&command, vec![tcp.into(), unix.into()], "$$", 2));
        assert_eq!(running.addresses, [address.to_string(), folder.unix()]);
        assert!(running.lines.iter().all(|line| line.contains("from=systemd")), "{running:?}");
        assert_eq!(get(address, "/metrics", "").await.status, 200);
        assert_eq!(at_socket(&folder.socket()).await.status, 200);
        for descriptor in [3, 4] {
            let info = fs::read_to_string(format!("/proc/{}/fdinfo/{descriptor}", running.child.id()));
            let info = info.expect("it runs");
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).expect("a line of them").trim();
            let flags = libc::c_int::from_str_radix(flags, 8).expect("an octal number");
            assert_eq!(flags & libc::O_CLOEXEC, libc::O_CLOEXEC, "descriptor {descriptor}");
            assert_eq!(flags & libc::O_NONBLOCK, libc::O_NONBLOCK, "descriptor {descriptor}");
        }
        assert_eq!(running.stop(), Some(0));
        fs::remove_file(folder.socket()).expect("the file is systemd's, and stays");
    }
}

#[test]
fn what_systemd_did_not_pass_is_told() {
    let folder = Folder::new();
    let check = |command: Command, cause: &str| {
        let says = refused(&folder, command);
        let head = format!("error: cannot take sockets from systemd\n  cause: {cause}");
        assert!(says.starts_with(&head) && says.contains("\n  hint: "), "{says}");
    };
    let asked = || folder.flags(&["--web.systemd-socket"]);
    check(asked(), "started without systemd socket activation: there is no variable LISTEN_FDS\n");
    check(
        passed(&asked(), Vec::new(), "1", 1),
        "the sockets are those of process `1` by LISTEN_PID, and this is process ",
    );
    let tcp = || TcpListener::bind("127.0.0.1:0").expect("a free port");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    check(passed(&asked(), vec![tcp().into(), udp.into()], "$$", 2), "descriptor 4 (`two`) is a datagram socket\n");
    check(passed(&asked(), vec![tcp().into()], "$$", 30), "descriptor ");
    let file = fs::File::open("/dev/null").expect("every system has it");
    check(passed(&asked(), vec![file.into()], "$$", 1), "descriptor 3 (`one`) is no socket\n");
}

#[test]
fn sockets_that_are_passed_and_not_asked_for_are_told() {
    let folder = Folder::new();
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a free port");
    // It ends by itself: the address is not of this machine.
    let command = folder.configured("{listen_addresses: \"192.0.2.1:1\"}");
    let output = passed(&command, vec![tcp.into()], "$$", 1).output().expect("a shell");
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(log.contains("systemd passed sockets that are not used; `--web.systemd-socket` takes them"), "{log}");
}
