//! Registers and memory for tests. Field positions are written out again here: a test
//! that took them from the walker could not see a wrong one.

use std::collections::HashMap;

use oracle::arch::Features;
use oracle::walk::{Access, Answer, FaultKind, Memory, Registers, Stage2, Translation, Why};

pub(crate) const FETCH: Access = Access::Execute { el0: false };
pub(crate) const FETCH_EL0: Access = Access::Execute { el0: true };
pub(crate) const ALL: [Access; 6] = [
    Access::Read,
    Access::Write,
    FETCH,
    FETCH_EL0,
    Access::AtRead,
    Access::AtWrite,
];

/// Everything but LPA2, with BBM level 0.
pub(crate) const FEATURES: Features = Features {
    pa_bits: 48,
    lpa2_4k: false,
    lpa2_16k: false,
    granule_16k: true,
    haf: true,
    dbm: true,
    xnx: true,
    ttst: true,
    fwb: true,
    bbm: 0,
};

/// 52-bit addresses in all granules.
pub(crate) const WIDE: Features = Features {
    pa_bits: 52,
    lpa2_4k: true,
    lpa2_16k: true,
    ..FEATURES
};

pub(crate) const TG0_4K: u64 = 0 << 14;
pub(crate) const TG0_64K: u64 = 1 << 14;
pub(crate) const TG0_16K: u64 = 2 << 14;
pub(crate) const PS_32: u64 = 0;
pub(crate) const PS_36: u64 = 1;
pub(crate) const PS_48: u64 = 5;
pub(crate) const PS_52: u64 = 6;
pub(crate) const HA: u64 = 1 << 21;
pub(crate) const HD: u64 = 1 << 22;
pub(crate) const DS: u64 = 1 << 32;
pub(crate) const SL2: u64 = 1 << 33;
pub(crate) const VM: u64 = 1;
pub(crate) const DC: u64 = 1 << 12;
pub(crate) const RW: u64 = 1 << 31;
pub(crate) const CD: u64 = 1 << 32;
pub(crate) const FWB: u64 = 1 << 46;

/// `VTCR_EL2` with RES1, write-back inner-shareable walks.
pub(crate) const fn vtcr(tg0: u64, ipa_bits: u64, sl0: u64, ps: u64) -> u64 {
    1 << 31 | ps << 16 | tg0 | 0b11_01_01 << 8 | sl0 << 6 | (64 - ipa_bits)
}

/// A leaf that permits everything: AF, inner shareable, S2AP = 0b11, Normal Write-Back.
pub(crate) const LEAF: u64 = 1 << 10 | 0b11 << 8 | 0b11 << 6 | 0b1111 << 2 | 1;
pub(crate) const PAGE: u64 = LEAF | 0b10;
pub(crate) const TABLE: u64 = 0b11;
pub(crate) const AF: u64 = 1 << 10;
pub(crate) const S2AP: u64 = 0b11 << 6;
pub(crate) const MEM_ATTR: u64 = 0b1111 << 2;
pub(crate) const NT: u64 = 1 << 16;
pub(crate) const DBM: u64 = 1 << 51;
pub(crate) const CONTIGUOUS: u64 = 1 << 52;
pub(crate) const XN: u64 = 1 << 54;
pub(crate) const XNX: u64 = 1 << 53;

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

impl Setup {
    pub(crate) fn new(features: Features, vtcr: u64) -> Setup {
        Setup {
            features,
            registers: Registers {
                vtcr,
                vttbr: 7 << 48 | ROOT,
                hcr: RW | VM,
            },
            ram: Ram::default(),
        }
    }

    /// 4K granule, 39-bit IPA, one table at level 1.
    pub(crate) fn k4() -> Setup {
        Setup::new(FEATURES, vtcr(TG0_4K, 39, 1, PS_48))
    }

    /// `k4` whose IPAs 0x1000 to 0x1fff meet `descriptor` at level 3.
    pub(crate) fn page(descriptor: u64) -> Setup {
        let mut setup = Setup::k4();
        setup.set(ROOT, 0x5000_0000 | TABLE);
        setup.set(0x5000_0000, 0x5000_1000 | TABLE);
        setup.set(0x5000_1008, descriptor);
        setup
    }

    pub(crate) fn set(&mut self, at: u64, descriptor: u64) {
        self.ram.words.insert(at, descriptor);
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Setup)) -> Setup {
        change(&mut self);
        self
    }

    pub(crate) fn stage2(&self) -> Stage2 {
        Stage2::new(self.features, self.registers)
    }

    pub(crate) fn ask(&self, ipa: u64, access: Access) -> Answer {
        self.stage2().translate(&self.ram, ipa, access)
    }

    pub(crate) fn read(&self, ipa: u64) -> Answer {
        self.ask(ipa, Access::Read)
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Short {
    Pa(u64),
    Fault(FaultKind, i8),
    Open(Why),
}

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
