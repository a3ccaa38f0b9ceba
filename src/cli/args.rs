//! The command line. Every flag can also be given as an environment variable: `PULL_PATROL_` and the flag in capitals,
//! with `.` and `-` as `_`.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

use super::terminal::Colour;

/// Knows whether every registry credential of a Kubernetes cluster works, until when, and who falls over when it stops.
#[derive(Debug, Parser)]
#[command(name = "pull-patrol", version, about, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// Flags that every command takes.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// The arguments of the process. Wrong usage ends the process with code 2, as every command line does.
    pub fn from_process() -> Self {
        let matches = definition().get_matches();
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// The definition, where a variable that is set to nothing counts as not set, as with Prometheus exporters: charts and
/// compose files write it so.
fn definition() -> clap::Command {
    fn drop_empty(argument: clap::Arg) -> clap::Arg {
        let name = argument.get_env().map(std::ffi::OsStr::to_owned);
        let empty = name.and_then(std::env::var_os).is_some_and(|value| value.is_empty());
        if empty { argument.env(None::<&str>) } else { argument }
    }
    Cli::command().mut_args(drop_empty).mut_subcommands(|command| command.mut_args(drop_empty))
}

/// Flags that every command takes.
#[derive(Debug, Args)]
pub struct Common {
    /// Config file (YAML)
    #[arg(long = "config.file", env = "PULL_PATROL_CONFIG_FILE", value_name = "FILE", global = true)]
    pub config_file: Option<PathBuf>,
    /// Also contact this registry, with issuer `auto` (repeatable)
    #[arg(long = "registry", env = "PULL_PATROL_REGISTRY", value_name = "HOST", value_delimiter = ',', global = true)]
    pub registries: Vec<String>,
    /// Kubeconfig file, instead of the usual places
    #[arg(long, env = "PULL_PATROL_KUBECONFIG", value_name = "FILE", global = true)]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig, instead of the current one
    #[arg(long, env = "PULL_PATROL_CONTEXT", value_name = "NAME", global = true)]
    pub context: Option<String>,
    /// Least level that is logged to standard error: error, warn, info, debug, trace, or directives per module
    #[arg(long = "log.level", env = "PULL_PATROL_LOG_LEVEL", value_name = "LEVEL", global = true)]
    pub log_level: Option<String>,
    /// Form of the log
    #[arg(long = "log.format", env = "PULL_PATROL_LOG_FORMAT", default_value = "logfmt", global = true)]
    pub log_format: LogFormat,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// `key=value` pairs, a line each
    Logfmt,
    /// JSON objects, a line each
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon: watch, probe, export
    Serve(ServeArgs),
    /// One round, then a report and an exit code
    #[command(after_help = "Exit codes: 0 nothing wrong; 1 a problem of severity warning or worse; 2 could not run \
                            (usage, unreadable input, no cluster); 3 nothing wrong found, but something could not be \
                            verified.")]
    Check(CheckArgs),
    /// For one workload or image: the credentials that the kubelet would try, what each answers, and what to do
    #[command(after_help = "TARGET is KIND/NAME of a workload (pod/NAME, deployment/NAME, autoscalingrunnerset/NAME, \
                            ...), serviceaccount/NAME with --image IMAGE, image/IMAGE, or secret/NAME (what depends on \
                            it). Kinds can be written as kubectl takes them: po, deploy, sts, ds, rs, cj, sa.\n\n\
                            Exit codes are those of `check`; a target that is not there is 2.")]
    Explain(ExplainArgs),
    /// Print the shipped Prometheus alert rules
    Rules,
    /// Print a shipped Grafana dashboard
    Dashboard {
        /// Which
        #[arg(value_enum, default_value_t = ShippedDashboard::Team)]
        which: ShippedDashboard,
    },
}

/// A dashboard that is shipped inside the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ShippedDashboard {
    /// Credentials, their expiries, and the workloads that depend on them
    Team,
    /// The daemon itself: what it sees, whether it asks on time, what it costs
    Daemon,
}

