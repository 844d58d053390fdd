//! The whole of every address space against the model, and table memory against
//! what the events stored.

use std::convert::Infallible;

use crate::ledger::{State, Tables};
use crate::model::{Model, Run};
use crate::operation::Machine;
use crate::ranges::{Meaning, Range};
use crate::regime::Walker;
use crate::verdict::{Class, Finding, Reach, permissions, prot_word};
use crate::walk::{FaultKind, Memory};

use super::compare::{holds, reported, wrong_pa};
use super::contradiction::Tree;

/// The model's side of the comparison.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) machine: &'a Machine,
    pub(super) model: &'a Model,
    pub(super) vm: usize,
}

/// A stretch in which neither view changes.
#[derive(Clone, Copy)]
struct Piece {
    at: u64,
    bytes: u64,
    run: Option<Run>,
    range: Option<Range>,
}

/// One VM's tables against the model's runs; the first piece that differs. Where none
/// does, the walker must not contradict them either.
pub(super) fn compare_space<M: Memory + ?Sized>(
    view: View<'_>,
    walker: &Walker,
    memory: &M,
) -> Result<(), Finding> {
    let View { vm, .. } = view;
    let found = walker
        .ranges(memory)
        .map_err(|error| Finding::new(Class::UseAfterFree, "G6", error.to_string()).of(vm))?;
    each_piece(view, &found, |piece| {
        check_piece(view, &piece).map_err(|f| f.at(vm, piece.at, piece.bytes))
    })?;
    let tree = Tree { vm, walker, memory };
    tree.check_ranges(&found)
}

/// How much of a VM's address space its tables map otherwise than the model does.
/// `None` where the tables hold more descriptors than `budget`.
pub(super) fn reach<M: Memory + ?Sized>(
    view: View<'_>,
    walker: &Walker,
    memory: &M,
    budget: u64,
) -> Option<Reach> {
    let found = walker.ranges_within(memory, budget).ok()?;
    let mut reach = Reach {
        vm: view.vm,
        ranges: 0,
        bytes: 0,
    };
    let mut end = None;
    let counted: Result<(), Infallible> = each_piece(view, &found, |piece| {
        if check_piece(view, &piece).is_err() {
            // A piece that continues the one before it belongs to the same range.
            reach.ranges += u64::from(end != Some(piece.at));
            reach.bytes = reach.bytes.saturating_add(piece.bytes);
            end = Some(end_of(piece.at, piece.bytes));
        }
        Ok(())
    });
    let Ok(()) = counted;
    Some(reach)
}

/// Calls `check` for all pieces in which anything is mapped, in ascending order, up to
/// its first error.
fn each_piece<E>(
    view: View<'_>,
    found: &[Range],
    mut check: impl FnMut(Piece) -> Result<(), E>,
) -> Result<(), E> {
    let mut found = found.iter().copied().peekable();
    let mut wanted = view.model.runs(view.vm).peekable();
    let mut at = 0;
    // Both lists are ascending; each turn takes what is up to the nearest end of a piece.
    loop {
        let one = wanted.next_if(|run| end_of(run.ipa, run.bytes) <= at);
        let two = found.next_if(|range| end_of(range.ipa, range.bytes) <= at);
        if one.is_some() || two.is_some() {
            continue;
        }
        let (run, range) = (wanted.peek(), found.peek());
        let starts = [run.map(|run| run.ipa), range.map(|range| range.ipa)];
        let Some(start) = starts.into_iter().flatten().min() else {
            return Ok(());
        };
        at = start.max(at);
        let run = run.filter(|run| run.ipa <= at);
        let range = range.filter(|range| range.ipa <= at);
        let end = piece_end(
            at,
            [wanted_edges(run, starts[0]), found_edges(range, starts[1])],
        );
        check(Piece {
            at,
            bytes: end - at,
            run: run.copied(),
            range: range.copied(),
        })?;
        at = end;
    }
}

fn end_of(ipa: u64, bytes: u64) -> u64 {
    ipa.saturating_add(bytes)
}

fn wanted_edges(run: Option<&Run>, next: Option<u64>) -> Option<u64> {
    run.map_or(next, |run| Some(end_of(run.ipa, run.bytes)))
}

fn found_edges(range: Option<&Range>, next: Option<u64>) -> Option<u64> {
    range.map_or(next, |range| Some(end_of(range.ipa, range.bytes)))
}

/// The nearest edge above `at`.
fn piece_end(at: u64, edges: [Option<u64>; 2]) -> u64 {
    let above = edges.into_iter().flatten().filter(|&edge| edge > at);
    above.min().unwrap_or(u64::MAX)
}

