//! What the kernel answers, read from bytes. Nothing in it is trusted to be whole.

use super::attributes::{self, Attribute};

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// The message of this number was carried out.
    Done(u32),
    /// A message was not.
    Fault(Fault),
    /// The number of the newest transaction.
    Generation(u32),
    /// A table is there.
    Table,
    /// A rule of this chain.
    Rule(String),
    /// A set of this name, and how many elements it has, if the kernel tells (6.18 does).
    Set(String, Option<usize>),
    /// A list is at its end. It is not whole if somebody changed what it is of meanwhile.
    Listed {
        /// Whether it is whole.
        is_whole: bool,
    },
}

/// Why a message was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// The message's number.
    pub(super) sequence: u32,
    /// The error's.
    pub(super) errno: i32,
    /// Where in the message the attribute at fault begins.
    pub(super) offset: Option<usize>,
    /// What the kernel says of it.
    pub(super) said: Option<String>,
}

const MESSAGE_HEADER: usize = 16;
const FAMILY_HEADER: usize = 4;
const ERROR: u16 = 2;
const NEW_GENERATION: u16 = (10 << 8) | 15;
const NEW_TABLE: u16 = 10 << 8;
const NEW_RULE: u16 = (10 << 8) | 6;
const NEW_SET: u16 = (10 << 8) | 9;
const DONE: u16 = 3;
/// The flag of a list that changed while it was made.
const INTERRUPTED: u16 = 0x10;
const RULE_CHAIN: u16 = 2;
const SET_NAME: u16 = 2;
const SET_COUNT: u16 = 20;
const GENERATION: u16 = 1;
const SAID: u16 = 1;
const OFFSET: u16 = 2;
const CAPPED: u16 = 0x100;

