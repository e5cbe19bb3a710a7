//! `/`: the status page. One table, no script, nothing from elsewhere.

use std::borrow::Cow;
use std::fmt::Write;

use super::handler::PATHS;
use crate::report::health::{Seen, status};

const HEAD: &str = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n<title>goneaway</title>\n<style>\n\
:root { color-scheme: light dark; }\n\
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em; }\n\
table { border-collapse: collapse; width: 100%; }\n\
th, td { border-bottom: 1px solid #8886; padding: .4em .8em .4em 0; text-align: left; vertical-align: top; }\n\
.connected, .healthy { color: #080; } .degraded, .pending { color: #a60; } .down, .unhealthy { color: #c00; }\n\
small { display: block; opacity: .8; }\n\
</style>\n</head>\n<body>\n";

/// The whole page.
pub(super) fn page(targets: &[Seen], telemetry_path: &str) -> String {
    let mut out = String::from(HEAD);
    let overall = status(targets).label();
    let version = env!("CARGO_PKG_VERSION");
    push(&mut out, format_args!("<h1>goneaway {version}: <span class=\"{overall}\">{overall}</span></h1>\n<p>"));
    let metrics = std::iter::once(telemetry_path);
    for path in metrics.chain(PATHS.into_iter().filter(|path| *path != "/" && !path.starts_with("/api/"))) {
        let path = escape(path);
        push(&mut out, format_args!("<a href=\"{path}\">{path}</a> "));
    }
    out.push_str("</p>\n<table>\n<tr><th>Target</th><th>Up</th><th>State</th><th>Server</th><th>Connections</th><th>Last probe</th></tr>\n");
    for target in targets {
        row(&mut out, target);
    }
    out.push_str("</table>\n</body>\n</html>\n");
    out
}

fn row(out: &mut String, target: &Seen) {
    let snapshot = &target.snapshot;
    let optional = if snapshot.required { "" } else { " (not required)" };
    push(
        out,
        format_args!(
            "<tr><td>{}<small>{}{optional}</small></td><td>{}</td>",
            escape(&target.name),
            escape(&snapshot.address),
            if target.up { "yes" } else { "no" },
        ),
    );
    let state = target.state();
    push(out, format_args!("<td><span class=\"{state}\">{state}</span>"));
    if let Some(failure) = target.failure() {
        let (phase, reason) = (failure.phase.label(), failure.reason.label());
        push(out, format_args!(" {phase}: {reason}<small>{}</small>", escape(&failure.detail)));
        if let Some(hint) = &failure.hint {
            push(out, format_args!("<small>hint: {}</small>", escape(hint)));
        }
    }
    let server = snapshot.server.as_ref().map(ToString::to_string).unwrap_or_default();
    push(out, format_args!("</td><td>{}</td>", escape(&server)));
    match snapshot.connections {
        Some((used, limit)) => push(out, format_args!("<td>{used} of {limit}</td>")),
        None => out.push_str("<td></td>"),
    }
    match &snapshot.probe {
        Some(probe) => {
            push(out, format_args!("<td>{}</td></tr>\n", humantime::format_rfc3339_seconds(probe.at)));
        }
        None => out.push_str("<td>none yet</td></tr>\n"),
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a String cannot fail");
}

/// Names, addresses and what a server answers are text, never markup.
fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use super::*;
    use crate::mysql::failure::{Failure, Phase, Reason};
    use crate::mysql::server::Server;
    use crate::watch::snapshot::{ProbeResult, Snapshot};

    #[test]
    fn what_a_server_says_is_never_markup() {
        let evil = "<script>alert('x')</script>\"&";
        let failure = Failure::new(Phase::Auth, Reason::AccessDenied, evil).with_hint(evil);
        let probe =
            ProbeResult { at: SystemTime::UNIX_EPOCH, failure: Some(failure), phases: vec![], tls_version: None };
        let snapshot = Snapshot {
            address: evil.to_owned(),
            probe: Some(probe),
            server: Some(Server::from_version(evil)),
            connections: Some((3, 151)),
            ..Snapshot::default()
        };
        let target = Seen { name: evil.to_owned(), up: false, snapshot: Arc::new(snapshot), findings: Arc::default() };
        let page = page(&[target], evil);
        assert!(!page.contains("<script") && !page.contains("('x')"), "{page}");
        assert_eq!(page.matches("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;").count(), 7);
        for shown in
            ["<title>goneaway</title>", "class=\"down\"", "auth: access_denied", "3 of 151", "1970-01-01T00:00:00Z"]
        {
            assert!(page.contains(shown), "{shown}: {page}");
        }
    }
}
