//! Which addresses of servers are meant: `*.db.example:3306`, `10.1.0.0/16:3306`.
//!
//! Who may choose a server by its name can have us log in there, so a pattern means no more than it seems to. A name is
//! never taken for an address: `10.0.0.0/8` does not mean `10.evil.example`, and a `*` never reaches over a dot, but for
//! a leading `*.`, which is every name below a domain.

use std::fmt;
use std::net::IpAddr;

use super::endpoint::Endpoint;

/// A set of endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    hosts: Hosts,
    /// Any port where none.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    Any,
    /// In lower case; perhaps with `*`.
    Name(String),
    Net {
        address: IpAddr,
        bits: u8,
    },
    /// A unix socket.
    Path(String),
}

impl Pattern {
    /// Reads `host:port`, where the host may be a name with `*`, an address or a network, and the port a number or `*`;
    /// or the path of a unix socket. The error says what would be right.
    pub fn parse(text: &str) -> Result<Pattern, String> {
        let text = text.trim();
        let pattern = |hosts, port| Pattern { text: text.to_owned(), hosts, port };
        if text.starts_with("unix:") || text.starts_with('/') {
            return match Endpoint::parse(text)? {
                Endpoint::Socket(path) if path.to_string_lossy().contains('*') => {
                    Err(format!("`{text}` has a `*`; a socket is named by its whole path"))
                }
                Endpoint::Socket(path) => Ok(pattern(Hosts::Path(path.to_string_lossy().into_owned()), None)),
                Endpoint::Tcp { .. } => Err(format!("`{text}` is not the path of a socket")),
            };
        }
        let Some((host, port)) = text.rsplit_once(':').filter(|(host, _)| !host.is_empty()) else {
            return Err(format!("`{text}` has no port; write `{text}:3306`, or `{text}:*` for every port"));
        };
        let port = match port {
            "*" => None,
            port => match port.parse() {
                Ok(number) if number != 0 => Some(number),
                _ => return Err(format!("`{port}` is not a port; write a number from 1 to 65535, or `*`")),
            },
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if bare.is_none() && host.contains(':') {
            return Err(format!("`{text}` has an IPv6 address without brackets; write `[fd00::/8]:3306`"));
        }
        Ok(pattern(hosts(bare.unwrap_or(host), bare.is_some())?, port))
    }

    /// Whether this endpoint is meant.
    pub fn means(&self, endpoint: &Endpoint) -> bool {
        let (host, port) = match (endpoint, &self.hosts) {
            (Endpoint::Socket(path), Hosts::Path(mine)) => return path.to_str() == Some(mine),
            (Endpoint::Socket(_), _) | (_, Hosts::Path(_)) => return false,
            (Endpoint::Tcp { host, port }, _) => (host.to_ascii_lowercase(), *port),
        };
        self.port.is_none_or(|mine| mine == port) && self.hosts.mean(&host)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

/// A set of hosts, whatever the port: clients of a server, as it shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern(Hosts);

impl HostPattern {
    /// Reads a name with `*`, an address, a network, or `*` for all. The error says what would be right.
    pub fn parse(text: &str) -> Result<HostPattern, String> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let has_port = text.matches(':').count() == 1 || bare.is_none() && text.starts_with('[');
        if has_port {
            return Err(format!("`{text}` has a port, and a client's host has no port that stays; leave it out"));
        }
        hosts(bare.unwrap_or(text), bare.is_some()).map(HostPattern)
    }

    /// Whether this host is meant.
    pub fn means(&self, host: &str) -> bool {
        self.0.mean(&host.to_ascii_lowercase())
    }
}

impl Hosts {
    /// A host in lower case.
    fn mean(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.');
        match (self, host.parse::<IpAddr>()) {
            (Hosts::Any, _) => true,
            (Hosts::Net { address, bits }, Ok(asked)) => is_in(asked, *address, *bits),
            // What resolvers take for an address is none of the names that are meant: `127.1`, `0x7f000001`.
            (Hosts::Name(name), Err(_)) => !is_numeric(host) && is_name_of(host, name),
            _ => false,
        }
    }
}

fn hosts(host: &str, is_bracketed: bool) -> Result<Hosts, String> {
    if host == "*" {
        return Ok(Hosts::Any);
    }
    let (address, bits) = match host.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (host, None),
    };
    if let Ok(address) = address.parse::<IpAddr>() {
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) => match bits.parse::<u8>() {
                Ok(number) if number <= most => number,
                _ => return Err(format!("`{host}` is not a network; write a number up to {most} after the `/`")),
            },
        };
        if let Some(net) = masked(address, bits).filter(|net| *net != address) {
            return Err(format!("`{host}` is an address and no network; write `{net}/{bits}`, or `{address}`"));
        }
        return Ok(Hosts::Net { address, bits });
    }
    if bits.is_some() || is_bracketed {
        return Err(format!("`{host}` is not a network; write one such as `10.1.0.0/16`"));
    }
    // As names are asked for: without the dot that ends a full one.
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    if name.split('.').any(str::is_empty) {
        return Err(format!("`{host}` has an empty part between its dots; write names such as `*.db.example`"));
    }
    let last = name.rsplit('.').next().unwrap_or_default();
    if is_numeric(&name) || (name.contains('.') && last.contains('*')) {
        return Err(format!(
            "`{host}` would mean names of any domain; write a network such as `10.1.0.0/16`, or names below a domain \
             such as `*.db.example`"
        ));
    }
    if let Some(wrong) = name.chars().find(|c| !(c.is_alphanumeric() || "-_.*".contains(*c))) {
        return Err(format!(
            "`{host}` has the character `{wrong}` in its host; write letters, digits, `-`, `_`, `.` and `*`"
        ));
    }
    Ok(Hosts::Name(name))
}

