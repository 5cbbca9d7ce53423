//! Operations as netlink's bytes. Pure. The numbers are those of `linux/netfilter/nf_tables.h` and `nfnetlink.h`.

use super::{
    attributes::{self, Bytes, HEADER},
    expressions,
};
use crate::core::{
    address::Family,
    nft::{
        layout::TABLE,
        operation::{
            BaseChain, Chain, ChainType, Data, Field, Hook, Kind, Operation, Reach, Set, SetElement, SetKind,
            Value,
        },
    },
};

/// Message and family header together.
const HEADERS: usize = 20;
const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const BATCH_GENERATION: u16 = 1;
const GET_TABLE: u16 = 1;
/// Rules.
pub(super) const GET_RULE: u16 = 7;
/// Sets and maps, without their elements.
pub(super) const GET_SET: u16 = 10;
const GET_GENERATION: u16 = 16;

const REQUEST: u16 = 1;
const ACK: u16 = 4;
const DUMP: u16 = 0x300;
const EXCLUSIVE: u16 = 0x200;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;

const LIST_ITEM: u16 = 1;
const ELEMENTS: u16 = 3;

/// A transaction as bytes. Its beginning has a number, each operation the next one.
#[derive(Debug)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    starts: Vec<usize>,
    /// Where the message begins that has all of it carried out.
    end: usize,
    first: u32,
}

impl Batch {
    /// The batch of operations, with numbers from `first` on.
    pub(super) fn of(operations: &[Operation], first: u32, generation: Option<u32>) -> Self {
        let mut out = Bytes::default();
        let mut starts = Vec::with_capacity(operations.len());
        message(&mut out, Head::batch(BATCH_BEGIN, first), |out| {
            generation.iter().for_each(|number| out.number(BATCH_GENERATION, *number));
        });
        let mut number = first;
        for operation in operations {
            number = number.wrapping_add(1);
            starts.push(out.0.len());
            let is_last = starts.len() == operations.len();
            write(&mut out, operation, number, if is_last { ACK } else { 0 });
        }
        let end = out.0.len();
        message(&mut out, Head::batch(BATCH_END, number.wrapping_add(1)), |_| ());
        Self { bytes: out.0, starts, end, first }
    }

