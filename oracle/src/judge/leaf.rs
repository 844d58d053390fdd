//! The attribute bits of a leaf descriptor (R4, G7, H2, O1; E3 in the hypervisor's own
//! tables): which are allowed, and what they say in the contract's words.

use crate::operation::{Execute, LeafContent, Machine, MemoryType, Prot};
use crate::verdict::{Class, Finding};

const ACCESS_FLAG: u64 = 1 << 10;
const READ: u64 = 1 << 6;
const WRITE: u64 = 1 << 7;
const DIRTY_BIT_MODIFIER: u64 = 1 << 51;
const CONTIGUOUS: u64 = 1 << 52;
/// XN\[0\], which FEAT_XNX adds.
const XN_LOW: u64 = 1 << 53;
/// Attribute bits that are always 0: 63:59, 50 and 11.
const ALWAYS_ZERO: u64 = 0xf804_0000_0000_0800;
/// In the hypervisor's own tables: NS, and PXN, which does not exist there.
const OWN_ZERO: u64 = 1 << 5 | XN_LOW;
/// In the hypervisor's own tables AP\[1\], which is 1, and AP\[2\].
const OWN_RES1: u64 = READ;
const READ_ONLY: u64 = WRITE;
/// APTable, XNTable and the like: tables have no attributes (E3).
const TABLE_ATTRIBUTES: u64 = 0b1_1111 << 59;
/// Address bits where DS is set.
const ZERO_WITHOUT_DS: u64 = 0b11 << 48;

/// What the machine decides about descriptors of leaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeafFormat {
    /// The hypervisor's own tables.
    own: bool,
    fwb: bool,
    ds: bool,
    xnx: bool,
    /// Hardware dirty state.
    hd: bool,
    /// The contiguous hint may be used.
    contiguous: bool,
}

impl LeafFormat {
    pub(super) fn new(machine: &Machine) -> LeafFormat {
        let features = &machine.features;
        let haf = features.haf && !machine.regime.is_own();
        LeafFormat {
            own: machine.regime.is_own(),
            fwb: features.fwb,
            ds: machine.ds,
            xnx: features.xnx && !machine.regime.is_own(),
            hd: haf && features.dbm,
            contiguous: machine.contiguous && !haf,
        }
    }

    /// Whether the contiguous hint is in use.
    pub(super) fn may_be_contiguous(&self) -> bool {
        self.contiguous
    }

    /// R4, H2 and O1, for a leaf that was stored to a table. Levels and groups of the
    /// contiguous bit are the protocol's.
    pub(super) fn check(&self, descriptor: u64) -> Result<(), Finding> {
        let wrong = |rule, why: String| {
            let what = format!("the leaf descriptor {descriptor:#x} {why}");
            Err(Finding::new(Class::WrongAttributes, rule, what))
        };
        let set = descriptor & self.zero();
        let attributes_rule = if self.own { "E3" } else { "R4" };
        if set != 0 {
            return wrong(attributes_rule, format!("has attribute bits {set:#x} set"));
        }
        if self.own && descriptor & OWN_RES1 == 0 {
            return wrong("E3", "has AP[1] = 0".into());
        }
        if descriptor & CONTIGUOUS != 0 && !self.contiguous {
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
            return wrong(attributes_rule, shown);
        }
        if self.hd && descriptor & WRITE != 0 && descriptor & DIRTY_BIT_MODIFIER == 0 {
            return wrong("H2", "has S2AP[1] = 1 and DBM = 0".into());
        }
        Ok(())
    }

    /// Bits that are 0 on this machine.
    fn zero(&self) -> u64 {
        let conditional = [
            (!self.ds, ZERO_WITHOUT_DS),
            (self.own, OWN_ZERO),
            (!self.xnx, XN_LOW),
            (!self.hd, DIRTY_BIT_MODIFIER),
        ];
        let zero = conditional.into_iter().filter(|(zero, _)| *zero);
        zero.fold(ALWAYS_ZERO, |all, (_, bits)| all | bits)
    }

    /// R4; `None` for an encoding that the contract does not use.
    fn memory(&self, descriptor: u64) -> Option<MemoryType> {
        if self.own {
            // The order of MAIR (E2).
            return match descriptor >> 2 & 0b111 {
                0 => Some(MemoryType::Normal),
                1 => Some(MemoryType::Device),
                2 => Some(MemoryType::NonCacheable),
                3 => Some(MemoryType::DeviceStrict),
                _ => None,
            };
        }
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
        let set = |bits: u64| descriptor & bits != 0;
        let execute = match descriptor >> 53 & 0b11 {
            0b00 => Execute::Both,
            0b01 => Execute::El0,
            0b11 => Execute::El1,
            _ => Execute::Never,
        };
        let prot = if self.own {
            Prot {
                read: true,
                write: !set(READ_ONLY),
                execute,
            }
        } else {
            Prot {
                read: set(READ),
                write: set(WRITE) || self.hd && set(DIRTY_BIT_MODIFIER),
                execute,
            }
        };
        LeafContent {
            pa,
            prot,
            memory: self.memory(descriptor).unwrap_or(MemoryType::Normal),
            software: (descriptor >> 55 & 0b1111).to_le_bytes()[0],
            young: set(ACCESS_FLAG),
            dirty: self.hd && set(WRITE),
        }
    }
}

