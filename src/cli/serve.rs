//! The daemon.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinError;
use tracing::{error, info, warn};

use super::exit::{Exit, complain};
use super::ready::{Ready, queries, ready, switched};
use super::reload::Reloader;
use super::shutdown::{Signals, hangup};
use super::telemetry;
use crate::config::{Loaded, Place, Sources, Web};
use crate::http::{self, ListenAddress, Listener, Passed};
use crate::report::judge::Judge;
use crate::watch::{Common, Watch, target};

/// Runs until it is told to stop.
pub(super) fn serve(loaded: Loaded, sources: &Sources) -> Exit {
    let passed = match take_passed(&loaded.config.web) {
        Ok(passed) => passed,
        Err(exit) => return exit,
    };
    let ready = match ready(&loaded) {
        Ok(ready) => ready,
        Err(mistakes) => return complain(&mistakes),
    };
    if let Err(error) = telemetry::start(&loaded.config.log) {
        return complain(&format!("error: cannot start logging\n  cause: {error}"));
    }
    for warning in &loaded.warnings {
        warn!("{warning}");
    }
    if passed.is_none() && http::is_passed() {
        warn!("systemd passed sockets that are not used; `--web.systemd-socket` takes them");
    }
    raise_descriptor_limit();
    warn_of_few_descriptors(&ready.targets);
    // One thread: with a thousand targets it needs less memory than several, and no more time.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("error: cannot start the runtime\n  cause: {error}")),
    };
    let exit = runtime.block_on(run(loaded, sources, passed, ready));
    // A name that is still being resolved, in a thread that cannot be stopped, must not hold the process.
    runtime.shutdown_background();
    exit
}

/// Takes systemd's sockets, if they are wanted.
fn take_passed(web: &Web) -> Result<Option<Passed>, Exit> {
    if !web.systemd_socket {
        return Ok(None);
    }
    // SAFETY: there is one thread yet, and reading the configuration has left no descriptor open.
    let passed = unsafe { http::passed() };
    passed.map(Some).map_err(|error| {
        complain(&format!("error: cannot take sockets from systemd\n  cause: {error}\n  hint: {}", error.hint))
    })
}

fn listen(web: &Web, passed: Option<Passed>) -> Result<Vec<Listener>, Exit> {
    let Some(passed) = passed else {
        return http::bind(&web.listen_addresses).map_err(|error| {
            let cause =
                std::error::Error::source(&error).map(|cause| format!("\n  cause: {cause}")).unwrap_or_default();
            complain(&format!("error: {error}{cause}\n  hint: {}", error.hint))
        });
    };
    http::adopt(passed)
        .map_err(|error| complain(&format!("error: cannot use the sockets of systemd\n  cause: {error}")))
}

/// Listens at the control socket. One that nobody asked for is done without where it cannot be had.
fn listen_for_commands(loaded: &Loaded) -> Result<Option<Listener>, Exit> {
    let Some(path) = &loaded.config.control else { return Ok(None) };
    let error = match http::bind_control(path) {
        Ok(listener) => return Ok(Some(listener)),
        Err(error) => error,
    };
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    let is_ours = |name: &str| name.to_ascii_uppercase().starts_with("GONEAWAY_");
    match loaded.origins.of("control").map(|origin| &origin.place) {
        Some(Place::Environment(name)) if !is_ours(name) => {
            warn!(socket = %path.display(), cause, hint = error.hint, "no control socket: commands do not find this daemon");
            Ok(None)
        }
        _ => Err(complain(&format!("error: {error}\n  cause: {cause}\n  hint: {}", error.hint))),
    }
}

/// Says where it listens. How to ask at a unix socket few people know by heart.
fn tell(address: &ListenAddress, scheme: &str, web: &Web) {
    let from = if web.systemd_socket { "systemd" } else { "goneaway" };
    match address {
        ListenAddress::Tcp(address) => info!(%address, from, "listening"),
        ListenAddress::Unix(path) => {
            let (option, path) = match path.strip_prefix('@') {
                Some(name) => ("--abstract-unix-socket", name),
                None => ("--unix-socket", path.as_str()),
            };
            let ask = format!("curl {option} {path} {scheme}://localhost{}", web.telemetry_path);
            info!(%address, from, ask, "listening");
        }
    }
}

