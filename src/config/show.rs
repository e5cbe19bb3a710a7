//! The effective configuration as YAML that loads again, each value with where it came from.

use std::fmt::{self, Write};
use std::time::Duration;

use super::load::Loaded;
use super::origin::Place;
use super::shape::{
    AuthModule, Collector, Config, LogFormat, LogLevel, OFF, Pool, Query, QueryValueType, ResetOnReturn, Target, Tls,
    TlsMode, TlsVersion,
};
use super::value::spelled;

/// Writes everything that is in effect. A password is shown as `******`.
pub fn show(loaded: &Loaded) -> String {
    let mut out = String::new();
    let written = Page { loaded, out: &mut out }.config(&loaded.config);
    debug_assert!(written.is_ok(), "a string takes everything");
    out
}

struct Page<'a> {
    loaded: &'a Loaded,
    out: &'a mut String,
}

impl Page<'_> {
    fn config(&mut self, config: &Config) -> fmt::Result {
        writeln!(self.out, "# The configuration in effect. A comment says where its value comes from.")?;
        writeln!(self.out, "web:")?;
        self.line("web.listen_addresses", 1, words(&config.web.listen_addresses))?;
        self.line("web.systemd_socket", 1, config.web.systemd_socket)?;
        self.line("web.telemetry_path", 1, scalar(&config.web.telemetry_path))?;
        self.line("web.lifecycle", 1, config.web.lifecycle)?;
        if let Some(file) = &config.web.config_file {
            self.line("web.config_file", 1, scalar(&file.to_string_lossy()))?;
        }
        writeln!(self.out, "log:")?;
        self.line("log.level", 1, level(config.log.level))?;
        self.line("log.format", 1, format(config.log.format))?;
        if let Some(directory) = &config.state_directory {
            self.line("state_directory", 0, scalar(&directory.to_string_lossy()))?;
        }
        match &config.control {
            Some(socket) => self.line("control", 0, scalar(&socket.to_string_lossy()))?,
            None if self.loaded.origins.of("control").is_some() => self.line("control", 0, scalar(OFF))?,
            None => {}
        }
        if !config.host_groups.is_empty() {
            self.line("host_groups", 0, words(&config.host_groups))?;
        }
        writeln!(self.out, "events:")?;
        self.line("events.keep", 1, config.events.keep)?;
        writeln!(self.out, "probe:")?;
        if !config.probe.allow.is_empty() {
            self.line("probe.allow", 1, words(&config.probe.allow))?;
        }
        self.line("probe.limit", 1, config.probe.limit)?;
        self.line("probe.timeout", 1, spelled(config.probe.timeout))?;
        self.line("probe.timeout_offset", 1, spelled(config.probe.timeout_offset))?;
        if !config.auth_modules.is_empty() {
            writeln!(self.out, "auth_modules:")?;
            config.auth_modules.iter().try_for_each(|(name, module)| self.module(name, module))?;
        }
        if !config.collectors.is_empty() {
            writeln!(self.out, "collectors:")?;
            config.collectors.iter().try_for_each(|(name, collector)| self.collector(name, collector))?;
        }
        if !config.queries.is_empty() {
            writeln!(self.out, "queries:")?;
            config.queries.iter().try_for_each(|(name, query)| self.query(name, query))?;
        }
        writeln!(self.out, "targets:")?;
        config.targets.iter().try_for_each(|(name, target)| self.target(name, target))
    }

    fn collector(&mut self, name: &str, collector: &Collector) -> fmt::Result {
        let span = |span: Option<Duration>| span.map(spelled);
        let word = |text: &Option<String>| text.as_deref().map(scalar);
        let switch = |on: Option<bool>| on.map(|on| on.to_string());
        let count = |number: Option<u64>| number.map(|number| number.to_string());
        let names = |names: &Option<Vec<String>>| names.as_deref().map(words);
        let settings = [
            ("every", span(collector.every)),
            ("timeout", span(collector.timeout)),
            ("database", word(&collector.database)),
            ("table", word(&collector.table)),
            ("utc", switch(collector.utc)),
            ("min_time", span(collector.min_time)),
            ("processes_by_user", switch(collector.processes_by_user)),
            ("processes_by_host", switch(collector.processes_by_host)),
            ("databases", names(&collector.databases)),
            ("privileges", switch(collector.privileges)),
            ("limit", count(collector.limit)),
            ("timelimit", span(collector.timelimit)),
            ("digest_text_limit", count(collector.digest_text_limit)),
            ("exclude_schemas", names(&collector.exclude_schemas)),
            ("filter", word(&collector.filter)),
            ("remove_prefix", word(&collector.remove_prefix)),
        ];
        let path = |key: &str| format!("collectors.{name}.{key}");
        if settings.iter().all(|(_, value)| value.is_none()) {
            return self.named(&path("enabled"), name, 1, collector.enabled);
        }
        writeln!(self.out, "  {}:", scalar(name))?;
        self.line(&path("enabled"), 2, collector.enabled)?;
        for (key, value) in settings {
            if let Some(value) = value {
                self.line(&path(key), 2, value)?;
            }
        }
        Ok(())
    }

    fn query(&mut self, name: &str, query: &Query) -> fmt::Result {
        writeln!(self.out, "  {}:", scalar(name))?;
        let path = |key: &str| format!("queries.{name}.{key}");
        self.line(&path("sql"), 2, quoted(&query.sql))?;
        self.line(&path("every"), 2, spelled(query.every))?;
        self.line(&path("timeout"), 2, spelled(query.timeout))?;
        if !query.labels.is_empty() {
            self.line(&path("labels"), 2, words(&query.labels))?;
        }
        if let Some(targets) = &query.targets {
            self.line(&path("targets"), 2, words(targets))?;
        }
        if let Some(servers) = &query.servers {
            let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
            self.line(&path("servers"), 2, words(&servers))?;
        }
        self.line(&path("max_rows"), 2, query.max_rows)?;
        self.line(&path("max_series"), 2, query.max_series)?;
        writeln!(self.out, "    values:")?;
        for (column, value) in &query.values {
            writeln!(self.out, "      {}:", scalar(column))?;
            let path = |key: &str| path(&format!("values.{column}.{key}"));
            let kind = match value.r#type {
                QueryValueType::Gauge => "gauge",
                QueryValueType::Counter => "counter",
                QueryValueType::Untyped => "untyped",
            };
            self.line(&path("name"), 4, scalar(&value.name))?;
            self.line(&path("type"), 4, kind)?;
            self.line(&path("help"), 4, quoted(&value.help))?;
        }
        Ok(())
    }

    fn target(&mut self, name: &str, target: &Target) -> fmt::Result {
        writeln!(self.out, "  {}:", scalar(name))?;
        let path = |key: &str| format!("targets.{name}.{key}");
        self.line(&path("address"), 2, scalar(&target.address))?;
        self.line(&path("user"), 2, scalar(&target.user))?;
        // Also an empty one: that there is none must be seen when one was said.
        if !target.password.is_empty() || self.loaded.origins.of(&path("password")).is_some() {
            self.line(&path("password"), 2, "\"******\"")?;
        }
        if let Some(database) = &target.database {
            self.line(&path("database"), 2, scalar(database))?;
        }
        self.line(&path("every"), 2, spelled(target.every))?;
        self.line(&path("timeout"), 2, spelled(target.timeout))?;
        self.line(&path("connect_timeout"), 2, spelled(target.connect_timeout))?;
        self.line(&path("second_door"), 2, scalar(&target.second_door))?;
        self.line(&path("required"), 2, target.required)?;
        self.line(&path("connections"), 2, target.connections)?;
        self.line(&path("max_series"), 2, target.max_series)?;
        self.line(&path("cleartext"), 2, target.cleartext)?;
        self.tls(&path("tls"), &target.tls)?;
        writeln!(self.out, "    backoff:")?;
        self.line(&path("backoff.floor"), 3, spelled(target.backoff.floor))?;
        self.line(&path("backoff.first"), 3, spelled(target.backoff.first))?;
        self.line(&path("backoff.cap"), 3, spelled(target.backoff.cap))?;
        self.line(&path("circuit_interval"), 2, spelled(target.circuit_interval))?;
        self.line(&path("down_after"), 2, spelled(target.down_after))?;
        self.line(&path("give_up_after"), 2, spelled(target.give_up_after))?;
        writeln!(self.out, "    ladder:")?;
        self.line(&path("ladder.enabled"), 3, target.ladder.enabled)?;
        self.line(&path("ladder.cap"), 3, spelled(target.ladder.cap))?;
        self.line(&path("ladder.ages"), 3, list(&target.ladder.ages))?;
        self.line(&path("ladder.precision"), 3, spelled(target.ladder.precision))?;
        self.line(&path("ladder.stagger"), 3, spelled(target.ladder.stagger))?;
        self.line(&path("ladder.recheck_every"), 3, spelled(target.ladder.recheck_every))?;
        writeln!(self.out, "    pools:")?;
        target.pools.iter().try_for_each(|(pool, settings)| self.pool(&path(&format!("pools.{pool}")), pool, settings))
    }

    fn module(&mut self, name: &str, module: &AuthModule) -> fmt::Result {
        writeln!(self.out, "  {}:", scalar(name))?;
        let path = |key: &str| format!("auth_modules.{name}.{key}");
        self.line(&path("user"), 2, scalar(&module.user))?;
        if !module.password.is_empty() || self.loaded.origins.of(&path("password")).is_some() {
            self.line(&path("password"), 2, "\"******\"")?;
        }
        if let Some(allow) = &module.allow {
            self.line(&path("allow"), 2, words(allow))?;
        }
        self.line(&path("cleartext"), 2, module.cleartext)?;
        self.tls(&path("tls"), &module.tls)
    }

    fn tls(&mut self, path: &str, tls: &Tls) -> fmt::Result {
        let path = |key: &str| format!("{path}.{key}");
        writeln!(self.out, "    tls:")?;
        self.line(&path("mode"), 3, mode(tls.mode))?;
        for (key, file) in [("ca", &tls.ca), ("cert", &tls.cert), ("key", &tls.key)] {
            if let Some(file) = file {
                self.line(&path(key), 3, scalar(&file.to_string_lossy()))?;
            }
        }
        if let Some(name) = &tls.server_name {
            self.line(&path("server_name"), 3, scalar(name))?;
        }
        self.line(&path("min_version"), 3, version(tls.min_version))
    }

    fn pool(&mut self, path: &str, name: &str, pool: &Pool) -> fmt::Result {
        writeln!(self.out, "      {}:", scalar(name))?;
        let path = |key: &str| format!("{path}.{key}");
        self.line(&path("size"), 4, pool.size)?;
        self.line(&path("max_overflow"), 4, pool.max_overflow)?;
        self.line(&path("timeout"), 4, spelled(pool.timeout))?;
        self.line(&path("recycle"), 4, pool.recycle.map_or("never".to_owned(), spelled))?;
        self.line(&path("pre_ping"), 4, pool.pre_ping)?;
        let reset = match pool.reset_on_return {
            ResetOnReturn::Rollback => "rollback",
            ResetOnReturn::None => "none",
        };
        self.line(&path("reset_on_return"), 4, reset)?;
        self.line(&path("connect_timeout"), 4, spelled(pool.connect_timeout))?;
        self.line(&path("read_timeout"), 4, spelled(pool.read_timeout))?;
        self.line(&path("write_timeout"), 4, spelled(pool.write_timeout))?;
        if let Some(charset) = &pool.charset {
            self.line(&path("charset"), 4, scalar(charset))?;
        }
        writeln!(self.out, "        exercise:")?;
        self.line(&path("exercise.enabled"), 5, pool.exercise.enabled)?;
        self.line(&path("exercise.statement"), 5, scalar(&pool.exercise.statement))?;
        self.line(&path("exercise.busy"), 5, spelled(pool.exercise.busy))?;
        self.line(&path("exercise.rests"), 5, list(&pool.exercise.rests))
    }

    fn line(&mut self, path: &str, depth: usize, value: impl fmt::Display) -> fmt::Result {
        let key = path.rsplit('.').next().unwrap_or_default();
        self.named(path, key, depth, value)
    }

    fn named(&mut self, path: &str, key: &str, depth: usize, value: impl fmt::Display) -> fmt::Result {
        write!(self.out, "{:indent$}{}: {value}", "", scalar(key), indent = 2 * depth)?;
        match self.loaded.origins.of(path) {
            None => writeln!(self.out),
            Some(origin) if origin.place == Place::Default || origin.setting == path => {
                writeln!(self.out, "  # {}", origin.place.brief())
            }
            Some(origin) => writeln!(self.out, "  # {}, {}", origin.place.brief(), origin.setting),
        }
    }
}

