//! Links the executable so that the ten processes which run it on a node take little memory.
//!
//! To a fixed address: a position-independent executable has its tables of pointers written anew at each start, four
//! megabytes that every process then has for itself; fixed ones stay in the file, and in memory once for all. And with
//! functions of the same code laid together, where the linker is LLD: rustc's own for x86-64 Linux with glibc.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-link-arg-bins=-no-pie");
    let target = env::var("TARGET").unwrap_or_default();
    if target == "x86_64-unknown-linux-gnu" {
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
    }
}
