//! What the scenarios of one file share: a control plane and one node, raised when the first scenario needs them and
//! taken back when the test binary ends. Each scenario has a namespace of its own and leaves the node as it found it.
//!
//! The scenarios are played on our kubelet. `SCENARIOS=stock` plays them on upstream's instead, which proves the
//! scenario right, and `SCENARIOS=both` on one after the other. The runtime is containerd 2.4, or Debian's 1.6 with
//! `CONTAINERD=1.6`.

use std::env;
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use crate::containerd::{Containerd, Version};
use crate::control_plane::ControlPlane;
use crate::ground::Ground;
use crate::kubectl::Kubectl;
use crate::kubelet::Flavour;
use crate::namespace::Namespace;
use crate::node::Node;
use crate::parts;
use crate::registry::{self, Registry};

/// Environment variable that says on which kubelet scenarios are played.
const SELECTION: &str = "SCENARIOS";
/// Environment variable that says on which containerd scenarios are played.
const RUNTIME: &str = "CONTAINERD";

/// A cluster of one node.
pub struct Scene {
    flavour: Flavour,
    plane: ControlPlane,
    node: Node,
    ground: Arc<Ground>,
    registry: OnceLock<Result<Registry, String>>,
}

impl Scene {
    fn raise(flavour: Flavour, configure: fn(&mut Value)) -> Result<Self> {
        let ground = Ground::new()?;
        let plane = ControlPlane::start(&ground)?;
        let mut node = Node::joined(&ground, &plane, 1, runtime()?)?;
        node.configure(configure)?;
        node.start_kubelet(flavour, &plane)?;
        Ok(Self { flavour, plane, node, ground, registry: OnceLock::new() })
    }

    /// Whose kubelet it is, for what may rightly differ: how soon something happens.
    pub fn flavour(&self) -> Flavour {
        self.flavour
    }

    /// The control plane.
    pub fn plane(&self) -> &ControlPlane {
        &self.plane
    }

    /// kubectl with the administrator's rights.
    pub fn kubectl(&self) -> Kubectl {
        self.plane.kubectl()
    }

    /// The node.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The node's runtime.
    pub fn runtime(&self) -> &Containerd {
        self.node.runtime()
    }

    /// What everything here stands on, for parts that one file needs besides.
    pub fn ground(&self) -> &Arc<Ground> {
        &self.ground
    }

    /// Puts an image that the node has into a registry under another name; returns the name by which a pod pulls it.
    pub fn publish(&self, image: &str, name: &str) -> Result<String> {
        self.registry()?;
        Registry::push(self.runtime(), image, name)?;
        Ok(format!("{}/{name}", registry::HOST))
    }

    /// A registry that the node pulls from, raised when it is first asked for.
    pub fn registry(&self) -> Result<&Registry> {
        let raise = || -> Result<Registry> {
            Registry::mirror(self.runtime())?;
            Registry::start(&self.ground, self.plane.lan())
        };
        let raised = self.registry.get_or_init(|| raise().map_err(|error| format!("{error:#}")));
        raised.as_ref().map_err(|error| anyhow!("there is no registry: {error}"))
    }

    /// A fresh namespace, for one scenario.
    pub fn namespace(&self, name: &str) -> Result<Namespace> {
        self.plane.namespace(name)?;
        Ok(Namespace::new(self.kubectl(), name))
    }
}

/// The scenes of a file, one per flavour.
pub struct Scenes {
    configure: fn(&mut Value),
    stock: OnceLock<Option<Scene>>,
    ours: OnceLock<Option<Scene>>,
}

impl Scenes {
    /// Nodes whose kubelet's configuration is changed by `configure` before it starts.
    pub const fn new(configure: fn(&mut Value)) -> Self {
        Self { configure, stock: OnceLock::new(), ours: OnceLock::new() }
    }

    /// Plays a scenario on every flavour asked for. What can't be played here says why and counts as skipped.
    pub fn play(&self, scenario: impl Fn(&Scene) -> Result<()>) -> Result<()> {
        for flavour in selected()? {
            if let Some(reason) = lacking(flavour) {
                eprintln!("skipped: {reason}");
                continue;
            }
            let scene = self.scene(flavour)?;
            scenario(scene)
                .inspect_err(|_| scene.node().tell_log())
                .with_context(|| format!("on the kubelet of {flavour}"))?;
        }
        Ok(())
    }

    fn scene(&self, flavour: Flavour) -> Result<&Scene> {
        let cell = match flavour {
            Flavour::Stock => &self.stock,
            Flavour::Ours => &self.ours,
        };
        let mut complaint = None;
        let raised = cell.get_or_init(|| {
            Scene::raise(flavour, self.configure).map_err(|error| complaint = Some(error)).ok()
        });
        match (raised, complaint) {
            (Some(scene), _) => Ok(scene),
            (None, Some(complaint)) => Err(complaint.context("raising the scene")),
            (None, None) => {
                bail!("the scene could not be raised; the scenario that needed it first tells why")
            }
        }
    }
}

/// The flavours that scenarios are played on.
pub fn selected() -> Result<Vec<Flavour>> {
    match env::var(SELECTION).as_deref() {
        Err(_) | Ok("" | "ours") => Ok(vec![Flavour::Ours]),
        Ok("stock") => Ok(vec![Flavour::Stock]),
        Ok("both") => Ok(vec![Flavour::Stock, Flavour::Ours]),
        Ok(other) => bail!("{SELECTION} is {other:?}; there is stock, ours and both"),
    }
}

/// The containerd that scenarios are played on.
fn runtime() -> Result<Version> {
    match env::var(RUNTIME).as_deref() {
        Err(_) | Ok("") => Ok(Version::V2_4),
        Ok(version) => version.parse().with_context(|| format!("{RUNTIME} is {version:?}")),
    }
}

/// What keeps a scenario from being played on this flavour here, if anything.
pub fn lacking(flavour: Flavour) -> Option<String> {
    parts::lacking(&["kube-apiserver", "containerd"]).or_else(|| flavour.lacking())
}
