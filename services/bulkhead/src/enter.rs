//! `bulkhead enter <process>`: the step between the supervisor and a process, in which rights are
//! given up. Not for people; the supervisor calls it.
//!
//! A step of its own, because between fork and exec nothing safe can be done, and because the program
//! that gives up its rights is then not the one that could use them. What is set here holds for the
//! process and all that it starts: user and groups, the capabilities of [`crate::privileges`], no way
//! to new ones, and a signal when the supervisor dies.

use crate::{cli::Enter, privileges::capabilities, process::Process};
use chassis::identity::Identity;
use rustix::{
    io::Errno,
    process::{Gid, Pid, Signal, Uid, getppid, set_parent_process_death_signal},
    thread::{
        CapabilitySet, CapabilitySets, capability_is_in_bounding_set, configure_capability_in_ambient_set,
        remove_capability_from_bounding_set, set_capabilities, set_keep_capabilities, set_no_new_privs,
        set_thread_groups, set_thread_res_gid, set_thread_res_uid,
    },
};
use std::{
    convert::Infallible,
    ffi::OsString,
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitCode},
};

/// Why a process could not be entered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotEntered {
    /// The kernel refused a step.
    #[error("could not {step} for {process}")]
    Step {
        /// Which.
        step: &'static str,
        /// For whom.
        process: Process,
        /// Why not.
        #[source]
        source: Errno,
    },
    /// The supervisor has gone meanwhile.
    #[error("the supervisor is gone")]
    Orphan,
    /// The program could not be executed.
    #[error("could not execute {program:?}")]
    Exec {
        /// Which.
        program: OsString,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Becomes `command` as `process`. Returns only when that failed.
///
/// # Errors
/// See [`NotEntered`].
fn enter(process: Process, supervisor: u32, command: &[OsString]) -> Result<Infallible, NotEntered> {
    let wanted = capabilities(process, Path::new("/run/systemd/system").is_dir());
    let step = |step| move |source| NotEntered::Step { step, process, source };
    give_up_rights(process.identity(), wanted).map_err(step("give up rights"))?;
    set_no_new_privs(true).map_err(step("rule out new rights"))?;
    set_parent_process_death_signal(Some(farewell(process))).map_err(step("ask for the farewell signal"))?;
    // In a container of its own a process has no parent that it could see: that is 0.
    if getppid().map_or(0, Pid::as_raw_pid).cast_unsigned() != supervisor {
        return Err(NotEntered::Orphan);
    }
    let (program, arguments) = command.split_first().ok_or(NotEntered::Orphan)?;
    let source = Command::new(program).arg0(shown(process)).args(arguments).exec();
    Err(NotEntered::Exec { program: program.clone(), source })
}

/// What process listings show first.
fn shown(process: Process) -> &'static str {
    match process {
        Process::Bus => process.name(),
        Process::Service(_) => "bulkhead",
    }
}

/// What a process hears when the supervisor dies. A service finishes the effect in hand; the bus
/// server has none, and must not outlive the one who knows its port.
fn farewell(process: Process) -> Signal {
    match process {
        Process::Bus => Signal::KILL,
        Process::Service(_) => Signal::TERM,
    }
}

fn give_up_rights(identity: Identity, wanted: CapabilitySet) -> Result<(), Errno> {
    let kept = bound_to(wanted)?;
    // Without it, the change of user would take the capabilities along.
    set_keep_capabilities(true)?;
    let gid = Gid::from_raw(identity.gid);
    set_thread_groups(&[])?;
    set_thread_res_gid(gid, gid, gid)?;
    let uid = Uid::from_raw(identity.uid);
    set_thread_res_uid(uid, uid, uid)?;
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable: kept })?;
    for capability in kept.iter() {
        configure_capability_in_ambient_set(capability, true)?;
    }
    Ok(())
}

/// Takes all other capabilities out of the bounding set for good. Those that this machine does not
/// give to root in the first place are not kept either.
fn bound_to(wanted: CapabilitySet) -> Result<CapabilitySet, Errno> {
    let mut kept = CapabilitySet::empty();
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        match capability_is_in_bounding_set(capability) {
            Ok(true) if wanted.contains(capability) => kept |= capability,
            Ok(true) => remove_capability_from_bounding_set(capability)?,
            Ok(false) => {}
            // The kernel knows no capability of this number.
            Err(Errno::INVAL) => break,
            Err(other) => return Err(other),
        }
    }
    Ok(kept)
}

/// `bulkhead enter`.
///
/// # Errors
/// See [`NotEntered`].
pub(crate) fn command(asked: &Enter) -> anyhow::Result<ExitCode> {
    match enter(asked.process, asked.supervisor, &asked.command)? {}
}
