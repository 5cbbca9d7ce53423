//! trace-recorder
