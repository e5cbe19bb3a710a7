//! The phases `tls` and `auth`: our answer to the greeting, and the talk until the server says yes or no.

use std::collections::HashMap;
use std::io;

use mysql_common::constants::CapabilityFlags;
use mysql_common::packets::{AuthPlugin, HandshakeResponse, SslRequest};
use mysql_common::proto::MySerialize;

use super::super::failure::Failure;
use super::greeting::Greeting;
use super::packets::{ErrPacket, Trouble, Wire, malformed};
use super::plugin::{self, Exchange, Means, Plugin};

/// Who wants to log in, to what.
#[derive(Clone, Copy)]
pub(super) struct Client<'a> {
    pub(super) user: &'a str,
    pub(super) database: Option<&'a str>,
    pub(super) means: Means<'a>,
}

/// The way a login ends that is not one.
pub(super) enum Denied {
    Trouble(Trouble),
    /// We will not, or cannot, go on.
    Failure(Failure),
}

impl From<io::Error> for Denied {
    fn from(error: io::Error) -> Denied {
        Denied::Trouble(error.into())
    }
}

impl From<Failure> for Denied {
    fn from(failure: Failure) -> Denied {
        Denied::Failure(failure)
    }
}

/// What we use of what the server can. The request for TLS and the login must say the same.
pub(super) fn capabilities(greeting: &Greeting, database: bool) -> CapabilityFlags {
    // LOCAL INFILE, several statements at once and compression are left out on purpose.
    let mut wanted = CapabilityFlags::CLIENT_LONG_PASSWORD
        | CapabilityFlags::CLIENT_LONG_FLAG
        | CapabilityFlags::CLIENT_PROTOCOL_41
        | CapabilityFlags::CLIENT_TRANSACTIONS
        | CapabilityFlags::CLIENT_SECURE_CONNECTION
        | CapabilityFlags::CLIENT_PLUGIN_AUTH
        | CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA
        | CapabilityFlags::CLIENT_CONNECT_ATTRS
        | CapabilityFlags::CLIENT_DEPRECATE_EOF;
    wanted.set(CapabilityFlags::CLIENT_CONNECT_WITH_DB, database);
    greeting.capabilities & wanted
}

/// Announces TLS. The handshake follows at once.
pub(super) async fn request_tls(wire: &mut Wire, greeting: &Greeting, database: bool) -> io::Result<()> {
    let capabilities = capabilities(greeting, database) | CapabilityFlags::CLIENT_SSL;
    let mut packet = Vec::new();
    SslRequest::new(capabilities, MAX_PACKET, UTF8MB4).serialize(&mut packet);
    wire.write(&packet).await
}

/// Logs in, and says by which plugin.
pub(super) async fn log_in(
    wire: &mut Wire,
    greeting: &Greeting,
    tls: bool,
    client: Client<'_>,
) -> Result<Plugin, Denied> {
    let mut exchange = Exchange::new(opening(greeting), &greeting.nonce, client.means)?;
    let response = response(greeting, tls, client, &mut exchange);
    wire.write(&response).await?;
    for _ in 0..MOST_PACKETS {
        let packet = wire.read(LIMIT).await?;
        match packet[..] {
            [OK, ..] => return Ok(exchange.plugin),
            [ErrPacket::HEADER, ..] => return Err(Denied::Trouble(Trouble::Server(ErrPacket::parse(&packet)?))),
            // The way to say mysql_old_password before plugins had names.
            [SWITCH] => return Err(plugin::unserved("mysql_old_password").into()),
            [SWITCH, ref request @ ..] => {
                let (plugin, challenge) = switch(request)?;
                exchange = Exchange::new(plugin, challenge, client.means)?;
                wire.write(&exchange.first()).await?;
            }
            [SECOND_FACTOR, ..] => return Err(malformed("a second factor, which we did not offer").into()),
            // MySQL marks a plugin's data. MariaDB marks only what could be taken for another packet.
            [MORE, ref data @ ..] | ref data @ [_, ..] => {
                if let Some(answer) = exchange.answer(data).await? {
                    wire.write(&answer).await?;
                }
            }
            [] => return Err(malformed("an empty packet in the login").into()),
        }
    }
    Err(malformed("a login without an end").into())
}

const OK: u8 = 0x00;
const MORE: u8 = 0x01;
const SECOND_FACTOR: u8 = 0x02;
const SWITCH: u8 = 0xFE;

/// The most that a packet of a login takes; the largest is an RSA key.
const LIMIT: usize = 64 * 1024;

/// Even a change of plugin with all its packets takes fewer.
const MOST_PACKETS: usize = 16;

const MAX_PACKET: u32 = 16 * 1024 * 1024;

/// utf8mb4_general_ci, which every server has.
const UTF8MB4: u8 = 45;

// The plugin to begin with: the server's own if it needs no more than the greeting, else its usual one. The account's
// plugin may be another; then the server asks for a switch.
fn opening(greeting: &Greeting) -> Plugin {
    match Plugin::named(&greeting.plugin) {
        Ok(plugin @ (Plugin::Native | Plugin::CachingSha2 | Plugin::Sha256)) => plugin,
        _ if greeting.server.mysql_since(8, 0, 4) => Plugin::CachingSha2,
        _ => Plugin::Native,
    }
}

fn response(greeting: &Greeting, tls: bool, client: Client<'_>, exchange: &mut Exchange<'_>) -> Vec<u8> {
    let mut capabilities = capabilities(greeting, client.database.is_some());
    capabilities.set(CapabilityFlags::CLIENT_SSL, tls);
    let named = capabilities.contains(CapabilityFlags::CLIENT_PLUGIN_AUTH);
    let attributes = capabilities.contains(CapabilityFlags::CLIENT_CONNECT_ATTRS);
    let response = HandshakeResponse::new(
        Some(exchange.first()),
        // Only decides between utf8mb4 and an older character set.
        (5, 5, 3),
        Some(client.user.as_bytes()),
        client.database.map(str::as_bytes),
        named.then(|| AuthPlugin::from_bytes(exchange.plugin.name().as_bytes())),
        capabilities,
        attributes.then(self::attributes),
        MAX_PACKET,
    );
    let mut packet = Vec::new();
    response.serialize(&mut packet);
    packet
}

// How the server lists us, in performance_schema.session_connect_attrs.
fn attributes() -> HashMap<String, String> {
    let name = env!("CARGO_PKG_NAME");
    [
        ("program_name", name.to_owned()),
        ("_client_name", name.to_owned()),
        ("_client_version", env!("CARGO_PKG_VERSION").to_owned()),
        ("_pid", std::process::id().to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

fn switch(request: &[u8]) -> Result<(Plugin, &[u8]), Denied> {
    let end = request.iter().position(|byte| *byte == 0);
    let (name, challenge) = match end {
        Some(end) => (&request[..end], &request[end + 1..]),
        None => (request, &[][..]),
    };
    Ok((Plugin::named(&String::from_utf8_lossy(name))?, challenge))
}
