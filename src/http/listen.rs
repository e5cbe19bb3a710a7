//! Where we listen: from an address as people write it, or a socket that systemd passed, to a socket that accepts.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::task::{Context, Poll};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::net::{TcpListener, UnixListener};

use super::stream::Stream;
use super::systemd::Passed;
use super::unix::{self, SocketFile};

/// Connections that the system may hold for us while we are busy.
const BACKLOG: i32 = 1024;

/// A socket that listens. The file of one that was bound here goes with it.
#[derive(Debug)]
pub struct Listener {
    socket: Bound,
    address: ListenAddress,
    _file: Option<SocketFile>,
}

#[derive(Debug)]
enum Bound {
    Tcp(TcpListener),
    Unix(UnixListener),
    Control(UnixListener),
}

/// Where a socket listens. Written as it is written in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    Tcp(SocketAddr),
    /// A path; `@` and a name for one that is in no folder.
    Unix(String),
}

impl ListenAddress {
    /// The address and the port, which the system chose when 0 was asked for; none of a unix socket.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            ListenAddress::Tcp(address) => Some(*address),
            ListenAddress::Unix(_) => None,
        }
    }

    fn of(address: &SockAddr) -> ListenAddress {
        if let Some(address) = address.as_socket() {
            return ListenAddress::Tcp(address);
        }
        let is_abstract = address.as_abstract_namespace().map(|name| format!("@{}", String::from_utf8_lossy(name)));
        let path = || address.as_pathname().unwrap_or(Path::new("")).to_string_lossy().into_owned();
        ListenAddress::Unix(is_abstract.unwrap_or_else(path))
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp(address) => write!(out, "{address}"),
            ListenAddress::Unix(path) => write!(out, "unix:{path}"),
        }
    }
}

impl Listener {
    /// Where it listens.
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        match &self.socket {
            Bound::Tcp(socket) => socket.poll_accept(cx).map_ok(|(stream, _)| Stream::Tcp(stream)),
            Bound::Unix(socket) => socket.poll_accept(cx).map_ok(|(stream, _)| Stream::Unix(stream)),
            Bound::Control(socket) => socket.poll_accept(cx).map_ok(|(stream, _)| Stream::Control(stream)),
        }
    }

    /// Takes a socket that listens and does not block.
    fn new(socket: Socket, file: Option<SocketFile>) -> io::Result<Listener> {
        let address = ListenAddress::of(&socket.local_addr()?);
        let socket = match address {
            ListenAddress::Tcp(_) => Bound::Tcp(TcpListener::from_std(socket.into())?),
            ListenAddress::Unix(_) => Bound::Unix(UnixListener::from_std(socket.into())?),
        };
        Ok(Listener { socket, address, _file: file })
    }
}

/// An address that cannot be listened on.
#[derive(Debug)]
pub struct BindError {
    /// As the operator wrote it.
    pub address: String,
    cause: io::Error,
    /// What a person can do about it.
    pub hint: &'static str,
}

/// What a person can do about an address of TCP. `before` listen already.
fn hint(address: &str, cause: &io::Error, before: &[Listener]) -> &'static str {
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    let has_port = |listener: &Listener| listener.address.tcp().map(|address| address.port()) == port;
    match cause.kind() {
        ErrorKind::AddrInUse if port.is_some() && before.iter().any(has_port) => {
            "an address that is listed before it has the same port and may include it; leave one of them out"
        }
        ErrorKind::AddrInUse => {
            "another program listens there; stop it, or choose another address with --web.listen-address"
        }
        ErrorKind::PermissionDenied => {
            "ports below 1024 need a special right; choose another with --web.listen-address"
        }
        ErrorKind::AddrNotAvailable => {
            "this machine has no such address; choose another with --web.listen-address, `:10306` means all of them"
        }
        _ => {
            "write `:10306`, `127.0.0.1:10306`, `[::1]:10306`, `host:10306` or `unix:/run/goneaway/metrics.sock` after \
             --web.listen-address"
        }
    }
}

