//! The words of a sequence (`ops`) in the words of the oracle, and the walker's
//! answer back in the words of a sequence.
//!
//! Every conversion is total and is written once, here. What one side cannot say
//! is `None`: a failing allocation is the environment's business and no operation
//! of the contract; an external abort, or behaviour that the architecture leaves
//! open, is no answer that a sequence can expect.

mod answer;
mod event;

pub use answer::{access_outcome, outcome};
pub use event::record;

use ops::{
    AccessKind, Action, Execute, Features, Granule, HYPERVISOR, Machine, MemoryType, Operation,
    Prot, Regime, SENTINEL, Window,
};
use oracle::model::legal::{self, Configuration, Request};
use oracle::{arch, operation};

/// The machine, with the physical memory that belongs to the hypervisor.
#[must_use]
pub fn machine(machine: &Machine) -> operation::Machine {
    let features = machine.features;
    operation::Machine {
        regime: regime(machine.regime),
        granule: granule(machine.granule),
        pa_bits: machine.pa_bits,
        ipa_bits: machine.ipa_bits,
        start_level: machine.start_level,
        ds: machine.ds,
        features: self::features(machine.pa_bits, features),
        contiguous: machine.contiguous,
        ttl: features.ttl,
        tlb_range: features.tlb_range,
        vmid16: features.vmid16,
        idc: features.idc,
        dic: features.dic,
        coherent_walks: machine.coherent_walks,
        bbm: features.bbm,
        cache_pages: machine.cache_pages,
        pool: span(machine.pool_window()),
        hypervisor: span(HYPERVISOR),
        sentinel: span(SENTINEL),
    }
}

/// What the oracle calls the features of a machine with this physical address size.
fn features(pa_bits: u8, features: Features) -> arch::Features {
    arch::Features {
        lpa2_4k: features.lpa2_4k,
        lpa2_16k: features.lpa2_16k,
        haf: features.haf,
        dbm: features.hd,
        xnx: features.xnx,
        ttst: features.ttst,
        fwb: features.fwb,
        bbm: features.bbm,
        ..arch::Features::of_contract(pa_bits)
    }
}

/// The configuration of a guest's Stage-2 that this machine asks for, if the
/// architecture allows it (contract L).
#[must_use]
pub fn configuration(machine: &Machine) -> Option<Configuration> {
    legal::check(&Request::of(&self::machine(machine))).ok()
}

fn regime(regime: Regime) -> operation::Regime {
    match regime {
        Regime::Stage2 => operation::Regime::Stage2,
        Regime::El2 => operation::Regime::El2,
        Regime::Aarch32 => operation::Regime::Aarch32,
        Regime::Aarch32Hyp => operation::Regime::Aarch32Hyp,
    }
}

fn granule(granule: Granule) -> arch::Granule {
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
/// nothing of the subject. VMIDs have 16 bits where they are `wide`.
#[must_use]
pub fn operation(operation: &Operation, wide: bool) -> Option<operation::Operation> {
    use operation::Operation as Asked;
    let vm = operation.vm()?.index();
    Some(match *operation {
        Operation::Create { vm: of } => Asked::Create {
            vm,
            vmid: of.vmid(wide),
        },
        Operation::Map {
            ipa,
            pa,
            size,
            prot,
            memory,
            software,
            pages_only,
            ..
        } => Asked::Map {
            vm,
            ipa,
            pa,
            size,
            prot: self::prot(prot),
            memory: memory_type(memory),
            software,
            pages_only,
        },
        Operation::Build {
            ipa,
            pa,
            level,
            prot,
            memory,
            software,
            pages_only,
            ..
        } => Asked::Build {
            vm,
            ipa,
            pa,
            level,
            prot: self::prot(prot),
            memory: memory_type(memory),
            software,
            pages_only,
        },
        Operation::Unmap { ipa, size, .. } => Asked::Unmap { vm, ipa, size },
        Operation::Range {
            action, ipa, size, ..
        } => Asked::Range {
            vm,
            action: self::action(action),
            ipa,
            size,
        },
        Operation::Protect {
            ipa, size, prot, ..
        } => Asked::Protect {
            vm,
            ipa,
            size,
            prot: self::prot(prot),
        },
        Operation::Annotate {
            ipa, size, owner, ..
        } => Asked::Annotate {
            vm,
            ipa,
            size,
            owner,
        },
        Operation::Relax { ipa, prot, .. } => Asked::Relax {
            vm,
            ipa,
            prot: self::prot(prot),
        },
        Operation::MakeYoung { ipa, .. } => Asked::MakeYoung { vm, ipa },
        Operation::Leaf { ipa, .. } => Asked::Leaf { vm, ipa },
        Operation::Link { .. } => Asked::Link { vm },
        Operation::Discard { .. } => Asked::Discard { vm },
        Operation::Conflict { .. } => Asked::Conflict { vm },
        Operation::Free { .. } => Asked::Free { vm },
        Operation::Access { ipa, kind, .. } => Asked::Access {
            vm,
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
        execute: match prot.execute {
            Execute::Never => operation::Execute::Never,
            Execute::Both => operation::Execute::Both,
            Execute::El1 => operation::Execute::El1,
            Execute::El0 => operation::Execute::El0,
        },
    }
}

fn memory_type(memory: MemoryType) -> operation::MemoryType {
    match memory {
        MemoryType::Normal => operation::MemoryType::Normal,
        MemoryType::Device => operation::MemoryType::Device,
        MemoryType::NonCacheable => operation::MemoryType::NonCacheable,
        MemoryType::DeviceStrict => operation::MemoryType::DeviceStrict,
    }
}

fn action(action: Action) -> operation::Action {
    match action {
        Action::UnmapWhole => operation::Action::UnmapWhole,
        Action::WriteProtect => operation::Action::WriteProtect,
        Action::Soften => operation::Action::Soften,
        Action::Revive => operation::Action::Revive,
        Action::Flush => operation::Action::Flush,
        Action::TestYoung => operation::Action::TestYoung,
        Action::ClearYoung => operation::Action::ClearYoung,
        Action::Coalesce => operation::Action::Coalesce,
        Action::Split => operation::Action::Split,
        Action::Destroy => operation::Action::Destroy,
    }
}

fn access_kind(kind: AccessKind) -> operation::AccessKind {
    match kind {
        AccessKind::Read => operation::AccessKind::Read,
        AccessKind::Write => operation::AccessKind::Write,
        AccessKind::Execute => operation::AccessKind::Execute,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ops::Vm;

    #[test]
    fn a_vm_has_its_index_and_its_vmid() {
        let vm = Vm::new(3).expect("there are four VMs");
        let created = operation(&Operation::Create { vm }, false);
        assert_eq!(
            created,
            Some(operation::Operation::Create { vm: 3, vmid: 4 })
        );
    }

    #[test]
    fn a_failing_allocation_is_no_operation_of_the_contract() {
        assert_eq!(operation(&Operation::Fail { after: 1 }, false), None);
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
}
