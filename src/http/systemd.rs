//! Sockets that systemd opened for us, as sd_listen_fds(3) tells them: descriptors from 3 on, counted by a variable.
//!
//! Each is looked at before it is taken: what is not a stream socket that listens is named, by its number and by the name
//! that the unit gives it.

use std::env;
use std::fmt;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use socket2::{Domain, SockRef, Socket, Type};

/// The first descriptor that is passed.
const FIRST: RawFd = 3;

/// More than any unit has.
const MOST: RawFd = 1024;

/// The variables that tell of the sockets, for whoever has the process id that one of them says.
const PID: &str = "LISTEN_PID";
const COUNT: &str = "LISTEN_FDS";
const NAMES: &str = "LISTEN_FDNAMES";
const OF_THE_PROCESS: &str = "LISTEN_PIDFDID";

/// Sockets of systemd that are ours now.
#[derive(Debug)]
pub struct Passed(pub(super) Vec<Socket>);

/// Why there are none.
#[derive(Debug, PartialEq, Eq)]
pub struct NotPassed {
    cause: String,
    /// What a person can do about it.
    pub hint: &'static str,
}

impl fmt::Display for NotPassed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.cause)
    }
}

impl std::error::Error for NotPassed {}

/// Takes the sockets that were passed to this process, and the variables with them: no child shall think itself meant.
///
/// # Safety
///
/// To be called before there is a second thread, since it changes the environment, and before a descriptor is opened that
/// could be taken for one of systemd's.
pub unsafe fn passed() -> Result<Passed, NotPassed> {
    let [pid, count, names] = [PID, COUNT, NAMES].map(|name| env::var(name).ok());
    for name in [PID, COUNT, NAMES, OF_THE_PROCESS] {
        // SAFETY: there is one thread, as the caller promises.
        unsafe { env::remove_var(name) };
    }
    let told = told(std::process::id(), pid.as_deref(), count.as_deref(), names.as_deref().unwrap_or_default())?;
    for one in &told {
        // SAFETY: the call touches no memory of ours; of a descriptor that is not open it says so.
        if unsafe { libc::fcntl(one.descriptor, libc::F_GETFD) } == -1 {
            return Err(one.unfit(&"is not open"));
        }
        // SAFETY: it is open, and there is no other thread that could close it.
        judge(unsafe { BorrowedFd::borrow_raw(one.descriptor) }).map_err(|is| one.unfit(&is))?;
    }
    let sockets = told.iter().map(|one| {
        // SAFETY: it is open, and systemd gave it to this process, where nobody else has taken it: the variables are gone.
        let socket = Socket::from(unsafe { OwnedFd::from_raw_fd(one.descriptor) });
        socket.set_cloexec(true).and_then(|()| socket.set_nonblocking(true)).map_err(|error| one.unfit(&error))?;
        Ok(socket)
    });
    sockets.collect::<Result<_, _>>().map(Passed)
}

/// Whether there are some for this process that nobody has taken.
pub fn is_passed() -> bool {
    env::var(PID).is_ok_and(|pid| pid.parse() == Ok(std::process::id())) && env::var_os(COUNT).is_some()
}

/// One socket that systemd tells of.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    descriptor: RawFd,
    name: Option<String>,
}

impl Told {
    fn unfit(&self, is: &dyn fmt::Display) -> NotPassed {
        let name = self.name.as_ref().map(|name| format!(" (`{name}`)")).unwrap_or_default();
        NotPassed {
            cause: format!("descriptor {}{name} {is}", self.descriptor),
            hint: "the socket unit needs ListenStream=, with addresses and ports or absolute paths, and no other Listen…=, \
                   and Accept=no, the default",
        }
    }
}

