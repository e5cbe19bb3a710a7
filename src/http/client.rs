//! A client of our own HTTP side: how a command asks a daemon that runs, by its control socket or its URL.
//!
//! A connection a request: commands ask seldom. Every request has one deadline, from connecting to the answer's last byte.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::mysql::handshake::SystemRoots;

/// From connecting to the last byte: a daemon answers from memory.
const WITHIN: Duration = Duration::from_secs(10);

/// More than any answer of a daemon with a thousand targets.
const MOST_BYTES: usize = 256 << 20;

/// Asks one daemon.
#[derive(Clone, Debug)]
pub struct Client {
    at: At,
    within: Duration,
}

#[derive(Clone, Debug)]
enum At {
    Socket(PathBuf),
    Url(Url),
}

#[derive(Clone)]
struct Url {
    is_tls: bool,
    host: String,
    port: u16,
    /// As it is said to the daemon.
    authority: String,
    /// What comes before each path.
    prefix: String,
    /// From the user and the password in the URL; never shown.
    authorization: Option<HeaderValue>,
}

impl fmt::Debug for Url {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(out, "{scheme}://{}{}", self.authority, self.prefix)
    }
}

/// What a daemon answered.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub body: Bytes,
    from: String,
}

/// A daemon that could not be asked, or did not answer what it should.
#[derive(Debug)]
pub struct Unanswered {
    from: String,
    cause: String,
    hint: Option<&'static str>,
    /// It answered, and what was asked for makes no sense.
    refused: bool,
}

impl fmt::Display for Unanswered {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.refused {
            true => write!(out, "error: {} (says the daemon at {})", self.cause, self.from)?,
            false => write!(out, "error: cannot ask the daemon at {}\n  cause: {}", self.from, self.cause)?,
        }
        self.hint.map_or(Ok(()), |hint| write!(out, "\n  hint: {hint}"))
    }
}

impl Error for Unanswered {}

impl Response {
    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON, if the answer is a good one.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Unanswered> {
        let wrong = |cause: String, hint| Unanswered { from: self.from.clone(), cause, hint, refused: false };
        if !(200..300).contains(&self.status) {
            return Err(self.refusal());
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            let hint = "is a goneaway of this version at that place?";
            wrong(format!("its answer is not what this command knows: {error}"), Some(hint))
        })
    }

    /// An answer that is not the wanted one, in the daemon's own words.
    pub fn refusal(&self) -> Unanswered {
        let words = self.text();
        let words = words.strip_prefix("error: ").unwrap_or(&words).trim_end();
        let hint = match self.status {
            401 => Some("write user and password into the URL: http://user:password@host:10306"),
            404 => Some("is a goneaway of this version at that place?"),
            _ => None,
        };
        let refused = self.status == 400;
        let cause = if refused { words.to_owned() } else { format!("it answers {}: {words}", self.status) };
        Unanswered { from: self.from.clone(), cause, hint, refused }
    }
}

impl Client {
    /// Asks by a control socket.
    pub fn at_socket(path: &Path) -> Client {
        Client { at: At::Socket(path.to_owned()), within: WITHIN }
    }

    /// Asks by a URL as `http://host:10306`, or says what is wrong with it.
    pub fn at_url(text: &str) -> Result<Client, String> {
        Ok(Client { at: At::Url(parse(text)?), within: WITHIN })
    }

    /// The same with another deadline for each request.
    pub fn within(self, within: Duration) -> Client {
        Client { within, ..self }
    }

    /// Whom it asks, for a person. Without passwords.
    pub fn place(&self) -> String {
        match &self.at {
            At::Socket(path) => path.display().to_string(),
            At::Url(url) => url.to_string(),
        }
    }

    /// Asks for a path, with its query.
    pub async fn get(&self, path: &str) -> Result<Response, Unanswered> {
        self.ask(Method::GET, path).await
    }

    /// Wants something done.
    pub async fn post(&self, path: &str) -> Result<Response, Unanswered> {
        self.ask(Method::POST, path).await
    }

    async fn ask(&self, method: Method, path: &str) -> Result<Response, Unanswered> {
        let asked = async {
            match &self.at {
                At::Socket(socket) => {
                    let stream = UnixStream::connect(socket).await?;
                    exchange(stream, request(method, path.to_owned(), "localhost", None)?).await
                }
                At::Url(url) => {
                    let path = format!("{}{path}", url.prefix);
                    let request = request(method, path, &url.authority, url.authorization.clone())?;
                    let stream = TcpStream::connect((url.host.as_str(), url.port)).await?;
                    match url.is_tls {
                        false => exchange(stream, request).await,
                        true => exchange(secured(url, stream).await?, request).await,
                    }
                }
            }
        };
        let wrong = |cause, hint| Unanswered { from: self.place(), cause, hint, refused: false };
        match timeout(self.within, asked).await {
            Ok(Ok((status, body))) => Ok(Response { status, body, from: self.place() }),
            Ok(Err(error)) => Err(wrong(words(&*error), hint(&*error))),
            Err(_) => Err(wrong(format!("no answer within {:?}", self.within), None)),
        }
    }
}

