//! Registers and memory for tests. Field positions are written out again here: a test
//! that took them from the walker could not see a wrong one.

use std::collections::HashMap;

use oracle::stage1::{
    Access, Answer, FaultKind, Features, Memory, Registers, Stage1, Translation, Why,
};

pub(crate) const ALL: [Access; 5] = [
    Access::Read,
    Access::Write,
    Access::Execute,
    Access::AtRead,
    Access::AtWrite,
];

/// Everything but LPA2, LVA, XS and MTE2, with BBM level 0.
pub(crate) const FEATURES: Features = Features {
    both: oracle::arch::Features {
        pa_bits: 48,
        lpa2_4k: false,
        lpa2_16k: false,
        granule_16k: true,
        haf: true,
        dbm: true,
        xnx: false,
        ttst: true,
        fwb: false,
        bbm: 0,
    },
    lva: false,
    hpds: true,
    pauth: true,
    xs: false,
    mte2: false,
};

/// 52-bit addresses in all granules.
pub(crate) const WIDE: Features = Features {
    both: oracle::arch::Features {
        pa_bits: 52,
        lpa2_4k: true,
        lpa2_16k: true,
        ..FEATURES.both
    },
    lva: true,
    ..FEATURES
};

pub(crate) const TG0_4K: u64 = 0 << 14;
pub(crate) const TG0_64K: u64 = 1 << 14;
pub(crate) const TG0_16K: u64 = 2 << 14;
pub(crate) const PS_32: u64 = 0;
pub(crate) const PS_36: u64 = 1;
pub(crate) const PS_48: u64 = 5;
pub(crate) const PS_52: u64 = 6;
pub(crate) const TBI: u64 = 1 << 20;
pub(crate) const HA: u64 = 1 << 21;
pub(crate) const HD: u64 = 1 << 22;
pub(crate) const HPD: u64 = 1 << 24;
pub(crate) const TBID: u64 = 1 << 29;
pub(crate) const DS: u64 = 1 << 32;
pub(crate) const M: u64 = 1;
pub(crate) const C: u64 = 1 << 2;
pub(crate) const WXN: u64 = 1 << 19;
pub(crate) const EE: u64 = 1 << 25;

/// `TCR_EL2` with RES1, write-back inner-shareable walks.
pub(crate) const fn tcr(tg0: u64, va_bits: u64, ps: u64) -> u64 {
    1 << 31 | 1 << 23 | ps << 16 | tg0 | 0b11_01_01 << 8 | (64 - va_bits)
}

/// Write-Back, Non-cacheable, Device-nGnRE, Write-Through, and in the upper half the
/// reserved 0x02, 0x70 and 0x01, 0x40 of FEAT_XS.
pub(crate) const MAIR: u64 = 0x4001_7002_bb04_44ff;
pub(crate) const NORMAL: u64 = 0;
pub(crate) const NON_CACHEABLE: u64 = 1 << 2;
pub(crate) const DEVICE: u64 = 2 << 2;
pub(crate) const RESERVED: u64 = 4 << 2;

/// A leaf that permits everything: AF, inner shareable, AP[1] = 1, Normal Write-Back.
pub(crate) const LEAF: u64 = AF | 0b11 << 8 | 1 << 6 | NORMAL | 1;
pub(crate) const PAGE: u64 = LEAF | 0b10;
pub(crate) const TABLE: u64 = 0b11;
pub(crate) const AF: u64 = 1 << 10;
pub(crate) const SH: u64 = 0b11 << 8;
pub(crate) const READ_ONLY: u64 = 1 << 7;
pub(crate) const NT: u64 = 1 << 16;
pub(crate) const GP: u64 = 1 << 50;
pub(crate) const DBM: u64 = 1 << 51;
pub(crate) const CONTIGUOUS: u64 = 1 << 52;
pub(crate) const XN: u64 = 1 << 54;
pub(crate) const XN_TABLE: u64 = 1 << 60;
pub(crate) const AP_TABLE_1: u64 = 1 << 62;

/// Addresses that were not written read 0; `hole` aborts.
#[derive(Clone, Default)]
pub(crate) struct Ram {
    pub(crate) words: HashMap<u64, u64>,
    pub(crate) hole: Option<u64>,
}

impl Memory for Ram {
    fn read(&self, at: u64) -> Option<u64> {
        assert_eq!(at % 8, 0, "a walker reads whole descriptors");
        (self.hole != Some(at)).then(|| self.words.get(&at).copied().unwrap_or(0))
    }
}

/// Machine, registers and memory of one test.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) features: Features,
    pub(crate) registers: Registers,
    pub(crate) ram: Ram,
}

/// Where the roots of tests are: fit for every alignment.
pub(crate) const ROOT: u64 = 0x4000_0000;
/// The level-2 and level-3 tables of `Setup::page`.
pub(crate) const L2: u64 = 0x5000_0000;
pub(crate) const L3: u64 = 0x5000_1000;

impl Setup {
    pub(crate) fn new(features: Features, tcr: u64) -> Setup {
        Setup {
            features,
            registers: Registers {
                tcr,
                ttbr0: ROOT,
                mair: MAIR,
                sctlr: M | C,
            },
            ram: Ram::default(),
        }
    }

    /// 4K granule, 39-bit addresses, one table at level 1.
    pub(crate) fn k4() -> Setup {
        Setup::new(FEATURES, tcr(TG0_4K, 39, PS_48))
    }

    /// `k4` whose addresses 0x1000 to 0x1fff meet `descriptor` at level 3.
    pub(crate) fn page(descriptor: u64) -> Setup {
        let mut setup = Setup::k4();
        setup.set(ROOT, L2 | TABLE);
        setup.set(L2, L3 | TABLE);
        setup.set(L3 + 8, descriptor);
        setup
    }

    pub(crate) fn set(&mut self, at: u64, descriptor: u64) {
        self.ram.words.insert(at, descriptor);
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Setup)) -> Setup {
        change(&mut self);
        self
    }

    pub(crate) fn stage1(&self) -> Stage1 {
        Stage1::new(self.features, self.registers)
    }

    pub(crate) fn ask(&self, va: u64, access: Access) -> Answer {
        self.stage1().translate(&self.ram, va, access)
    }

    pub(crate) fn read(&self, va: u64) -> Short {
        short(self.ask(va, Access::Read))
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Short {
    Pa(u64),
    Fault(FaultKind, i8),
    Open(Why),
}

pub(crate) const UNMAPPED_AT_0: Short = Short::Fault(FaultKind::Translation, 0);

/// The answer without what most tests are not about.
pub(crate) fn short(answer: Answer) -> Short {
    match answer {
        Answer::Translation(translation) => Short::Pa(translation.pa),
        Answer::Fault(fault) => Short::Fault(fault.kind, fault.level),
        Answer::Unpredictable(why) => Short::Open(why),
    }
}

pub(crate) fn translation(answer: Answer) -> Translation {
    match answer {
        Answer::Translation(translation) => translation,
        other => panic!("no translation: {other:?}"),
    }
}
