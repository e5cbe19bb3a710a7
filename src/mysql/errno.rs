//! What a server's error numbers mean to someone who wants to be its client.
//!
//! Numbers below 4000 mean the same in MySQL and MariaDB; from there on each has its own, so they are only read for a
//! server whose flavor is known. What is not about connecting is `other`.

use super::failure::{Failure, Phase, Reason};
use super::server::Flavor;

/// What the client knew when the error came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circumstances {
    pub phase: Phase,
    /// Unknown until there was a greeting.
    pub flavor: Option<Flavor>,
    /// Over TCP without TLS.
    pub plain: bool,
}

/// The failure that an error packet is.
pub fn failure(errno: u16, message: &str, when: Circumstances) -> Failure {
    let reason = reason(errno, when.flavor);
    let mut failure = Failure::new(when.phase, reason, printable(message));
    failure.errno = Some(errno);
    failure.hint = hint(errno, reason, message, when);
    failure
}

fn reason(errno: u16, flavor: Option<Flavor>) -> Reason {
    match (errno, flavor) {
        (1040, _) => Reason::TooManyConnections,
        (1043 | 1047 | 1156 | 1835, _) => Reason::Protocol,
        (1044 | 1045 | 1698, _) => Reason::AccessDenied,
        (1049, _) => Reason::UnknownDatabase,
        (1053, _) => Reason::ServerShutdown,
        (1129, _) => Reason::HostBlocked,
        (1130, _) => Reason::HostNotAllowed,
        (1203 | 1226, _) => Reason::UserLimit,
        (1251 | 1275 | 1524, _) => Reason::AuthPlugin,
        (1820 | 1862, _) => Reason::PasswordExpired,
        (3032, _) => Reason::Offline,
        (3118 | 3955, _) => Reason::AccountLocked,
        (3159, _) => Reason::TlsRequired,
        (4150 | 4151, Some(Flavor::MariaDb)) => Reason::AccountLocked,
        _ => Reason::Other,
    }
}

fn hint(errno: u16, reason: Reason, message: &str, when: Circumstances) -> Option<String> {
    let hint = match (errno, reason) {
        (1040, _) if when.phase == Phase::Greeting => {
            "every connection is taken, the one kept for administrators too; find who holds them, or raise \
             max_connections"
        }
        (1040, _) => {
            "max_connections is reached; one more is kept for administrators, who can still log in and see who holds \
             them"
        }
        (1044, _) => "the account may not use this database; grant it a right there, or leave `database` out",
        (1045 | 1698, _) => return Some(denied(message, when)),
        (1049, _) => "no such database on this server; is it the right server?",
        (1053, _) => "the server is shutting down; it will be back, or another one takes over",
        (1129, _) => {
            "max_connect_errors connections of this host were cut before login, often by a load balancer's bare TCP \
             checks; stop them, then FLUSH HOSTS, in MySQL TRUNCATE TABLE performance_schema.host_cache"
        }
        (1130, _) => {
            return Some(match quoted_after(message, "Host ") {
                Some(host) => format!("the server sees this host as {host}; no account has a host part that matches"),
                None => "no account has a host part that matches this host".into(),
            });
        }
        (1184, _) => "often init_connect fails for this account; the server's error log says what it ran",
        (1203, _) => "max_user_connections is reached: too many clients use this account at once",
        (1226, _) => "the account has a limit of its own, and the message names it; raise it with ALTER USER",
        (1524, _) => "the account's plugin is not loaded in the server",
        (_, Reason::AuthPlugin) => "the server wants another way to log in; see the account's plugin",
        (1862 | 1820, _) => "the account's password has expired; ALTER USER sets a new one",
        (3032, _) => "the server is in offline_mode; an operator turns it off",
        (3118 | 4151, Reason::AccountLocked) => "an operator locked the account; ALTER USER … ACCOUNT UNLOCK",
        (_, Reason::AccountLocked) => {
            "too many wrong passwords in a row locked the account, and each further try counts; correct the password \
             first, then unlock"
        }
        (3159, _) => "the server has require_secure_transport; set the TLS mode to REQUIRED or better",
        (9001, _) => "this is ProxySQL's: it has no backend that answers",
        _ => return None,
    };
    Some(hint.into())
}

