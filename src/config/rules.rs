//! What settings must be beside each other, and what they point to.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use super::layer::Leaf;
use super::merge::{Merged, Owner};
use super::mistakes::Mistakes;
use super::origin::{Origin, Place, shown};
use super::queries;
use super::secret::Secret;
use super::settings::Kind;
use super::value::{Value, convert, spelled};

/// Judges each target. Reads passwords from where they are, and lowers a default deadline below a shorter one that was
/// said.
pub(crate) fn judge(
    merged: &mut Merged,
    environment: &[(OsString, OsString)],
    mistakes: &mut Mistakes,
    warnings: &mut Vec<String>,
) {
    let targets: Vec<_> = merged.targets.iter().map(|(name, place)| (name.clone(), place.clone())).collect();
    for (target, place) in targets {
        if merged.of_target(&target, "address").is_none() {
            let says = "has no address; add one, such as `address: 127.0.0.1:3306`";
            mistakes.at(&place, &format!("targets.{target}"), says);
        }
        at_most(merged, &target, "timeout", "every", mistakes);
        at_most(merged, &target, "connect_timeout", "timeout", mistakes);
        tls(merged, Owner::Target(&target), mistakes, warnings);
        password(merged, Owner::Target(&target), environment, mistakes, warnings);
        for shorter in ["backoff.floor", "backoff.first"] {
            at_most(merged, &target, shorter, "backoff.cap", mistakes);
        }
        rising(merged, &target, mistakes);
        rests(merged, &target, warnings);
        connections(merged, &target, &place, mistakes);
    }
    let modules: Vec<String> = merged.modules.keys().cloned().collect();
    for module in modules {
        tls(merged, Owner::Module(&module), mistakes, warnings);
        password(merged, Owner::Module(&module), environment, mistakes, warnings);
    }
    collectors(merged, mistakes, warnings);
    queries::judge(merged, mistakes);
    state_directory(merged, environment);
    control(merged, environment);
}

/// A collector's deadline is within its interval, and the interval is one that a target can keep.
fn collectors(merged: &Merged, mistakes: &mut Mistakes, warnings: &mut Vec<String>) {
    let rounds = merged.targets.keys().filter_map(|target| span(merged, target, "every"));
    let shortest = rounds.map(|(every, _)| every).min().unwrap_or_default();
    for name in merged.collectors() {
        let said = |key: &str| match merged.leaf(&["collectors".to_owned(), name.clone(), key.to_owned()]) {
            Some(Leaf { value: Some(Value::Span(duration)), origin }) => Some((*duration, origin)),
            _ => None,
        };
        let Some((every, of_every)) = said("every") else { continue };
        if let Some((timeout, of_timeout)) = said("timeout").filter(|(timeout, _)| *timeout > every) {
            let says = format!("`{}` is longer than `every`, which is {}", spelled(timeout), spelled(every));
            mistakes.add(Some(of_timeout), "", says);
        }
        if every < shortest {
            warnings.push(format!(
                "{}: {}: the collector asks every {}, as no target is asked more often",
                of_every.place,
                of_every.setting,
                spelled(shortest)
            ));
        }
    }
}

/// The rests that the ladder tries first rise.
fn rising(merged: &Merged, target: &str, mistakes: &mut Mistakes) {
    let Some(Leaf { value: Some(Value::List(ages)), origin }) = merged.of_target(target, "ladder.ages") else { return };
    let parsed: Vec<Duration> = ages.iter().filter_map(|age| humantime::parse_duration(age).ok()).collect();
    if let Some(at) = parsed.windows(2).position(|pair| pair[1] <= pair[0]) {
        let says = format!("`{}` follows `{}`; write them rising", ages[at + 1], ages[at]);
        mistakes.add(Some(origin), "", says);
    }
}

