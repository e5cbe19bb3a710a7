//! The commands, one file each.

mod exit;
mod output;
mod runtime;
mod daemon;
mod logfmt;
mod telemetry;
mod shutdown;
mod catalogue;
mod ready;
mod mysqld_exporter;
mod config;
mod reload;
mod serve;
mod targets;
mod moment;
mod repeat;
mod checked;
mod check;
mod monitor;
mod examine;
mod recover;
mod gate;
mod grants;
mod assets;
mod manual;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use self::daemon::At;
use self::examine::{Part, examine};
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
        /// Go on until Ctrl-C, a round every SECONDS (5 if not said)
        #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "5", value_parser = repeat::parse)]
        watch: Option<Duration>,
    },
    /// Tell the whole picture of each target: state, limits, settings, sessions, findings
    Status {
        /// Targets by name; none means all
        targets: Vec<String>,
        #[command(flatten)]
        at: At,
        /// How to report
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Say what is wrong with each target, why, and what to change; exits 1 on a warning, 2 on what is critical
    Diagnose {
        /// Targets by name; none means all
        targets: Vec<String>,
        #[command(flatten)]
        at: At,
        /// How to report
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Probe each target every SECONDS until Ctrl-C, a line a probe; events and pools where a daemon runs; then a summary
    Monitor {
        /// Between two probes of a target [default: 30]
        seconds: Option<String>,
        /// Targets by name; none means all
        #[arg(value_name = "TARGET")]
        targets: Vec<String>,
        #[command(flatten)]
        at: At,
        /// How to report
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Drop every pooled connection, connect anew, and say whether that is good
    ///
    /// The daemon that runs does it (see --url); where none runs, this command connects anew itself. Exits 0 when all are
    /// good, 2 when one is not in time. Safe to repeat.
    Recover(recover::Arguments),
    /// Hold up a deployment until the servers are good, and compare before and after
    ///
    /// Waits for so many good probes in a row, and for room for the new instances, and says on stderr why it waits. The
    /// probes are this command's own, one a second from where it runs, with the daemon's manners: where trying makes it
    /// worse, it tries as rarely. Exits 0 when all is good, 2 when it is not in time.
    Gate(gate::Arguments),
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
    /// Write the dashboards for Grafana that come with this program
    Dashboards {
        /// The folder to write them into; it is made if it is not there
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// Where your runbooks are: put before their names in the descriptions of panels
        #[arg(long, value_name = "URL")]
        runbook_base: Option<String>,
        /// Write over files that are there and differ
        #[arg(long)]
        force: bool,
    },
    /// Write the rules for Prometheus that come with this program, and their runbooks
    Alerts {
        /// The folder to write them into; it is made if it is not there
        #[arg(value_name = "DIR")]
        directory: PathBuf,
        /// Where your runbooks are: put before their names in `runbook_url` [default: runbooks, beside the rules]
        #[arg(long, value_name = "URL")]
        runbook_base: Option<String>,
        /// Your Grafana: put before the paths of the annotation `dashboard`
        #[arg(long, value_name = "URL")]
        grafana_url: Option<String>,
        /// Write over files that are there and differ
        #[arg(long)]
        force: bool,
    },
    /// List every metric of our own, and those of the configuration's queries
    Metrics {
        /// How to list them
        #[arg(long, value_enum, default_value_t)]
        output: CatalogueOutput,
    },
    /// Print the completions of a shell
    Completions {
        /// For which shell
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Print the manual page; or write it and one a command into a directory
    Man {
        /// Where to write the pages
        directory: Option<PathBuf>,
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
        None | Some(Command::Serve) => with(loaded(), |loaded| serve::serve(loaded, &sources)),
        Some(Command::Check { targets, output, watch }) => {
            with(loaded(), |loaded| check::check(loaded, targets, *output, *watch))
        }
        Some(Command::Monitor { seconds, targets, at, output }) => {
            let words: Vec<String> = seconds.iter().chain(targets).cloned().collect();
            with(loaded(), |loaded| monitor::monitor(loaded, at, &words, *output))
        }
        Some(Command::Status { targets, at, output }) => examine(at, loaded, targets, Part::Status, *output),
        Some(Command::Diagnose { targets, at, output }) => examine(at, loaded, targets, Part::Diagnosis, *output),
        Some(Command::Recover(arguments)) => recover::recover(arguments, loaded),
        Some(Command::Gate(arguments)) => gate::gate(arguments, loaded),
        Some(Command::Config { command: ConfigCommand::Check }) => config::check(&loaded()),
        Some(Command::Config { command: ConfigCommand::Show }) => config::show(&loaded()),
        Some(Command::Config { command: ConfigCommand::FromMysqldExporter }) => config::from_mysqld_exporter(&sources),
        Some(Command::Grants { server }) => with(loaded(), |loaded| grants::grants(&loaded, server.as_deref())),
        Some(Command::Dashboards { directory, runbook_base, force }) => {
            assets::dashboards(directory, runbook_base.as_deref(), *force)
        }
        Some(Command::Alerts { directory, runbook_base, grafana_url, force }) => {
            assets::alerts(directory, runbook_base.as_deref(), grafana_url.as_deref(), *force)
        }
        Some(Command::Completions { shell }) => manual::completions(Arguments::command(), *shell),
        Some(Command::Man { directory }) => manual::man(Arguments::command(), directory.as_deref()),
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
