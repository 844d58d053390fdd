//! What the protocol follows by a few times for each CPU, against a TLB that follows each
//! descriptor by itself, on random traces of two CPUs.

mod trace;

use oracle::event::{Event, Record};
use oracle::judge::Observer;
use oracle::ledger::Work;
use oracle::operation::Machine;
use oracle::protocol::InPlace;
use trace::machines::{mapped_on, range, with_hints};
use trace::*;

const CPUS: usize = 2;
const PAGES: u64 = LEAVES as u64;
const LEAVES: usize = 64;
const CONTIGUOUS: u64 = 1 << 52;
const WRITE: u64 = 1 << 7;

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
}

/// A leaf that TLBs may hold, with every step of its invalidation.
#[derive(Clone, Debug)]
struct Held {
    index: u64,
    stored_by: usize,
    /// A barrier of the CPU that stored followed.
    ordered: bool,
    /// The CPU that first invalidated it by IPA, and whether it has completed that.
    by_ipa: Option<(usize, bool)>,
    /// CPUs that invalidated stage 1 behind it, and have not completed that.
    stage1: [bool; CPUS],
    /// CPUs that invalidated the whole VMID, and have not completed that.
    whole: [bool; CPUS],
}

/// The descriptors that are held, and the groups as they are now.
#[derive(Clone, Debug, Default)]
struct Tlb {
    held: Vec<Held>,
    /// Done, and member of a group: it may come back.
    done: Vec<u64>,
}

impl Tlb {
    /// A leaf is broken or changed in place. Where it belongs to a group, all that was
    /// broken of that before starts anew.
    fn take(&mut self, index: u64, by: usize, hinted: bool) {
        let same_group = |other: u64| hinted && other / 16 == index / 16;
        let mut again: Vec<u64> = self
            .done
            .extract_if(.., |other| same_group(*other))
            .collect();
        let open = self.held.extract_if(.., |held| same_group(held.index));
        again.extend(open.map(|held| held.index));
        again.push(index);
        self.held.extend(again.into_iter().map(|index| Held {
            index,
            stored_by: by,
            ordered: false,
            by_ipa: None,
            stage1: [false; CPUS],
            whole: [false; CPUS],
        }));
    }

    fn by_ipa(&mut self, by: usize, indices: std::ops::Range<u64>) {
        for held in &mut self.held {
            if held.ordered && held.by_ipa.is_none() && indices.contains(&held.index) {
                held.by_ipa = Some((by, false));
            }
        }
    }

    fn stage1(&mut self, by: usize) {
        for held in &mut self.held {
            held.stage1[by] |= matches!(held.by_ipa, Some((_, true)));
        }
    }

    fn whole(&mut self, by: usize) {
        for held in &mut self.held {
            held.whole[by] |= held.ordered;
        }
    }

    fn order(&mut self, by: usize) {
        for held in &mut self.held {
            held.ordered |= held.stored_by == by;
        }
    }

    fn complete(&mut self, by: usize) {
        self.order(by);
        let done = self
            .held
            .extract_if(.., |held| held.stage1[by] || held.whole[by]);
        self.done.extend(done.map(|held| held.index));
        for held in &mut self.held {
            if let Some((cpu, completed)) = &mut held.by_ipa {
                *completed |= *cpu == by;
            }
        }
    }
}

/// The table of level 3, with what is in it.
struct Bench {
    observer: Observer,
    tlb: Tlb,
    leaves: [u64; LEAVES],
    hinted: bool,
    /// Leaves are broken, or else lose the permission to write.
    breaks: bool,
    numbers: Numbers,
}

const FLAGS: InPlace = InPlace {
    flags: true,
    splits: false,
    coalesces: false,
    contiguous: false,
};

