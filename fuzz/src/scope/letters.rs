//! The operations of which the sequences of a scope are made.

use crate::generate::Shape;
use ops::{AccessKind, Action, Execute, Machine, MemoryType, Operation, Prot, Vm};

/// Where ranges are mapped to: multiples of every granule's block.
const TARGETS: [u64; 2] = [0x8000_0000, 0x1_0000_0000];

const VM: Vm = Vm::A;

const READ: Prot = Prot {
    read: true,
    write: false,
    execute: Execute::Never,
};

const READ_WRITE: Prot = Prot {
    write: true,
    ..READ
};

/// A range of IPAs.
#[derive(Clone, Copy)]
struct Place {
    ipa: u64,
    size: u64,
}

/// Creation and end of the VM; the first page, the last page before and the first page
/// behind the edge of a root table, the block that ends there, that block less its last
/// page, and the top page: each mapped to two physical addresses with two permissions,
/// and unmapped.
pub(super) fn mapping(machine: &Machine) -> Vec<Operation> {
    let shape = Shape::new(machine);
    let (page, block, space) = (shape.page(), shape.block(), shape.space());
    let edge = edge(&shape);
    let places = [
        (0, page),
        (edge - page, page),
        (edge, page),
        (edge - block, block),
        (edge - block, block - page),
        (space - page, page),
    ];
    let mut letters = vec![Operation::Create { vm: VM }, Operation::Free { vm: VM }];
    for place in places.map(|(ipa, size)| Place { ipa, size }) {
        letters.push(unmap(place));
        for target in 0..TARGETS.len() {
            letters.push(map(&shape, place, target, READ_WRITE));
            letters.push(map(&shape, place, target, READ));
        }
    }
    letters
}

/// Creation and end of the VM; what changes the block that ends at the edge, or its last
/// page; a table for the block; and a write to the page.
pub(super) fn changing(machine: &Machine) -> Vec<Operation> {
    let vm = VM;
    let shape = Shape::new(machine);
    let edge = edge(&shape);
    let block = Place {
        ipa: edge - shape.block(),
        size: shape.block(),
    };
    let page = Place {
        ipa: edge - shape.page(),
        size: shape.page(),
    };
    let mut letters = vec![Operation::Create { vm }, Operation::Free { vm }];
    for place in [block, page] {
        letters.extend([
            map(&shape, place, 0, READ_WRITE),
            map(&shape, place, 0, READ),
            unmap(place),
            protect(place, READ),
            protect(place, READ_WRITE),
            annotate(place),
            range(place, Action::WriteProtect),
            range(place, Action::Soften),
            range(place, Action::Revive),
            range(place, Action::ClearYoung),
        ]);
    }
    let ipa = page.ipa;
    letters.extend([
        range(page, Action::UnmapWhole),
        range(block, Action::Coalesce),
        range(page, Action::Split),
        build(block),
        Operation::Link { vm },
        Operation::Discard { vm },
        Operation::Relax {
            vm,
            ipa,
            prot: READ_WRITE,
        },
        Operation::MakeYoung { vm, ipa },
        Operation::Leaf { vm, ipa },
        Operation::Access {
            vm,
            ipa,
            kind: AccessKind::Write,
        },
    ]);
    letters
}

/// The edge between the first two root tables or, where there is one alone, between its
/// first two entries.
fn edge(shape: &Shape) -> u64 {
    if shape.root_table() < shape.space() {
        shape.root_table()
    } else {
        shape.entry(shape.start_level)
    }
}

fn map(shape: &Shape, Place { ipa, size }: Place, target: usize, prot: Prot) -> Operation {
    Operation::Map {
        vm: VM,
        ipa,
        // As far into a block as the IPA: pages may continue a block.
        pa: TARGETS[target] + ipa % shape.block(),
        size,
        prot,
        memory: MemoryType::Normal,
        software: 0,
        pages_only: false,
    }
}

fn build(place: Place) -> Operation {
    Operation::Build {
        vm: VM,
        ipa: place.ipa,
        pa: TARGETS[1],
        level: 2,
        prot: READ_WRITE,
        memory: MemoryType::Normal,
        software: 0,
        pages_only: false,
    }
}

fn unmap(Place { ipa, size }: Place) -> Operation {
    Operation::Unmap { vm: VM, ipa, size }
}

fn range(Place { ipa, size }: Place, action: Action) -> Operation {
    Operation::Range {
        vm: VM,
        action,
        ipa,
        size,
    }
}

fn protect(Place { ipa, size }: Place, prot: Prot) -> Operation {
    Operation::Protect {
        vm: VM,
        ipa,
        size,
        prot,
    }
}

fn annotate(Place { ipa, size }: Place) -> Operation {
    Operation::Annotate {
        vm: VM,
        ipa,
        size,
        owner: 1,
    }
}
