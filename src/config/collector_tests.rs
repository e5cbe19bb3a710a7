//! What is said of single collectors, and in which layer it counts.

use std::time::Duration;

use super::shape::Collector;
use super::show::show;
use super::tests::{Folder, ORDERS, good, wrong};

fn collector(name: &str, said: &str, env: &[(&str, &str)]) -> Collector {
    good(&format!("collectors: {{{name}: {said}}}\n{ORDERS}"), env).config.collectors[name].clone()
}

const TABLES: &str = "info_schema.tables";

#[test]
fn a_collector_is_switched_or_has_settings_and_is_on_then() {
    assert_eq!(collector(TABLES, "false", &[]), Collector::default());
    assert_eq!(collector(TABLES, "true", &[]), Collector { enabled: true, ..Collector::default() });
    assert_eq!(collector(TABLES, "{}", &[]), Collector { enabled: true, ..Collector::default() });
    let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    let expect = Collector {
        enabled: true,
        every: Some(Duration::from_secs(600)),
        timeout: Some(Duration::from_secs(30)),
        databases: names(&["a", "b"]),
        ..Collector::default()
    };
    for databases in ["\"a, b\"", "a,b", "[a, b]"] {
        let said = format!("{{databases: {databases}, every: 10m, timeout: 30s}}");
        let said = if databases.starts_with("a,") { said.replace("a,b", "'a,b'") } else { said };
        assert_eq!(collector(TABLES, &said, &[]), expect, "{databases}");
    }
    assert!(!collector(TABLES, "{enabled: false, databases: a}", &[]).enabled);
    assert!(good(&format!("collectors: {{{TABLES}: }}\n{ORDERS}"), &[]).config.collectors.is_empty());
}

#[test]
fn a_prefix_may_be_empty_and_durations_have_units() {
    let files = collector("perf_schema.file_instances", "{remove_prefix: \"\", filter: \"ibd$\"}", &[]);
    assert_eq!((files.remove_prefix.as_deref(), files.filter.as_deref()), (Some(""), Some("ibd$")));
    let statements = collector("perf_schema.eventsstatements", "{timelimit: 2h, limit: 10, exclude_schemas: x}", &[]);
    assert_eq!((statements.timelimit, statements.limit), (Some(Duration::from_secs(7200)), Some(10)));
    assert_eq!(statements.exclude_schemas, Some(vec!["x".to_owned()]));
}

#[test]
fn the_environment_writes_a_dot_as_an_underscore() {
    let tables = |env: &[(&str, &str)]| good(ORDERS, env).config.collectors[TABLES].clone();
    assert!(tables(&[("GONEAWAY_COLLECTORS__INFO_SCHEMA_TABLES", "true")]).enabled);
    let tuned = tables(&[("GONEAWAY_COLLECTORS__INFO_SCHEMA_TABLES__DATABASES", "a, b")]);
    assert_eq!((tuned.enabled, tuned.databases.map(|names| names.join("+")).as_deref()), (true, Some("a+b")));
    // What the file switches off stays off.
    let name = "GONEAWAY_COLLECTORS__INFO_SCHEMA_TABLES__EVERY";
    let off = collector(TABLES, "false", &[(name, "1h")]);
    assert_eq!((off.enabled, off.every), (false, Some(Duration::from_secs(3600))));
    let over = collector(TABLES, "{every: 5m, databases: a}", &[(name, "1h")]);
    assert_eq!((over.every, over.databases.map(|names| names.len())), (Some(Duration::from_secs(3600)), Some(1)));
}

#[test]
fn the_environment_says_what_it_cannot_tell_apart_or_does_not_know() {
    let check = |variable: &str, says: &str| {
        let mistakes = wrong(ORDERS, &[(variable, "true")]);
        assert!(mistakes.contains(&format!("{variable}: {says}")), "{mistakes}");
    };
    check("GONEAWAY_COLLECTORS__A_B", "may be any of the collectors a.b, a_b; set it in the file");
    check("GONEAWAY_COLLECTORS__INFO_SCHEMA_TABLES__DATABASE", "unknown setting; did you mean `DATABASES`?");
    check(
        "GONEAWAY_COLLECTORS__INFO_SCHEMA_TABLES__LIMIT",
        "unknown setting; known here: `ENABLED`, `EVERY`, `TIMEOUT`, `DATABASES`",
    );
    let twice =
        [("GONEAWAY_COLLECTORS__GLOBAL_STATUS", "true"), ("GONEAWAY_COLLECTORS__GLOBAL_STATUS__ENABLED", "true")];
    assert!(wrong(ORDERS, &twice).contains("set twice; the other is GONEAWAY_COLLECTORS__GLOBAL_STATUS"));
}

#[test]
fn what_is_shown_of_collectors_loads_again() {
    let yaml = format!(
        "collectors:\n  global_status: false\n  {TABLES}: {{databases: [\"a b\"], every: 10m}}\n  \
         perf_schema.file_instances: {{enabled: false, filter: \"a$\"}}\n{ORDERS}"
    );
    let loaded = good(&yaml, &[("GONEAWAY_COLLECTORS__INFO_SCHEMA_TABLES__TIMEOUT", "20s")]);
    let shown = show(&loaded);
    assert!(shown.contains("  global_status: false  # "), "{shown}");
    assert!(shown.contains("  info_schema.tables:\n    enabled: true  # "), "{shown}");
    assert!(shown.contains("    timeout: 20s  # GONEAWAY_COLLECTORS__INFO_SCHEMA_TABLES__TIMEOUT\n"), "{shown}");
    let again = Folder::with(&shown).load(&[], Vec::new()).unwrap_or_else(|mistakes| panic!("{mistakes}\n{shown}"));
    assert_eq!(again.config.collectors, loaded.config.collectors);
}

#[test]
fn an_interval_that_no_target_has_is_told() {
    let warned = |said: &str| good(&format!("collectors: {{{TABLES}: {said}}}\n{ORDERS}"), &[]).warnings;
    assert_eq!(warned("{every: 15s}"), [""; 0]);
    let says = warned("{every: 5s}").concat();
    assert!(
        says.ends_with(
            "collectors.info_schema.tables.every: the collector asks every 15s, as no target is asked more often"
        ),
        "{says}"
    );
    let mistakes = wrong(&format!("collectors: {{{TABLES}: {{every: 1m, timeout: 2m}}}}\n{ORDERS}"), &[]);
    assert!(mistakes.ends_with("timeout: `2m` is longer than `every`, which is 1m"), "{mistakes}");
}
