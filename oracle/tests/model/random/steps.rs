//! One random operation on both models.

use oracle::operation::{
    AccessKind, Action, Execute, LeafContent, MemoryType, Operation, Outcome, Refusal,
};

use super::Pair;
use crate::naive::Held;
use crate::support::{Map, READ, READ_EXECUTE, READ_WRITE, WRITE, pages};

impl Pair {
    pub(super) fn map(&mut self, vm: usize, unit: u64, ipa: u64, size: u64, available: u32) {
        let wanted = Map {
            ipa,
            pa: self.pa(unit, ipa, size),
            size,
            prot: self
                .random
                .pick(&[READ_WRITE, READ_WRITE, READ, READ_EXECUTE]),
            memory: self.random.pick(&[
                MemoryType::Normal,
                MemoryType::Normal,
                MemoryType::NonCacheable,
            ]),
            software: if self.random.one_in(8) { 5 } else { 0 },
            // A naive map of many pages takes long.
            pages_only: size / self.naive[0].page() < 4096 && self.random.one_in(4),
        };
        let answer = self.model.apply(&wanted.of(vm), pages(available));
        if let Outcome::Refused(why) = answer {
            panic!("{why:?}: {ipa:#x} {:#x} {size:#x}", wanted.pa);
        }
        let leaf = LeafContent {
            pa: wanted.pa,
            prot: wanted.prot,
            memory: wanted.memory,
            software: wanted.software,
            young: true,
            dirty: false,
        };
        let naive = self.naive[vm].map(ipa, leaf, size, wanted.pages_only, available);
        assert_eq!(answer, naive, "map {ipa:#x} {:#x} {size:#x}", wanted.pa);
        self.count(answer);
    }

    pub(super) fn count(&mut self, answer: Outcome) {
        match answer {
            Outcome::NoPages { done: 0, .. } => self.seen.stopped_at_once += 1,
            Outcome::NoPages { .. } => self.seen.stopped_later += 1,
            Outcome::Refused(Refusal::Mapped) => self.seen.mapped_otherwise += 1,
            Outcome::Refused(Refusal::CutsBlock) => self.seen.cut += 1,
            _ => self.seen.done += 1,
        }
    }

    pub(super) fn unmap(&mut self, vm: usize, ipa: u64, size: u64, available: u32) {
        let operation = Operation::Unmap { vm, ipa, size };
        let answer = self.model.apply(&operation, pages(available));
        let naive = self.naive[vm].unmap(ipa, size, available);
        assert_eq!(answer, naive, "unmap {ipa:#x} {size:#x}");
        self.count_cut(answer);
    }

    pub(super) fn count_cut(&mut self, answer: Outcome) {
        match answer {
            Outcome::NoPages { .. } => self.seen.cut_stopped += 1,
            _ => self.seen.done += 1,
        }
    }

    pub(super) fn protect(&mut self, vm: usize, ipa: u64, size: u64, available: u32) {
        let prot = self.random.pick(&[READ, READ_WRITE, READ_EXECUTE]);
        let operation = Operation::Protect {
            vm,
            ipa,
            size,
            prot,
        };
        let answer = self.model.apply(&operation, pages(available));
        let naive = self.naive[vm].protect(ipa, size, prot, available);
        assert_eq!(answer, naive, "{operation:x?}");
        self.count_cut(answer);
    }

    pub(super) fn annotate(&mut self, vm: usize, ipa: u64, size: u64, available: u32) {
        let owner = self.random.pick(&[1, 1, 2]);
        let operation = Operation::Annotate {
            vm,
            ipa,
            size,
            owner,
        };
        let answer = self.model.apply(&operation, pages(available));
        let naive = self.naive[vm].annotate(ipa, size, owner, available);
        assert_eq!(answer, naive, "{operation:x?}");
        self.count(answer);
    }

