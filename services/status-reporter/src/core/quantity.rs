//! How the node object writes amounts: the canonical forms of `k8s.io/apimachinery/pkg/api/resource`.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Suffixes of powers of 1024, the greatest first.
const BINARY: [(u32, &str); 6] = [(60, "Ei"), (50, "Pi"), (40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")];
/// Suffixes of powers of ten.
const DECIMAL: [(i64, &str); 6] = [
    (1_000_000_000_000_000_000, "E"),
    (1_000_000_000_000_000, "P"),
    (1_000_000_000_000, "T"),
    (1_000_000_000, "G"),
    (1_000_000, "M"),
    (1_000, "k"),
];

/// Bytes, with the greatest suffix that leaves no fraction: `24Gi`, `24621860Ki`, `1001`.
pub(crate) fn bytes(amount: i64) -> Quantity {
    let suffixed = BINARY.iter().find(|(shift, _)| amount != 0 && amount % (1_i64 << shift) == 0);
    Quantity(match suffixed {
        Some((shift, suffix)) => format!("{}{suffix}", amount >> shift),
        None => amount.to_string(),
    })
}

/// Thousandths: `2`, `1900m`, `4k`.
pub(crate) fn milli(thousandths: i64) -> Quantity {
    if thousandths % 1000 != 0 {
        return Quantity(format!("{thousandths}m"));
    }
    count(thousandths / 1000)
}

/// Whole ones: `110`, `2k`.
pub(crate) fn count(amount: i64) -> Quantity {
    let suffixed = DECIMAL.iter().find(|(scale, _)| amount != 0 && amount % scale == 0);
    Quantity(match suffixed {
        Some((scale, suffix)) => format!("{}{suffix}", amount / scale),
        None => amount.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_as_every_kubernetes_tool_writes_them() {
        let cases = [
            ("whole gibibytes", bytes(24 << 30), "24Gi"),
            ("kibibytes, as a machine's memory is", bytes(24_621_860 * 1024), "24621860Ki"),
            ("odd bytes", bytes(1001), "1001"),
            ("no bytes", bytes(0), "0"),
            ("whole CPUs", milli(2000), "2"),
            ("parts of one", milli(1900), "1900m"),
            ("no CPU", milli(0), "0"),
            ("many CPUs", milli(4_000_000), "4k"),
            ("pods", count(110), "110"),
            ("many pods", count(2000), "2k"),
        ];
        for (name, quantity, want) in cases {
            assert_eq!(quantity.0, want, "{name}");
        }
    }
}
