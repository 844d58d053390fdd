//! How each guest access of a sequence is tried on the machine, chosen from what
//! the host's run predicts: a real access where it can be made and undone, `AT`
//! where only that is possible, nothing where neither is. Whatever is left out
//! has a reason, and reasons are counted.

use crate::cpu::Feature;
use crate::deviations;
use crate::host::Prediction;
use crate::qemu::Version;
use ops::mailbox::{self, Method, Probe};
use ops::{AccessKind, Machine, Regime, Window};
use oracle::walk::{Answer, FaultKind};
use std::collections::BTreeMap;
use std::fmt;

/// Bytes of the stub: they are code, and carry no stamp.
const STUB_BYTES: u64 = 4096;

/// Pages so far apart have the same `immediate`.
const ALIAS_BYTES: u64 = 1 << (12 + 16);

/// Why something was not compared on the machine, or by `AT` alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The tables are those of a hypervisor in AArch32.
    Aarch32,
    /// The CPU does not have what the sequence needs.
    Lacks(Feature),
    /// The emulator refuses the sequence's `VTCR_EL2`: a known deviation, by name.
    Refused(&'static str),
    /// The pool is not wholly in the machine's RAM.
    PoolOutsideRam,
    /// Guest memory is not wholly in the machine's RAM.
    MemoryOutsideRam,
    /// The machine line names no stub.
    NoStub,
    /// The stub's page is not mapped for execution in this VM at this moment.
    StubUnmapped,
    /// EL2's own tables do not map the image's code at this moment.
    ImageUnmapped,
    /// The address is not a multiple of 8.
    Unaligned,
    /// The access would reach a byte outside of the guest's memory.
    OutsideMemory,
    /// The access would reach the stub's own bytes.
    OnStub,
    /// The page's number cannot be told from the stub's own `hvc`s.
    PageNumber,
    /// The fetch would execute what an earlier step stored.
    Overwritten,
    /// The architecture allows several answers.
    LeftOpen,
    /// The walk leaves table memory.
    WalkOutsidePool,
    /// A known deviation of the emulator, by name.
    Deviation(&'static str),
    /// A fetch tells the low 16 bits of the page's number, and guest memory spans
    /// another page with the same.
    PageAlias,
    /// The event log had no room for the last events.
    LogFull,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Aarch32 => "sequence not run: tables of a hypervisor in AArch32",
            Reason::Lacks(feature) => {
                return write!(f, "sequence not run: CPU lacks {}", feature.name());
            }
            Reason::Refused(name) => {
                return write!(f, "sequence not run: QEMU deviates: {name}");
            }
            Reason::PoolOutsideRam => "sequence not run: pool outside of the machine's RAM",
            Reason::MemoryOutsideRam => {
                "sequence not run: guest memory outside of the machine's RAM"
            }
            Reason::NoStub => "by AT only: no stub",
            Reason::StubUnmapped => "by AT only: stub not executable",
            Reason::ImageUnmapped => "EL2's own tables do not map the image",
            Reason::Unaligned => "by AT only: not a multiple of 8",
            Reason::OutsideMemory => "by AT only: PA outside of guest memory",
            Reason::OnStub => "by AT only: PA on the stub",
            Reason::PageNumber => "by AT only: page number is no stamp",
            Reason::Overwritten => "by AT only: stored to before",
            Reason::LeftOpen => "left open by the architecture",
            Reason::WalkOutsidePool => "walk leaves the pool",
            Reason::Deviation(name) => return write!(f, "QEMU deviates: {name}"),
            Reason::PageAlias => {
                "fetched page among those 256 MiB apart: guest memory spans several"
            }
            Reason::LogFull => "events beyond the log",
        })
    }
}

/// How often each reason held.
pub type Reasons = BTreeMap<Reason, u64>;

/// The probes of a sequence, and what they need in guest memory.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// One for each operation of the sequence.
    pub probes: Vec<Probe>,
    /// The 8 bytes at these physical addresses, before the sequence starts.
    pub before: BTreeMap<u64, u64>,
    /// The same, once it has been executed.
    pub after: BTreeMap<u64, u64>,
    /// What loads give, by index of the operation.
    pub loads: BTreeMap<usize, u64>,
    /// What was left out.
    pub reasons: Reasons,
}

/// Why no machine can run this sequence at all.
#[must_use]
pub fn not_runnable(machine: &Machine) -> Option<Reason> {
    if matches!(machine.regime, Regime::Aarch32 | Regime::Aarch32Hyp) {
        return Some(Reason::Aarch32);
    }
    if !is_inside(machine.pool_window(), mailbox::RAM) {
        return Some(Reason::PoolOutsideRam);
    }
    (!is_inside(machine.memory, mailbox::RAM)).then_some(Reason::MemoryOutsideRam)
}

