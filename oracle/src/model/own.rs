//! Section E: EL2's own stage 1. Which configurations are legal, what the registers
//! hold, and map and unmap, which never change a live entry. Hyp mode's own (Z3) has the
//! same operations.
//!
//! It leaves out E3, E6 and E7, which are about descriptors and instructions.

use super::Effects;
use super::change::{Wanted, alike};
use super::content::Stretch;
use super::legal::{self, Configuration, Illegal, PAGE_LEVEL, Request};
use super::registers::{self, WALKS};
use super::space::Space;
use super::whole::is_device;
use crate::operation::{Execute, Machine, MemoryType, Operation, Outcome, Prot, Refusal, Regime};

/// The one address space: `a`.
const OWN: usize = 0;

/// E2: Normal, Device-nGnRE, Normal Non-cacheable and Device-nGnRnE.
pub const MAIR: u64 = 0x0044_04ff;

/// E1.
///
/// DDI 0487 K.a: AArch64.S1TxSZFaults, AArch64.S1MinTxSZ, AArch64.S1StartLevel.
pub(super) fn check(request: &Request) -> Result<Configuration, Illegal> {
    legal::check_sizes(request)?;
    with_start_of_va(request)
}

/// E1 and Z3: the start level follows from a VA size that is legal.
pub(super) fn with_start_of_va(request: &Request) -> Result<Configuration, Illegal> {
    let granule_bits = request.granule.bits();
    let above_pages = (request.ipa_bits - 1 - granule_bits) / (granule_bits - 3);
    let only = PAGE_LEVEL - above_pages.cast_signed();
    match request.start_level {
        Some(start_level) if start_level != only => Err(Illegal::NotTheStart { start_level, only }),
        _ => Ok(Configuration::with_start(request, only)),
    }
}

/// E2: `TCR_EL2`.
pub fn tcr(configuration: &Configuration) -> u64 {
    const RES1: u64 = 1 << 31 | 1 << 23;
    let t0sz = 64 - u64::from(configuration.ipa_bits());
    t0sz | WALKS | registers::format(configuration) | RES1
}

/// E2: `TTBR0_EL2`, or `None` where it has no room for the root's address.
pub fn ttbr0(configuration: &Configuration, root_pa: u64) -> Option<u64> {
    registers::base(configuration, root_pa)
}

/// A machine on which hardware sets no flags: E2 has HA = HD = 0.
pub(super) fn machine(machine: &Machine) -> Machine {
    let mut machine = *machine;
    if machine.regime.is_own() {
        (machine.features.haf, machine.features.dbm) = (false, false);
    }
    machine
}

/// Section E: what the regime does not have.
pub(crate) fn is_here(regime: Regime, operation: &Operation) -> bool {
    let has = matches!(
        operation,
        Operation::Create { .. }
            | Operation::Map { .. }
            | Operation::Unmap { .. }
            | Operation::Free { .. }
            | Operation::Access { .. }
            | Operation::Leaf { .. }
    );
    !regime.is_own() || has && operation.vm() == OWN
}

/// E4, in the place of M7.
pub(super) fn check_attributes(prot: Prot, memory: MemoryType) -> Result<(), Refusal> {
    let executes = prot.execute != Execute::Never;
    let per_el = matches!(prot.execute, Execute::El1 | Execute::El0);
    let excluded = executes && (prot.write || is_device(memory));
    if !prot.read || per_el || excluded {
        return Err(Refusal::BadAttributes);
    }
    Ok(())
}

impl Space {
    /// E4: whether all of a range that is mapped is mapped as wanted.
    pub(super) fn agrees_with(&self, wanted: &Wanted) -> bool {
        let mut old = self.stretches[self.overlapping(wanted.ipa, wanted.end())].iter();
        old.all(|old| {
            let from = old.ipa.max(wanted.ipa);
            old.content_at(from).serves_as(&wanted.content_at(from))
        })
    }

    /// E4: maps what is not mapped of a range that agrees with what is wanted, drawing on
    /// `available` pages. A table stays where it is, so that new leaves are below it.
    ///
    /// The cost follows the tables that are touched.
    pub(super) fn fill(
        &mut self,
        wanted: &Wanted,
        mut available: u32,
        effects: &mut Effects,
    ) -> Outcome {
        self.add_neighbours(wanted.ipa, wanted.end(), effects);
        let mut at = wanted.ipa;
        while at < wanted.end() {
            if let Some(old) = self.covering(at) {
                at = old.end();
                continue;
            }
            let (fitting, alike_until) = alike(&self.configuration, wanted, at);
            effects.edges.add(at);
            effects.edges.add(alike_until);
            let deepest = self.deepest_table(at);
            let level = fitting.max(deepest);
            let need = (level - deepest).unsigned_abs();
            let Some(left) = available.checked_sub(u32::from(need)) else {
                effects.edges.add_stop(at);
                return Outcome::NoPages {
                    done: at - wanted.ipa,
                    need: u16::from(need),
                };
            };
            available = left;
            let table_end = (at + 1).next_multiple_of(self.configuration.table_bytes(level));
            let end = self.unmapped_until(at, level, table_end.min(alike_until));
            let new = Stretch {
                ipa: at,
                bytes: end - at,
                level,
                content: wanted.content_at(at),
            };
            self.replace(at, end, Some(new), &mut effects.dirty);
            at = end;
        }
        Outcome::Done
    }

    /// Up to where, at most `end`, the entries of `level` from `at` on hold nothing.
    fn unmapped_until(&self, at: u64, level: i8, end: u64) -> u64 {
        let next = self.stretches[self.overlapping(at, end)].first();
        let bytes = self.configuration.entry_bytes(level);
        next.map_or(end, |next| next.ipa / bytes * bytes)
    }

    /// E5: whether a range cuts a block.
    pub(super) fn is_cut_by(&self, from: u64, to: u64) -> bool {
        [from, to].into_iter().any(|edge| {
            let old = self.covering(edge);
            old.is_some_and(|old| !edge.is_multiple_of(self.configuration.entry_bytes(old.level)))
        })
    }
}
