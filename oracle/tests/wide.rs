//! Tables above 2^48 and 52-bit descriptors, with the start levels that need them, and
//! VMIDs of 16 bits, as pairs of traces that differ in one event.

mod trace;

use oracle::arch::{Features, Granule};
use oracle::event::Event;
use oracle::judge::Observer;
use oracle::ledger::Work;
use oracle::operation::{Machine, Span};
use oracle::protocol::{Discipline, InPlace};
use oracle::verdict::{Class, Finding};
use oracle::walk::{Registers, Stage2};
use trace::{ISB, ISH, ISHST, VMALLE1, VMALLS12, assert_found, record, with, without};

const POOL: u64 = 0xf_8000_4800_0000;
const GUEST: u64 = 0xd_4000_0000_0000;

/// A granule with 52-bit addresses, the level of the root, and where a leaf stands.
#[derive(Clone, Copy)]
struct Wide {
    granule: Granule,
    start: i8,
    vtcr: u64,
    /// Binary logarithm of what an entry of the root covers.
    root_lsb: u32,
}

const K4: Wide = Wide {
    granule: Granule::K4,
    start: -1,
    // T0SZ 12, SL0 0, SL2, DS, PS 6.
    vtcr: 1 << 33 | 1 << 32 | 1 << 31 | 6 << 16 | 0x3500 | 12,
    root_lsb: 48,
};
const K16: Wide = Wide {
    granule: Granule::K16,
    start: 0,
    // TG0 2, SL0 3.
    vtcr: 1 << 32 | 1 << 31 | 6 << 16 | 2 << 14 | 0x3500 | 3 << 6 | 12,
    root_lsb: 47,
};
const K64: Wide = Wide {
    granule: Granule::K64,
    start: 1,
    // TG0 1, SL0 2.
    vtcr: 1 << 31 | 6 << 16 | 1 << 14 | 0x3500 | 2 << 6 | 12,
    root_lsb: 42,
};

impl Wide {
    fn ds(self) -> bool {
        self.granule != Granule::K64
    }

    fn page(self) -> u64 {
        1 << self.granule.bits()
    }

    /// A table of the pool: the root, then one for each level below it.
    fn table(self, number: u64) -> u64 {
        POOL + number * self.page()
    }

    fn machine(self) -> Machine {
        Machine {
            granule: self.granule,
            pa_bits: 52,
            ipa_bits: 52,
            start_level: Some(self.start),
            ds: self.ds(),
            features: Features {
                lpa2_4k: true,
                lpa2_16k: true,
                ..Features::of_contract(52)
            },
            pool: Span {
                base: POOL,
                bytes: 64 * self.page(),
            },
            cache_pages: Some(8),
            vmid16: true,
            ..trace::machines::with_hints()
        }
    }

    /// An address in a descriptor.
    fn address(self, pa: u64) -> u64 {
        let low = pa & ((1 << 48) - 1);
        if self.ds() {
            low | (pa >> 50 & 0b11) << 8 | (pa >> 48 & 0b11) << 48
        } else {
            low | (pa >> 48 & 0b1111) << 12
        }
    }

    fn leaf(self, pa: u64) -> u64 {
        let shareability = if self.ds() { 0 } else { 0b11 << 8 };
        self.address(pa) | 0b11 | 0b1111 << 2 | 0b11 << 6 | shareability | 1 << 10 | 1 << 54
    }

    fn block(self, pa: u64) -> u64 {
        self.leaf(pa) & !0b10
    }

    /// The levels below the root.
    fn depth(self) -> u64 {
        u64::from((3 - self.start).unsigned_abs())
    }

    /// The IPA that the second entry of each table leads to.
    fn ipa(self) -> u64 {
        let stride = u32::from(self.granule.bits()) - 3;
        let lsb = |level: u64| self.root_lsb - stride * u32::try_from(level).unwrap();
        (0..=self.depth()).map(|level| 1 << lsb(level)).sum()
    }

    fn entry(self, table: u64) -> u64 {
        self.table(table) + 8
    }

    /// A page at [`Wide::ipa`], under one table of each level.
    fn map(self) -> Vec<Event> {
        let mut events: Vec<_> = (1..=8)
            .map(|number| trace::allocate(self.table(number)))
            .collect();
        for table in 1..=self.depth() {
            let at = self.table(table);
            let bytes = self.page();
            events.push(Event::Zero { at, bytes });
            let link = self.address(at) | 0b11;
            events.push(trace::release_store(self.entry(table - 1), 0, link));
        }
        events.extend([
            trace::store(self.entry(self.depth()), 0, self.leaf(GUEST)),
            ISHST,
        ]);
        events
    }

