//! Compiles the contracts with protox, so that no `protoc` is needed and nothing generated is
//! checked in.

use std::{error::Error, path::Path};

const CONTRACTS: [&str; 2] = ["runtime/v1/api.proto", "grpc/health/v1/health.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for contract in CONTRACTS {
        println!("cargo::rerun-if-changed={contract}");
    }
    let descriptors = protox::compile(CONTRACTS.map(|contract| here.join(contract)), [here])?;
    // An AuthConfig holds passwords: its Debug is written by hand in src/lib.rs.
    tonic_prost_build::configure().skip_debug(["runtime.v1.AuthConfig"]).compile_fds(descriptors)?;
    Ok(())
}