    pub(super) fn split(&mut self, vm: usize, ipa: u64, size: u64, available: u32) {
        // A naive split of many pages takes long.
        let available = available.min(8);
        let size = size.min(4096 * self.naive[0].page());
        let action = Action::Split;
        let operation = Operation::Range {
            vm,
            action,
            ipa,
            size,
        };
        let answer = self.model.apply(&operation, pages(available));
        let naive = self.naive[vm].split(ipa, size, available);
        assert_eq!(answer, naive, "{operation:x?}");
        self.count(answer);
    }

    /// Build, link or discard.
    pub(super) fn subtree(&mut self, vm: usize, unit: u64, ipa: u64, available: u32) {
        self.naive[vm].dirty.clear();
        if !self.naive[vm].is_built() {
            self.build(vm, unit, ipa, available);
            return;
        }
        if self.random.one_in(6) {
            let answer = self.model.apply(&Operation::Discard { vm }, pages(0));
            assert_eq!(answer, Outcome::Done);
            self.naive[vm].discard();
            return;
        }
        let answer = self.model.apply(&Operation::Link { vm }, pages(0));
        match self.naive[vm].link() {
            true => {
                assert_eq!(answer, Outcome::Done);
                self.seen.linked += 1;
            }
            false => assert_eq!(answer, Outcome::Refused(Refusal::NoPath)),
        }
    }

    pub(super) fn build(&mut self, vm: usize, unit: u64, ipa: u64, available: u32) {
        let level = (self.config.1..3).find(|level| self.naive[0].entry(*level) == unit);
        let Some(level) = level else {
            let level = 3;
            let operation = self.build_of(vm, ipa, ipa, level, false);
            let answer = self.model.apply(&operation, pages(available));
            assert_eq!(answer, Outcome::Refused(Refusal::BadLevel));
            return;
        };
        let ipa = ipa / unit * unit;
        let pa = ipa ^ 1 << (self.pa_bits() - 1);
        let available = available.min(600);
        let pages_only = level > 0 && self.random.one_in(3);
        let operation = self.build_of(vm, ipa, pa, level, pages_only);
        let answer = self.model.apply(&operation, pages(available));
        let Operation::Build { prot, .. } = operation else {
            unreachable!("it was just made")
        };
        let leaf = LeafContent {
            pa,
            prot,
            memory: MemoryType::Normal,
            software: 0,
            young: true,
            dirty: false,
        };
        let naive = self.naive[vm].build(ipa, level, leaf, pages_only, available);
        assert_eq!(answer, naive, "{operation:x?}");
    }

    pub(super) fn build_of(
        &mut self,
        vm: usize,
        ipa: u64,
        pa: u64,
        level: i8,
        pages_only: bool,
    ) -> Operation {
        Operation::Build {
            vm,
            ipa,
            pa,
            level,
            prot: self.random.pick(&[READ_WRITE, READ]),
            memory: MemoryType::Normal,
            software: 0,
            pages_only,
        }
    }

    /// An operation on whole entries.
    pub(super) fn act(&mut self, vm: usize, action: Action, ipa: u64, size: u64) {
        let operation = Operation::Range {
            vm,
            action,
            ipa,
            size,
        };
        let answer = self.model.apply(&operation, pages(0));
        let naive = self.act_naively(vm, action, ipa, size);
        assert_eq!(answer, naive, "{operation:x?}");
        self.seen.young += u32::from(answer == Outcome::Young(true));
    }

