//! Entries against the model's, as far as translations cannot tell: software bits, access
//! flag and dirty state of leaves, and marks.

use super::leaf::LeafFormat;
use crate::ledger::{Place, State, Tables, next_nonzero};
use crate::model::{Content, Model, Stretch};
use crate::operation::{EntryContent, LeafContent};
use crate::regime::Walker;
use crate::verdict::{Class, Finding};
use crate::walk::{Entry, Memory};

/// What entries are compared with.
#[derive(Clone, Copy)]
pub(super) struct Entries<'a> {
    pub(super) model: &'a Model,
    pub(super) format: LeafFormat,
}

impl Entries<'_> {
    /// The entry that decides over an IPA of the space.
    pub(super) fn check_at<M: Memory + ?Sized>(
        &self,
        vm: usize,
        ipa: u64,
        walker: &Walker,
        memory: &M,
    ) -> Result<(), Finding> {
        let wanted = self.model.entry(vm, ipa);
        let (Some((level, wanted)), Some((place, found))) = (wanted, walk(vm, ipa, walker, memory))
        else {
            return Ok(());
        };
        // Other levels are the translations' to compare.
        if place.level != level {
            return Ok(());
        }
        match (wanted, walker.entry(level, found)) {
            (EntryContent::Leaf(leaf), Entry::Leaf { pa }) => self.compare(
                place,
                walker.entry_bytes(level),
                leaf,
                self.format.content(found, pa),
            ),
            (EntryContent::Annotated { .. } | EntryContent::Softened(_), Entry::Invalid) => {
                if found == 0 {
                    return Err(lost_mark(place.vm, place.ipa, wanted));
                }
                Ok(())
            }
            (EntryContent::Empty, Entry::Invalid) if found != 0 => Err(unexpected(place, found)),
            _ => Ok(()),
        }
    }

    fn compare(
        &self,
        place: Place,
        bytes: u64,
        wanted: LeafContent,
        found: LeafContent,
    ) -> Result<(), Finding> {
        let fields = [
            (
                "software",
                "R4",
                wanted.software.to_string(),
                found.software.to_string(),
            ),
            (
                "young",
                "H1",
                wanted.young.to_string(),
                found.young.to_string(),
            ),
            (
                "dirty",
                "H2",
                wanted.dirty.to_string(),
                found.dirty.to_string(),
            ),
        ];
        let differs = fields.into_iter().find(|(_, _, one, two)| one != two);
        let Some((field, rule, demanded, found)) = differs else {
            return Ok(());
        };
        let what = format!("the leaf at IPA {:#x} has another {field} state", place.ipa);
        let finding = Finding::new(Class::WrongAttributes, rule, what);
        let finding = finding.at(place.vm, place.ipa, bytes);
        Err(finding.differs(field, demanded, found))
    }

    /// Every entry of every table of a VM.
    pub(super) fn check_all<M: Memory + ?Sized>(
        &self,
        vm: usize,
        tables: &Tables,
        memory: &M,
    ) -> Result<(), Finding> {
        let mut marks = 0;
        for &number in tables.touched() {
            let table = tables.place(number);
            let reachable = matches!(tables.state(number), State::Root | State::Linked { .. });
            if reachable && table.vm == vm {
                marks += self.check_table(number, tables, memory)?;
            }
        }
        self.check_marks(vm, marks, tables)
    }

    /// How many marks a table holds, each of which is the model's.
    fn check_table<M: Memory + ?Sized>(
        &self,
        number: usize,
        tables: &Tables,
        memory: &M,
    ) -> Result<u64, Finding> {
        let Place { vm, level, .. } = tables.place(number);
        let bytes = self.model.entry_bytes(level);
        let mut cursor = Cursor::new(self.model.stretches(vm));
        let (mut from, mut marks) = (0, 0);
        while let Some((index, stored)) = next_nonzero(tables.contents(number), from) {
            from = index + 1;
            let at = tables.address(number) + 8 * index as u64;
            let place = tables.entry_place(number, at);
            let wanted = cursor.at(place.ipa).filter(|(of, _)| *of == level);
            match (tables.entry(level, stored), wanted) {
                (Entry::Leaf { pa }, Some((_, Content::Leaf(leaf)))) => {
                    // What hardware wrote is in memory alone.
                    let found = memory.read(at).unwrap_or(stored);
                    let found = self.format.content(found, pa);
                    self.compare(place, bytes, leaf, found)?;
                }
                (Entry::Invalid, Some((_, Content::Leaf(_))) | None) => {
                    return Err(unexpected(place, stored));
                }
                (Entry::Invalid, Some(_)) => marks += 1,
                _ => {}
            }
        }
        Ok(marks)
    }

    /// As many marks were found as the model has; all that were found are the model's.
    fn check_marks(&self, vm: usize, found: u64, tables: &Tables) -> Result<(), Finding> {
        let marks = self.model.stretches(vm).iter();
        let marks = marks.filter(|stretch| stretch.content.leaf().is_none());
        let count = |stretch: &Stretch| stretch.bytes / self.model.entry_bytes(stretch.level);
        if marks.clone().map(count).sum::<u64>() == found {
            return Ok(());
        }
        let missing = marks.clone().find_map(|stretch| {
            let bytes = self.model.entry_bytes(stretch.level);
            let mut ipas = (0..count(stretch)).map(|n| stretch.ipa + n * bytes);
            ipas.find(|&ipa| !holds_mark(tables, vm, stretch.level, ipa))
                .map(|ipa| (ipa, stretch.content))
        });
        match missing {
            Some((ipa, content)) => Err(lost_mark(vm, ipa, content.into())),
            None => Ok(()),
        }
    }
}

