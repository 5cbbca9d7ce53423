//! What stands in a volume of files: contents, modes and owners, by path.

use super::{
    downward::{self, Allocatable, NoValue},
    ownership,
    path::{BadPath, RelativePath},
    reference::{Kind, Reference},
    volume::{Content, DownwardFile, Keys, Part, file_mode},
};
use k8s_openapi::api::core::v1 as core;
use std::{collections::BTreeMap, fmt, sync::Arc};

/// A file to be written.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Its content.
    pub data: Vec<u8>,
    /// Permission bits.
    pub mode: u32,
    /// Its owner, where that is not root.
    pub owner: Option<u32>,
}

impl fmt::Debug for File {
    /// Never the content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "File({} bytes, {:o}, {:?})", self.data.len(), self.mode, self.owner)
    }
}

/// Files by path.
pub type Payload = BTreeMap<RelativePath, File>;

/// The keys of a config map or secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Object {
    /// Values by key.
    pub data: BTreeMap<String, Vec<u8>>,
    /// It will never change.
    pub immutable: bool,
}

impl fmt::Debug for Object {
    /// Never a value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object").field("keys", &self.data.keys()).finish_non_exhaustive()
    }
}

impl From<core::ConfigMap> for Object {
    fn from(map: core::ConfigMap) -> Self {
        let text = map.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.into_bytes()));
        let binary = map.binary_data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0));
        Self { data: text.chain(binary).collect(), immutable: map.immutable.unwrap_or(false) }
    }
}

impl From<core::Secret> for Object {
    fn from(secret: core::Secret) -> Self {
        let data = secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0));
        Self { data: data.collect(), immutable: secret.immutable.unwrap_or(false) }
    }
}

/// What the files are made from.
#[derive(Debug)]
pub struct Material<'a> {
    /// The pod.
    pub pod: &'a core::Pod,
    /// The node's allocatable resources.
    pub allocatable: &'a Allocatable,
    /// The objects that were looked up; `None` for those that do not exist.
    pub objects: &'a BTreeMap<Reference, Option<Arc<Object>>>,
    /// Tokens by the path that they go to.
    pub tokens: &'a BTreeMap<RelativePath, Vec<u8>>,
}