impl Bench {
    /// All pages mapped, and in groups of 16 or in none.
    fn new(hinted: bool, seed: u64) -> Bench {
        let machine = Machine {
            contiguous: hinted,
            ..with_hints()
        };
        let mut observer = mapped_on(&machine);
        let hint = if hinted { CONTIGUOUS } else { 0 };
        let leaf = |index: u64| page(GUEST + index * PAGE) | hint;
        let mut events = top_up(&[POOL + 6 * PAGE, POOL + 7 * PAGE]);
        events.extend([
            store(L3, page(GUEST), 0),
            store(L3 + 8, page(GUEST + PAGE), 0),
        ]);
        events.extend([ISHST, VMALLS12, ISH]);
        events.extend((0..PAGES).map(|index| store(L3 + 8 * index, 0, leaf(index))));
        events.push(ISHST);
        run(&mut observer, CHANGE, &events).unwrap();
        let load = [Event::WriteVttbr(VTTBR), ISB].map(|event| Record { cpu: 1, event });
        observer.begin(Work::Other, FLAGS);
        for record in &load {
            observer.event(record).unwrap();
        }
        Bench {
            observer,
            tlb: Tlb::default(),
            leaves: std::array::from_fn(|index| leaf(index as u64)),
            hinted,
            breaks: !seed.is_multiple_of(3),
            numbers: Numbers(seed),
        }
    }

    fn event(&mut self, cpu: usize, event: Event) {
        let cpu = cpu.try_into().unwrap();
        self.observer.event(&Record { cpu, event }).unwrap();
    }

    /// Some pages of one group, or all of it.
    fn change(&mut self, by: usize) {
        let first = self.numbers.below(PAGES / 16) * 16;
        let all = self.numbers.below(2) == 0;
        for index in first..first + 16 {
            let leaf = &mut self.leaves[usize::try_from(index).unwrap()];
            let old = *leaf;
            let new = if self.breaks { 0 } else { old & !WRITE };
            if old == new || !(all || self.numbers.below(4) == 0) {
                continue;
            }
            *leaf = new;
            self.event(by, store(L3 + 8 * index, old, new));
            self.tlb.take(index, by, self.hinted);
        }
    }

    fn step(&mut self) {
        let by = usize::try_from(self.numbers.below(CPUS as u64)).unwrap();
        match self.numbers.below(16) {
            0 | 1 => self.change(by),
            2..=4 => {
                let index = self.numbers.below(PAGES);
                self.event(by, ipas2(index * PAGE));
                self.tlb.by_ipa(by, index..index + 1);
            }
            5..=7 => {
                let (first, num) = (self.numbers.below(PAGES), self.numbers.below(16));
                self.event(by, range(first * PAGE, num));
                self.tlb.by_ipa(by, first..first + 2 * (num + 1));
            }
            8 | 9 => {
                self.event(by, VMALLE1);
                self.tlb.stage1(by);
            }
            10 => {
                self.event(by, VMALLS12);
                self.tlb.whole(by);
            }
            11 => {
                self.event(by, ISHST);
                self.tlb.order(by);
            }
            _ => {
                self.event(by, ISH);
                self.tlb.complete(by);
            }
        }
    }

    /// Whether a group is changed in part.
    fn is_uneven(&self) -> bool {
        let uneven = |group: &[u64]| {
            let kinds = group.iter().map(|leaf| (leaf & 1, leaf & WRITE));
            let first = kinds.clone().next();
            kinds.into_iter().any(|kind| Some(kind) != first)
        };
        self.hinted && self.leaves.chunks(16).any(uneven)
    }
}

/// How often each answer was given.
#[derive(Debug, Default)]
struct Seen {
    clean: u32,
    held: u32,
    uneven: u32,
}

fn agree(hinted: bool) -> Seen {
    let mut seen = Seen::default();
    for seed in 0..2500 {
        let mut bench = Bench::new(hinted, seed);
        for _ in 0..4 + bench.numbers.below(40) {
            bench.step();
        }
        for cpu in 0..CPUS {
            bench.event(cpu, ISHST);
        }
        let result = bench.observer.protocol.end(&bench.observer.ledger);
        let demanded = if !bench.tlb.held.is_empty() {
            seen.held += 1;
            Some("G3")
        } else if bench.is_uneven() {
            seen.uneven += 1;
            Some("O2")
        } else {
            seen.clean += 1;
            None
        };
        // G10 is not what this is about: a change in place may be broken again.
        let found = result.err().filter(|finding| finding.rule != "G10");
        assert_eq!(
            found.as_ref().map(|f| f.rule),
            demanded,
            "seed {seed}: {found:?}"
        );
    }
    seen
}

#[test]
fn each_page_by_itself() {
    let seen = agree(false);
    assert!(seen.clean > 300 && seen.held > 300, "{seen:?}");
}

#[test]
fn groups_of_pages() {
    let seen = agree(true);
    let enough = seen.clean > 100 && seen.held > 300 && seen.uneven > 10;
    assert!(enough, "{seen:?}");
}