/// What a person can do about the path of a unix socket.
fn hint_of_unix(cause: &io::Error) -> &'static str {
    match cause.kind() {
        ErrorKind::AddrInUse => "stop that program, or choose another path with --web.listen-address",
        ErrorKind::AlreadyExists => {
            "only a socket is replaced; take it away if nobody needs it, or choose another path with --web.listen-address"
        }
        ErrorKind::NotFound => {
            "make its folder first, as RuntimeDirectory=goneaway in a systemd unit makes /run/goneaway"
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "the user that goneaway runs as must be able to write in its folder, as in the one that \
             RuntimeDirectory=goneaway in a systemd unit makes"
        }
        _ => "write an absolute path of at most 107 bytes, as in `unix:/run/goneaway/metrics.sock`",
    }
}

/// What a person can do about the path of the control socket.
fn hint_of_control(cause: &io::Error) -> &'static str {
    match cause.kind() {
        ErrorKind::AddrInUse => "a goneaway that runs already has it; stop that one, or say another path by `control:`",
        ErrorKind::AlreadyExists => {
            "only a socket is replaced; take it away if nobody needs it, or say another path by `control:`"
        }
        ErrorKind::NotFound => "make its folder first, or say another path by `control:`",
        _ => "say a path by `control:` in whose folder the user that goneaway runs as may write, or `control: off`",
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "cannot listen on `{}`", self.address)
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// Listens on every address, or says which one it cannot. Needs a running runtime.
///
/// `:10306` is every address of the machine, IPv6 and IPv4. A host name is every address that it has here. `unix:` and a
/// path is a unix socket.
pub fn bind(addresses: &[String]) -> Result<Vec<Listener>, BindError> {
    let mut listeners = Vec::new();
    for text in addresses {
        let address = text.trim();
        let bound = match address.strip_prefix("unix:") {
            Some(path) => bind_unix(path).map_err(|cause| (hint_of_unix(&cause), cause)),
            None => bind_one(address).map_err(|cause| (hint(address, &cause, &listeners), cause)),
        };
        listeners.extend(bound.map_err(|(hint, cause)| BindError { address: text.clone(), cause, hint })?);
    }
    Ok(listeners)
}

/// Listens on the sockets that systemd passed. Needs a running runtime.
pub fn adopt(passed: Passed) -> io::Result<Vec<Listener>> {
    passed.0.into_iter().map(|socket| Listener::new(socket, None)).collect()
}

/// Listens at the control socket: the same routes for whoever may open it, without passwords. Needs a running runtime.
pub fn bind_control(path: &Path) -> Result<Listener, BindError> {
    let address = path.display().to_string();
    let bound = unix::bind(path, unix::FOR_THE_USER, BACKLOG).and_then(|(socket, file)| {
        let socket = UnixListener::from_std(socket.into())?;
        Ok(Listener {
            socket: Bound::Control(socket),
            address: ListenAddress::Unix(address.clone()),
            _file: Some(file),
        })
    });
    bound.map_err(|cause| BindError { hint: hint_of_control(&cause), address, cause })
}

/// `unix:/path`, and `unix:///path` as a URL has it.
fn bind_unix(path: &str) -> io::Result<Vec<Listener>> {
    let path = path.strip_prefix("//").filter(|path| path.starts_with('/')).unwrap_or(path);
    if !path.starts_with('/') {
        return Err(io::Error::new(ErrorKind::InvalidInput, "this is no absolute path"));
    }
    let (socket, file) = unix::bind(Path::new(path), unix::FOR_THE_GROUP, BACKLOG)?;
    Ok(vec![Listener::new(socket, Some(file))?])
}

fn bind_one(address: &str) -> io::Result<Vec<Listener>> {
    if let Some(port) = address.strip_prefix(':') {
        return bind_everywhere(parse_port(port)?).map(|listener| vec![listener]);
    }
    if let Ok(address) = address.parse::<SocketAddr>() {
        return bind_socket(address).map(|listener| vec![listener]);
    }
    let Some((host, port)) = address.rsplit_once(':') else {
        return Err(io::Error::new(ErrorKind::InvalidInput, "there is no port in it"));
    };
    let port = parse_port(port)?;
    if host.contains([':', '/', '[', ']']) {
        return Err(io::Error::new(ErrorKind::InvalidInput, "this is not an address"));
    }
    let mut resolved: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    resolved.sort();
    resolved.dedup();
    bind_each(&resolved)
}

