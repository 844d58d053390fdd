//! The words of a sequence (`ops`) in the words of the oracle, and the walker's
//! answer back in the words of a sequence.
//!
//! Every conversion is total and is written once, here. What one side cannot say
//! is `None`: a failing allocation is the environment's business and no operation
//! of the contract; an external abort, or behaviour that the architecture leaves
//! open, is no answer that a sequence can expect.

use ops::{
    AccessKind, AccessOutcome, Barrier, CacheOperation, Event, FaultKind, Granule, HYPERVISOR,
    Machine, MemoryType, Operation, Outcome, Prot, Record, Refusal, SENTINEL, Tlbi, Window,
};
use oracle::{arch, event, operation, walk};

/// The machine, with the physical memory that belongs to the hypervisor.
#[must_use]
pub fn machine(machine: &Machine) -> operation::Machine {
    operation::Machine {
        granule: granule(machine.granule),
        pa_bits: machine.pa_bits,
        ipa_bits: machine.ipa_bits,
        start_level: machine.start_level,
        coherent_walks: machine.coherent_walks,
        bbm: 0,
        cache_pages: machine.cache_pages,
        pool: span(machine.pool_window()),
        hypervisor: span(HYPERVISOR),
        sentinel: span(SENTINEL),
    }
}

/// A translation granule.
#[must_use]
pub fn granule(granule: Granule) -> arch::Granule {
    match granule {
        Granule::K4 => arch::Granule::K4,
        Granule::K16 => arch::Granule::K16,
        Granule::K64 => arch::Granule::K64,
    }
}

fn span(window: Window) -> operation::Span {
    operation::Span {
        base: window.base,
        bytes: window.bytes,
    }
}

/// An operation of the contract; `None` for a failing allocation, which asks
/// nothing of the subject.
#[must_use]
pub fn operation(operation: &Operation) -> Option<operation::Operation> {
    Some(match *operation {
        Operation::Create { vm } => operation::Operation::Create {
            vm: vm.index(),
            vmid: vm.vmid(),
        },
        Operation::Map {
            vm,
            ipa,
            pa,
            size,
            prot,
            memory,
            pages_only,
        } => operation::Operation::Map {
            vm: vm.index(),
            ipa,
            pa,
            size,
            prot: self::prot(prot),
            memory: memory_type(memory),
            pages_only,
        },
        Operation::Unmap { vm, ipa, size } => operation::Operation::Unmap {
            vm: vm.index(),
            ipa,
            size,
        },
        Operation::Free { vm } => operation::Operation::Free { vm: vm.index() },
        Operation::Access { vm, ipa, kind } => operation::Operation::Access {
            vm: vm.index(),
            ipa,
            kind: access_kind(kind),
        },
        Operation::Fail { .. } => return None,
    })
}

fn prot(prot: Prot) -> operation::Prot {
    operation::Prot {
        read: prot.read,
        write: prot.write,
        execute: prot.execute,
    }
}

fn memory_type(memory: MemoryType) -> operation::MemoryType {
    match memory {
        MemoryType::Normal => operation::MemoryType::Normal,
        MemoryType::Device => operation::MemoryType::Device,
    }
}

fn access_kind(kind: AccessKind) -> operation::AccessKind {
    match kind {
        AccessKind::Read => operation::AccessKind::Read,
        AccessKind::Write => operation::AccessKind::Write,
        AccessKind::Execute => operation::AccessKind::Execute,
    }
}

/// What the subject answered. An access that was let through is done as far as
/// the subject goes: what it comes to is the walker's to say.
#[must_use]
pub fn outcome(outcome: Outcome) -> operation::Outcome {
    match outcome {
        Outcome::Done | Outcome::Nothing => operation::Outcome::Done,
        Outcome::Freed { pages } => operation::Outcome::Freed { pages },
        Outcome::NoPages { done, need } => operation::Outcome::NoPages { done, need },
        Outcome::Refused(refusal) => operation::Outcome::Refused(self::refusal(refusal)),
    }
}

fn refusal(refusal: Refusal) -> operation::Refusal {
    match refusal {
        Refusal::NoVm => operation::Refusal::NoVm,
        Refusal::Exists => operation::Refusal::Exists,
        Refusal::IllegalConfiguration => operation::Refusal::IllegalConfiguration,
        Refusal::NoMemory => operation::Refusal::NoMemory,
        Refusal::Empty => operation::Refusal::Empty,
        Refusal::Misaligned => operation::Refusal::Misaligned,
        Refusal::Wraps => operation::Refusal::Wraps,
        Refusal::IpaRange => operation::Refusal::IpaRange,
        Refusal::PaRange => operation::Refusal::PaRange,
        Refusal::BadAttributes => operation::Refusal::BadAttributes,
        Refusal::Denied => operation::Refusal::Denied,
    }
}

