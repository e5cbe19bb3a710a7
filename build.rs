//! Tells the program which compiler built it, for `mysql_conn_exporter_build_info`.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=GONEAWAY_REVISION");
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = Command::new(compiler).arg("--version").output();
    let version = said.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    // `rustc 1.95.0 (hash date)`: the number is what people compare.
    let number = version.split(' ').nth(1).unwrap_or("unknown");
    println!("cargo:rustc-env=GONEAWAY_RUSTC={number}");
}
