//! Which server answers: flavor and version, and what follows from them.

use std::fmt;

/// The families of servers that differ in what they can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flavor {
    MySql,
    MariaDb,
}

impl Flavor {
    pub fn label(self) -> &'static str {
        match self {
            Flavor::MySql => "mysql",
            Flavor::MariaDb => "mariadb",
        }
    }
}

/// The server's version, comparable within its flavor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    pub major: u16,
    pub minor: u16,
    pub patch: u16,
}

impl Version {
    pub const fn new(major: u16, minor: u16, patch: u16) -> Version {
        Version { major, minor, patch }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// What a server says of itself in its greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub flavor: Flavor,
    pub version: Version,
    /// The version as the server writes it, without the prefix that MariaDB puts before it.
    pub version_text: String,
}

impl Server {
    /// Reads the version of a greeting or of `VERSION()`.
    ///
    /// MariaDB before 11 greets as `5.5.5-10.11.6-MariaDB`: replication of old MySQL versions refused a major
    /// version of two digits.
    pub fn from_version(text: &str) -> Server {
        let (flavor, text) = match text.strip_prefix("5.5.5-") {
            Some(rest) if rest.contains("MariaDB") || rest.starts_with("10.") => (Flavor::MariaDb, rest),
            _ if text.to_ascii_lowercase().contains("mariadb") => (Flavor::MariaDb, text),
            _ => (Flavor::MySql, text),
        };
        let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse().ok());
        let mut next = || numbers.next().unwrap_or(0);
        let version = Version { major: next(), minor: next(), patch: next() };
        // It goes into labels, logs and terminals.
        let version_text = text.chars().filter(|c| !c.is_control()).collect();
        Server { flavor, version, version_text }
    }

    pub fn is_mariadb(&self) -> bool {
        self.flavor == Flavor::MariaDb
    }

    /// A MySQL (not MariaDB) of at least this version.
    pub fn mysql_since(&self, major: u16, minor: u16, patch: u16) -> bool {
        self.flavor == Flavor::MySql && self.version >= Version::new(major, minor, patch)
    }

    /// A MariaDB of at least this version.
    pub fn mariadb_since(&self, major: u16, minor: u16, patch: u16) -> bool {
        self.flavor == Flavor::MariaDb && self.version >= Version::new(major, minor, patch)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.flavor {
            Flavor::MySql => "MySQL",
            Flavor::MariaDb => "MariaDB",
        };
        write!(out, "{name} {}", self.version_text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greetings_of_known_servers_are_read() {
        for (text, shown, version) in [
            ("5.5.5-10.11.19-MariaDB-0+deb12u1", "MariaDB 10.11.19-MariaDB-0+deb12u1", Version::new(10, 11, 19)),
            ("11.8.9-MariaDB-3 from Debian", "MariaDB 11.8.9-MariaDB-3 from Debian", Version::new(11, 8, 9)),
            ("8.0.36-0ubuntu0.22.04.1", "MySQL 8.0.36-0ubuntu0.22.04.1", Version::new(8, 0, 36)),
            ("9.7.4", "MySQL 9.7.4", Version::new(9, 7, 4)),
            ("5.5.5", "MySQL 5.5.5", Version::new(5, 5, 5)),
            ("8.0.30-22", "MySQL 8.0.30-22", Version::new(8, 0, 30)),
            ("nonsense", "MySQL nonsense", Version::new(0, 0, 0)),
        ] {
            let server = Server::from_version(text);
            assert_eq!((server.to_string().as_str(), server.version), (shown, version));
        }
    }
}
