//! Contracts that others own, compiled: gRPC clients and servers with their messages.
//!
//! Seen only by the services that speak a contract (cri-bridge: [`runtime::v1`], prober:
//! [`grpc::health::v1`]) and by the stand-ins in tests. Our own messages are in `messages`.

/// The Container Runtime Interface.
pub mod runtime {
    /// `runtime.v1` of k8s.io/cri-api v0.36.3.
    pub mod v1 {
        tonic::include_proto!("runtime.v1");

        impl std::fmt::Debug for AuthConfig {
            /// Tells for which registry, and nothing secret.
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct("AuthConfig")
                    .field("server_address", &self.server_address)
                    .finish_non_exhaustive()
            }
        }
    }
}

/// gRPC's own services.
pub mod grpc {
    /// Health checking.
    pub mod health {
        /// `grpc.health.v1`.
        pub mod v1 {
            tonic::include_proto!("grpc.health.v1");
        }
    }
}
