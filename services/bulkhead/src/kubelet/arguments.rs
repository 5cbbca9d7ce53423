//! The kubelet's command line, taken apart: fields of the configuration, and what else it says of the
//! node. Pure.

use super::{
    convert::{BadText, to_json},
    flags::{FLAGS, Flag, Kind, Meaning},
};
use chassis::config::ServiceProxy;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, path::PathBuf};

/// What a command line says.
#[derive(Clone, Default)]
pub(crate) struct Arguments {
    /// Fields of `KubeletConfiguration`, as a file would hold them.
    pub(crate) fields: Value,
    /// What is no such field.
    pub(crate) node: NodeArguments,
    /// Flags that were given and have no effect, each with the reason.
    pub(crate) idle: Vec<(&'static str, &'static str)>,
}

/// What a command line says of the node beside its configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NodeArguments {
    /// `--config`.
    pub(crate) config: Option<PathBuf>,
    /// `--config-dir`.
    pub(crate) config_dir: Option<PathBuf>,
    /// `--kubeconfig`.
    pub(crate) kubeconfig: Option<PathBuf>,
    /// `--bootstrap-kubeconfig`.
    pub(crate) bootstrap_kubeconfig: Option<PathBuf>,
    /// `--cert-dir`.
    pub(crate) cert_dir: Option<PathBuf>,
    /// `--root-dir`.
    pub(crate) root_dir: Option<PathBuf>,
    /// `--hostname-override`.
    pub(crate) hostname_override: Option<String>,
    /// `--node-ip`, as given.
    pub(crate) node_ip: Option<String>,
    /// `--node-labels`.
    pub(crate) node_labels: BTreeMap<String, String>,
    /// `--cloud-provider`.
    pub(crate) cloud_provider: Option<String>,
    /// `--image-credential-provider-config`.
    pub(crate) image_credential_provider_config: Option<PathBuf>,
    /// `--image-credential-provider-bin-dir`.
    pub(crate) image_credential_provider_bin_dir: Option<PathBuf>,
    /// `--runtime-cgroups`.
    pub(crate) runtime_cgroups: Option<String>,
    /// `--lock-file`.
    pub(crate) lock_file: Option<PathBuf>,
    /// `--exit-on-lock-contention`.
    pub(crate) exit_on_lock_contention: bool,
    /// `--takeover`, which only `bulkhead up` knows.
    pub(crate) takeover: bool,
    /// `--proxy`, which only `bulkhead up` knows.
    pub(crate) proxy: Option<ServiceProxy>,
    /// `--otlp-endpoint`, which only `bulkhead up` knows.
    pub(crate) otlp_endpoint: Option<String>,
}

/// Why a command line is not usable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadArguments {
    /// An unknown flag, by its name, or one without its value.
    #[error("{0}; see --help")]
    Clap(String),
    /// A value that the flag cannot have.
    #[error("invalid value for --{flag}")]
    Value {
        /// Which.
        flag: &'static str,
        /// Why not.
        #[source]
        source: BadText,
    },
}

impl From<clap::Error> for BadArguments {
    /// clap's first line says what is wrong; the others show what else there is.
    fn from(wrong: clap::Error) -> Self {
        let told = wrong.to_string();
        let first = told.lines().next().unwrap_or_default();
        Self::Clap(first.trim_start_matches("error: ").to_owned())
    }
}

/// The command line that takes the kubelet's flags, under a name that help shows.
pub(crate) fn command(name: &'static str) -> Command {
    let version = Arg::new("version")
        .long("version")
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .help("Print the version and leave");
    Command::new(name).no_binary_name(true).args(FLAGS.iter().map(arg)).arg(version)
}

fn arg(flag: &Flag) -> Arg {
    let arg = Arg::new(flag.name).long(flag.name).action(ArgAction::Append).hide(!flag.idle.is_empty());
    let arg = match flag.meaning {
        Meaning::Field(path) => arg.help(format!("Sets {path} of the KubeletConfiguration")),
        Meaning::Node | Meaning::Nothing => arg.help("As the stock kubelet's"),
    };
    let arg = arg.value_name(flag.kind.shape());
    let arg = if flag.name == "v" { arg.short('v') } else { arg };
    if flag.kind == Kind::Bool {
        arg.num_args(0..=1).require_equals(true).default_missing_value("true")
    } else {
        arg.num_args(1).allow_hyphen_values(true)
    }
}

/// Words of a flag's name may be joined by `_` too.
pub(crate) fn with_dashes(argument: String) -> String {
    let Some(flag) = argument.strip_prefix("--") else { return argument };
    let (name, value) = flag.split_at(flag.find('=').unwrap_or(flag.len()));
    format!("--{}{value}", name.replace('_', "-"))
}

/// What the matches of [`command`] say.
///
/// # Errors
/// When a flag has a value that it cannot have.
pub(crate) fn read(matches: &ArgMatches) -> Result<Arguments, BadArguments> {
    let mut arguments = Arguments { fields: Value::Object(Map::new()), ..Arguments::default() };
    for flag in FLAGS {
        let Some(texts) = matches.get_many::<String>(flag.name) else { continue };
        let texts: Vec<String> = texts.cloned().collect();
        let value =
            to_json(flag.kind, &texts).map_err(|source| BadArguments::Value { flag: flag.name, source })?;
        match flag.meaning {
            Meaning::Field(path) => set(&mut arguments.fields, path, value),
            Meaning::Node => arguments.node.set(flag.name, value),
            Meaning::Nothing => {}
        }
        if !flag.idle.is_empty() {
            arguments.idle.push((flag.name, flag.idle));
        }
    }
    Ok(arguments)
}

/// Puts a value at a path of objects, which are made as needed.
fn set(tree: &mut Value, path: &str, value: Value) {
    let mut place = tree;
    for name in path.split('.') {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        place = &mut place[name];
    }
    *place = value;
}

impl NodeArguments {
    fn set(&mut self, flag: &str, value: Value) {
        let text = value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let path = || text.clone().map(PathBuf::from);
        match flag {
            "config" => self.config = path(),
            "config-dir" => self.config_dir = path(),
            "kubeconfig" => self.kubeconfig = path(),
            "bootstrap-kubeconfig" => self.bootstrap_kubeconfig = path(),
            "cert-dir" => self.cert_dir = path(),
            "root-dir" => self.root_dir = path(),
            "hostname-override" => self.hostname_override = text,
            "node-ip" => self.node_ip = text,
            "cloud-provider" => self.cloud_provider = text,
            "image-credential-provider-config" => self.image_credential_provider_config = path(),
            "image-credential-provider-bin-dir" => self.image_credential_provider_bin_dir = path(),
            "runtime-cgroups" => self.runtime_cgroups = text,
            "lock-file" => self.lock_file = path(),
            "exit-on-lock-contention" => self.exit_on_lock_contention = value == Value::Bool(true),
            "node-labels" => self.node_labels = serde_json::from_value(value).unwrap_or_default(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
