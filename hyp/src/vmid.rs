//! VMIDs: which virtual machine a TLB entry belongs to.
//!
//! Left out: whether the machine has all 16 bits, which the geometry knows
//! (`Geometry::vmid_field`); allocation and rollover.

use core::num::NonZeroU16;

/// A VMID of 16 bits. Never 0, which `VTTBR_EL2` holds while no guest is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Vmid(NonZeroU16);

impl Vmid {
    /// The VMID of this number, or `None` for 0.
    #[must_use]
    pub const fn new(number: u16) -> Option<Vmid> {
        match NonZeroU16::new(number) {
            Some(number) => Some(Vmid(number)),
            None => None,
        }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_no_vmid() {
        assert_eq!(Vmid::new(0), None);
        assert_eq!(Vmid::new(u16::MAX).map(Vmid::number), Some(u16::MAX));
    }
}
