//! Plainer attributes, accesses, failures and VMs.

use ops::{AccessKind, Execute, MemoryType, Operation, Prot, Vm};

use super::{Search, below};
use crate::sequence::Sequence;

pub(super) fn pass<F: FnMut(&Sequence) -> bool>(search: &mut Search<F>) {
    rename_vms(search);
    for change in [blocks_too, no_software, first_owner] {
        search.attempt(|sequence| {
            for step in &mut sequence.steps {
                change(&mut step.operation);
            }
        });
    }
    for index in 0..search.best.steps.len() {
        for change in [blocks_too, no_software, first_owner] {
            search.attempt(|sequence| change(&mut sequence.steps[index].operation));
        }
        let operation = search.best.steps[index].operation;
        match operation {
            Operation::Access { .. } => access(search, index),
            Operation::Fail { after } => fail_earlier(search, index, after),
            _ => {
                if let Some(old) = attributes(operation) {
                    permit(search, index, old);
                }
            }
        }
    }
}

/// Permissions, plainest first; each is tried with normal memory.
const PERMISSIONS: [&str; 4] = ["rw-", "r--", "rwx", "r-x"];

/// What an operation permits, and the memory type where it has one.
type Attributes = (Prot, Option<MemoryType>);

/// Gives plainer attributes to the operation at `index` and all of the same, or to it
/// alone.
fn permit<F: FnMut(&Sequence) -> bool>(search: &mut Search<F>, index: usize, old: Attributes) {
    let plain = PERMISSIONS.map(|letters| Prot {
        read: letters.contains('r'),
        write: letters.contains('w'),
        execute: if letters.contains('x') {
            Execute::Both
        } else {
            Execute::Never
        },
    });
    let at_both_levels = Prot {
        execute: match old.0.execute {
            Execute::Never => Execute::Never,
            _ => Execute::Both,
        },
        ..old.0
    };
    let plain = plain
        .into_iter()
        .chain([at_both_levels, old.0])
        .map(|prot| (prot, MemoryType::Normal));
    plain
        .chain([(plain_device(), MemoryType::Device)])
        .any(|new| {
            search.attempt(|sequence| {
                for step in &mut sequence.steps {
                    if attributes(step.operation) == Some(old) {
                        set_attributes(&mut step.operation, new);
                    }
                }
            }) || search
                .attempt(|sequence| set_attributes(&mut sequence.steps[index].operation, new))
        });
}

fn plain_device() -> Prot {
    Prot {
        read: true,
        write: true,
        execute: Execute::Never,
    }
}

fn attributes(mut operation: Operation) -> Option<Attributes> {
    let parts = operation.parts();
    Some((*parts.prot?, parts.memory.copied()))
}

fn set_attributes(operation: &mut Operation, (prot, memory): (Prot, MemoryType)) {
    let parts = operation.parts();
    parts.prot.into_iter().for_each(|old| *old = prot);
    parts.memory.into_iter().for_each(|old| *old = memory);
}

fn blocks_too(operation: &mut Operation) {
    let pages_only = operation.parts().pages_only;
    pages_only.into_iter().for_each(|old| *old = false);
}

fn no_software(operation: &mut Operation) {
    let software = operation.parts().software;
    software.into_iter().for_each(|old| *old = 0);
}

fn first_owner(operation: &mut Operation) {
    let owner = operation.parts().owner;
    owner.into_iter().for_each(|old| *old = 1);
}

fn access<F: FnMut(&Sequence) -> bool>(search: &mut Search<F>, index: usize) {
    [AccessKind::Read, AccessKind::Write]
        .into_iter()
        .any(|new| {
            search.attempt(|sequence| {
                if let Operation::Access { kind, .. } = &mut sequence.steps[index].operation {
                    *kind = new;
                }
            })
        });
}

fn fail_earlier<F: FnMut(&Sequence) -> bool>(search: &mut Search<F>, index: usize, old: u16) {
    let fewer = below(u64::from(old), 0, 1).filter_map(|after| u16::try_from(after).ok());
    for after in fewer {
        if search.attempt(|sequence| sequence.steps[index].operation = Operation::Fail { after }) {
            return;
        }
    }
}

/// Makes two VMs one, exchanges their names, or moves one operation.
fn rename_vms<F: FnMut(&Sequence) -> bool>(search: &mut Search<F>) {
    let vms = || (0..).map_while(Vm::new);
    for high in vms() {
        for low in vms().take(high.index()) {
            let merge = |vm: Vm| if vm == high { low } else { vm };
            let exchange = |vm: Vm| if vm == low { high } else { merge(vm) };
            if !search.attempt(|sequence| rename(sequence, merge)) {
                search.attempt(|sequence| rename(sequence, exchange));
            }
        }
    }
    for index in 0..search.best.steps.len() {
        vms().any(|low| {
            search.attempt(|sequence| {
                vm_of(&mut sequence.steps[index].operation)
                    .into_iter()
                    .for_each(|vm| *vm = low);
            })
        });
    }
}

fn rename(sequence: &mut Sequence, name: impl Fn(Vm) -> Vm) {
    for vm in sequence
        .steps
        .iter_mut()
        .filter_map(|step| vm_of(&mut step.operation))
    {
        *vm = name(*vm);
    }
}

fn vm_of(operation: &mut Operation) -> Option<&mut Vm> {
    operation.parts().vm
}
