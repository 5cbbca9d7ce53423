//! FNV-1a of 128 and 64 bits, by which static pods get their UIDs and back-offs their keys.

const BASIS_128: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const PRIME_128: u128 = (1 << 88) + 0x13b;
const BASIS_64: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME_64: u64 = 0x0000_0100_0000_01b3;

/// FNV-1a of 128 bits over the parts, one after the other.
pub fn fnv128(parts: &[&[u8]]) -> u128 {
    let bytes = parts.iter().flat_map(|part| part.iter());
    bytes.fold(BASIS_128, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME_128))
}

/// FNV-1a of 64 bits over the parts, one after the other.
pub fn fnv64(parts: &[&[u8]]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.iter());
    bytes.fold(BASIS_64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME_64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_values_come_out() {
        assert_eq!(fnv128(&[b"hello"]), 0xe3e1_efd5_4283_d94f_7081_314b_599d_31b3);
        assert_eq!(fnv64(&[b"foobar"]), 0x8594_4171_f739_67e8);
        assert_eq!(fnv64(&[b"foo", b"bar"]), fnv64(&[b"foobar"]));
    }
}
