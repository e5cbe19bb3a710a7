//! A picture for a person, as text.

use std::fmt::Write as _;

use super::super::diagnose::words::{count, duration, percent};
use super::super::sizing::{Figures, Sizing};
use super::shape::{Failing, Picture, Pool, Probe, Server, Session, Setting};
use crate::watch::finding::{Finding, Severity};

impl Picture {
    /// How bad the worst finding is.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }

    /// The findings alone, with the figures that fit the site.
    pub fn diagnosis(&self) -> String {
        let mut text = String::new();
        let verdict = if self.findings.is_empty() { "nothing is wrong".to_owned() } else { self.verdict() };
        line(&mut text, format_args!("{}: {verdict}", self.head()));
        for finding in &self.findings {
            push_finding(&mut text, finding);
        }
        if let Some(sizing) = &self.sizing {
            push_sizing(&mut text, sizing);
        }
        text
    }

    /// Everything, for a person.
    pub fn told(&self) -> String {
        let mut text = String::new();
        line(&mut text, format_args!("{}: {}", self.head(), self.reach()));
        if let Some(Probe { success: false, detail: Some(detail), hint, .. }) = &self.probe {
            line(&mut text, format_args!("  cause: {detail}"));
            if let Some(hint) = hint {
                line(&mut text, format_args!("  hint: {hint}"));
            }
        }
        if let Some(server) = &self.server {
            push_server(&mut text, server);
        }
        self.push_connections(&mut text);
        if !self.settings.is_empty() {
            line(&mut text, format_args!("  settings"));
            for Setting { name, shown, wise, is_wise, .. } in &self.settings {
                let mark = if *is_wise { ' ' } else { '!' };
                line(&mut text, format_args!("  {mark} {name:<21}{shown:>12}   wise: {wise}"));
            }
        }
        self.push_sessions(&mut text);
        if !self.failing.is_empty() {
            line(&mut text, format_args!("  failing"));
        }
        for Failing { name, error, last_success } in &self.failing {
            let last = last_success.as_ref().map_or("never good yet".to_owned(), |at| format!("good until {at}"));
            line(&mut text, format_args!("    {name}: {error} ({last})"));
        }
        line(&mut text, format_args!("  findings: {}", self.verdict()));
        for finding in &self.findings {
            line(&mut text, format_args!("    {}: {} ({})", finding.severity.label(), finding.title, finding.name));
        }
        text
    }

    fn head(&self) -> String {
        let optional = if self.required { "" } else { ", not required" };
        format!("{} ({}{optional})", self.target, self.address)
    }

    fn reach(&self) -> String {
        match &self.probe {
            None => "not probed yet".to_owned(),
            Some(Probe { success: true, phases, .. }) => {
                let took: f64 = phases.iter().map(|(_, seconds)| seconds).sum();
                format!("reachable, {}, a login takes {:.3} ms", self.state, took * 1000.0)
            }
            Some(Probe { phase, reason, errno, .. }) => {
                let text = |word: &Option<String>| word.clone().unwrap_or_default();
                let errno = errno.map(|errno| format!(" ({errno})")).unwrap_or_default();
                format!("not reachable, {}: {} in phase {}{errno}", self.state, text(reason), text(phase))
            }
        }
    }

    fn verdict(&self) -> String {
        let of = |severity| self.findings.iter().filter(|finding| finding.severity == severity).count();
        let parts: Vec<String> = [Severity::Critical, Severity::Warning, Severity::Info]
            .into_iter()
            .filter(|severity| of(*severity) > 0)
            .map(|severity| (of(severity), severity))
            .map(|(count, severity)| {
                let s = if severity == Severity::Warning && count > 1 { "s" } else { "" };
                format!("{count} {}{s}", severity.label())
            })
            .collect();
        if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
    }

    fn push_connections(&self, text: &mut String) {
        for pool in &self.pools {
            let Pool { name, idle, used, size, max_overflow, recycle_seconds, lost } = pool;
            let recycle = recycle_seconds.map_or("never".to_owned(), duration);
            line(
                text,
                format_args!(
                    "  pool {name}: {idle:.0} idle, {used:.0} used of {size:.0} + {max_overflow:.0}, recycled after {recycle}, \
                     {lost:.0} lost"
                ),
            );
        }
        for limit in &self.limits {
            let whose = match limit.user.as_str() {
                "" => limit.scope.clone(),
                user => format!("{} {user}", limit.scope),
            };
            let share = |used: f64| if limit.limit > 0.0 { percent(used / limit.limit) } else { "all".to_owned() };
            let used = limit.used.map_or("unknown".to_owned(), |used| format!("{used:.0} ({})", share(used)));
            let peak = limit.peak.map(|peak| format!(", at most {peak:.0}")).unwrap_or_default();
            line(text, format_args!("  connections of {whose}: {used} of {:.0}{peak}", limit.limit));
        }
    }

