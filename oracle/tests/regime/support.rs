//! Machines, registers and memory. Field positions are written out again here: a test
//! that took them from the oracle could not see a wrong one.

use std::collections::HashMap;

use oracle::arch::{Features, Granule};
use oracle::operation::{Machine, Regime, Span};
use oracle::regime::Registers;
use oracle::walk::{Access, Memory};

pub(crate) const POOL: u64 = 0x4800_0000;
pub(crate) const ROOT: u64 = POOL;
pub(crate) const L2: u64 = POOL + 0x1000;
pub(crate) const L3: u64 = POOL + 0x2000;
pub(crate) const GUEST: u64 = 0x5000_0000;

pub(crate) const FETCH: Access = Access::Execute { el0: false };
pub(crate) const ALL: [Access; 4] = [Access::Read, Access::Write, FETCH, Access::AtWrite];

pub(crate) const ALL_REGIMES: [Regime; 4] = [
    Regime::Stage2,
    Regime::El2,
    Regime::Aarch32,
    Regime::Aarch32Hyp,
];

pub(crate) fn machine(regime: Regime) -> Machine {
    Machine {
        regime,
        granule: Granule::K4,
        pa_bits: 40,
        ipa_bits: 32,
        start_level: None,
        ds: false,
        features: Features::of_contract(40),
        contiguous: false,
        ttl: false,
        tlb_range: false,
        vmid16: false,
        idc: false,
        dic: false,
        coherent_walks: true,
        bbm: 0,
        cache_pages: None,
        pool: Span {
            base: POOL,
            bytes: 64 << 12,
        },
        hypervisor: Span {
            base: 0x4000_0000,
            bytes: 0x800_0000,
        },
        sentinel: Span { base: 0, bytes: 0 },
    }
}

/// Registers for 32-bit addresses and a level 1 root at [`ROOT`].
pub(crate) fn registers(regime: Regime) -> Registers {
    let walks = 0b11_01_01 << 8;
    let control = match regime {
        Regime::Stage2 => 1 << 31 | 2 << 16 | walks | 1 << 6 | 32,
        Regime::El2 => 1 << 31 | 1 << 23 | 2 << 16 | walks | 32,
        Regime::Aarch32 => 1 << 31 | walks | 1 << 6,
        Regime::Aarch32Hyp => 1 << 31 | 1 << 23 | walks,
    };
    Registers {
        control,
        root: ROOT,
        attributes: 0x0044_04ff,
    }
}

pub(crate) fn is_own(regime: Regime) -> bool {
    matches!(regime, Regime::El2 | Regime::Aarch32Hyp)
}

/// A read-only, executable page of normal memory.
pub(crate) fn page(regime: Regime, pa: u64) -> u64 {
    let attributes = if is_own(regime) {
        1 << 7 | 1 << 6
    } else {
        1 << 6 | 0b1111 << 2
    };
    pa | 1 << 10 | 0b11 << 8 | attributes | 0b11
}

#[derive(Default)]
pub(crate) struct Words(pub(crate) HashMap<u64, u64>);

impl Memory for Words {
    fn read(&self, at: u64) -> Option<u64> {
        let is_table = (POOL..POOL + 0x3000).contains(&at);
        is_table.then(|| self.0.get(&at).copied().unwrap_or(0))
    }
}

/// Tables that map two pages at 0, and a table outside of the memory at 1 GiB.
pub(crate) fn tables(regime: Regime) -> Words {
    let mut words = Words::default();
    words.0.insert(ROOT, L2 | 0b11);
    words.0.insert(ROOT + 8, 0x7000_0000 | 0b11);
    words.0.insert(L2, L3 | 0b11);
    words.0.insert(L3, page(regime, GUEST));
    words.0.insert(L3 + 8, page(regime, GUEST + 0x1000));
    words
}
