//! Permissions and memory attributes of EL2's stage 1.

use super::{Access, Stage1, Why};
use crate::walk::Reported;

/// `AP[2]`, read-only, whose opposite is the dirty state where DBM acts.
pub(super) const READ_ONLY: u64 = 1 << 7;

/// The restrictions that table descriptors put on everything below them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hierarchical {
    read_only: bool,
    execute_never: bool,
}

/// What a leaf permits. Loads are always permitted at EL2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Permissions {
    pub(super) write: bool,
    pub(super) execute: bool,
}

impl Permissions {
    pub(super) const ALL: Permissions = Permissions {
        write: true,
        execute: true,
    };

    /// AArch64.S1CheckPermissions
    pub(super) fn permit(&self, access: Access) -> bool {
        match access {
            Access::Read | Access::AtRead => true,
            Access::Write | Access::AtWrite => self.write,
            Access::Execute => self.execute,
        }
    }
}

/// What `PAR_EL1` reports where the MMU is off: Device-nGnRnE (AArch64.S1DisabledOutput).
pub(super) const UNTRANSLATED: Reported = Reported {
    attributes: 0x00,
    shareability: OUTER_SHAREABLE,
};

const RESERVED_SHAREABILITY: u8 = 0b01;
const OUTER_SHAREABLE: u8 = 0b10;

/// Normal, inner and outer Non-cacheable.
const NON_CACHEABLE: u8 = 0x44;
/// The same with XS = 0, by FEAT_XS.
const NON_CACHEABLE_XS_0: u8 = 0x40;

const fn is_device(attributes: u8) -> bool {
    attributes & 0xf0 == 0
}

/// S1DecodeMemAttrs: whether XS is 0 in this Normal memory, which is then Write-Back
/// in both, or one of the encodings that say so.
const fn has_xs_0(attributes: u8) -> bool {
    const fn is_write_back(attributes: u8) -> bool {
        attributes & 0b0100 != 0 && attributes & 0b1111 != 0b0100
    }
    matches!(attributes, NON_CACHEABLE_XS_0 | 0xa0 | 0xf0)
        || is_write_back(attributes >> 4) && is_write_back(attributes)
}

impl Stage1 {
    /// AArch64.S1NextWalkStateTable, AArch64.S1ApplyTablePerms: APTable[1] and XNTable.
    #[inline]
    pub(super) fn below(&self, above: Hierarchical, table: u64) -> Hierarchical {
        if self.controls.ignores_table_permissions {
            return above;
        }
        Hierarchical {
            read_only: above.read_only || table >> 62 & 1 != 0,
            execute_never: above.execute_never || table >> 60 & 1 != 0,
        }
    }

    /// AArch64.S1ApplyOutputPerms, AArch64.S1DirectBasePermissions,
    /// AArch64.S1ComputePermissions
    #[inline]
    pub(super) fn permissions(&self, descriptor: u64, above: Hierarchical) -> Permissions {
        let leaf_writable = descriptor & READ_ONLY == 0 || self.params.has_dirty_state(descriptor);
        let write = leaf_writable && !above.read_only;
        let execute_never = descriptor >> 54 & 1 != 0 || above.execute_never;
        let spoilt = write && self.controls.write_implies_execute_never;
        Permissions {
            write,
            execute: !execute_never && !spoilt,
        }
    }

    /// AArch64.MAIRAttr
    fn mair_attribute(&self, descriptor: u64) -> u8 {
        let index = descriptor >> 2 & 0b111;
        (self.mair >> (8 * index)).to_le_bytes()[0]
    }

    /// Whether the leaf is Device memory. Its encoding is not reserved.
    pub(super) fn is_device(&self, descriptor: u64) -> bool {
        is_device(self.mair_attribute(descriptor))
    }

    /// S1ConstrainUnpredictableRESMAIR
    fn is_reserved(&self, attributes: u8) -> bool {
        match (attributes >> 4, attributes & 0b1111) {
            (0b0000, device) if device & 0b11 == 0b01 => !self.xs,
            (0b0000, device) => device & 0b11 != 0,
            (0b0100 | 0b1010, 0b0000) => !self.xs,
            (0b1111, 0b0000) => !self.mte2,
            (_, inner) => inner == 0b0000,
        }
    }

    /// The attributes of a leaf that can be used: S1DecodeMemAttrs, EncodePARAttrs,
    /// PAREncodeShareability.
    #[inline]
    pub(super) fn reported(&self, descriptor: u64) -> Result<Reported, Why> {
        let attributes = self.mair_attribute(descriptor);
        if self.is_reserved(attributes) {
            return Err(Why::MemAttr);
        }
        let sh = if self.params.ds {
            self.sh0
        } else {
            (descriptor >> 8 & 0b11).to_le_bytes()[0]
        };
        // DecodeShareability
        if sh == RESERVED_SHAREABILITY {
            return Err(Why::Shareability);
        }
        let attributes = self.without_caches(attributes);
        // EffectiveShareability
        let always_outer =
            is_device(attributes) || matches!(attributes, NON_CACHEABLE | NON_CACHEABLE_XS_0);
        Ok(Reported {
            attributes,
            shareability: if always_outer { OUTER_SHAREABLE } else { sh },
        })
    }

    /// AArch64.S1Translate, AArch64.S1DCacheEnabled: SCTLR_EL2.C = 0 makes all Normal
    /// memory Non-cacheable for data. XS stays as it was.
    fn without_caches(&self, attributes: u8) -> u8 {
        if !self.controls.caches_disabled || is_device(attributes) {
            attributes
        } else if self.xs && has_xs_0(attributes) {
            NON_CACHEABLE_XS_0
        } else {
            NON_CACHEABLE
        }
    }
}
