//! `/metrics`: the board's blocks and our own, merged, in the format and encoding that were asked for.
//!
//! Processor time only, and waits for a place. Places are few because an answer stays in memory until the client
//! has read it: they bound what clients that don't read can make us hold. A large answer is made beside the thread that
//! the probes share, or they would measure it.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AsHeaderName, CONTENT_ENCODING, HeaderMap, HeaderValue, RETRY_AFTER, VARY,
};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::answer::body_once;
use super::life::Life;
use super::places::Place;
use super::query::{self, Part};
use super::reply::{Reply, text, with_type};
use super::state::State;
use crate::metrics::{Block, Format};
use crate::watch::board::Filter;

/// Text from which on making the answer takes longer than a probe should wait: about a millisecond.
const LARGE_BYTES: usize = 256 * 1024;

/// Answers one scrape.
pub(super) async fn scrape(state: &State, life: &Arc<Life>, request: &Parts) -> Reply {
    let (filter, part) = match query::filter(request.uri.query(), state) {
        Ok(wanted) => wanted,
        Err(wrong) => return text(StatusCode::BAD_REQUEST, format!("error: {wrong}")),
    };
    let Some(place) = state.places.take(life).await else {
        return busy();
    };
    let _in_flight = InFlight::new(state);
    let blocks = match part {
        Part::Process => Vec::new(),
        Part::All | Part::Targets => state.board.scrape(&filter, Instant::now()),
    };
    let process = if part == Part::Targets { Block::default() } else { state.block() };
    // What is kept serves who asks for everything; a part would push it out.
    let whole = part == Part::All && filter == Filter::default();
    encoded(state, request, blocks, process, whole, place).await
}

/// Answers with blocks that are not the board's.
pub(super) async fn reply_with(state: &State, life: &Arc<Life>, request: &Parts, blocks: Vec<Arc<Block>>) -> Reply {
    match state.places.take(life).await {
        Some(place) => encoded(state, request, blocks, Block::default(), false, place).await,
        None => busy(),
    }
}

/// `whole`: of everything that there is.
async fn encoded(
    state: &State,
    request: &Parts,
    blocks: Vec<Arc<Block>>,
    process: Block,
    whole: bool,
    place: Place,
) -> Reply {
    let format = Format::negotiate(joined(&request.headers, ACCEPT).as_deref());
    // HEAD is answered with the headers of GET; its body is not sent, and not worth compressing.
    let gzip = request.method != Method::HEAD && accepts_gzip(joined(&request.headers, ACCEPT_ENCODING).as_deref());
    let body = if blocks.iter().map(|block| block.bytes()).sum::<usize>() > LARGE_BYTES {
        let turn = state.large.clone().acquire_owned().await;
        // Turn and place go along: a job that has begun runs to its end, even when its client leaves.
        let made = spawn_blocking(move || {
            let body = held(body_once(&blocks, &process, format, gzip), place);
            drop(turn);
            body
        });
        made.await.expect("encoding does not panic")
    } else if whole {
        held(state.answers.body(blocks, &process, format, gzip), place)
    } else {
        held(body_once(&blocks, &process, format, gzip), place)
    };
    let mut reply = with_type(StatusCode::OK, format.content_type(), body);
    let headers = reply.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    if gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    reply
}

fn busy() -> Reply {
    let body = "error: too many scrapes are waiting for clients that do not read their answers\n";
    let mut reply = text(StatusCode::SERVICE_UNAVAILABLE, body);
    reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    reply
}

/// The body and its place leave together: when the last byte has been handed to the system.
fn held(body: Vec<u8>, place: Place) -> Bytes {
    struct Held(Vec<u8>, #[expect(dead_code, reason = "held for its drop")] Place);
    impl AsRef<[u8]> for Held {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    Bytes::from_owner(Held(body, place))
}

/// Counts a scrape as being answered, however that ends.
struct InFlight<'a>(&'a State);

impl InFlight<'_> {
    fn new(state: &State) -> InFlight<'_> {
        state.counters.scrapes_in_flight.inc();
        InFlight(state)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.counters.scrapes_in_flight.dec();
    }
}

/// A header that came in several lines is one list.
fn joined(headers: &HeaderMap, name: impl AsHeaderName) -> Option<String> {
    let lines: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

/// Whether gzip is welcome: named, or meant by `*`, with a quality that is not 0 and not below that of no encoding.
fn accepts_gzip(accept_encoding: Option<&str>) -> bool {
    let (mut gzip, mut any, mut identity) = (None, None, 0.0);
    for coding in accept_encoding.unwrap_or_default().split(',') {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let quality = parts
            .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
            .map_or(1.0, |quality| quality.trim().parse::<f64>().unwrap_or(0.0));
        match name.as_str() {
            "gzip" | "x-gzip" => gzip = Some(quality),
            "*" => any = Some(quality),
            "identity" => identity = quality,
            _ => {}
        }
    }
    let quality = gzip.or(any).unwrap_or(0.0);
    quality > 0.0 && quality >= identity
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_used_when_the_client_wants_it() {
        for (accept, expect) in [
            (None, false),
            (Some(""), false),
            (Some("gzip"), true),
            (Some("br, GZIP;q=0.5"), true),
            (Some("deflate, gzip;q=1.0, *;q=0.5"), true),
            (Some("gzip;q=0"), false),
            (Some("gzip; q=0.000, *"), false),
            (Some("*"), true),
            (Some("*;q=0"), false),
            (Some("identity"), false),
            (Some("identity;q=1, gzip;q=0.5"), false),
            (Some("gzip;q=abc"), false),
        ] {
            assert_eq!(accepts_gzip(accept), expect, "{accept:?}");
        }
    }
}