/// Reads what one `recv` gave.
pub(super) fn read(mut bytes: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while let Some(length) = word(bytes, 0).and_then(|it| usize::try_from(it).ok()) {
        let Some(message) = bytes.get(..length).filter(|_| length >= MESSAGE_HEADER) else { break };
        answers.extend(answer(message));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    answers
}

fn answer(message: &[u8]) -> Option<Answer> {
    let type_ = half(message, 4)?;
    let body = message.get(MESSAGE_HEADER..)?;
    match type_ {
        ERROR => error(half(message, 6)?, body),
        NEW_GENERATION => {
            let attributes = attributes::read(body.get(FAMILY_HEADER..)?);
            number(attributes, GENERATION, u32::from_be_bytes).map(Answer::Generation)
        }
        NEW_TABLE => Some(Answer::Table),
        NEW_RULE => name(body, RULE_CHAIN).map(Answer::Rule),
        NEW_SET => {
            let count = number(attributes::read(body.get(FAMILY_HEADER..)?), SET_COUNT, u32::from_be_bytes);
            let count = count.and_then(|count| usize::try_from(count).ok());
            name(body, SET_NAME).map(|name| Answer::Set(name, count))
        }
        DONE => Some(Answer::Listed { is_whole: half(message, 6)? & INTERRUPTED == 0 }),
        _ => None,
    }
}

fn name(body: &[u8], type_: u16) -> Option<String> {
    let mut attributes = attributes::read(body.get(FAMILY_HEADER..)?);
    attributes.find(|it| it.type_ == type_).map(|it| text(it.value))
}

/// Error number, the header of the message that it is about, the rest of that unless capped, attributes.
fn error(flags: u16, body: &[u8]) -> Option<Answer> {
    let errno = i32::from_ne_bytes(body.get(..4)?.try_into().ok()?);
    let about = body.get(4..)?;
    let sequence = word(about, 8)?;
    if errno == 0 {
        return Some(Answer::Done(sequence));
    }
    let length = usize::try_from(word(about, 0)?).ok()?.next_multiple_of(4);
    let skip = if flags & CAPPED == 0 { length } else { MESSAGE_HEADER };
    let rest = about.get(skip..).unwrap_or_default();
    let said = attributes::read(rest).find(|it| it.type_ == SAID).map(|it| text(it.value));
    let offset = number(attributes::read(rest), OFFSET, u32::from_ne_bytes);
    let offset = offset.and_then(|it| usize::try_from(it).ok());
    Some(Answer::Fault(Fault { sequence, errno: errno.saturating_neg(), offset, said }))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
}

fn number<'a>(
    mut attributes: impl Iterator<Item = Attribute<'a>>,
    type_: u16,
    read: fn([u8; 4]) -> u32,
) -> Option<u32> {
    let found = attributes.find(|it| it.type_ == type_)?;
    found.value.try_into().ok().map(read)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error message about message `sequence`, capped, with attributes.
    fn message(errno: i32, sequence: u32, attributes: &[u8]) -> Vec<u8> {
        let length = u32::try_from(36 + attributes.len()).unwrap();
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend([2_u16, 0x300].map(u16::to_ne_bytes).concat());
        bytes.extend([0_u32, 0].map(u32::to_ne_bytes).concat());
        bytes.extend(errno.to_ne_bytes());
        bytes.extend(1000_u32.to_ne_bytes());
        bytes.extend([0_u8; 4]);
        bytes.extend([sequence, 0].map(u32::to_ne_bytes).concat());
        bytes.extend(attributes);
        bytes
    }

    /// A message of nf_tables with attributes.
    fn told(type_: u16, flags: u16, attributes: &[u8]) -> Vec<u8> {
        let length = u32::try_from(20 + attributes.len()).unwrap();
        let head = [length.to_ne_bytes().to_vec(), [type_, flags].map(u16::to_ne_bytes).concat()].concat();
        [head, vec![0; 12], attributes.to_vec()].concat()
    }

    #[test]
    fn what_is_in_a_table_is_read() {
        let mut set = attributes::Bytes::default();
        set.text(1, "bulkhead-proxy");
        set.text(SET_NAME, "services");
        let uncounted = set.0.clone();
        set.number(SET_COUNT, 7);
        let mut rule = attributes::Bytes::default();
        rule.text(RULE_CHAIN, "dispatch");
        let cases = [
            ("a table", told(NEW_TABLE, 0, &[]), vec![Answer::Table]),
            ("a rule", told(NEW_RULE, 2, &rule.0), vec![Answer::Rule("dispatch".into())]),
            ("a set", told(NEW_SET, 2, &set.0), vec![Answer::Set("services".into(), Some(7))]),
            (
                "one that is not counted",
                told(NEW_SET, 2, &uncounted),
                vec![Answer::Set("services".into(), None)],
            ),
            ("one without a name", told(NEW_SET, 2, &[]), vec![]),
            ("the end", told(DONE, 2, &[]), vec![Answer::Listed { is_whole: true }]),
            ("a broken one", told(DONE, 2 | INTERRUPTED, &[]), vec![Answer::Listed { is_whole: false }]),
        ];
        for (sentence, bytes, want) in cases {
            assert_eq!(read(&bytes), want, "{sentence}");
        }
    }

    #[test]
    fn answers_are_read_as_far_as_they_are_whole() {
        let mut details = attributes::Bytes::default();
        details.text(SAID, "no such chain");
        details.bytes(OFFSET, &44_u32.to_ne_bytes());
        let fault = |offset, said: Option<&str>| {
            Answer::Fault(Fault { sequence: 7, errno: 2, offset, said: said.map(str::to_owned) })
        };
        let both = [message(-2, 7, &[]), message(0, 8, &[])].concat();
        let cases = [
            ("carried out", message(0, 7, &[]), vec![Answer::Done(7)]),
            ("refused", message(-2, 7, &[]), vec![fault(None, None)]),
            ("refused, and why", message(-2, 7, &details.0), vec![fault(Some(44), Some("no such chain"))]),
            ("two at once", both.clone(), vec![fault(None, None), Answer::Done(8)]),
            ("the second is cut short", both[..60].to_vec(), vec![fault(None, None)]),
            ("nothing", vec![], vec![]),
            ("a length of nothing", vec![0; 16], vec![]),
        ];
        for (sentence, bytes, want) in cases {
            assert_eq!(read(&bytes), want, "{sentence}");
        }
    }
}
