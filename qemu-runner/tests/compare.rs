//! Each comparison can fail: answers made from the host's own run agree, and each
//! one that is changed is told.

use fuzz::Sequence;
use fuzz::host::Engine;
use ops::mailbox::{Description, StepReply};
use ops::{Event, Outcome, Refusal};
use qemu_runner::compare::{Between, Counts, Difference, Evidence};
use qemu_runner::host::{self, Emulated, Run};
use qemu_runner::mailbox::Answered;
use qemu_runner::plan::{self, Reason};
use qemu_runner::qemu::OLDEST;
use qemu_runner::ram::Ram;

const SEQUENCE: &str = "\
machine granule=4K pa=40 ipa=40 stub=0x1000
map a ipa=0x10000 pa=0x50010000 size=8K prot=rw- mem=normal
access a ipa=0x10000 write
unmap a ipa=0x10000 size=8K
";

/// A sequence with what a machine that does as the host does has answered.
struct Mirror {
    sequence: Sequence,
    engine: Engine,
    host: Run,
    answered: Answered,
    ram: Ram,
}

impl Mirror {
    fn new() -> Mirror {
        let sequence = fuzz::text::parse(SEQUENCE).unwrap();
        let mut engine = Engine::new();
        let description = Description {
            mmfr: [0x1122, 0, 0],
            isar0: 0,
            midr: 0,
            counter_hz: 1,
        };
        let emulated = Emulated {
            description: &description,
            version: OLDEST,
        };
        let host = host::run(&mut engine, &sequence, emulated);
        let steps = host.steps.iter().map(reply).collect();
        let answered = Answered {
            steps,
            events: host.events.clone(),
            events_lost: 0,
        };
        let ram = Ram::new().unwrap();
        let pool = sequence.machine.pool_window();
        for at in (pool.base..pool.base + pool.bytes).step_by(8) {
            ram.store(at, engine.memory().peek(at).unwrap()).unwrap();
        }
        for (at, value) in &host.plan.after {
            ram.store(*at, *value).unwrap();
        }
        Mirror {
            sequence,
            engine,
            host,
            answered,
            ram,
        }
    }

    fn compare(&self) -> Result<Counts, Box<Difference>> {
        let evidence = Evidence {
            sequence: &self.sequence,
            host: &self.host,
            memory: self.engine.memory(),
            answered: &self.answered,
            ram: &self.ram,
        };
        evidence.compare()
    }

    /// The pair, the number of the operation and the first field of the difference.
    fn difference(&self) -> (Between, Option<usize>, String) {
        let difference = *self.compare().unwrap_err();
        let number = difference.place.as_ref().map(|place| place.number);
        (
            difference.between,
            number,
            difference.fields[0].name.clone(),
        )
    }
}

fn reply(step: &host::Step) -> StepReply {
    StepReply {
        vtcr: step.registers.control.unwrap_or(0x8000_0000),
        vttbr: step.registers.base.unwrap_or(0),
        events: u32::try_from(step.events_end).unwrap(),
        answer: match step.prediction {
            Some(_) => ops::mailbox::Answer::Completed,
            None => ops::mailbox::Answer::Nothing,
        },
        ..StepReply::without_probe(step.outcome)
    }
}

#[test]
fn the_same_answers_agree() {
    let mirror = Mirror::new();
    let counts = mirror.compare().unwrap();
    assert_eq!((counts.steps, counts.accesses), (5, 1));
    assert_eq!(counts.events, mirror.host.events.len() as u64);
    assert!(counts.reasons.is_empty());
}

#[test]
fn another_outcome_is_told() {
    let mut mirror = Mirror::new();
    mirror.answered.steps[2].outcome = Outcome::Refused(Refusal::Denied);
    assert_eq!(
        mirror.difference(),
        (Between::HostAndEl2, Some(1), "outcome".into())
    );
}