/// E3, for a table descriptor in the hypervisor's own tables.
pub(super) fn check_table(descriptor: u64) -> Result<(), Finding> {
    let set = descriptor & TABLE_ATTRIBUTES;
    if set == 0 {
        return Ok(());
    }
    let what = format!("the table descriptor {descriptor:#x} has attribute bits {set:#x} set");
    Err(Finding::new(Class::WrongAttributes, "E3", what))
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
const fn shareability(memory: MemoryType) -> u64 {
    match memory {
        MemoryType::Normal | MemoryType::NonCacheable => 0b11,
        MemoryType::Device | MemoryType::DeviceStrict => 0b00,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: LeafFormat = LeafFormat {
        own: false,
        fwb: false,
        ds: false,
        xnx: false,
        hd: false,
        contiguous: false,
    };

    /// A page, read and write, normal, not executable, young.
    const PAGE: u64 = 0x5000_0000 | 0b11 | 0b1111 << 2 | 0b11 << 6 | 0b11 << 8 | 1 << 10 | 1 << 54;

    fn rule(format: LeafFormat, descriptor: u64) -> Result<(), &'static str> {
        format.check(descriptor).map_err(|finding| finding.rule)
    }

    #[test]
    fn memory_types_have_their_encodings_with_and_without_fwb() {
        let with =
            |mem_attr: u64, sh: u64| PAGE & !(0b1111 << 2 | 0b11 << 8) | mem_attr << 2 | sh << 8;
        let fwb = LeafFormat { fwb: true, ..PLAIN };
        for (format, normal, other) in [(PLAIN, 0b1111, 0b0110), (fwb, 0b0110, 0b1111)] {
            assert_eq!(rule(format, with(normal, 3)), Ok(()));
            assert_eq!(rule(format, with(other, 3)), Err("R4"));
            assert_eq!(rule(format, with(0b0101, 3)), Ok(()));
            assert_eq!(rule(format, with(0b0001, 0)), Ok(()));
            assert_eq!(rule(format, with(0b0000, 0)), Ok(()));
            assert_eq!(rule(format, with(0b0001, 3)), Err("R4"));
            assert_eq!(rule(format, with(0b0101, 0)), Err("R4"));
        }
    }

    #[test]
    fn shareability_is_address_with_ds() {
        let ds = LeafFormat { ds: true, ..PLAIN };
        for address in [0, 0b11 << 8, 0b11 << 48] {
            assert_eq!(rule(ds, PAGE & !(0b11 << 8) | address), Ok(()));
        }
        assert_eq!(rule(PLAIN, PAGE | 1 << 48), Err("R4"));
        assert_eq!(rule(ds, PAGE | 1 << 50), Err("R4"));
    }

    #[test]
    fn execution_at_one_el_is_told_with_xnx_alone() {
        let xnx = LeafFormat { xnx: true, ..PLAIN };
        let executable = PAGE & !(1 << 54);
        assert_eq!(rule(PLAIN, executable | XN_LOW), Err("R4"));
        assert_eq!(rule(xnx, executable | XN_LOW), Ok(()));
        let execute = |descriptor| xnx.content(descriptor, 0).prot.execute;
        assert_eq!(execute(executable), Execute::Both);
        assert_eq!(execute(executable | XN_LOW), Execute::El0);
        assert_eq!(execute(PAGE), Execute::Never);
        assert_eq!(execute(PAGE | XN_LOW), Execute::El1);
    }

    #[test]
    fn a_leaf_that_hardware_may_dirty_has_dbm() {
        let hd = LeafFormat { hd: true, ..PLAIN };
        let clean = PAGE & !WRITE | DIRTY_BIT_MODIFIER;
        assert_eq!(rule(hd, clean), Ok(()));
        assert_eq!(rule(hd, clean | WRITE), Ok(()));
        assert_eq!(rule(hd, PAGE), Err("H2"));
        assert_eq!(rule(PLAIN, clean), Err("R4"));
        let state = |descriptor| {
            let leaf = hd.content(descriptor, 0);
            (leaf.prot.write, leaf.dirty)
        };
        assert_eq!(state(clean), (true, false));
        assert_eq!(state(clean | WRITE), (true, true));
        assert_eq!(state(PAGE & !WRITE), (false, false));
    }

    #[test]
    fn the_contiguous_bit_is_set_where_the_hint_is_in_use() {
        let contiguous = LeafFormat {
            contiguous: true,
            ..PLAIN
        };
        assert_eq!(rule(contiguous, PAGE | CONTIGUOUS), Ok(()));
        assert_eq!(rule(PLAIN, PAGE | CONTIGUOUS), Err("O1"));
    }
}
