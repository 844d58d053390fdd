//! Several CPUs on one set of tables, as pairs of traces that differ in one event or
//! in the CPU of one event.

mod trace;

use oracle::event::{Event, Record, Tlbi};
use oracle::judge::Observer;
use oracle::ledger::Work;
use oracle::operation::Machine;
use oracle::protocol::InPlace;
use oracle::verdict::{Class, Finding};
use trace::*;

const IPAS2_LOCAL: Event = Event::Tlbi {
    operation: Tlbi::Ipas2e1,
    operand: 0,
};
const VMALLE1_LOCAL: Event = Event::Tlbi {
    operation: Tlbi::Vmalle1,
    operand: 0,
};

/// [`mapped`], and the VM loaded on CPU 1 as well, then a change.
fn change_on(records: &[(u8, Event)]) -> Result<(), Finding> {
    let mut all = vec![(1, Event::WriteVttbr(VTTBR)), (1, ISB)];
    all.extend_from_slice(records);
    operation(&mut mapped(), &all)
}

fn operation(observer: &mut Observer, records: &[(u8, Event)]) -> Result<(), Finding> {
    observer.begin(CHANGE, InPlace::default());
    let top_up = [POOL + 6 * PAGE, POOL + 7 * PAGE].map(|page| (0, allocate(page)));
    for &(cpu, event) in top_up.iter().chain(records) {
        observer.event(&Record { cpu, event })?;
    }
    observer.end()
}

/// The first page unmapped: the store and its barrier, the invalidation by IPA and its
/// barrier, stage 1 and its barrier, each pair on a CPU.
fn unmap_page(store_on: u8, by_ipa_on: u8, stage1_on: u8) -> Vec<(u8, Event)> {
    vec![
        (store_on, store(L3, page(GUEST), 0)),
        (store_on, ISHST),
        (by_ipa_on, ipas2(0)),
        (by_ipa_on, ISH),
        (stage1_on, VMALLE1),
        (stage1_on, ISH),
    ]
}

fn moved(records: &[(u8, Event)], index: usize) -> Vec<(u8, Event)> {
    let mut records = records.to_vec();
    records[index].0 ^= 1;
    records
}

#[test]
fn each_step_may_be_another_cpus() {
    for cpus in 0..8 {
        let records = unmap_page(cpus & 1, cpus >> 1 & 1, cpus >> 2);
        change_on(&records).unwrap();
    }
}

#[test]
fn a_store_is_ordered_by_its_own_cpu() {
    let records = moved(&unmap_page(0, 0, 0), 1);
    assert_found(change_on(&records), Class::Barrier, "G3");
}

#[test]
fn an_invalidation_by_ipa_is_completed_by_its_own_cpu() {
    let records = moved(&unmap_page(0, 0, 1), 3);
    assert_found(change_on(&records), Class::Barrier, "G3");
}

#[test]
fn stage_1_is_completed_by_its_own_cpu() {
    let records = moved(&unmap_page(0, 0, 0), 5);
    assert_found(change_on(&records), Class::Barrier, "G3");
}

#[test]
fn a_whole_vmid_is_ordered_and_completed_by_its_own_cpus() {
    let records = [
        (0, store(L3, page(GUEST), 0)),
        (0, ISHST),
        (1, VMALLS12),
        (1, ISH),
    ];
    change_on(&records).unwrap();
    for index in [1, 3] {
        let result = change_on(&moved(&records, index));
        assert_found(result, Class::Barrier, "G3");
    }
}

#[test]
fn a_descriptor_is_published_by_its_own_cpu() {
    let records = [(0, store(L3 + 16, 0, page(GUEST))), (0, ISHST)];
    change_on(&records).unwrap();
    assert_found(change_on(&moved(&records, 1)), Class::Barrier, "G7");
}

#[test]
fn the_vmid_is_that_of_the_cpu_that_invalidates() {
    let mut records = vec![(1, Event::WriteVttbr(OTHER_VTTBR)), (1, ISB)];
    records.extend(unmap_page(0, 0, 0));
    change_on(&records).unwrap();
    records[4].0 = 1;
    assert_found(change_on(&records), Class::StaleTlb, "G3");
}

#[test]
fn an_isb_synchronizes_its_own_cpu() {
    let mut records = vec![(1, Event::WriteVttbr(VTTBR)), (1, ISB)];
    records.extend(unmap_page(0, 1, 0));
    change_on(&records).unwrap();
    assert_found(change_on(&moved(&records, 1)), Class::Barrier, "G8");
}

#[test]
fn an_invalidation_that_is_not_broadcast_is_not_enough() {
    change_on(&unmap_page(0, 0, 0)).unwrap();
    for (index, local) in [(2, IPAS2_LOCAL), (4, VMALLE1_LOCAL)] {
        let mut records = unmap_page(0, 0, 0);
        records[index].1 = local;
        let finding = assert_found(change_on(&records), Class::StaleTlb, "G3");
        assert!(finding.what.contains("its own CPU only"), "{finding}");
    }
}

#[test]
fn a_root_stays_while_another_cpus_vttbr_holds_it() {
    let free = |leave: Event| {
        let mut observer = mapped();
        let load = [Event::WriteVttbr(VTTBR), ISB];
        let load = load.map(|event| Record { cpu: 1, event });
        observer.begin(Work::Other, InPlace::default());
        load.iter().for_each(|record| {
            observer.event(record).unwrap();
        });
        observer.begin(Work::Free { vm: 0 }, InPlace::default());
        let root = Event::Release {
            page: ROOT,
            order: 1,
        };
        let records = [
            (0, store(ROOT, table(L2), 0)),
            (0, ISHST),
            (0, VMALLS12),
            (0, ISH),
            (0, Event::WriteVttbr(0)),
            (1, leave),
            (0, release(L3)),
            (0, release(L2)),
            (0, root),
        ];
        records
            .into_iter()
            .try_for_each(|(cpu, event)| observer.event(&Record { cpu, event }).map(|_| ()))
    };
    free(Event::WriteVttbr(0)).unwrap();
    assert_found(free(ISB), Class::UseAfterFree, "F2");
}

#[test]
fn a_clean_is_completed_by_its_own_cpu() {
    let machine = Machine {
        coherent_walks: false,
        ..machine()
    };
    let link = |barrier_on: u8| {
        let mut observer = bench_on(&machine);
        observer.begin(CHANGE, InPlace::default());
        let mut records = vec![(0, zero(L2))];
        records.extend(clean_page(L2).into_iter().map(|event| (0, event)));
        records.push((barrier_on, ISH));
        records.push((0, release_store(ROOT, 0, table(L2))));
        let top_up = top_up(&[L2, L3, SPARE, SPARE_2]);
        let top_up = top_up.into_iter().map(|event| (0, event));
        top_up
            .chain(records)
            .try_for_each(|(cpu, event)| observer.event(&Record { cpu, event }).map(|_| ()))
    };
    link(0).unwrap();
    assert_found(link(1), Class::Cache, "G5");
}
