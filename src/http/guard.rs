//! The web configuration file in force: kept as new as the files are, and what it says done to each request.
//!
//! Files are looked at when somebody connects or asks, at most once a second, beside the thread that the probes share. A
//! file that is broken, or half written, is told once, and what was in force stays so.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use rustls::ServerConfig;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tracing::{info, warn};

use super::auth::Auth;
use super::files::Files;
use super::rate::Limit;
use super::reply::{Reply, text};
use super::tls;
use super::web_config::{self, Rate, Users};
use crate::config::{Mistakes, Place, cannot_read, shown};

/// Between two looks at the files.
const EVERY: Duration = Duration::from_secs(1);

/// What a web configuration file asks for; nothing without one.
#[derive(Debug)]
pub struct Guard {
    watched: Option<Arc<Watched>>,
    open: Arc<Rules>,
    auth: Auth,
    limit: Limit,
}

/// What is in force at one time.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) tls: Option<Arc<ServerConfig>>,
    headers: Vec<(HeaderName, HeaderValue)>,
    users: Option<Users>,
    rate: Option<Rate>,
}

#[derive(Debug)]
struct Watched {
    file: Arc<Path>,
    now: Mutex<Now>,
}

#[derive(Debug)]
struct Now {
    rules: Arc<Rules>,
    files: Files,
    /// None while somebody looks.
    look: Option<Instant>,
}

impl Guard {
    /// Lets everybody in, over plain HTTP.
    pub fn open() -> Guard {
        Guard { watched: None, open: Arc::default(), auth: Auth::new(), limit: Limit::default() }
    }

    /// Reads the file and those that it names, or says everything that is wrong with them.
    pub fn load(file: Option<&Path>) -> Result<Guard, Mistakes> {
        let Some(file) = file else { return Ok(Guard::open()) };
        let file: Arc<Path> = Arc::from(file);
        let (files, rules) = read(&file);
        let now = Now { rules: Arc::new(rules?), files, look: Some(Instant::now() + EVERY) };
        let watched = Some(Arc::new(Watched { file, now: Mutex::new(now) }));
        Ok(Guard { watched, ..Guard::open() })
    }

    /// What a client's URL begins with, by what was read last.
    pub fn scheme(&self) -> &'static str {
        match self.watched.as_ref().is_some_and(|watched| watched.now().rules.tls.is_some()) {
            true => "https",
            false => "http",
        }
    }

    /// What is in force now.
    pub(super) async fn rules(&self) -> Arc<Rules> {
        let Some(watched) = &self.watched else { return self.open.clone() };
        if watched.is_due() {
            let watched = watched.clone();
            // A look that is cut short by its client goes on. One that dies is a defect, told by the panic's own line.
            let _ = spawn_blocking(move || watched.look()).await;
        }
        watched.now().rules.clone()
    }

    /// The answer to a request that may not go on.
    pub(super) async fn refuses(&self, rules: &Rules, headers: &HeaderMap) -> Option<Reply> {
        if let Some(Err(wait)) = rules.rate.map(|rate| self.limit.take(rate)) {
            let mut reply =
                text(StatusCode::TOO_MANY_REQUESTS, "error: too many requests; `rate_limit` says how many\n");
            reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs_f64().ceil() as u64));
            return Some(reply);
        }
        let users = rules.users.as_ref()?;
        if self.auth.allows(users, headers.get(AUTHORIZATION)).await {
            return None;
        }
        let mut reply = text(StatusCode::UNAUTHORIZED, "error: this wants a user and a password\n");
        reply.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
        Some(reply)
    }
}

impl Rules {
    /// Adds what every answer carries. The operator's word counts more than ours.
    pub(super) fn complete(&self, reply: &mut Reply) {
        for (name, value) in &self.headers {
            reply.headers_mut().insert(name.clone(), value.clone());
        }
    }
}

impl Watched {
    /// Whether whoever asks has to look; everybody else takes what is there.
    fn is_due(&self) -> bool {
        let mut now = self.now();
        let due = now.look.is_some_and(|look| look <= Instant::now());
        if due {
            now.look = None;
        }
        due
    }

    fn look(&self) {
        let files = self.now().files.clone();
        let read = files.have_changed().then(|| read(&self.file));
        let mut now = self.now();
        now.look = Some(Instant::now() + EVERY);
        let Some((files, rules)) = read else { return };
        now.files = files;
        match rules {
            Ok(rules) => {
                now.rules = Arc::new(rules);
                info!(file = shown(&self.file), "the web configuration is in force anew");
            }
            Err(mistakes) => {
                let all: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
                let cause = all.join("; ");
                warn!(
                    file = shown(&self.file),
                    cause, "cannot use the new web configuration; the old one stays in force"
                );
            }
        }
    }

    /// Nothing that panics runs under the lock.
    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(file: &Arc<Path>) -> (Files, Result<Rules, Mistakes>) {
    let mut files = Files::default();
    let mut mistakes = Mistakes::default();
    let bytes = match files.read(file) {
        Ok(bytes) => bytes,
        Err(error) => {
            let says = format!("{}; check `--web.config.file`", cannot_read(file, &error));
            mistakes.at(&Place::Everywhere, "", says);
            return (files, Err(mistakes));
        }
    };
    let config = web_config::read(&bytes, file, &mut mistakes);
    let tls = config.tls.as_ref().map(|settings| tls::server_config(settings, &mut files, &mut mistakes));
    let rules = Rules { tls: tls.flatten(), headers: config.headers, users: config.users, rate: config.rate };
    (files, if mistakes.is_empty() { Ok(rules) } else { Err(mistakes) })
}