type Anything = Box<dyn Error + Send + Sync>;

fn request(
    method: Method,
    path: String,
    authority: &str,
    authorization: Option<HeaderValue>,
) -> Result<Request<Empty<Bytes>>, Anything> {
    let mut request = Request::builder()
        .method(&method)
        .uri(path)
        .header(HOST, authority)
        .header(ACCEPT, "application/json")
        .header(USER_AGENT, concat!("goneaway/", env!("CARGO_PKG_VERSION")));
    if method == Method::POST {
        request = request.header(CONTENT_LENGTH, 0);
    }
    if let Some(authorization) = authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    Ok(request.body(Empty::new())?)
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Empty<Bytes>>,
) -> Result<(u16, Bytes), Anything> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut answered = pin!(async move {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), MOST_BYTES).collect().await?;
        Ok((status, body.to_bytes()))
    });
    tokio::select! {
        answer = &mut answered => answer,
        // Closed behind its answer, which is there to be taken, or before it, which that tells.
        _ = connection => answered.await,
    }
}

async fn secured(url: &Url, stream: TcpStream) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Anything> {
    let roots = SystemRoots::default().authorities()?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(url.host.clone())?;
    Ok(TlsConnector::from(Arc::new(config)).connect(name, stream).await?)
}

/// The chain of causes on one line.
fn words(error: &(dyn Error + 'static)) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !said.contains(&words) {
            said = format!("{said}: {words}");
        }
        cause = error.source();
    }
    said
}

fn hint(error: &(dyn Error + 'static)) -> Option<&'static str> {
    match error.downcast_ref::<io::Error>()?.kind() {
        ErrorKind::PermissionDenied => Some("the control socket is for the user that the daemon runs as, and root"),
        ErrorKind::ConnectionRefused | ErrorKind::NotFound => Some("does it run, and listen there?"),
        ErrorKind::InvalidData => {
            Some("a certificate that the system does not trust is taken with SSL_CERT_FILE naming its authority")
        }
        _ => None,
    }
}

/// What is wrong must not repeat a password.
fn parse(text: &str) -> Result<Url, String> {
    let (is_tls, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
        (Some(rest), _) => (false, rest),
        (None, Some(rest)) => (true, rest),
        (None, None) => return Err("is not a URL of http or https; write `http://host:10306`".to_owned()),
    };
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let (account, authority) = authority.rsplit_once('@').map_or((None, authority), |(one, two)| (Some(one), two));
    if path.contains(['?', '#']) || authority.contains(['?', '#']) {
        return Err("has a query; write where the daemon is, as `http://host:10306`".to_owned());
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let port = match port {
        Some(port) => port.parse().map_err(|_| "has no port from 0 to 65535 behind its `:`".to_owned())?,
        None if is_tls => 443,
        None => 80,
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() || host.contains(['[', ']', ' ']) {
        return Err("names no host; write `http://host:10306`".to_owned());
    }
    let authorization = account.map(|account| {
        let encoded = BASE64_STANDARD.encode(unescaped(account));
        let mut value = HeaderValue::from_str(&format!("Basic {encoded}")).expect("base64 is fit for a header");
        value.set_sensitive(true);
        value
    });
    Ok(Url {
        is_tls,
        host: host.to_owned(),
        port,
        authority: authority.to_owned(),
        prefix: path.trim_end_matches('/').to_owned(),
        authorization,
    })
}

/// A text as a part of a query.
pub fn encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let piece = |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(piece).collect()
}

/// `%40` in a password is `@`.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escape = after
            .first_chunk::<2>()
            .filter(|_| *first == b'%')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match escape {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Result<(&str, u16, &str, bool), &str>) {
        let parsed = parse(text);
        let seen = parsed.as_ref().map(|url| (url.host.as_str(), url.port, url.prefix.as_str(), url.is_tls));
        assert_eq!(seen.map_err(String::as_str), expect, "{text}");
    }

    #[test]
    fn a_url_is_taken_apart_and_its_password_never_shown() {
        check("http://db:10306", Ok(("db", 10306, "", false)));
        check("https://db/goneaway/", Ok(("db", 443, "/goneaway", true)));
        check("http://[::1]:10306/", Ok(("::1", 10306, "", false)));
        check("http://[::1]", Ok(("::1", 80, "", false)));
        check("db:10306", Err("is not a URL of http or https; write `http://host:10306`"));
        check("http://db:x", Err("has no port from 0 to 65535 behind its `:`"));
        check("http://:1", Err("names no host; write `http://host:10306`"));
        check("http://db/?x", Err("has a query; write where the daemon is, as `http://host:10306`"));
        let url = parse("http://ann:s%40cret@db:1").expect("good");
        let told = url.authorization.as_ref().and_then(|value| value.to_str().ok());
        assert_eq!(told, Some(format!("Basic {}", BASE64_STANDARD.encode("ann:s@cret")).as_str()));
        assert_eq!((format!("{url}"), format!("{url:?}")), ("http://db:1".to_owned(), "http://db:1".to_owned()));
        assert!(!format!("{:?}", Client::at_url("http://ann:secret@db:1")).contains("secret"));
    }
}
