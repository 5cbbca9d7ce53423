//! What ends a process from outside: signals, and the loss of the supervisor.

use crate::Stop;
use std::{io, os::fd::AsFd};
use tokio::{
    io::AsyncReadExt,
    net::unix::pipe,
    signal::unix::{Signal, SignalKind, signal},
};

/// Tells `stop` at the first SIGTERM or SIGINT.
///
/// # Errors
/// When the kernel lets no handler be set.
pub(crate) fn watch_signals(stop: Stop) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    actix::spawn(async move {
        // Both receivers are cancel-safe, and one signal is enough.
        let why = tokio::select! {
            () = told(&mut terminate) => "SIGTERM",
            () = told(&mut interrupt) => "SIGINT",
        };
        stop.tell(why);
    });
    Ok(())
}

async fn told(signal: &mut Signal) {
    signal.recv().await;
}

/// Tells `stop` when standard input, the read end of a pipe whose other end the supervisor holds,
/// is closed: the supervisor is gone, however it went.
///
/// # Errors
/// When standard input is no pipe.
pub(crate) fn watch_supervisor(stop: Stop) -> io::Result<()> {
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    let mut lifeline = pipe::Receiver::from_owned_fd(input)?;
    actix::spawn(async move {
        let mut ignored = [0; 16];
        while matches!(lifeline.read(&mut ignored).await, Ok(1..)) {}
        stop.tell("the supervisor is gone");
    });
    Ok(())
}
