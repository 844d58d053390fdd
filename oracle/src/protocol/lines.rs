//! Cache lines of table memory that a walker which is not coherent would miss.

use crate::ledger::Tables;

/// The smallest line, so that a clean of each line of the smallest size counts.
const LINE: u64 = 64;

/// Lines that were written since they were last cleaned.
///
/// A page that is linked has been zeroed before, which makes every line of it dirty:
/// so what an earlier sequence left here does no harm.
#[derive(Clone, Debug, Default)]
pub(super) struct Lines {
    /// One bit for each line of the pool.
    dirty: Vec<u64>,
    /// The same for lines whose clean no `DSB ISH` has completed: only a DSB that
    /// waits for loads and stores completes cache maintenance (DDI 0487 K.a, B2.3).
    cleaning: Vec<u64>,
    /// Addresses of these lines, written again since or not.
    issued: Vec<u64>,
    /// Lines of reachable tables that were written since the last barrier, by address.
    unpublished: Vec<u64>,
}

impl Lines {
    /// The lines of another machine.
    pub(super) fn reset(&mut self) {
        self.clear();
        self.issued.clear();
    }

    pub(super) fn clear(&mut self) {
        self.unpublished.clear();
    }

    /// A write of `bytes` at `at`, in a table that walkers can reach or not.
    pub(super) fn write(&mut self, tables: &Tables, at: u64, bytes: u64, reachable: bool) {
        let end = at.saturating_add(bytes.max(1));
        let mut line = at & !(LINE - 1);
        while line < end {
            let Some((word, bit)) = index(tables, line) else {
                return;
            };
            if word >= self.dirty.len() {
                self.dirty.resize(word + 1, 0);
                self.cleaning.resize(word + 1, 0);
            }
            self.dirty[word] |= bit;
            self.cleaning[word] &= !bit;
            if reachable {
                self.unpublished.push(line);
            }
            line += LINE;
        }
    }

    /// A clean is issued for the line of `at`.
    pub(super) fn clean(&mut self, tables: &Tables, at: u64) {
        if let Some((word, bit)) = index(tables, at)
            && let Some(word) = self.cleaning.get_mut(word)
        {
            *word |= bit;
            self.issued.push(at);
        }
    }

    /// A `DSB ISH`: the cleans before it are complete.
    pub(super) fn complete(&mut self, tables: &Tables) {
        for at in self.issued.drain(..) {
            if let Some((word, bit)) = index(tables, at) {
                self.dirty[word] &= !(self.cleaning[word] & bit);
                self.cleaning[word] &= !bit;
            }
        }
    }

    /// A barrier: the first line of a reachable table that was not cleaned before it.
    pub(super) fn publish(&mut self, tables: &Tables) -> Option<u64> {
        let dirty = |&&line: &&u64| self.is_dirty(tables, line);
        let found = self.unpublished.iter().find(dirty).copied();
        self.unpublished.clear();
        found
    }

    /// The first line of a page that is not clean.
    pub(super) fn first_dirty(&self, tables: &Tables, number: usize) -> Option<u64> {
        let base = tables.address(number);
        let lines = (0..tables.page_bytes() / LINE).map(|line| base + line * LINE);
        let mut dirty = lines.filter(|&line| self.is_dirty(tables, line));
        dirty.next()
    }

    fn is_dirty(&self, tables: &Tables, line: u64) -> bool {
        let word = index(tables, line);
        word.is_some_and(|(word, bit)| self.dirty.get(word).is_some_and(|w| w & bit != 0))
    }
}

fn index(tables: &Tables, at: u64) -> Option<(usize, u64)> {
    let number = tables.number(at)?;
    let lines_in_page = (tables.page_bytes() / LINE) as usize;
    let line = number * lines_in_page + ((at - tables.address(number)) / LINE) as usize;
    Some((line / 64, 1 << (line % 64)))
}
