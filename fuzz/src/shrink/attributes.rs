//! Plainer attributes, accesses, failures and VMs.

use ops::{AccessKind, MemoryType, Operation, Prot, Vm};

use super::{Search, below};
use crate::sequence::Sequence;

pub(super) fn pass<F: FnMut(&Sequence) -> bool>(search: &mut Search<F>) {
    rename_vms(search);
    search.attempt(|sequence| {
        for step in &mut sequence.steps {
            blocks_too(&mut step.operation);
        }
    });
    for index in 0..search.best.steps.len() {
        let operation = search.best.steps[index].operation;
        match operation {
            Operation::Map { prot, memory, .. } => {
                permit(search, index, (prot, memory));
                search.attempt(|sequence| blocks_too(&mut sequence.steps[index].operation));
            }
            Operation::Access { .. } => access(search, index),
            Operation::Fail { after } => fail_earlier(search, index, after),
            Operation::Create { .. } | Operation::Unmap { .. } | Operation::Free { .. } => {}
        }
    }
}

/// Permissions, plainest first; each is tried with normal memory.
const PERMISSIONS: [&str; 4] = ["rw-", "r--", "rwx", "r-x"];

/// Gives plainer attributes to the map at `index` and all of the same, or to it
/// alone.
fn permit<F: FnMut(&Sequence) -> bool>(
    search: &mut Search<F>,
    index: usize,
    old: (Prot, MemoryType),
) {
    let plain = PERMISSIONS.map(|letters| Prot {
        read: letters.contains('r'),
        write: letters.contains('w'),
        execute: letters.contains('x'),
    });
    let plain = plain
        .into_iter()
        .chain([old.0])
        .map(|prot| (prot, MemoryType::Normal));
    plain
        .chain([(plain_device(), MemoryType::Device)])
        .any(|new| {
            search.attempt(|sequence| {
                for step in &mut sequence.steps {
                    if attributes(&step.operation) == Some(old) {
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
        execute: false,
    }
}

fn attributes(operation: &Operation) -> Option<(Prot, MemoryType)> {
    match operation {
        Operation::Map { prot, memory, .. } => Some((*prot, *memory)),
        _ => None,
    }
}

fn set_attributes(operation: &mut Operation, new: (Prot, MemoryType)) {
    if let Operation::Map { prot, memory, .. } = operation {
        (*prot, *memory) = new;
    }
}

fn blocks_too(operation: &mut Operation) {
    if let Operation::Map { pages_only, .. } = operation {
        *pages_only = false;
    }
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
    match operation {
        Operation::Create { vm }
        | Operation::Map { vm, .. }
        | Operation::Unmap { vm, .. }
        | Operation::Free { vm }
        | Operation::Access { vm, .. } => Some(vm),
        Operation::Fail { .. } => None,
    }
}
