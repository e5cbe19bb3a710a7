//! The phases `dns` and `tcp`: from an endpoint to a connected stream.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep, timeout_at};

use super::super::failure::{Failure, Phase, Reason};
use super::super::transport;
use super::stream::Stream;

/// The lookup of a host's name that may be under way.
#[derive(Debug, Default)]
pub struct Lookup {
    under_way: Mutex<Option<JoinHandle<io::Result<Vec<SocketAddr>>>>>,
}

/// The addresses of a name, in the order of the resolver, which is the order of preference.
///
/// The system's resolver blocks a thread and cannot be told to stop. A lookup that is still under way when its deadline
/// passes is the one that is awaited the next time: a resolver that hangs costs one thread a target.
pub(super) async fn resolve(
    lookup: &Lookup,
    host: &str,
    port: u16,
    deadline: Instant,
) -> Result<Vec<SocketAddr>, Failure> {
    let answer = timeout_at(deadline, async {
        let mut under_way = lookup.under_way.lock().await;
        let question = (host.to_owned(), port);
        let answer = under_way.get_or_insert_with(|| spawn_blocking(move || Ok(question.to_socket_addrs()?.collect())));
        let answer = answer.await;
        *under_way = None;
        answer
    });
    let answer: Vec<SocketAddr> = match answer.await {
        Err(_) => return Err(transport::timeout(Phase::Dns)),
        Ok(Ok(Ok(answer))) => answer,
        Ok(Ok(Err(error))) => return Err(unresolved(host, &error)),
        Ok(Err(defect)) => return Err(unresolved(host, &io::Error::other(defect))),
    };
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in answer {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    match addresses.is_empty() {
        true => Err(Failure::new(Phase::Dns, Reason::Dns, format!("`{host}` has no address"))),
        false => Ok(addresses),
    }
}

fn unresolved(host: &str, error: &io::Error) -> Failure {
    let words = error.to_string();
    let words = words.strip_prefix("failed to lookup address information: ").unwrap_or(&words);
    let hint = match words.contains("emporary failure") {
        true => "the resolver fails; see /etc/resolv.conf and whether its servers answer",
        false => "the name does not exist for this machine; check its spelling and the search domains",
    };
    Failure::new(Phase::Dns, Reason::Dns, format!("cannot resolve `{host}`: {words}")).with_hint(hint)
}

/// A TCP connection to the first address that takes one.
///
/// Each address gets an equal part of the time that is left, so a dead one does not use up all of it.
pub(super) async fn tcp(addresses: &[SocketAddr], deadline: Instant) -> Result<Stream, Failure> {
    let mut failures: Vec<(IpAddr, Failure)> = Vec::new();
    for (tried, &address) in addresses.iter().enumerate() {
        let now = Instant::now();
        let part = deadline.saturating_duration_since(now) / (addresses.len() - tried) as u32;
        match timeout_at(now + part, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => {
                // Our packets are whole requests; waiting for more to send along would be measured as theirs.
                return match tcp.set_nodelay(true) {
                    Ok(()) => Ok(Stream::Tcp(tcp)),
                    Err(error) => Err(transport::failure(Phase::Tcp, &error)),
                };
            }
            Ok(Err(error)) => failures.push((address.ip(), transport::failure(Phase::Tcp, &error))),
            Err(_) => failures.push((address.ip(), transport::timeout(Phase::Tcp))),
        }
    }
    Err(all_together(failures))
}

// The last failure, telling what became of the others.
fn all_together(mut failures: Vec<(IpAddr, Failure)>) -> Failure {
    let Some((last, mut failure)) = failures.pop() else {
        return Failure::new(Phase::Tcp, Reason::Other, "no address to connect to");
    };
    failure.detail = format!("{last}: {}", failure.detail);
    for (address, earlier) in failures.iter().rev() {
        failure.detail = format!("{address}: {}; {}", earlier.detail, failure.detail);
    }
    failure
}

/// A connection to a unix socket.
pub(super) async fn unix(path: &Path, deadline: Instant) -> Result<Stream, Failure> {
    loop {
        let error = match timeout_at(deadline, UnixStream::connect(path)).await {
            Ok(Ok(unix)) => return Ok(Stream::Unix(unix)),
            Ok(Err(error)) => error,
            Err(_) => return Err(transport::timeout(Phase::Tcp)),
        };
        // The queue of a server that does not accept is full. TCP would wait; here it is said at once.
        if error.kind() != io::ErrorKind::WouldBlock {
            let mut failure = transport::failure(Phase::Tcp, &error);
            failure.detail = format!("{}: {}", path.display(), failure.detail);
            return Err(failure);
        }
        if timeout_at(deadline, sleep(Duration::from_millis(50))).await.is_err() {
            let hint = "the socket's queue is full: the server does not accept connections, it hangs";
            return Err(transport::timeout(Phase::Tcp).with_hint(hint));
        }
    }
}
