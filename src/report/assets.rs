//! Dashboards, rules and runbooks, as they lie in the program: whoever has that has all of them, of its version.

/// A file that comes with the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asset {
    pub name: &'static str,
    pub text: &'static str,
}

macro_rules! assets {
    ($directory:literal: $($name:literal),* $(,)?) => {
        &[$(Asset { name: $name, text: include_str!(concat!("../../", $directory, "/", $name)) }),*]
    };
}

/// Dashboards for Grafana.
pub const DASHBOARDS: &[Asset] = assets! {
    "dashboards":
        "mysql-connect-slo.json",
        "mysql-connections-errors.json",
        "mysql-connections-fleet.json",
        "mysql-connections-instance.json",
        "mysql-connections-users.json",
        "mysql-exporter.json",
        "mysql-gone-away.json",
        "mysql-overview.json",
};

/// Recording and alerting rules for Prometheus.
pub const RULES: &[Asset] = assets! {
    "alerts":
        "goneaway.yml",
        "goneaway-exporter.yml",
        "goneaway-slo.yml",
};

/// What to do, a file an alert.
pub const RUNBOOKS: &[Asset] = assets! {
    "docs/runbooks":
        "MySQLAbortedClientsHigh.md", "MySQLAbortedConnectsHigh.md", "MySQLCertificateExpires.md",
        "MySQLCircuitOpen.md", "MySQLConnectBudgetBurn.md", "MySQLConnectSlow.md", "MySQLConnectionsLost.md",
        "MySQLConnectionsNearLimit.md", "MySQLConnectionsRefused.md", "MySQLConnectionsWillRunOut.md",
        "MySQLDataStale.md", "MySQLDown.md", "MySQLExporterCollectorFails.md", "MySQLExporterDown.md",
        "MySQLExporterMissing.md", "MySQLExporterOverBudget.md", "MySQLExporterReloadFailed.md",
        "MySQLExporterSlow.md", "MySQLExporterTargetsRejected.md", "MySQLExporterTaskRestarts.md",
        "MySQLHostBlocked.md", "MySQLHostNearBlock.md", "MySQLIdleAboveSafeLifetime.md",
        "MySQLIdleConnectionsHigh.md", "MySQLIdleLimitBelowWaitTimeout.md", "MySQLIdleTransaction.md",
        "MySQLLossesUnexplained.md", "MySQLNewConnectionsFail.md", "MySQLProbeStale.md",
        "MySQLReplicationLag.md", "MySQLReplicationStopped.md", "MySQLRestarted.md",
        "MySQLSessionsNearTimeout.md", "MySQLStateFlapping.md", "MySQLThreadCacheTooSmall.md",
        "MySQLUserNearLimit.md", "MySQLWatchdog.md", "README.md",
};

/// Where texts of this project say that runbooks are.
const RUNBOOKS_AT: &str = "docs/runbooks";

/// Where the rules say that dashboards are: Grafana's paths.
const DASHBOARDS_AT: &str = "dashboard: '/d/";

impl Asset {
    /// The text, with runbooks below `runbooks` and dashboards at the Grafana of that address.
    pub fn placed(&self, runbooks: &str, grafana: Option<&str>) -> String {
        let text = self.text.replace(RUNBOOKS_AT, runbooks.trim_end_matches('/'));
        match grafana {
            Some(grafana) => text.replace(DASHBOARDS_AT, &format!("dashboard: '{}/d/", grafana.trim_end_matches('/'))),
            None => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What lies in the repository and what lies in the program are the same.
    #[test]
    fn no_file_was_forgotten() {
        let is_test = |name: &str| name.ends_with("_test.yml");
        for (directory, ending, assets) in
            [("dashboards", ".json", DASHBOARDS), ("alerts", ".yml", RULES), ("docs/runbooks", ".md", RUNBOOKS)]
        {
            let there = std::fs::read_dir(directory).expect("tests run where Cargo.toml is");
            let names = there.map(|entry| entry.expect("it can be read").file_name().into_string().expect("UTF-8"));
            let mut names: Vec<String> = names.filter(|name| name.ends_with(ending) && !is_test(name)).collect();
            names.sort();
            let mut bundled: Vec<&str> = assets.iter().map(|asset| asset.name).collect();
            bundled.sort_unstable();
            assert_eq!(bundled, names, "{directory}");
        }
    }

    #[test]
    fn every_rule_leads_to_the_operators_own_places() {
        for rules in RULES {
            let text = rules.placed("https://wiki.example/mysql/", Some("https://grafana.example/"));
            let urls: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("runbook_url: ")).collect();
            assert!(!urls.is_empty(), "{}", rules.name);
            for url in urls {
                let name = url.strip_prefix("https://wiki.example/mysql/").unwrap_or_else(|| panic!("{url}"));
                assert!(RUNBOOKS.iter().any(|book| book.name == name), "{url}");
            }
            let dashboards: Vec<&str> =
                text.lines().filter_map(|line| line.trim().strip_prefix("dashboard: ")).collect();
            assert!(!dashboards.is_empty(), "{}", rules.name);
            for link in dashboards {
                assert!(link.starts_with("'https://grafana.example/d/mysql-"), "{link}");
            }
        }
        for dashboard in DASHBOARDS {
            assert!(!dashboard.placed("/books", None).contains("docs/runbooks"), "{}", dashboard.name);
        }
    }
}
