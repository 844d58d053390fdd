//! The way down to the entries that map and annotate write, in ascending order, each
//! the largest that fits. Clauses M9 to M14.

use super::editor::Editor;
use super::error::Error;
use super::space::Space;
use crate::addr::{Ipa, IpaRange};
use crate::descriptor::{Descriptor, Kind};
use crate::geometry::Level;
use crate::pages::PageSource;
use crate::platform::Platform;
use crate::walk::{Run, Table, Visitor, walk};

/// What the entries of a range are to say.
pub(super) trait Content<P, S> {
    /// Whether `found` says it already, whole, as the first entry of `run` or one
    /// like it from `ipa` on. Clauses M10 and N2.
    fn is_said(&self, space: &Space, found: Descriptor, level: Level, ipa: Ipa) -> bool;

    /// Makes the first `count` entries of `run` say it. Clause M13.
    fn write(&self, editor: &mut Editor<'_, '_, P, S>, run: &Run, count: u16);
}

/// Fills a range with entries of `largest` at most.
///
/// # Errors
/// `NoPages`: everything before its `done` bytes says what it should, and nothing
/// else has changed.
pub(super) fn fill<P: Platform, S: PageSource, C: Content<P, S>>(
    editor: &mut Editor<'_, '_, P, S>,
    range: IpaRange,
    largest: Level,
    content: &C,
) -> Result<(), Error> {
    let (shape, root) = (*editor.space.geometry.shape(), editor.space.tables.root);
    let mut visitor = Fill {
        editor,
        range,
        largest,
        content,
    };
    walk(&shape, root, range, &mut visitor)
}

/// The level of the largest leaf that addresses of this alignment permit.
pub(super) fn largest_leaf(space: &Space, alignment: u64, pages_only: bool) -> Level {
    if pages_only {
        Level::PAGE
    } else {
        space.geometry.shape().largest_leaf(alignment)
    }
}

struct Fill<'v, 'e, 'c, P, S, C> {
    editor: &'v mut Editor<'e, 'c, P, S>,
    range: IpaRange,
    largest: Level,
    content: &'v C,
}

impl<P: Platform, S: PageSource, C: Content<P, S>> Visitor for Fill<'_, '_, '_, P, S, C> {
    type Stop = Error;

    fn visit(&mut self, run: &mut Run) -> Result<Option<Table>, Error> {
        let level = run.table().level;
        while !run.range().is_empty() {
            let whole = run.whole_entries();
            if whole > 0 && level >= self.largest {
                self.content.write(self.editor, run, whole);
                run.skip(whole);
                continue;
            }
            let found = self.editor.read(run.at());
            let space = self.editor.space;
            if found.kind(level) == Kind::Table {
                return Ok(Some(space.tables.child(found, level)));
            }
            if !self.content.is_said(space, found, level, run.entry_start()) {
                return self.table_for(run, found).map(Some);
            }
            run.skip(1);
        }
        Ok(None)
    }

    fn leave(&mut self, _: &Run, _: Table) -> Result<(), Error> {
        Ok(())
    }
}

impl<P: Platform, S: PageSource, C: Content<P, S>> Fill<'_, '_, '_, P, S, C> {
    /// Puts a table into the first entry of `run`, empty or with the parts of what
    /// is there, if the cache suffices for the whole path. Clauses M11, M12, M14.
    fn table_for(&mut self, run: &Run, found: Descriptor) -> Result<Table, Error> {
        let need = self.pages_to_leaf(run);
        let stopped = Error::NoPages {
            done: self.range.split_at(run.range().start()).0.bytes(),
            need: u16::from(need),
        };
        if self.editor.cpu.cached() < u32::from(need) {
            return Err(stopped);
        }
        let table = if found == Descriptor::INVALID {
            self.editor.link_empty(run)
        } else {
            self.editor.split(run, found)
        };
        table.ok_or(stopped)
    }

    /// Tables from the one of `run` down to the leaf at its first address.
    fn pages_to_leaf(&self, run: &Run) -> u8 {
        let level = run.table().level;
        let at = run.range().start();
        let left = self.range.split_at(at).1.bytes();
        let below = level.below().max(self.largest);
        let shape = self.editor.space.geometry.shape();
        level.distance_to(shape.leaf_level(below, at, left))
    }
}