fn list(spans: &[Duration]) -> String {
    format!("[{}]", spans.iter().map(|span| spelled(*span)).collect::<Vec<_>>().join(", "))
}

pub(crate) fn words(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
}

/// Plain where every reader of YAML takes it for text, quoted otherwise.
pub(crate) fn scalar(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
    let is_word = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"].contains(&text.to_lowercase().as_str());
    match is_plain && !is_word {
        true => text.to_owned(),
        false => quoted(text),
    }
}

pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}') => {
                out.push_str(&format!("\\u{:04x}", c as u32));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn level(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
    }
}

fn format(format: LogFormat) -> &'static str {
    match format {
        LogFormat::Logfmt => "logfmt",
        LogFormat::Json => "json",
    }
}

pub(crate) fn mode(mode: TlsMode) -> &'static str {
    match mode {
        TlsMode::Disabled => "DISABLED",
        TlsMode::Preferred => "PREFERRED",
        TlsMode::Required => "REQUIRED",
        TlsMode::VerifyCa => "VERIFY_CA",
        TlsMode::VerifyIdentity => "VERIFY_IDENTITY",
    }
}

pub(crate) fn version(version: TlsVersion) -> &'static str {
    match version {
        TlsVersion::Tls12 => "\"1.2\"",
        TlsVersion::Tls13 => "\"1.3\"",
    }
}
