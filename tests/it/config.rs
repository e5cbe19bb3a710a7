//! Wrong configurations beside their exact messages (`tests/config`), and the documents made from the settings.
//!
//! `UPDATE=1` writes the expected texts and documents anew; read the difference before keeping it. A line
//! `# with NAME=VALUE` in a wrong file adds an environment variable, `# with --flag=value` a flag.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use goneaway::config::{self, Loaded, Mistakes, Sources};

/// Where the tests run: at the top of the repository, so that paths in messages are the same everywhere.
const FOLDER: &str = "tests/config";

/// Runs the program with a configuration and what its `# with` lines add.
fn goneaway(file: &Path, arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_goneaway"));
    program.env_clear().stdin(Stdio::null()).arg("--config.file").arg(file);
    let text = String::from_utf8_lossy(&fs::read(file).expect("it was listed")).into_owned();
    for with in text.lines().filter_map(|line| line.strip_prefix("# with ")) {
        let (name, value) = with.split_once('=').expect("`# with NAME=VALUE`");
        match name.starts_with("--") {
            true => program.arg(with),
            false => program.env(name, value),
        };
    }
    program.args(arguments).output().expect("the program was built for this test")
}

fn load(file: &Path) -> Result<Loaded, Mistakes> {
    config::load(&Sources { file: Some(file.to_owned()), ..Sources::default() })
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("messages are text")
}

fn update() -> bool {
    std::env::var_os("UPDATE").is_some_and(|update| update == "1")
}

/// Compares, or writes when asked to. Answers what to say when they differ.
fn differs(file: &Path, is: &str) -> Option<String> {
    if update() {
        fs::write(file, is).expect("the working tree can be written");
    }
    let expected = fs::read_to_string(file).unwrap_or_default();
    (expected != is).then(|| format!("{}: expected\n{expected}but it is\n{is}", file.display()))
}

fn wrong_files() -> Vec<PathBuf> {
    let listed = fs::read_dir(FOLDER).expect("the folder of wrong configurations");
    let mut files: Vec<PathBuf> = listed.map(|entry| entry.expect("a file").path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "yaml"));
    files.sort();
    files
}

#[test]
fn each_wrong_configuration_has_its_exact_message() {
    let files = wrong_files();
    assert!(files.len() >= 20, "only {} wrong configurations", files.len());
    let mut failed = Vec::new();
    for file in files {
        let output = goneaway(&file, &["config", "check"]);
        let out = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{}: {out}", file.display());
        assert_eq!(text(&output.stdout), "", "{}", file.display());
        assert!(!out.contains("hunter"), "{} shows a secret: {out}", file.display());
        failed.extend(differs(&file.with_extension("expected"), out));
    }
    assert!(failed.is_empty(), "{}\nUPDATE=1 writes them anew", failed.join("\n"));
}

#[test]
fn the_shipped_configuration_is_the_one_of_the_settings() {
    let failed = differs(Path::new("exporter.yaml"), &config::exporter_yaml());
    assert_eq!(failed, None, "UPDATE=1 writes it anew");
}

#[test]
fn the_shipped_configuration_runs_as_it_is() {
    let loaded = load(Path::new("exporter.yaml")).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert_eq!(loaded.warnings, [""; 0]);
    assert_eq!(loaded.config.web.listen_addresses, [":10306"]);
    let local = &loaded.config.targets["local"];
    assert_eq!((local.address.as_str(), local.user.as_str()), ("127.0.0.1:3306", "goneaway"));
    let checked = goneaway(Path::new("exporter.yaml"), &["config", "check"]);
    assert_eq!((text(&checked.stdout), checked.status.code()), ("exporter.yaml: good, 1 target\n", Some(0)));
    let shown = goneaway(Path::new("exporter.yaml"), &["config", "show"]);
    assert!(text(&shown.stdout).contains("    timeout: 5s  # default\n"), "{}", text(&shown.stdout));
}

/// What a reader does first: takes the `#` away.
#[test]
fn every_line_of_the_shipped_configuration_can_be_switched_on() {
    let shipped = config::exporter_yaml();
    let folder = std::env::temp_dir().join(format!("goneaway-shipped-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a temporary folder");
    let file = folder.join("exporter.yaml");
    for (number, line) in shipped.lines().enumerate() {
        let setting =
            line.trim_start().strip_prefix('#').filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()));
        let Some(setting) = setting else { continue };
        let mut lines: Vec<String> = shipped.lines().map(str::to_owned).collect();
        lines[number] = line.replacen('#', "", 1);
        fs::write(&file, lines.join("\n")).expect("a temporary file");
        let mistakes = load(&file).err().unwrap_or_default();
        // Examples point to what is not here, and one of a pair is not enough.
        let bad: Vec<String> = mistakes
            .iter()
            .map(ToString::to_string)
            .filter(|says| !["cannot read", "is not set", "set without"].iter().any(|fine| says.contains(fine)))
            .collect();
        assert_eq!(bad, [""; 0], "{setting}");
    }
    drop(fs::remove_dir_all(&folder));
}
