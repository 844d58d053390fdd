//! Invalidation of what an operation broke, put off until it pays: one sequence
//! of barriers for many entries, and no page given back before it. The same in all
//! regimes but for the instructions, which `Regime` stands for.

use crate::addr::{Ipa, Pa};
use crate::cpu::Cpu;
use crate::geometry::{Features, Level, Shape};
use crate::pages::{PageList, PageSource};
use crate::platform::Platform;
use crate::tlbi::{Operands, Part};

/// Instructions by address or range up to which they are issued; with one more it
/// is everything that the address space has in TLBs. Each `TLBI` is a broadcast that
/// every CPU answers.
const MOST_INSTRUCTIONS: usize = 16;

/// Whose TLB entries are stale, and how they are invalidated.
pub(crate) trait Regime {
    /// The shape of the tables.
    fn shape(&self) -> &Shape;

    /// What the machine implements.
    fn features(&self) -> &Features;

    /// Waits until every walker sees what was stored.
    fn barrier<P: Platform>(&self, platform: &P);

    /// Runs `issue` with the instructions acting on this address space.
    fn selected<P: Platform, S: PageSource>(&self, cpu: &mut Cpu<'_, P, S>, issue: impl FnOnce(&P));

    /// Invalidates by address.
    fn tlbi_address<P: Platform>(&self, platform: &P, operand: u64);

    /// Invalidates by range.
    fn tlbi_range<P: Platform>(&self, platform: &P, operand: u64);

    /// What must follow when all addresses and ranges are done.
    fn after_addresses<P: Platform>(&self, platform: &P);

    /// Invalidates everything of the address space.
    fn tlbi_all<P: Platform>(&self, platform: &P);
}

/// What is stale in a stretch of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stale {
    /// One table that held nothing valid.
    Table,
    /// Leaves of one level, and nothing else.
    Leaves(Level),
    /// Leaves of one level, and tables that all of them are in.
    LeavesAndTables(Level),
    /// Tables with all that was below them, at whatever level.
    Subtrees,
}

/// Addresses in a row under which the same is stale.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    start: Ipa,
    end: Ipa,
    stale: Stale,
}

/// Entries that were broken and tables that were unlinked since the last flush.
#[derive(Debug)]
pub(crate) struct Invalidation {
    /// The last of the stretches, empty where there is none.
    last: Stretch,
    /// The stretches before it.
    before: [Stretch; MOST_INSTRUCTIONS - 1],
    count: usize,
    everything: bool,
    retired: PageList,
}

impl Invalidation {
    /// Nothing pending.
    pub(crate) const fn new() -> Invalidation {
        Invalidation {
            last: Stretch::EMPTY,
            before: [Stretch::EMPTY; MOST_INSTRUCTIONS - 1],
            count: 0,
            everything: false,
            retired: PageList::new(),
        }
    }

    /// Leaves of `level` in a row that cover `bytes` from `start` on were broken,
    /// or changed in place.
    #[inline]
    pub(crate) fn add_leaves(&mut self, start: Ipa, bytes: u64, level: Level) {
        self.add(start, bytes, Stale::Leaves(level));
    }

    /// The entry of a table that covers `bytes` from `start` on was broken, with
    /// nothing valid in the table by then.
    pub(crate) fn add_table(&mut self, start: Ipa, bytes: u64) {
        // What invalidates an address at every level invalidates its tables too.
        let last = &mut self.last;
        let inside = start <= last.start && last.end <= start.forward(bytes);
        if inside && !last.is_empty() {
            if let Stale::Leaves(level) = last.stale {
                last.stale = Stale::LeavesAndTables(level);
            }
            return;
        }
        self.push(start, bytes, Stale::Table);
    }

    /// The entry of a table that covers `bytes` from `start` on was broken, with
    /// valid entries below it.
    #[inline]
    pub(crate) fn add_subtree(&mut self, start: Ipa, bytes: u64) {
        self.add(start, bytes, Stale::Subtrees);
    }

    /// Everything of the address space may be stale.
    pub(crate) fn add_all(&mut self) {
        self.everything = true;
    }

    /// A table was unlinked; its page is released after the invalidation.
    pub(crate) fn retire<S: PageSource>(&mut self, pages: &S, page: Pa) {
        self.retired.push(pages, page);
    }

    /// Whether anything is stale.
    pub(crate) fn is_pending(&self) -> bool {
        self.everything || !self.last.is_empty()
    }

    /// Invalidates all that is pending, for every CPU, and gives the pages of
    /// unlinked tables back.
    pub(crate) fn flush<P: Platform, S: PageSource>(
        &mut self,
        cpu: &mut Cpu<'_, P, S>,
        regime: &impl Regime,
    ) {
        if self.is_pending() {
            // The broken entries must be visible to every walker before the TLBI
            // is, or a walker could cache the old ones again behind it.
            regime.barrier(cpu.platform());
            regime.selected(cpu, |platform| self.issue(platform, regime));
        }
        while let Some(page) = self.retired.pop(cpu.pages()) {
            cpu.pages().release(page, 0);
        }
        self.last = Stretch::EMPTY;
        self.count = 0;
        self.everything = false;
    }

