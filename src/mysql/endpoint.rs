//! Where a server is: host and port, or a unix socket.

use std::fmt;
use std::path::PathBuf;

/// The port of a server when none is said.
pub const DEFAULT_PORT: u16 = 3306;

/// The address of a server, as the operator wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// A name or an IP address (IPv6 without brackets), and a port.
    Tcp { host: String, port: u16 },
    /// A unix socket.
    Socket(PathBuf),
}

impl Endpoint {
    /// Reads `host`, `host:port`, `[v6]`, `[v6]:port`, a bare IPv6 address, or the absolute path of a socket
    /// (also as `unix:/path`). The error says what would be right.
    pub fn parse(text: &str) -> Result<Endpoint, String> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("unix:").or(text.starts_with('/').then_some(text)) {
            return match path.starts_with('/') {
                true => Ok(Endpoint::Socket(PathBuf::from(path))),
                false => Err(format!("`{text}` is not an absolute path; write `unix:/run/mysqld/mysqld.sock`")),
            };
        }
        if text.contains("://") {
            return Err(format!("`{text}` is a URL; write `host:port` and put user and password beside it"));
        }
        let (host, port) = split_port(text)?;
        if host.is_empty() {
            return Err(format!("`{text}` has no host; write `host:port` or the absolute path of a socket"));
        }
        if let Some(wrong) = host.chars().find(|c| !(c.is_alphanumeric() || "-_.:%".contains(*c))) {
            return Err(format!("`{text}` has the character `{wrong}` in its host; write `host:port`"));
        }
        if port.is_none() && host.contains(':') && !text.starts_with('[') && host.ends_with(":3306") {
            let alone = host.trim_end_matches(":3306");
            return Err(format!(
                "`{text}` is an IPv6 address without a port; write `[{alone}]:3306`, or `[{text}]` if that is meant"
            ));
        }
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => port
                .parse()
                .ok()
                .filter(|number| *number != 0 && port.bytes().all(|byte| byte.is_ascii_digit()))
                .ok_or_else(|| format!("`{port}` is not a port; write a number from 1 to 65535"))?,
        };
        Ok(Endpoint::Tcp { host: host.to_owned(), port })
    }

    /// A server on this machine, by an address that servers do not count errors of.
    pub fn is_local(&self) -> bool {
        match self {
            Endpoint::Socket(_) => true,
            Endpoint::Tcp { host, .. } => matches!(host.as_str(), "127.0.0.1" | "::1" | "localhost"),
        }
    }

    pub fn is_socket(&self) -> bool {
        matches!(self, Endpoint::Socket(_))
    }
}

fn split_port(text: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or_else(|| format!("`{text}` has no closing `]`"))?;
        if !is_ipv6(host) {
            return Err(format!("`{host}` is not an IPv6 address"));
        }
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err(format!("`{text}` has `{after}` after the `]`; write `[{host}]:port`")),
        };
    }
    if text.matches(':').count() > 1 {
        return match is_ipv6(text) {
            true => Ok((text, None)),
            false => {
                Err(format!("`{text}` is neither `host:port` nor an IPv6 address; write `[v6]:port` for the latter"))
            }
        };
    }
    Ok(match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    })
}

/// An IPv6 address, perhaps with a zone: `fe80::1%eth0`.
fn is_ipv6(text: &str) -> bool {
    let (address, zone) = text.split_once('%').unwrap_or((text, "0"));
    address.parse::<std::net::Ipv6Addr>().is_ok() && !zone.is_empty()
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp { host, port } if host.contains(':') => write!(out, "[{host}]:{port}"),
            Endpoint::Tcp { host, port } => write!(out, "{host}:{port}"),
            Endpoint::Socket(path) => write!(out, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, shown) in [
            ("db", "db:3306"),
            ("db.example:3307", "db.example:3307"),
            ("127.0.0.1", "127.0.0.1:3306"),
            ("::1", "[::1]:3306"),
            ("[::1]", "[::1]:3306"),
            ("[fe80::1]:33", "[fe80::1]:33"),
            ("fe80::1%eth0", "[fe80::1%eth0]:3306"),
            ("[fe80::1%eth0]:33", "[fe80::1%eth0]:33"),
            ("/run/mysqld.sock", "unix:/run/mysqld.sock"),
            ("unix:/run/mysqld.sock", "unix:/run/mysqld.sock"),
        ] {
            assert_eq!(Endpoint::parse(text).map(|endpoint| endpoint.to_string()), Ok(shown.to_owned()), "{text}");
        }
    }

    #[test]
    fn wrong_addresses_say_what_would_be_right() {
        for (text, says) in [
            ("", "has no host"),
            (":3306", "has no host"),
            ("db:", "`` is not a port"),
            ("db:0", "`0` is not a port"),
            ("db:66000", "`66000` is not a port"),
            ("a:b:c", "neither `host:port` nor an IPv6 address"),
            ("[::1", "no closing `]`"),
            ("[::1]3306", "write `[::1]:port`"),
            ("mysql://root@db", "is a URL"),
            ("unix:run/my.sock", "not an absolute path"),
            ("tcp(db:3306)", "the character `(`"),
        ] {
            let error = Endpoint::parse(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
