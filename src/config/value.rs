//! A text becomes the value of a setting, or the reason why it cannot.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::query::names::{label_flaw, metric_flaw};
use super::query::servers::Servers;
use super::query::statement;
use super::regex;
use super::secret::Secret;
use super::settings::{Kind, nearest};
use super::shape::OFF;

/// The value of one setting.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Secret(Secret),
    Switch(bool),
    Count(u64),
    Span(Duration),
    List(Vec<String>),
    Path(PathBuf),
    /// A duration, or never.
    Lifetime(Option<Duration>),
}

/// Reads one value. Only a secret and a prefix may be empty. `base` is the folder that a relative path starts from.
pub(crate) fn convert(kind: Kind, text: &str, base: &Path) -> Result<Value, String> {
    if kind == Kind::Secret {
        return Ok(Value::Secret(Secret::new(text)));
    }
    if text.is_empty() && kind != Kind::Prefix {
        return Err("is empty".to_owned());
    }
    match kind {
        Kind::Text | Kind::Names | Kind::Prefix => Ok(Value::Text(text.to_owned())),
        Kind::Regex => match regex::flaw(text) {
            None => Ok(Value::Text(text.to_owned())),
            Some(flaw) => Err(format!("`{text}` is not a regular expression: {flaw}")),
        },
        Kind::Secret => unreachable!("read above"),
        Kind::Switch => switch(text).map(Value::Switch),
        Kind::Count { least, most } => count(text, least, most).map(Value::Count),
        Kind::Span { least, most } => span(text, least, most).map(Value::Span),
        Kind::Choice(choices) => choice(text, choices).map(Value::Text),
        Kind::Listen => listen(text).map(Value::Text),
        Kind::Route => route(text).map(Value::Text),
        Kind::Address => address(text).map(Value::Text),
        Kind::File => Ok(Value::Path(base.join(text))),
        Kind::Variable => variable(text).map(Value::Text),
        Kind::Spans { least, most } => span(text, least, most).map(Value::Span),
        Kind::SpanOrNever { .. } if text.eq_ignore_ascii_case("never") => Ok(Value::Lifetime(None)),
        Kind::SpanOrNever { least, most } => lifetime(text, least, most).map(|span| Value::Lifetime(Some(span))),
        Kind::Word => word(text).map(Value::Text),
        Kind::Folder => Ok(Value::Path(base.join(text))),
        Kind::Control => control(text, base),
        Kind::Patterns | Kind::HostGroups => Ok(Value::Text(text.trim().to_owned())),
        Kind::Door => address(text).map(|text| Value::Text(text.trim().to_owned())),
        Kind::Statement => judged(text, statement::flaw(text)),
        Kind::Metric => judged(text, metric_flaw(text)),
        Kind::Labels => judged(text, label_flaw(text)),
        Kind::Servers => Servers::parse(text).map(|_| Value::Text(text.to_owned())),
    }
}

fn judged(text: &str, flaw: Option<String>) -> Result<Value, String> {
    flaw.map_or_else(|| Ok(Value::Text(text.to_owned())), Err)
}

/// A duration as it is written: `1m30s`.
pub(crate) fn spelled(duration: Duration) -> String {
    humantime::format_duration(duration).to_string().replace(' ', "")
}

fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        _ if text == "true" => Ok(true),
        _ if text == "false" => Ok(false),
        "true" | "yes" | "on" | "y" | "1" => Err(format!("`{text}` is neither true nor false; write `true`")),
        "false" | "no" | "off" | "n" | "0" => Err(format!("`{text}` is neither true nor false; write `false`")),
        _ => Err(format!("`{text}` is neither true nor false")),
    }
}

fn count(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("`{text}` is not a whole number; write one from {least} to {most}"));
    }
    match text.parse::<u64>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("`{text}` is out of range; write a number from {least} to {most}")),
    }
}

fn span(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let text = text.trim();
    if text.starts_with('-') {
        return Err(format!("`{text}` is negative; write a duration such as `15s`"));
    }
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(format!("`{text}` has no unit; write `{text}s`"));
    }
    let duration = humantime::parse_duration(text).map_err(|error| match error {
        humantime::DurationError::UnknownUnit { unit, .. } if unit.is_empty() => {
            format!("`{text}` has a number without a unit; write `1m30s`, not `1m30`")
        }
        humantime::DurationError::UnknownUnit { unit, .. } => {
            format!("`{text}` has the unknown unit `{unit}`; write ms, s, m, h or d, as in `1m30s`")
        }
        _ => format!("`{text}` is not a duration; write one such as `15s`, `1m30s` or `500ms`"),
    })?;
    if duration < least {
        return Err(format!("`{text}` is too short; write at least `{}`", spelled(least)));
    }
    if duration > most {
        return Err(format!("`{text}` is too long; write at most `{}`", spelled(most)));
    }
    Ok(duration)
}

