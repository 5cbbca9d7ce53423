//! A wire that can be bad: it carries the bytes of TCP or Unix connections, late, not at all for a while, or cut.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::Background;
use crate::netns::Netns;

/// What a connection may bring at once.
const CHUNK: usize = 64 * 1024;
/// Chunks that may be on their way in one direction.
const ON_THE_WAY: usize = 1024;
/// Pause before listening is tried again where the place is not free yet.
const AGAIN: Duration = Duration::from_millis(20);

/// What the wire does with what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Pass,
    /// What the client sends arrives so much later, in the same order; answers come at once.
    Delay(Duration),
    /// Connections stay and are accepted, but nothing moves.
    Stall,
    /// Connections are gone and refused.
    Cut,
}

/// One end of the wire.
#[derive(Clone, Debug)]
enum End {
    Tcp(SocketAddr),
    /// Reached from this address, by which its connections can be told from others.
    TcpFrom(SocketAddr, IpAddr),
    Unix(PathBuf),
}

/// A wire, whole at first. Dropped, it is cut.
pub struct Wire {
    mode: watch::Sender<Mode>,
    _carrier: Background,
}

impl Wire {
    /// Carries what connects to `near` on to `far`, both seen from within the namespace.
    pub fn tcp(netns: &Netns, near: SocketAddr, far: SocketAddr) -> Self {
        Self::start(End::Tcp(near), End::Tcp(far), |work| netns.spawn(work))
    }

    /// The same, with connections to `far` that come from another address than those to `near`.
    pub fn tcp_from(netns: &Netns, near: SocketAddr, far: SocketAddr, from: IpAddr) -> Self {
        Self::start(End::Tcp(near), End::TcpFrom(far, from), |work| netns.spawn(work))
    }

    /// Carries what connects to the socket at `near` on to the one at `far`.
    pub fn unix(near: impl Into<PathBuf>, far: impl Into<PathBuf>) -> Self {
        Self::start(End::Unix(near.into()), End::Unix(far.into()), |work| {
            thread::spawn(move || {
                work();
                Ok(())
            })
        })
    }

    fn start(
        near: End,
        far: End,
        spawn: impl FnOnce(Box<dyn FnOnce() + Send>) -> thread::JoinHandle<Result<()>>,
    ) -> Self {
        let (mode, modes) = watch::channel(Mode::Pass);
        Self { mode, _carrier: Background::start(move || listen(near, far, modes), spawn) }
    }

    /// Makes the wire good again.
    pub fn pass(&self) {
        self.mode.send_replace(Mode::Pass);
    }

    /// Lets what the client sends arrive later by `time`.
    pub fn delay(&self, time: Duration) {
        self.mode.send_replace(Mode::Delay(time));
    }

    /// Lets nothing through, in either direction, and tells nobody.
    pub fn stall(&self) {
        self.mode.send_replace(Mode::Stall);
    }

    /// Ends every connection and refuses new ones.
    pub fn cut(&self) {
        self.mode.send_replace(Mode::Cut);
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Listener {
    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Listener::Tcp(listener) => Box::new(listener.accept().await?.0),
            Listener::Unix(listener, _) => Box::new(listener.accept().await?.0),
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix(_, path) = self {
            // A socket that is not there any more refuses as well.
            let _ = fs::remove_file(path);
        }
    }
}

impl End {
    async fn listen(&self) -> io::Result<Listener> {
        Ok(match self {
            End::Tcp(address) | End::TcpFrom(address, _) => Listener::Tcp(TcpListener::bind(address).await?),
            End::Unix(path) => Listener::Unix(UnixListener::bind(path)?, path.clone()),
        })
    }

    async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            End::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            End::TcpFrom(address, from) => {
                let socket = if from.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
                socket.bind(SocketAddr::new(*from, 0))?;
                let stream = socket.connect(*address).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            End::Unix(path) => Box::new(UnixStream::connect(path).await?),
        })
    }
}

/// Listens whenever the wire is not cut.
async fn listen(near: End, far: End, mut mode: watch::Receiver<Mode>) {
    // An error of the channel means that the wire was dropped.
    while mode.wait_for(|mode| *mode != Mode::Cut).await.is_ok() {
        let Ok(listener) = near.listen().await else {
            tokio::time::sleep(AGAIN).await;
            continue;
        };
        let mut until = mode.clone();
        tokio::select! {
            () = accept(&listener, &far, &mode) => {}
            _ = until.wait_for(|mode| *mode == Mode::Cut) => {}
        }
    }
}

async fn accept(listener: &Listener, far: &End, mode: &watch::Receiver<Mode>) {
    while let Ok(near) = listener.accept().await {
        tokio::spawn(carry(near, far.clone(), mode.clone()));
    }
}

/// One connection, until either side ends it or the wire is cut.
async fn carry(near: Box<dyn Stream>, far: End, mode: watch::Receiver<Mode>) {
    // Where nobody listens at the far end the near one is told by the end of its connection.
    let Ok(far) = far.connect().await else { return };
    let ((near_out, near_in), (far_out, far_in)) = (split(near), split(far));
    let mut until = mode.clone();
    let requests = pump(near_out, far_in, mode.clone(), true);
    let answers = pump(far_out, near_in, mode, false);
    tokio::select! {
        _ = async { tokio::join!(requests, answers) } => {}
        _ = until.wait_for(|mode| *mode == Mode::Cut) => {}
    }
}

