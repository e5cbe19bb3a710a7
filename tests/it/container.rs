//! The container file, which nothing here can build: it copies all that the program is built from.

use std::fs;
use std::path::Path;

#[test]
fn the_container_is_given_every_file_that_the_program_is_built_from() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("deploy/Containerfile")).expect("it is there");
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<String>>();
    let copied: Vec<String> = text
        .lines()
        .filter(|line| line.starts_with("COPY ") && !line.contains("--from="))
        .flat_map(|line| words(line).split_last().map(|(_, sources)| sources[1..].to_vec()).unwrap_or_default())
        .collect();
    assert!(copied.contains(&"src".to_owned()) && copied.contains(&"Cargo.lock".to_owned()), "{copied:?}");
    // What cargo says that this program was built from.
    let said = fs::read_to_string(Path::new(env!("CARGO_BIN_EXE_goneaway")).with_extension("d")).expect("cargo's list");
    let (_, files) = said.split_once(": ").expect("a list of files");
    let files: Vec<&Path> =
        files.split_whitespace().filter_map(|file| Path::new(file).strip_prefix(root).ok()).collect();
    assert!(files.len() > 100, "{said}");
    for file in files {
        assert!(copied.iter().any(|copied| file.starts_with(copied)), "{} is not copied", file.display());
    }
}
