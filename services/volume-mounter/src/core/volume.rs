//! A pod's volumes as far as this service makes them. Read from the spec by [`super::spec`].

use super::path::{RelativePath, VolumeName};
use k8s_openapi::{api::core::v1 as core, apimachinery::pkg::api::resource::Quantity};

/// One volume.
#[derive(Debug, Clone, PartialEq)]
pub struct Volume {
    /// Its name.
    pub name: VolumeName,
    /// What is in it.
    pub source: Source,
}

/// Where a volume comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// An empty folder that lives as long as the pod.
    EmptyDir(EmptyDir),
    /// A path of the host.
    HostPath {
        /// The path.
        path: String,
        /// What must be there; [`HostPathType::Any`] is not looked at.
        kind: HostPathType,
    },
    /// Files that this service writes.
    Content(Content),
    /// The runtime mounts it.
    Image,
    /// Not made yet.
    Unsupported {
        /// The field of the spec.
        what: &'static str,
    },
}

/// What an `emptyDir` stands on.
#[derive(Debug, Clone, PartialEq)]
pub enum EmptyDir {
    /// The disk of the root folder. `sizeLimit` is eviction's business.
    Disk,
    /// Memory.
    Memory {
        /// `sizeLimit`.
        limit: Option<Quantity>,
    },
    /// Huge pages of a size (`2Mi`), or of the one size that the pod asks for.
    HugePages {
        /// The size, where the medium names it.
        page: Option<String>,
    },
}

/// `hostPath.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum HostPathType {
    /// Not looked at.
    Any,
    /// A folder, made with mode 0755 when absent.
    DirectoryOrCreate,
    /// A folder.
    Directory,
    /// A file, made with mode 0644 when absent.
    FileOrCreate,
    /// A file.
    File,
    /// A Unix socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

/// Which plugin's folder the files stand in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plugin {
    /// `configMap`.
    ConfigMap,
    /// `secret`.
    Secret,
    /// `downwardAPI`.
    DownwardApi,
    /// `projected`.
    Projected,
}

/// Files, and where they come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    /// The plugin.
    pub plugin: Plugin,
    /// The mode of files that have none of their own.
    pub default_mode: u32,
    /// The sources; a later one wins where two name the same path.
    pub parts: Vec<Part>,
}

/// One source of files.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Keys of a config map.
    ConfigMap(Keys),
    /// Keys of a secret.
    Secret(Keys),
    /// The pod's own fields.
    DownwardApi(Vec<DownwardFile>),
    /// A service account's token.
    Token(Token),
    /// Not made yet.
    Unsupported {
        /// The field of the spec.
        what: &'static str,
    },
}

/// Keys of an object as files.
#[derive(Debug, Clone, PartialEq)]
pub struct Keys {
    /// The object's name.
    pub object: String,
    /// Absence of the object or of a key is no fault.
    pub optional: bool,
    /// Which keys go where; `None` takes every key under its own name.
    pub items: Option<Vec<core::KeyToPath>>,
}

/// A field of the pod as a file.
#[derive(Debug, Clone, PartialEq)]
pub struct DownwardFile {
    /// Where.
    pub path: RelativePath,
    /// Its mode, where it has one of its own.
    pub mode: Option<u32>,
    /// `fieldRef.fieldPath`.
    pub field: Option<String>,
    /// `resourceFieldRef`.
    pub resource: Option<core::ResourceFieldSelector>,
}

/// A token as a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// Where.
    pub path: RelativePath,
    /// For whom; empty for the API server itself.
    pub audience: String,
    /// Seconds that it is asked to live.
    pub lifetime: i64,
}

/// The permission bits of a mode in the spec; the API allows 0 to 0777.
pub fn file_mode(given: i32) -> u32 {
    given.cast_unsigned() & 0o777
}
