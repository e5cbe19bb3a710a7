//! The server's first packet, and what else may come in its place.

use std::io;

use mysql_common::constants::CapabilityFlags;
use mysql_common::io::ParseBuf;
use mysql_common::packets::HandshakePacket;
use mysql_common::proto::MyDeserialize;

use super::super::failure::{Failure, Phase, Reason};
use super::super::server::Server;
use super::packets::malformed;

/// The most that a greeting, or an error in its place, takes; both have a few hundred bytes at most.
pub(super) const LIMIT: usize = 4096;

/// What a server says of itself before anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Greeting {
    pub(super) server: Server,
    pub(super) connection_id: u32,
    pub(super) capabilities: CapabilityFlags,
    /// The authentication plugin that it proposes, and the challenge for it.
    pub(super) plugin: String,
    pub(super) nonce: Vec<u8>,
}

impl Greeting {
    pub(super) fn parse(payload: &[u8]) -> io::Result<Greeting> {
        check(payload)?;
        let packet = HandshakePacket::deserialize((), &mut ParseBuf(payload))?;
        let capabilities = packet.capabilities();
        let needed = CapabilityFlags::CLIENT_PROTOCOL_41 | CapabilityFlags::CLIENT_SECURE_CONNECTION;
        if !capabilities.contains(needed) {
            return Err(malformed("the greeting of a server older than MySQL 4.1"));
        }
        Ok(Greeting {
            server: Server::from_version(&packet.server_version_str()),
            connection_id: packet.connection_id(),
            capabilities,
            plugin: packet.auth_plugin_name_str().unwrap_or_default().into_owned(),
            nonce: packet.nonce(),
        })
    }
}

// The parser of mysql_common computes with the length of the challenge before it has looked at it: a length above 127
// overflows there.
fn check(payload: &[u8]) -> io::Result<()> {
    match payload.first() {
        Some(10) => {}
        Some(version) => return Err(malformed(format!("a greeting of protocol version {version}, not 10"))),
        None => return Err(malformed("an empty packet in place of the greeting")),
    }
    let version_end = payload.iter().position(|byte| *byte == 0).unwrap_or(payload.len());
    const FROM_VERSION_TO_LENGTH: usize = 1 + 4 + 8 + 1 + 2 + 1 + 2 + 2;
    match payload.get(version_end + FROM_VERSION_TO_LENGTH) {
        Some(0..=127) => Ok(()),
        Some(_) => Err(malformed("a greeting with an impossible challenge")),
        None => Err(malformed("a greeting that ends too early")),
    }
}

/// The failure that something else in place of a greeting is: `bytes` are what came first.
pub(super) fn not_a_server(bytes: &[u8], error: &io::Error) -> Failure {
    let shown: String =
        bytes.iter().take(60).flat_map(|byte| std::ascii::escape_default(*byte)).map(char::from).collect();
    let failure = Failure::new(Phase::Greeting, Reason::Protocol, format!("{error}; it began with \"{shown}\""));
    match looks_like(bytes) {
        Some(what) => failure.with_hint(format!("this looks like {what}; is it the right port?")),
        None => failure.with_hint("this is not a MySQL server, or something on the way tampers with it"),
    }
}

fn looks_like(bytes: &[u8]) -> Option<&'static str> {
    const MARKS: [(&[u8], &str); 13] = [
        (b"HTTP", "an HTTP server"),
        (b"<htm", "an HTTP server"),
        (b"<!DO", "an HTTP server"),
        (b"SSH-", "an SSH server"),
        (b"220", "an SMTP or FTP server"),
        (b"+OK", "a POP3 server"),
        (b"* OK", "an IMAP server"),
        (b"-ERR", "a Redis server"),
        (b"-DEN", "a Redis server in protected mode"),
        (b"RFB ", "a VNC server"),
        (b"AMQP", "an AMQP broker"),
        (b"\x15\x03", "a TLS server, such as an HTTPS one"),
        (b"\x05\0\0\0\x0b", "MySQL's X protocol, which has port 33060 and not 3306"),
    ];
    if let [_, _, _, 0, 9, ..] = bytes {
        return Some("a server older than MySQL 3.21");
    }
    MARKS.iter().find(|(mark, _)| bytes.starts_with(mark)).map(|(_, what)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(bytes: &[u8]) -> String {
        let failure = not_a_server(bytes, &malformed("odd"));
        assert_eq!((failure.phase, failure.reason), (Phase::Greeting, Reason::Protocol));
        failure.hint.unwrap_or_default()
    }

    #[test]
    fn other_protocols_are_called_by_name() {
        for (bytes, says) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], "HTTP"),
            (b"SSH-2.0-OpenSSH_9.2p1\r\n", "SSH"),
            (b"220 mail.example ESMTP\r\n", "SMTP or FTP"),
            (b"-ERR unknown command", "Redis"),
            (b"\x15\x03\x01\0\x02\x02\x46", "TLS"),
            (b"\x05\0\0\0\x0b\x08\x05\x1a\0", "X protocol"),
            (b"\x28\0\0\0\x09server", "older than MySQL 3.21"),
            (b"\x01\x02\x03\x04", "not a MySQL server"),
            (b"", "not a MySQL server"),
        ] {
            assert!(hint(bytes).contains(says), "{bytes:?}: {}", hint(bytes));
        }
        assert!(not_a_server(b"a\n\"\xff", &malformed("odd")).detail.ends_with(r#""a\n\"\xff""#));
    }

    const MARIADB: &[u8] = b"\x0a5.5.5-10.11.6-MariaDB\0\x07\0\0\0abcdefgh\0\xfe\xff\x2d\x02\0\xff\x81\x15\0\0\0\0\0\0\x1d\0\0\0ijklmnopqrst\0mysql_native_password\0";

    #[test]
    fn a_greeting_is_read() {
        let greeting = Greeting::parse(MARIADB).expect("a good greeting");
        assert_eq!(greeting.server.to_string(), "MariaDB 10.11.6-MariaDB");
        assert_eq!((greeting.connection_id, greeting.plugin.as_str()), (7, "mysql_native_password"));
        assert_eq!(greeting.nonce, b"abcdefghijklmnopqrst");
        assert!(greeting.capabilities.contains(CapabilityFlags::CLIENT_SSL));
    }

    #[test]
    fn no_piece_of_a_greeting_and_no_other_byte_in_it_makes_us_panic() {
        for end in 0..MARIADB.len() {
            let _ = Greeting::parse(&MARIADB[..end]);
        }
        for at in 0..MARIADB.len() {
            for byte in 0..=255 {
                let mut greeting = MARIADB.to_vec();
                greeting[at] = byte;
                let _ = Greeting::parse(&greeting);
            }
        }
    }
}