/// Whether a resolver could take it for an address in one of its old spellings.
fn is_numeric(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let hex = last.strip_prefix("0x").is_some_and(|rest| rest.chars().all(|c| c.is_ascii_hexdigit()));
    !last.is_empty() && (hex || last.chars().all(|c| c.is_ascii_digit() || c == '*') && last.contains(char::is_numeric))
}

/// The first address of the network.
fn masked(address: IpAddr, bits: u8) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            Some(IpAddr::V4((address.to_bits() & mask).into()))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            Some(IpAddr::V6((address.to_bits() & mask).into()))
        }
    }
}

fn is_in(asked: IpAddr, net: IpAddr, bits: u8) -> bool {
    let shift = |width: u8| u32::from(width - bits);
    match (asked.to_canonical(), net.to_canonical()) {
        (IpAddr::V4(asked), IpAddr::V4(net)) if bits <= 32 => {
            (asked.to_bits() ^ net.to_bits()).checked_shr(shift(32)).unwrap_or(0) == 0
        }
        (IpAddr::V6(asked), IpAddr::V6(net)) => {
            (asked.to_bits() ^ net.to_bits()).checked_shr(shift(128)).unwrap_or(0) == 0
        }
        _ => false,
    }
}

fn is_name_of(host: &str, name: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(domain) => {
            let below = host.match_indices('.').map(|(at, _)| &host[at + 1..]);
            below.into_iter().any(|rest| labels_match(rest, domain))
        }
        None => labels_match(host, name),
    }
}

fn labels_match(host: &str, name: &str) -> bool {
    let (mut mine, mut theirs) = (name.split('.'), host.split('.'));
    loop {
        match (mine.next(), theirs.next()) {
            (None, None) => return true,
            (Some(mine), Some(theirs)) if matches_label(theirs, mine) => {}
            _ => return false,
        }
    }
}

