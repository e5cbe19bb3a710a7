//! The data directory that servers start from: made once for a version, copied for each server.
//!
//! It has the system tables and the accounts. Making one takes a second (MariaDB) or three
//! (MySQL), copying it a tenth, so it is kept beside the programs.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Installed, Kind, process};

/// The template for this program, made if there is none yet.
pub(crate) fn template(installed: &Installed) -> io::Result<PathBuf> {
    let kind = installed.kind.name();
    let templates = installed.cache.join("templates");
    let ours = templates.join(format!("{kind}-{}-{:016x}", installed.version, recipe()));
    if ours.exists() {
        return Ok(ours);
    }
    fs::create_dir_all(&templates)?;
    for entry in fs::read_dir(&templates)? {
        let entry = entry?;
        // Made for another version, or by an older recipe.
        if entry.file_name().to_string_lossy().starts_with(&format!("{kind}-")) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }

    // Under another name, because other test processes may be making the same; the first wins.
    let unfinished = templates.join(format!("new-{kind}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&unfinished);
    fs::create_dir(&unfinished)?;
    make(installed, &unfinished)?;
    if fs::rename(&unfinished, &ours).is_err() {
        fs::remove_dir_all(&unfinished)?;
    }
    Ok(ours)
}

/// Copies a directory with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

// A template made by another text of this file is stale.
fn recipe() -> u64 {
    let mut hasher = DefaultHasher::new();
    include_str!("template.rs").hash(&mut hasher);
    hasher.finish()
}

fn make(installed: &Installed, data: &Path) -> io::Result<()> {
    let work = process::directory();
    let (sql, log) = (work.join("accounts.sql"), work.join("log"));
    let mut input = File::create(&sql)?;
    let mut command = Command::new(&installed.program);
    command.arg("--no-defaults").args(installed.options());
    command.arg(format!("--datadir={}", data.display()));
    match installed.kind {
        Kind::MysqlUnstable => {
            command.arg("--initialize-insecure").arg(format!("--init-file={}", sql.display()));
            command.stdin(Stdio::null());
        }
        Kind::MariadbStable | Kind::MariadbUnstable => {
            system_tables(installed, &mut input)?;
            command.arg("--bootstrap").stdin(File::open(&sql)?);
        }
    }
    for statement in accounts(installed) {
        writeln!(input, "{statement};")?;
    }
    input.sync_all()?;

    command.stdout(File::create(&log)?).stderr(File::options().append(true).open(&log)?);
    let status = process::spawn(command)?.wait()?;
    let log = fs::read_to_string(&log)?;
    fs::remove_dir_all(&work)?;
    // Bootstrap answers most mistakes in its input with a line and exit status 0.
    if !status.success() || log.lines().any(|line| line.starts_with("ERROR")) {
        let last = log.lines().rev().take(15).collect::<Vec<_>>();
        let tail = last.into_iter().rev().collect::<Vec<_>>().join("\n");
        return Err(io::Error::other(format!("cannot make a data directory: {status}\n{tail}")));
    }
    // The name of one server among others; each copy makes up its own.
    let _ = fs::remove_file(data.join("auto.cnf"));
    Ok(())
}

// What `mariadb-install-db` feeds to bootstrap, without the help texts, which nobody here reads.
fn system_tables(installed: &Installed, input: &mut File) -> io::Result<()> {
    // Bootstrap reads one statement up to a semicolon at the end of a line.
    input.write_all(b"CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket = NULL;\n")?;
    for ending in [
        "_system_tables.sql",
        "_performance_tables.sql",
        "_system_tables_data.sql",
        "_add_gis_sp_bootstrap.sql",
        "_sys_schema.sql",
    ] {
        // 10.11 says mysql_system_tables.sql, 11.8 mariadb_system_tables.sql.
        let file = fs::read_dir(&installed.share)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.to_string_lossy().ends_with(ending))
            .ok_or_else(|| io::Error::other(format!("no *{ending} in {:?}", installed.share)))?;
        io::copy(&mut File::open(file)?, input)?;
    }
    // Anonymous accounts of localhost come before 'anyone'@'%', and a root for each address
    // before our own. Bootstrap runs without accounts until they are read.
    input.write_all(
        b"DELETE FROM mysql.global_priv WHERE User = '' OR Host <> 'localhost';\n\
          DELETE FROM mysql.proxies_priv WHERE Host <> 'localhost';\n\
          FLUSH PRIVILEGES;\n",
    )
}

fn accounts(installed: &Installed) -> Vec<String> {
    let mariadb = installed.kind.is_mariadb();
    let mut statements = vec!["SET NAMES utf8mb4".to_string()];
    let mut create = |user: &str, identified: &str| {
        let monitor = if mariadb { "BINLOG MONITOR, REPLICA MONITOR" } else { "REPLICATION CLIENT" };
        statements.extend([
            format!("CREATE USER '{user}'@'%' {identified}"),
            format!("GRANT PROCESS, {monitor} ON *.* TO '{user}'@'%'"),
            format!("GRANT SELECT ON performance_schema.* TO '{user}'@'%'"),
        ]);
    };
    create("goneaway", "IDENTIFIED BY 'goneaway'");
    create("encrypted", "IDENTIFIED BY 'encrypted' REQUIRE SSL");
    create("certified", "IDENTIFIED BY 'certified' REQUIRE X509");
    let password = hairy_password().replace('\\', "\\\\").replace('\'', "\\'");
    for plugin in plugins(installed) {
        let identified = if mariadb {
            format!("VIA {plugin} USING PASSWORD('{password}')")
        } else {
            format!("WITH {plugin} BY '{password}'")
        };
        create(&format!("{PREFIX}{plugin}"), &format!("IDENTIFIED {identified}"));
    }
    statements
}

/// The accounts that are there for their authentication plugin are named this and the plugin.
pub(crate) const PREFIX: &str = "by_";

/// Their password: what passes this through quoting, URLs and shells passes anything.
pub(crate) fn hairy_password() -> String {
    (' '..='~').chain("äß€漢字🐬".chars()).collect()
}

// The plugins with a password that this server has.
fn plugins(installed: &Installed) -> Vec<&'static str> {
    if !installed.kind.is_mariadb() {
        return vec!["caching_sha2_password", "sha256_password"];
    }
    let mut plugins = vec!["mysql_native_password"];
    for (file, plugin) in
        [("auth_ed25519", "ed25519"), ("auth_parsec", "parsec"), ("auth_mysql_sha2", "caching_sha2_password")]
    {
        if installed.has_plugin(file) {
            plugins.push(plugin);
        }
    }
    plugins
}