/// SQLAlchemy has -1 for never, others 0.
fn lifetime(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    match text {
        "-1" | "0" | "0s" | "none" | "off" => Err(format!("`{text}` is no duration; write `never`")),
        _ => span(text, least, most),
    }
}

fn word(text: &str) -> Result<String, String> {
    match text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        true => Ok(text.to_owned()),
        false => Err(format!("`{text}` is not a plain word; write letters, digits and `_`")),
    }
}

fn choice(text: &str, choices: &[&str]) -> Result<String, String> {
    if let Some(choice) = choices.iter().find(|choice| choice.eq_ignore_ascii_case(text)) {
        return Ok((*choice).to_owned());
    }
    let all = or(choices);
    match nearest(&text.replace('-', "_"), choices.iter().copied()) {
        Some(near) => Err(format!("`{text}` is not one of {all}; did you mean `{near}`?")),
        None => Err(format!("`{text}` is not one of {all}")),
    }
}

fn or(choices: &[&str]) -> String {
    match choices {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => choices.concat(),
    }
}

fn listen(text: &str) -> Result<String, String> {
    let port_is_good = |port: &str| port.parse::<u16>().is_ok() && port.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(path) = text.strip_prefix("unix:") {
        return socket(text, path);
    }
    if text.starts_with(['/', '@']) {
        let path = if text.starts_with('/') { text } else { "/run/goneaway/metrics.sock" };
        return Err(format!("`{text}` is not an address and a port; for a unix socket write `unix:{path}`"));
    }
    if text.contains("://") {
        return Err(format!("`{text}` is a URL; write an address and a port, such as `127.0.0.1:10306`"));
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return match port_is_good(text) {
            true => Err(format!("`{text}` is only a port; write `:{text}`")),
            false => Err(format!("`{text}` is not a port; write a number up to 65535, as in `:10306`")),
        };
    }
    if let Ok(bare) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        let full = SocketAddr::new(bare, 10306);
        return Err(format!("`{text}` has no port; write `{full}`"));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(format!("`{text}` has no port; write `:10306`, `127.0.0.1:10306`, `[::1]:10306` or `host:10306`"));
    };
    if !port_is_good(port) {
        return Err(format!("`{port}` is not a port; write a number up to 65535"));
    }
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match bracketed {
        Some(inner) if inner.parse::<Ipv6Addr>().is_ok() => Ok(text.to_owned()),
        None if host.is_empty() || host.parse::<Ipv4Addr>().is_ok() || is_host(host) => Ok(text.to_owned()),
        _ if host.contains(':') => Err(format!("`{host}` is not an IPv6 address in brackets, such as `[::1]`")),
        _ => Err(format!(
            "`{host}` is neither an IP address nor a host name; write one, such as `127.0.0.1:{port}`, or only \
             `:{port}` for all"
        )),
    }
}

/// Whether it may be a name. What has only digits and dots is an address, if a wrong one.
fn is_host(host: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    host.chars().all(is_name) && !host.starts_with(['-', '.']) && host.contains(|c: char| c.is_ascii_alphabetic())
}

/// As long as a path may be in the address of a socket (unix(7)).
const SOCKET_BYTES: usize = 107;

/// What follows `unix:`.
fn socket(text: &str, path: &str) -> Result<String, String> {
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.starts_with('@') {
        return Err(format!("`{text}` is an abstract socket, which anybody may connect to; write an absolute path"));
    }
    if !path.starts_with('/') || path.ends_with('/') {
        return Err(format!(
            "`{text}` is not the absolute path of a unix socket; write one such as `unix:/run/goneaway/metrics.sock`"
        ));
    }
    match path.len() > SOCKET_BYTES {
        true => Err(format!("`{text}` is too long; the path of a unix socket has at most {SOCKET_BYTES} bytes")),
        false => Ok(text.to_owned()),
    }
}

/// The path of a unix socket, relative to a folder as all paths are, or `off`.
fn control(text: &str, base: &Path) -> Result<Value, String> {
    if text.eq_ignore_ascii_case(OFF) {
        return Ok(Value::Text(OFF.to_owned()));
    }
    if matches!(text, "no" | "none" | "false") {
        return Err(format!("`{text}` is no path; write `{OFF}`"));
    }
    let path = text.strip_prefix("unix:").unwrap_or(text);
    if path.starts_with('@') || path.ends_with('/') || path.is_empty() {
        return Err(format!(
            "`{text}` is not the path of a unix socket; write one such as `/run/goneaway/goneaway.sock`"
        ));
    }
    let path = base.join(path);
    match path.as_os_str().len() > SOCKET_BYTES {
        true => {
            Err(format!("`{}` is too long; the path of a unix socket has at most {SOCKET_BYTES} bytes", path.display()))
        }
        false => Ok(Value::Path(path)),
    }
}

