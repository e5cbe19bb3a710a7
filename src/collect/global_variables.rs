//! `SHOW GLOBAL VARIABLES`: how the server is set up.
//!
//! Each variable that is a number or a switch is a gauge of its own. A few that are words become the labels of an
//! information family.

use super::collector::{Ask, Collector, Known, Pace};
use super::facts::Needs;
use super::help;
use super::value::{Name, number};
use crate::metrics::{BlockBuilder, Family, Kind};
use crate::mysql::rows::Rows;

pub(super) const COLLECTOR: Collector = Collector {
    name: "global_variables",
    summary: "Settings of SHOW GLOBAL VARIABLES: limits, timeouts, sizes; version and isolation level",
    default_on: true,
    pace: Pace::Round,
    needs: Needs::NOTHING,
    ask: |_| Ask::Sql("SHOW GLOBAL VARIABLES".into()),
    read,
};

crate::metrics! {
    /// Always 1: the version of the server and of its InnoDB, and what its packager says of it.
    VERSION: gauge "mysql_version_info" { innodb_version, version, version_comment };
    /// Always 1: the isolation level that new sessions start with (transaction_isolation, tx_isolation).
    ISOLATION: gauge "mysql_transaction_isolation" { level };
    /// Always 1: the name of the Galera cluster that this node is set up for.
    GALERA_VARIABLES: gauge "mysql_galera_variables_info" { wsrep_cluster_name };
    /// Bytes of the cache from which a Galera node brings returning nodes up to date (gcache.size in wsrep_provider_options), 0 when not said.
    GALERA_GCACHE_SIZE: gauge "mysql_galera_gcache_size_bytes" {};
}

fn read(answers: &[Rows], _: &Known, out: &mut BlockBuilder) {
    let [rows] = answers else { return };
    out.reserve(rows.len());
    let mut words = Words::default();
    let mut name = Name::with_prefix("mysql_global_variables_");
    for (variable, text) in rows.pairs() {
        name.set(variable);
        match number(text) {
            Some(value) => out.single(name.metric(), Kind::Gauge, help::of_variable(name.variable()), value),
            None => words.note(name.variable(), text),
        }
    }
    words.write(out);
}

/// Variables that are no number and yet told.
#[derive(Default)]
struct Words<'a> {
    innodb_version: &'a str,
    version: &'a str,
    version_comment: &'a str,
    transaction_isolation: &'a str,
    tx_isolation: &'a str,
    wsrep_cluster_name: &'a str,
    wsrep_provider_options: &'a str,
}

impl<'a> Words<'a> {
    fn note(&mut self, variable: &str, text: &'a str) {
        match variable {
            "innodb_version" => self.innodb_version = text,
            "version" => self.version = text,
            "version_comment" => self.version_comment = text,
            "transaction_isolation" => self.transaction_isolation = text,
            "tx_isolation" => self.tx_isolation = text,
            "wsrep_cluster_name" => self.wsrep_cluster_name = text,
            "wsrep_provider_options" => self.wsrep_provider_options = text,
            _ => {}
        }
    }

    fn write(&self, out: &mut BlockBuilder) {
        info(out, &VERSION, &[self.innodb_version, self.version, self.version_comment]);
        // MySQL 8 and MariaDB 11.1 renamed it; in between both have both.
        let level = match self.transaction_isolation {
            "" => self.tx_isolation,
            level => level,
        };
        if !level.is_empty() {
            info(out, &ISOLATION, &[level]);
        }
        if !self.wsrep_cluster_name.is_empty() {
            info(out, &GALERA_VARIABLES, &[self.wsrep_cluster_name]);
        }
        if !self.wsrep_provider_options.is_empty() {
            let size = gcache_size(self.wsrep_provider_options).unwrap_or_default();
            out.single(GALERA_GCACHE_SIZE.name, GALERA_GCACHE_SIZE.kind, GALERA_GCACHE_SIZE.help(), size);
        }
    }
}

fn info(out: &mut BlockBuilder, family: &Family, values: &[&str]) {
    let labels: Vec<(&str, &str)> = family.labels.iter().copied().zip(values.iter().copied()).collect();
    let family = out.family(family.name, family.kind, family.help());
    out.sample(family, &labels, 1.0);
}

