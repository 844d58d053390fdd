//! Cache lines of table memory that a walker which is not coherent would miss.

use std::ops::Range;

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
    cpus: Vec<Cpu>,
}

/// What a barrier of one CPU concerns.
#[derive(Clone, Debug, Default)]
struct Cpu {
    /// Addresses of lines that it cleaned, written again since or not.
    issued: Vec<u64>,
    /// Lines of reachable tables that it wrote since its last barrier, by address.
    unpublished: Vec<u64>,
}

impl Lines {
    /// The lines of another machine.
    pub(super) fn reset(&mut self) {
        self.clear();
        self.cpus.iter_mut().for_each(|cpu| cpu.issued.clear());
    }

    pub(super) fn clear(&mut self) {
        self.cpus.iter_mut().for_each(|cpu| cpu.unpublished.clear());
    }

    fn cpu(&mut self, cpu: u8) -> &mut Cpu {
        let index = usize::from(cpu);
        if index >= self.cpus.len() {
            self.cpus.resize_with(index + 1, Cpu::default);
        }
        &mut self.cpus[index]
    }

    /// A CPU writes a stretch of addresses, in a table that walkers can reach or not.
    pub(super) fn write(&mut self, tables: &Tables, by: u8, stretch: Range<u64>, reachable: bool) {
        let Range { start: at, end } = stretch;
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
                self.cpu(by).unpublished.push(line);
            }
            line += LINE;
        }
    }

    /// A CPU issues a clean of each line of a stretch of addresses. What lies outside
    /// the pool is skipped at once.
    pub(super) fn clean(&mut self, tables: &Tables, by: u8, stretch: Range<u64>) {
        let Range { start, end } = tables.within(stretch);
        let mut line = start & !(LINE - 1);
        while line < end {
            if let Some((word, bit)) = index(tables, line)
                && let Some(word) = self.cleaning.get_mut(word)
            {
                *word |= bit;
                self.cpu(by).issued.push(line);
            }
            line += LINE;
        }
    }

    /// A `DSB ISH`: the CPU's cleans before it are complete.
    pub(super) fn complete(&mut self, tables: &Tables, by: u8) {
        let mut issued = std::mem::take(&mut self.cpu(by).issued);
        for at in issued.drain(..) {
            if let Some((word, bit)) = index(tables, at) {
                self.dirty[word] &= !(self.cleaning[word] & bit);
                self.cleaning[word] &= !bit;
            }
        }
        self.cpu(by).issued = issued;
    }

    /// A barrier of a CPU: the first line of a reachable table that the CPU wrote and
    /// that was not cleaned before it.
    pub(super) fn publish(&mut self, tables: &Tables, by: u8) -> Option<u64> {
        let mut unpublished = std::mem::take(&mut self.cpu(by).unpublished);
        let dirty = |&&line: &&u64| self.is_dirty(tables, line);
        let found = unpublished.iter().find(dirty).copied();
        unpublished.clear();
        self.cpu(by).unpublished = unpublished;
        found
    }

    /// The same for all CPUs at once.
    pub(super) fn publish_all(&mut self, tables: &Tables) -> Option<u64> {
        let mut cpus = (0..=u8::MAX).take(self.cpus.len());
        cpus.find_map(|by| self.publish(tables, by))
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
