//! What is judged in tables of a hypervisor's own beside, or in the place of, what holds
//! for a guest's: the bits of their descriptors (E3), and that no live entry changes
//! (E4, E5).

use super::Judge;
use crate::ledger::{Broken, Place};
use crate::operation::{Execute, LeafContent, MemoryType, Operation, Prot};
use crate::verdict::{Class, Finding};

const ATTR_INDEX: u64 = 0b111 << 2;
/// AP\[1\], RES1.
const AP_LOW: u64 = 1 << 6;
/// AP\[2\].
const READ_ONLY: u64 = 1 << 7;
const SHAREABILITY: u64 = 0b11 << 8;
const ACCESS_FLAG: u64 = 1 << 10;
const BLOCK_NT: u64 = 1 << 16;
const XN: u64 = 1 << 54;
/// Attribute bits of a leaf that are always 0: 63:59, 53:50 (PXN, the contiguous bit, DBM,
/// GP), 11 (nG) and 5 (NS).
const ALWAYS_ZERO: u64 = 0xf83c_0000_0000_0820;
/// Address bits where DS is set.
const ZERO_WITHOUT_DS: u64 = 0b11 << 48;
/// Bits 63:50 and 11:2.
const TABLE_ATTRIBUTES: u64 = 0xfffc_0000_0000_0ffc;
const LAST_BLOCK_LEVEL: i8 = 2;

/// E2: what AttrIndx selects.
fn memory(descriptor: u64) -> Option<MemoryType> {
    match (descriptor & ATTR_INDEX) >> 2 {
        0 => Some(MemoryType::Normal),
        1 => Some(MemoryType::Device),
        2 => Some(MemoryType::NonCacheable),
        3 => Some(MemoryType::DeviceStrict),
        _ => None,
    }
}

fn wrong(kind: &str, descriptor: u64, why: &str) -> Finding {
    let what = format!("the {kind} descriptor {descriptor:#x} {why}");
    Finding::new(Class::WrongAttributes, "E3", what)
}

/// Bits that are 0 without DS, and those of the address with it.
const fn with_ds(ds: bool, zero: u64) -> u64 {
    if ds {
        zero & !SHAREABILITY
    } else {
        zero | ZERO_WITHOUT_DS
    }
}

/// E3, for a leaf that was stored to a table of `level`.
pub(super) fn check_leaf(level: i8, descriptor: u64, ds: bool) -> Result<(), Finding> {
    let wrong = |why: &str| Err(wrong("leaf", descriptor, why));
    let mut zero = with_ds(ds, ALWAYS_ZERO);
    if level <= LAST_BLOCK_LEVEL {
        zero |= BLOCK_NT;
    }
    let set = descriptor & zero;
    if set != 0 {
        return wrong(&format!("has attribute bits {set:#x} set"));
    }
    for (name, bit) in [("AF", ACCESS_FLAG), ("AP[1]", AP_LOW)] {
        if descriptor & bit == 0 {
            return wrong(&format!("has {name} = 0"));
        }
    }
    let Some(memory) = memory(descriptor) else {
        let index = (descriptor & ATTR_INDEX) >> 2;
        return wrong(&format!("has AttrIndx {index}, which MAIR_EL2 leaves 0"));
    };
    let sh = (descriptor & SHAREABILITY) >> 8;
    if !ds && sh != super::leaf::shareability(memory) {
        return wrong(&format!("has SH {sh:#04b}"));
    }
    Ok(())
}

/// E3, for a descriptor that leads to a table.
pub(super) fn check_table(descriptor: u64, ds: bool) -> Result<(), Finding> {
    match descriptor & with_ds(ds, TABLE_ATTRIBUTES) {
        0 => Ok(()),
        set => {
            let why = format!("has attribute bits {set:#x} set");
            Err(wrong("table", descriptor, &why))
        }
    }
}

/// What a leaf says that [`check_leaf`] lets pass; `pa` is its address.
pub(super) fn content(descriptor: u64, pa: u64) -> LeafContent {
    LeafContent {
        pa,
        prot: Prot {
            read: true,
            write: descriptor & READ_ONLY == 0,
            execute: if descriptor & XN == 0 {
                Execute::Both
            } else {
                Execute::Never
            },
        },
        memory: memory(descriptor).unwrap_or(MemoryType::Normal),
        software: (descriptor >> 55 & 0b1111).to_le_bytes()[0],
        young: descriptor & ACCESS_FLAG != 0,
        dirty: false,
    }
}