/// A connection that rests until it is recycled tells nothing: it is replaced untried.
fn rests(merged: &Merged, target: &str, warnings: &mut Vec<String>) {
    for pool in merged.pools[target].keys() {
        let recycle = match merged.of_pool(target, pool, "recycle") {
            Some(Leaf { value: Some(Value::Lifetime(Some(recycle))), .. }) => *recycle,
            _ => continue,
        };
        let Some(Leaf { value: Some(Value::List(rests)), origin }) = merged.of_pool(target, pool, "exercise.rests")
        else {
            continue;
        };
        let reaches = |rest: &&String| humantime::parse_duration(rest).is_ok_and(|rest| rest >= recycle);
        if let Some(rest) = rests.iter().find(reaches) {
            let says = format!(
                "{}: targets.{target}.pools.{pool}.exercise.rests: a connection that rests `{rest}` is replaced \
                 untried, as `recycle` is {}",
                origin.place,
                spelled(recycle)
            );
            if !warnings.contains(&says) {
                warnings.push(says);
            }
        }
    }
}

/// Connections that the ladder takes.
const OF_THE_LADDER: u64 = 3;

/// What is switched on must fit into the connections that may be held.
fn connections(merged: &Merged, target: &str, place: &Place, mistakes: &mut Mistakes) {
    let count = |leaf: Option<&Leaf>| match leaf {
        Some(Leaf { value: Some(Value::Count(count)), .. }) => Some(*count),
        _ => None,
    };
    let Some(limit) = merged.of_target(target, "connections").filter(|leaf| leaf.value.is_some()) else { return };
    let canaries = match merged.of_target(target, "ladder.enabled") {
        Some(Leaf { value: Some(Value::Switch(false)), .. }) => 0,
        _ => OF_THE_LADDER,
    };
    let mut parts = vec![("probe", 1), ("evidence", 1)];
    if canaries > 0 {
        parts.push(("ladder", canaries));
    }
    for pool in merged.pools[target].keys() {
        let (size, overflow) = ["size", "max_overflow"].map(|key| count(merged.of_pool(target, pool, key))).into();
        // What is wrong has a mistake of its own.
        let (Some(size), Some(overflow)) = (size, overflow) else { return };
        parts.push((pool, size + overflow));
    }
    let sum: u64 = parts.iter().map(|(_, count)| count).sum();
    if count(Some(limit)).is_none_or(|limit| sum <= limit) {
        return;
    }
    let parts: Vec<String> = parts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    let ways = match canaries {
        0 => "raise it or make a pool smaller",
        _ => "raise it, make a pool smaller, or switch `ladder.enabled` off",
    };
    let held = count(Some(limit)).unwrap_or_default();
    let says = format!("{sum} connections are needed ({}) and `connections` is {held}; {ways}", parts.join(", "));
    match limit.origin.place {
        // Nobody said it: what asks for more is to be looked at.
        Place::Default => {
            let named = merged.pools[target].values().find(|place| **place != Place::Default);
            mistakes.at(named.unwrap_or(place), &format!("targets.{target}.pools"), says);
        }
        _ => mistakes.add(Some(&limit.origin), "", says),
    }
}

/// systemd tells a service where it may keep its state, by a variable of its own.
fn state_directory(merged: &mut Merged, environment: &[(OsString, OsString)]) {
    const VARIABLE: &str = "STATE_DIRECTORY";
    if merged.leaf(&["state_directory".to_owned()]).is_some() {
        return;
    }
    let Some((_, paths)) = environment.iter().find(|(name, _)| name == VARIABLE) else { return };
    let Some(first) = std::env::split_paths(paths).next().filter(|path| path.is_absolute()) else { return };
    let place = Place::Environment(VARIABLE.to_owned());
    let origin = Origin { setting: "state_directory".to_owned(), place: place.clone(), key: place };
    merged.conclude(vec!["state_directory".to_owned()], Leaf { value: Some(Value::Path(first)), origin });
}

/// What the control socket is called where nobody says it.
const CONTROL: &str = "goneaway.sock";

