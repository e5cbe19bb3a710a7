//! `/sd`: the targets, for Prometheus' discovery over HTTP.
//!
//! Each is a part of `/metrics`, so that it can be scraped by itself and all that is known of it is there; what the process
//! says of itself is one more. The address to
//! scrape is the one that was asked: whoever reached us by it will do so again.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::HOST;
use hyper::http::request::Parts;
use serde_json::{Value, json};

use super::reply::{Reply, json, text};
use super::state::State;
use crate::watch::board::Slot;

/// Answers with every target.
pub(super) fn discovery(state: &State, request: &Parts, is_tls: bool) -> Reply {
    let named = request.headers.get(HOST).and_then(|host| host.to_str().ok());
    let Some(host) =
        request.uri.authority().map(|authority| authority.as_str()).or(named).filter(|host| !host.is_empty())
    else {
        return text(
            StatusCode::BAD_REQUEST,
            "error: the request has no Host header, by which Prometheus is to scrape\n",
        );
    };
    let scheme = if is_tls { "https" } else { "http" };
    let entry = |slot: &Arc<Slot>| {
        let snapshot = slot.snapshot();
        json!({
            "targets": [host],
            "labels": {
                "__scheme__": scheme,
                "__metrics_path__": state.telemetry_path,
                "__param_target": slot.name(),
                "instance": snapshot.address,
                "__meta_goneaway_target": slot.name(),
                "__meta_goneaway_address": snapshot.address,
                "__meta_goneaway_required": snapshot.required.to_string(),
            },
        })
    };
    // What the process says of itself, once.
    let process = json!({
        "targets": [host],
        "labels": {
            "__scheme__": scheme,
            "__metrics_path__": state.telemetry_path,
            "__param_only": "process",
            "__meta_goneaway_target": "",
        },
    });
    let all: Vec<Value> = state.board.slots().iter().map(entry).chain([process]).collect();
    let body = serde_json::to_string_pretty(&all).expect("strings are always JSON");
    json(StatusCode::OK, body + "\n")
}