/// One direction, until its source ends or its sink is gone.
async fn pump(
    source: ReadHalf<Box<dyn Stream>>,
    sink: WriteHalf<Box<dyn Stream>>,
    mode: watch::Receiver<Mode>,
    is_request: bool,
) {
    let (sent, arriving) = mpsc::channel(ON_THE_WAY);
    tokio::join!(take_in(source, sent, mode.clone(), is_request), hand_out(sink, arriving, mode));
}

/// Takes in what comes, with the moment at which it is to arrive.
async fn take_in(
    mut source: ReadHalf<Box<dyn Stream>>,
    sent: mpsc::Sender<(Instant, Vec<u8>)>,
    mode: watch::Receiver<Mode>,
    is_request: bool,
) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(length @ 1..) = source.read(&mut chunk).await {
        let delay = match *mode.borrow() {
            Mode::Delay(time) if is_request => time,
            _ => Duration::ZERO,
        };
        if sent.send((Instant::now() + delay, chunk[..length].to_vec())).await.is_err() {
            return;
        }
    }
}

/// Hands out what has arrived, while the wire lets anything through.
async fn hand_out(
    mut sink: WriteHalf<Box<dyn Stream>>,
    mut arriving: mpsc::Receiver<(Instant, Vec<u8>)>,
    mut mode: watch::Receiver<Mode>,
) {
    while let Some((due, chunk)) = arriving.recv().await {
        sleep_until(due).await;
        if mode.wait_for(|mode| *mode != Mode::Stall).await.is_err() || sink.write_all(&chunk).await.is_err()
        {
            return;
        }
    }
    // The other side may be gone already, which is an end as well.
    let _ = sink.shutdown().await;
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::time::Instant;

    use anyhow::{Context, ensure};

    use super::*;
    use crate::wait;

    const SOON: Duration = Duration::from_secs(20);

    /// A wire to a server that says everything back, and the folder that holds its sockets.
    fn wire() -> (tempfile::TempDir, Wire) {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("far")).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                thread::spawn(move || io::copy(&mut stream.try_clone().unwrap(), &mut stream));
            }
        });
        let wire = Wire::unix(folder.path().join("near"), folder.path().join("far"));
        (folder, wire)
    }

    fn connect(folder: &tempfile::TempDir) -> UnixStream {
        wait::until("a connection", SOON, || Ok(UnixStream::connect(folder.path().join("near"))?)).unwrap()
    }

    fn echo(stream: &mut UnixStream) -> io::Result<()> {
        stream.write_all(b"hello")?;
        stream.read_exact(&mut [0; 5])
    }

    #[test]
    fn a_whole_wire_carries_both_ways() {
        let (folder, _wire) = wire();
        echo(&mut connect(&folder)).unwrap();
    }

    #[test]
    fn a_slow_wire_delays_what_is_asked() {
        let (folder, wire) = wire();
        let mut stream = connect(&folder);
        echo(&mut stream).unwrap();
        wire.delay(Duration::from_millis(200));
        let begin = Instant::now();
        echo(&mut stream).unwrap();
        assert!(begin.elapsed() >= Duration::from_millis(200), "{:?}", begin.elapsed());
    }

    #[test]
    fn a_slow_wire_carries_all_that_is_sent_at_once_at_once() {
        const TIMES: u32 = 20;
        let (folder, wire) = wire();
        let mut stream = connect(&folder);
        wire.delay(Duration::from_millis(200));
        let begin = Instant::now();
        for _ in 0..TIMES {
            stream.write_all(b"hello").unwrap();
        }
        stream.read_exact(&mut [0; 5 * TIMES as usize]).unwrap();
        let took = begin.elapsed();
        assert!(
            took >= Duration::from_millis(200) && took < Duration::from_millis(200) * TIMES / 2,
            "{took:?}"
        );
    }

    #[test]
    fn a_stalled_wire_holds_everything_until_it_passes_again() {
        let (folder, wire) = wire();
        let mut stream = connect(&folder);
        echo(&mut stream).unwrap();
        wire.stall();
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        assert_eq!(echo(&mut stream).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        connect(&folder); // is accepted all the same
        wire.pass();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.read_exact(&mut [0; 5]).unwrap();
    }

    #[test]
    fn a_cut_wire_ends_connections_and_refuses_new_ones() {
        let (folder, wire) = wire();
        let mut stream = connect(&folder);
        echo(&mut stream).unwrap();
        wire.cut();
        stream.set_read_timeout(Some(SOON)).unwrap();
        assert_eq!(stream.read(&mut [0; 5]).unwrap(), 0, "the connection is still there");
        wait::until("a refusal", SOON, || {
            let refused = UnixStream::connect(folder.path().join("near")).err().context("it was accepted")?;
            ensure!(refused.kind() == io::ErrorKind::NotFound, "{refused}");
            Ok(())
        })
        .unwrap();
        wire.pass();
        echo(&mut connect(&folder)).unwrap();
    }
}
