//! `/probe`: the one answer that waits for a database, by the scraper's own deadline.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::http::request::Parts;

use super::life::Life;
use super::query;
use super::reply::{Reply, text};
use super::scrape::reply_with;
use super::state::State;
use crate::watch::visits::{Refusal, Rejected, Request, Visits};

/// How Prometheus tells its deadline.
const SCRAPE_TIMEOUT: &str = "x-prometheus-scrape-timeout-seconds";

/// No scraper waits longer.
const LONGEST: Duration = Duration::from_secs(600);

/// Answers with what a server says now.
pub(super) async fn visit(state: &State, visits: &Visits, life: &Arc<Life>, request: &Parts) -> Reply {
    let asked = match wanted(request.uri.query(), &request.headers, state) {
        Ok(asked) => asked,
        Err(wrong) => return text(StatusCode::BAD_REQUEST, format!("error: {wrong}")),
    };
    let deadline = visits.deadline(asked.within);
    life.waits_until(deadline);
    match visits.visit(&asked, deadline).await {
        // Nothing of the process: who asks about many servers would have it once for each.
        Ok(blocks) => reply_with(state, life, request, blocks).await,
        Err(Refusal::Wrong(why, says)) => {
            state.counters.rejected(why);
            text(StatusCode::BAD_REQUEST, format!("error: {says}\n"))
        }
        Err(Refusal::Forbidden(why, says)) => {
            state.counters.rejected(why);
            text(StatusCode::FORBIDDEN, format!("error: {says}\n"))
        }
        Err(Refusal::Stopping) => text(StatusCode::SERVICE_UNAVAILABLE, "error: goneaway is stopping\n"),
        Err(Refusal::Busy) => {
            state.counters.rejected(Rejected::Busy);
            let says = "error: too many visits of servers are under way; `probe.limit` says how many may be\n";
            let mut reply = text(StatusCode::SERVICE_UNAVAILABLE, says);
            reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            reply
        }
    }
}

fn wanted(query: Option<&str>, headers: &HeaderMap, state: &State) -> Result<Request, String> {
    let mut asked = Request { within: timeout(headers)?, ..Request::default() };
    for (name, value) in query::pairs(query.unwrap_or_default()) {
        let once = match name.as_str() {
            "collect[]" => {
                asked.collectors.push(query::collector(value, state)?);
                continue;
            }
            "target" => &mut asked.target,
            "auth_module" => &mut asked.auth_module,
            _ => continue,
        };
        // Empty is what a relabelling without a value leaves.
        if once.replace(value).is_some_and(|before| !before.is_empty()) {
            return Err(format!("`{name}` is given twice; ask for one at a time\n"));
        }
    }
    asked.auth_module = asked.auth_module.filter(|module| !module.is_empty());
    Ok(asked)
}

fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, String> {
    let Some(header) = headers.get(SCRAPE_TIMEOUT) else { return Ok(None) };
    let seconds = header.to_str().ok().and_then(|text| text.trim().parse::<f64>().ok());
    let timeout = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    match timeout.filter(|timeout| !timeout.is_zero()) {
        Some(timeout) => Ok(Some(timeout.min(LONGEST))),
        None => Err("the header X-Prometheus-Scrape-Timeout-Seconds is not a number of seconds\n".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scrapers_deadline_is_read() {
        for (text, expect) in [
            (Some("10"), Some(Ok(10.0))),
            (Some("0.5"), Some(Ok(0.5))),
            (Some("1e9"), Some(Ok(600.0))),
            (Some("0"), Some(Err(()))),
            (Some("-1"), Some(Err(()))),
            (Some("NaN"), Some(Err(()))),
            (Some("10s"), Some(Err(()))),
            (None, None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(text) = text {
                headers.insert(SCRAPE_TIMEOUT, HeaderValue::from_static(text));
            }
            let read = timeout(&headers).map(|timeout| timeout.map(|timeout| timeout.as_secs_f64())).map_err(drop);
            assert_eq!(read.transpose(), expect, "{text:?}");
        }
    }
}
