//! The small structures that single fields of `KubeletConfiguration` hold.

use super::{choices::SwapBehavior, duration::GoDuration, table::table};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use std::{collections::BTreeMap, fmt};

table! {
    /// `memorySwap`.
    MemorySwap {
        /// Who may swap.
        "swapBehavior" swap_behavior: SwapBehavior = SwapBehavior::NoSwap;
    }
}

table! {
    /// `crashLoopBackOff`.
    CrashLoopBackOff {
        /// The longest wait before a container is started again: 1 s to 300 s.
        "maxContainerRestartPeriod" max_container_restart_period: GoDuration = GoDuration::seconds(300);
    }
}

table! {
    /// `userNamespaces`.
    UserNamespaces {
        /// Ids in each pod's namespace: a multiple of 65536.
        "idsPerPod" ids_per_pod: i64 = 65536;
    }
}

/// An entry of `reservedMemory`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MemoryReservation {
    /// Number of the NUMA node.
    pub numa_node: u32,
    /// `memory` or `hugepages-<size>` to a quantity.
    pub limits: BTreeMap<String, String>,
}

/// An entry of `shutdownGracePeriodByPodPriority`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShutdownByPriority {
    /// For pods of this priority up to that of the next entry.
    pub priority: i32,
    /// Seconds that they get.
    pub shutdown_grace_period_seconds: i64,
}

/// Headers for `staticPodURL`. They may hold a token, so their values show neither in `Debug` nor in
/// what is serialized; [`RequestHeaders::reveal`] is the only way to them.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct RequestHeaders(BTreeMap<String, Vec<String>>);

/// What stands in a header's place where it must not show; upstream masks with the same word.
pub(super) const MASKED: &str = "<masked>";

impl RequestHeaders {
    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The headers themselves.
    pub fn reveal(&self) -> &BTreeMap<String, Vec<String>> {
        &self.0
    }
}

impl From<BTreeMap<String, Vec<String>>> for RequestHeaders {
    fn from(headers: BTreeMap<String, Vec<String>>) -> Self {
        Self(headers)
    }
}

impl fmt::Debug for RequestHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.keys().map(|name| (name, MASKED))).finish()
    }
}

impl Serialize for RequestHeaders {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for name in self.0.keys() {
            map.serialize_entry(name, &[MASKED])?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_show_nowhere() {
        let headers: RequestHeaders = serde_json::from_str(r#"{"Authorization": ["Bearer x"]}"#).unwrap();
        assert_eq!(format!("{headers:?}"), r#"{"Authorization": "<masked>"}"#);
        assert_eq!(serde_json::to_string(&headers).unwrap(), r#"{"Authorization":["<masked>"]}"#);
        assert_eq!(headers.reveal()["Authorization"], ["Bearer x"]);
    }
}
