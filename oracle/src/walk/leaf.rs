//! What a leaf descriptor means, as far as it is the same for every access.

use super::attributes::Reported;
use super::{Access, Stage2, Why};
use crate::descriptor::Unusable;

/// `S2AP[1]`, which is the dirty state where DBM acts.
pub(super) const WRITE_PERMISSION: u64 = 1 << 7;

/// A leaf that can be used at one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// Output address for the input address.
    pub(crate) pa: u64,
    pub(crate) permissions: Permissions,
}

/// What stage 2 permits. Stage 1 is off and permits everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Permissions {
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) execute_el1: bool,
    pub(crate) execute_el0: bool,
}

impl Permissions {
    pub(crate) const ALL: Permissions = Permissions {
        read: true,
        write: true,
        execute_el1: true,
        execute_el0: true,
    };

    /// AArch64.S2CheckPermissions
    pub(super) fn permit(&self, access: Access) -> bool {
        match access {
            Access::Read | Access::AtRead => self.read,
            Access::Write | Access::AtWrite => self.write,
            Access::Execute { el0: false } => self.execute_el1,
            Access::Execute { el0: true } => self.execute_el0,
        }
    }
}

/// Which leaves permit fetches at either exception level: the set of the values of
/// `XN[1:0]:S2AP[0]`, as bits of their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fetches {
    el1: u8,
    el0: u8,
}

impl Fetches {
    pub(crate) const fn new(xnx: bool) -> Fetches {
        let below_0b10 = 0b0000_1111;
        Fetches {
            // Without FEAT_XNX bit 53 is ignored.
            el1: if xnx { 0b1100_0011 } else { below_0b10 },
            el0: below_0b10,
        }
    }

    /// Those that permit loads as well.
    pub(crate) const fn of_readable(self) -> Fetches {
        let readable = 0b1010_1010;
        Fetches {
            el1: self.el1 & readable,
            el0: self.el0 & readable,
        }
    }

    const fn contain(set: u8, descriptor: u64) -> bool {
        let number = (descriptor >> 53 & 0b11) << 1 | descriptor >> 6 & 1;
        set >> number & 1 != 0
    }
}

impl Stage2 {
    /// A leaf as the end of AArch64.S2Walk finds it. `base` is the address field of the
    /// descriptor.
    #[inline]
    pub(crate) fn leaf(
        &self,
        level: i8,
        descriptor: u64,
        base: u64,
        ipa: u64,
    ) -> Result<Leaf, Unusable> {
        Ok(Leaf {
            pa: self.params.output(level, descriptor, base, ipa)?,
            permissions: self.permissions(descriptor),
        })
    }

    /// AArch64.S2ApplyOutputPerms, AArch64.S2DirectBasePermissions
    #[inline]
    fn permissions(&self, descriptor: u64) -> Permissions {
        let fetches = self.controls.fetches;
        Permissions {
            read: descriptor >> 6 & 1 != 0,
            write: descriptor & WRITE_PERMISSION != 0 || self.params.has_dirty_state(descriptor),
            execute_el1: Fetches::contain(fetches.el1, descriptor),
            execute_el0: Fetches::contain(fetches.el0, descriptor),
        }
    }

    /// The attributes of a leaf that can be used.
    #[inline]
    pub(crate) fn reported(&self, descriptor: u64) -> Result<Reported, Why> {
        let sh = if self.params.ds {
            self.controls.sh0
        } else {
            (descriptor >> 8 & 0b11).to_le_bytes()[0]
        };
        self.controls.attributes(descriptor, sh)
    }
}
