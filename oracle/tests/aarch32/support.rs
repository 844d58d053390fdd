//! Registers and memory for tests. Field positions are written out again here: a test
//! that took them from the walker could not see a wrong one.

use std::collections::HashMap;

use oracle::aarch32::{Features, Stage1, Stage2, stage1, stage2};
use oracle::stage1 as el2;
use oracle::walk::{self, Memory, Why};

/// Neither FEAT_XNX nor FEAT_AA32HPD.
pub(crate) const PLAIN: Features = Features {
    xnx: false,
    hpd: false,
};

pub(crate) const VM: u32 = 1;
pub(crate) const DC: u32 = 1 << 12;
pub(crate) const CD: u32 = 1;
pub(crate) const M: u32 = 1;
pub(crate) const C: u32 = 1 << 2;
pub(crate) const WXN: u32 = 1 << 19;
pub(crate) const EE: u32 = 1 << 25;
pub(crate) const HPD: u32 = 1 << 24;

/// `VTCR` with RES1, write-back inner-shareable walks.
pub(crate) fn vtcr(ipa_bits: u32, sl0: u32) -> u32 {
    let t0sz = 32_u32.wrapping_sub(ipa_bits) & 0b1111;
    1 << 31 | 0b11_01_01 << 8 | sl0 << 6 | (t0sz >> 3) << 4 | t0sz
}

/// `HTCR` with RES1, write-back inner-shareable walks.
pub(crate) fn htcr(va_bits: u32) -> u32 {
    1 << 31 | 1 << 23 | 0b11_01_01 << 8 | (32 - va_bits)
}

pub(crate) const FETCH: walk::Access = walk::Access::Execute { el0: false };
pub(crate) const FETCH_EL0: walk::Access = walk::Access::Execute { el0: true };
pub(crate) const ALL: [walk::Access; 6] = [
    walk::Access::Read,
    walk::Access::Write,
    FETCH,
    FETCH_EL0,
    walk::Access::AtRead,
    walk::Access::AtWrite,
];
pub(crate) const ALL_OF_HYP: [el2::Access; 5] = [
    el2::Access::Read,
    el2::Access::Write,
    el2::Access::Execute,
    el2::Access::AtRead,
    el2::Access::AtWrite,
];

/// A stage-2 leaf that permits everything: AF, inner shareable, S2AP = 0b11, Normal
/// Write-Back.
pub(crate) const LEAF: u64 = AF | 0b11 << 8 | 0b11 << 6 | 0b1111 << 2 | 1;
pub(crate) const PAGE: u64 = LEAF | 0b10;
/// The same at stage 1: AP[1] = 1, attributes 0.
pub(crate) const HYP_LEAF: u64 = AF | 0b11 << 8 | 1 << 6 | 1;
pub(crate) const HYP_PAGE: u64 = HYP_LEAF | 0b10;
pub(crate) const TABLE: u64 = 0b11;
pub(crate) const AF: u64 = 1 << 10;
pub(crate) const READ: u64 = 1 << 6;
pub(crate) const WRITE: u64 = 1 << 7;
pub(crate) const READ_ONLY: u64 = 1 << 7;
pub(crate) const MEM_ATTR: u64 = 0b1111 << 2;
pub(crate) const SH: u64 = 0b11 << 8;
pub(crate) const CONTIGUOUS: u64 = 1 << 52;
pub(crate) const XN: u64 = 1 << 54;
pub(crate) const XNX: u64 = 1 << 53;
pub(crate) const XN_TABLE: u64 = 1 << 60;
pub(crate) const AP_TABLE_1: u64 = 1 << 62;

/// Addresses that were not written read 0; `hole` aborts.
#[derive(Clone, Default)]
pub(crate) struct Ram {
    pub(crate) words: HashMap<u64, u64>,
    pub(crate) hole: Option<u64>,
}

impl Ram {
    pub(crate) fn set(&mut self, at: u64, descriptor: u64) {
        self.words.insert(at, descriptor);
    }

    pub(crate) fn swap_bytes(&mut self) {
        for word in self.words.values_mut() {
            *word = word.swap_bytes();
        }
    }
}

impl Memory for Ram {
    fn read(&self, at: u64) -> Option<u64> {
        assert_eq!(at % 8, 0, "a walker reads whole descriptors");
        (self.hole != Some(at)).then(|| self.words.get(&at).copied().unwrap_or(0))
    }
}

/// Where the roots of tests are: fit for every alignment.
pub(crate) const ROOT: u64 = 0x4000_0000;
/// Tables of levels 2 and 3 of the setups with one page.
pub(crate) const L2: u64 = 0x5000_0000;
pub(crate) const L3: u64 = 0x5000_1000;

