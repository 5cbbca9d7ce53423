//! A container's environment: from `env`, `envFrom` and services, in that precedence.
//!
//! Upstream: `makeEnvironmentVariables` in `pkg/kubelet/kubelet_pods.go`. What has to be fetched
//! first is told by [`Needs`]; values never leave this module but in the container's config.

use super::{
    downward::{self, BadReference, Facts},
    env_file, expansion,
};
use k8s_openapi::api::core::v1 as core;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// The variables of a container, by name.
pub type Variables = BTreeMap<String, String>;

/// Why there is no environment. The text ends up in `CreateContainerConfigError`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvError {
    /// `enableServiceLinks` is not set; the API server always sets it.
    #[error("nil pod.spec.enableServiceLinks encountered, cannot construct envvars")]
    NoServiceLinks,
    /// There is no such object.
    #[error("{0} not found")]
    Missing(Object),
    /// The object cannot be read just now.
    #[error("{object}: {why}")]
    Unreadable {
        /// Which.
        object: Object,
        /// What the API server said.
        why: String,
        /// It may say otherwise in a moment.
        passing: bool,
    },
    /// The object has no such key.
    #[error("couldn't find key {key} in {kind} {namespace}/{name}", kind = .object.kind.title(), name = .object.name)]
    NoKey {
        /// The key.
        key: String,
        /// The pod's namespace.
        namespace: String,
        /// Which object.
        object: Object,
    },
    /// A downward reference without a value.
    #[error(transparent)]
    Downward(#[from] BadReference),
    /// No such volume for a `fileKeyRef`.
    #[error("cannot find the volume {0:?} referenced by FileKeyRef")]
    NoVolume(String),
    /// The file is missing or not a file of variables.
    #[error("couldn't parse env file")]
    BadFile,
    /// The file lacks the variable.
    #[error("environment variable key {key:?} not found in file {path:?}")]
    NotInFile {
        /// The variable.
        key: String,
        /// The file below the volume.
        path: String,
    },
}

/// What kind of object variables come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectKind {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
}

impl ObjectKind {
    fn title(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }
}

/// An object in the pod's namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.kind.title().to_lowercase(), self.name)
    }
}

/// A file in one of the pod's volumes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VolumeFile {
    /// The volume.
    pub volume: String,
    /// The path below it.
    pub path: String,
}

/// What has to be at hand before the environment can be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Objects of the pod's namespace.
    pub objects: BTreeSet<Object>,
    /// Files in its volumes.
    pub files: BTreeSet<VolumeFile>,
}

/// How fetching an object went.
#[derive(Clone, PartialEq, Eq)]
pub enum Fetched {
    /// Its data.
    Data(BTreeMap<String, String>),
    /// There is none.
    Missing,
    /// It could not be read.
    Unreadable {
        /// What the API server said.
        why: String,
        /// It may say otherwise in a moment.
        passing: bool,
    },
}

/// How reading a file in a volume went.
#[derive(Clone, PartialEq, Eq)]
pub enum FileRead {
    /// Its text.
    Text(String),
    /// The pod has no such volume, or it is not ready.
    NoVolume,
    /// It could not be read.
    Unreadable,
}

/// Everything that values come from.
pub struct Sources<'s> {
    /// Objects that were needed.
    pub objects: BTreeMap<Object, Fetched>,
    /// Files that were needed.
    pub files: BTreeMap<VolumeFile, FileRead>,
    /// Service variables.
    pub services: Variables,
    /// For downward references.
    pub facts: Facts<'s>,
}

/// What a container's environment needs.
pub fn needs(container: &core::Container) -> Needs {
    let mut needs = Needs::default();
    for from in container.env_from.iter().flatten() {
        needs.objects.extend(config_map(from.config_map_ref.as_ref().map(|r| &r.name)));
        needs.objects.extend(secret(from.secret_ref.as_ref().map(|r| &r.name)));
    }
    for source in container.env.iter().flatten().filter_map(|var| var.value_from.as_ref()) {
        needs.objects.extend(config_map(source.config_map_key_ref.as_ref().map(|r| &r.name)));
        needs.objects.extend(secret(source.secret_key_ref.as_ref().map(|r| &r.name)));
        needs.files.extend(source.file_key_ref.as_ref().map(file));
    }
    needs
}

/// The objects that must be there: those that something needs which is not optional.
pub fn required(container: &core::Container) -> BTreeSet<Object> {
    let mut required = BTreeSet::new();
    let is_required = |optional: Option<bool>| optional != Some(true);
    for from in container.env_from.iter().flatten() {
        let maps = from.config_map_ref.as_ref().filter(|r| is_required(r.optional));
        let secrets = from.secret_ref.as_ref().filter(|r| is_required(r.optional));
        required
            .extend(config_map(maps.map(|r| &r.name)).into_iter().chain(secret(secrets.map(|r| &r.name))));
    }
    for source in container.env.iter().flatten().filter_map(|var| var.value_from.as_ref()) {
        let maps = source.config_map_key_ref.as_ref().filter(|r| is_required(r.optional));
        let secrets = source.secret_key_ref.as_ref().filter(|r| is_required(r.optional));
        required
            .extend(config_map(maps.map(|r| &r.name)).into_iter().chain(secret(secrets.map(|r| &r.name))));
    }
    required
}

fn config_map(name: Option<&String>) -> Option<Object> {
    name.map(|name| Object { kind: ObjectKind::ConfigMap, name: name.clone() })
}

