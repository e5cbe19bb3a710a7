//! A connection that was accepted, over TCP or a unix socket: the one place where the two differ.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// What the system may hold of an answer. It reports room only when some of this is free: of megabytes, a slow client would
/// seem to take nothing. With TCP that is a third, with a unix socket three quarters.
const SEND_BYTES: usize = 128 * 1024;
const UNIX_SEND_BYTES: usize = 64 * 1024;

/// A connection that was accepted.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// By the control socket.
    Control(UnixStream),
}

/// Where a request comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// By an address that is listened on: the web configuration says who may.
    Web,
    /// By the control socket: whoever may open it is an operator.
    Control,
}

/// The same said to whichever it is.
macro_rules! either {
    ($self:expr, $stream:ident => $then:expr) => {
        match $self {
            Stream::Tcp($stream) => $then,
            Stream::Unix($stream) | Stream::Control($stream) => $then,
        }
    };
}

impl Stream {
    /// What is asked of the system for it. None of this is worth a connection: the deadlines hold without.
    pub(super) fn prepare(&self, answering: Duration) {
        let stream = match self {
            Stream::Tcp(stream) => stream,
            Stream::Unix(stream) | Stream::Control(stream) => {
                let _ = SockRef::from(stream).set_send_buffer_size(UNIX_SEND_BYTES);
                return;
            }
        };
        let _ = SockRef::from(stream).set_send_buffer_size(SEND_BYTES);
        let _ = stream.set_nodelay(true);
        // What the system has taken from us and the client does not take from the system.
        #[cfg(target_os = "linux")]
        let _ = SockRef::from(stream).set_tcp_user_timeout(Some(answering));
    }

    /// By which door its requests come.
    pub(super) fn door(&self) -> Door {
        match self {
            Stream::Tcp(_) | Stream::Unix(_) => Door::Web,
            Stream::Control(_) => Door::Control,
        }
    }

    /// The first byte that the client sent; it stays to be read. None when it sends none.
    pub(super) async fn first_byte(&self) -> io::Result<Option<u8>> {
        let mut byte = [MaybeUninit::new(0)];
        let peeked = either!(self, stream => {
            stream.async_io(Interest::READABLE, || SockRef::from(stream).peek(&mut byte)).await?
        });
        // SAFETY: it was written when it was made.
        Ok((peeked == 1).then_some(unsafe { byte[0].assume_init() }))
    }

    /// From here on closing means a reset, so that the system forgets what the client has not read. What a unix socket
    /// holds is small, and goes when the client does.
    pub(super) fn will_reset(&self) {
        if let Stream::Tcp(stream) = self {
            // Nothing is lost when this fails: the system then takes its own time.
            let _ = stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, into))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(cx, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        either!(self, stream => stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }
}
