//! What binds a process to the outside: signals, and its supervisor, who sees it live and whose loss it sees.

use crate::Stop;
use std::{
    io,
    os::{fd::AsFd, unix::net::UnixStream as StdUnixStream},
    time::Duration,
};
use tokio::{
    io::AsyncReadExt,
    net::UnixStream,
    signal::unix::{Signal, SignalKind, signal},
    time::{MissedTickBehavior, interval},
};

/// How often a process shows its supervisor that it does not stand still.
pub const BEAT: Duration = Duration::from_secs(5);

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

/// Tells `stop` when standard input, a socket whose other end the supervisor holds, is closed: the supervisor is gone,
/// however it went. Meanwhile a byte goes up it every [`BEAT`], as a sign that this thread still turns.
///
/// # Errors
/// When standard input is no socket.
pub(crate) fn watch_supervisor(stop: Stop) -> io::Result<()> {
    let input = StdUnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    input.local_addr()?;
    input.set_nonblocking(true)?;
    let (mut lifeline, pulse) = UnixStream::from_std(input)?.into_split();
    actix::spawn(async move {
        let mut ignored = [0; 16];
        while matches!(lifeline.read(&mut ignored).await, Ok(1..)) {}
        stop.tell("the supervisor is gone");
    });
    actix::spawn(async move {
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beats.tick().await;
            // A supervisor that does not read has beats enough, and one that is gone needs none.
            let _ = pulse.try_write(&[0]);
        }
    });
    Ok(())
}