fn check_piece(view: View<'_>, piece: &Piece) -> Result<(), Finding> {
    let Piece {
        at,
        bytes,
        run,
        range,
    } = *piece;
    let finding = |class, why: String| {
        let what = format!("{bytes:#x} bytes from IPA {at:#x} {why}");
        Err(Finding::new(class, "M15", what))
    };
    match (run, range.map(|range| (range.ipa, range.meaning))) {
        (None, None) => Ok(()),
        (Some(_), None) => finding(Class::LostMapping, "are not mapped".into()),
        (
            Some(Run {
                accessible: false, ..
            }),
            Some((_, meaning)),
        ) => match meaning {
            Meaning::Fault {
                kind: FaultKind::AccessFlag,
                ..
            } => Ok(()),
            other => finding(
                Class::WrongFault,
                format!("must take an access flag fault, and mean {other:x?}"),
            ),
        },
        (_, Some((_, Meaning::Fault { kind, level }))) => finding(
            Class::WrongFault,
            format!("take a {kind:?} fault at level {level}"),
        ),
        (_, Some((_, Meaning::Unpredictable(why)))) => finding(
            Class::WrongAttributes,
            format!("are left open by the architecture ({why:?})"),
        ),
        (None, Some((start, Meaning::Mapped { pa, .. }))) => {
            let pa = pa + (at - start);
            let class = if holds(view.machine.sentinel, pa) {
                Class::UseAfterFree
            } else {
                Class::Isolation
            };
            finding(
                class,
                format!("translate to {pa:#x}, and nothing is mapped there"),
            )
        }
        (Some(run), Some((start, meaning))) => check_mapped(view, at, &run, start, meaning),
    }
}

fn check_mapped(
    view: View<'_>,
    at: u64,
    run: &Run,
    start: u64,
    meaning: Meaning,
) -> Result<(), Finding> {
    let Meaning::Mapped {
        pa,
        read,
        write,
        execute_el1,
        execute_el0,
        attributes,
        shareability,
    } = meaning
    else {
        return Ok(());
    };
    let (wanted, found) = (run.pa + (at - run.ipa), pa + (at - start));
    if wanted != found {
        return Err(wrong_pa(
            view.machine,
            view.model,
            view.vm,
            at,
            wanted,
            found,
        ));
    }
    let prot = run.prot;
    let (attributes_wanted, sh_wanted) = reported(run.memory);
    let fields = [
        (
            "prot",
            prot_word(prot),
            permissions(read, write, execute_el1, execute_el0),
        ),
        (
            "attributes",
            format!("{attributes_wanted:#04x}"),
            format!("{attributes:#04x}"),
        ),
        ("sh", sh_wanted.to_string(), shareability.to_string()),
    ];
    let differ = fields.into_iter().filter(|(_, one, two)| one != two);
    let what = format!("IPA {at:#x} is mapped to {found:#x} with other attributes");
    let finding = Finding::new(Class::WrongAttributes, "M15", what);
    let finding = differ.fold(finding, |finding, (field, one, two)| {
        finding.differs(field, one, two)
    });
    if finding.differences.is_empty() {
        Ok(())
    } else {
        Err(finding)
    }
}

/// Every table that walkers can reach holds what the events stored.
pub(super) fn compare_memory<M: Memory + ?Sized>(
    tables: &Tables,
    memory: &M,
) -> Result<(), Finding> {
    for &number in tables.touched() {
        if !matches!(tables.state(number), State::Root | State::Linked { .. }) {
            continue;
        }
        let base = tables.address(number);
        if memory.holds(base, tables.contents(number)) {
            continue;
        }
        let level = tables.place(number).level;
        for (index, &stored) in tables.contents(number).iter().enumerate() {
            let at = base + 8 * index as u64;
            let found = memory.read(at);
            let by_hardware = |now| tables.format().hardware_may_make(level, stored, now);
            if found != Some(stored) && !found.is_some_and(by_hardware) {
                return Err(unseen(tables, number, at, stored, found));
            }
        }
    }
    Ok(())
}

fn unseen(tables: &Tables, number: usize, at: u64, stored: u64, found: Option<u64>) -> Finding {
    let place = tables.entry_place(number, at);
    let found = found.map_or("nothing readable".into(), |found| format!("{found:#x}"));
    let what = format!("the descriptor at {at:#x} changed without a store event");
    Finding::new(Class::TornUpdate, "G3", what)
        .at(place.vm, place.ipa, 0)
        .differs("descriptor", format!("{stored:#x}"), found)
}
