//! Numbers as this format writes them.

use std::fmt;

const SUFFIXES: [(char, u32); 4] = [('K', 10), ('M', 20), ('G', 30), ('T', 40)];

/// A decimal or hexadecimal number, without sign or separators.
pub(super) fn parse(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    // The conversion alone would take a sign.
    let all_digits = digits.chars().all(|digit| digit.is_digit(radix));
    if all_digits {
        u64::from_str_radix(digits, radix).ok()
    } else {
        None
    }
}

/// A number, or a decimal number of K, M, G or T.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    for (suffix, bits) in SUFFIXES {
        if let Some(count) = text.strip_suffix(suffix) {
            let is_decimal = !count.starts_with("0x");
            return if is_decimal {
                parse(count)?.checked_mul(1 << bits)
            } else {
                None
            };
        }
    }
    parse(text)
}

/// A size as it is printed: with the largest suffix that is exact, or in
/// hexadecimal where there is none or it would leave more than five digits.
#[derive(Clone, Copy)]
pub(super) struct Size(pub(super) u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Size(bytes) = *self;
        let exact = |bits: u32| bytes != 0 && bytes.trailing_zeros() >= bits;
        match SUFFIXES.into_iter().rev().find(|&(_, bits)| exact(bits)) {
            Some((suffix, bits)) if bytes >> bits < 100_000 => {
                write!(f, "{}{suffix}", bytes >> bits)
            }
            _ if bytes < 10 => write!(f, "{bytes}"),
            _ => write!(f, "{bytes:#x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_suffix() {
        let read = [
            ("4K", 4 << 10),
            ("64M", 64 << 20),
            ("1G", 1 << 30),
            ("2T", 2 << 40),
            ("0x1001", 0x1001),
            ("7", 7),
        ];
        for (text, bytes) in read {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "",
            "K",
            "+1",
            "-1",
            "0x",
            "0x1K",
            "1 ",
            "1_000",
            "18446744073709551616",
            "16777216T",
            "4k",
        ] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_printed_with_the_largest_exact_suffix() {
        let printed = [
            (0, "0"),
            (1, "1"),
            (0x1000, "4K"),
            (0x1001, "0x1001"),
            (0x20_1000, "2052K"),
            (3 << 30, "3G"),
            (1 << 50, "1024T"),
            (u64::MAX << 12, "0xfffffffffffff000"),
            (u64::MAX, "0xffffffffffffffff"),
        ];
        for (bytes, text) in printed {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }

    #[test]
    fn printed_sizes_are_read_back() {
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..10_000 {
            let bytes = random.u64(..) << random.u32(0..64) >> random.u32(0..64);
            assert_eq!(parse_size(&Size(bytes).to_string()), Some(bytes));
        }
    }
}