/// A name often has an IPv6 address on machines where IPv6 is switched off: one address that works is enough.
fn bind_each(resolved: &[SocketAddr]) -> io::Result<Vec<Listener>> {
    let mut listeners: Vec<Listener> = Vec::new();
    let mut missing = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for address in resolved {
        // The system chooses one port for all of them, not one for each.
        let first = listeners.first().and_then(|first| first.address.tcp());
        let port = first.unwrap_or(*address).port();
        match bind_socket(SocketAddr::new(address.ip(), port)) {
            Ok(listener) => listeners.push(listener),
            Err(error) if no_such_address(&error) => missing = error,
            Err(error) => return Err(error),
        }
    }
    if listeners.is_empty() { Err(missing) } else { Ok(listeners) }
}

/// One socket for IPv6 and IPv4; IPv4 alone where there is no IPv6.
fn bind_everywhere(port: u16) -> io::Result<Listener> {
    match bind_socket(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)) {
        Err(error) if no_such_address(&error) => bind_socket(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)),
        bound => bound,
    }
}

fn bind_socket(address: SocketAddr) -> io::Result<Listener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        // Not left to the system's default, which an operator may have changed.
        socket.set_only_v6(false)?;
    }
    // A restart must not wait for the last connections of the old process to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Listener::new(socket, None)
}

fn parse_port(port: &str) -> io::Result<u16> {
    let not_a_port = || io::Error::new(ErrorKind::InvalidInput, format!("`{port}` is not a port from 0 to 65535"));
    port.parse().map_err(|_| not_a_port())
}

