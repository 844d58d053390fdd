//! `Stage1`: `TCR_EL2`, `TTBR0_EL2`, `MAIR_EL2` and `SCTLR_EL2`, decoded and checked
//! once.

use super::{Access, Entry, Features, Memory, Registers, Why};
use crate::arch::Granule;
use crate::params::{Control, FINAL_LEVEL, State, WalkParams, bit};

/// Registers decoded once, for many walks.
///
/// A configuration that no walk can use is remembered, and answers every walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage1 {
    pub(crate) state: State,
    pub(crate) params: WalkParams,
    /// PAMax.
    pub(crate) pa_bits: u8,
    /// Physical address of the root.
    pub(crate) base: u64,
    pub(crate) mair: u64,
    /// `TCR_EL2.SH0`, which stands for the leaf's SH where DS is set.
    pub(crate) sh0: u8,
    pub(crate) controls: Controls,
    pub(crate) xs: bool,
    pub(crate) mte2: bool,
}

/// Fields of the registers that act on addresses and permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Controls {
    /// TBI: bits 63:56 of an address are ignored.
    pub(crate) ignores_top_byte: bool,
    /// TBID: not those of the address of an instruction.
    pub(crate) keeps_top_byte_of_instructions: bool,
    /// HPD: table descriptors restrict nothing.
    pub(crate) ignores_table_permissions: bool,
    /// `SCTLR_EL2.WXN`
    pub(crate) write_implies_execute_never: bool,
    /// `SCTLR_EL2.C` is 0.
    pub(crate) caches_disabled: bool,
    /// `SCTLR_EL2.EE`
    pub(crate) big_endian_tables: bool,
    /// Leaves have the GP bit, as in AArch64.
    pub(crate) has_guarded_pages: bool,
}

/// AArch64.S1TTWParamsEL2
fn controls(features: &Features, registers: &Registers) -> Controls {
    let Registers { tcr, sctlr, .. } = *registers;
    Controls {
        ignores_top_byte: bit(tcr, 20),
        keeps_top_byte_of_instructions: features.pauth && bit(tcr, 29),
        ignores_table_permissions: features.hpds && bit(tcr, 24),
        write_implies_execute_never: bit(sctlr, 19),
        caches_disabled: !bit(sctlr, 2),
        big_endian_tables: bit(sctlr, 25),
        has_guarded_pages: true,
    }
}

/// AArch64.S1MinTxSZ
fn smallest_t0sz(control: &Control, lva: bool) -> u8 {
    if lva && control.granule == Granule::K64 || control.ds {
        12
    } else {
        16
    }
}

/// AArch64.S1StartLevel, where TxSZ is within its limits.
fn start_level(params: &WalkParams) -> i8 {
    // The quotient is at most 4.
    let above = (params.input_bits - 1 - params.granule.bits()) / params.stride();
    FINAL_LEVEL - above.cast_signed()
}

/// TG0 names no granule: the largest address space that any other could give.
fn state_of_open_granule(control: &Control) -> State {
    let smallest = if control.features.ttst { 17 } else { 25 };
    State::Open {
        why: Why::Granule,
        input_bits: (64 - control.t0sz()).clamp(smallest, 52),
    }
}

/// AArch64.S1TxSZFaults; `None` where TxSZ is within its limits.
fn state_of_t0sz(control: &Control, lva: bool) -> Option<State> {
    let (smallest, largest) = (smallest_t0sz(control, lva), control.largest_t0sz());
    let t0sz = control.t0sz();
    if t0sz < smallest && lva {
        return Some(State::Invalid);
    }
    // A fault, or the limit in its stead, beyond which addresses fault too.
    (!(smallest..=largest).contains(&t0sz)).then(|| State::Open {
        why: Why::T0sz,
        input_bits: 64 - t0sz.clamp(smallest, largest),
    })
}

impl Stage1 {
    /// Decodes the registers. It accepts any values: see [`Stage1`]. A physical
    /// address size outside 32 to 52 bits counts as the nearest of these.
    pub fn new(features: Features, registers: Registers) -> Stage1 {
        let control = Control::new(features.both, registers.tcr);
        let mut stage1 = Stage1 {
            state: State::Off,
            params: control.params(FINAL_LEVEL),
            pa_bits: control.features.pa_bits,
            base: 0,
            mair: registers.mair,
            sh0: control.sh0(),
            controls: controls(&features, &registers),
            xs: features.xs,
            mte2: features.mte2,
        };
        // AArch64.S1Enabled
        if bit(registers.sctlr, 0) {
            stage1.state = stage1.check(&control, features.lva, registers.ttbr0);
        }
        stage1
    }

    /// The configuration checks of AArch64.S1Translate, in its order.
    fn check(&mut self, control: &Control, lva: bool, ttbr0: u64) -> State {
        if control.granule_is_open {
            return state_of_open_granule(control);
        }
        if let Some(state) = state_of_t0sz(control, lva) {
            return state;
        }
        self.params.start_level = start_level(&self.params);
        let (state, base) = control.root(&self.params, ttbr0);
        self.base = base;
        state
    }

    /// AArch64.AddrTop: the bits of an address that count.
    #[inline]
    pub(super) fn without_tag(&self, va: u64, access: Access) -> u64 {
        let keeps = access == Access::Execute && self.controls.keeps_top_byte_of_instructions;
        if self.controls.ignores_top_byte && !keeps {
            va & ((1 << 56) - 1)
        } else {
            va
        }
    }

    /// FetchDescriptor
    #[inline]
    pub(super) fn fetch<M: Memory + ?Sized>(&self, memory: &M, at: u64) -> Option<u64> {
        memory.read(at).map(|descriptor| self.in_memory(descriptor))
    }

    /// A descriptor in the byte order of memory, and back.
    pub(super) fn in_memory(&self, descriptor: u64) -> u64 {
        if self.controls.big_endian_tables {
            descriptor.swap_bytes()
        } else {
            descriptor
        }
    }

    /// Whether descriptors are read at all: the MMU is on, its configuration valid, and
    /// the root within the output size.
    fn is_valid(&self) -> bool {
        self.state == State::Valid
    }

    /// The level of the root, where descriptors are read at all.
    pub fn start_level(&self) -> Option<i8> {
        self.is_valid().then_some(self.params.start_level)
    }

    /// Physical address of the root and the number of its entries, where descriptors
    /// are read at all.
    pub fn root(&self) -> Option<(u64, u32)> {
        self.is_valid()
            .then(|| (self.base, 1 << self.params.root_index_bits()))
    }

    /// The size of virtual addresses in bits, 64 - `TCR_EL2.T0SZ`.
    pub fn va_bits(&self) -> u8 {
        self.params.input_bits
    }

    /// Type and address of a descriptor of `level`. It checks neither the address nor
    /// the attributes. A level that the granule does not have holds nothing but
    /// invalid entries.
    pub fn entry(&self, level: i8, descriptor: u64) -> Entry {
        self.params.entry_of_any_level(level, descriptor)
    }

    /// The bytes of virtual address space that an entry of `level` covers; 0 for a
    /// level that the granule does not have.
    pub fn entry_bytes(&self, level: i8) -> u64 {
        self.params.entry_bytes(level)
    }

    /// Entries of one table below the root.
    pub fn entries_per_table(&self) -> u32 {
        1 << self.params.stride()
    }
}
