//! Where faults are made: a fresh cluster of one node with a [`Vigil`] kept over its pods.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::containerd::Version;
use crate::control_plane::ControlPlane;
use crate::ground::Ground;
use crate::kubelet::Flavour;
use crate::node::Node;
use crate::scene;
use crate::vigil::Vigil;

/// How long the stock kubelet may take to be itself again.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node under observation.
pub struct Ward<F = ()> {
    /// The watch over its pods.
    pub vigil: Vigil,
    /// What stands between the node and the world.
    pub between: F,
    /// The node.
    pub node: Node,
    /// The cluster.
    pub plane: ControlPlane,
    /// What everything stands on.
    pub ground: Arc<Ground>,
    flavour: Flavour,
}

impl Ward {
    /// Plays a scenario on a node that nothing stands before, on each of these flavours.
    pub fn play(flavours: &[Flavour], scenario: impl Fn(&mut Ward) -> Result<()>) -> Result<()> {
        Ward::play_behind(flavours, |_, _| Ok(()), scenario)
    }
}

impl<F> Ward<F> {
    /// Plays a scenario on a node that `stand` puts something before, on each of these flavours. What can't be played
    /// here says why and counts as skipped.
    pub fn play_behind(
        flavours: &[Flavour],
        stand: impl Fn(&ControlPlane, &mut Node) -> Result<F>,
        scenario: impl Fn(&mut Ward<F>) -> Result<()>,
    ) -> Result<()> {
        for &flavour in flavours {
            if let Some(reason) = scene::lacking(flavour) {
                eprintln!("skipped: {reason}");
                continue;
            }
            let mut ward = Ward::raise(flavour, &stand)?;
            let played = scenario(&mut ward);
            played.with_context(|| ward.last_words())?;
        }
        Ok(())
    }

    fn raise(flavour: Flavour, stand: impl Fn(&ControlPlane, &mut Node) -> Result<F>) -> Result<Self> {
        let ground = Ground::new()?;
        let plane = ControlPlane::start(&ground)?;
        let mut node = Node::joined(&ground, &plane, 1, Version::V2_4)?;
        let between = stand(&plane, &mut node)?;
        node.start_kubelet(flavour, &plane)?;
        let vigil = Vigil::keep(&plane, "ward")?;
        Ok(Self { vigil, between, node, plane, ground, flavour })
    }

    /// Starts the kubelet again after it was killed.
    pub fn start_kubelet(&mut self) -> Result<()> {
        self.node.start_kubelet_alone(self.flavour)
    }

    /// Waits until the node has done what it was asked during the fault, which has just ended. Ours may take `grace`
    /// beyond what is usual; the stock kubelet, which backs off and polls, proves the scenario and not the time.
    pub fn caught_up(&self, grace: Duration) -> Result<()> {
        let grace = if self.flavour == Flavour::Ours { grace } else { PATIENCE };
        self.vigil.caught_up(Instant::now(), grace)
    }

    /// Fails when anything of the fault was to be seen on the pods watched over, or on the node.
    pub fn undisturbed(&self) -> Result<()> {
        self.vigil.undisturbed(self.node.runtime())
    }

    fn last_words(&mut self) -> String {
        let tail = self.node.kubelet().map(|kubelet| kubelet.tail(15)).unwrap_or_default();
        format!("on the kubelet of {}, whose log ends:\n{tail}\n", self.flavour)
    }
}