/// One label; each `*` is any run of characters.
fn matches_label(label: &str, mine: &str) -> bool {
    let Some((before, after)) = mine.split_once('*') else { return label == mine };
    let Some(mut rest) = label.strip_prefix(before) else { return false };
    let mut parts = after.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, meant: &[&str], not_meant: &[&str]) {
        let parsed = Pattern::parse(pattern).unwrap_or_else(|says| panic!("{pattern}: {says}"));
        let means = |endpoint: &str| parsed.means(&Endpoint::parse(endpoint).expect("an endpoint"));
        for endpoint in meant {
            assert!(means(endpoint), "{pattern} means {endpoint}");
        }
        for endpoint in not_meant {
            assert!(!means(endpoint), "{pattern} does not mean {endpoint}");
        }
    }

    #[test]
    fn a_pattern_means_no_more_than_it_seems_to() {
        check("db.example:3306", &["db.example:3306", "DB.Example.:3306"], &["db.example:3307", "x.db.example:3306"]);
        check("DB.Example.:3306", &["db.example:3306", "db.example.:3306"], &["x.db.example:3306"]);
        check("db.example:*", &["db.example:3306", "db.example:1"], &["db.example.evil:3306"]);
        check(
            "*.db.example:3306",
            &["a.db.example:3306", "a.b.db.example:3306"],
            &["db.example:3306", "adb.example:3306", "a.db.example.evil:3306", "a.db.example:3307"],
        );
        check(
            "db-*.example:3306",
            &["db-1.example:3306", "db-.example:3306"],
            &["db-1.x.example:3306", "db.example:3306"],
        );
        check("db*:3306", &["db:3306", "db1:3306"], &["db1.evil:3306", "db.evil:3306"]);
        check("a*b*c:3306", &["abc:3306", "a-b-b-c:3306"], &["acb:3306", "ab:3306"]);
        check("aba*ba:3306", &["ababa:3306"], &["aba:3306"]);
        check("*:3306", &["anything.at.all:3306", "10.0.0.1:3306", "[::1]:3306"], &["h:3307", "/run/a.sock"]);
        check(
            "10.1.0.0/16:3306",
            &["10.1.0.0:3306", "10.1.255.255:3306", "[::ffff:10.1.2.3]:3306"],
            &["10.2.0.0:3306", "10.1.evil.example:3306", "10.1.2.3:3307", "10.1.514:3306"],
        );
        check("0.0.0.0/0:*", &["1.2.3.4:5"], &["[::1]:5", "localhost:5"]);
        check("127.0.0.1:3306", &["127.0.0.1:3306"], &["127.0.0.2:3306", "localhost:3306", "127.1:3306"]);
        check("[fd00::/8]:3306", &["[fd12::1]:3306"], &["[fe80::1]:3306", "10.0.0.1:3306"]);
        check("[::1]:3306", &["[::1]:3306"], &["[::2]:3306"]);
        check("unix:/run/a.sock", &["/run/a.sock", "unix:/run/a.sock"], &["/run/b.sock", "run:3306"]);
    }

    #[test]
    fn what_cannot_be_a_pattern_is_told_with_a_way_out() {
        for (pattern, says) in [
            ("db.example", "`db.example` has no port; write `db.example:3306`, or `db.example:*` for every port"),
            (":3306", "has no port"),
            ("a..b:3306", "has an empty part between its dots"),
            (".example:3306", "has an empty part between its dots"),
            ("10.0.0.1/8:3306", "`10.0.0.1/8` is an address and no network; write `10.0.0.0/8`, or `10.0.0.1`"),
            ("[fd00::1]/8:3306", "without brackets"),
            ("/run/*.sock", "a socket is named by its whole path"),
            ("db:0", "`0` is not a port"),
            ("db:x", "`x` is not a port"),
            ("fd00::/8:3306", "without brackets"),
            ("10.0.0.0/33:3306", "write a number up to 32"),
            ("db/8:3306", "is not a network"),
            ("10.0.*:3306", "would mean names of any domain"),
            ("db.*:3306", "would mean names of any domain"),
            ("10.0.0.*:3306", "would mean names of any domain"),
            ("d b:3306", "has the character ` ` in its host"),
            ("unix:run/a", "is not an absolute path"),
        ] {
            let told = Pattern::parse(pattern).expect_err(pattern);
            assert!(told.contains(says), "{pattern}: {told}");
        }
    }
}
