//! Links the executable to a fixed address.
//!
//! Ten processes run it on a node. A position-independent executable has its tables of pointers written anew at each
//! start, four megabytes that every process then has for itself; fixed ones stay in the file, and in memory once for all.

fn main() {
    println!("cargo::rustc-link-arg-bins=-no-pie");
    println!("cargo::rerun-if-changed=build.rs");
}
