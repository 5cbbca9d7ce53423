//! nf_tables by netlink: operations go in as one batch, which the kernel carries out as a whole or not at all. The kernel answers
//! while it is being sent to, so nobody waits for an answer.

mod attributes;
mod encode;
mod expressions;
mod look;
mod reply;

use crate::core::nft::operation::Operation;
use encode::Batch;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use reply::{Answer, Fault};
use rustix::net::sockopt::{set_socket_recv_buffer_size_force, set_socket_send_buffer_size_force};
use std::io;

/// Room beside a batch's bytes that the kernel counts against the send buffer.
const OVERHEAD: usize = 64 * 1024;
/// Room for answers: one for each operation of a batch that fails.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;

/// Why nothing was changed. Whatever it is, the kernel's tables are as they were.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket.
    #[error("could not {what} the netlink socket")]
    Socket {
        /// What failed.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An operation.
    #[error("the kernel refused to {operation}{}{}", at(.element), told(.said))]
    Refused {
        /// The operation at fault, the first if there are several.
        operation: String,
        /// Its place in the list.
        place: usize,
        /// Which of its elements, if it can be told.
        element: Option<usize>,
        /// What the kernel said.
        said: Option<String>,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The transaction as a whole, none of its operations.
    #[error("the kernel refused the transaction{}", told(.said))]
    Transaction {
        /// What the kernel said.
        said: Option<String>,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel did not answer.
    #[error("the kernel did not answer")]
    Unanswered,
}

fn at(element: &Option<usize>) -> String {
    element.map(|place| format!(", element {place}")).unwrap_or_default()
}

fn told(said: &Option<String>) -> String {
    said.as_ref().map(|said| format!(" ({said})")).unwrap_or_default()
}

fn socket_fault(what: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Socket { what, source }
}

/// The kernel's nf_tables, in the network namespace that the opening thread is in.
pub struct Netlink {
    socket: Socket,
    sequence: u32,
    room: usize,
}

impl Netlink {
    /// Opens a socket. Needs CAP_NET_ADMIN to be of use.
    pub fn open() -> Result<Self, Error> {
        let mut socket = Socket::new(NETLINK_NETFILTER).map_err(socket_fault("open"))?;
        socket.bind_auto().map_err(socket_fault("bind"))?;
        socket.connect(&SocketAddr::new(0, 0)).map_err(socket_fault("connect"))?;
        socket.set_non_blocking(true).map_err(socket_fault("set up"))?;
        socket.set_ext_ack(true).map_err(socket_fault("set up"))?;
        socket.set_cap_ack(true).map_err(socket_fault("set up"))?;
        set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER)
            .map_err(|source| socket_fault("make room in")(source.into()))?;
        Ok(Self { socket, sequence: 1, room: 0 })
    }

    /// The number of the newest transaction in this network namespace, whoever's it was.
    pub fn generation(&mut self) -> Result<u32, Error> {
        let sequence = self.next(1);
        self.send(&encode::get_generation(sequence))?;
        let answers = self.answers()?;
        let found = answers.iter().find_map(|answer| match answer {
            Answer::Generation(number) => Some(*number),
            _ => None,
        });
        found.ok_or(Error::Unanswered)
    }

    /// Carries out operations as one transaction: all, or none and an error. With a generation, only if no other transaction
    /// came after that one.
    pub fn commit(&mut self, operations: &[Operation], generation: Option<u32>) -> Result<(), Error> {
        if operations.is_empty() {
            return Ok(());
        }
        let batch = self.batch(operations, generation);
        self.send(batch.bytes())?;
        self.outcome(&batch, operations)
    }

    /// Whether the kernel would carry out operations as one transaction. Nothing is changed.
    pub fn check(&mut self, operations: &[Operation]) -> Result<(), Error> {
        if operations.is_empty() {
            return Ok(());
        }
        let batch = self.batch(operations, None);
        self.send(batch.unfinished())?;
        self.outcome(&batch, operations)
    }

    fn batch(&mut self, operations: &[Operation], generation: Option<u32>) -> Batch {
        let messages = u32::try_from(operations.len()).unwrap_or(u32::MAX).saturating_add(2);
        Batch::of(operations, self.next(messages), generation)
    }

    fn outcome(&self, batch: &Batch, operations: &[Operation]) -> Result<(), Error> {
        let answers = self.answers()?;
        let mut faults = answers.iter().filter_map(|answer| match answer {
            Answer::Fault(fault) => Some(fault),
            _ => None,
        });
        if let Some(fault) = faults.next() {
            return Err(told_of(fault, batch, operations));
        }
        let is_done = answers.contains(&Answer::Done(batch.last()));
        if is_done { Ok(()) } else { Err(Error::Unanswered) }
    }

    fn next(&mut self, messages: u32) -> u32 {
        let first = self.sequence;
        self.sequence = first.checked_add(messages).unwrap_or(1);
        first
    }

    /// A batch must come in one piece, so the send buffer must hold it.
    fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let needed = bytes.len() + OVERHEAD;
        if needed > self.room {
            set_socket_send_buffer_size_force(&self.socket, needed)
                .map_err(|source| socket_fault("make room in")(source.into()))?;
            self.room = needed;
        }
        self.socket.send(bytes, 0).map(drop).map_err(socket_fault("write to"))
    }

    fn answers(&self) -> Result<Vec<Answer>, Error> {
        let mut answers = Vec::new();
        loop {
            match self.socket.recv_from_full() {
                Ok((bytes, _)) => answers.extend(reply::read(&bytes)),
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => return Ok(answers),
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => (),
                Err(fault) => return Err(socket_fault("read from")(fault)),
            }
        }
    }
}

fn told_of(fault: &Fault, batch: &Batch, operations: &[Operation]) -> Error {
    let source = io::Error::from_raw_os_error(fault.errno);
    let said = fault.said.clone();
    let place = batch.place(fault.sequence);
    match place.and_then(|place| Some((place, operations.get(place)?))) {
        Some((place, operation)) => {
            let element = fault.offset.and_then(|offset| batch.element_at(place, offset));
            Error::Refused { operation: operation.to_string(), place, element, said, source }
        }
        None => Error::Transaction { said, source },
    }
}
