//! The commands, one file each.

mod exit;
mod output;
mod logfmt;
mod telemetry;
mod shutdown;
mod catalogue;
mod ready;
mod mysqld_exporter;
mod config;
mod serve;
mod check;
mod grants;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use self::exit::{Exit, complain};
use self::mysqld_exporter::MysqldExporterFlags;
use self::output::{CatalogueOutput, Output};
use crate::config::{Flag, Loaded, Mistakes, MysqldExporter, SEARCHED, Sources};
use crate::watch::target;

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (rustc ", env!("GONEAWAY_RUSTC"), ")");

/// Watches MySQL and MariaDB servers as an application does, and tells Prometheus whether clients can connect and
/// why connections were lost.
#[derive(Debug, Parser)]
#[command(name = "goneaway", version, long_version = VERSION, args_override_self = true)]
struct Arguments {
    #[command(flatten)]
    flags: Flags,
    #[command(flatten)]
    exporter: MysqldExporterFlags,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Args)]
struct Flags {
    /// The configuration file [default: ./exporter.yaml, else /etc/goneaway/exporter.yaml]
    #[arg(long = "config.file", value_name = "FILE", global = true)]
    config_file: Option<PathBuf>,
    /// Address to listen on, as `:10306`, `localhost:10306` or `unix:/run/goneaway/metrics.sock`; may be repeated
    #[arg(long = "web.listen-address", value_name = "ADDRESS", global = true)]
    web_listen_address: Vec<String>,
    /// Path of the metrics
    #[arg(long = "web.telemetry-path", value_name = "PATH", global = true)]
    web_telemetry_path: Option<String>,
    /// File with TLS, basic authentication, headers and rate limit, in the form of Prometheus' exporters
    #[arg(long = "web.config.file", value_name = "FILE", global = true)]
    web_config_file: Option<String>,
    /// Servers that /probe may be asked about besides the targets, as `*.db.example:3306`; may be repeated
    #[arg(long = "probe.allow", value_name = "PATTERN", global = true)]
    probe_allow: Vec<String>,
    /// Least severity that is logged: error, warn, info, debug
    #[arg(long = "log.level", value_name = "LEVEL", global = true)]
    log_level: Option<String>,
    /// How log lines are written: logfmt, json
    #[arg(long = "log.format", value_name = "FORMAT", global = true)]
    log_format: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon (the default)
    Serve,
    /// Connect once to each target, phase by phase, and say how it went
    Check {
        /// Targets by name; none means all
        targets: Vec<String>,
        /// How to report
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Show or check the configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Print the SQL for the account that goneaway logs in as
    Grants {
        /// Version of the server, as it tells it itself: `8.4.3`, `10.11.6-MariaDB` [default: the usual ones]
        #[arg(long, value_name = "VERSION")]
        server: Option<String>,
    },
    /// List every metric of our own, and those of the configuration's queries
    Metrics {
        /// How to list them
        #[arg(long, value_enum, default_value_t)]
        output: CatalogueOutput,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say every mistake with its place
    Check,
    /// Print the effective configuration, secrets hidden
    Show,
    /// Print the exporter.yaml that does what mysqld_exporter's flags do
    FromMysqldExporter,
}

/// Runs the program.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut arguments = arguments.into_iter().peekable();
    let called = arguments.peek().cloned().unwrap_or_default();
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version go to stdout and are good; a closed pipe is nobody's mistake.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Good.into() };
        }
    };
    let sources = arguments.flags.sources(exporter(&called, &arguments.exporter));
    let loaded = || crate::config::load(&sources);
    let exit = match &arguments.command {
        None | Some(Command::Serve) => with(loaded(), serve::serve),
        Some(Command::Check { targets, output }) => with(loaded(), |loaded| check::check(loaded, targets, *output)),
        Some(Command::Config { command: ConfigCommand::Check }) => config::check(&loaded()),
        Some(Command::Config { command: ConfigCommand::Show }) => config::show(&loaded()),
        Some(Command::Config { command: ConfigCommand::FromMysqldExporter }) => config::from_mysqld_exporter(&sources),
        Some(Command::Grants { server }) => with(loaded(), |loaded| grants::grants(&loaded, server.as_deref())),
        Some(Command::Metrics { output }) => match loaded() {
            Ok(loaded) => catalogue::print(*output, Some(&loaded)),
            // Without a configuration there is a catalogue too; one that was named is to be good.
            Err(mistakes) if sources.file.is_some() => complain(&mistakes),
            Err(_) => catalogue::print(*output, None),
        },
    };
    exit.into()
}

/// Goes on with a good configuration, or says what is wrong with it.
fn with(loaded: Result<Loaded, Mistakes>, then: impl FnOnce(Loaded) -> Exit) -> Exit {
    match loaded {
        Ok(loaded) => then(loaded),
        Err(mistakes) => complain(&mistakes),
    }
}

/// The option file that mysqld_exporter reads when no flag names one.
const MY_CNF: &str = ".my.cnf";

/// What is said in mysqld_exporter's words. A program that is called by its name stands in its place.
fn exporter(called: &OsString, flags: &MysqldExporterFlags) -> MysqldExporter {
    let name = Path::new(called).file_stem().is_some_and(|name| name == "mysqld_exporter");
    MysqldExporter {
        flags: flags.0.clone(),
        meant: name.then(|| "the program's name `mysqld_exporter`".to_owned()),
        my_cnf: Some(PathBuf::from(MY_CNF)),
    }
}

impl Flags {
    fn sources(&self, mysqld_exporter: MysqldExporter) -> Sources {
        let mut flags = Vec::new();
        let mut flag = |name: &'static str, path: &'static str, values: &[String]| {
            if !values.is_empty() {
                flags.push(Flag::new(name, path, values));
            }
        };
        let one = |value: &Option<String>| value.iter().cloned().collect::<Vec<_>>();
        flag("--web.listen-address", "web.listen_addresses", &self.web_listen_address);
        flag("--web.telemetry-path", "web.telemetry_path", &one(&self.web_telemetry_path));
        // Empty is none, as in mysqld_exporter's own help.
        let web_config_file = self.web_config_file.clone().filter(|file| !file.is_empty());
        flag("--web.config.file", "web.config_file", &one(&web_config_file));
        flag("--probe.allow", "probe.allow", &self.probe_allow);
        flag("--log.level", "log.level", &one(&self.log_level));
        flag("--log.format", "log.format", &one(&self.log_format));
        Sources {
            file: self.config_file.clone(),
            search: SEARCHED.iter().map(PathBuf::from).collect(),
            env: std::env::vars_os().collect(),
            flags,
            judges: target::judges(),
            mysqld_exporter,
        }
    }
}
