//! How a node comes to be in the API, and what of an existing node is brought up to date.
//!
//! | state | on | becomes | and does |
//! |---|---|---|---|
//! | Unknown | begin | Creating | POST |
//! | Creating | ok | Registered | |
//! | Creating | exists, or forbidden | Reading | GET |
//! | Reading | ok, stale | Reconciling | PATCH |
//! | Reading | ok | Registered | |
//! | Reconciling | ok | Registered | |
//! | any of them | failure | Unknown | waits, then begins again |
//! | Registered | the object is gone | Deleted | waits for another to make it, as the stock kubelet does |

use super::compose;
use crate::core::failure::Failure;
use chassis::config::NodeConfig;
use k8s_openapi::api::core::v1::Node;
use serde_json::{Map, Value, json};

/// Where registration stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Registration {
    /// Nothing is under way.
    #[default]
    Unknown,
    /// A POST is under way.
    Creating,
    /// A GET is under way.
    Reading,
    /// A PATCH is under way.
    Reconciling,
    /// The API server has the node.
    Registered,
    /// It had, and somebody deleted it.
    Deleted,
}

/// What to ask of the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// POST the node.
    Create,
    /// GET it.
    Read,
    /// PATCH what is stale.
    Reconcile,
    /// It is done.
    Done,
    /// Begin again after a pause.
    Again,
}

impl Registration {
    /// Begins. A node that does not register itself (`registerNode: false`) waits for somebody else to.
    pub(crate) fn begin(self, registers: bool) -> (Self, Step) {
        if registers { (Self::Creating, Step::Create) } else { (Self::Reading, Step::Read) }
    }

    /// Goes on with an answer; `stale` tells whether the node that was read has to be patched.
    pub(crate) fn answered(self, answer: Result<bool, &Failure>) -> (Self, Step) {
        match (self, answer) {
            (Self::Creating, Err(Failure::AlreadyExists | Failure::Forbidden(_))) => {
                (Self::Reading, Step::Read)
            }
            (Self::Reading, Ok(true)) => (Self::Reconciling, Step::Reconcile),
            (_, Ok(_)) => (Self::Registered, Step::Done),
            (_, Err(_)) => (Self::Unknown, Step::Again),
        }
    }

    /// Whether the API server has the node.
    pub(crate) fn is_registered(self) -> bool {
        self == Self::Registered
    }
}

/// The patch that brings a node that was registered before up to date; `None` when it is. Labels that
/// somebody else set, and taints, stay: those of the configuration count at the first registration.
pub(crate) fn stale(existing: &Node, config: &NodeConfig) -> Option<Value> {
    let metadata = &existing.metadata;
    let mut patch = Map::new();
    let labels = metadata.labels.clone().unwrap_or_default();
    let new_labels: Map<String, Value> = compose::default_labels(config)
        .into_iter()
        .filter(|(name, value)| labels.get(name) != Some(value))
        .map(|(name, value)| (name, json!(value)))
        .collect();
    if !new_labels.is_empty() {
        patch.insert("labels".to_owned(), new_labels.into());
    }
    let has = metadata.annotations.as_ref().and_then(|annotations| annotations.get(compose::MANAGED_ATTACH));
    let wanted = compose::annotations(config).remove(compose::MANAGED_ATTACH);
    if has != wanted.as_ref() {
        patch.insert("annotations".to_owned(), json!({ compose::MANAGED_ATTACH: wanted }));
    }
    (!patch.is_empty()).then(|| json!({ "metadata": patch }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::node::fixtures::config;
    use Registration::{Creating, Reading, Reconciling, Registered, Unknown};

    /// A sentence, a state and an answer to it, and what follows.
    type Row<'a> = (&'a str, Registration, Result<bool, &'a Failure>, Registration, Step);

    #[test]
    fn a_node_is_made_or_adopted() {
        let forbidden = Failure::Forbidden(String::new());
        let cases: &[Row] = &[
            ("a new node", Creating, Ok(false), Registered, Step::Done),
            ("one that was there", Creating, Err(&Failure::AlreadyExists), Reading, Step::Read),
            ("one that may not be made again", Creating, Err(&forbidden), Reading, Step::Read),
            ("it is as it should be", Reading, Ok(false), Registered, Step::Done),
            ("it is stale", Reading, Ok(true), Reconciling, Step::Reconcile),
            ("it was mended", Reconciling, Ok(false), Registered, Step::Done),
            ("it was not", Reconciling, Err(&Failure::Conflict), Unknown, Step::Again),
            ("it went away meanwhile", Reading, Err(&Failure::NotFound), Unknown, Step::Again),
            ("nobody answers", Creating, Err(&Failure::Later(None)), Unknown, Step::Again),
        ];
        for (name, state, answer, then, step) in cases {
            assert_eq!(state.answered(*answer), (*then, *step), "{name}");
        }
        assert_eq!(Unknown.begin(false), (Reading, Step::Read), "somebody else registers the node");
    }

    #[test]
    fn only_what_is_the_nodes_own_is_brought_up_to_date() {
        let config = config();
        let mut node = Node::default();
        node.metadata.labels = Some(compose::default_labels(&config));
        node.metadata.annotations = Some(compose::annotations(&config));
        assert_eq!(stale(&node, &config), None);

        let labels = node.metadata.labels.as_mut().unwrap();
        labels.insert("zone".to_owned(), "a".to_owned());
        labels.insert("kubernetes.io/hostname".to_owned(), "old".to_owned());
        node.metadata.annotations = None;
        let want = json!({"metadata": {
            "labels": {"kubernetes.io/hostname": "node-1"},
            "annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
        }});
        assert_eq!(stale(&node, &config), Some(want));
    }

    #[test]
    fn an_annotation_that_no_longer_holds_is_taken_back() {
        let mut config = config();
        let mut node = Node::default();
        node.metadata.labels = Some(compose::default_labels(&config));
        node.metadata.annotations = Some(compose::annotations(&config));
        config.kubelet.enable_controller_attach_detach = false;
        let patch = stale(&node, &config).unwrap();
        assert_eq!(patch["metadata"]["annotations"][compose::MANAGED_ATTACH], Value::Null);
    }
}
