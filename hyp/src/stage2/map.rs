//! Map: leaves for a range. Clauses M1 to M15.

use super::editor::Editor;
use super::error::Error;
use super::fill::{Content, fill, largest_leaf};
use super::space::Space;
use super::{Mapping, Stage2, check};
use crate::addr::{Ipa, IpaRange, Pa};
use crate::cpu::Cpu;
use crate::descriptor::{Attributes, Descriptor};
use crate::geometry::Level;
use crate::pages::PageSource;
use crate::platform::Platform;
use crate::walk::{Run, Slot};
use core::ops::Range;

impl Stage2<'_> {
    /// Maps a range with the largest leaves that fit. Clauses M1 to M15.
    ///
    /// # Errors
    /// `NoSpace`, `Dying`, `Range`, `BeyondOutputSize`, `Attributes` or `Denied`;
    /// `NoPages` where the cache ran short: the first `done` bytes are mapped.
    pub fn map<P: Platform, S: PageSource>(
        &self,
        cpu: &mut Cpu<'_, P, S>,
        mapping: &Mapping,
    ) -> Result<(), Error> {
        self.with_guest(cpu, |guest, cpu| {
            let check::Checked { range, attributes } = check::mapping(guest, mapping)?;
            let leaves = Leaves::new(range.start(), mapping.pa, attributes);
            let largest = largest_leaf(&guest.space, leaves.offset, mapping.pages_only);
            let mut editor = Editor::new(cpu, &guest.space);
            let result = fill(&mut editor, range, largest, &leaves);
            editor.finish();
            result
        })
    }
}

/// Leaves that map IPAs in a row to PAs in a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaves {
    /// What an IPA lacks to its PA, modulo 2^64.
    offset: u64,
    attributes: Attributes,
}

impl Leaves {
    /// Leaves that map `ipa` to `pa`.
    pub(super) fn new(ipa: Ipa, pa: Pa, attributes: Attributes) -> Leaves {
        // Both are below 2^52, and so is an IPA of the range with the difference
        // added modulo 2^64.
        let offset = pa.raw().wrapping_sub(ipa.raw());
        Leaves { offset, attributes }
    }

    /// The PA of an IPA.
    #[inline]
    fn pa(&self, ipa: Ipa) -> Pa {
        Pa::new(ipa.raw().wrapping_add(self.offset))
    }

    /// The leaf of `level` for an IPA.
    #[inline]
    fn leaf(&self, space: &Space, level: Level, ipa: Ipa) -> Descriptor {
        space.format.leaf(level, self.pa(ipa), self.attributes)
    }
}

impl<P: Platform, S: PageSource> Content<P, S> for Leaves {
    fn is_said(&self, space: &Space, found: Descriptor, level: Level, ipa: Ipa) -> bool {
        found.as_made().without_contiguous() == self.leaf(space, level, ipa)
    }

    fn write(&self, editor: &mut Editor<'_, '_, P, S>, run: &Run, count: u16) {
        if editor.cpu.pages().references(run.table().page) == 0 {
            return self.make(editor, run, 0, count);
        }
        self.make_room(editor, run, count);
        let mut next = 0;
        while next < count {
            let stays = leading(editor, run, next..count, Descriptor::is_valid);
            let gap = leading(editor, run, next + stays..count, |found| !found.is_valid());
            self.make(editor, run, next + stays, gap);
            next += stays + gap;
        }
    }
}

/// How many of these entries of `run` in a row are of a kind.
fn leading<P: Platform, S: PageSource>(
    editor: &Editor<'_, '_, P, S>,
    run: &Run,
    mut entries: Range<u16>,
    is: impl Fn(Descriptor) -> bool,
) -> u16 {
    let Range { start, end } = entries;
    let other = entries.find(|&index| !is(editor.read(Slot::of(run, index).at)));
    other.unwrap_or(end) - start
}

impl Leaves {
    /// Removes from the first `count` entries of `run` what differs, and invalidates
    /// it at once.
    fn make_room<P: Platform, S: PageSource>(
        &self,
        editor: &mut Editor<'_, '_, P, S>,
        run: &Run,
        count: u16,
    ) {
        let (space, level) = (editor.space, run.table().level);
        let differs = |found, level, ipa| !Content::<P, S>::is_said(self, space, found, level, ipa);
        editor.isolate(run.covered_by(count), |run, found| {
            differs(found, run.table().level, run.entry_start())
        });
        let mut removed = 0;
        let mut slot = Slot::of(run, 0);
        for _ in 0..count {
            let found = editor.read(slot.at);
            if found != Descriptor::INVALID && differs(found, level, slot.ipa) {
                editor.remove_entry(run, slot, found, Descriptor::INVALID);
                removed += 1;
            }
            slot = slot.next(run);
        }
        if removed > 0 {
            editor
                .cpu
                .pages()
                .drop_references(run.table().page, removed);
            editor.stored_in(run, count);
        }
        editor.flush();
    }

    /// Makes leaves of `count` empty entries of `run`, `first` and those after it.
    fn make<P: Platform, S: PageSource>(
        &self,
        editor: &mut Editor<'_, '_, P, S>,
        run: &Run,
        first: u16,
        count: u16,
    ) {
        if count == 0 {
            return;
        }
        let mut rest = *run;
        rest.skip(first);
        self.maintain(editor, run.table().level, rest.covered_by(count));
        self.store(editor, &rest, count);
        editor.made(&rest, count, count);
    }

    /// What section K asks for before leaves of `level` map `range`.
    pub(super) fn maintain<P: Platform, S: PageSource>(
        &self,
        editor: &Editor<'_, '_, P, S>,
        level: Level,
        range: IpaRange,
    ) {
        let leaf = self.leaf(editor.space, level, range.start());
        let pa = self.pa(range.start());
        let platform = editor.cpu.platform();
        editor.space.maintain(platform, pa, range.bytes(), leaf);
    }

    /// Stores leaves in the first `count` entries of `run`.
    pub(super) fn store<P: Platform, S: PageSource>(
        &self,
        editor: &Editor<'_, '_, P, S>,
        run: &Run,
        count: u16,
    ) {
        let range = run.covered_by(count);
        let space = editor.space;
        let hinted = space.contiguous_part(run.table().level, range, self.offset);
        let (before, others) = range.split_at(hinted.start());
        let after = others.split_at(hinted.end()).1;
        self.store_part(editor, run, before, |leaf| leaf);
        self.store_part(editor, run, hinted, Descriptor::with_contiguous);
        self.store_part(editor, run, after, |leaf| leaf);
    }

    #[inline]
    fn store_part<P: Platform, S: PageSource>(
        &self,
        editor: &Editor<'_, '_, P, S>,
        run: &Run,
        part: IpaRange,
        hint: impl Fn(Descriptor) -> Descriptor,
    ) {
        let (platform, space, level) = (editor.cpu.platform(), *editor.space, run.table().level);
        let mut slot = Slot::at(run, part.start());
        while slot.ipa < part.end() {
            let leaf = self.leaf(&space, level, slot.ipa);
            space.tables.make(platform, slot.at, hint(leaf));
            slot = slot.next(run);
        }
    }
}