/// Words of a server, fit for a terminal and a log: a hostile one could forge lines or drive the terminal.
pub fn printable(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

fn denied(message: &str, when: Circumstances) -> String {
    let mut hint = match quoted_after(message, "'@") {
        Some(host) => format!("the server sees this host as {host}; check the account's host part"),
        None => "check the account's user name and host part".into(),
    };
    hint.push_str(match message.contains("using password: NO") {
        // Some plugins say so of a wrong password, too.
        true => " and the password: the server says that it saw none",
        false => " and the password",
    });
    // MariaDB 10.11 has these words for require_secure_transport too, later ones have 3159.
    if when.plain {
        hint.push_str("; an account or a server that requires TLS answers the same, and this connection has none");
    }
    hint
}

// The text between the quotes that follow a mark: 10.0.0.7 of `Host '10.0.0.7' is not allowed`.
fn quoted_after<'a>(message: &'a str, mark: &str) -> Option<&'a str> {
    let (_, rest) = message.split_once(mark)?;
    let (text, _) = rest.strip_prefix('\'')?.split_once('\'')?;
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(phase: Phase, flavor: Option<Flavor>) -> Circumstances {
        Circumstances { phase, flavor, plain: false }
    }

    #[test]
    fn numbers_from_4000_on_belong_to_their_flavor() {
        let reason = |errno, flavor| failure(errno, "", at(Phase::Auth, flavor)).reason;
        for errno in [4150, 4151] {
            assert_eq!(reason(errno, Some(Flavor::MariaDb)), Reason::AccountLocked);
            assert_eq!(reason(errno, Some(Flavor::MySql)), Reason::Other);
            assert_eq!(reason(errno, None), Reason::Other);
        }
        assert_eq!(reason(3955, Some(Flavor::MySql)), Reason::AccountLocked);
    }

    #[test]
    fn every_number_of_the_fault_table_has_its_reason_and_a_hint() {
        for (errno, expected) in [
            (1040, Reason::TooManyConnections),
            (1044, Reason::AccessDenied),
            (1045, Reason::AccessDenied),
            (1049, Reason::UnknownDatabase),
            (1053, Reason::ServerShutdown),
            (1129, Reason::HostBlocked),
            (1130, Reason::HostNotAllowed),
            (1184, Reason::Other),
            (1203, Reason::UserLimit),
            (1226, Reason::UserLimit),
            (1251, Reason::AuthPlugin),
            (1524, Reason::AuthPlugin),
            (1698, Reason::AccessDenied),
            (1820, Reason::PasswordExpired),
            (1862, Reason::PasswordExpired),
            (3032, Reason::Offline),
            (3118, Reason::AccountLocked),
            (3159, Reason::TlsRequired),
            (3955, Reason::AccountLocked),
        ] {
            let failure = failure(errno, "words", at(Phase::Auth, Some(Flavor::MySql)));
            assert_eq!((failure.reason, failure.errno, failure.detail.as_str()), (expected, Some(errno), "words"));
            assert!(failure.hint.is_some(), "{errno}");
        }
        assert_eq!(failure(1064, "syntax", at(Phase::Query, None)).hint, None);
    }

    #[test]
    fn control_characters_of_a_server_are_shown_and_not_obeyed() {
        let failure = failure(1045, "no\n\u{1b}[31mline: ü", at(Phase::Auth, None));
        assert_eq!(failure.detail, "no\\n\\u{1b}[31mline: ü");
    }

    #[test]
    fn a_denied_login_says_how_the_server_sees_us() {
        let message = "Access denied for user 'exporter'@'10.0.0.7' (using password: YES)";
        let hint = |message, plain| {
            failure(1045, message, Circumstances { plain, ..at(Phase::Auth, None) }).hint.unwrap_or_default()
        };
        assert_eq!(
            hint(message, false),
            "the server sees this host as 10.0.0.7; check the account's host part and the password"
        );
        assert!(hint(message, true).contains("requires TLS"));
        assert!(hint("Access denied for user 'a'@'b' (using password: NO)", false).contains("saw none"));
        for odd in ["", "'@", "'@'", "'@''", "Access denied"] {
            assert!(hint(odd, false).starts_with("check the account's"), "{odd}");
        }
    }

    #[test]
    fn a_full_server_says_whether_administrators_get_in() {
        let hint = |phase| failure(1040, "Too many connections", at(phase, None)).hint.unwrap_or_default();
        assert!(hint(Phase::Greeting).contains("for administrators too"));
        assert!(hint(Phase::Auth).contains("can still log in"));
    }
}
