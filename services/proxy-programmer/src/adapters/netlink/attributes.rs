//! Netlink's attributes: length, type and value, padded to 4 bytes; some hold others.

/// The bit of an attribute's type that says that it holds others.
const NESTED: u16 = 0x8000;
/// The bytes of length and type.
pub(super) const HEADER: usize = 4;

/// Bytes under construction.
#[derive(Debug, Default)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl Bytes {
    /// An attribute of bytes.
    pub(super) fn bytes(&mut self, type_: u16, value: &[u8]) {
        let length = u16::try_from(HEADER + value.len()).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(type_.to_ne_bytes());
        self.0.extend(value);
        self.pad();
    }

    /// An attribute of text, with a zero at its end.
    pub(super) fn text(&mut self, type_: u16, value: &str) {
        self.bytes(type_, &[value.as_bytes(), &[0]].concat());
    }

    /// An attribute of a number, as nf_tables writes numbers.
    pub(super) fn number(&mut self, type_: u16, value: u32) {
        self.bytes(type_, &value.to_be_bytes());
    }

    /// The same of 64 bits.
    pub(super) fn long(&mut self, type_: u16, value: u64) {
        self.bytes(type_, &value.to_be_bytes());
    }

    /// An attribute that holds others.
    pub(super) fn nest(&mut self, type_: u16, fill: impl FnOnce(&mut Self)) {
        let start = self.0.len();
        self.bytes(type_ | NESTED, &[]);
        fill(self);
        let length = u16::try_from(self.0.len() - start).unwrap_or(u16::MAX);
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }

    fn pad(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }
}

/// An attribute that was read: where it begins, its type and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attribute<'a> {
    pub(super) start: usize,
    pub(super) type_: u16,
    pub(super) value: &'a [u8],
}

/// The attributes in bytes, up to the first that is none.
pub(super) fn read(bytes: &[u8]) -> impl Iterator<Item = Attribute<'_>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let header = bytes.get(start..start + HEADER)?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let type_ = u16::from_ne_bytes([header[2], header[3]]) & !NESTED;
        let value = bytes.get(start + HEADER..start + length)?;
        let attribute = Attribute { start, type_, value };
        start += length.next_multiple_of(4);
        Some(attribute)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = Bytes::default();
        bytes.text(1, "abcd");
        bytes.nest(2, |nest| {
            nest.number(3, 7);
            nest.bytes(4, &[9]);
        });
        let top: Vec<_> = read(&bytes.0).map(|it| (it.start, it.type_, it.value)).collect();
        assert_eq!(top[0], (0, 1, &b"abcd\0"[..]));
        assert_eq!((top[1].0, top[1].1, top.len()), (12, 2, 2));
        let inner: Vec<_> = read(top[1].2).map(|it| (it.start, it.type_, it.value)).collect();
        assert_eq!(inner, [(0, 3, &[0, 0, 0, 7][..]), (8, 4, &[9][..])]);
    }

    #[test]
    fn what_is_no_attribute_ends_the_reading() {
        let cases: &[(&str, &[u8])] = &[
            ("nothing", &[]),
            ("half a header", &[8, 0]),
            ("a length beyond the end", &[9, 0, 1, 0, 1, 2, 3, 4]),
            ("a length less than the header's", &[3, 0, 1, 0, 1, 2, 3, 4]),
        ];
        for (sentence, bytes) in cases {
            assert_eq!(read(bytes).count(), 0, "{sentence}");
        }
    }
}