    fn mapped(self) -> Observer {
        let registers = Registers {
            vtcr: self.vtcr,
            vttbr: 0,
            hcr: 1 << 31 | 1,
        };
        let machine = self.machine();
        let stage2 = Stage2::new(machine.features, registers);
        assert_eq!(stage2.start_level(), Some(self.start));
        let mut observer = Observer::new(&machine, stage2);
        let root = [
            Event::Allocate {
                page: POOL,
                order: 0,
            },
            Event::Zero {
                at: POOL,
                bytes: self.page(),
            },
        ];
        let create = Work::Create { vm: 0, order: 0 };
        trace::run(&mut observer, create, &root).unwrap();
        observer.protocol.enter(0, 1, VTTBR);
        let load = [
            Event::WriteVtcr(self.vtcr | VS),
            Event::WriteVttbr(VTTBR),
            ISB,
        ];
        trace::run(&mut observer, Work::Other, &load).unwrap();
        trace::run(&mut observer, CHANGE, &self.map()).unwrap();
        observer
    }

    fn unmap(self) -> Vec<Event> {
        let leaf = trace::store(self.entry(self.depth()), self.leaf(GUEST), 0);
        vec![leaf, ISHST, trace::ipas2(self.ipa()), ISH, VMALLE1, ISH]
    }

    fn change(self, events: &[Event]) -> Result<(), Finding> {
        let mut all: Vec<_> = (self.depth() + 8..)
            .take(usize::try_from(self.depth()).unwrap())
            .map(|number| trace::allocate(self.table(number + 1)))
            .collect();
        all.extend(events);
        trace::run(&mut self.mapped(), CHANGE, &all)
    }
}

const VTTBR: u64 = 1 << 48 | 0x4800_0000;

/// `VTCR_EL2.VS`.
const VS: u64 = 1 << 19;

const CHANGE: Work = Work::Change { capacity: 8 };

const ALL: [Wide; 3] = [K4, K16, K64];

#[test]
fn tables_are_followed_wherever_they_are() {
    for wide in ALL {
        let observer = wide.mapped();
        let counts = observer.ledger.counts();
        assert_eq!(u64::from(counts.linked), wide.depth());
        let last = observer
            .ledger
            .tables()
            .number(wide.table(wide.depth()))
            .unwrap();
        let place = observer.ledger.tables().place(last);
        // The first page of the table is the one before.
        assert_eq!((place.level, place.ipa), (3, wide.ipa() - wide.page()));
    }
}

#[test]
fn a_page_is_invalidated_by_all_bits_of_its_ipa() {
    for wide in ALL {
        wide.change(&wide.unmap()).unwrap();
        // The same without the highest bit.
        let low = wide.ipa() & !(1 << wide.root_lsb);
        let events = with(&wide.unmap(), 2, trace::ipas2(low));
        assert_found(wide.change(&events), Class::StaleTlb, "G3");
    }
}

#[test]
fn a_range_is_in_units_of_64k_with_ds() {
    for wide in ALL {
        let granule = match wide.granule {
            Granule::K4 => 1,
            Granule::K16 => 2,
            Granule::K64 => 3,
        };
        let range = |base: u64| {
            let operand = granule << 46 | 1 << 44 | base;
            let events = with(&wide.unmap(), 2, trace::machines::raw_range(operand));
            wide.change(&events)
        };
        range(wide.ipa() >> 16).unwrap();
        if wide.ds() {
            let in_granules = wide.ipa() >> wide.granule.bits() & ((1 << 37) - 1);
            assert_found(range(in_granules), Class::StaleTlb, "G3");
        }
    }
}

#[test]
fn a_block_of_the_highest_level_has_a_hint() {
    // 512 GB at level 0, in entry 2 of the second table.
    let (at, ipa) = (K4.table(1) + 16, 1 << 48 | 2 << 39);
    let unmap = |ttl: u64| {
        let mut observer = K4.mapped();
        let map = [trace::store(at, 0, K4.block(GUEST)), ISHST];
        trace::run(&mut observer, Work::Other, &map).unwrap();
        let hinted = trace::raw_ipas2(ttl << 44 | ipa >> 12);
        let events = [
            trace::store(at, K4.block(GUEST), 0),
            ISHST,
            hinted,
            ISH,
            VMALLE1,
            ISH,
        ];
        trace::run(&mut observer, Work::Other, &events)
    };
    unmap(0b0100).unwrap();
    unmap(0b0000).unwrap();
    for wrong in [0b0101, 0b0111, 0b1001] {
        assert_found(unmap(wrong), Class::StaleTlb, "G3");
    }
}

