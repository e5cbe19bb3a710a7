//! The parameters of a scrape: `collect[]` and `target[]`, each repeatable; `target` and `only`, of which `/sd` makes use.
//!
//! A name that does not exist is refused. Left alone, a typo would mean "everything" or "nothing", and both look
//! like a scrape that works.

use super::state::State;
use crate::watch::board::Filter;

/// How many names are listed to who asked for one that does not exist.
const LISTED: usize = 50;

/// Reads the query of a scrape. The error is told to the client.
pub(super) fn filter(query: Option<&str>, state: &State) -> Result<(Filter, Part), String> {
    let (mut filter, mut part) = (Filter::default(), Part::All);
    for (name, value) in pairs(query.unwrap_or_default()) {
        match name.as_str() {
            "collect[]" if state.queries().contains(&value) => filter.collectors.push(value),
            "collect[]" => filter.collectors.push(collector(value, state)?),
            "target[]" => filter.targets.push(target(&name, value, state)?),
            "target" => {
                filter.targets.push(target(&name, value, state)?);
                part = Part::Targets;
            }
            "only" if value == "process" => part = Part::Process,
            "only" => return Err(format!("there is no part `{}` (only)\n  parts: process\n", shown(&value))),
            // Prometheus passes whatever `params` an operator has set; not ours to judge.
            _ => {}
        }
    }
    Ok((filter, part))
}

/// What a scrape is of. Who scrapes target by target has the families of the process once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    All,
    Targets,
    Process,
}

pub(super) fn collector(asked: String, state: &State) -> Result<String, String> {
    let collectors = state.collectors();
    match collectors.iter().find(|(name, _)| *name == asked) {
        Some((_, true)) => Ok(asked),
        Some((name, false)) => {
            // Those of our own have no flag.
            let flag = if name.starts_with("conn.") { String::new() } else { format!("--collect.{name}, or ") };
            Err(format!(
                "the collector `{name}` is off\n  hint: switch it on by {flag}`collectors.{name}: true` in exporter.yaml\n"
            ))
        }
        None => {
            let queries = state.queries();
            let on = collectors.iter().filter(|(_, on)| *on).map(|(name, _)| *name);
            let on = on.chain(queries.iter().map(String::as_str));
            let off = collectors.iter().filter(|(_, on)| !*on).map(|(name, _)| *name);
            Err(format!(
                "there is no collector `{}` (collect[])\n  on: {}\n  off: {}\n",
                shown(&asked),
                list(on),
                list(off)
            ))
        }
    }
}

/// A target by its name, for the parameter of that name.
pub(super) fn target(parameter: &str, asked: String, state: &State) -> Result<String, String> {
    let slots = state.board.slots();
    if slots.iter().any(|slot| slot.name() == asked) {
        return Ok(asked);
    }
    let known = slots.iter().map(|slot| slot.name());
    Err(format!("there is no target `{}` ({parameter})\n  targets: {}\n", shown(&asked), list(known)))
}

pub(super) fn unknown(name: &str, known: &str) -> String {
    format!("there is no parameter `{}` here\n  parameters: {known}\n", shown(name))
}

/// What a client sent, fit to be sent back: short, on one line, without control characters.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}

pub(super) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    let mut list = names[..names.len().min(LISTED)].join(", ");
    if names.is_empty() {
        list.push_str("none");
    }
    if names.len() > LISTED {
        list.push_str(&format!(" and {} more", names.len() - LISTED));
    }
    list
}

pub(super) fn pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    query.split('&').filter(|part| !part.is_empty()).map(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (decode(name), decode(value))
    })
}

/// Percent-decoding as forms have it; what is not an escape stays as it is.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                bytes.push(nibble(*high) << 4 | nibble(*low));
                rest = after;
            }
            (other, _) => bytes.push(*other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::watch::board::{Board, Slot};
    use crate::watch::events::Events;
    use crate::watch::snapshot::Snapshot;

    fn read(query: &str) -> Result<(Filter, Part), String> {
        let slots = ["orders", "böse & co"].map(|name| Arc::new(Slot::new(name, None, Snapshot::default())));
        let collectors = vec![("global_status", true), ("global_variables", true), ("slave_status", false)];
        filter(
            Some(query),
            &State::new(Arc::new(Board::new(slots.into())), Events::keeping(10), collectors, "/metrics"),
        )
    }

    fn check(query: &str, targets: &[&str], collectors: &[&str]) {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let expect = Filter { targets: owned(targets), collectors: owned(collectors) };
        assert_eq!(read(query), Ok((expect, Part::All)), "{query}");
    }

    #[test]
    fn names_are_read_plain_and_encoded() {
        check("", &[], &[]);
        check("&&other=1&x", &[], &[]);
        check("collect[]=global_status&collect[]=global_variables", &[], &["global_status", "global_variables"]);
        check("collect%5B%5D=global%5fstatus", &[], &["global_status"]);
        check("target[]=orders&target%5b%5d=b%C3%B6se+%26%20co", &["orders", "böse & co"], &[]);
    }

    #[test]
    fn who_scrapes_by_target_has_the_process_by_itself() {
        let part = |query| read(query).map(|(_, part)| part);
        assert_eq!(part("target=orders"), Ok(Part::Targets));
        assert_eq!(part("only=process"), Ok(Part::Process));
        assert_eq!(part("only=x"), Err("there is no part `x` (only)\n  parts: process\n".to_owned()));
    }

    #[test]
    fn what_does_not_exist_is_named_with_what_does() {
        for (query, says) in [
            (
                "collect[]=global_statsu",
                "there is no collector `global_statsu` (collect[])\n  on: global_status, global_variables\n  off: slave_status\n",
            ),
            (
                "collect[]=slave_status",
                "the collector `slave_status` is off\n  hint: switch it on by --collect.slave_status, or `collectors.slave_status: true` in \
                 exporter.yaml\n",
            ),
            (
                "collect[]",
                "there is no collector `` (collect[])\n  on: global_status, global_variables\n  off: slave_status\n",
            ),
            ("target[]=x%0a%zz%", "there is no target `x\\n%zz%` (target[])\n  targets: orders, böse & co\n"),
        ] {
            assert_eq!(read(query), Err(says.to_owned()));
        }
    }

    #[test]
    fn long_lists_end() {
        let names: Vec<String> = (0..60).map(|n| n.to_string()).collect();
        assert!(list(names.iter().map(String::as_str)).ends_with("48, 49 and 10 more"));
        assert_eq!(list([].into_iter()), "none");
    }
}
