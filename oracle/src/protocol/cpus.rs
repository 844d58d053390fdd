//! What each CPU has written, and which of its events a barrier of its own has
//! followed. A barrier of one CPU says nothing of another's stores.

use super::pending::Time;
use crate::ledger::Place;

/// One CPU.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cpu {
    /// Its last `DSB` of either kind.
    pub(super) barrier: Time,
    /// Its last `DSB ISH`.
    pub(super) full_barrier: Time,
    pub(super) registers: Registers,
    /// It wrote a register, and no `ISB` followed.
    pub(super) unsynchronized: bool,
    /// Its last valid descriptor that no barrier has followed.
    pub(super) unpublished: Option<(u64, Place)>,
    /// It stored to table memory, and no `DSB` followed.
    pub(super) has_stored: bool,
    /// It invalidated or cleaned, and no `DSB ISH` followed.
    pub(super) has_maintained: bool,
    /// It invalidated, and no `ISB` followed.
    pub(super) has_invalidated: bool,
    /// How far it is with its invalidations, where its own TLB counts (E6).
    pub(super) own_tlb: OwnTlb,
    /// A `DSB` published descriptors that it translates by itself, and no `ISB` followed.
    pub(super) own_published: bool,
}

/// What a CPU wrote to its registers last, or 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Registers {
    pub(super) vtcr: u64,
    pub(super) vttbr: u64,
    /// `TCR_EL2`, HTCR
    pub(super) tcr: u64,
    /// `TTBR0_EL2`, HTTBR
    pub(super) ttbr0: u64,
    /// `MAIR_EL2`, HMAIR0
    pub(super) mair: u64,
}

/// What the instructions that follow may still be translated by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum OwnTlb {
    /// What the tables say.
    #[default]
    Clean,
    /// What a `TLBI` invalidates that no `DSB ISH` has completed.
    Invalidating,
    /// The same until an `ISB`.
    Completed,
}

/// The CPUs, as far as they have done anything.
#[derive(Clone, Debug, Default)]
pub(super) struct Cpus(Vec<Cpu>);

impl Cpus {
    pub(super) fn reset(&mut self) {
        self.0.clear();
    }

    /// An operation starts: times start anew, registers stay.
    pub(super) fn begin(&mut self) {
        for cpu in &mut self.0 {
            *cpu = Cpu {
                registers: cpu.registers,
                unsynchronized: cpu.unsynchronized,
                ..Cpu::default()
            };
        }
    }

    #[inline]
    pub(super) fn of(&self, cpu: u8) -> Cpu {
        self.0.get(usize::from(cpu)).copied().unwrap_or_default()
    }

    #[inline]
    pub(super) fn get(&mut self, cpu: u8) -> &mut Cpu {
        let index = usize::from(cpu);
        if index >= self.0.len() {
            self.0.resize_with(index + 1, Cpu::default);
        }
        &mut self.0[index]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Cpu> {
        self.0.iter()
    }
}
