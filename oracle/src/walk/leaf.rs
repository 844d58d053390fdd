//! What a leaf descriptor means, as far as it is the same for every access.

use super::attributes::Reported;
use super::{Access, FaultKind, Stage2, Why};

pub(super) const ACCESS_FLAG: u64 = 1 << 10;
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

/// Why a leaf cannot be used by any access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    Fault(FaultKind),
    Open(Why),
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

impl Stage2 {
    /// AArch64.OAOutOfRange
    #[inline]
    pub(crate) fn is_oversize(&self, address: u64) -> bool {
        address >> self.output_bits != 0
    }

    /// The end of AArch64.S2Walk, up to what depends on the access. `base` is the
    /// address field of the descriptor.
    #[inline]
    pub(crate) fn leaf(
        &self,
        level: i8,
        descriptor: u64,
        base: u64,
        ipa: u64,
    ) -> Result<Leaf, Unusable> {
        let lsb = self.shape.lsb(level);
        if let Some(bits) = self.shape.contiguous_bits(level, descriptor) {
            // AArch64.ContiguousBitFaults, StageOA
            let disagreement = (base ^ ipa) >> lsb & ((1 << bits) - 1);
            if lsb + bits > self.shape.ipa_bits || disagreement != 0 {
                return Err(Unusable::Open(Why::Contiguous));
            }
        }
        // AArch64.BlocknTFaults
        let is_block = descriptor & 0b10 == 0;
        if is_block && self.controls.block_nt && descriptor >> 16 & 1 != 0 {
            return Err(Unusable::Open(Why::BlockNt));
        }
        // StageOA. It is the final address that must fit, not the field alone: a block
        // may be larger than the output size.
        let pa = base | ipa & ((1 << lsb) - 1);
        if self.is_oversize(pa) {
            return Err(Unusable::Fault(FaultKind::AddressSize));
        }
        if descriptor & ACCESS_FLAG == 0 && !self.controls.hardware_access_flag {
            return Err(Unusable::Fault(FaultKind::AccessFlag));
        }
        Ok(Leaf {
            pa,
            permissions: self.permissions(descriptor),
        })
    }

    /// AArch64.S2ApplyOutputPerms, AArch64.S2DirectBasePermissions
    #[inline]
    fn permissions(&self, descriptor: u64) -> Permissions {
        let execute_never = descriptor >> 53 & 0b11;
        // Without FEAT_XNX bit 53 is ignored.
        let execute_never = execute_never & if self.controls.xnx { 0b11 } else { 0b10 };
        Permissions {
            read: descriptor >> 6 & 1 != 0,
            write: descriptor & WRITE_PERMISSION != 0 || self.has_dirty_state(descriptor),
            execute_el1: matches!(execute_never, 0b00 | 0b11),
            execute_el0: matches!(execute_never, 0b00 | 0b01),
        }
    }

    /// Whether hardware keeps the dirty state of this leaf: HA, HD and DBM.
    pub(super) fn has_dirty_state(&self, descriptor: u64) -> bool {
        self.controls.hardware_dirty_state && descriptor >> 51 & 1 != 0
    }

    /// The attributes of a leaf that can be used.
    #[inline]
    pub(crate) fn reported(&self, descriptor: u64) -> Result<Reported, Why> {
        let sh = if self.shape.ds {
            self.controls.sh0
        } else {
            (descriptor >> 8 & 0b11).to_le_bytes()[0]
        };
        self.controls.attributes(descriptor, sh)
    }
}
