//! The lockstep itself: what it reports, counts, and keeps from one sequence to
//! the next. That it agrees where it should is in the regressions.

use fuzz::Sequence;
use fuzz::lockstep::{Lockstep, Reached, marked};
use fuzz::text::parse;
use ops::{AccessOutcome, FaultKind, Outcome, Refusal};
use oracle::verdict::{Class, Verdict};

const MACHINE: &str = "machine granule=4K pa=40 ipa=40 pool=0x48000000+64 stub=0x1000\n";
/// The same in canonical form, as it is printed.
const MACHINE_LINE: &str =
    "machine granule=4K pa=40 ipa=40 pool=0x48000000+64 memory=0x50000000+64M stub=0x1000\n";
const MAP: &str = "map a ipa=0x10000 pa=0x50010000 size=4K prot=rw- mem=normal";

fn sequence(steps: &str) -> Sequence {
    parse(&format!("{MACHINE}{steps}")).unwrap_or_else(|error| panic!("{error}"))
}

fn verdict(steps: &str) -> Box<Verdict> {
    let sequence = sequence(steps);
    let mut lockstep = Lockstep::new();
    lockstep
        .run(&sequence)
        .map(|_| ())
        .expect_err("the sequence diverges")
}

#[test]
fn a_wrong_expectation_of_an_answer_is_a_finding_that_says_both() {
    let verdict = verdict(&format!("{MAP} -> denied\n"));
    assert_eq!(
        (verdict.finding.class, verdict.finding.rule),
        (Class::ReturnValue, "expectation")
    );
    assert!(
        verdict.finding.what.contains("expects `denied`"),
        "{}",
        verdict.finding.what
    );
    assert!(
        verdict.finding.what.contains("answer is `ok`"),
        "{}",
        verdict.finding.what
    );
}

#[test]
fn a_wrong_expectation_of_an_access_is_a_finding_that_says_both() {
    let verdict = verdict(&format!(
        "{MAP}\naccess a ipa=0x10000 read -> ok pa=0x50011000\n"
    ));
    assert_eq!(
        (verdict.finding.class, verdict.finding.rule),
        (Class::ReturnValue, "expectation")
    );
    assert!(
        verdict.finding.what.contains("`ok pa=0x50011000`"),
        "{}",
        verdict.finding.what
    );
    assert!(
        verdict.finding.what.contains("`ok pa=0x50010000`"),
        "{}",
        verdict.finding.what
    );
}

#[test]
fn an_outcome_where_an_access_is_expected_is_a_finding() {
    let verdict = verdict("access b ipa=0 read -> fault translation level=1\n");
    assert!(
        verdict.finding.what.contains("answer is `no-vm`"),
        "{}",
        verdict.finding.what
    );
}

#[test]
fn the_verdict_names_the_operation_and_the_sequence_marks_it() {
    let steps = format!("{MAP} -> ok\nfree b -> ok pages=4\nfree b -> ok pages=5\n");
    let verdict = verdict(&steps);
    let guilty = verdict.guilty.as_ref().expect("an operation is guilty");
    assert_eq!((guilty.index, guilty.text.as_str()), (3, "free b"));
    let text = marked(&sequence(&steps), &verdict);
    let marks: Vec<_> = text.lines().filter(|line| line.starts_with('>')).collect();
    assert_eq!(marks.len(), 1, "{text}");
    assert!(marks[0].starts_with("> free b "), "{text}");
    assert!(marks[0].ends_with("-> ok pages=5"), "{text}");
}

#[test]
fn a_failed_allocation_shows_in_the_operation_that_meets_it() {
    let verdict = verdict("fail after=0\nvm b -> ok\n");
    let guilty = verdict.guilty.as_ref().expect("an operation is guilty");
    assert_eq!((guilty.index, guilty.text.as_str()), (2, "vm b"));
    assert!(
        verdict.finding.what.contains("answer is `no-memory`"),
        "{}",
        verdict.finding.what
    );
}

