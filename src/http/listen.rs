//! Where we listen: from an address as people write it to a socket.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::task::{Context, Poll};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

/// Connections that the system may hold for us while we are busy.
const BACKLOG: i32 = 1024;

/// A socket that listens.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    local_address: SocketAddr,
}

impl Listener {
    /// Where it listens; says which port the system chose when 0 was asked for.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        self.socket.poll_accept(cx).map_ok(|(stream, _)| stream)
    }
}

/// An address that cannot be listened on.
#[derive(Debug)]
pub struct BindError {
    /// As the operator wrote it.
    pub address: String,
    cause: io::Error,
}

impl BindError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self.cause.kind() {
            ErrorKind::AddrInUse => {
                "another program listens there; stop it, or choose another address with --web.listen-address"
            }
            ErrorKind::PermissionDenied => {
                "ports below 1024 need a special right; choose another with --web.listen-address"
            }
            ErrorKind::AddrNotAvailable => {
                "this machine has no such address; choose another with --web.listen-address, `:10306` means all of them"
            }
            _ => "write `:10306`, `127.0.0.1:10306`, `[::1]:10306` or `host:10306` after --web.listen-address",
        }
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
/// `:10306` is every address of the machine, IPv6 and IPv4. A host name is every address that it has here.
pub fn bind(addresses: &[String]) -> Result<Vec<Listener>, BindError> {
    let mut listeners = Vec::new();
    for address in addresses {
        let bound = bind_one(address.trim()).map_err(|cause| BindError { address: address.clone(), cause })?;
        listeners.extend(bound);
    }
    Ok(listeners)
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
        let port = listeners.first().map_or(address.port(), |first| first.local_address.port());
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
    let socket = TcpListener::from_std(socket.into())?;
    let local_address = socket.local_addr()?;
    Ok(Listener { socket, local_address })
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
    use super::*;

    fn bound(addresses: &[&str]) -> Result<Vec<SocketAddr>, String> {
        let addresses: Vec<String> = addresses.iter().map(|address| (*address).to_owned()).collect();
        let told = |error: BindError| {
            format!("{error}: {}; {}", std::error::Error::source(&error).expect("it has a cause"), error.hint())
        };
        Ok(bind(&addresses).map_err(told)?.iter().map(Listener::local_address).collect())
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
        let port = listeners[0].local_address().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    }

    #[tokio::test]
    async fn what_cannot_be_bound_is_named_with_a_way_out() {
        let taken = bind(&["127.0.0.1:0".to_owned()]).unwrap();
        let taken = taken[0].local_address().to_string();
        for (address, says) in [
            (taken.as_str(), "choose another address with --web.listen-address"),
            ("192.0.2.1:0", "this machine has no such address"),
            ("10306", "there is no port in it; write `:10306`"),
            (":port", "`port` is not a port"),
            ("127.0.0.1:70000", "`70000` is not a port"),
            ("http://localhost:1", "this is not an address"),
            ("[::1:10306", "this is not an address"),
        ] {
            let error = bound(&[address]).expect_err(address);
            assert!(error.starts_with(&format!("cannot listen on `{address}`: ")), "{error}");
            assert!(error.contains(says), "{error}");
        }
    }
}
