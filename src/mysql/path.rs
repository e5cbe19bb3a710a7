//! What lies between us and the server: nothing, or something that makes connections of its own.
//!
//! The server knows the address that our connection comes from. Where that is not the one that our socket has, a
//! proxy, a balancer or a NAT passes us on. Every account may see its own connections.

use std::net::{IpAddr, SocketAddr};

use super::server::Server;

/// What lies between, as far as a connection can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    Direct,
    Proxied,
}

impl Path {
    /// The value of the label `path`.
    pub fn label(self) -> &'static str {
        match self {
            Path::Direct => "direct",
            Path::Proxied => "proxied",
        }
    }

    /// From our socket's own address, and what the server shows as the host of the same connection.
    ///
    /// A server that resolves names shows a name for the address; the port decides then.
    pub fn between(ours: SocketAddr, shown: &str) -> Option<Path> {
        let (host, port) = shown.rsplit_once(':')?;
        let port: u16 = port.parse().ok()?;
        let same_host = host.parse::<IpAddr>().map_or(true, |host| host.to_canonical() == ours.ip().to_canonical());
        Some(if same_host && port == ours.port() { Path::Direct } else { Path::Proxied })
    }
}

/// The statement that gives the server's view of a connection's host.
pub fn question(server: &Server, connection_id: u32) -> String {
    // MySQL counts uses of the old table as a deprecated feature.
    let table = match server.mysql_since(8, 0, 22) {
        true => "performance_schema.processlist",
        false => "information_schema.processlist",
    };
    format!("SELECT host FROM {table} WHERE id = {connection_id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_view_of_us_tells_what_lies_between() {
        let ours: SocketAddr = "10.0.0.7:40000".parse().expect("an address");
        for (shown, path) in [
            ("10.0.0.7:40000", Some(Path::Direct)),
            ("::ffff:10.0.0.7:40000", Some(Path::Direct)),
            ("client.example:40000", Some(Path::Direct)),
            ("10.0.0.9:40000", Some(Path::Proxied)),
            ("10.0.0.7:40001", Some(Path::Proxied)),
            ("balancer.example:51000", Some(Path::Proxied)),
            ("localhost", None),
            ("", None),
        ] {
            assert_eq!(Path::between(ours, shown), path, "{shown}");
        }
        let ours: SocketAddr = "[::1]:40000".parse().expect("an address");
        assert_eq!(Path::between(ours, "::1:40000"), Some(Path::Direct));
    }
}