    /// All of it but its end: the kernel looks at what it would do, and does not do it.
    pub(super) fn unfinished(&self) -> &[u8] {
        self.bytes.get(..self.end).unwrap_or_default()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The number of the last operation, which the kernel acknowledges once all are done.
    pub(super) fn last(&self) -> u32 {
        self.first.wrapping_add(u32::try_from(self.starts.len()).unwrap_or(u32::MAX))
    }

    /// The place of the operation of a number; none is that of the batch itself.
    pub(super) fn place(&self, number: u32) -> Option<usize> {
        let place = number.wrapping_sub(self.first).checked_sub(1)?;
        usize::try_from(place).ok().filter(|place| *place < self.starts.len())
    }

    /// Which element of an operation's list begins, or has something that begins, so many bytes into its message.
    pub(super) fn element_at(&self, place: usize, offset: usize) -> Option<usize> {
        let start = *self.starts.get(place)?;
        let body = self.bytes.get(start + HEADERS..)?;
        let list = attributes::read(body).find(|it| it.type_ == ELEMENTS)?;
        let within = offset.checked_sub(HEADERS + list.start + HEADER)?;
        let items = attributes::read(list.value);
        let begun = items.take_while(|item| item.start <= within).count();
        (within < list.value.len()).then(|| begun.saturating_sub(1))
    }
}

/// Asks for the number of the newest transaction.
pub(super) fn get_generation(number: u32) -> Vec<u8> {
    let mut out = Bytes::default();
    let type_ = (SUBSYSTEM << 8) | GET_GENERATION;
    message(&mut out, Head { type_, flags: REQUEST, number, family: 0, resource: 0 }, |_| ());
    out.0
}

/// Asks for our table of a family.
pub(super) fn get_table(family: Family, number: u32) -> Vec<u8> {
    get(GET_TABLE, 0, family, number)
}

/// Asks for what is in our table of a family: [`GET_RULE`] or [`GET_SET`].
pub(super) fn dump(what: u16, family: Family, number: u32) -> Vec<u8> {
    get(what, DUMP, family, number)
}

fn get(what: u16, flags: u16, family: Family, number: u32) -> Vec<u8> {
    let mut out = Bytes::default();
    let head = Head {
        type_: (SUBSYSTEM << 8) | what,
        flags: REQUEST | flags,
        number,
        family: protocol_family(family),
        resource: 0,
    };
    message(&mut out, head, |out| out.text(1, TABLE));
    out.0
}

/// What stands before a message's attributes.
struct Head {
    type_: u16,
    flags: u16,
    number: u32,
    family: u8,
    resource: u16,
}

impl Head {
    fn batch(type_: u16, number: u32) -> Self {
        Self { type_, flags: REQUEST, number, family: 0, resource: SUBSYSTEM }
    }
}

fn message(out: &mut Bytes, head: Head, fill: impl FnOnce(&mut Bytes)) {
    let start = out.0.len();
    out.0.extend([0; 4]);
    out.0.extend(head.type_.to_ne_bytes());
    out.0.extend(head.flags.to_ne_bytes());
    out.0.extend(head.number.to_ne_bytes());
    out.0.extend([0; 4]);
    out.0.extend([head.family, 0]);
    out.0.extend(head.resource.to_be_bytes());
    fill(out);
    let length = u32::try_from(out.0.len() - start).unwrap_or(u32::MAX);
    out.0[start..start + 4].copy_from_slice(&length.to_ne_bytes());
}

fn write(out: &mut Bytes, operation: &Operation, number: u32, ack: u16) {
    let (type_, flags) = match &operation.kind {
        Kind::AddTable => (0, CREATE),
        Kind::DeleteTable => (2, 0),
        Kind::AddChain(_) => (3, CREATE | EXCLUSIVE),
        Kind::DeleteChain(_) => (5, 0),
        Kind::AddRule { .. } => (6, CREATE | APPEND),
        Kind::AddSet(_) => (9, CREATE | EXCLUSIVE),
        Kind::AddElements { .. } => (12, CREATE | EXCLUSIVE),
        Kind::DeleteElements { .. } => (14, 0),
    };
    let head = Head {
        type_: (SUBSYSTEM << 8) | type_,
        flags: REQUEST | flags | ack,
        number,
        family: protocol_family(operation.family),
        resource: 0,
    };
    message(out, head, |out| {
        out.text(1, TABLE);
        match &operation.kind {
            Kind::AddTable | Kind::DeleteTable => (),
            Kind::AddChain(it) => chain(out, it),
            Kind::DeleteChain(name) => out.text(3, name),
            Kind::AddRule { chain, rule } => {
                out.text(2, chain);
                out.nest(4, |out| rule.iter().for_each(|it| expressions::write(out, it, operation.family)));
            }
            Kind::AddSet(it) => set(out, it, number),
            Kind::AddElements { set, elements } => list(out, set, elements, true),
            Kind::DeleteElements { set, elements } => list(out, set, elements, false),
        }
    });
}

/// netfilter's number of a family.
pub(super) fn protocol_family(family: Family) -> u8 {
    match family {
        Family::V4 => 2,
        Family::V6 => 10,
    }
}

fn chain(out: &mut Bytes, chain: &Chain) {
    out.text(3, &chain.name);
    let Some(BaseChain { type_, hook, priority }) = chain.base else { return };
    let hook = match hook {
        Hook::Prerouting => 0,
        Hook::Input => 1,
        Hook::Forward => 2,
        Hook::Output => 3,
        Hook::Postrouting => 4,
    };
    let type_ = match type_ {
        ChainType::Filter => "filter",
        ChainType::Nat => "nat",
    };
    out.nest(4, |out| {
        out.number(1, hook);
        out.bytes(2, &priority.to_be_bytes());
    });
    out.number(5, expressions::ACCEPT);
    out.text(7, type_);
}

const INTERVAL: u32 = 4;
const MAP: u32 = 8;
const TIMEOUT: u32 = 0x10;
const EVALUATED: u32 = 0x20;
const CONCATENATED: u32 = 0x80;
const VERDICTS: u32 = 0xffff_ff00;

fn set(out: &mut Bytes, set: &Set, id: u32) {
    let is_concatenated = set.kind == SetKind::Intervals && set.key.len() > 1;
    let kind = match set.kind {
        SetKind::Plain => 0,
        SetKind::Intervals if is_concatenated => INTERVAL | CONCATENATED,
        SetKind::Intervals => INTERVAL,
        SetKind::Dynamic(_) => TIMEOUT | EVALUATED,
    };
    out.text(2, set.name);
    out.number(3, kind | set.data.as_ref().map_or(0, |_| MAP));
    out.number(4, data_type(&set.key));
    out.number(5, length(&set.key));
    match &set.data {
        None => (),
        Some(Data::Verdict) => out.number(6, VERDICTS),
        Some(Data::Fields(fields)) => {
            out.number(6, data_type(fields));
            out.number(7, length(fields));
        }
    }
    let field = |out: &mut Bytes, field: &Field| {
        out.nest(LIST_ITEM, |out| out.number(1, u32::try_from(field.length()).unwrap_or(0)));
    };
    match set.kind {
        SetKind::Dynamic(at_most) => out.nest(9, |out| out.number(1, at_most)),
        _ if is_concatenated => {
            out.nest(9, |out| out.nest(2, |out| set.key.iter().for_each(|it| field(out, it))));
        }
        _ => (),
    }
    out.number(10, id);
}

fn length(fields: &[Field]) -> u32 {
    u32::try_from(fields.iter().map(|field| field.padded()).sum::<usize>()).unwrap_or(u32::MAX)
}

/// What `nft list` shows fields as; the kernel does not mind. Words are shown as marks.
fn data_type(fields: &[Field]) -> u32 {
    let number = |field: &Field| match field {
        Field::Address(Family::V4) => 7,
        Field::Address(Family::V6) => 8,
        Field::Protocol => 12,
        Field::Port => 13,
        Field::Word => 19,
    };
    fields.iter().fold(0, |all, field| (all << 6) | number(field))
}

fn list(out: &mut Bytes, set: &str, elements: &[SetElement], with_values: bool) {
    out.text(2, set);
    out.nest(ELEMENTS, |out| {
        for element in elements {
            out.nest(LIST_ITEM, |out| item(out, element, with_values));
        }
    });
}

fn item(out: &mut Bytes, element: &SetElement, with_value: bool) {
    const END: u32 = 1;
    out.nest(1, |out| out.bytes(1, &element.key));
    match element.value.as_ref().filter(|_| with_value) {
        None => (),
        Some(Value::Data(data)) => out.nest(2, |out| out.bytes(1, data)),
        Some(Value::Verdict(verdict)) => out.nest(2, |out| expressions::verdict(out, verdict)),
    }
    match &element.reach {
        Reach::Key => (),
        Reach::End => out.number(3, END),
        Reach::To(key) => out.nest(10, |out| out.bytes(1, key)),
    }
}

#[cfg(test)]
mod tests;