/// Whether a table of this level holds a mark at an IPA.
fn holds_mark(tables: &Tables, vm: usize, level: i8, ipa: u64) -> bool {
    tables.touched().iter().any(|&number| {
        let reachable = matches!(tables.state(number), State::Root | State::Linked { .. });
        let table = tables.place(number);
        let bytes = tables.format().entry_bytes(level);
        let index = ipa.checked_sub(table.ipa).map(|offset| offset / bytes);
        let index = index.and_then(|index| usize::try_from(index).ok());
        let word = index.and_then(|index| tables.contents(number).get(index));
        reachable && (table.vm, table.level) == (vm, level) && word.is_some_and(|word| *word != 0)
    })
}

/// Looks up ascending IPAs at constant cost each, after the first.
struct Cursor<'a> {
    stretches: &'a [Stretch],
    started: bool,
}

impl<'a> Cursor<'a> {
    fn new(stretches: &'a [Stretch]) -> Cursor<'a> {
        Cursor {
            stretches,
            started: false,
        }
    }

    /// Level and content of the entry at an IPA, if there is one.
    fn at(&mut self, ipa: u64) -> Option<(i8, Content)> {
        if !std::mem::replace(&mut self.started, true) {
            let before = |stretch: &Stretch| stretch.end() <= ipa;
            let first = self.stretches.partition_point(before);
            self.stretches = &self.stretches[first..];
        }
        while let Some((first, rest)) = self.stretches.split_first() {
            if first.end() > ipa {
                let found = first.ipa <= ipa;
                return found.then(|| (first.level, first.content_at(ipa)));
            }
            self.stretches = rest;
        }
        None
    }
}

/// The entry that a walk for an IPA ends at, and its descriptor.
fn walk<M: Memory + ?Sized>(
    vm: usize,
    ipa: u64,
    walker: &Walker,
    memory: &M,
) -> Option<(Place, u64)> {
    let (mut table, _) = walker.root()?;
    let (mut level, mut table_ipa) = (walker.start_level()?, 0);
    loop {
        let bytes = walker.entry_bytes(level);
        let index = (ipa - table_ipa) / bytes;
        let descriptor = memory.read(table.checked_add(8 * index)?)?;
        let first = table_ipa + index * bytes;
        match walker.entry(level, descriptor) {
            Entry::Table { next } => {
                (table, table_ipa) = (next, first);
                level += 1;
            }
            Entry::Leaf { .. } | Entry::Invalid => {
                let ipa = first;
                return Some((Place { vm, level, ipa }, descriptor));
            }
        }
    }
}

fn lost_mark(vm: usize, ipa: u64, wanted: EntryContent) -> Finding {
    let (rule, what) = match wanted {
        EntryContent::Annotated { owner } => ("N3", format!("annotation for owner {owner}")),
        _ => ("W4", "softened leaf".into()),
    };
    let what = format!("the {what} at IPA {ipa:#x} is not in the tables");
    Finding::new(Class::LostMapping, rule, what).at(vm, ipa, 0)
}

fn unexpected(place: Place, found: u64) -> Finding {
    let what = format!(
        "the level {} entry at IPA {:#x} holds {found:#x}, and no mark belongs there",
        place.level, place.ipa
    );
    Finding::new(Class::WrongAttributes, "U7", what).at(place.vm, place.ipa, 0)
}