/// One event of the subject.
#[must_use]
pub fn record(record: Record) -> event::Record {
    event::Record {
        cpu: record.cpu,
        event: event(record.event),
    }
}

fn event(event: Event) -> event::Event {
    match event {
        Event::Store {
            at,
            old,
            new,
            release,
        } => event::Event::Store {
            at,
            old,
            new,
            release,
        },
        Event::Zero { at, bytes } => event::Event::Zero { at, bytes },
        Event::Tlbi { operation, operand } => event::Event::Tlbi {
            operation: tlbi(operation),
            operand,
        },
        Event::Barrier(barrier) => event::Event::Barrier(self::barrier(barrier)),
        Event::Cache {
            operation: CacheOperation::Cvac,
            at,
        } => event::Event::Cache {
            operation: event::CacheOperation::Cvac,
            at,
        },
        Event::WriteVtcr(value) => event::Event::WriteVtcr(value),
        Event::WriteVttbr(value) => event::Event::WriteVttbr(value),
        Event::Allocate { page, order } => event::Event::Allocate { page, order },
        Event::AllocateFailed { order, injected } => {
            event::Event::AllocateFailed { order, injected }
        }
        Event::Release { page, order } => event::Event::Release { page, order },
    }
}

fn tlbi(operation: Tlbi) -> event::Tlbi {
    match operation {
        Tlbi::Ipas2e1is => event::Tlbi::Ipas2e1is,
        Tlbi::Vmalle1is => event::Tlbi::Vmalle1is,
        Tlbi::Vmalls12e1is => event::Tlbi::Vmalls12e1is,
    }
}

fn barrier(barrier: Barrier) -> event::Barrier {
    match barrier {
        Barrier::DsbIshst => event::Barrier::DsbIshst,
        Barrier::DsbIsh => event::Barrier::DsbIsh,
        Barrier::Isb => event::Barrier::Isb,
    }
}

/// What a guest access comes to, from the walker's answer to it. `None` for an
/// external abort and for what the architecture leaves open: neither can be
/// expected by a sequence.
#[must_use]
pub fn access_outcome(answer: &walk::Answer) -> Option<AccessOutcome> {
    match answer {
        walk::Answer::Translation(translation) => Some(AccessOutcome::Ok { pa: translation.pa }),
        walk::Answer::Fault(fault) => {
            let kind = fault_kind(fault.kind)?;
            Some(AccessOutcome::Fault {
                kind,
                level: fault.level,
            })
        }
        walk::Answer::Unpredictable(_) => None,
    }
}

fn fault_kind(kind: walk::FaultKind) -> Option<FaultKind> {
    match kind {
        walk::FaultKind::Translation => Some(FaultKind::Translation),
        walk::FaultKind::AddressSize => Some(FaultKind::AddressSize),
        walk::FaultKind::AccessFlag => Some(FaultKind::AccessFlag),
        walk::FaultKind::Permission => Some(FaultKind::Permission),
        walk::FaultKind::Stage1AddressSize => Some(FaultKind::Stage1AddressSize),
        walk::FaultKind::ExternalAbort => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ops::Vm;

    fn fault(kind: walk::FaultKind) -> walk::Answer {
        walk::Answer::Fault(walk::Fault {
            kind,
            level: 2,
            permitted_update: None,
        })
    }

    #[test]
    fn a_vm_has_its_index_and_its_vmid() {
        let vm = Vm::new(3).expect("there are four VMs");
        let created = operation(&Operation::Create { vm });
        assert_eq!(
            created,
            Some(operation::Operation::Create { vm: 3, vmid: 4 })
        );
    }

    #[test]
    fn a_failing_allocation_is_no_operation_of_the_contract() {
        assert_eq!(operation(&Operation::Fail { after: 1 }), None);
    }

    #[test]
    fn the_machine_keeps_pool_hypervisor_and_sentinel_apart() {
        let told = machine(&Machine::PLAIN);
        assert_eq!((told.pool.base, told.pool.bytes), (0x4800_0000, 64 << 12));
        assert_eq!(
            (told.hypervisor.base, told.hypervisor.bytes),
            (0x4000_0000, 0x0800_0000)
        );
        assert_eq!(
            (told.sentinel.base, told.sentinel.bytes),
            (0x47ff_0000, 0x1_0000)
        );
    }

    #[test]
    fn a_fault_keeps_kind_and_level() {
        let told = access_outcome(&fault(walk::FaultKind::Permission));
        assert_eq!(
            told,
            Some(AccessOutcome::Fault {
                kind: FaultKind::Permission,
                level: 2
            })
        );
    }

    #[test]
    fn what_a_sequence_cannot_expect_is_no_outcome() {
        assert_eq!(access_outcome(&fault(walk::FaultKind::ExternalAbort)), None);
        let open = walk::Answer::Unpredictable(walk::Why::MemAttr);
        assert_eq!(access_outcome(&open), None);
    }
}