/// From `…; gcache.size = 128M; …`.
fn gcache_size(provider_options: &str) -> Option<f64> {
    let options = provider_options.split(';').filter_map(|option| option.split_once('='));
    let (_, size) = options.map(|(key, size)| (key.trim(), size.trim())).find(|(key, _)| *key == "gcache.size")?;
    let digits = size.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
    let shift = match &size[digits.len()..] {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return None,
    };
    Some(digits.parse::<u64>().ok()? as f64 * f64::from(2).powi(shift))
}

#[cfg(test)]
mod tests {
    use super::super::trial::known;
    use super::*;
    use crate::metrics::{Format, write};
    use crate::mysql::server::Server;

    /// The sample lines that these rows become, but for the version's.
    fn lines(rows: &[(&str, &str)]) -> Vec<String> {
        let rows = rows.iter().map(|(name, value)| vec![Some(*name), Some(*value)]);
        let rows = Rows::of(&["Variable_name", "Value"], rows);
        let server = Server::from_version("9.7.4");
        let mut out = BlockBuilder::new(None);
        read(&[rows], &known(&server), &mut out);
        let text = write(&[std::sync::Arc::new(out.finish())], Format::Text);
        let told = |line: &&str| !line.starts_with("# HELP") && !line.contains("mysql_version_info");
        text.lines().filter(told).map(str::to_owned).collect()
    }

    #[test]
    fn numbers_and_switches_are_gauges_and_words_are_left_out() {
        assert_eq!(
            lines(&[("wait_timeout", "28800"), ("skip_name_resolve", "ON"), ("sql_mode", "STRICT_TRANS_TABLES")]),
            [
                "# TYPE mysql_global_variables_skip_name_resolve gauge",
                "mysql_global_variables_skip_name_resolve 1",
                "# TYPE mysql_global_variables_wait_timeout gauge",
                "mysql_global_variables_wait_timeout 28800",
            ]
        );
    }

    #[test]
    fn characters_that_a_name_cannot_have_become_underscores() {
        let lines = lines(&[("validate_password.length", "8")]);
        assert_eq!(lines[1], "mysql_global_variables_validate_password_length 8");
    }

    #[test]
    fn the_isolation_level_is_found_under_both_names() {
        for rows in [
            &[("tx_isolation", "REPEATABLE-READ")][..],
            &[("transaction_isolation", "REPEATABLE-READ")],
            &[("tx_isolation", "x"), ("transaction_isolation", "REPEATABLE-READ")],
        ] {
            assert_eq!(lines(rows)[1], "mysql_transaction_isolation{level=\"REPEATABLE-READ\"} 1");
        }
    }

    #[test]
    fn a_galera_cluster_is_told_by_its_name_and_its_cache() {
        let lines = lines(&[
            ("wsrep_cluster_name", "shop"),
            ("wsrep_provider_options", "evs.version = 1; gcache.size = 128M; gcs.fc_limit = 16; "),
        ]);
        assert_eq!(lines[1], "mysql_galera_gcache_size_bytes 134217728");
        assert_eq!(lines[3], "mysql_galera_variables_info{wsrep_cluster_name=\"shop\"} 1");
        for (options, size) in [("gcache.size = 4096;", 4096.0), ("gcache.size = 2G;", 2147483648.0)] {
            assert_eq!(gcache_size(options), Some(size));
        }
        for options in ["", "gcache.page_size = 128M;", "gcache.size = many;", "gcache.size = 1X;"] {
            assert_eq!(gcache_size(options), None, "{options}");
        }
    }

    #[test]
    fn the_version_is_told_even_when_nothing_is_known() {
        let mut out = BlockBuilder::new(None);
        let server = Server::from_version("9.7.4");
        read(&[Rows::default()], &known(&server), &mut out);
        let text = write(&[std::sync::Arc::new(out.finish())], Format::Text);
        assert!(text.ends_with("mysql_version_info{innodb_version=\"\",version=\"\",version_comment=\"\"} 1\n"));
    }
}