    fn push_sessions(&self, text: &mut String) {
        if !self.sessions.is_empty() {
            line(text, format_args!("  sessions"));
        }
        for Session { user, host, program, connections, sleeping } in &self.sessions {
            let program = if program.is_empty() { String::new() } else { format!(" by {program}") };
            line(text, format_args!("    {user} from {host}{program}: {connections:.0}, of which {sleeping:.0} rest"));
        }
        for rest in &self.rests {
            let near = match rest.near_timeout {
                0.0 => String::new(),
                near => format!(", {near:.0} near wait_timeout"),
            };
            let transaction = match rest.in_transaction {
                0.0 => String::new(),
                some => format!(
                    ", {} in a transaction for up to {}",
                    count(some, "rests", "rest"),
                    duration(rest.in_transaction_oldest_seconds)
                ),
            };
            let oldest = duration(rest.oldest_seconds);
            line(text, format_args!("    {} rests for up to {oldest}{near}{transaction}", rest.user));
        }
    }
}

fn push_server(text: &mut String, server: &Server) {
    let uptime = server.uptime_seconds.map(|uptime| format!(", up {}", duration(uptime))).unwrap_or_default();
    line(text, format_args!("  server: {} {}{uptime}", server.flavor, server.version));
    let tls = match server.tls_version.as_str() {
        "" => "without TLS".to_owned(),
        version => format!("{version} with {}", server.tls_cipher),
    };
    let until = server.certificate_not_after.as_ref().map(|at| format!(", certificate until {at}")).unwrap_or_default();
    let path = if server.path.is_empty() { String::new() } else { format!("{}, ", server.path) };
    line(text, format_args!("  path: {path}door {}, {tls}{until}", server.door));
    let account = server.account.clone().unwrap_or_else(|| "the account".to_owned());
    line(text, format_args!("  login: {account} by {}", server.auth_plugin));
    if let Some(safe) = server.idle_safe_lifetime_seconds {
        let owner = server.idle_limit_owner.as_deref().unwrap_or("none_seen");
        line(text, format_args!("  rest: safe up to {}, first cut by {owner}", duration(safe)));
    }
}

fn push_finding(text: &mut String, finding: &Finding) {
    line(text, format_args!("\n{}: {} ({})", finding.severity.label(), finding.title, finding.name));
    line(text, format_args!("  seen: {}", finding.seen));
    line(text, format_args!("  why: {}", finding.why));
    for change in &finding.changes {
        line(text, format_args!("  change: {}", change.what));
        for statement in &change.sql {
            line(text, format_args!("    SQL     {statement}"));
        }
        for setting in &change.my_cnf {
            let restart = if change.restart { "  # takes a restart" } else { "" };
            line(text, format_args!("    my.cnf  {setting}{restart}"));
        }
        for setting in &change.pool {
            line(text, format_args!("    pool    {setting}"));
        }
    }
    line(text, format_args!("  verify: {}", finding.verify));
}

fn push_sizing(text: &mut String, sizing: &Sizing) {
    let Sizing { peak, hosts, connections_per_second, low_traffic, high_traffic } = sizing;
    line(
        text,
        format_args!(
            "\nfigures for a peak of {peak} connections from {}, {connections_per_second:.1} new ones a second",
            count(*hosts as f64, "host", "hosts")
        ),
    );
    for (site, figures) in [("low traffic", low_traffic), ("high traffic", high_traffic)] {
        let Figures {
            max_connections,
            pool_size,
            pool_lifetime_seconds,
            pre_ping_after_seconds,
            thread_cache_size,
            back_log,
        } = figures;
        line(
            text,
            format_args!(
                "  {site:<12} max_connections {max_connections}, pool of each host {pool_size}, lifetime {}, pre-ping after \
                 {pre_ping_after_seconds} s of rest, thread_cache_size {thread_cache_size}, back_log {back_log}",
                duration(*pool_lifetime_seconds as f64)
            ),
        );
    }
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    let written = writeln!(text, "{words}");
    debug_assert!(written.is_ok(), "a string takes everything");
}