/// systemd tells a service where it may have sockets, and a session where its user may, by variables of their own.
fn control(merged: &mut Merged, environment: &[(OsString, OsString)]) {
    if merged.leaf(&["control".to_owned()]).is_some() {
        return;
    }
    let folder = |variable: &'static str| {
        let (_, paths) = environment.iter().find(|(name, _)| name == variable)?;
        let first = std::env::split_paths(paths).next().filter(|path| path.is_absolute())?;
        Some((variable, first))
    };
    let Some((variable, folder)) = folder("RUNTIME_DIRECTORY").or_else(|| folder("XDG_RUNTIME_DIR")) else { return };
    let Ok(value) = convert(Kind::Control, CONTROL, &folder) else { return };
    let place = Place::Environment(variable.to_owned());
    let origin = Origin { setting: "control".to_owned(), place: place.clone(), key: place };
    merged.conclude(vec!["control".to_owned()], Leaf { value: Some(value), origin });
}

/// A deadline may not be longer than what it is a part of. One that nobody said gives way.
fn at_most(merged: &mut Merged, target: &str, short: &str, long: &str, mistakes: &mut Mistakes) {
    let (Some((part, of_part)), Some((whole, of_whole))) = (span(merged, target, short), span(merged, target, long))
    else {
        return;
    };
    if part <= whole {
        return;
    }
    if of_part.place == Place::Default {
        return merged.settle(Owner::Target(target), short, Leaf { value: Some(Value::Span(whole)), origin: of_part });
    }
    // The one to change is the one said nearer to the target.
    if of_part.is_inherited() && !of_whole.is_inherited() && of_whole.place != Place::Default {
        let says = format!("`{}` is shorter than `{short}`, which is {}", spelled(whole), spelled(part));
        return mistakes.add(Some(&of_whole), "", says);
    }
    let says = format!("`{}` is longer than `{long}`, which is {}", spelled(part), spelled(whole));
    mistakes.add(Some(&of_part), "", says);
}

fn span(merged: &Merged, target: &str, setting: &str) -> Option<(Duration, Origin)> {
    match merged.of_target(target, setting) {
        Some(Leaf { value: Some(Value::Span(duration)), origin }) => Some((*duration, origin.clone())),
        _ => None,
    }
}

fn tls(merged: &Merged, owner: Owner<'_>, mistakes: &mut Mistakes, warnings: &mut Vec<String>) {
    let files = ["tls.ca", "tls.cert", "tls.key"].map(|name| merged.of(owner, name));
    for leaf in files.into_iter().flatten() {
        if let Some(Value::Path(path)) = &leaf.value
            && let Err(says) = readable(path)
        {
            mistakes.add(Some(&leaf.origin), "", says);
        }
    }
    let [ca, cert, key] = files;
    match (cert, key) {
        (Some(cert), None) => mistakes.add(Some(&cert.origin), "", "set without `tls.key`; set both or neither"),
        (None, Some(key)) => mistakes.add(Some(&key.origin), "", "set without `tls.cert`; set both or neither"),
        _ => {}
    }

    let Some(Leaf { value: Some(Value::Text(mode)), origin: of_mode }) = merged.of(owner, "tls.mode") else {
        return;
    };
    let is_verified = mode.starts_with("VERIFY");
    for (name, leaf) in ["tls.ca", "tls.cert"].into_iter().zip([ca, cert]) {
        let Some(Leaf { origin, .. }) = leaf else { continue };
        // A target that switches off what it inherits contradicts nobody.
        if mode == "DISABLED" && origin.is_inherited() == of_mode.is_inherited() {
            mistakes.add(Some(origin), "", "of no use while `tls.mode` is DISABLED; remove one of them");
        } else if name == "tls.ca" && !is_verified && mode != "DISABLED" {
            let says = format!(
                "{}: {}: not used, as `tls.mode` is {mode}; VERIFY_CA and VERIFY_IDENTITY use it",
                origin.place, origin.setting
            );
            if !warnings.contains(&says) {
                warnings.push(says);
            }
        }
    }

    let Some(Leaf { value: Some(Value::Text(address)), origin }) = merged.of(owner, "address") else { return };
    let is_socket = address.starts_with('/') || address.starts_with("unix:");
    if is_socket && (is_verified || mode == "REQUIRED") {
        let (origin, says) = match of_mode.is_inherited() {
            true => (
                origin,
                format!(
                    "a unix socket has no TLS, and `{}` is {mode}; set `tls.mode: DISABLED` for this target",
                    of_mode.setting
                ),
            ),
            false => {
                (of_mode, format!("{mode} cannot be had over a unix socket; write DISABLED, or an address `host:port`"))
            }
        };
        mistakes.add(Some(origin), "", says);
    }
}

