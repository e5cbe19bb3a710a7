//! Every character of a password, by every way to say one, for every plugin.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::servers::{Kind, Server, process};

/// All printable ASCII, UTF-8 of two to four bytes, and what other programs expand, cut or unquote.
fn passwords() -> [String; 3] {
    let printable: String = (b' '..=b'~').map(char::from).collect();
    [printable, "pä€😀ß".to_owned(), "#$HOME ${PATH} %d `id` \\n \"'x'\" ?&=@:/tcp(h)".to_owned()]
}

/// Ways to say a password: the file of the configuration, the arguments, and the environment.
fn ways(server: &Server, user: &str, password: &str, folder: &Path) -> Vec<(&'static str, Command)> {
    let target =
        |said: &str| format!("targets:\n  t:\n    address: 127.0.0.1:{}\n    user: {user}\n    {said}\n", server.port);
    let program = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_goneaway"));
        command.env_clear().current_dir(folder);
        command
    };
    let by_file = |name: &'static str, said: &str| {
        let file = folder.join(format!("{name}.yaml"));
        fs::write(&file, target(said)).expect("ours");
        let mut command = program();
        command.arg("--config.file").arg(file);
        command
    };
    let secret = folder.join("secret");
    fs::write(&secret, format!("{password}\n")).expect("ours");
    let single = format!("password: '{}'", password.replace('\'', "''"));
    let double = format!("password: {}", serde_json::to_string(password).expect("a string"));
    let escaped = password.replace('\\', "\\\\").replace('"', "\\\"");
    let my_cnf = folder.join("my.cnf");
    fs::write(
        &my_cnf,
        format!("[client]\nuser={user}\nhost=127.0.0.1\nport={}\npassword=\"{escaped}\"\n", server.port),
    )
    .expect("ours");
    let mut of_env = by_file("env", "password_env: SECRET");
    of_env.env("SECRET", password);
    let mut of_ours = by_file("ours", "database: information_schema");
    of_ours.env("GONEAWAY_TARGETS__T__PASSWORD", password);
    let mut of_my_cnf = program();
    of_my_cnf.arg("--config.my-cnf").arg(my_cnf);
    let mut of_theirs = program();
    of_theirs.args([format!("--mysqld.address=127.0.0.1:{}", server.port), format!("--mysqld.username={user}")]);
    of_theirs.env("MYSQLD_EXPORTER_PASSWORD", password);
    let mut all = vec![
        ("YAML in single quotes", by_file("single", &single)),
        ("YAML in double quotes", by_file("double", &double)),
        ("a file", by_file("file", "password_file: secret")),
        ("a variable that is named", of_env),
        ("a variable of ours", of_ours),
        ("my.cnf", of_my_cnf),
        ("MYSQLD_EXPORTER_PASSWORD", of_theirs),
    ];
    for (_, command) in &mut all {
        command.arg("check");
    }
    all
}

#[tokio::test]
async fn every_character_comes_through_by_every_way_and_plugin() {
    for kind in Kind::ALL {
        let Some(server) = Server::private(kind, &[]).await else { continue };
        let plugins: Vec<String> = server.accounts().iter().map(|account| account.plugin.clone()).collect();
        let mut tried = 0;
        for plugin in &plugins {
            for (number, password) in passwords().iter().enumerate() {
                let user = format!("p{number}_{plugin}");
                let literal = password.replace('\\', "\\\\").replace('\'', "''");
                let identified = match kind.is_mariadb() {
                    true => format!("IDENTIFIED VIA {plugin} USING PASSWORD('{literal}')"),
                    false => format!("IDENTIFIED WITH {plugin} BY '{literal}'"),
                };
                server.sql(&format!("CREATE USER '{user}'@'%' {identified}")).await;
                let folder = process::directory();
                for (way, mut command) in ways(&server, &user, password, &folder) {
                    let output = command.output().expect("the program was built for this test");
                    let told = String::from_utf8_lossy(&output.stdout);
                    let complaint = String::from_utf8_lossy(&output.stderr);
                    assert!(output.status.success(), "{}: {plugin}, {way}: {told}{complaint}", server.version);
                    let said = format!("{told}{complaint}");
                    assert!(!said.contains(password.as_str()), "{}: {way} tells the password", server.version);
                    tried += 1;
                }
                drop(fs::remove_dir_all(&folder));
            }
        }
        println!("{}: {} plugins, {tried} logins", server.version, plugins.len());
    }
}
