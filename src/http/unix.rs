//! A unix socket to listen on, and its file.
//!
//! The file of a process that died stays behind, and nobody else may listen on it: it is replaced once nobody answers
//! there. A socket that somebody listens on, and whatever is no socket, is left as it is.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

/// Who may connect: the user and the group that goneaway runs as.
pub(super) const FOR_THE_GROUP: u32 = 0o660;

/// Only the user that goneaway runs as, and root.
pub(super) const FOR_THE_USER: u32 = 0o600;

/// The file of a socket that is ours. It goes with this, unless another file has taken its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    file: File,
}

/// Which file it is, whatever its name.
type File = (u64, u64);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.file) {
            // What stays is replaced by whoever listens there next.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Listens at a path, in the place of a socket that nobody listens on any more.
pub(super) fn bind(path: &Path, mode: u32, backlog: i32) -> io::Result<(Socket, SocketFile)> {
    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    match socket.bind(&address) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            remove_stale(path, &address)?;
            socket.bind(&address)?;
        }
        bound => bound?,
    }
    let file = SocketFile { path: path.to_owned(), file: identity(path)? };
    // Nobody gets in before it listens, so the mode of a moment ago let nobody in.
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    socket.set_nonblocking(true)?;
    socket.listen(backlog)?;
    Ok((socket, file))
}

/// Removes a socket on which nobody listens, or says why it has to stay.
fn remove_stale(path: &Path, address: &SockAddr) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    if !found.file_type().is_socket() {
        let says = format!("{} is there, and no socket", kind(&found));
        return Err(io::Error::new(ErrorKind::AlreadyExists, says));
    }
    let caller = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A listener that has no room for more connections must not be waited for.
    caller.set_nonblocking(true)?;
    match caller.connect(address) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
        // It went while we looked.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let says = "another user's socket is there, and whether it is in use cannot be asked";
            return Err(io::Error::new(ErrorKind::AddrInUse, says));
        }
        // Connected, no room, or a socket of another type: somebody is there.
        _ => return Err(io::Error::new(ErrorKind::AddrInUse, "another program listens there")),
    }
    // Another that starts at the same time may have replaced it already.
    match identity(path) {
        Ok(now) if now == (found.dev(), found.ino()) => fs::remove_file(path),
        Ok(_) => Err(io::Error::new(ErrorKind::AddrInUse, "another program just began to listen there")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn identity(path: &Path) -> io::Result<File> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

fn kind(found: &fs::Metadata) -> &'static str {
    let kind = found.file_type();
    if kind.is_dir() {
        "a directory"
    } else if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_file() {
        "a file"
    } else {
        "something else"
    }
}
