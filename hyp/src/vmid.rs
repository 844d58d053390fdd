//! VMIDs: which virtual machine a TLB entry belongs to.
//!
//! Left out in this version: 16-bit VMIDs (VTCR_EL2.VS = 1), allocation and
//! rollover.

use core::num::NonZeroU8;

/// A VMID of 8 bits. Never 0, which `VTTBR_EL2` holds while no guest is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Vmid(NonZeroU8);

impl Vmid {
    /// The VMID of this number, 1 to 255, or `None`.
    #[must_use]
    pub fn new(number: u16) -> Option<Vmid> {
        u8::try_from(number).ok().and_then(NonZeroU8::new).map(Vmid)
    }

    /// `VTTBR_EL2.VMID` in its place.
    #[must_use]
    pub const fn field(self) -> u64 {
        (self.0.get() as u64) << 48
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_1_to_255_are_vmids() {
        assert_eq!(Vmid::new(0), None);
        assert_eq!(Vmid::new(256), None);
        assert_eq!(Vmid::new(255).map(Vmid::field), Some(0xff << 48));
    }
}