/// What marks the 8 bytes at `pa`: as code `hvc #n` with the low 16 bits of the
/// page's number, as data that and the number.
#[must_use]
pub fn stamp(pa: u64) -> u64 {
    let page = pa >> 12;
    let hvc = 0xd400_0002 | (page & 0xffff) << 5;
    (page & 0xffff_ffff) << 32 | hvc
}

/// The immediate that a fetch at `pa` executes.
#[must_use]
pub fn immediate(pa: u64) -> u16 {
    (pa >> 12 & 0xffff) as u16
}

impl Plan {
    /// How the access of the next operation is tried.
    pub(crate) fn choose(
        &mut self,
        machine: &Machine,
        ipa: u64,
        kind: AccessKind,
        prediction: &Prediction,
        version: Version,
    ) -> Probe {
        if prediction.is_el2 && !prediction.code_ready {
            // `AT` too would have to run on these tables.
            self.count(Reason::ImageUnmapped);
            return Probe::NONE;
        }
        match self.obstacle(machine, ipa, kind, prediction) {
            None => self.access(machine, kind, prediction),
            Some(reason) => {
                self.count(reason);
                self.translate(prediction, version)
            }
        }
    }

    /// Why the access cannot be made for real.
    fn obstacle(
        &self,
        machine: &Machine,
        ipa: u64,
        kind: AccessKind,
        prediction: &Prediction,
    ) -> Option<Reason> {
        if !prediction.is_el2 && machine.stub.is_none() {
            return Some(Reason::NoStub);
        }
        if !prediction.code_ready {
            return Some(Reason::StubUnmapped);
        }
        if !ipa.is_multiple_of(8) {
            return Some(Reason::Unaligned);
        }
        match prediction.access {
            Answer::Unpredictable(_) => Some(Reason::LeftOpen),
            Answer::Fault(fault) if fault.kind == FaultKind::ExternalAbort => {
                Some(Reason::WalkOutsidePool)
            }
            Answer::Fault(fault) if fault.permitted_update.is_some() => Some(Reason::LeftOpen),
            Answer::Fault(_) => None,
            Answer::Translation(translation) => self.obstacle_at(machine, translation.pa, kind),
        }
    }

    fn obstacle_at(&self, machine: &Machine, pa: u64, kind: AccessKind) -> Option<Reason> {
        let stub = Window {
            base: machine.memory.base,
            bytes: STUB_BYTES,
        };
        // Guest memory and its addresses are multiples of 8.
        if !machine.memory.contains(pa) {
            return Some(Reason::OutsideMemory);
        }
        if machine.stub.is_some() && stub.contains(pa) {
            return Some(Reason::OnStub);
        }
        if kind != AccessKind::Execute {
            return None;
        }
        let number = immediate(pa);
        if number < mailbox::HVC_FIRST_STAMP || number == mailbox::HVC_EXCEPTION {
            return Some(Reason::PageNumber);
        }
        let overwritten = self.after.get(&pa).is_some_and(|value| *value != stamp(pa));
        overwritten.then_some(Reason::Overwritten)
    }

    fn access(&mut self, machine: &Machine, kind: AccessKind, prediction: &Prediction) -> Probe {
        let mut probe = Probe {
            method: Method::Access,
            value: 0,
        };
        let Answer::Translation(translation) = prediction.access else {
            // A store that the walker says faults must not be lost if it does not.
            if kind == AccessKind::Write {
                probe.value = !0;
            }
            return probe;
        };
        let pa = translation.pa;
        self.before.insert(pa, stamp(pa));
        let now = self.after.entry(pa).or_insert(stamp(pa));
        match kind {
            AccessKind::Read => {
                self.loads.insert(self.probes.len(), *now);
            }
            AccessKind::Write => {
                probe.value = !stamp(pa);
                *now = probe.value;
            }
            // The image writes the stamp again, so that an emulator drops what it
            // translated from there before.
            AccessKind::Execute => {
                probe.value = pa;
                if has_alias(machine.memory, pa) {
                    self.count(Reason::PageAlias);
                }
            }
        }
        probe
    }