/// Tables whose addresses 0x1000 to 0x1fff meet `descriptor` at level 3.
fn tables_to(descriptor: u64) -> Ram {
    let mut ram = Ram::default();
    ram.set(ROOT, L2 | TABLE);
    ram.set(L2, L3 | TABLE);
    ram.set(L3 + 8, descriptor);
    ram
}

/// Machine, registers and memory of a test of stage 2.
#[derive(Clone)]
pub(crate) struct Guest {
    pub(crate) features: Features,
    pub(crate) registers: stage2::Registers,
    pub(crate) ram: Ram,
}

impl Guest {
    pub(crate) fn new(ipa_bits: u32, sl0: u32) -> Guest {
        Guest {
            features: PLAIN,
            registers: stage2::Registers {
                vtcr: vtcr(ipa_bits, sl0),
                vttbr: 7 << 48 | ROOT,
                hcr: VM,
                hcr2: 0,
                hsctlr: 0,
            },
            ram: Ram::default(),
        }
    }

    /// 39-bit IPA from level 1, with one page.
    pub(crate) fn page(descriptor: u64) -> Guest {
        Guest {
            ram: tables_to(descriptor),
            ..Guest::new(39, 1)
        }
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Guest)) -> Guest {
        change(&mut self);
        self
    }

    pub(crate) fn stage2(&self) -> Stage2 {
        Stage2::new(self.features, self.registers)
    }

    pub(crate) fn ask(&self, ipa: u64, access: walk::Access) -> walk::Answer {
        self.stage2().translate(&self.ram, ipa, access)
    }

    pub(crate) fn read(&self, ipa: u64) -> Short {
        short(self.ask(ipa, walk::Access::Read))
    }
}

/// Machine, registers and memory of a test of Hyp mode's stage 1.
#[derive(Clone)]
pub(crate) struct Hyp {
    pub(crate) features: Features,
    pub(crate) registers: stage1::Registers,
    pub(crate) ram: Ram,
}

impl Hyp {
    /// Attributes 0, 1, 2 and 4: Write-Back, Non-cacheable, Device-nGnRE and the 0x40 of
    /// FEAT_XS in AArch64.
    pub(crate) fn new(va_bits: u32) -> Hyp {
        Hyp {
            features: PLAIN,
            registers: stage1::Registers {
                htcr: htcr(va_bits),
                httbr: ROOT,
                hmair0: 0x0004_44ff,
                hmair1: 0x40,
                hsctlr: M | C,
            },
            ram: Ram::default(),
        }
    }

    /// 32-bit addresses, with one page.
    pub(crate) fn page(descriptor: u64) -> Hyp {
        Hyp {
            ram: tables_to(descriptor),
            ..Hyp::new(32)
        }
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Hyp)) -> Hyp {
        change(&mut self);
        self
    }

    pub(crate) fn stage1(&self) -> Stage1 {
        Stage1::new(self.features, self.registers)
    }

    pub(crate) fn ask(&self, va: u32, access: el2::Access) -> el2::Answer {
        self.stage1().translate(&self.ram, va, access)
    }

    pub(crate) fn read(&self, va: u32) -> Short {
        hyp_short(self.ask(va, el2::Access::Read))
    }
}

/// An answer without what most tests are not about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Short {
    Pa(u64),
    Fault(walk::FaultKind, i8),
    Open(Why),
}

pub(crate) fn short(answer: walk::Answer) -> Short {
    match answer {
        walk::Answer::Translation(translation) => Short::Pa(translation.pa),
        walk::Answer::Fault(fault) => Short::Fault(fault.kind, fault.level),
        walk::Answer::Unpredictable(why) => Short::Open(why),
    }
}

pub(crate) fn hyp_short(answer: el2::Answer) -> Short {
    match answer {
        el2::Answer::Translation(translation) => Short::Pa(translation.pa),
        el2::Answer::Fault(fault) => Short::Fault(fault.kind.into(), fault.level),
        el2::Answer::Unpredictable(why) => Short::Open(why),
    }
}

pub(crate) fn translation(answer: walk::Answer) -> walk::Translation {
    match answer {
        walk::Answer::Translation(translation) => translation,
        other => panic!("no translation: {other:?}"),
    }
}

pub(crate) fn hyp_translation(answer: el2::Answer) -> el2::Translation {
    match answer {
        el2::Answer::Translation(translation) => translation,
        other => panic!("no translation: {other:?}"),
    }
}
