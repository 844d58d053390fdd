//! The operands of an operation, whatever operation it is: for whoever changes
//! sequences without a difference between one operation and the next.

use crate::{AccessKind, Action, MemoryType, Operation, Prot, Vm};

/// The operands that an operation has, to be changed in place.
#[derive(Debug, Default)]
pub struct Parts<'a> {
    /// The VM.
    pub vm: Option<&'a mut Vm>,
    /// The IPA, of a range the first one.
    pub ipa: Option<&'a mut u64>,
    /// The first PA.
    pub pa: Option<&'a mut u64>,
    /// What a range operation does.
    pub action: Option<&'a mut Action>,
    /// The length.
    pub size: Option<&'a mut u64>,
    /// Permissions.
    pub prot: Option<&'a mut Prot>,
    /// Memory type.
    pub memory: Option<&'a mut MemoryType>,
    /// Software bits, 0 to 15.
    pub software: Option<&'a mut u8>,
    /// Whether pages are written where blocks would fit.
    pub pages_only: Option<&'a mut bool>,
    /// The owner.
    pub owner: Option<&'a mut u8>,
    /// The level of an entry.
    pub level: Option<&'a mut i8>,
    /// The kind of a guest access.
    pub kind: Option<&'a mut AccessKind>,
}

impl Operation {
    /// Its operands.
    pub fn parts(&mut self) -> Parts<'_> {
        let none = Parts::default();
        match self {
            Operation::Map {
                vm,
                ipa,
                pa,
                size,
                prot,
                memory,
                software,
                pages_only,
            } => Parts {
                size: Some(size),
                ..mapping(vm, [ipa, pa], prot, memory, software, pages_only)
            },
            Operation::Build {
                vm,
                ipa,
                pa,
                level,
                prot,
                memory,
                software,
                pages_only,
            } => Parts {
                level: Some(level),
                ..mapping(vm, [ipa, pa], prot, memory, software, pages_only)
            },
            Operation::Unmap { vm, ipa, size } => range(vm, ipa, size),
            Operation::Range {
                vm,
                action,
                ipa,
                size,
            } => Parts {
                action: Some(action),
                ..range(vm, ipa, size)
            },
            Operation::Protect {
                vm,
                ipa,
                size,
                prot,
            } => Parts {
                prot: Some(prot),
                ..range(vm, ipa, size)
            },
            Operation::Annotate {
                vm,
                ipa,
                size,
                owner,
            } => Parts {
                owner: Some(owner),
                ..range(vm, ipa, size)
            },
            Operation::Relax { vm, ipa, prot } => Parts {
                prot: Some(prot),
                ..address(vm, ipa)
            },
            Operation::MakeYoung { vm, ipa } | Operation::Leaf { vm, ipa } => address(vm, ipa),
            Operation::Access { vm, ipa, kind } => Parts {
                kind: Some(kind),
                ..address(vm, ipa)
            },
            Operation::Create { vm }
            | Operation::Link { vm }
            | Operation::Discard { vm }
            | Operation::Conflict { vm }
            | Operation::Free { vm } => Parts {
                vm: Some(vm),
                ..none
            },
            Operation::Fail { .. } => none,
        }
    }
}

fn address<'a>(vm: &'a mut Vm, ipa: &'a mut u64) -> Parts<'a> {
    Parts {
        vm: Some(vm),
        ipa: Some(ipa),
        ..Parts::default()
    }
}

fn range<'a>(vm: &'a mut Vm, ipa: &'a mut u64, size: &'a mut u64) -> Parts<'a> {
    Parts {
        size: Some(size),
        ..address(vm, ipa)
    }
}

fn mapping<'a>(
    vm: &'a mut Vm,
    [ipa, pa]: [&'a mut u64; 2],
    prot: &'a mut Prot,
    memory: &'a mut MemoryType,
    software: &'a mut u8,
    pages_only: &'a mut bool,
) -> Parts<'a> {
    Parts {
        pa: Some(pa),
        prot: Some(prot),
        memory: Some(memory),
        software: Some(software),
        pages_only: Some(pages_only),
        ..address(vm, ipa)
    }
}
