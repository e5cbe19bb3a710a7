//! `check`, `monitor`, `recover` and `gate` on servers as they are met: outputs and exit codes, times masked.
//!
//! The goldens stand in `tests/golden/hands`; `UPDATE=1` rewrites them. Read the difference before you commit it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::daemon::{run, watching};
use super::golden::file;
use super::reasons;
use super::servers::{Kind, Server, process};

/// Times, ports and what differs from server to server.
fn masked(text: &str, ports: &[u16]) -> String {
    // Debian's MariaDB moves.
    let mut parts = text.split("MariaDB 1");
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find([' ', '"', '\n']).unwrap_or(part.len());
        masked.push_str("MariaDB VERSION");
        masked.push_str(&part[end..]);
    }
    for port in ports {
        masked = masked.replace(&format!(":{port}"), ":PORT");
    }
    let lines = masked.lines().map(|line| {
        let (mut out, mut rest) = (String::new(), line);
        while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
            let number = &rest[at..];
            let end = number
                .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ':' | '-' | 'T' | 'Z')))
                .unwrap_or(number.len());
            let (number, after) = number.split_at(end);
            let is_time = after.starts_with(" ms")
                || after == " s"
                || after.starts_with(" s\"")
                || after.starts_with(" days")
                || [" times", " good probe", " of 40 connections are free"]
                    .iter()
                    .any(|counted| after.starts_with(counted))
                    && !rest[..at].ends_with(" of ")
                || number.matches(':').count() == 2;
            let is_field = [
                "duration_seconds\":",
                "\"tcp\":",
                "\"greeting\":",
                "\"tls\":",
                "\"auth\":",
                "\"query\":",
                "\"dns\":",
                "seconds\":",
                "\"count\":",
                "\"used\":",
                "\"good\":",
            ]
            .iter()
            .any(|field| rest[..at].trim_end().ends_with(field));
            // What fills the columns before a time differs with it.
            let before = if is_time { rest[..at].trim_end_matches(' ') } else { &rest[..at] };
            out.push_str(before);
            if is_time && before.len() < at {
                out.push(' ');
            }
            out.push_str(if is_time || is_field { "TIME" } else { number });
            // Of a very short time.
            let exponent = after.strip_prefix("e-").filter(|_| is_field);
            rest = exponent.map_or(after, |exponent| exponent.trim_start_matches(|c: char| c.is_ascii_digit()));
        }
        out.push_str(rest);
        out
    });
    lines.map(|line| bars_masked(&line) + "\n").collect()
}

/// A bar depends on the times.
fn bars_masked(line: &str) -> String {
    // How often it came to it in that time differs too.
    let line = &line.replace("good probe in a row", "good probes in a row").replace(", TIME times", "");
    if line.starts_with("after ") {
        return "after TIME:".to_owned();
    }
    let is_bar = |word: &str| word.len() == 20 && word.chars().all(|c| "dtgsaq".contains(c));
    line.split(' ').map(|word| if is_bar(word) { "BAR" } else { word }).collect::<Vec<_>>().join(" ")
}

fn is_golden(name: &str, text: &str) {
    let path = file(&format!("golden/hands/{name}"));
    if std::env::var_os("UPDATE").is_some() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("goldens can be written");
        fs::write(&path, text).expect("goldens can be written");
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(text, expected, "{name} differs; UPDATE=1 rewrites it");
}