    fn translate(&mut self, prediction: &Prediction, version: Version) -> Probe {
        let reason = match prediction.at {
            Answer::Unpredictable(_) => Reason::LeftOpen,
            // Whether the access flag is set all the same.
            Answer::Fault(fault) if fault.permitted_update.is_some() => Reason::LeftOpen,
            Answer::Fault(fault) if fault.kind == FaultKind::ExternalAbort => {
                Reason::WalkOutsidePool
            }
            Answer::Fault(fault)
                if fault.kind == FaultKind::Permission
                    && !prediction.is_el2
                    && deviations::AT_PERMISSION_FAULT.applies(version) =>
            {
                Reason::Deviation(deviations::AT_PERMISSION_FAULT.name)
            }
            _ => {
                return Probe {
                    method: Method::Translate,
                    value: 0,
                };
            }
        };
        self.count(reason);
        Probe::NONE
    }

    fn count(&mut self, reason: Reason) {
        *self.reasons.entry(reason).or_default() += 1;
    }
}

/// Whether guest memory has another page with the same immediate.
fn has_alias(memory: Window, pa: u64) -> bool {
    let below = pa.checked_sub(ALIAS_BYTES);
    let above = pa.checked_add(ALIAS_BYTES);
    let mut others = below.into_iter().chain(above);
    others.any(|other| memory.contains(other))
}

fn is_inside(inner: Window, outer: Window) -> bool {
    match (inner.end(), outer.end()) {
        (Some(inner_end), Some(outer_end)) => inner.base >= outer.base && inner_end <= outer_end,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ops::Pool;

    #[test]
    fn a_stamp_is_an_hvc_and_tells_its_page() {
        let pa = 0x5012_3000;
        assert_eq!(stamp(pa) & 0xffff_ffff, 0xd400_0002 | 0x123 << 5);
        assert_eq!(stamp(pa) >> 32, 0x50123);
        assert_eq!(immediate(pa), 0x123);
    }

    #[test]
    fn pages_with_the_same_immediate_are_known() {
        let pa = 0x5012_3000;
        assert_eq!(immediate(pa), immediate(pa + ALIAS_BYTES));
        assert_eq!(immediate(pa), immediate(pa - ALIAS_BYTES));
        let memory = |base, bytes| Window { base, bytes };
        assert!(!has_alias(memory(0x5000_0000, ALIAS_BYTES), pa));
        assert!(has_alias(memory(0x5000_0000, 2 * ALIAS_BYTES), pa));
        assert!(has_alias(memory(0x4000_0000, 2 * ALIAS_BYTES), pa));
    }

    /// A fetch of one page, in guest memory of this many MiB.
    fn planned(mebibytes: u64) -> Plan {
        let text = format!(
            "machine granule=4K pa=40 ipa=40 memory=0x50000000+{mebibytes}M stub=0x1000\n\
             map a ipa=0x10000 pa=0x50010000 size=4K prot=r-x mem=normal\n\
             access a ipa=0x10000 execute\n"
        );
        let sequence = fuzz::text::parse(&text).unwrap();
        planned_for(&sequence)
    }

    /// On a CPU with 40 address bits and nothing optional but hardware updates.
    fn planned_for(sequence: &fuzz::Sequence) -> Plan {
        let description = mailbox::Description {
            mmfr: [0x1122, 2, 0],
            isar0: 0,
            midr: 0,
            counter_hz: 1,
        };
        let emulated = crate::host::Emulated {
            description: &description,
            version: crate::qemu::OLDEST,
        };
        crate::host::run(&mut fuzz::host::Engine::new(), sequence, emulated).plan
    }

    #[test]
    fn a_fetch_that_tells_its_page_in_part_is_counted() {
        assert!(planned(256).reasons.is_empty());
        let plan = planned(512);
        assert_eq!(plan.probes[1].method, Method::Access);
        assert_eq!(plan.reasons, Reasons::from([(Reason::PageAlias, 1)]));
    }

    #[test]
    fn the_plain_machine_fits() {
        assert_eq!(not_runnable(&Machine::PLAIN), None);
    }

    #[test]
    fn a_pool_or_memory_that_crosses_the_end_of_ram_does_not() {
        let pool = Pool {
            base: 0x7fff_f000,
            pages: 2,
        };
        let machine = Machine {
            pool,
            ..Machine::PLAIN
        };
        assert_eq!(not_runnable(&machine), Some(Reason::PoolOutsideRam));
        let memory = Window {
            base: 0x1_0000_0000,
            bytes: 0x1000,
        };
        let machine = Machine {
            memory,
            ..Machine::PLAIN
        };
        assert_eq!(not_runnable(&machine), Some(Reason::MemoryOutsideRam));
    }
}
