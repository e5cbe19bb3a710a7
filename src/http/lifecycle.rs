//! `POST /-/recover` and `POST /-/reload`: what makes something happen, and who may ask for it.
//!
//! A page of another site must not: a browser says by Sec-Fetch-Site, or else by Origin, on whose behalf it asks. What
//! sends neither is no browser. An operator can switch both off at the addresses that are listened on; the control
//! socket is an operator's own.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{ACCEPT, HOST, HeaderMap, ORIGIN};
use hyper::http::request::Parts;
use serde::Serialize;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::timeout;

use super::query::{pairs, target, unknown};
use super::reload::{Reload, Reloaded};
use super::reply::{Reply, json, text};
use super::state::State;
use super::stream::Door;
use crate::watch::events::Wanted;

/// Reading files takes no time, unless they are far away.
const RELOADING: Duration = Duration::from_secs(20);

const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// The answer to who may not have anything changed.
pub(super) fn refuses(state: &State, door: Door, headers: &HeaderMap) -> Option<Reply> {
    if door == Door::Control {
        return None;
    }
    if !state.has_lifecycle() {
        let says = "error: this is switched off here\n  hint: `web.lifecycle: true` switches it on; the control socket, \
                    and SIGHUP for a reload, need no switch\n";
        return Some(text(StatusCode::FORBIDDEN, says));
    }
    is_cross_site(headers).then(|| {
        let says = "error: a page of another site may not ask for this\n  hint: leave out Origin and Sec-Fetch-Site, as \
                    curl does\n";
        text(StatusCode::FORBIDDEN, says)
    })
}

/// Whether a browser asks on behalf of another site than this one.
fn is_cross_site(headers: &HeaderMap) -> bool {
    let of = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if let Some(site) = of(SEC_FETCH_SITE) {
        return !matches!(site, "same-origin" | "none");
    }
    let Some(origin) = of(ORIGIN.as_str()) else { return false };
    let Some((scheme, authority)) = origin.split_once("://") else { return true };
    let port = if scheme == "https" { ":443" } else { ":80" };
    let bare = |authority: &str| authority.strip_suffix(port).unwrap_or(authority).to_ascii_lowercase();
    of(HOST.as_str()).is_none_or(|host| bare(host) != bare(authority))
}

/// For a program that follows what comes of it.
#[derive(Serialize)]
struct Recovering<'a> {
    recovering: Vec<&'a str>,
    /// For `since` of `/events`: what happens because of this comes after it.
    since: u64,
}

/// Has the targets drop their pooled connections and connect anew; the events tell what came of it.
pub(super) fn recover(state: &State, request: &Parts) -> Reply {
    let mut wanted = Vec::new();
    for (name, value) in pairs(request.uri.query().unwrap_or_default()) {
        let target = match name.as_str() {
            "target" | "target[]" => target(&name, value, state),
            _ => Err(unknown(&name, "target")),
        };
        match target {
            Ok(target) => wanted.push(target),
            Err(wrong) => return text(StatusCode::BAD_REQUEST, format!("error: {wrong}")),
        }
    }
    let (_, since) = state.events.select(&Wanted { most: 1, ..Wanted::default() });
    let slots = state.board.slots();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|target| target == name);
    let asked: Vec<_> = slots.iter().filter(|slot| is_wanted(slot.name())).collect();
    asked.iter().for_each(|slot| slot.recover());
    if request.headers.get(ACCEPT).is_some_and(|accept| accept == "application/json") {
        let document = Recovering { recovering: asked.iter().map(|slot| slot.name()).collect(), since };
        let body = serde_json::to_string(&document).expect("strings and numbers are always JSON");
        return json(StatusCode::ACCEPTED, body + "\n");
    }
    let lines = asked.iter().map(|slot| format!("recovering {}\n", slot.name()));
    text(StatusCode::ACCEPTED, lines.collect::<String>())
}

/// Has the configuration read anew, and says what came of it.
pub(super) async fn reload(state: &State) -> Reply {
    let unavailable = |says: &'static str| text(StatusCode::SERVICE_UNAVAILABLE, says);
    let Some(reloads) = &state.reloads else { return unavailable("error: there is no configuration to read anew\n") };
    let (reload, told) = Reload::ask();
    match reloads.try_send(reload) {
        Ok(()) => {}
        Err(TrySendError::Full(_)) => return unavailable("error: enough others wait for a reload already\n"),
        Err(TrySendError::Closed(_)) => return unavailable("error: the program ends\n"),
    }
    match timeout(RELOADING, told).await {
        Ok(Ok(Reloaded::Done(says))) => text(StatusCode::OK, says),
        Ok(Ok(Reloaded::Refused(says))) => text(StatusCode::BAD_REQUEST, says),
        Ok(Err(_)) => unavailable("error: the program ends\n"),
        Err(_) => unavailable("error: the files are still being read; the log will tell what comes of it\n"),
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    fn check(headers: &[(&'static str, &'static str)], cross: bool) {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        assert_eq!(is_cross_site(&headers.iter().map(pair).collect()), cross, "{headers:?}");
    }

    #[test]
    fn only_a_page_of_this_very_site_may_have_something_changed() {
        let here = ("host", "db.example:10306");
        check(&[here], false);
        check(&[here, ("sec-fetch-site", "same-origin")], false);
        check(&[here, ("sec-fetch-site", "none")], false);
        check(&[here, ("sec-fetch-site", "cross-site")], true);
        check(&[here, ("sec-fetch-site", "same-site"), ("origin", "http://db.example:10306")], true);
        check(&[here, ("origin", "http://db.example:10306")], false);
        check(&[here, ("origin", "https://DB.example:10306")], false);
        check(&[here, ("origin", "http://db.example")], true);
        check(&[here, ("origin", "http://evil.example")], true);
        check(&[here, ("origin", "null")], true);
        check(&[("origin", "http://db.example")], true);
        check(&[("host", "db.example"), ("origin", "http://db.example:80")], false);
        check(&[("host", "db.example:443"), ("origin", "https://db.example")], false);
        check(&[("host", "db.example:443"), ("origin", "http://db.example")], true);
    }
}
