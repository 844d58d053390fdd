//! Makes a mutated sequence say again what it said: mutations take away the
//! creation of a VM, or move it, and all that follows would be refused.

use ops::{Operation, VMS, Vm};

use crate::generate::is_legal;
use crate::sequence::{Sequence, Step};

/// Gives each operation on a VM that does not exist one that does, creating VM a
/// where there is none, and drops what creates a VM again.
pub(super) fn mend(sequence: &mut Sequence) {
    if !is_legal(&sequence.machine) {
        return;
    }
    let mut live = [false; VMS];
    let is_made = |operation| operation == Operation::Create { vm: Vm::A };
    live[Vm::A.index()] = sequence.machine.operation_0().any(is_made);
    let mut at = 0;
    while let Some(step) = sequence.steps.get_mut(at) {
        match &mut step.operation {
            Operation::Create { vm } if live[vm.index()] => {
                sequence.steps.remove(at);
                continue;
            }
            Operation::Create { vm } => live[vm.index()] = true,
            Operation::Free { vm } => live[vm.index()] = false,
            operation => {
                let missing = operation.parts().vm.filter(|vm| !live[vm.index()]);
                let other = (0..).map_while(Vm::new).find(|other| live[other.index()]);
                if let Some(vm) = missing {
                    *vm = other.unwrap_or(Vm::A);
                    if other.is_none() {
                        let create = Operation::Create { vm: Vm::A };
                        sequence.steps.insert(at, Step::from(create));
                        continue;
                    }
                }
            }
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text;

    fn mended(lines: &str) -> String {
        let mut sequence = text::parse(lines).unwrap();
        mend(&mut sequence);
        sequence
            .steps
            .iter()
            .map(|step| format!("{step}; "))
            .collect()
    }

    #[test]
    fn missing_vm_is_created() {
        let mended = mended("machine\naccess c ipa=0 read\nunmap b ipa=0 size=4K");
        assert_eq!(
            mended,
            "vm a; access a ipa=0x0 read; unmap a ipa=0x0 size=4K; "
        );
    }

    #[test]
    fn second_creation_goes() {
        assert_eq!(
            mended("machine stub=0\nvm a\nvm b\nvm b\nfree b\nvm b"),
            "vm b; free b; vm b; "
        );
    }

    #[test]
    fn operations_move_to_a_vm_that_exists() {
        assert_eq!(
            mended("machine\nvm b\naccess a ipa=0 read"),
            "vm b; access b ipa=0x0 read; "
        );
    }

    #[test]
    fn machine_that_lets_no_vm_exist_is_left_alone() {
        assert_eq!(
            mended("machine ipa=8\naccess a ipa=0 read"),
            "access a ipa=0x0 read; "
        );
    }
}
