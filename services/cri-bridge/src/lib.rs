//! cri-bridge
