//! `grants`: the SQL for the account that goneaway logs in as, with no right more than its collectors need.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::exit::{Exit, complain, report};
use crate::collect::{Collector, grants};
use crate::config::Loaded;
use crate::mysql::server::Server;
use crate::watch::door;
use crate::watch::target::{self, Target};

/// Servers that the statements are written for when none is said: how rights are called there holds for all since.
const USUAL: [(&str, &str); 2] = [("8.0.22", "MySQL 8.0 and later"), ("10.5.9-MariaDB", "MariaDB 10.5 and later")];

/// Prints the statements for each account that is configured, for one version or the usual ones.
pub(super) fn grants(loaded: &Loaded, version: Option<&str>) -> Exit {
    let targets = match target::lower(loaded) {
        Ok(targets) => targets,
        Err(mistakes) => return complain(&mistakes),
    };
    let asked = version.map(|version| (version, version));
    if let Some((version, _)) = asked
        && !version.starts_with(|first: char| first.is_ascii_digit())
    {
        return complain(&format!(
            "error: `{version}` is not the version of a server\n  hint: write it as `SELECT VERSION()` tells it, such as \
             `8.4.3` or `10.11.6-MariaDB`"
        ));
    }
    // Targets of one account have it on each of their servers.
    let mut accounts: BTreeMap<&str, Vec<&Target>> = BTreeMap::new();
    for target in &targets {
        accounts.entry(&target.access.user).or_default().push(target);
    }
    let mut text = String::new();
    for (version, name) in asked.map_or(USUAL.to_vec(), |asked| vec![asked]) {
        for (user, of) in &accounts {
            write(&mut text, user, of, &Server::from_version(version), name);
        }
    }
    report(&text, Exit::Good)
}

fn write(text: &mut String, user: &str, targets: &[&Target], server: &Server, name: &str) {
    let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
    let connections = targets.iter().map(|target| target.connections).max().unwrap_or_default();
    let Some(first) = targets.first() else { return };
    let account = format!("'{}'@'%'", user.replace('\\', "\\\\").replace('\'', "\\'"));
    let mut line = |line: String| {
        let written = writeln!(text, "{line}");
        debug_assert!(written.is_ok(), "a string takes everything");
    };
    line(format!("-- {name}; for {}", names.join(", ")));
    line(format!(
        "CREATE USER IF NOT EXISTS {account} IDENTIFIED BY 'a password of your choice' WITH MAX_USER_CONNECTIONS \
         {connections};"
    ));
    let collectors: Vec<&'static Collector> = first.collectors.clone();
    let heartbeat = (first.tunables.heartbeat_database.as_str(), first.tunables.heartbeat_table.as_str());
    for right in grants::rights(&collectors, server, heartbeat) {
        line(format!("-- {}; without it {}", right.collectors.join(", "), right.without.join("; ")));
        line(format!("GRANT {} TO {account};", right.sql));
    }
    let queries = targets.iter().flat_map(|target| &target.queries).filter(|query| query.is_for_server(server));
    for query in queries.map(|query| query.name.as_str()).collect::<BTreeSet<_>>() {
        line(format!(
            "-- {query}: what it reads cannot be known here; grant SELECT on each table that its `sql` names"
        ));
    }
    // Where only the server says whether there is one, an operator may not want the account there.
    let has_door = targets.iter().any(|target| matches!(target.second_door, door::Setting::At(_)));
    if has_door && server.mysql_since(8, 0, 14) {
        line(
            "-- second_door; without it the admin port does not let us in while all connections are in use".to_owned(),
        );
        line(format!("GRANT {} ON *.* TO {account};", door::RIGHT));
    }
    line(String::new());
}