#[test]
fn bits_9_and_8_are_of_the_address_with_ds() {
    let at = K4.entry(K4.depth());
    let old = K4.leaf(GUEST);
    let change = |new| {
        let events = with(&K4.unmap(), 0, trace::store(at, old, new));
        let mut observer = K4.mapped();
        observer.protocol.judge_by(Discipline::Architecture);
        trace::run(&mut observer, Work::Other, &events)
    };
    change(old & !(1 << 7)).unwrap();
    for bit in [8, 9, 48, 49] {
        let finding = assert_found(change(old ^ 1 << bit), Class::BreakBeforeMake, "R_WHZWS");
        assert!(finding.what.contains("output address"), "{finding}");
    }
}

#[test]
fn a_table_of_a_split_maps_52_bits_alike() {
    // A block of 2M in entry 2, and a table of its pages.
    let (at, spare) = (K4.table(3) + 16, K4.table(6));
    let pa = GUEST | 3 << 48;
    let split = |last: u64| {
        let machine = Machine {
            bbm: 2,
            ..K4.machine()
        };
        let mut observer = K4.mapped();
        observer.protocol.reset(&machine);
        observer.protocol.enter(0, 1, VTTBR);
        let map = [
            Event::WriteVttbr(VTTBR),
            ISB,
            trace::store(at, 0, K4.block(pa)),
            ISHST,
        ];
        trace::run(&mut observer, Work::Other, &map).unwrap();
        let mut events = vec![Event::Zero {
            at: spare,
            bytes: K4.page(),
        }];
        events.extend((0..512).map(|index| {
            let leaf = if index == 511 { last } else { index };
            trace::store(spare + 8 * index, 0, K4.leaf(pa + leaf * K4.page()))
        }));
        let link = K4.address(spare) | 0b11;
        events.push(trace::release_store(at, K4.block(pa), link));
        events.extend([ISHST, VMALLS12, ISH]);
        let splits = InPlace {
            splits: true,
            ..InPlace::default()
        };
        trace::run_as(&mut observer, Work::Other, splits, &events)
    };
    split(511).unwrap();
    assert_found(split(511 + (1 << 38)), Class::BreakBeforeMake, "G4");
}

#[test]
fn the_highest_level_has_no_contiguous_groups() {
    let machine = Machine {
        contiguous: true,
        ..K4.machine()
    };
    // 16 blocks of 512 GB, which the bit cannot join.
    let make = |hint: u64| {
        let mut observer = K4.mapped();
        observer.protocol.reset(&machine);
        observer.protocol.enter(0, 1, VTTBR);
        let block = |index: u64| K4.block(index << 39) | hint;
        let stores = (16..32).map(|index| trace::store(K4.table(1) + 8 * index, 0, block(index)));
        let events: Vec<_> = stores.chain([ISHST]).collect();
        trace::run(&mut observer, Work::Other, &events)
    };
    make(0).unwrap();
    assert_found(make(1 << 52), Class::WrongAttributes, "O1");
}

#[test]
fn what_is_between_is_compared_in_52_bits() {
    let at = K4.entry(K4.depth()) + 8;
    let detour = |first: u64| {
        let wanted = K4.leaf(GUEST);
        let ipa = K4.ipa() + K4.page();
        let events = [
            trace::store(at, 0, first),
            ISHST,
            trace::store(at, first, 0),
            ISHST,
            trace::ipas2(ipa),
            ISH,
            VMALLE1,
            ISH,
            trace::store(at, 0, wanted),
            ISHST,
        ];
        trace::run(&mut K4.mapped(), Work::Other, &events)
    };
    detour(K4.leaf(GUEST)).unwrap();
    assert_found(detour(K4.leaf(GUEST ^ 1 << 51)), Class::TornUpdate, "G10");
}

#[test]
fn a_vmid_has_16_bits_where_vs_says_so() {
    let unmap = |vtcr: u64, vttbr: u64| {
        let mut events = vec![Event::WriteVtcr(vtcr), Event::WriteVttbr(vttbr), ISB];
        events.extend(K4.unmap());
        K4.change(&events)
    };
    let high = VTTBR | 1 << 56;
    unmap(K4.vtcr | VS, VTTBR).unwrap();
    unmap(K4.vtcr, high).unwrap();
    let finding = assert_found(unmap(K4.vtcr | VS, high), Class::StaleTlb, "G3");
    assert!(finding.what.contains("VMID 257"), "{finding}");
}

#[test]
fn a_barrier_is_missed_in_wide_tables_too() {
    for wide in ALL {
        for missing in [1, 3, 5] {
            let events = without(&wide.unmap(), missing);
            assert_found(wide.change(&events), Class::Barrier, "G3");
        }
        let mut observer = wide.mapped();
        observer.begin(Work::Other, InPlace::default());
        let plain = trace::store(wide.entry(0), wide.address(wide.table(1)) | 0b11, 0);
        observer.event(&record(plain)).unwrap();
        assert_found(observer.end(), Class::StaleTlb, "G3");
    }
}