#[test]
fn another_register_is_told() {
    let mut mirror = Mirror::new();
    mirror.answered.steps[3].vttbr ^= 1 << 12;
    assert_eq!(
        mirror.difference(),
        (Between::HostAndEl2, Some(2), "VTTBR_EL2".into())
    );
}

#[test]
fn a_stray_access_is_told() {
    let mut mirror = Mirror::new();
    mirror.answered.steps[4].strays = 1;
    assert_eq!(mirror.difference().1, Some(3));
}

#[test]
fn strays_on_both_sides_are_the_same_fault_and_on_one_a_difference() {
    let mut mirror = Mirror::new();
    mirror.host.steps[4].strayed = true;
    assert_eq!(mirror.difference().1, Some(3));
    mirror.answered.steps[4].strays = 7;
    mirror.compare().unwrap();
}

#[test]
fn each_changed_event_is_told() {
    for index in 0..Mirror::new().host.events.len() {
        let mut mirror = Mirror::new();
        mirror.answered.events[index].event = Event::WriteVtcr(0x1234);
        assert!(mirror.difference().2.starts_with("event "), "event {index}");
    }
}

#[test]
fn an_event_too_few_or_too_many_is_told() {
    let mut mirror = Mirror::new();
    mirror.answered.events.pop();
    mirror.answered.steps[4].events -= 1;
    assert_eq!(mirror.difference().1, Some(3));
    let mut mirror = Mirror::new();
    mirror.answered.events.push(mirror.host.events[0]);
    mirror.answered.steps[4].events += 1;
    assert_eq!(mirror.difference().1, Some(3));
}

#[test]
fn an_empty_log_is_no_agreement() {
    let mut mirror = Mirror::new();
    mirror.answered.events.clear();
    let (between, step, field) = mirror.difference();
    assert_eq!((between, step), (Between::HostAndEl2, None));
    assert_eq!(field, "events, lost ones counted");
}

#[test]
fn a_count_of_events_that_no_log_holds_is_no_agreement() {
    let mut mirror = Mirror::new();
    mirror.answered.steps[2].events = u32::MAX;
    assert_eq!(mirror.difference().1, Some(1));
}

#[test]
fn events_that_the_log_lost_are_counted_and_the_rest_compared() {
    let mut mirror = Mirror::new();
    mirror.answered.events.pop();
    mirror.answered.events_lost = 1;
    assert_eq!(mirror.compare().unwrap().reasons[&Reason::LogFull], 1);
    mirror.answered.events.last_mut().unwrap().event = Event::WriteVttbr(1);
    assert!(mirror.difference().2.starts_with("event "));
}

#[test]
fn a_changed_bit_of_table_memory_is_told() {
    let mirror = Mirror::new();
    let at = mirror.sequence.machine.pool.base + 0x2008;
    mirror
        .ram
        .store(at, mirror.ram.load(at).unwrap() ^ 1 << 63)
        .unwrap();
    let expected = format!("table memory at {at:#x}");
    assert_eq!(mirror.difference(), (Between::HostAndEl2, None, expected));
}

#[test]
fn a_store_that_went_elsewhere_is_told() {
    let mirror = Mirror::new();
    mirror
        .ram
        .store(0x5001_0000, plan::stamp(0x5001_0000))
        .unwrap();
    let expected = "guest memory at 0x50010000".to_string();
    assert_eq!(
        mirror.difference(),
        (Between::WalkerAndMachine, None, expected)
    );
}

#[test]
fn an_access_that_faults_instead_is_told() {
    let mut mirror = Mirror::new();
    mirror.answered.steps[3].answer = ops::mailbox::Answer::Stage2Abort;
    assert_eq!(
        mirror.difference(),
        (Between::WalkerAndMachine, Some(2), "access".into())
    );
}

#[test]
fn a_step_too_few_is_told() {
    let mut mirror = Mirror::new();
    mirror.answered.steps.pop();
    assert_eq!(
        mirror.difference(),
        (Between::HostAndEl2, None, "steps".into())
    );
}
