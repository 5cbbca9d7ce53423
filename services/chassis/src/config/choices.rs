//! Fields of `KubeletConfiguration` that take one of a few words. A word outside the list is
//! refused with the list.

use serde::{Deserialize, Serialize};

/// Declares an enum of words as they stand in files.
macro_rules! choice {
    ($(#[$meta:meta])* $name:ident { $( $(#[$doc:meta])* $variant:ident = $word:literal, )* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {
            $( $(#[$doc])* #[serde(rename = $word)] $variant, )*
        }

        impl $name {
            /// The word in files.
            pub const fn word(self) -> &'static str {
                match self { $( Self::$variant => $word, )* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

choice! {
    /// Who programs services on this node.
    ServiceProxy {
        /// proxy-programmer, by nf_tables.
        Nftables = "nftables",
        /// Somebody else, such as a kube-proxy beside.
        None = "none",
    }
}

choice! {
    /// How requests to 10250 are authorized.
    AuthorizationMode {
        /// Everything that is authenticated is allowed.
        AlwaysAllow = "AlwaysAllow",
        /// The API server is asked (SubjectAccessReview).
        Webhook = "Webhook",
    }
}

choice! {
    /// Whether an image that is already on the node is used without asking its registry again (KEP-2535).
    CredentialsVerification {
        /// Anyone may use any image.
        NeverVerify = "NeverVerify",
        /// Images that something else brought are free.
        NeverVerifyPreloadedImages = "NeverVerifyPreloadedImages",
        /// Images that something else brought are free if they stand in the list.
        NeverVerifyAllowlistedImages = "NeverVerifyAllowlistedImages",
        /// Every image is checked.
        AlwaysVerify = "AlwaysVerify",
    }
}

choice! {
    /// Who writes cgroups.
    CgroupDriver {
        /// The node writes the files.
        Cgroupfs = "cgroupfs",
        /// systemd is asked for slices and scopes.
        Systemd = "systemd",
    }
}

choice! {
    /// Which containers own whole CPUs.
    CpuManagerPolicy {
        /// None.
        None = "none",
        /// Guaranteed pods with whole CPU requests.
        Static = "static",
    }
}

choice! {
    /// Which containers own memory of a NUMA node.
    MemoryManagerPolicy {
        /// None.
        None = "None",
        /// Guaranteed pods.
        Static = "Static",
    }
}

choice! {
    /// What becomes of a pod whose resources do not lie on one NUMA node.
    TopologyManagerPolicy {
        /// Nothing is looked at.
        None = "none",
        /// The best is taken.
        BestEffort = "best-effort",
        /// Refused unless the placement is as good as can be.
        Restricted = "restricted",
        /// Refused unless it is one NUMA node.
        SingleNumaNode = "single-numa-node",
    }
}

choice! {
    /// What is placed together.
    TopologyManagerScope {
        /// Each container by itself.
        Container = "container",
        /// The pod as a whole.
        Pod = "pod",
    }
}

choice! {
    /// How a pod reaches itself through a service. Without effect: CNI plugins decide it.
    HairpinMode {
        /// The bridge is promiscuous.
        PromiscuousBridge = "promiscuous-bridge",
        /// Each veth has its hairpin flag set.
        HairpinVeth = "hairpin-veth",
        /// Nothing is done.
        None = "none",
    }
}

choice! {
    /// How changes of configMaps and secrets are noticed.
    ChangeDetection {
        /// Each use asks the API server.
        Get = "Get",
        /// Each use asks after a while.
        Cache = "Cache",
        /// What pods use is watched.
        Watch = "Watch",
    }
}

choice! {
    /// Whether containers may swap.
    SwapBehavior {
        /// Never.
        NoSwap = "NoSwap",
        /// Burstable pods, in proportion to their memory request.
        LimitedSwap = "LimitedSwap",
    }
}

choice! {
    /// What `memory.min` and `memory.low` protect under MemoryQoS.
    MemoryReservationPolicy {
        /// Nothing.
        None = "None",
        /// By QoS class.
        TieredReservation = "TieredReservation",
    }
}

choice! {
    /// How log lines look.
    LogFormat {
        /// klog's text.
        Text = "text",
        /// One JSON object per line.
        Json = "json",
    }
}

choice! {
    /// A level of the cgroup tree at which allocatable resources are enforced.
    AllocatableEnforcement {
        /// Nowhere.
        None = "none",
        /// All pods together.
        Pods = "pods",
        /// The system's cgroup.
        SystemReserved = "system-reserved",
        /// The same, CPU only.
        SystemReservedCompressible = "system-reserved-compressible",
        /// The node agents' cgroup.
        KubeReserved = "kube-reserved",
        /// The same, CPU only.
        KubeReservedCompressible = "kube-reserved-compressible",
    }
}