/// What is served elsewhere than the metrics.
const TAKEN: [&str; 7] = ["/", "/health", "/health/db", "/health/detailed", "/probe", "/sd", "/events"];
const TAKEN_BELOW: [&str; 2] = ["/api/", "/-/"];

fn route(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err(format!("`{text}` does not begin with `/`; write `/{text}`"));
    }
    if let Some(wrong) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || "/-_.~".contains(*c))) {
        return Err(format!("`{text}` has the character `{wrong}`; write a plain path such as `/metrics`"));
    }
    if TAKEN.contains(&text) || TAKEN_BELOW.iter().any(|taken| text.starts_with(taken)) {
        return Err(format!("`{text}` is served as something else; write another path, such as `/metrics`"));
    }
    Ok(text.to_owned())
}

/// Refuses what people write with a password in it, without repeating it. The rest is judged by whoever connects.
fn address(text: &str) -> Result<String, String> {
    let socket = text.starts_with('/') || text.starts_with("unix:");
    if !socket && (text.contains("://") || text.contains('@')) {
        return Err(
            "is a URL or a data source name; write `host:port`, and user and password as settings of their own"
                .to_owned(),
        );
    }
    Ok(text.to_owned())
}

/// A password written here by mistake must not be repeated.
fn variable(text: &str) -> Result<String, String> {
    let first_is_good = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    match first_is_good && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        true => Ok(text.to_owned()),
        false => Err("is not the name of an environment variable; write one such as `ORDERS_PASSWORD`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Kind = Kind::Span { least: Duration::from_secs(1), most: Duration::from_secs(86_400) };

    fn check(kind: Kind, text: &str, expect: Result<Value, &str>) {
        assert_eq!(convert(kind, text, Path::new("/etc/x")), expect.map_err(str::to_owned), "{text}");
    }

    fn text(text: &str) -> Result<Value, &str> {
        Ok(Value::Text(text.to_owned()))
    }

    #[test]
    fn a_duration_has_a_unit() {
        check(EVERY, "15s", Ok(Value::Span(Duration::from_secs(15))));
        check(EVERY, "1m30s", Ok(Value::Span(Duration::from_secs(90))));
        check(EVERY, "1500ms", Ok(Value::Span(Duration::from_millis(1500))));
        check(EVERY, "1.5s", Ok(Value::Span(Duration::from_millis(1500))));
        check(EVERY, "15", Err("`15` has no unit; write `15s`"));
        check(EVERY, "1.5", Err("`1.5` has no unit; write `1.5s`"));
        check(EVERY, "-5s", Err("`-5s` is negative; write a duration such as `15s`"));
        check(EVERY, "1m30", Err("`1m30` has a number without a unit; write `1m30s`, not `1m30`"));
        check(EVERY, "5sm", Err("`5sm` has the unknown unit `sm`; write ms, s, m, h or d, as in `1m30s`"));
        check(EVERY, "soon", Err("`soon` is not a duration; write one such as `15s`, `1m30s` or `500ms`"));
        check(EVERY, "500ms", Err("`500ms` is too short; write at least `1s`"));
        check(EVERY, "2d", Err("`2d` is too long; write at most `1day`"));
        check(EVERY, "", Err("is empty"));
        assert_eq!(spelled(Duration::from_millis(90_500)), "1m30s500ms");
    }

    #[test]
    fn a_switch_is_true_or_false_and_nothing_else() {
        check(Kind::Switch, "true", Ok(Value::Switch(true)));
        check(Kind::Switch, "false", Ok(Value::Switch(false)));
        check(Kind::Switch, "yes", Err("`yes` is neither true nor false; write `true`"));
        check(Kind::Switch, "Off", Err("`Off` is neither true nor false; write `false`"));
        check(Kind::Switch, "maybe", Err("`maybe` is neither true nor false"));
    }

    #[test]
    fn the_control_socket_is_a_path_or_off() {
        let check = |text: &str, expect| check(Kind::Control, text, expect);
        check("/run/g.sock", Ok(Value::Path("/run/g.sock".into())));
        check("unix:/run/g.sock", Ok(Value::Path("/run/g.sock".into())));
        check("g.sock", Ok(Value::Path("/etc/x/g.sock".into())));
        check("off", text("off"));
        check("false", Err("`false` is no path; write `off`"));
        check(
            "/run/",
            Err("`/run/` is not the path of a unix socket; write one such as `/run/goneaway/goneaway.sock`"),
        );
        check("@g", Err("`@g` is not the path of a unix socket; write one such as `/run/goneaway/goneaway.sock`"));
        let long = format!("/{}", "x".repeat(107));
        check(&long, Err(&format!("`{long}` is too long; the path of a unix socket has at most 107 bytes")));
    }

    #[test]
    fn a_count_is_whole_and_in_range() {
        let kind = Kind::Count { least: 2, most: 64 };
        check(kind, "2", Ok(Value::Count(2)));
        check(kind, "64", Ok(Value::Count(64)));
        for wrong in ["1", "65", "-3", "99999999999999999999999"] {
            check(kind, wrong, Err(&format!("`{wrong}` is out of range; write a number from 2 to 64")));
        }
        for wrong in ["8.0", "many", "0x8", "-", "+8", "8 "] {
            check(kind, wrong, Err(&format!("`{wrong}` is not a whole number; write one from 2 to 64")));
        }
    }

    #[test]
    fn choices_take_any_case_and_suggest() {
        let modes = Kind::Choice(&["DISABLED", "VERIFY_CA"]);
        check(modes, "verify_ca", text("VERIFY_CA"));
        check(modes, "verify-ca", Err("`verify-ca` is not one of DISABLED or VERIFY_CA; did you mean `VERIFY_CA`?"));
        check(modes, "on", Err("`on` is not one of DISABLED or VERIFY_CA"));
    }

    #[test]
    fn listen_addresses_are_told_from_halves_and_urls() {
        for good in [
            ":10306",
            "127.0.0.1:10306",
            "[::]:10306",
            "[::1]:0",
            ":0",
            "localhost:80",
            "db-1.example_net.:80",
            "unix:/run/goneaway/metrics.sock",
            "unix:///run/goneaway/metrics.sock",
        ] {
            check(Kind::Listen, good, text(good));
        }
        for (wrong, says) in [
            ("10306", "`10306` is only a port; write `:10306`"),
            ("127.0.0.1", "`127.0.0.1` has no port; write `127.0.0.1:10306`"),
            ("::1", "`::1` has no port; write `[::1]:10306`"),
            ("[::1]", "`[::1]` has no port; write `[::1]:10306`"),
            ("localhost", "`localhost` has no port; write `:10306`, `127.0.0.1:10306`, `[::1]:10306` or `host:10306`"),
            (
                "127.0.0.256:80",
                "`127.0.0.256` is neither an IP address nor a host name; write one, such as `127.0.0.1:80`, or only \
                 `:80` for all",
            ),
            ("/run/a.sock", "`/run/a.sock` is not an address and a port; for a unix socket write `unix:/run/a.sock`"),
            (
                "unix:a.sock",
                "`unix:a.sock` is not the absolute path of a unix socket; write one such as \
                 `unix:/run/goneaway/metrics.sock`",
            ),
            ("unix:@a", "`unix:@a` is an abstract socket, which anybody may connect to; write an absolute path"),
            (":66000", "`66000` is not a port; write a number up to 65535"),
            ("66000", "`66000` is not a port; write a number up to 65535, as in `:10306`"),
            (":+80", "`+80` is not a port; write a number up to 65535"),
            ("x::b:80", "`x::b` is not an IPv6 address in brackets, such as `[::1]`"),
            ("http://[::]:80", "`http://[::]:80` is a URL; write an address and a port, such as `127.0.0.1:10306`"),
        ] {
            check(Kind::Listen, wrong, Err(says));
        }
        let long = format!("unix:/{}", "x".repeat(107));
        check(
            Kind::Listen,
            &long,
            Err(&format!("`{long}` is too long; the path of a unix socket has at most 107 bytes")),
        );
    }

    #[test]
    fn the_metrics_take_no_path_of_another_page() {
        check(Kind::Route, "/metrics", text("/metrics"));
        check(Kind::Route, "/a/b", text("/a/b"));
        check(Kind::Route, "metrics", Err("`metrics` does not begin with `/`; write `/metrics`"));
        check(Kind::Route, "/m?x", Err("`/m?x` has the character `?`; write a plain path such as `/metrics`"));
        for taken in ["/", "/health", "/health/db", "/api/health", "/-/ready", "/probe", "/sd", "/events"] {
            let says = format!("`{taken}` is served as something else; write another path, such as `/metrics`");
            check(Kind::Route, taken, Err(&says));
        }
    }

    #[test]
    fn a_password_in_the_wrong_place_is_not_repeated() {
        for (kind, text) in [(Kind::Address, "mysql://root:hunter2@db"), (Kind::Variable, "hunter2!")] {
            let says = convert(kind, text, Path::new("")).expect_err("wrong");
            assert!(!says.contains("hunter2"), "{says}");
        }
    }

    #[test]
    fn relative_paths_start_at_the_file_and_secrets_may_be_empty() {
        check(Kind::File, "ca.pem", Ok(Value::Path(PathBuf::from("/etc/x/ca.pem"))));
        check(Kind::File, "/ca.pem", Ok(Value::Path(PathBuf::from("/ca.pem"))));
        check(Kind::Secret, "", Ok(Value::Secret(Secret::default())));
    }
}