#[test]
fn a_run_holds_an_answer_for_every_operation() {
    let steps = format!("{MAP}\nvm a\naccess a ipa=0x11000 write\naccess b ipa=0 read\n");
    let mut lockstep = Lockstep::new();
    let run = lockstep.run(&sequence(&steps)).expect("it agrees");
    assert_eq!(run.stub.len(), 2);
    let outcomes: Vec<_> = run.answers.iter().map(|answer| answer.outcome).collect();
    let exists = Outcome::Refused(Refusal::Exists);
    let no_vm = Outcome::Refused(Refusal::NoVm);
    assert_eq!(outcomes, [Outcome::Done, exists, Outcome::Nothing, no_vm]);
    let fault = AccessOutcome::Fault {
        kind: FaultKind::Translation,
        level: 3,
    };
    let accesses: Vec<_> = run.answers.iter().map(|answer| answer.access).collect();
    assert_eq!(accesses, [None, None, Some(fault), None]);
    assert!(run.registers[0].is_some() && run.registers[1].is_none());
}

#[test]
fn operations_and_comparisons_are_counted() {
    let mut lockstep = Lockstep::new();
    let run = lockstep
        .run(&sequence(&format!("{MAP}\n")))
        .expect("it agrees");
    assert_eq!(run.counts.operations, 3);
    assert!(run.counts.compared > 0);
    let mut total = run.counts.clone();
    total.add(&run.counts);
    assert_eq!(
        (total.operations, total.compared),
        (6, 2 * run.counts.compared)
    );
}

#[test]
fn a_legal_configuration_is_reached_by_its_index() {
    let mut lockstep = Lockstep::new();
    let legal = lockstep.legal_configurations();
    let reached = |lockstep: &mut Lockstep, machine: &str| {
        let sequence = parse(&format!("{machine}\nvm a\n")).expect("the text is a sequence");
        lockstep.run(&sequence).expect("it agrees").reached
    };
    let given = reached(&mut lockstep, "machine granule=4K pa=44 ipa=40 start=1");
    let chosen = reached(&mut lockstep, "machine granule=4K pa=44 ipa=40");
    let other = reached(&mut lockstep, "machine granule=4K pa=44 ipa=40 start=0");
    assert!(matches!(given, Reached::Legal(index) if index < legal));
    assert_eq!(given, chosen);
    assert_ne!(given, other);
}

#[test]
fn a_refused_create_reaches_nothing() {
    let mut lockstep = Lockstep::new();
    let sequence = parse("machine pa=40 ipa=44\nvm a -> illegal-configuration\n");
    let run = lockstep
        .run(&sequence.expect("the text is a sequence"))
        .expect("it agrees");
    assert_eq!(run.reached, Reached::Nothing);
}

#[test]
fn a_verdict_leaves_nothing_behind_for_the_next_sequence() {
    let good = sequence(&format!(
        "{MAP} -> ok\naccess a ipa=0x10000 read -> ok pa=0x50010000\n"
    ));
    let bad = sequence("map a ipa=0x200000 pa=0x50200000 size=2M prot=rwx mem=normal -> denied\n");
    let mut fresh = Lockstep::new();
    let expected = fresh.run(&good).expect("it agrees").clone();
    let mut used = Lockstep::new();
    used.run(&bad)
        .map(|_| ())
        .expect_err("the expectation is wrong");
    let run = used.run(&good).expect("it agrees");
    assert_eq!(run.answers, expected.answers);
    assert_eq!(run.counts, expected.counts);
    assert_eq!(run.registers, expected.registers);
}

#[test]
fn what_happened_before_a_verdict_can_be_asked_for() {
    let mut lockstep = Lockstep::new();
    let sequence = sequence(&format!("{MAP} -> ok\n{MAP} -> denied\n"));
    lockstep
        .run(&sequence)
        .map(|_| ())
        .expect_err("the expectation is wrong");
    assert_eq!(lockstep.last().counts.operations, 4);
    assert_eq!(lockstep.last().answers.len(), 1);
}

#[test]
fn the_verdict_has_the_sequences_own_machine_line() {
    let verdict = verdict(&format!("{MAP} -> denied\n"));
    assert_eq!(
        verdict.machine_line.as_deref(),
        MACHINE_LINE.strip_suffix('\n')
    );
    assert!(verdict.to_string().contains(&format!("\n  {MACHINE_LINE}")));
}
