//! status-reporter
