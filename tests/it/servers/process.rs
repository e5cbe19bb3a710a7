//! Child processes and directories that end with the test process, however that ends.
//!
//! A test that is killed runs no `Drop`. So the kernel kills the children, and a shell that
//! waits for our end removes the directories.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, mpsc};
use std::thread;

/// Starts a child that the kernel kills when the test process ends.
pub(crate) fn spawn(mut command: Command) -> io::Result<Child> {
    // SAFETY: prctl with these arguments is one system call, allowed between fork and exec.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        });
    }
    let (reply, child) = mpsc::sync_channel(1);
    SPAWNER.send((command, reply)).expect("the spawning thread lives as long as the process");
    child.recv().expect("the spawning thread answers every request")
}

type Request = (Command, mpsc::SyncSender<io::Result<Child>>);

// "Parent" in PR_SET_PDEATHSIG is the thread that forked. Tests are threads that end early, so
// one thread that never ends forks for all of them.
static SPAWNER: LazyLock<mpsc::Sender<Request>> = LazyLock::new(|| {
    let (requests, inbox) = mpsc::channel::<Request>();
    thread::Builder::new()
        .name("spawner".into())
        .spawn(move || {
            for (mut command, reply) in inbox {
                // A test that gave up meanwhile has nobody to take the child; it is not needed.
                if let Err(mpsc::SendError(Ok(mut child))) = reply.send(command.spawn()) {
                    let _ = child.kill();
                    let _ = child.wait();
                }
            }
        })
        .expect("a thread can be started");
    requests
});

/// A new empty directory below the one of this test process.
pub(crate) fn directory() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let directory = SCRATCH.join(NEXT.fetch_add(1, Ordering::Relaxed).to_string());
    fs::create_dir_all(&directory).expect("the temporary directory is writable");
    directory
}

#[expect(clippy::zombie_processes, reason = "the janitor outlives us")]
static SCRATCH: LazyLock<PathBuf> = LazyLock::new(|| {
    let mut parent = std::env::temp_dir();
    // A unix socket's path ends at 107 bytes, and ours adds some thirty.
    if parent.as_os_str().len() > 70 {
        parent = "/tmp".into();
    }
    sweep(&parent);
    let scratch = parent.join(format!("{PREFIX}{}", std::process::id()));
    fs::create_dir_all(&scratch).expect("the temporary directory is writable");

    // Its standard input ends when this process does. A group of its own, so that the Ctrl-C
    // which ends the tests does not end it too. Again and again, because the servers die at the
    // same time and may still write.
    let mut janitor = Command::new("sh")
        .args(["-c", "cat; for i in 1 2 3 4 5 6 7 8 9; do rm -rf \"$0\" && exit; sleep 0.2; done"])
        .arg(&scratch)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("there is a shell");
    std::mem::forget(janitor.stdin.take());
    scratch
});

const PREFIX: &str = "goneaway-it-";

// What runs left behind whose janitor was killed as well.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse::<u32>().ok());
        if process.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
