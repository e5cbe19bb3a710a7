//! The client's half of the authentication plugins: what to answer to which challenge.
//!
//! What each plugin sends is in the comment at its variant. A plugin that would show the password to others does not.

use std::io;

use mysql_common::scramble::{
    create_response_for_ed25519, create_response_for_parsec, scramble_native, scramble_sha256,
};

use super::super::failure::{Failure, Phase, Reason};
use super::super::transport;
use super::packets::malformed;
use super::rsa;
use super::stream::Channel;

/// The plugins that we can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plugin {
    /// SHA-1 of challenge and password.
    Native,
    /// SHA-256 of challenge and password. If the server does not remember the account ("full"), the password itself:
    /// as it is on a private channel, else under the server's RSA key.
    CachingSha2,
    /// The password itself over TLS, else under the server's RSA key, even on a unix socket.
    Sha256,
    /// A signature of the challenge by a key made from the password.
    Ed25519,
    /// The same, with a key that is hard to make. The server tells its salt first.
    Parsec,
    /// The password itself, only on a private channel and only where the operator allows it.
    Clear,
}

/// What the account's plugin may do and with what.
#[derive(Clone, Copy)]
pub(super) struct Means<'a> {
    pub(super) password: &'a str,
    pub(super) channel: Channel,
    /// `mysql_clear_password` is allowed there.
    pub(super) cleartext: bool,
}

impl Plugin {
    pub(super) fn name(self) -> &'static str {
        match self {
            Plugin::Native => "mysql_native_password",
            Plugin::CachingSha2 => "caching_sha2_password",
            Plugin::Sha256 => "sha256_password",
            Plugin::Ed25519 => "client_ed25519",
            Plugin::Parsec => "parsec",
            Plugin::Clear => "mysql_clear_password",
        }
    }

    /// The plugin of this name, or why there is none.
    pub(super) fn named(name: &str) -> Result<Plugin, Failure> {
        use Plugin::*;
        if let Some(plugin) =
            [Native, CachingSha2, Sha256, Ed25519, Parsec, Clear].into_iter().find(|it| it.name() == name)
        {
            return Ok(plugin);
        }
        Err(unserved(name))
    }
}

/// The failure that a plugin is which we do not have.
pub(super) fn unserved(name: &str) -> Failure {
    let failure = refusal(format!("the account uses the plugin `{name}`, which goneaway does not have"));
    failure.with_hint(match name {
        "mysql_old_password" => {
            "its hashes have been insecure since MySQL 4.1; give the account another plugin with ALTER USER"
        }
        "dialog" => "PAM asks questions that a program cannot answer; give goneaway an account with a password",
        _ => "give goneaway an account of its own, with a plugin that takes a password",
    })
}

