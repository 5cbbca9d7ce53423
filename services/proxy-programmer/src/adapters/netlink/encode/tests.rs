//! Operations as bytes.

use super::*;
use crate::core::nft::expression::{Expression, Register, Verdict};

fn operation(kind: Kind) -> Operation {
    Operation { family: Family::V4, kind }
}

fn element(key: &[u8]) -> SetElement {
    SetElement { key: key.into(), reach: Reach::Key, value: None }
}

/// Type, flags, number and family of each message, and where its attributes are.
fn messages(mut bytes: &[u8]) -> Vec<(u16, u16, u32, u8, &[u8])> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let length = usize::try_from(u32::from_ne_bytes(bytes[..4].try_into().unwrap())).unwrap();
        let half = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        let number = u32::from_ne_bytes(bytes[8..12].try_into().unwrap());
        found.push((half(4), half(6), number, bytes[16], &bytes[HEADERS..length]));
        bytes = &bytes[length..];
    }
    found
}

#[test]
fn a_batch_is_begun_acknowledged_by_its_last_operation_and_ended() {
    let batch = Batch::of(&[operation(Kind::AddTable), operation(Kind::DeleteTable)], 7, Some(0x01020304));
    let got: Vec<_> = messages(batch.bytes()).iter().map(|it| (it.0, it.1, it.2, it.3)).collect();
    assert_eq!(got, [(16, 1, 7, 0), (0xa00, 0x401, 8, 2), (0xa02, 5, 9, 2), (17, 1, 10, 0)]);
    assert_eq!(messages(batch.bytes())[0].4, [8, 0, 1, 0, 1, 2, 3, 4], "the generation that it builds on");
    assert_eq!(batch.last(), 9);
    assert_eq!([7, 8, 9, 10].map(|number| batch.place(number)), [None, Some(0), Some(1), None]);
}

#[test]
fn a_rule_is_a_list_of_named_expressions() {
    let rule = vec![
        Expression::Random { to: Register(8), below: 3 },
        Expression::Verdict(Verdict::Jump("x".into())),
    ];
    let batch = Batch::of(&[operation(Kind::AddRule { chain: "c".into(), rule })], 1, None);
    let bytes = messages(batch.bytes())[1].4;
    let list = attributes::read(bytes).find(|it| it.type_ == 4).unwrap();
    #[rustfmt::skip]
    assert_eq!(list.value[..44], [
        44, 0, 1, 128,
            11, 0, 1, 0, b'n', b'u', b'm', b'g', b'e', b'n', 0, 0,
            28, 0, 2, 128,
                8, 0, 1, 0, 0, 0, 0, 16,
                8, 0, 2, 0, 0, 0, 0, 3,
                8, 0, 3, 0, 0, 0, 0, 1,
    ]);
    let second = attributes::read(list.value).nth(1).unwrap();
    let parts: Vec<_> = attributes::read(second.value).collect();
    assert_eq!(parts[0].value, b"immediate\0");
    let data: Vec<_> = attributes::read(parts[1].value).collect();
    assert_eq!(data[0].value, [0, 0, 0, 0], "into the register of verdicts");
    let verdict = attributes::read(data[1].value).next().unwrap();
    let code: Vec<_> = attributes::read(verdict.value).map(|it| it.value).collect();
    assert_eq!(code, [&(-3_i32).to_be_bytes()[..], b"x\0"]);
}

#[test]
fn sets_are_told_with_the_lengths_of_their_fields() {
    let set = |kind, data| Set {
        name: "s",
        key: vec![Field::Address(Family::V6), Field::Protocol, Field::Port],
        data,
        kind,
    };
    let words = Some(Data::Fields(vec![Field::Word, Field::Word]));
    // (sentence, set, flags, key length, data type and length)
    let cases = [
        ("a set", set(SetKind::Plain, None), 0, None, None),
        ("a map", set(SetKind::Plain, words.clone()), 8, Some((19 << 6) | 19), Some(8)),
        ("a map of verdicts", set(SetKind::Plain, Some(Data::Verdict)), 8, Some(0xffff_ff00), None),
        ("intervals of several fields", set(SetKind::Intervals, None), 0x84, None, None),
        ("a dynamic map", set(SetKind::Dynamic(9), words), 0x38, Some((19 << 6) | 19), Some(8)),
    ];
    for (sentence, set, flags, data_type, data_length) in cases {
        let batch = Batch::of(&[operation(Kind::AddSet(set))], 1, None);
        let bytes = messages(batch.bytes())[1].4;
        let number = |type_| {
            let found = attributes::read(bytes).find(|it| it.type_ == type_)?;
            Some(u32::from_be_bytes(found.value.try_into().unwrap()))
        };
        assert_eq!(number(3), Some(flags), "{sentence}: flags");
        assert_eq!((number(4), number(5)), (Some((8 << 12) | (12 << 6) | 13), Some(24)), "{sentence}: key");
        assert_eq!((number(6), number(7)), (data_type, data_length), "{sentence}: data");
    }
}

#[test]
fn a_fault_is_traced_to_its_element() {
    let elements = vec![element(&[1; 4]), element(&[2; 12]), element(&[3; 4])];
    let add = operation(Kind::AddElements { set: "set", elements });
    let batch = Batch::of(&[operation(Kind::AddTable), add], 1, None);
    let bytes = messages(batch.bytes())[2].4;
    let list = attributes::read(bytes).find(|it| it.type_ == ELEMENTS).unwrap();
    let starts: Vec<_> = attributes::read(list.value).map(|it| it.start).collect();
    let first = HEADERS + list.start + HEADER;
    for (number, start) in starts.iter().enumerate() {
        assert_eq!(batch.element_at(1, first + start), Some(number), "its beginning");
        assert_eq!(batch.element_at(1, first + start + 4), Some(number), "its key");
    }
    assert_eq!(batch.element_at(1, HEADERS), None, "the table's name");
    assert_eq!(batch.element_at(1, 9999), None, "beyond the end");
    assert_eq!(batch.element_at(0, first), None, "an operation without elements");
}

#[test]
fn without_its_end_a_batch_is_only_a_question() {
    let batch = Batch::of(&[operation(Kind::AddTable)], 7, None);
    let types: Vec<_> = messages(batch.unfinished()).iter().map(|it| it.0).collect();
    assert_eq!(types, [BATCH_BEGIN, SUBSYSTEM << 8]);
}

#[test]
fn questions_are_about_our_table() {
    let table = |bytes: &[u8]| {
        let (type_, flags, number, family, attributes) = messages(bytes)[0];
        let name = attributes::read(attributes).next().map(|it| it.value.to_vec());
        (type_, flags, number, family, name)
    };
    let name = || Some([TABLE.as_bytes(), &[0]].concat());
    assert_eq!(table(&get_table(Family::V4, 7)), (0xa01, REQUEST, 7, 2, name()));
    assert_eq!(table(&dump(GET_RULE, Family::V6, 8)), (0xa07, REQUEST | DUMP, 8, 10, name()));
    assert_eq!(table(&dump(GET_SET, Family::V6, 9)), (0xa0a, REQUEST | DUMP, 9, 10, name()));
}
