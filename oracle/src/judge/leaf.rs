//! The attribute bits of a leaf descriptor (R4, G7, H2, O1): which are allowed, and what
//! they say in the contract's words.

use super::own;
use crate::arch::Granule;
use crate::operation::{Execute, LeafContent, Machine, MemoryType, Prot};
use crate::verdict::{Class, Finding};

const ACCESS_FLAG: u64 = 1 << 10;
const READ: u64 = 1 << 6;
const WRITE: u64 = 1 << 7;
const DIRTY_BIT_MODIFIER: u64 = 1 << 51;
pub(super) const CONTIGUOUS: u64 = 1 << 52;
/// XN\[0\], which FEAT_XNX adds.
const XN_LOW: u64 = 1 << 53;
/// Attribute bits that are always 0: 63:59, 50 and 11.
const ALWAYS_ZERO: u64 = 0xf804_0000_0000_0800;
/// Address bits where DS is set.
const ZERO_WITHOUT_DS: u64 = 0b11 << 48;

/// What the machine decides about descriptors of leaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeafFormat {
    granule: Granule,
    fwb: bool,
    ds: bool,
    xnx: bool,
    /// Hardware dirty state.
    hd: bool,
    /// The contiguous hint may be used.
    contiguous: bool,
    /// The tables are a hypervisor's own (E3).
    own: bool,
}

impl LeafFormat {
    pub(super) fn new(machine: &Machine) -> LeafFormat {
        let features = &machine.features;
        LeafFormat {
            granule: machine.granule,
            fwb: features.fwb,
            ds: machine.ds,
            xnx: features.xnx,
            hd: features.haf && features.dbm,
            contiguous: machine.contiguous && !features.haf,
            own: machine.regime.is_own(),
        }
    }

    /// R4, H2 and O1, or E3, for a leaf that was stored to a table of `level`.
    pub(super) fn check(&self, level: i8, descriptor: u64) -> Result<(), Finding> {
        if self.own {
            return own::check_leaf(level, descriptor, self.ds);
        }
        let wrong = |rule, why: String| {
            let what = format!("the leaf descriptor {descriptor:#x} {why}");
            Err(Finding::new(Class::WrongAttributes, rule, what))
        };
        let set = descriptor & self.zero();
        if set != 0 {
            return wrong("R4", format!("has attribute bits {set:#x} set"));
        }
        if descriptor & CONTIGUOUS != 0 && !self.may_be_contiguous(level) {
            return wrong("O1", "has the contiguous bit set".into());
        }
        let (mem_attr, sh) = (descriptor >> 2 & 0b1111, descriptor >> 8 & 0b11);
        let memory = self.memory(descriptor);
        if memory.is_none_or(|memory| !self.ds && sh != shareability(memory)) {
            let shown = if self.ds {
                format!("has MemAttr {mem_attr:#06b}")
            } else {
                format!("has MemAttr {mem_attr:#06b} and SH {sh:#04b}")
            };
            return wrong("R4", shown);
        }
        if self.hd && descriptor & WRITE != 0 && descriptor & DIRTY_BIT_MODIFIER == 0 {
            return wrong("H2", "has S2AP[1] = 1 and DBM = 0".into());
        }
        Ok(())
    }

    /// E3, for a descriptor that leads to a table.
    pub(super) fn check_table(&self, descriptor: u64) -> Result<(), Finding> {
        if self.own {
            return own::check_table(descriptor, self.ds);
        }
        Ok(())
    }

    /// Bits that are 0 on this machine.
    fn zero(&self) -> u64 {
        let conditional = [
            (!self.ds, ZERO_WITHOUT_DS),
            (!self.xnx, XN_LOW),
            (!self.hd, DIRTY_BIT_MODIFIER),
        ];
        let zero = conditional.into_iter().filter(|(zero, _)| *zero);
        zero.fold(ALWAYS_ZERO, |all, (_, bits)| all | bits)
    }

    /// O1: the hint is in use, and not ignored at this level.
    fn may_be_contiguous(&self, level: i8) -> bool {
        self.contiguous && self.group(level).is_some()
    }

    /// O1: the entries of a contiguous group, where the hint acts.
    pub(super) fn group(&self, level: i8) -> Option<u64> {
        match (self.granule, level) {
            (Granule::K4, 1..=3) => Some(16),
            (Granule::K16, 3) => Some(128),
            (Granule::K16, 2) | (Granule::K64, 2 | 3) => Some(32),
            _ => None,
        }
    }

    /// R4; `None` for an encoding that the contract does not use.
    fn memory(&self, descriptor: u64) -> Option<MemoryType> {
        match (descriptor >> 2 & 0b1111, self.fwb) {
            (0b1111, false) | (0b0110, true) => Some(MemoryType::Normal),
            (0b0101, _) => Some(MemoryType::NonCacheable),
            (0b0001, _) => Some(MemoryType::Device),
            (0b0000, _) => Some(MemoryType::DeviceStrict),
            _ => None,
        }
    }

    /// What a descriptor says that [`LeafFormat::check`] lets pass; `pa` is its address.
    pub(super) fn content(&self, descriptor: u64, pa: u64) -> LeafContent {
        if self.own {
            return own::content(descriptor, pa);
        }
        let set = |bits: u64| descriptor & bits != 0;
        let execute = match descriptor >> 53 & 0b11 {
            0b00 => Execute::Both,
            0b01 => Execute::El0,
            0b11 => Execute::El1,
            _ => Execute::Never,
        };
        LeafContent {
            pa,
            prot: Prot {
                read: set(READ),
                write: set(WRITE) || self.hd && set(DIRTY_BIT_MODIFIER),
                execute,
            },
            memory: self.memory(descriptor).unwrap_or(MemoryType::Normal),
            software: (descriptor >> 55 & 0b1111).to_le_bytes()[0],
            young: set(ACCESS_FLAG),
            dirty: self.hd && set(WRITE),
        }
    }
}

/// G7, for a leaf that map or build made.
pub(super) fn check_young(descriptor: u64) -> Result<(), Finding> {
    if descriptor & ACCESS_FLAG != 0 {
        return Ok(());
    }
    let what = format!("the leaf descriptor {descriptor:#x} has AF = 0");
    Err(Finding::new(Class::WrongAttributes, "G7", what))
}

/// R4 without DS.
pub(super) const fn shareability(memory: MemoryType) -> u64 {
    match memory {
        MemoryType::Normal | MemoryType::NonCacheable => 0b11,
        MemoryType::Device | MemoryType::DeviceStrict => 0b00,
    }
}
