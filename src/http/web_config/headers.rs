//! `http_server_config.headers`: what every answer carries.

use hyper::header::{HeaderName, HeaderValue};

use super::document::Document;
use crate::config::Mistakes;

const GROUP: &str = "http_server_config.headers";

/// Headers that have few values. Which headers there are, the table of keys says.
const CHOICES: [(&str, &[&str]); 2] =
    [("X-Frame-Options", &["deny", "sameorigin"]), ("X-Content-Type-Options", &["nosniff"])];

/// A header that is left blank is not sent.
pub(crate) fn read(document: &Document, mistakes: &mut Mistakes) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    for said in document.below(GROUP) {
        let Some((place, text)) = said.one().filter(|(_, text)| !text.is_empty()) else { continue };
        let path = format!("{GROUP}.{}", said.name());
        let choices = CHOICES.iter().find(|(name, _)| *name == said.name()).map(|(_, choices)| *choices);
        if let Some(choices) = choices.filter(|choices| !choices.contains(&text)) {
            let says = match choices {
                [only] => format!("`{text}` is not `{only}`, the only value there is"),
                _ => format!("`{text}` is not one of {}", choices.join(" or ")),
            };
            mistakes.at(place, &path, says);
            continue;
        }
        match (HeaderName::from_bytes(said.name().as_bytes()), HeaderValue::from_str(text)) {
            (Ok(name), Ok(value)) => headers.push((name, value)),
            _ => mistakes.at(place, &path, "has a character that no header may have; write plain ASCII in one line"),
        }
    }
    headers
}