/// Starts `monitor`, ends it by Ctrl-C when it has told so many probes, and gives what it said with its exit code.
fn monitored(configuration: &str, arguments: &[&str], probes: usize) -> (String, Option<i32>) {
    let directory = process::directory();
    let path = directory.join("exporter.yaml");
    fs::write(&path, configuration).expect("the temporary directory is ours");
    let mut command = Command::new(env!("CARGO_BIN_EXE_goneaway"));
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped());
    command.arg("--config.file").arg(&path).args(["monitor", "1"]).args(arguments);
    let mut child: Child = process::spawn(command).expect("the program was built for this test");
    let (mut said, mut told) = (String::new(), 0);
    let began = Instant::now();
    for line in BufReader::new(child.stdout.take().expect("stdout is piped")).lines() {
        let line = line.expect("it writes text");
        let is_probe = line.contains("  good  ") || line.contains("  failed  ") || line.contains("\"kind\":\"probe\"");
        said.push_str(&(line + "\n"));
        told += usize::from(is_probe);
        if told == probes && is_probe {
            // SAFETY: a plain system call; the child has not been waited for, so the pid is still its own.
            unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGINT) };
        }
        assert!(began.elapsed() < Duration::from_secs(60), "too late: {said}");
    }
    (said, child.wait().expect("it is our child").code())
}

/// Checks with all commands: a target with the port of the server, or what else stands in its place.
fn held_against(name: &str, configuration: &str, ports: &[u16], code: i32, probes: usize) {
    let output = run(configuration, &["check"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(code), "{name}: {text}{}", String::from_utf8_lossy(&output.stderr));
    is_golden(&format!("check-{name}.txt"), &masked(&text, ports));
    let output = run(configuration, &["check", "--output", "json"]);
    assert_eq!(output.status.code(), Some(code), "{name}");
    is_golden(&format!("check-{name}.json"), &masked(&String::from_utf8_lossy(&output.stdout), ports));
    let (said, ended) = monitored(configuration, &[], probes);
    assert_eq!(ended, Some(code), "{name}: {said}");
    is_golden(&format!("monitor-{name}.txt"), &settled(&masked(&said, ports)));
    let (said, ended) = monitored(configuration, &["--output", "json"], probes);
    assert_eq!(ended, Some(code), "{name}: {said}");
    let lines: Vec<serde_json::Value> =
        said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect();
    let last = lines.last().expect("a summary");
    assert_eq!(last["kind"], "summary", "{name}: {said}");
    assert!(last["targets"][0]["probes"].as_u64() >= Some(1), "{name}: {said}");
    for words in [&["recover", "--for", "1500ms"][..], &["gate", "--for", "1500ms", "--good", "1", "--headroom", "1"]] {
        for (format, more) in [("txt", &[][..]), ("json", &["--output", "json"])] {
            let output = run(configuration, &[words, more].concat());
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let warned = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(code), "{name}: {words:?}: {said}{warned}");
            is_golden(&format!("{}-{name}.{format}", words[0]), &masked(&said, ports));
        }
    }
}

