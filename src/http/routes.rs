//! Which request gets which answer.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use tokio::time::Instant;

use super::discovery::discovery;
use super::events::events;
use super::handler::{Handler, PATHS};
use super::life::Life;
use super::lifecycle::{recover, refuses, reload};
use super::page::{page, part};
use super::query::{pairs, target};
use super::reply::{Reply, health_json, json, text};
use super::scrape::scrape;
use super::state::State;
use super::stream::Door;
use super::visit::visit;
use crate::report::health::{detailed, look};
use crate::report::picture::{Picture, picture};

/// Answers one request and counts it. A body, if there is one, is not read: hyper closes such a connection after the answer.
pub(super) async fn answer(state: &State, life: &Arc<Life>, door: Door, request: Request<Incoming>) -> Reply {
    let asked = std::time::Instant::now();
    let (request, _body) = request.into_parts();
    let rules = match door {
        Door::Web => Some(state.guard.rules().await),
        Door::Control => None,
    };
    let refusal = match &rules {
        Some(rules) => state.guard.refuses(rules, &request.headers).await,
        None => None,
    };
    let (handler, mut reply) = match refusal {
        Some(refusal) => (Handler::Refused, refusal),
        None => {
            let is_tls = rules.as_ref().is_some_and(|rules| rules.tls.is_some());
            route(state, life, door, &request, is_tls).await
        }
    };
    if let Some(rules) = rules {
        rules.complete(&mut reply);
    }
    state.counters.answered(handler, reply.status(), asked.elapsed());
    reply
}

async fn route(state: &State, life: &Arc<Life>, door: Door, request: &Parts, is_tls: bool) -> (Handler, Reply) {
    let handler = Handler::of(request.uri.path(), &state.telemetry_path);
    let reply = match request.method {
        _ if handler == Handler::NotFound => not_found(&state.telemetry_path),
        Method::POST if handler.changes() => match refuses(state, door, &request.headers) {
            Some(refusal) => refusal,
            None if handler == Handler::Reload => reload(state).await,
            None => recover(state, request),
        },
        _ if handler.changes() => wrong_method("POST"),
        Method::GET | Method::HEAD => match handler {
            Handler::Metrics => scrape(state, life, request).await,
            Handler::Probe => match &state.visits {
                Some(visits) => visit(state, visits, life, request).await,
                None => not_found(&state.telemetry_path),
            },
            Handler::Discovery => discovery(state, request, is_tls),
            Handler::Events => events(state, request.uri.query()),
            Handler::Page => page(state, request.uri.query()),
            Handler::Asset => part(request.uri.path()).unwrap_or_else(|| not_found(&state.telemetry_path)),
            Handler::HealthDb => health_db(state, request.uri.query()),
            Handler::Status => status(state, request.uri.query()),
            other => health(state, other),
        },
        _ => wrong_method("GET, HEAD"),
    };
    (handler, reply)
}

/// Whether all required targets pass. One that is asked for by name is required by whoever asks.
fn health_db(state: &State, query: Option<&str>) -> Reply {
    let wanted = match wanted(state, query) {
        Ok(wanted) => wanted,
        Err(wrong) => return text(StatusCode::BAD_REQUEST, format!("error: {wrong}")),
    };
    let mut targets = look(&state.board, Instant::now());
    targets.retain(|target| wanted.is_empty() || wanted.contains(&target.name));
    let failing = targets.iter().any(|target| (target.snapshot.required || !wanted.is_empty()) && !target.passes());
    let status = if failing { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    text(status, targets.iter().map(|target| target.line() + "\n").collect::<String>())
}

/// The whole picture, for the commands `status` and `diagnose`.
fn status(state: &State, query: Option<&str>) -> Reply {
    let wanted = match wanted(state, query) {
        Ok(wanted) => wanted,
        Err(wrong) => return text(StatusCode::BAD_REQUEST, format!("error: {wrong}")),
    };
    let (slots, now) = (state.board.slots(), Instant::now());
    let of_them = slots.iter().filter(|slot| wanted.is_empty() || wanted.iter().any(|name| name == slot.name()));
    let pictures: Vec<Picture> = of_them.map(|slot| picture(slot, now)).collect();
    let body = serde_json::to_string(&pictures);
    json(StatusCode::OK, body.expect("strings and numbers are always JSON") + "\n")
}

/// The targets that are asked for by name; none means all.
fn wanted(state: &State, query: Option<&str>) -> Result<Vec<String>, String> {
    let mut wanted = Vec::new();
    for (name, value) in pairs(query.unwrap_or_default()) {
        // Load balancers add parameters of their own against caches.
        if matches!(name.as_str(), "target" | "target[]") {
            wanted.push(target(&name, value, state)?);
        }
    }
    Ok(wanted)
}

fn health(state: &State, handler: Handler) -> Reply {
    let targets = look(&state.board, Instant::now());
    match handler {
        Handler::HealthDetailed => {
            let uptime: Duration = state.started.elapsed();
            let body = serde_json::to_string_pretty(&detailed(&targets, uptime));
            health_json(body.expect("strings and numbers are always JSON") + "\n")
        }
        Handler::Ready => {
            let waiting: Vec<&str> =
                targets.iter().filter(|target| target.snapshot.probe.is_none()).map(|target| &*target.name).collect();
            if waiting.is_empty() {
                return text(StatusCode::OK, "ready\n");
            }
            let body = format!("waiting for the first probe of: {}\n", waiting.join(", "));
            text(StatusCode::SERVICE_UNAVAILABLE, body)
        }
        // That we answer is the answer.
        _ => text(StatusCode::OK, "ok\n"),
    }
}

fn not_found(telemetry_path: &str) -> Reply {
    let mut body = format!("error: there is nothing on this path\n  paths: {telemetry_path}");
    for path in PATHS {
        body.push(' ');
        body.push_str(path);
    }
    body.push('\n');
    text(StatusCode::NOT_FOUND, body)
}

fn wrong_method(allowed: &'static str) -> Reply {
    let says = format!("error: this path is for {}\n", allowed.replace(", ", " and "));
    let mut reply = text(StatusCode::METHOD_NOT_ALLOWED, says);
    reply.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    reply
}
