//! api-gate