/// What the variables tell.
fn told(own: u32, pid: Option<&str>, count: Option<&str>, names: &str) -> Result<Vec<Told>, NotPassed> {
    let Some(count) = count else {
        return Err(NotPassed {
            cause: format!("started without systemd socket activation: there is no variable {COUNT}"),
            hint: "start the socket unit first (deploy/goneaway.socket is one), or leave out --web.systemd-socket",
        });
    };
    if pid.and_then(|pid| pid.parse().ok()) != Some(own) {
        let whose = pid.map_or("nobody's".to_owned(), |pid| format!("those of process `{pid}`"));
        return Err(NotPassed {
            cause: format!("the sockets are {whose} by {PID}, and this is process {own}"),
            hint: "let systemd start goneaway itself; a script between them ends by `exec goneaway …`",
        });
    }
    let count = match count.parse::<RawFd>() {
        Ok(count) if (1..=MOST).contains(&count) => count,
        _ => {
            return Err(NotPassed {
                cause: format!("{COUNT} is `{count}`, where the number of sockets belongs"),
                hint: "the socket unit has a ListenStream= for each address",
            });
        }
    };
    let mut names = names.split(':').filter(|name| !name.is_empty());
    Ok((FIRST..FIRST + count).map(|descriptor| Told { descriptor, name: names.next().map(str::to_owned) }).collect())
}

/// Whether it is a stream socket that listens, or what else it is.
fn judge(descriptor: BorrowedFd<'_>) -> Result<(), String> {
    let socket = SockRef::from(&descriptor);
    let asked = |error: io::Error| match error.raw_os_error() {
        Some(libc::ENOTSOCK) => "is no socket".to_owned(),
        _ => format!("cannot be asked what it is: {error}"),
    };
    match socket.r#type().map_err(asked)? {
        Type::STREAM => {}
        Type::DGRAM => return Err("is a datagram socket".to_owned()),
        _ => return Err("is no stream socket".to_owned()),
    }
    let domain = socket.domain().map_err(asked)?;
    if ![Domain::IPV4, Domain::IPV6, Domain::UNIX].contains(&domain) {
        return Err("is neither of TCP nor a unix socket".to_owned());
    }
    match socket.is_listener().map_err(asked)? {
        true => Ok(()),
        false => Err("is a stream socket that does not listen".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsFd;
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    fn check(pid: Option<&str>, count: Option<&str>, says: &str) {
        let wrong = told(7, pid, count, "").expect_err(says);
        assert!(wrong.to_string().starts_with(says), "{wrong}");
    }

    #[test]
    fn the_variables_are_meant_for_one_process() {
        let one = |descriptor, name: Option<&str>| Told { descriptor, name: name.map(str::to_owned) };
        assert_eq!(told(7, Some("7"), Some("2"), "tcp"), Ok(vec![one(3, Some("tcp")), one(4, None)]));
        check(None, None, "started without systemd socket activation");
        check(Some("7"), None, "started without systemd socket activation");
        check(Some("8"), Some("1"), "the sockets are those of process `8` by LISTEN_PID, and this is process 7");
        check(None, Some("1"), "the sockets are nobody's");
        for count in ["0", "-1", "many", "", "99999999999"] {
            check(Some("7"), Some(count), &format!("LISTEN_FDS is `{count}`"));
        }
    }

    #[test]
    fn only_a_stream_socket_that_listens_is_taken() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(judge(tcp.as_fd()), Ok(()));
        let path = env::temp_dir().join(format!("goneaway-passed-{}", std::process::id()));
        let unix = UnixListener::bind(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(judge(unix.as_fd()), Ok(()));
        let client = TcpStream::connect(tcp.local_addr().unwrap()).unwrap();
        assert_eq!(judge(client.as_fd()), Err("is a stream socket that does not listen".to_owned()));
        let (one, _other) = UnixStream::pair().unwrap();
        assert_eq!(judge(one.as_fd()), Err("is a stream socket that does not listen".to_owned()));
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(judge(udp.as_fd()), Err("is a datagram socket".to_owned()));
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(judge(file.as_fd()), Err("is no socket".to_owned()));
    }
}