/// What sockets and binding say where IPv6 is off.
fn no_such_address(error: &io::Error) -> bool {
    error.kind() == ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(libc::EAFNOSUPPORT)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::{UnixDatagram, UnixListener as StdListener};
    use std::path::PathBuf;
    use std::{fs, process};

    use tokio::net::{TcpStream, UnixStream};

    use super::*;

    fn bound(addresses: &[&str]) -> Result<Vec<SocketAddr>, String> {
        let addresses: Vec<String> = addresses.iter().map(|address| (*address).to_owned()).collect();
        let told = |error: BindError| {
            format!("{error}: {}; {}", std::error::Error::source(&error).expect("it has a cause"), error.hint)
        };
        Ok(bind(&addresses).map_err(told)?.iter().filter_map(|listener| listener.address().tcp()).collect())
    }

    #[tokio::test]
    async fn addresses_are_understood_as_people_write_them() {
        let every = bound(&[":0", "127.0.0.1:0", "localhost:0"]).unwrap();
        assert!(every.len() >= 3, "{every:?}");
        assert!(every[0].ip().is_unspecified() && every.iter().all(|address| address.port() != 0), "{every:?}");
        assert!(every[1..].iter().all(|address| address.ip().is_loopback()), "{every:?}");
    }

    #[tokio::test]
    async fn an_empty_host_listens_on_ipv4_too() {
        let listeners = bind(&[":0".to_owned()]).unwrap();
        let port = listeners[0].address().tcp().unwrap().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    }

    #[tokio::test]
    async fn what_cannot_be_bound_is_named_with_a_way_out() {
        let taken = bind(&["127.0.0.1:0".to_owned()]).unwrap();
        let taken = taken[0].address().to_string();
        for (address, says) in [
            (taken.as_str(), "choose another address with --web.listen-address"),
            ("192.0.2.1:0", "this machine has no such address"),
            ("10306", "there is no port in it; write `:10306`"),
            (":port", "`port` is not a port"),
            ("127.0.0.1:70000", "`70000` is not a port"),
            ("http://localhost:1", "this is not an address"),
            ("[::1:10306", "this is not an address"),
            ("unix:metrics.sock", "this is no absolute path; write an absolute path of at most 107 bytes"),
            ("unix:/no/such/folder/a.sock", "make its folder first"),
        ] {
            let error = bound(&[address]).expect_err(address);
            assert!(error.starts_with(&format!("cannot listen on `{address}`: ")), "{error}");
            assert!(error.contains(says), "{error}");
        }
    }

    #[tokio::test]
    async fn an_address_within_another_is_told_from_another_programs() {
        let all = bind(&[":0".to_owned()]).unwrap();
        let port = all[0].address().tcp().unwrap().port();
        drop(all);
        let error = bound(&[&format!(":{port}"), &format!("127.0.0.1:{port}")]).expect_err("the first includes it");
        assert!(error.contains("an address that is listed before it has the same port"), "{error}");
    }

    /// A folder of one test, gone afterwards.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let folder = std::env::temp_dir().join(format!("goneaway-listen-{}-{name}", process::id()));
            fs::create_dir_all(&folder).unwrap();
            Folder(folder)
        }

        fn path(&self) -> PathBuf {
            self.0.join("a.sock")
        }

        fn address(&self) -> String {
            format!("unix:{}", self.path().display())
        }

        fn listen(&self) -> Result<Vec<Listener>, String> {
            bind(&[self.address()])
                .map_err(|error| format!("{}; {}", std::error::Error::source(&error).expect("a cause"), error.hint))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[tokio::test]
    async fn a_unix_socket_is_for_user_and_group_and_goes_with_its_listener() {
        let folder = Folder::new("mode");
        let listeners = folder.listen().unwrap();
        assert_eq!(listeners[0].address().to_string(), folder.address());
        assert_eq!(fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777, 0o660);
        UnixStream::connect(folder.path()).await.unwrap();
        drop(listeners);
        assert!(!folder.path().exists());
        let url = format!("unix://{}", folder.path().display());
        assert_eq!(bind(&[url]).unwrap()[0].address().to_string(), folder.address());
    }

    #[tokio::test]
    async fn the_control_socket_is_for_its_user_and_never_taken_from_a_daemon_that_lives() {
        let folder = Folder::new("control");
        drop(StdListener::bind(folder.path()).unwrap());
        let ours = bind_control(&folder.path()).expect("what a dead daemon left is replaced");
        assert_eq!(fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777, 0o600);
        let error = bind_control(&folder.path()).expect_err("it is in use");
        assert_eq!(error.to_string(), format!("cannot listen on `{}`", folder.path().display()));
        assert!(error.hint.contains("a goneaway that runs already has it"), "{}", error.hint);
        UnixStream::connect(folder.path()).await.expect("what is in use is left alone");
        drop(ours);
        assert!(!folder.path().exists());
    }

    #[tokio::test]
    async fn only_what_nobody_listens_on_is_replaced() {
        let folder = Folder::new("taken");
        drop(StdListener::bind(folder.path()).unwrap());
        assert!(folder.path().exists(), "it is stale");
        let ours = folder.listen().unwrap();
        let error = folder.listen().expect_err("it is in use");
        assert!(error.starts_with("another program listens there; stop that program"), "{error}");
        UnixStream::connect(folder.path()).await.expect("what is in use is left alone");
        drop(ours);

        let datagrams = UnixDatagram::bind(folder.path()).unwrap();
        let error = folder.listen().expect_err("it is in use, if by another type");
        assert!(error.starts_with("another program listens there"), "{error}");
        drop(datagrams);
        fs::remove_file(folder.path()).unwrap();

        fs::write(folder.path(), "precious").unwrap();
        let error = folder.listen().expect_err("it is no socket");
        assert!(error.starts_with("a file is there, and no socket; only a socket is replaced"), "{error}");
        assert_eq!(fs::read_to_string(folder.path()).unwrap(), "precious");
        fs::rename(folder.path(), folder.0.join("other")).unwrap();
        std::os::unix::fs::symlink("other", folder.path()).unwrap();
        let error = folder.listen().expect_err("it is no socket");
        assert!(error.starts_with("a symbolic link is there"), "{error}");
    }

    #[tokio::test]
    async fn a_full_socket_is_in_use_and_is_not_waited_for() {
        let folder = Folder::new("full");
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.bind(&SockAddr::unix(folder.path()).unwrap()).unwrap();
        socket.listen(0).unwrap();
        let _waiting = std::os::unix::net::UnixStream::connect(folder.path()).unwrap();
        let error = folder.listen().expect_err("it is in use");
        assert!(error.starts_with("another program listens there"), "{error}");
    }

    #[tokio::test]
    async fn a_file_that_took_the_place_of_ours_stays() {
        let folder = Folder::new("moved");
        let ours = folder.listen().unwrap();
        // Beside it first: a file that is removed may leave its number to the next one.
        let theirs = folder.0.join("theirs");
        let _listening = StdListener::bind(&theirs).unwrap();
        fs::rename(theirs, folder.path()).unwrap();
        drop(ours);
        UnixStream::connect(folder.path()).await.expect("it is theirs");
    }
}
