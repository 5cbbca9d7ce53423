//! volume-mounter
