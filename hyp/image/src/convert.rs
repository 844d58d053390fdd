//! Conversions between integers that cannot lose anything on this machine.

/// An address or length as an index.
#[expect(
    clippy::cast_possible_truncation,
    reason = "both have 64 bits on AArch64"
)]
pub(crate) const fn to_usize(value: u64) -> usize {
    const { assert!(size_of::<usize>() == size_of::<u64>()) }
    value as usize
}

/// A count or length of this image's own, all of them small.
#[expect(clippy::cast_possible_truncation, reason = "checked")]
pub(crate) const fn to_u32(value: usize) -> u32 {
    assert!(value <= u32::MAX as usize, "a count that exceeds 32 bits");
    value as u32
}
