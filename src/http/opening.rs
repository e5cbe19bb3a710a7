//! From a socket that was accepted to a stream on which HTTP can be spoken.
//!
//! It takes place in the connection's own task and step `Opened`: the handshake and the first request share one
//! deadline, and who is slow at it delays nobody.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::guard::Guard;
use super::stream::Door;
use super::wire::Socket;

/// A stream that is ready for HTTP.
pub(super) enum Opened {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

/// A record of TLS begins so, and no request of HTTP does.
const HANDSHAKE: u8 = 0x16;

const NOT_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 51\r\n\
    connection: close\r\n\r\nerror: this port speaks HTTPS; write `https://...`\n";

/// Speaks TLS if the rules of now want it.
pub(super) async fn open(guard: &Guard, door: Door, mut socket: Socket) -> io::Result<Opened> {
    if door == Door::Control {
        return Ok(Opened::Plain(socket));
    }
    let Some(config) = guard.rules().await.tls.clone() else { return Ok(Opened::Plain(socket)) };
    if socket.first_byte().await?.is_some_and(|byte| byte != HANDSHAKE && byte.is_ascii_alphabetic()) {
        // What is not read is answered by a reset, which may overtake the words.
        let _ = socket.read(&mut [0; 4096]).await?;
        socket.write_all(NOT_TLS).await?;
        socket.shutdown().await?;
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a client that spoke plain HTTP"));
    }
    TlsAcceptor::from(config).accept(socket).await.map(|stream| Opened::Tls(Box::new(stream)))
}