async fn run(loaded: Loaded, sources: &Sources, passed: Option<Passed>, ready: Ready) -> Exit {
    let Ready { targets, rules, guard } = ready;
    let mut listeners = match listen(&loaded.config.web, passed) {
        Ok(listeners) => listeners,
        Err(exit) => return exit,
    };
    let control = match listen_for_commands(&loaded) {
        Ok(control) => control,
        Err(exit) => return exit,
    };
    let (mut signals, hangup) = match Signals::new().and_then(|signals| Ok((signals, hangup()?))) {
        Ok(signals) => signals,
        Err(error) => return complain(&format!("error: cannot listen for signals\n  cause: {error}")),
    };
    let (stop, stopped) = watch::channel(false);
    let config = loaded.file.as_ref().map_or("none".to_owned(), |file| file.display().to_string());
    let addresses: Vec<String> = listeners.iter().map(|listener| listener.address().to_string()).collect();
    info!(
        version = env!("CARGO_PKG_VERSION"),
        config,
        targets = targets.len(),
        listening = addresses.join(","),
        "started"
    );
    for listener in &listeners {
        tell(listener.address(), guard.scheme(), &loaded.config.web);
    }
    if let Some(control) = control {
        info!(socket = control.address().to_string().trim_start_matches("unix:"), "commands find this daemon");
        listeners.push(control);
    }

    let collectors = switched(&targets);
    let queries = queries(&loaded.config);
    let common =
        Common { state_directory: loaded.config.state_directory.clone(), events: loaded.config.events.keep as usize };
    let watch = Watch::new(targets, rules, &common, &stopped);
    let state =
        http::State::new(watch.board().clone(), watch.events().clone(), collectors, &loaded.config.web.telemetry_path);
    let (reloads, asked) = http::reloads();
    let state = Arc::new(state.guarded(guard).visiting(watch.visits().clone()).reloading(reloads));
    state.set_queries(queries);
    state.set_lifecycle(loaded.config.web.lifecycle);
    let reloader = Reloader {
        sources: sources.clone(),
        started: loaded.config,
        state: state.clone(),
        changes: watch.changes(),
        hangup,
        asked,
    };
    let mut reloading = tokio::spawn(reloader.run(stopped.clone()));
    let mut stop_serving = stopped.clone();
    let until_stopped = async move {
        // A sender that is gone means the same.
        let _ = stop_serving.wait_for(|stop| *stop).await;
    };
    let judging = tokio::spawn(Judge::new(watch.board().clone()).run(stopped.clone()));
    let watching = tokio::spawn(watch.run());
    let serving = tokio::spawn(http::serve(listeners, state, http::Limits::default(), until_stopped));

    let (mut watching, mut serving, mut judging) = (watching, serving, judging);
    tokio::select! {
        () = signals.stop() => {}
        // Neither ends unasked: whoever watches over this process should start it anew.
        ended = &mut watching => return died(ended),
        ended = &mut serving => return died(ended),
        ended = &mut reloading => return died(ended),
        ended = &mut judging => return died(ended),
    }
    stop.send_replace(true);
    let (watching, serving, reloading, judging) = tokio::select! {
        all = async { tokio::join!(watching, serving, reloading, judging) } => all,
        // Asked twice: whoever asks does not want to wait.
        () = signals.stop() => return Exit::Warning,
    };
    match watching.and(serving).and(reloading).and(judging) {
        Ok(()) => {
            info!("stopped");
            Exit::Good
        }
        defect => died(defect),
    }
}

fn died(ended: Result<(), JoinError>) -> Exit {
    let cause = ended.err().map_or("it ended unasked".to_owned(), |defect| defect.to_string());
    error!(cause, "a task died of a defect");
    Exit::Critical
}

/// Every target takes descriptors; the usual soft limit of 1024 is for programs that use select().
fn raise_descriptor_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls only read or write the struct that they are given.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 && limit.rlim_cur < limit.rlim_max {
            limit.rlim_cur = limit.rlim_max;
            // Where it is refused, the old limit stays, and the warning below says when that is too few.
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}

/// Says so when the targets could need more descriptors than there are.
fn warn_of_few_descriptors(targets: &[Arc<target::Target>]) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call only writes the struct that it is given.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } == 0;
    let connections: u64 = targets.iter().map(|target| u64::from(target.connections)).sum();
    // What is left is for clients of ours and for files.
    if known && connections + 64 > limit.rlim_cur {
        warn!(
            limit = limit.rlim_cur,
            connections, "the limit of open files is low for so many targets; raise it (`ulimit -n`, LimitNOFILE=)"
        );
    }
}
