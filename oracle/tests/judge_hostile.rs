//! Events and memory that no subject would produce: the judge answers, whatever
//! they are.

mod trace;

use oracle::event::{Barrier, CacheOperation, Event, Record, Tlbi};
use oracle::judge::Judge;
use oracle::operation::{
    AccessKind, Action, Execute, Machine, MemoryType, Operation, Outcome, Prot, Refusal,
};
use oracle::protocol::Discipline;
use oracle::walk::Memory;
use trace::*;

/// xorshift64
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let index = self.below(from.len() as u64);
        from[usize::try_from(index).unwrap()]
    }

    /// Mostly near the first pages of the pool, so that states change.
    fn address(&mut self) -> u64 {
        match self.below(16) {
            0 => self.next(),
            1 => POOL + self.below(70 * PAGE),
            2 => u64::MAX - self.below(PAGE),
            _ => POOL + self.below(8) * PAGE + 8 * self.below(4),
        }
    }

    fn page(&mut self) -> u64 {
        self.address() & !(PAGE - 1)
    }

    fn descriptor(&mut self) -> u64 {
        match self.below(4) {
            0 => 0,
            1 => self.next(),
            2 => table(self.page()),
            _ => page(self.page()),
        }
    }

    fn order(&mut self) -> u8 {
        self.pick(&[0, 0, 0, 1, 1, 2, 63, 64, 255])
    }

    fn event(&mut self) -> Event {
        match self.below(13) {
            0..=2 => Event::Store {
                at: self.address(),
                old: self.descriptor(),
                new: self.descriptor(),
                release: self.below(4) != 0,
            },
            3 => Event::Zero {
                at: self.page(),
                bytes: self.pick(&[PAGE, 2 * PAGE, 12, u64::MAX]),
            },
            4 => Event::Tlbi {
                operation: self.pick(&[
                    Tlbi::Ipas2e1,
                    Tlbi::Ipas2e1is,
                    Tlbi::Vmalle1,
                    Tlbi::Vmalle1is,
                    Tlbi::Vmalls12e1is,
                    Tlbi::Ripas2e1is,
                    Tlbi::Vae2is,
                    Tlbi::Rvae2is,
                    Tlbi::Alle2is,
                ]),
                operand: self.next(),
            },
            5 => Event::Barrier(self.pick(&[Barrier::DsbIshst, Barrier::DsbIsh, Barrier::Isb])),
            6 => Event::Cache {
                operation: self.pick(&[
                    CacheOperation::Cvac,
                    CacheOperation::Civac,
                    CacheOperation::Cvau,
                ]),
                at: self.pick(&[self.0, GUEST, u64::MAX, POOL]),
                bytes: self.pick(&[0, 1, PAGE, u64::MAX]),
            },
            9 => Event::Exchange {
                at: self.address(),
                old: self.descriptor(),
                new: self.descriptor(),
            },
            10 => Event::Dirty {
                ipa: self.address(),
                bytes: self.next(),
            },
            11 => self.other(),
            7 => Event::AllocateFailed {
                order: self.order(),
                injected: self.below(2) == 0,
            },
            8 => Event::Allocate {
                page: self.page(),
                order: self.order(),
            },
            _ => Event::Release {
                page: self.page(),
                order: self.order(),
            },
        }
    }

    fn other(&mut self) -> Event {
        let value = self.next();
        self.pick(&[
            Event::InstructionCaches,
            Event::WriteVtcr(value),
            Event::WriteVttbr(value),
            Event::WriteTcr(value),
            Event::WriteTtbr0(value),
            Event::WriteMair(value),
        ])
    }

    fn prot(&mut self) -> Prot {
        let bits = self.below(16);
        Prot {
            read: bits & 1 != 0,
            write: bits & 2 != 0,
            execute: self.pick(&[Execute::Never, Execute::Both, Execute::El1, Execute::El0]),
        }
    }

    fn memory(&mut self) -> MemoryType {
        self.pick(&[
            MemoryType::Normal,
            MemoryType::Normal,
            MemoryType::Device,
            MemoryType::NonCacheable,
            MemoryType::DeviceStrict,
        ])
    }

    /// An operation with operands as good as any.
    fn newer(&mut self) -> Operation {
        let vm = self.pick(&[0, 0, 1, usize::MAX]);
        let ipa = self.pick(&[0, PAGE, 8, u64::MAX, self.0]);
        let size = self.pick(&[0, PAGE, 2 * PAGE, u64::MAX, self.0]);
        let actions = [
            Action::UnmapWhole,
            Action::WriteProtect,
            Action::Soften,
            Action::Revive,
            Action::Flush,
            Action::TestYoung,
            Action::ClearYoung,
            Action::Coalesce,
            Action::Split,
            Action::Destroy,
        ];
        let (prot, memory) = (self.prot(), self.memory());
        match self.below(10) {
            0..=3 => Operation::Range {
                vm,
                action: self.pick(&actions),
                ipa,
                size,
            },
            4 => Operation::Protect {
                vm,
                ipa,
                size,
                prot,
            },
            5 => Operation::Annotate {
                vm,
                ipa,
                size,
                owner: self.next().to_le_bytes()[0],
            },
            6 => self.pick(&[
                Operation::Relax { vm, ipa, prot },
                Operation::MakeYoung { vm, ipa },
                Operation::Leaf { vm, ipa },
            ]),
            7 => Operation::Build {
                vm,
                ipa: ipa & !(PAGE * 512 - 1),
                pa: self.next() & !(PAGE * 512 - 1) & 0xff_ffff_ffff,
                level: self.pick(&[-128, -1, 0, 1, 2, 2, 3, 127]),
                prot,
                memory,
                software: 255,
                pages_only: true,
            },
            _ => self.pick(&[
                Operation::Link { vm },
                Operation::Discard { vm },
                Operation::Conflict { vm },
            ]),
        }
    }

    fn operation(&mut self) -> Operation {
        let vm = self.pick(&[0, 1, usize::MAX]);
        let (ipa, pa, size) = (self.page(), self.page(), self.page());
        match self.below(10) {
            5..=9 => self.newer(),
            0 => Operation::Create {
                vm,
                vmid: self.below(300).to_le_bytes()[0].into(),
            },
            1 => Operation::Free { vm },
            2 => Operation::Unmap { vm, ipa, size },
            3 => Operation::Access {
                vm,
                ipa,
                kind: AccessKind::Write,
            },
            _ => Operation::Map {
                vm,
                ipa,
                pa,
                size,
                prot: Prot {
                    read: true,
                    write: true,
                    execute: Execute::Never,
                },
                memory: MemoryType::Normal,
                software: 0,
                pages_only: false,
            },
        }
    }
}

