//! The packets of the MySQL protocol on a stream: three bytes of length, one of sequence, a payload.
//!
//! Nothing is believed before it has come: the buffer grows with the bytes, not with the length that a header claims.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::transport::InMidPacket;
use super::stream::Stream;

const HEADER: usize = 4;

/// A payload of this length says that another packet continues it: 16 MiB, which nothing we ask for has.
pub(super) const CONTINUED: usize = 0xFF_FFFF;

/// What can go wrong between a request and its answer.
#[derive(Debug)]
pub(super) enum Trouble {
    Wire(io::Error),
    Server(ErrPacket),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Wire(error)
    }
}

/// A breach of the protocol.
pub(super) fn malformed(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

/// A stream of packets.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    buffer: BytesMut,
    sequence: u8,
}

impl Wire {
    pub(super) fn new(stream: Stream) -> Wire {
        Wire { stream, buffer: BytesMut::new(), sequence: 0 }
    }

    pub(super) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// What has come and is not yet read.
    pub(super) fn unread(&self) -> &[u8] {
        &self.buffer
    }

    /// The next packet's payload, of at most `limit` bytes.
    ///
    /// Cancel-safe: what has come of a packet is kept.
    pub(super) async fn read(&mut self, limit: usize) -> io::Result<Bytes> {
        loop {
            if let Some(payload) = self.buffered_packet(limit)? {
                return Ok(payload);
            }
            self.buffer.reserve(HEADER + 1024);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(match self.buffer.is_empty() {
                    true => io::ErrorKind::UnexpectedEof.into(),
                    false => io::Error::new(io::ErrorKind::UnexpectedEof, InMidPacket),
                });
            }
        }
    }

    fn buffered_packet(&mut self, limit: usize) -> io::Result<Option<Bytes>> {
        let &[low, middle, high, sequence, ..] = &self.buffer[..] else { return Ok(None) };
        let length = u32::from_le_bytes([low, middle, high, 0]) as usize;
        if length > limit || length == CONTINUED {
            return Err(malformed(format!("a packet of {length} bytes, where at most {limit} make sense")));
        }
        let Some(packet) = self.buffer.get(HEADER..HEADER + length) else { return Ok(None) };
        // Some servers start anew with an error that they send unasked.
        if sequence != self.sequence && packet.first() != Some(&ErrPacket::HEADER) {
            return Err(malformed(format!("packet {sequence} came where {} is next", self.sequence)));
        }
        self.sequence = sequence.wrapping_add(1);
        self.buffer.advance(HEADER);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// Writes one packet, as the next of the exchange. Not cancel-safe.
    pub(super) async fn write(&mut self, payload: &[u8]) -> io::Result<()> {
        if payload.len() >= CONTINUED {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a statement of 16 MiB or more"));
        }
        let length = (payload.len() as u32).to_le_bytes();
        let mut packet = Vec::with_capacity(HEADER + payload.len());
        packet.extend_from_slice(&length[..3]);
        packet.push(self.sequence);
        packet.extend_from_slice(payload);
        self.sequence = self.sequence.wrapping_add(1);
        self.stream.write_all(&packet).await?;
        self.stream.flush().await
    }

    /// Writes a packet that begins a new exchange.
    pub(super) async fn command(&mut self, payload: &[u8]) -> io::Result<()> {
        self.sequence = 0;
        self.write(payload).await
    }

    /// Puts TLS between stream and packets, which go on counting.
    pub(super) async fn upgrade<F>(self, handshake: impl FnOnce(tokio::net::TcpStream) -> F) -> io::Result<Wire>
    where
        F: Future<Output = io::Result<tokio_rustls::client::TlsStream<tokio::net::TcpStream>>>,
    {
        // What came before TLS could have been put there by anybody.
        if !self.buffer.is_empty() {
            return Err(malformed("the server spoke before the TLS handshake that it agreed to"));
        }
        let Stream::Tcp(tcp) = self.stream else {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "TLS goes over plain TCP only"));
        };
        let tls = handshake(tcp).await?;
        Ok(Wire { stream: Stream::Tls(Box::new(tls)), buffer: self.buffer, sequence: self.sequence })
    }

    /// Waits until the server has closed its side, whatever it says until then.
    pub(super) async fn drain(&mut self) -> io::Result<()> {
        if let Stream::Tls(tls) = &mut self.stream {
            tls.shutdown().await?;
        }
        loop {
            self.buffer.clear();
            self.buffer.reserve(1024);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(());
            }
        }
    }
}

/// The server's words for what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ErrPacket {
    pub(super) errno: u16,
    pub(super) message: String,
}

impl ErrPacket {
    pub(super) const HEADER: u8 = 0xFF;

    /// Reads an error packet. `#` and five characters of SQLSTATE may come before the message, and are
    /// missing as long as the server does not know what the client can read.
    pub(super) fn parse(payload: &[u8]) -> io::Result<ErrPacket> {
        let &[ErrPacket::HEADER, low, high, ref rest @ ..] = payload else {
            return Err(malformed("an error packet without an error number"));
        };
        let message = match rest {
            [b'#', state_and_message @ ..] if state_and_message.len() >= 5 => &state_and_message[5..],
            message => message,
        };
        Ok(ErrPacket {
            errno: u16::from_le_bytes([low, high]),
            message: String::from_utf8_lossy(message).trim_end_matches('\0').to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_read_with_and_without_sqlstate() {
        for (payload, errno, message) in [
            (&b"\xff\x10\x04Too many connections"[..], 1040, "Too many connections"),
            (b"\xff\x15\x04#28000Access denied", 1045, "Access denied"),
            (b"\xff\x15\x04#28000", 1045, ""),
            (b"\xff\x15\x04#280", 1045, "#280"),
            (b"\xff\x15\x04", 1045, ""),
            (b"\xff\x15\x04\xc3\x28", 1045, "\u{fffd}("),
        ] {
            let error = ErrPacket::parse(payload).expect("a number is there");
            assert_eq!((error.errno, error.message.as_str()), (errno, message));
        }
        for truncated in [&b""[..], b"\xff", b"\xff\x15"] {
            ErrPacket::parse(truncated).expect_err("no number");
        }
    }
}
