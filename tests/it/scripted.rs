//! A server that does as it is told, on one connection: the odd, the broken and the hostile.

use std::time::Duration;

use goneaway::mysql::endpoint::Endpoint;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The server's end of a connection.
pub(crate) struct Talk<S = TcpStream> {
    pub(crate) stream: S,
    pub(crate) sequence: u8,
}

/// Starts a server that follows the script with the first client. The script's failures appear when it is awaited.
pub(crate) async fn server<F>(script: impl FnOnce(Talk) -> F + Send + 'static) -> (Endpoint, JoinHandle<()>)
where
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let port = listener.local_addr().expect("bound").port();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        script(Talk { stream, sequence: 0 }).await;
    });
    (Endpoint::Tcp { host: "127.0.0.1".into(), port }, task)
}

impl<S: AsyncRead + AsyncWrite + Unpin> Talk<S> {
    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        // A client that has had enough may be gone.
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    pub(crate) async fn send(&mut self, payload: &[u8]) {
        let packet = [&(payload.len() as u32).to_le_bytes()[..3], &[self.sequence], payload].concat();
        self.sequence = self.sequence.wrapping_add(1);
        self.raw(&packet).await;
    }

    /// The client's next packet; empty when it is gone.
    pub(crate) async fn read(&mut self) -> Vec<u8> {
        let mut header = [0; 4];
        if self.stream.read_exact(&mut header).await.is_err() {
            return Vec::new();
        }
        self.sequence = header[3].wrapping_add(1);
        let mut payload = vec![0; u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize];
        self.stream.read_exact(&mut payload).await.expect("a whole packet");
        payload
    }

    /// Says nothing more until the client is gone.
    pub(crate) async fn silence(&mut self) {
        while self.stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {}
    }

    /// Greets, and lets the client in whoever it is.
    pub(crate) async fn let_in(&mut self, capabilities: u32) {
        self.send(&greeting(capabilities, "mysql_native_password")).await;
        self.read().await;
        self.send(OK).await;
    }
}

impl Talk {
    /// Ends the connection as a crashed peer does.
    pub(crate) fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("a TCP socket");
    }
}

pub(crate) const OK: &[u8] = &[0, 0, 0, 2, 0, 0, 0];

pub(crate) const SSL: u32 = 1 << 11;
pub(crate) const DEPRECATE_EOF: u32 = 1 << 24;
/// 4.1 protocol, challenges of 20 bytes, named plugins.
pub(crate) const PLAIN: u32 = 1 << 9 | 1 << 15 | 1 << 19;

pub(crate) fn greeting(capabilities: u32, plugin: &str) -> Vec<u8> {
    let capabilities = capabilities.to_le_bytes();
    [
        &b"\x0a8.0.99\0\x07\0\0\0abcdefgh\0"[..],
        &capabilities[..2],
        b"\x2d\x02\0",
        &capabilities[2..],
        b"\x15\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0",
        plugin.as_bytes(),
        b"\0",
    ]
    .concat()
}

/// A request to go on with another plugin.
pub(crate) fn switch(plugin: &str, challenge: &[u8]) -> Vec<u8> {
    [b"\xfe", plugin.as_bytes(), b"\0", challenge].concat()
}

/// The definition of a column.
pub(crate) fn column(name: &str) -> Vec<u8> {
    [&b"\x03def\0\0\0"[..], &[name.len() as u8], name.as_bytes(), b"\0\x0c\x2d\0\0\0\0\0\xfd\0\0\0\0\0"].concat()
}
