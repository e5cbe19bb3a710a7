//! `/`: the page for a person without a dashboard at hand; with `?target=` that of one target.
//!
//! It is whole without scripts and loads nothing from elsewhere. A small script puts the page as it is now in the place
//! of what is shown, every few seconds, so that nobody loses the place where they read. What a server or a configuration
//! says becomes text here, in `markup`, and the policy that the page is sent with runs nothing but that one file.
//!
//! ```text
//! whole.rs   all targets, worst first
//! one.rs     one of them
//! ```

mod markup;
mod chart;
mod parts;
mod whole;
mod one;

use std::time::SystemTime;

use hyper::StatusCode;
use tokio::time::Instant;

use super::query::{pairs, target};
use super::reply::{Reply, asset, html, text};
use super::state::State;
use crate::report::health::look;
use crate::report::picture::picture;
use crate::watch::events::Wanted;

/// Events on the page of all targets, and of one.
const LATEST: usize = 20;
const LATEST_OF_ONE: usize = 50;

/// Answers with a page.
pub(super) fn page(state: &State, query: Option<&str>) -> Reply {
    let asked = pairs(query.unwrap_or_default()).find(|(name, _)| name == "target");
    let name = match asked.map(|(name, value)| target(&name, value, state)).transpose() {
        Ok(name) => name,
        Err(wrong) => return text(StatusCode::BAD_REQUEST, format!("error: {wrong}")),
    };
    let now = SystemTime::now();
    let targets = look(&state.board, Instant::now());
    let latest = |most, targets| state.events.select(&Wanted { most, targets, ..Wanted::default() }).0;
    match name.and_then(|name| targets.iter().find(|seen| seen.name == name)) {
        Some(seen) => {
            let latest = latest(LATEST_OF_ONE, vec![seen.name.clone()]);
            match state.board.slots().iter().find(|slot| slot.name() == seen.name) {
                Some(slot) => {
                    let picture = picture(slot, Instant::now());
                    html(one::one(seen, &picture, &latest, &state.telemetry_path, now))
                }
                // A reload took it away meanwhile.
                None => text(StatusCode::NOT_FOUND, format!("error: there is no target `{}` any more", seen.name)),
            }
        }
        None => html(whole::whole(&targets, &latest(LATEST, Vec::new()), &state.telemetry_path, now)),
    }
}

/// What a page is made of besides its text, by path.
pub(super) const ASSETS: [(&str, &str, &str); 3] = [
    ("/-/page.css", "text/css; charset=utf-8", include_str!("page/page.css")),
    ("/-/page.js", "text/javascript; charset=utf-8", include_str!("page/page.js")),
    ("/-/page.svg", "image/svg+xml", include_str!("page/page.svg")),
];

/// Answers with one of them.
pub(super) fn part(path: &str) -> Option<Reply> {
    let (_, content_type, body) = ASSETS.iter().find(|(known, ..)| *known == path)?;
    Some(asset(content_type, body))
}

#[cfg(test)]
mod tests;