    pub(super) fn act_naively(
        &mut self,
        vm: usize,
        action: Action,
        ipa: u64,
        size: u64,
    ) -> Outcome {
        let naive = &mut self.naive[vm];
        naive.dirty.clear();
        let is_young = |held: &Held| matches!(held, Held::Leaf(leaf) if leaf.young);
        let young = naive.held(ipa, size).iter().any(is_young);
        if action == Action::Coalesce {
            let before = naive.tables();
            naive.coalesce(ipa, size);
            self.seen.coalesced += before - naive.tables();
            return Outcome::Done;
        }
        naive.each(ipa, size, |held| match (action, held) {
            (Action::UnmapWhole, _) => None,
            (Action::WriteProtect, Held::Leaf(mut leaf)) => {
                leaf.prot.write = false;
                leaf.dirty = false;
                Some(Held::Leaf(leaf))
            }
            (Action::Soften, Held::Leaf(leaf)) => Some(Held::Soft(leaf)),
            (Action::Revive, Held::Soft(leaf)) => Some(Held::Leaf(leaf)),
            (Action::ClearYoung, Held::Leaf(mut leaf)) => {
                leaf.young = false;
                Some(Held::Leaf(leaf))
            }
            (_, held) => Some(held),
        });
        match action {
            Action::TestYoung | Action::ClearYoung => Outcome::Young(young),
            _ => Outcome::Done,
        }
    }

    /// Relax or make-young.
    pub(super) fn relax(&mut self, vm: usize, ipa: u64) {
        let prot = self.random.pick(&[READ, WRITE, READ_EXECUTE]);
        let relaxes = self.random.one_in(2);
        let operation = if relaxes {
            Operation::Relax { vm, ipa, prot }
        } else {
            Operation::MakeYoung { vm, ipa }
        };
        let answer = self.model.apply(&operation, pages(0));
        let naive = &mut self.naive[vm];
        naive.dirty.clear();
        let leaf = naive.held(ipa, 1);
        let [Held::Leaf(_)] = leaf[..] else {
            assert_eq!(answer, Outcome::Refused(Refusal::NotMapped));
            return;
        };
        assert_eq!(answer, Outcome::Done);
        naive.each(ipa, 1, |held| {
            let Held::Leaf(mut leaf) = held else {
                return Some(held);
            };
            if relaxes {
                leaf.prot.read |= prot.read;
                leaf.prot.write |= prot.write;
                if prot.execute == Execute::Both {
                    leaf.prot.execute = Execute::Both;
                }
            } else {
                leaf.young = true;
            }
            Some(Held::Leaf(leaf))
        });
        self.seen.relaxed += 1;
    }

    pub(super) fn access(&mut self, vm: usize, ipa: u64) {
        let kind = self
            .random
            .pick(&[AccessKind::Read, AccessKind::Write, AccessKind::Execute]);
        let answer = self
            .model
            .apply(&Operation::Access { vm, ipa, kind }, pages(0));
        assert_eq!(answer, Outcome::Done);
        self.naive[vm].dirty.clear();
        if self.hardware {
            self.naive[vm].access(ipa, kind, true);
        }
    }

    /// Map or unmap in the hypervisor's own address space.
    pub(super) fn step_of_own(&mut self) {
        let (_, available, unit) = self.choose();
        let (ipa, size) = self.range(unit);
        // A naive map of many pages takes long.
        let size = size.min(4096 * self.naive[0].page());
        if self.random.one_in(3) {
            let operation = Operation::Unmap { vm: 0, ipa, size };
            let answer = self.model.apply(&operation, pages(available));
            let naive = self.naive[0].unmap_own(ipa, size);
            assert_eq!(answer, naive, "{operation:x?}");
            self.count(answer);
            return;
        }
        let map = Map {
            ipa,
            pa: self.pa(unit, ipa, size),
            size,
            prot: self
                .random
                .pick(&[READ_WRITE, READ_WRITE, READ_WRITE, READ]),
            memory: MemoryType::Normal,
            software: 0,
            pages_only: self.random.one_in(4),
        };
        let answer = self.model.apply(&map.of(0), pages(available));
        let leaf = LeafContent {
            pa: map.pa,
            prot: map.prot,
            memory: map.memory,
            software: map.software,
            young: true,
            dirty: false,
        };
        let naive = self.naive[0].map_own(ipa, leaf, size, map.pages_only, available);
        assert_eq!(answer, naive, "{ipa:#x} {:#x} {size:#x}", map.pa);
        self.count(answer);
    }
}