fn password(
    merged: &mut Merged,
    owner: Owner<'_>,
    environment: &[(OsString, OsString)],
    mistakes: &mut Mistakes,
    warnings: &mut Vec<String>,
) {
    if let Some(Leaf { value: Some(Value::Secret(secret)), origin }) = merged.of(owner, "password")
        && is_reference(secret.expose())
    {
        let says = format!(
            "{}: {}: looks like a reference and is taken as it stands; `password_env: NAME` reads a variable",
            origin.place, origin.setting
        );
        if !warnings.contains(&says) {
            warnings.push(says);
        }
    }
    let found = if let Some(Leaf { value: Some(Value::Path(path)), origin }) = merged.of(owner, "password_file") {
        Some((of_file(path), origin.clone()))
    } else if let Some(Leaf { value: Some(Value::Text(name)), origin }) = merged.of(owner, "password_env") {
        Some((of_variable(name, environment), origin.clone()))
    } else {
        None
    };
    match found {
        None => {}
        Some((Ok(secret), origin)) => {
            merged.settle(owner, "password", Leaf { value: Some(Value::Secret(secret)), origin });
        }
        Some((Err(says), origin)) => mistakes.add(Some(&origin), "", says),
    }
}

/// `${NAME}`, as other programs expand it.
fn is_reference(text: &str) -> bool {
    let name = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_:-".contains(c)))
}

/// Far above every password, far below what hurts.
const PASSWORD_BYTES: u64 = 64 << 10;

fn of_file(path: &Path) -> Result<Secret, String> {
    let bytes = read_at_most(path, PASSWORD_BYTES).map_err(|error| cannot_read(path, &error))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", shown(path)))?;
    let text = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    match text.is_empty() {
        true => Err(format!("{} is empty; for an account without a password leave this out", shown(path))),
        false => Ok(Secret::new(text)),
    }
}

fn of_variable(name: &str, environment: &[(OsString, OsString)]) -> Result<Secret, String> {
    let Some((_, text)) = environment.iter().find(|(other, _)| other == name) else {
        return Err(format!("the environment variable {name} is not set"));
    };
    match text.to_str() {
        None => Err(format!("the environment variable {name} is not UTF-8")),
        Some("") => {
            Err(format!("the environment variable {name} is empty; for an account without a password leave this out"))
        }
        Some(text) => Ok(Secret::new(text)),
    }
}

fn readable(path: &Path) -> Result<(), String> {
    let file = fs::File::open(path).and_then(|file| file.metadata());
    match file {
        Ok(found) if found.is_dir() => Err(format!("{} is a directory; write the path of a file", shown(path))),
        Ok(_) => Ok(()),
        Err(error) => Err(cannot_read(path, &error)),
    }
}

/// Reads to the end, unless that is too far away: `/dev/zero` has none. What is too large does not get into memory.
pub(crate) fn read_at_most(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 <= most {
        return Ok(bytes);
    }
    let most = if most < 1 << 20 { format!("{} KiB", most >> 10) } else { format!("{} MiB", most >> 20) };
    Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {most}; is it the right file?")))
}

/// The operating system's own words, without the number.
pub(crate) fn cannot_read(path: &Path, error: &io::Error) -> String {
    let says = error.to_string();
    let words = says.split(" (os error").next().unwrap_or_default();
    format!("cannot read {}: {words}", shown(path))
}