/// The lines of several targets come in any order.
fn settled(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    let first = lines.iter().position(|line| line.starts_with("TIME  ")).unwrap_or(0);
    let end = lines.iter().position(|line| line.starts_with("after ")).unwrap_or(lines.len());
    lines[first..end].sort_unstable();
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[tokio::test]
async fn a_healthy_server_a_wrong_password_a_full_one_and_a_frozen_one() {
    let Some(server) = Server::private(Kind::MariadbStable, &["max_connections=40"]).await else { return };
    let healthy = watching(&server, "");
    let quick = watching(&server, "    timeout: 600ms\n");
    held_against("healthy", &healthy, &[server.port], 0, 2);
    held_against("wrong-password", &healthy.replace("password: goneaway", "password: wrong"), &[server.port], 2, 2);
    let three = format!(
        "defaults: {{user: goneaway, password: goneaway}}\ntargets:\n  a: {{address: \"127.0.0.1:{0}\"}}\n  b: {{address: \
         \"127.0.0.1:9\"}}\n  c: {{address: \"127.0.0.1:{0}\"}}\n",
        server.port
    );
    held_against("one-of-three-down", &three, &[server.port], 2, 3);
    let taken = server.fill().await;
    held_against("full", &healthy, &[server.port], 2, 2);
    for one in taken {
        one.disconnect().await.expect("in order");
    }
    let aborted = server.status("Aborted_connects").await;
    server.freeze().await;
    held_against("frozen", &quick, &[server.port], 2, 3);
    server.thaw();
    // Two of each command, and of each one connection, whatever number of probes it told.
    let end = Instant::now() + Duration::from_secs(20);
    while server.status("Aborted_connects").await < aborted + 8 {
        assert!(Instant::now() < end, "{} given up", server.status("Aborted_connects").await - aborted);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(server.status("Aborted_connects").await, aborted + 8);
}

#[test]
fn a_server_that_is_down_one_out_of_reach_and_a_broken_configuration() {
    let (_listener, _waiting, address) = reasons::full();
    let unreachable = format!("targets:\n  t: {{address: \"{address}\", timeout: 1s, connect_timeout: 300ms}}\n");
    held_against("unreachable", &unreachable, &[address.port()], 2, 2);
    held_against("down", "targets:\n  t: {address: \"127.0.0.1:9\"}\n", &[], 2, 2);
    let broken = "targets:\n  t: {address: \"127.0.0.1:9\", evrey: 1s, every: 15}\n";
    for command in [&["check"][..], &["monitor", "1"], &["recover"], &["gate"]] {
        let output = run(broken, command);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(3), 0));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("has 2 mistakes") && said.contains("did you mean `every`"), "{said}");
    }
    let without_folder = "control: /nowhere/g.sock\ntargets:\n  t: {address: \"127.0.0.1:9\"}\n";
    let output = run(without_folder, &["config", "check"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains(":1:10: control: there is no folder /nowhere; make it before"), "{said}");
    for (words, says) in [
        (&["monitor", "0"][..], "`0` is too short"),
        (&["monitor", "1x"], "`1x` is no interval"),
        (&["monitor", "5", "nobody"], "there is no target `nobody`"),
        (&["check", "--watch=0"], "too short"),
        (&["gate", "--for", "0s"], "`--for 0s` is too short for 3 good probes"),
        (&["gate", "--good", "1000"], "write `--for 16m40s` or more"),
        (&["recover", "--for", "1"], "time unit needed"),
    ] {
        let output = run("targets:\n  t: {address: \"127.0.0.1:9\"}\n", words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains(says), "{words:?}: {said}");
    }
}

#[test]
fn completions_and_the_manual_come_from_the_commands() {
    let print = |arguments: &[&str]| {
        let output = run("", arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let help = print(&["--help"]);
    let (_, commands) = help.split_once("Commands:\n").expect("a list of commands");
    let commands: Vec<&str> = commands
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty())
        .collect();
    assert!(commands.len() >= 8 && commands.contains(&"monitor"), "{commands:?}");
    let manual = print(&["man"]);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = print(&["completions", shell]);
        for command in &commands {
            assert!(script.contains(command), "{shell} does not know {command}");
        }
        parses(&["bash", "-n"], shell == "bash", &script);
        parses(&["zsh", "-n"], shell == "zsh", &script);
        parses(&["fish", "--no-execute"], shell == "fish", &script);
    }
    for command in commands.iter().filter(|command| **command != "help") {
        assert!(manual.contains(&format!("goneaway\\-{command}(1)")), "the manual does not name {command}");
    }
    parses(&["mandoc", "-T", "lint", "-W", "error"], true, &manual);
    parses(&["groff", "-man", "-Tutf8", "-z"], true, &manual);
    let directory = process::directory();
    print(&["man", directory.to_str().expect("a path")]);
    for command in commands.iter().filter(|command| **command != "help") {
        assert!(directory.join(format!("goneaway-{command}.1")).is_file(), "no page of {command}");
    }
}

/// Whether a tool takes it, where it is installed.
fn parses(tool: &[&str], applies: bool, text: &str) {
    if !applies {
        return;
    }
    let path = process::directory().join("text");
    fs::write(&path, text).expect("the temporary directory is ours");
    match Command::new(tool[0]).args(&tool[1..]).arg(&path).output() {
        Ok(output) => assert!(output.status.success(), "{tool:?}: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => println!("{} is not here ({error}): not tried", tool[0]),
    }
}
