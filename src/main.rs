//! Arguments in, exit code out.

fn main() -> std::process::ExitCode {
    goneaway::cli::run(std::env::args_os())
}