fn secret(name: Option<&String>) -> Option<Object> {
    name.map(|name| Object { kind: ObjectKind::Secret, name: name.clone() })
}

fn file(reference: &core::FileKeySelector) -> VolumeFile {
    VolumeFile { volume: reference.volume_name.clone(), path: reference.path.clone() }
}

/// The container's environment.
///
/// # Errors
/// When something that is not optional is missing.
pub fn resolve(
    pod: &core::Pod,
    container: &core::Container,
    sources: &Sources,
) -> Result<Variables, EnvError> {
    if pod.spec.as_ref().is_none_or(|spec| spec.enable_service_links.is_none()) {
        return Err(EnvError::NoServiceLinks);
    }
    let resolving = Resolving { pod, container, sources };
    let mut variables = Variables::new();
    for from in container.env_from.iter().flatten() {
        resolving.all_of(from, &mut variables)?;
    }
    for declared in container.env.iter().flatten() {
        if let Some(value) = resolving.value(declared, &variables)? {
            variables.insert(declared.name.clone(), value);
        }
    }
    for (name, value) in &sources.services {
        variables.entry(name.clone()).or_insert_with(|| value.clone());
    }
    Ok(variables)
}

struct Resolving<'r> {
    pod: &'r core::Pod,
    container: &'r core::Container,
    sources: &'r Sources<'r>,
}

impl Resolving<'_> {
    /// Adds all of an `envFrom` source; a later one overrides an earlier one.
    fn all_of(&self, from: &core::EnvFromSource, into: &mut Variables) -> Result<(), EnvError> {
        let (object, optional) = match (&from.config_map_ref, &from.secret_ref) {
            (Some(map), _) => (config_map(Some(&map.name)), map.optional),
            (None, Some(of)) => (secret(Some(&of.name)), of.optional),
            (None, None) => return Ok(()),
        };
        let prefix = from.prefix.as_deref().unwrap_or_default();
        let data = object.map(|object| self.data(&object, optional)).transpose()?.flatten();
        into.extend(data.into_iter().flatten().map(|(key, value)| (format!("{prefix}{key}"), value.clone())));
        Ok(())
    }

    /// The value of a declared variable; `None` when it is optional and there is none.
    fn value(&self, declared: &core::EnvVar, so_far: &Variables) -> Result<Option<String>, EnvError> {
        let literal = declared.value.as_deref().unwrap_or_default();
        let from = declared.value_from.as_ref();
        let Some(from) = from.filter(|_| literal.is_empty()) else {
            let known = |name: &str| so_far.get(name).or_else(|| self.sources.services.get(name));
            return Ok(Some(expansion::expand(literal, |name| known(name).map(String::as_str))));
        };
        if let Some(reference) = &from.field_ref {
            return Ok(Some(downward::field(reference, self.pod, self.sources.facts)?));
        }
        if let Some(reference) = &from.resource_field_ref {
            let facts = self.sources.facts;
            return Ok(Some(downward::resource(reference, self.pod, self.container, facts)?));
        }
        if let Some(of) = &from.config_map_key_ref {
            return self.key(config_map(Some(&of.name)), &of.key, of.optional);
        }
        if let Some(of) = &from.secret_key_ref {
            return self.key(secret(Some(&of.name)), &of.key, of.optional);
        }
        from.file_key_ref.as_ref().map_or(Ok(Some(String::new())), |of| self.in_file(of))
    }

    fn key(
        &self,
        object: Option<Object>,
        key: &str,
        optional: Option<bool>,
    ) -> Result<Option<String>, EnvError> {
        let Some(object) = object else { return Ok(None) };
        let Some(data) = self.data(&object, optional)? else { return Ok(None) };
        match data.get(key) {
            Some(value) => Ok(Some(value.clone())),
            None if optional.unwrap_or_default() => Ok(None),
            None => {
                let namespace = super::spec::namespace(self.pod).to_owned();
                Err(EnvError::NoKey { key: key.to_owned(), namespace, object })
            }
        }
    }

    fn data(
        &self,
        object: &Object,
        optional: Option<bool>,
    ) -> Result<Option<&BTreeMap<String, String>>, EnvError> {
        match self.sources.objects.get(object) {
            Some(Fetched::Data(data)) => Ok(Some(data)),
            Some(Fetched::Unreadable { why, passing }) => {
                Err(EnvError::Unreadable { object: object.clone(), why: why.clone(), passing: *passing })
            }
            Some(Fetched::Missing) | None if optional.unwrap_or_default() => Ok(None),
            Some(Fetched::Missing) | None => Err(EnvError::Missing(object.clone())),
        }
    }

    fn in_file(&self, of: &core::FileKeySelector) -> Result<Option<String>, EnvError> {
        let text = match self.sources.files.get(&file(of)) {
            Some(FileRead::Text(text)) => text,
            Some(FileRead::Unreadable) => return Err(EnvError::BadFile),
            Some(FileRead::NoVolume) | None => return Err(EnvError::NoVolume(of.volume_name.clone())),
        };
        match env_file::value(text, &of.key).map_err(|_| EnvError::BadFile)? {
            Some(value) => Ok(Some(value)),
            None if of.optional.unwrap_or_default() => Ok(None),
            None => Err(EnvError::NotInFile { key: of.key.clone(), path: of.path.clone() }),
        }
    }
}

#[cfg(test)]
mod tests;
