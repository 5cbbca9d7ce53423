//! The short-lived process that does what may hang: it reads one [`Deed`] from its standard input, does
//! it, writes the result to its standard output and ends.
//!
//! `bulkhead mount-worker` is this; [`crate::adapters::workers`] starts it. When a deed hangs, it is this
//! process that hangs, and volume-mounter goes on.

use crate::{adapters::kernel, ports::Deed};
use std::{
    io::{self, Read, Write},
    process::ExitCode,
};

/// The hidden sub-command under which the executable runs [`main`].
pub const COMMAND: &str = "mount-worker";

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Standard input or output failed.
    #[error("could not talk to volume-mounter")]
    Pipe(#[from] io::Error),
    /// What was read is no deed.
    #[error("could not read the deed")]
    Deed(#[from] serde_json::Error),
}

/// Does the one deed that standard input tells of.
pub fn main() -> ExitCode {
    match work(io::stdin().lock(), io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody reads more than the exit code; the caller says what the deed was.
        Err(_) => ExitCode::FAILURE,
    }
}

fn work(mut from: impl Read, mut to: impl Write) -> Result<(), Error> {
    let mut text = Vec::new();
    from.read_to_end(&mut text)?;
    let deed: Deed = serde_json::from_slice(&text)?;
    let result = kernel::perform(&deed).map_err(|failure| chassis::error::chain(&failure));
    to.write_all(&serde_json::to_vec(&result)?)?;
    Ok(to.flush()?)
}
