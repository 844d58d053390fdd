//! Invalidation of what an operation broke, put off until it pays: one sequence
//! of barriers for many entries, and no page given back before it.

use super::space::Space;
use crate::addr::{Ipa, Pa};
use crate::cpu::Cpu;
use crate::geometry::Level;
use crate::pages::{PageList, PageSource};
use crate::platform::Platform;
use crate::tlbi::{Operands, Part};

/// Instructions by address or range up to which they are issued; with one more it
/// is the VMID's whole TLB. Each `TLBI` is a broadcast that every CPU answers, and
/// the stage-1 part empties the VMID's combined entries in any case.
const MOST_INSTRUCTIONS: usize = 16;

/// What is stale in a stretch of IPAs.
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

/// IPAs in a row under which the same is stale.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    start: Ipa,
    end: Ipa,
    stale: Stale,
}

/// Entries that were broken and tables that were unlinked since the last flush.
#[derive(Debug)]
pub(super) struct Invalidation {
    /// The last of the stretches, empty where there is none.
    last: Stretch,
    /// The stretches before it.
    before: [Stretch; MOST_INSTRUCTIONS - 1],
    count: usize,
    whole_vmid: bool,
    retired: PageList,
}

impl Invalidation {
    /// Nothing pending.
    pub(super) const fn new() -> Invalidation {
        Invalidation {
            last: Stretch::EMPTY,
            before: [Stretch::EMPTY; MOST_INSTRUCTIONS - 1],
            count: 0,
            whole_vmid: false,
            retired: PageList::new(),
        }
    }

    /// Leaves of `level` in a row that cover `bytes` from `start` on were broken,
    /// or changed in place.
    #[inline]
    pub(super) fn add_leaves(&mut self, start: Ipa, bytes: u64, level: Level) {
        self.add(start, bytes, Stale::Leaves(level));
    }

    /// The entry of a table that covers `bytes` from `start` on was broken, with
    /// nothing valid in the table by then.
    pub(super) fn add_table(&mut self, start: Ipa, bytes: u64) {
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
    pub(super) fn add_subtree(&mut self, start: Ipa, bytes: u64) {
        self.add(start, bytes, Stale::Subtrees);
    }

    /// Everything under the VMID may be stale.
    pub(super) fn add_all(&mut self) {
        self.whole_vmid = true;
    }

    /// A table was unlinked; its page is released after the invalidation.
    pub(super) fn retire<S: PageSource>(&mut self, pages: &S, page: Pa) {
        self.retired.push(pages, page);
    }

    /// Whether anything is stale.
    pub(super) fn is_pending(&self) -> bool {
        self.whole_vmid || !self.last.is_empty()
    }

    /// Invalidates all that is pending, for every CPU, and gives the pages of
    /// unlinked tables back.
    pub(super) fn flush<P: Platform, S: PageSource>(
        &mut self,
        cpu: &mut Cpu<'_, P, S>,
        space: &Space,
    ) {
        if self.is_pending() {
            // The broken entries must be visible to every walker before the TLBI
            // is, or a walker could cache the old ones again behind it.
            space.barrier(cpu.platform());
            // TLBI applies to the VMID in VTTBR_EL2.
            let before = cpu.loaded();
            cpu.load(space.registers);
            self.issue(cpu.platform(), space);
            cpu.load(before);
        }
        while let Some(page) = self.retired.pop(cpu.pages()) {
            cpu.pages().release(page, 0);
        }
        self.last = Stretch::EMPTY;
        self.count = 0;
        self.whole_vmid = false;
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
                None => self.whole_vmid = true,
            }
        }
        let end = start.forward(bytes);
        self.last = Stretch { start, end, stale };
    }

    fn issue<P: Platform>(&self, platform: &P, space: &Space) {
        let operands = Operands::new(space.geometry.shape(), space.geometry.features());
        if self.whole_vmid || !self.is_cheap(space, &operands) {
            platform.tlbi_vmalls12e1is();
        } else {
            for stretch in self.pending() {
                stretch.invalidate(platform, space, &operands);
            }
            // Stage 2 must be done before stage 1 begins: a walk that still had
            // the old stage-2 entry could make a new combined one behind it.
            platform.dsb_ish();
            platform.tlbi_vmalle1is();
        }
        platform.dsb_ish();
        platform.isb();
    }

    /// Whether the stretches take few enough instructions.
    fn is_cheap(&self, space: &Space, operands: &Operands) -> bool {
        let mut left = MOST_INSTRUCTIONS;
        self.pending().all(|stretch| {
            let instructions = stretch.plan(space, operands).instructions;
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
    fn plan(&self, space: &Space, operands: &Operands) -> Plan {
        let singles = self.step(space).map_or(usize::MAX, |step| {
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

    fn invalidate<P: Platform>(&self, platform: &P, space: &Space, operands: &Operands) {
        let leaf = self.leaf();
        if self.plan(space, operands).by_range {
            for part in operands.parts(self.start, self.bytes()) {
                match part {
                    Part::Single(at) => platform.tlbi_ipas2e1is(operands.single(at, leaf)),
                    Part::Range { base, num, scale } => {
                        platform.tlbi_ripas2e1is(operands.range(base, num, scale, leaf));
                    }
                }
            }
        } else if let Some(step) = self.step(space) {
            let mut at = self.start;
            while at < self.end {
                platform.tlbi_ipas2e1is(operands.single(at, leaf));
                at = at.forward(step);
            }
        }
    }

    fn bytes(&self) -> u64 {
        self.end.raw() - self.start.raw()
    }

    /// Bytes that one instruction by address invalidates, whatever address within
    /// them it has; `None` where single addresses do not cover what is stale.
    fn step(&self, space: &Space) -> Option<u64> {
        match self.stale {
            Stale::Leaves(level) | Stale::LeavesAndTables(level) => {
                Some(space.geometry.shape().entry_bytes(level))
            }
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
