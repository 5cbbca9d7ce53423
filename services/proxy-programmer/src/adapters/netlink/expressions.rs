//! Expressions and verdicts as netlink's bytes. Pure.

use super::{attributes::Bytes, encode::protocol_family};
use crate::core::{
    address::Family,
    nft::expression::{Answer, Ct, DynsetChange, Expression, Found, Header, Meta, Register, Verdict},
};

/// The verdict to accept, which a base chain's policy is as well.
pub(super) const ACCEPT: u32 = 1;
const DROP: u32 = 0;
const JUMP: i32 = -3;
const GOTO: i32 = -4;
const RETURN: i32 = -5;

const LIST_ITEM: u16 = 1;
/// The first of the registers of 4 bytes.
const FIRST_WORD: u32 = 8;
const VERDICT_REGISTER: u32 = 0;
const VALUE: u16 = 1;

fn register(register: Register) -> u32 {
    FIRST_WORD + register.0
}

/// Writes an expression, as an item of a rule's list.
pub(super) fn write(out: &mut Bytes, expression: &Expression, family: Family) {
    out.nest(LIST_ITEM, |out| {
        out.text(1, name(expression));
        out.nest(2, |out| data(out, expression, family));
    });
}

fn name(expression: &Expression) -> &'static str {
    match expression {
        Expression::Payload { .. } => "payload",
        Expression::Meta { .. } => "meta",
        Expression::Ct { .. } => "ct",
        Expression::And { .. } => "bitwise",
        Expression::Compare { .. } => "cmp",
        Expression::Lookup { .. } => "lookup",
        Expression::Random { .. } => "numgen",
        Expression::Dynset { .. } => "dynset",
        Expression::Dnat { .. } => "nat",
        Expression::Masquerade => "masq",
        Expression::Reject(_) => "reject",
        Expression::Verdict(_) => "immediate",
    }
}

fn data(out: &mut Bytes, expression: &Expression, family: Family) {
    match expression {
        Expression::Payload { to, header, offset, length } => {
            let header = match header {
                Header::Network => 1,
                Header::Transport => 2,
            };
            numbers(out, &[register(*to), header, *offset, *length]);
        }
        Expression::Meta { to, key } => {
            let key = match key {
                Meta::InputInterface => 6,
                Meta::L4Proto => 16,
            };
            numbers(out, &[register(*to), key]);
        }
        Expression::Ct { to, key } => ct(out, *to, *key),
        Expression::And { register: at, mask } => {
            numbers(out, &[register(*at), register(*at), 4]);
            out.nest(4, |out| out.bytes(VALUE, &mask.to_ne_bytes()));
            out.nest(5, |out| out.bytes(VALUE, &[0; 4]));
        }
        Expression::Compare { register: at, equal, value } => {
            numbers(out, &[register(*at), u32::from(!equal)]);
            out.nest(3, |out| out.bytes(VALUE, value));
        }
        Expression::Lookup { set, key, found } => {
            out.text(1, set);
            out.number(2, register(*key));
            match found {
                Found::Member => (),
                Found::Data(to) => out.number(3, register(*to)),
                Found::Verdict => out.number(3, VERDICT_REGISTER),
            }
        }
        Expression::Random { to, below } => numbers(out, &[register(*to), *below, RANDOM]),
        Expression::Dynset { set, change, key, data } => dynset(out, set, *change, [*key, *data]),
        Expression::Dnat { address, port } => {
            out.number(1, DNAT);
            out.number(2, protocol_family(family).into());
            out.number(3, register(*address));
            out.number(5, register(*port));
        }
        Expression::Masquerade => out.number(1, RANDOM_PORTS),
        Expression::Reject(answer) => reject(out, *answer, family),
        Expression::Verdict(it) => {
            out.number(1, VERDICT_REGISTER);
            out.nest(2, |out| verdict(out, it));
        }
    }
}

const RANDOM: u32 = 1;
const DNAT: u32 = 1;
/// `fully-random`, as upstream: concurrent flows of one client do not race for a port.
const RANDOM_PORTS: u32 = 1 << 4;

/// Attributes of numbers, the first of type 1.
fn numbers(out: &mut Bytes, values: &[u32]) {
    (1..).zip(values).for_each(|(type_, value)| out.number(type_, *value));
}

fn ct(out: &mut Bytes, to: Register, key: Ct) {
    const ORIGINAL: u8 = 0;
    let (key, is_of_direction) = match key {
        Ct::State => (0, false),
        Ct::Status => (2, false),
        Ct::OriginalPort => (12, true),
        Ct::OriginalAddressV4 => (20, true),
        Ct::OriginalAddressV6 => (22, true),
    };
    numbers(out, &[register(to), key]);
    if is_of_direction {
        out.bytes(3, &[ORIGINAL]);
    }
}

fn dynset(out: &mut Bytes, set: &str, change: DynsetChange, [key, data]: [Register; 2]) {
    const UPDATE: u32 = 1;
    const DELETE: u32 = 2;
    let (operation, seconds) = match change {
        DynsetChange::Update(seconds) => (UPDATE, Some(seconds)),
        DynsetChange::Delete => (DELETE, None),
    };
    out.text(1, set);
    out.number(3, operation);
    out.number(4, register(key));
    out.number(5, register(data));
    seconds.iter().for_each(|seconds| out.long(6, u64::from(*seconds) * 1000));
}

fn reject(out: &mut Bytes, answer: Answer, family: Family) {
    const ICMP: u32 = 0;
    const RESET: u32 = 1;
    let port_unreachable = match family {
        Family::V4 => 3,
        Family::V6 => 4,
    };
    match answer {
        Answer::TcpReset => out.number(1, RESET),
        Answer::PortUnreachable => {
            out.number(1, ICMP);
            out.bytes(2, &[port_unreachable]);
        }
    }
}

/// Writes a verdict, as data of an expression or element.
pub(super) fn verdict(out: &mut Bytes, verdict: &Verdict) {
    let (code, chain) = match verdict {
        Verdict::Accept => (ACCEPT, None),
        Verdict::Drop => (DROP, None),
        Verdict::Return => (RETURN.cast_unsigned(), None),
        Verdict::Jump(chain) => (JUMP.cast_unsigned(), Some(chain)),
        Verdict::Goto(chain) => (GOTO.cast_unsigned(), Some(chain)),
    };
    out.nest(2, |out| {
        out.number(1, code);
        chain.iter().for_each(|chain| out.text(2, chain));
    });
}