/// Memory that leads nowhere, and back to itself.
struct Loops;

impl Memory for Loops {
    fn read(&self, at: u64) -> Option<u64> {
        (!at.is_multiple_of(56)).then_some(table(POOL + at % 8 * PAGE))
    }
}

#[test]
fn any_events_have_an_answer() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut judge = Judge::new(machine());
    let map = Operation::Map {
        vm: 0,
        ipa: 0,
        pa: GUEST,
        size: 2 * PAGE,
        prot: Prot {
            read: true,
            write: true,
            execute: Execute::Never,
        },
        memory: MemoryType::Normal,
        software: 0,
        pages_only: false,
    };
    let mut found = 0;
    for _ in 0..1000 {
        let bbm = numbers.pick(&[0, 1, 2, 255]);
        let mut machine = Machine { bbm, ..machine() };
        machine.contiguous = numbers.below(2) == 0;
        machine.idc = numbers.below(2) == 0;
        machine.dic = numbers.below(2) == 0;
        machine.coherent_walks = true;
        judge.reset(machine);
        judge.judge_by(numbers.pick(&[Discipline::Contract, Discipline::Architecture]));
        let words = Words::default();
        // A VM with tables, so that events meet live state.
        let start = [
            (
                Operation::Create { vm: 0, vmid: 1 },
                vec![
                    Event::Allocate {
                        page: ROOT,
                        order: 1,
                    },
                    Event::Zero {
                        at: ROOT,
                        bytes: 2 * PAGE,
                    },
                ],
            ),
            (map, map_two_pages()),
        ];
        for (operation, events) in start {
            let events = maintained(&operation, Outcome::Done, &events);
            events.iter().for_each(|event| words.apply(event));
            let events = events.into_iter().map(record);
            judge
                .operation(&operation, Outcome::Done, events, &words)
                .unwrap();
        }
        for _ in 0..3 {
            let operation = numbers.operation();
            let outcome = numbers.pick(&[
                Outcome::Done,
                Outcome::Young(true),
                Outcome::Refused(Refusal::NothingBuilt),
                Outcome::NoPages { done: 0, need: 1 },
            ]);
            let events: Vec<_> = (0..numbers.below(12)).map(|_| numbers.event()).collect();
            let cpus = [0, 0, 0, 1, 255].map(|cpu| cpu & numbers.next().to_le_bytes()[0]);
            let cpus = cpus.into_iter().cycle();
            let records = cpus.zip(events).map(|(cpu, event)| Record { cpu, event });
            if let Err(finding) = judge.operation(&operation, outcome, records, &Loops) {
                found += 1;
                let verdict = judge.explain(finding, 0, "hostile", &Loops).to_string();
                assert!(verdict.lines().count() <= 25, "{verdict}");
            }
        }
    }
    assert!(found > 1000, "only {found} findings");
}