impl Judge {
    /// E4 and E5: what the last event took from walkers was to go.
    pub(super) fn check_live(&self, operation: &Operation) -> Result<(), Finding> {
        let tables = self.observer.ledger.tables();
        if !self.machine.regime.is_own() {
            return Ok(());
        }
        let format = tables.format();
        let goes =
            |broken: &&Broken| may_go(operation, broken, format.entry_bytes(broken.place.level));
        match tables.broken().iter().find(|broken| !goes(broken)) {
            None => Ok(()),
            Some(broken) => Err(changed(operation, broken)),
        }
    }
}

/// Whether an operation may take an entry of that many bytes away. A table goes with the
/// leaves below it, which are looked at by themselves.
fn may_go(operation: &Operation, broken: &Broken, bytes: u64) -> bool {
    let Place { ipa: first, .. } = broken.place;
    match *operation {
        Operation::Free { .. } => true,
        Operation::Unmap { ipa, size, .. } => {
            let last = first.saturating_add(bytes - 1);
            broken.table || first >= ipa && last - ipa < size
        }
        _ => false,
    }
}

fn changed(operation: &Operation, broken: &Broken) -> Finding {
    let Place { vm, level, ipa } = broken.place;
    let (rule, why) = match operation {
        Operation::Unmap { .. } => ("E5", "and is not all in the range of the unmap"),
        _ => ("E4", "by an operation that changes no live entry"),
    };
    let kind = if broken.table { "table" } else { "leaf" };
    let what = format!("the level {level} {kind} descriptor for VA {ipa:#x} is taken away {why}");
    Finding::new(Class::BreakBeforeMake, rule, what).at(vm, ipa, 0)
}

/// The clause that stands in the place of one about guests' tables.
pub(super) fn clause(rule: &'static str) -> &'static str {
    match rule {
        "M7" | "M13" => "E4",
        "U6" => "E5",
        rule => rule,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Normal memory to read and write.
    const PAGE: u64 = 0x5000_0000 | XN | ACCESS_FLAG | SHAREABILITY | AP_LOW | 0b11;
    const DEVICE: u64 = PAGE & !SHAREABILITY | 1 << 2;

    fn is_wrong(level: i8, descriptor: u64, ds: bool) -> bool {
        check_leaf(level, descriptor, ds).is_err_and(|finding| finding.rule == "E3")
    }

    #[test]
    fn the_leaves_of_each_memory_type_pass() {
        let non_cacheable = PAGE | 2 << 2;
        let strict = DEVICE | 3 << 2;
        let software = PAGE | 0b1111 << 55;
        for leaf in [
            PAGE,
            DEVICE,
            non_cacheable,
            strict,
            software,
            PAGE | READ_ONLY,
        ] {
            assert_eq!(check_leaf(3, leaf, false), Ok(()), "{leaf:#x}");
        }
    }

    #[test]
    fn each_bit_that_is_fixed_is_checked() {
        for bit in [4, 5, 6, 8, 9, 10, 11, 48, 49, 50, 51, 52, 53, 59, 63] {
            assert!(is_wrong(3, PAGE ^ 1 << bit, false), "bit {bit}");
        }
        assert!(is_wrong(3, DEVICE | SHAREABILITY, false));
    }

    #[test]
    fn bit_16_is_nt_in_a_block_and_address_in_a_page() {
        let block = PAGE & !0b10 | BLOCK_NT;
        assert!(is_wrong(2, block, false));
        assert_eq!(check_leaf(3, PAGE | BLOCK_NT, false), Ok(()));
    }

    #[test]
    fn with_ds_shareability_is_address() {
        for sh in 0..4 {
            let leaf = PAGE & !SHAREABILITY | sh << 8 | ZERO_WITHOUT_DS;
            assert_eq!(check_leaf(3, leaf, true), Ok(()));
            assert_eq!(check_table(0x5000_0003 | sh << 8, true), Ok(()));
        }
    }

    #[test]
    fn a_table_has_no_attributes() {
        assert_eq!(check_table(0x5000_0003, false), Ok(()));
        for bit in [2, 8, 10, 48, 52, 55, 59, 60, 61, 62, 63] {
            assert!(
                check_table(0x5000_0003 | 1 << bit, false).is_err(),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn a_leaf_says_what_map_was_asked_for() {
        let code = content(PAGE & !XN | READ_ONLY | 5 << 55, 0x5000_0000);
        let prot = Prot {
            read: true,
            write: false,
            execute: Execute::Both,
        };
        assert_eq!((code.pa, code.prot, code.software), (0x5000_0000, prot, 5));
        assert_eq!(code.memory, MemoryType::Normal);
        assert!(content(PAGE, 0).prot.write);
        assert_eq!(content(DEVICE, 0).memory, MemoryType::Device);
    }
}
