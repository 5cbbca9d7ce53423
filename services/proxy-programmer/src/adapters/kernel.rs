//! This machine's kernel: nf_tables by netlink, and the addresses of its interfaces.

use super::netlink::{Error, Netlink};
use crate::{
    core::nft::{inventory::Inventory, operation::Operation},
    ports::{Kernel, NotWritten},
};
use chassis::error;
use std::{collections::BTreeSet, net::IpAddr};

/// Errors that say nothing of what was to be written: the kernel's memory or buffers are full (ENOMEM, ENOBUFS, ENOSPC is
/// none of them), it is to be asked again (EAGAIN, EINTR, and ERESTART, which is no error of userspace), the right is missing (EPERM,
/// EACCES), or there is no nf_tables (EOPNOTSUPP, EPROTONOSUPPORT, EAFNOSUPPORT).
const NOBODYS_FAULT: [i32; 10] = [1, 4, 11, 12, 13, 85, 93, 95, 97, 105];

/// The kernel. The socket is opened when it is first needed, and anew after it failed.
#[derive(Default)]
pub(crate) struct NfTables {
    netlink: Option<Netlink>,
    /// The newest transaction up to which all are known to have left our tables alone.
    seen: Option<u32>,
}

impl NfTables {
    fn netlink(&mut self) -> Result<&mut Netlink, Error> {
        match &mut self.netlink {
            Some(netlink) => Ok(netlink),
            none => Ok(none.insert(Netlink::open()?)),
        }
    }

    fn noting<T>(&mut self, done: Result<T, Error>) -> Result<T, NotWritten> {
        done.map_err(|failure| {
            let told = not_written(&failure);
            if matches!(told, NotWritten::Failed(_)) {
                (self.netlink, self.seen) = (None, None);
            }
            told
        })
    }

    /// Our own transaction is the one after the last that was seen, unless somebody else's came between.
    fn committed(&mut self, operations: &[Operation]) -> Result<(), Error> {
        let before = match self.seen {
            Some(number) => number,
            None => self.netlink()?.generation()?,
        };
        self.netlink()?.commit(operations, None)?;
        let own = before.checked_add(1);
        self.seen =
            own.filter(|own| self.netlink().and_then(Netlink::generation).is_ok_and(|now| now == *own));
        Ok(())
    }

    fn intact(&mut self, own: &Inventory) -> Result<bool, Error> {
        let now = self.netlink()?.generation()?;
        if self.seen == Some(now) {
            return Ok(true);
        }
        // whoever changes something this very moment is looked at next time
        let Some(found) = self.netlink()?.look()? else { return Ok(true) };
        let is_intact = own.is(&found);
        self.seen = is_intact.then_some(now);
        Ok(is_intact)
    }
}

impl Kernel for NfTables {
    fn commit(&mut self, operations: &[Operation]) -> Result<(), NotWritten> {
        let done = self.committed(operations);
        self.noting(done)
    }

    fn ask(&mut self, operations: &[Operation]) -> Result<(), NotWritten> {
        let done = self.netlink().and_then(|netlink| netlink.check(operations));
        self.noting(done)
    }

    fn is_intact(&mut self, own: &Inventory) -> Result<bool, NotWritten> {
        let done = self.intact(own);
        self.noting(done)
    }

    fn addresses(&mut self) -> Option<BTreeSet<IpAddr>> {
        let interfaces = nix::ifaddrs::getifaddrs().ok()?;
        let addresses = interfaces.filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|at| IpAddr::V4(at.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|at| IpAddr::V6(at.ip())))
        });
        Some(addresses.collect())
    }
}

/// An error as far as it matters what follows from it.
fn not_written(failure: &Error) -> NotWritten {
    let why = error::chain(failure);
    match failure {
        Error::Refused { source, .. } | Error::Transaction { source, .. }
            if source.raw_os_error().is_some_and(|number| !NOBODYS_FAULT.contains(&number)) =>
        {
            NotWritten::Refused(why)
        }
        _ => NotWritten::Failed(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn only_what_the_kernel_finds_fault_with_is_refused() {
        let refused = |number| Error::Refused {
            operation: "add 1 elements to services".into(),
            place: 7,
            element: None,
            said: None,
            source: io::Error::from_raw_os_error(number),
        };
        let cases = [
            ("it is there already", refused(17), true),
            ("it is not there", refused(2), true),
            ("a value that is none", refused(22), true),
            ("no room in the set", refused(23), true),
            ("no memory", refused(12), false),
            ("no right", refused(1), false),
            ("somebody else was quicker", refused(85), false),
            ("no such thing in this kernel", refused(95), false),
            ("no answer", Error::Unanswered, false),
        ];
        for (sentence, failure, is_refused) in cases {
            let told = not_written(&failure);
            assert_eq!(matches!(told, NotWritten::Refused(_)), is_refused, "{sentence}: {told:?}");
        }
    }
}
