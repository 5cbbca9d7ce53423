//! The API objects that a pod's volumes are filled from.

use super::{
    path::is_object_name,
    volume::{Keys, Part, Source, Volume},
};
use std::fmt;

/// Which kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A config map.
    ConfigMap,
    /// A secret.
    Secret,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ConfigMap => "configmap",
            Self::Secret => "secret",
        })
    }
}

/// An object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace, the pod's.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Reference {
    /// The object behind some keys; `None` when its name is no object's name.
    pub fn of(kind: Kind, namespace: &str, keys: &Keys) -> Option<Self> {
        is_object_name(&keys.object).then(|| Self {
            kind,
            namespace: namespace.to_owned(),
            name: keys.object.clone(),
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.kind, self.name)
    }
}

/// Everything that one volume is filled from.
pub fn of_volume(namespace: &str, volume: &Volume) -> Vec<Reference> {
    let Source::Content(content) = &volume.source else { return vec![] };
    let of_part = |part: &Part| match part {
        Part::ConfigMap(keys) => Reference::of(Kind::ConfigMap, namespace, keys),
        Part::Secret(keys) => Reference::of(Kind::Secret, namespace, keys),
        Part::DownwardApi(_) | Part::Token(_) | Part::Unsupported { .. } => None,
    };
    content.parts.iter().filter_map(of_part).collect()
}

/// Whether filling a volume takes the API server.
pub fn needs_api(volume: &Volume) -> bool {
    let Source::Content(content) = &volume.source else { return false };
    content.parts.iter().any(|part| matches!(part, Part::ConfigMap(_) | Part::Secret(_) | Part::Token(_)))
}
