//! Whether the kernel enforces AppArmor profiles.

use std::fs;

/// The kernel's own word; no where there is none.
pub fn is_enabled() -> bool {
    fs::read_to_string("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.trim() == "Y")
}
