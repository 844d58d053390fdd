//! Events that no hypervisor makes, on machines with every feature: each has an answer.

mod trace;

use oracle::arch::Features;
use oracle::event::{Barrier, CacheOperation, Event, Record, Tlbi};
use oracle::judge::Observer;
use oracle::ledger::Work;
use oracle::operation::{Machine, Regime};
use oracle::protocol::{Discipline, InPlace};
use oracle::walk::{Registers, Stage2};
use trace::*;

/// SplitMix64.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }

    fn page(&mut self) -> u64 {
        POOL + self.below(10) * PAGE
    }

    fn address(&mut self) -> u64 {
        match self.below(16) {
            0 => self.next(),
            1 => self.next() & !7,
            _ => self.page() + 8 * self.pick(&[0, 1, 2, 3, 15, 16, 511]),
        }
    }

    fn descriptor(&mut self) -> u64 {
        let hint = self.pick(&[0, 0, 1 << 52]);
        match self.below(8) {
            0 => 0,
            1 => self.next(),
            2 | 3 => table(self.page()),
            4 => block(self.below(64) << 21) | hint,
            5 => block(self.below(64) << 30) | hint,
            6 => self.below(64) << 12,
            _ => page(GUEST + self.below(8) * PAGE) ^ self.pick(&[0, 1 << 7, 1 << 10]) | hint,
        }
    }

    fn operand(&mut self) -> u64 {
        match self.below(4) {
            0 => self.next(),
            1 => self.below(16),
            2 => self.below(4) << 46 | self.below(1 << 46),
            _ => self.below(16) << 44 | self.below(1 << 30),
        }
    }

    fn tlbi(&mut self) -> Event {
        let operation = self.pick(&[
            Tlbi::Ipas2e1,
            Tlbi::Ipas2e1is,
            Tlbi::Vmalle1,
            Tlbi::Vmalle1is,
            Tlbi::Vmalls12e1is,
            Tlbi::Ripas2e1is,
            Tlbi::Vae2is,
            Tlbi::Rvae2is,
            Tlbi::Alle2is,
        ]);
        let operand = self.operand();
        Event::Tlbi { operation, operand }
    }

    /// An event; `held` is what memory is thought to hold.
    fn event(&mut self, held: impl Fn(u64) -> u64) -> Event {
        let at = self.address();
        let old = if self.below(16) == 0 {
            self.next()
        } else {
            held(at)
        };
        let new = self.descriptor();
        let (page, order) = (self.page(), self.pick(&[0, 0, 0, 1, 255]));
        match self.below(20) {
            0..=3 => store(at, old, new),
            4..=6 => release_store(at, old, new),
            7 | 8 => Event::Exchange { at, old, new },
            9 => zero(page),
            10 => Event::Zero {
                at,
                bytes: self.operand(),
            },
            11 | 12 => self.tlbi(),
            13 => Event::Barrier(self.pick(&[Barrier::DsbIsh, Barrier::DsbIshst, Barrier::Isb])),
            14 => Event::Cache {
                operation: self.pick(&[
                    CacheOperation::Cvac,
                    CacheOperation::Civac,
                    CacheOperation::Cvau,
                ]),
                at,
                bytes: self.next() >> self.below(64),
            },
            15 => self.pick(&[
                Event::WriteVttbr(VTTBR),
                Event::WriteTtbr0(ROOT),
                Event::WriteVtcr(VTCR),
                Event::InstructionCaches,
                ISB,
            ]),
            16 => Event::Release { page, order },
            _ => Event::Allocate { page, order },
        }
    }

    fn work(&mut self) -> Work {
        let (vm, capacity) = (0, 10);
        self.pick(&[
            Work::Create { vm, order: 1 },
            Work::Change { capacity },
            Work::Change { capacity },
            Work::Build { vm, capacity },
            Work::Discard { vm },
            Work::Free { vm },
            Work::Other,
        ])
    }
}

fn machines() -> Vec<(Machine, u64)> {
    let features = Features {
        lpa2_4k: true,
        haf: true,
        dbm: true,
        ..Features::of_contract(52)
    };
    let plain = machines::with_hints();
    let (groups, bbm) = (true, 2);
    vec![
        (plain, VTCR),
        (
            Machine {
                contiguous: groups,
                bbm,
                coherent_walks: false,
                ..plain
            },
            VTCR,
        ),
        // HA, HD, DS, PS 6.
        (
            Machine {
                features,
                ds: true,
                vmid16: true,
                bbm,
                ..plain
            },
            VTCR | 1 << 21 | 1 << 22 | 1 << 32 | 6 << 16,
        ),
        (
            Machine {
                regime: Regime::El2,
                contiguous: groups,
                ..plain
            },
            VTCR,
        ),
        (
            Machine {
                regime: Regime::Aarch32Hyp,
                ..plain
            },
            VTCR,
        ),
    ]
}

fn observer(machine: &Machine, vtcr: u64) -> Observer {
    let registers = Registers {
        vtcr,
        vttbr: 0,
        hcr: 1 << 31 | 1,
    };
    let mut observer = Observer::new(machine, Stage2::new(machine.features, registers));
    create(&mut observer, 0, ROOT);
    observer.protocol.enter(0, 1, VTTBR);
    observer
}

/// How many operations ran to their end. An event that is found wrong is left out, so
/// that what follows it has a state to be wrong about.
fn operate(observer: &mut Observer, numbers: &mut Numbers) -> u32 {
    let mut ended = 0;
    for _ in 0..8 {
        let in_place = InPlace {
            flags: numbers.below(2) == 0,
            splits: numbers.below(2) == 0,
            coalesces: numbers.below(2) == 0,
            contiguous: numbers.below(2) == 0,
        };
        observer.begin(numbers.work(), in_place);
        for _ in 0..numbers.below(60) {
            let event = numbers.event(|at| held(observer, at));
            let cpu = numbers.pick(&[0, 0, 0, 1, 255]);
            let mut next = observer.clone();
            if next.event(&Record { cpu, event }).is_ok() {
                *observer = next;
            }
        }
        ended += u32::from(observer.end().is_ok());
    }
    ended
}

/// What the events have stored at an address.
fn held(observer: &Observer, at: u64) -> u64 {
    let tables = observer.ledger.tables();
    let word = tables.number(at).and_then(|number| {
        let index = (at - tables.address(number)) / 8;
        tables.contents(number).get(usize::try_from(index).ok()?)
    });
    word.copied().unwrap_or_default()
}

#[test]
fn any_events_have_an_answer() {
    for (machine, vtcr) in machines() {
        let fresh = observer(&machine, vtcr);
        let mut ended = 0;
        for seed in 0..60 {
            let mut observer = fresh.clone();
            if seed % 4 == 0 {
                observer.protocol.judge_by(Discipline::Architecture);
            }
            ended += operate(&mut observer, &mut Numbers(seed));
        }
        // Some are right by chance, and most are not.
        assert!(
            (10..400).contains(&ended),
            "{ended} for {:?}",
            machine.regime
        );
    }
}