    /// Adds what may continue the last stretch.
    #[inline]
    fn add(&mut self, start: Ipa, bytes: u64, stale: Stale) {
        if self.last.end == start && self.last.stale == stale {
            self.last.end = start.forward(bytes);
        } else {
            self.push(start, bytes, stale);
        }
    }

    // Out of line: it would take registers from loops over entries in a row.
    #[inline(never)]
    fn push(&mut self, start: Ipa, bytes: u64, stale: Stale) {
        if !self.last.is_empty() {
            match self.before.get_mut(self.count) {
                Some(stretch) => {
                    *stretch = self.last;
                    self.count += 1;
                }
                None => self.everything = true,
            }
        }
        let end = start.forward(bytes);
        self.last = Stretch { start, end, stale };
    }

    fn issue<P: Platform>(&self, platform: &P, regime: &impl Regime) {
        let operands = Operands::new(regime.shape(), regime.features());
        if self.everything || !self.is_cheap(regime.shape(), &operands) {
            regime.tlbi_all(platform);
        } else {
            for stretch in self.pending() {
                stretch.invalidate(platform, regime, &operands);
            }
            regime.after_addresses(platform);
        }
        platform.dsb_ish();
        platform.isb();
    }

    /// Whether the stretches take few enough instructions.
    fn is_cheap(&self, shape: &Shape, operands: &Operands) -> bool {
        let mut left = MOST_INSTRUCTIONS;
        self.pending().all(|stretch| {
            let instructions = stretch.plan(shape, operands).instructions;
            let fits = instructions <= left;
            left = left.saturating_sub(instructions);
            fits
        })
    }

    fn pending(&self) -> impl Iterator<Item = &Stretch> {
        self.before[..self.count].iter().chain([&self.last])
    }
}

/// How a stretch is invalidated.
#[derive(Clone, Copy, Debug)]
struct Plan {
    by_range: bool,
    /// `usize::MAX` for more than pays, or where there is no way.
    instructions: usize,
}

impl Stretch {
    const EMPTY: Stretch = Stretch {
        start: Ipa::new(0),
        end: Ipa::new(0),
        stale: Stale::Table,
    };

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The way with fewer instructions; of two with as many, the one that
    /// invalidates no more than the stretch.
    fn plan(&self, shape: &Shape, operands: &Operands) -> Plan {
        let singles = self.step(shape).map_or(usize::MAX, |step| {
            usize::try_from(self.bytes() / step).unwrap_or(usize::MAX)
        });
        let ranges = if operands.has_ranges() {
            operands
                .parts(self.start, self.bytes())
                .take(MOST_INSTRUCTIONS + 1)
                .count()
        } else {
            usize::MAX
        };
        Plan {
            by_range: ranges < singles,
            instructions: ranges.min(singles),
        }
    }

    fn invalidate<P: Platform>(&self, platform: &P, regime: &impl Regime, operands: &Operands) {
        let leaf = self.leaf();
        if self.plan(regime.shape(), operands).by_range {
            for part in operands.parts(self.start, self.bytes()) {
                match part {
                    Part::Single(at) => regime.tlbi_address(platform, operands.single(at, leaf)),
                    Part::Range { base, num, scale } => {
                        let operand = operands.range(base, num, scale, leaf);
                        regime.tlbi_range(platform, operand);
                    }
                }
            }
        } else if let Some(step) = self.step(regime.shape()) {
            let mut at = self.start;
            while at < self.end {
                regime.tlbi_address(platform, operands.single(at, leaf));
                at = at.forward(step);
            }
        }
    }

    fn bytes(&self) -> u64 {
        self.end.raw() - self.start.raw()
    }

    /// Bytes that one instruction by address invalidates, whatever address within
    /// them it has; `None` where single addresses do not cover what is stale.
    fn step(&self, shape: &Shape) -> Option<u64> {
        match self.stale {
            Stale::Leaves(level) | Stale::LeavesAndTables(level) => Some(shape.entry_bytes(level)),
            Stale::Table => Some(self.bytes()),
            Stale::Subtrees => None,
        }
    }

    /// The level that may be hinted at. A hint at a leaf spares the tables above
    /// it, and below a table leaves of any level may be cached.
    fn leaf(&self) -> Option<Level> {
        match self.stale {
            Stale::Leaves(level) => Some(level),
            Stale::LeavesAndTables(_) | Stale::Table | Stale::Subtrees => None,
        }
    }
}