/// A login by one plugin.
pub(super) struct Exchange<'a> {
    pub(super) plugin: Plugin,
    nonce: Vec<u8>,
    means: Means<'a>,
    /// The server was asked for its RSA key.
    key_asked: bool,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(plugin: Plugin, challenge: &[u8], means: Means<'a>) -> Result<Exchange<'a>, Failure> {
        let length = match plugin {
            Plugin::Native | Plugin::CachingSha2 | Plugin::Sha256 => 20,
            Plugin::Ed25519 | Plugin::Parsec => 32,
            Plugin::Clear => 0,
        };
        // A zero may follow; but a signed challenge may as well end in one of its own.
        let Some(nonce) = challenge.get(..length) else {
            return Err(breach(format!("a challenge of {} bytes for {}", challenge.len(), plugin.name())));
        };
        if plugin == Plugin::Clear {
            allowed_in_clear(means)?;
        }
        Ok(Exchange { plugin, nonce: nonce.to_vec(), means, key_asked: false })
    }

    /// What to send first.
    pub(super) fn first(&mut self) -> Vec<u8> {
        let password = self.means.password.as_bytes();
        match self.plugin {
            Plugin::Native => scramble_native(&self.nonce, password).map_or_else(Vec::new, Vec::from),
            Plugin::CachingSha2 => scramble_sha256(&self.nonce, password).map_or_else(|| vec![0], Vec::from),
            Plugin::Sha256 if password.is_empty() => vec![0],
            Plugin::Sha256 if self.means.channel == Channel::Tls => self.in_clear(),
            Plugin::Sha256 => {
                self.key_asked = true;
                vec![SHA256_ASK_KEY]
            }
            Plugin::Ed25519 => create_response_for_ed25519(password, &self.nonce).to_vec(),
            // Nothing asks for the salt.
            Plugin::Parsec => Vec::new(),
            Plugin::Clear => self.in_clear(),
        }
    }

    /// What to answer to more data from the server; None is to go on listening.
    pub(super) async fn answer(&mut self, data: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        match self.plugin {
            Plugin::CachingSha2 if data == [SHA2_FAST_OK] => Ok(None),
            Plugin::CachingSha2 if data == [SHA2_FULL] && self.means.channel.is_private() => Ok(Some(self.in_clear())),
            Plugin::CachingSha2 if data == [SHA2_FULL] => {
                self.key_asked = true;
                Ok(Some(vec![SHA2_ASK_KEY]))
            }
            Plugin::CachingSha2 | Plugin::Sha256 if self.key_asked => {
                self.key_asked = false;
                let encrypted = rsa::encrypt(self.means.password, &self.nonce, data);
                encrypted.map(Some).map_err(|error| transport::failure(Phase::Auth, &error))
            }
            Plugin::Parsec => self.signed_with_salt(data).await.map(Some),
            _ => Err(breach(format!("{} bytes that {} does not ask for", data.len(), self.plugin.name()))),
        }
    }

    fn in_clear(&self) -> Vec<u8> {
        self.means.password.bytes().chain([0]).collect()
    }

    async fn signed_with_salt(&self, data: &[u8]) -> Result<Vec<u8>, Failure> {
        let [b'P', factor, salt @ ..] = data else {
            return Err(breach("a salt that is not of parsec".into()));
        };
        let Ok(nonce) = <[u8; 32]>::try_from(self.nonce.as_slice()) else {
            return Err(breach("a challenge that is not of parsec".into()));
        };
        if *factor > PARSEC_FACTOR {
            return Err(refusal(format!(
                "the account's parsec key takes 2^{} rounds to make",
                u32::from(*factor) + 10
            ))
            .with_hint("give goneaway an account whose key is made in fewer rounds"));
        }
        let (password, salt, rounds) = (self.means.password.to_owned(), salt.to_vec(), 1024 << *factor);
        // Milliseconds at the usual factor 0, but up to a second of computing.
        let signing =
            tokio::task::spawn_blocking(move || create_response_for_parsec(password.as_bytes(), &nonce, rounds, &salt));
        match signing.await {
            Ok(signature) => Ok(signature.to_vec()),
            Err(error) => Err(Failure::new(Phase::Auth, Reason::Other, format!("cannot sign: {error}"))),
        }
    }
}

const SHA2_ASK_KEY: u8 = 2;
const SHA2_FAST_OK: u8 = 3;
const SHA2_FULL: u8 = 4;
const SHA256_ASK_KEY: u8 = 1;

/// Servers have 0 to 3; mysql_common would compute for minutes at its own limit of 20.
const PARSEC_FACTOR: u8 = 10;

fn allowed_in_clear(means: Means<'_>) -> Result<(), Failure> {
    let failure = refusal("the account uses mysql_clear_password, which sends the password as it is".into());
    match (means.channel.is_private(), means.cleartext) {
        (true, true) => Ok(()),
        (false, _) => {
            Err(failure.with_hint("it is only sent over TLS or a unix socket, and this connection is neither"))
        }
        (true, false) => Err(failure.with_hint("this channel is private; `cleartext: true` allows it")),
    }
}

fn refusal(detail: String) -> Failure {
    Failure::new(Phase::Auth, Reason::AuthPlugin, detail)
}

fn breach(detail: String) -> Failure {
    let error: io::Error = malformed(detail);
    transport::failure(Phase::Auth, &error)
}