/// Flags of `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Address to listen on (repeatable); `:9797` is every address
    #[arg(
        long = "web.listen-address",
        env = "PULL_PATROL_WEB_LISTEN_ADDRESS",
        value_name = "ADDRESS",
        value_delimiter = ',',
        default_value = ":9797"
    )]
    pub listen_addresses: Vec<String>,
    /// Address where `/livez`, `/readyz` and `/healthz` alone are answered, in the plain: for probes of the kubelet where the web
    /// port has TLS or users (repeatable)
    #[arg(
        long = "web.health-address",
        env = "PULL_PATROL_WEB_HEALTH_ADDRESS",
        value_name = "ADDRESS",
        value_delimiter = ','
    )]
    pub health_addresses: Vec<String>,
    /// Read the config file again at `POST /-/reload`, as at SIGHUP
    #[arg(
        long = "web.enable-lifecycle",
        env = "PULL_PATROL_WEB_ENABLE_LIFECYCLE",
        value_parser = BoolishValueParser::new()
    )]
    pub enable_lifecycle: bool,
    /// TLS, client certificates and users of the web port, in the schema of the Prometheus exporter-toolkit
    #[arg(long = "web.config.file", env = "PULL_PATROL_WEB_CONFIG_FILE", value_name = "FILE")]
    pub web_config_file: Option<PathBuf>,
    /// Take objects from this manifest file or folder, re-read on change, instead of from a cluster (repeatable)
    #[arg(long = "manifests", env = "PULL_PATROL_MANIFESTS", value_name = "PATH", value_delimiter = ',')]
    pub manifests: Vec<PathBuf>,
    /// Which of several processes this is, from 0: a number, or the name of a pod that ends in one, as a `StatefulSet` gives
    #[arg(long = "shard.index", env = "PULL_PATROL_SHARD_INDEX", value_name = "INDEX", value_parser = shard_index)]
    pub shard_index: Option<u16>,
    /// How many processes share the logins
    #[arg(long = "shard.count", env = "PULL_PATROL_SHARD_COUNT", value_name = "COUNT")]
    pub shard_count: Option<u16>,
}

/// `2`, or the name of the third pod of a `StatefulSet`: `pull-patrol-2`.
fn shard_index(text: &str) -> Result<u16, String> {
    let number = text.rsplit_once('-').map_or(text, |(_, ordinal)| ordinal);
    number.parse().map_err(|_| "neither a number nor the name of a pod that ends in one".to_owned())
}

/// Flags of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Kubernetes manifests (YAML or JSON), folders of them, or a Docker config.json; `-` is standard input. Without
    /// a path: the cluster of the current kubeconfig context
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Only this namespace
    #[arg(short = 'n', long, env = "PULL_PATROL_NAMESPACE", value_name = "NAME")]
    pub namespace: Option<String>,
    /// Form of the report
    #[arg(short = 'o', long, env = "PULL_PATROL_OUTPUT", default_value = "table")]
    pub output: OutputFormat,
    /// Decode and lint only; ask nobody
    #[arg(long, env = "PULL_PATROL_OFFLINE", value_parser = BoolishValueParser::new())]
    pub offline: bool,
    /// When to colour the table
    #[arg(long, env = "PULL_PATROL_COLOR", default_value = "auto")]
    pub color: Colour,
}

/// Flags of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// What to explain: KIND/NAME
    #[arg(value_name = "TARGET")]
    pub target: String,
    /// Image that a pod of the ServiceAccount would pull
    #[arg(long, env = "PULL_PATROL_IMAGE", value_name = "IMAGE")]
    pub image: Option<String>,
    /// Where objects come from, and how the answer looks
    #[command(flatten)]
    pub input: CheckArgs,
}

/// Form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For a person
    Table,
    /// JSON
    Json,
    /// YAML
    Yaml,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_has_its_environment_variable() {
        let command = Cli::command();
        let commands = std::iter::once(&command).chain(command.get_subcommands());
        for argument in commands.flat_map(clap::Command::get_arguments) {
            let (Some(long), true) = (argument.get_long(), !matches!(argument.get_id().as_str(), "help" | "version"))
            else {
                continue;
            };
            let expected = format!("PULL_PATROL_{}", long.to_uppercase().replace(['.', '-'], "_"));
            let variable = argument.get_env().map(|name| name.to_string_lossy().into_owned());
            assert_eq!(variable.as_deref(), Some(expected.as_str()), "--{long}");
        }
    }

    #[test]
    fn the_name_of_a_pod_tells_its_shard() {
        let index = |text: &str| {
            let cli = Cli::try_parse_from(["pull-patrol", "serve", "--shard.index", text]);
            cli.map(|cli| match cli.command {
                Command::Serve(args) => args.shard_index,
                other => panic!("{other:?}"),
            })
        };
        for (text, expected) in [("0", 0), ("17", 17), ("pull-patrol-2", 2), ("a-10", 10)] {
            assert_eq!(index(text).expect(text), Some(expected), "{text}");
        }
        for text in ["pull-patrol-7d9f8b6c5-x2x4q", "pull-patrol", "-", "1.5", "70000"] {
            assert!(index(text).is_err(), "{text}");
        }
    }

    #[test]
    fn common_flags_stand_before_or_behind_the_command() {
        for line in ["pull-patrol --registry a --registry b check -", "pull-patrol check --registry a,b -"] {
            let cli = Cli::try_parse_from(line.split(' ')).expect(line);
            assert_eq!(cli.common.registries, ["a", "b"], "{line}");
        }
    }
}