/// Why a volume can't be filled. Worded as the kubelet words it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfilled {
    /// A config map or secret that does not exist.
    #[error("{0} not found")]
    NoObject(Reference),
    /// An object's name that is none.
    #[error("{0} name {1:?} is not valid")]
    BadName(Kind, String),
    /// A key that a config map does not have.
    #[error("configmap references non-existent config key: {0}")]
    NoConfigKey(String),
    /// A key that a secret does not have.
    #[error("references non-existent secret key: {0}")]
    NoSecretKey(String),
    /// A key, or its path, that can't name a file.
    #[error(transparent)]
    Path(#[from] BadPath),
    /// A field without a value.
    #[error(transparent)]
    Value(#[from] NoValue),
    /// A downward file that shows nothing.
    #[error("{0:?} has neither fieldRef nor resourceFieldRef")]
    Nothing(String),
    /// A token that was not fetched.
    #[error("no token for {0:?}")]
    NoToken(String),
    /// One path is a file and a folder.
    #[error("{0:?} is both a file and a folder")]
    Conflict(String),
    /// A source that is not made yet.
    #[error("{0} is not supported yet")]
    Unsupported(&'static str),
}

/// Puts a volume's files together.
///
/// # Errors
/// With the first thing that is missing or wrong.
pub fn assemble(content: &Content, material: &Material<'_>) -> Result<Payload, Unfilled> {
    let mut payload = Payload::new();
    for part in &content.parts {
        payload.extend(files(content, part, material)?);
    }
    match conflict(&payload) {
        Some(path) => Err(Unfilled::Conflict(path.to_owned())),
        None => Ok(payload),
    }
}

/// Whether a volume shows resources, which take the node's where a container has no limit.
pub fn shows_resources(content: &Content) -> bool {
    let shows = |file: &DownwardFile| file.resource.is_some();
    content.parts.iter().any(|part| matches!(part, Part::DownwardApi(items) if items.iter().any(shows)))
}

type Files = Vec<(RelativePath, File)>;

fn files(content: &Content, part: &Part, material: &Material<'_>) -> Result<Files, Unfilled> {
    let plain =
        |data, mode: Option<u32>| File { data, mode: mode.unwrap_or(content.default_mode), owner: None };
    match part {
        Part::ConfigMap(keys) => object_files(Kind::ConfigMap, keys, content, material),
        Part::Secret(keys) => object_files(Kind::Secret, keys, content, material),
        Part::DownwardApi(items) => {
            let file = |item: &DownwardFile| {
                let data = downward_value(item, material)?.into_bytes();
                Ok((item.path.clone(), plain(data, item.mode)))
            };
            items.iter().map(file).collect()
        }
        Part::Token(token) => {
            let missing = || Unfilled::NoToken(token.path.as_str().to_owned());
            let data = material.tokens.get(&token.path).ok_or_else(missing)?.clone();
            Ok(vec![(token.path.clone(), token_file(data, content, material.pod))])
        }
        Part::Unsupported { what } => Err(Unfilled::Unsupported(what)),
    }
}

fn token_file(data: Vec<u8>, content: &Content, pod: &core::Pod) -> File {
    let owner = ownership::common_user(pod);
    let has_owner = owner.is_some() || ownership::fs_group(pod).is_some();
    File { data, mode: ownership::token_mode(content.default_mode, has_owner), owner }
}

fn downward_value(item: &DownwardFile, material: &Material<'_>) -> Result<String, Unfilled> {
    if let Some(path) = &item.field {
        Ok(downward::field(material.pod, path)?)
    } else if let Some(selector) = &item.resource {
        Ok(downward::resource(material.pod, material.allocatable, selector)?)
    } else {
        Err(Unfilled::Nothing(item.path.as_str().to_owned()))
    }
}

fn object_files(
    kind: Kind,
    keys: &Keys,
    content: &Content,
    material: &Material<'_>,
) -> Result<Files, Unfilled> {
    let namespace = material.pod.metadata.namespace.as_deref().unwrap_or_default();
    let reference = Reference::of(kind, namespace, keys)
        .ok_or_else(|| Unfilled::BadName(kind, keys.object.chars().take(80).collect()))?;
    let Some(object) = material.objects.get(&reference).and_then(Option::as_ref) else {
        return if keys.optional { Ok(vec![]) } else { Err(Unfilled::NoObject(reference)) };
    };
    match &keys.items {
        None => all_keys(object, content.default_mode),
        Some(items) => chosen_keys(kind, keys.optional, items, (object, content.default_mode)),
    }
}

fn all_keys(object: &Object, mode: u32) -> Result<Files, Unfilled> {
    let file = |(key, data): (&String, &Vec<u8>)| {
        Ok((RelativePath::of_file(key)?, File { data: data.clone(), mode, owner: None }))
    };
    object.data.iter().map(file).collect()
}

fn chosen_keys(
    kind: Kind,
    optional: bool,
    items: &[core::KeyToPath],
    (object, default_mode): (&Object, u32),
) -> Result<Files, Unfilled> {
    let mut files = vec![];
    for item in items {
        let mode = item.mode.map_or(default_mode, file_mode);
        match object.data.get(&item.key) {
            Some(data) => {
                let file = File { data: data.clone(), mode, owner: None };
                files.push((RelativePath::of_file(&item.path)?, file));
            }
            None if optional => {}
            None => return Err(missing_key(kind, &item.key)),
        }
    }
    Ok(files)
}

fn missing_key(kind: Kind, key: &str) -> Unfilled {
    match kind {
        Kind::ConfigMap => Unfilled::NoConfigKey(key.to_owned()),
        Kind::Secret => Unfilled::NoSecretKey(key.to_owned()),
    }
}

/// A path that another path goes through. Sorted as they are, `a/b` need not follow `a` directly.
fn conflict(payload: &Payload) -> Option<&str> {
    let is_file = |path: &str| RelativePath::of_file(path).is_ok_and(|path| payload.contains_key(&path));
    let parents = |path: &'_ str| path.match_indices('/').map(|(end, _)| end).collect::<Vec<_>>();
    payload.keys().map(RelativePath::as_str).find_map(|path| {
        let end = parents(path).into_iter().find(|end| is_file(&path[..*end]))?;
        Some(&path[..end])
    })
}

#[cfg(test)]
mod tests;
