//! Physical memory as the host engine has it: the page pool, the sentinel page,
//! and nothing else.
//!
//! One buffer serves all sequences. It is cut into frames that come into being
//! when something is first stored to them, and only those that a sequence stored
//! to are poisoned again for the next one: cost follows what was touched, not the
//! size of the pool. An address outside of the pool is never an error here: it is
//! answered, and remembered as a stray for the comparison to report.

use driver::Testbed;
use hyp::addr::{Ipa, Pa};
use hyp::platform::Platform;
use ops::{SENTINEL, Window, poison};
use std::cell::{Cell, OnceCell, RefCell};

/// Smallest table page, so that no frame holds two tables.
const FRAME_BYTES: u64 = 4096;
const FRAME_WORDS: usize = 512;

/// The smallest data cache line of the emulated machine's CPUs, so that both
/// clean the same lines.
const CACHE_LINE_BYTES: u64 = 64;

type Words = [u64; FRAME_WORDS];

/// Part of the pool. Without words it reads as poison.
#[derive(Default)]
struct Frame {
    words: OnceCell<Box<Cell<Words>>>,
    touched: Cell<bool>,
}

/// How the subject reached for memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// A load.
    Load,
    /// A store, or the zeroing of a range.
    Store,
    /// A question about a page that is not on loan.
    Page,
}

impl std::fmt::Display for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Reach::Load => "load",
            Reach::Store => "store",
            Reach::Page => "use of a page",
        })
    }
}

/// The subject reached for an address at which no table can be: outside of the
/// pool, or not a multiple of 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stray {
    /// The physical address, in bytes.
    pub at: u64,
    /// What it did there.
    pub reach: Reach,
}

impl Stray {
    /// Whether the address came out of a free page: only its poison leads there.
    #[must_use]
    pub fn is_sentinel(&self) -> bool {
        SENTINEL.contains(self.at)
    }
}

/// Physical memory of one sequence.
pub struct Memory {
    pool: Window,
    frames: Vec<Frame>,
    /// Indices of the frames that were stored to since the last `reset`.
    touched: RefCell<Vec<usize>>,
    stray: Cell<Option<Stray>>,
}

impl Default for Memory {
    fn default() -> Memory {
        Memory {
            pool: Window { base: 0, bytes: 0 },
            frames: Vec::new(),
            touched: RefCell::default(),
            stray: Cell::default(),
        }
    }
}

impl Memory {
    /// Makes this the memory of another machine: a pool in this window, all of it
    /// poison.
    pub fn reset(&mut self, pool: Window) {
        for index in self.touched.get_mut().drain(..) {
            self.frames[index].fill(poison());
            self.frames[index].touched.set(false);
        }
        self.stray.set(None);
        self.pool = pool;
        let frames =
            usize::try_from(pool.bytes.div_ceil(FRAME_BYTES)).expect("a pool has at most 64 MiB");
        if self.frames.len() < frames {
            self.frames.resize_with(frames, Frame::default);
        }
    }

    /// The pool.
    #[must_use]
    pub fn pool(&self) -> Window {
        self.pool
    }

    /// What is stored at a physical address. `None` outside of the pool and the
    /// sentinel page, and where the address is not a multiple of 8.
    #[must_use]
    pub fn peek(&self, at: u64) -> Option<u64> {
        if let Some((frame, word)) = self.locate(at) {
            return Some(self.frames[frame].load(word));
        }
        (SENTINEL.contains(at) && at.is_multiple_of(8)).then_some(poison())
    }

    /// Stores as hardware does that updates a descriptor during a walk: no event
    /// tells it. Without effect outside of the pool.
    pub fn update(&self, at: u64, value: u64) {
        self.put(at, value);
    }

    /// The first stray access since the last call, or since `reset`. The first is
    /// the cause: what follows is worked out from what it answered.
    pub fn take_stray(&self) -> Option<Stray> {
        self.stray.take()
    }

    /// Frame and word of an address of the pool.
    fn locate(&self, at: u64) -> Option<(usize, usize)> {
        if !self.pool.contains(at) || !at.is_multiple_of(8) {
            return None;
        }
        let offset = at - self.pool.base;
        let frame = usize::try_from(offset / FRAME_BYTES).ok()?;
        let word = usize::try_from(offset % FRAME_BYTES / 8).ok()?;
        Some((frame, word))
    }

    /// Stores to the pool, and says whether the address is in it.
    fn put(&self, at: u64, value: u64) -> bool {
        let place = self.locate(at);
        if let Some((frame, word)) = place {
            self.touch(frame).words().as_array_of_cells()[word].set(value);
        }
        place.is_some()
    }

    /// A frame that is about to be stored to.
    fn touch(&self, index: usize) -> &Frame {
        let frame = &self.frames[index];
        if !frame.touched.replace(true) {
            self.touched.borrow_mut().push(index);
        }
        frame
    }

    #[cold]
    fn went_astray(&self, at: u64, reach: Reach) {
        let first = self.stray.get();
        self.stray.set(first.or(Some(Stray { at, reach })));
    }
}

impl Frame {
    fn load(&self, word: usize) -> u64 {
        match self.words.get() {
            Some(words) => words.as_array_of_cells()[word].get(),
            None => poison(),
        }
    }

    fn words(&self) -> &Cell<Words> {
        self.words
            .get_or_init(|| Box::new(Cell::new([poison(); FRAME_WORDS])))
    }

    fn fill(&self, value: u64) {
        self.words().set([value; FRAME_WORDS]);
    }
}

/// Instructions have no effect of their own here: that they were issued is what
/// counts, and the driver logs it.
impl Platform for Memory {
    fn load(&self, at: Pa) -> u64 {
        let at = at.raw();
        if let Some((frame, word)) = self.locate(at) {
            return self.frames[frame].load(word);
        }
        self.went_astray(at, Reach::Load);
        self.peek(at).unwrap_or(0)
    }

    fn store(&self, at: Pa, value: u64) {
        if !self.put(at.raw(), value) {
            self.went_astray(at.raw(), Reach::Store);
        }
    }

    // One CPU: the order of the program is all there is.
    fn store_release(&self, at: Pa, value: u64) {
        self.store(at, value);
    }

    fn compare_exchange(&self, at: Pa, old: u64, new: u64) -> Result<(), u64> {
        match self.peek(at.raw()) {
            Some(found) if found != old => Err(found),
            // Also where it goes astray, so that nobody tries again for ever.
            _ => {
                self.store(at, new);
                Ok(())
            }
        }
    }

    fn swap(&self, at: Pa, new: u64) -> u64 {
        let old = self.peek(at.raw()).unwrap_or(0);
        self.store(at, new);
        old
    }

    fn zero(&self, at: Pa, bytes: u64) {
        self.fill(at, bytes, 0);
    }

    fn tlbi_ipas2e1is(&self, _operand: u64) {}
    fn tlbi_ripas2e1is(&self, _operand: u64) {}
    fn tlbi_vmalle1is(&self) {}
    fn tlbi_vmalls12e1is(&self) {}
    fn tlbi_vae2is(&self, _operand: u64) {}
    fn tlbi_rvae2is(&self, _operand: u64) {}
    fn tlbi_alle2is(&self) {}
    fn dsb_ishst(&self) {}
    fn dsb_ish(&self) {}
    fn isb(&self) {}
    fn dc_cvac(&self, _at: Pa) {}
    fn dc_civac(&self, _at: Pa, _bytes: u64) {}
    fn dc_cvau(&self, _at: Pa, _bytes: u64) {}
    fn ic_ialluis(&self) {}
    fn cache_line_bytes(&self) -> u64 {
        CACHE_LINE_BYTES
    }

    fn write_vtcr_el2(&self, _value: u64) {}
    fn write_vttbr_el2(&self, _value: u64) {}
    fn write_tcr_el2(&self, _value: u64) {}
    fn write_ttbr0_el2(&self, _value: u64) {}
    fn write_mair_el2(&self, _value: u64) {}
    fn mark_dirty(&self, _ipa: Ipa, _bytes: u64) {}
}

impl Testbed for Memory {
    fn stray(&self, at: Pa) {
        self.went_astray(at.raw(), Reach::Page);
    }

    fn fill(&self, at: Pa, bytes: u64, value: u64) {
        let at = at.raw();
        let in_pool = bytes == 0
            || (self.pool.contains(at) && bytes <= self.pool.bytes - (at - self.pool.base));
        if !in_pool || !at.is_multiple_of(FRAME_BYTES) || !bytes.is_multiple_of(FRAME_BYTES) {
            return self.went_astray(at, Reach::Store);
        }
        for offset in (0..bytes).step_by(FRAME_WORDS * 8) {
            if let Some((frame, _)) = self.locate(at + offset) {
                self.touch(frame).fill(value);
            }
        }
    }
}

impl oracle::walk::Memory for Memory {
    fn read(&self, at: u64) -> Option<u64> {
        self.peek(at)
    }

    fn holds(&self, at: u64, words: &[u64]) -> bool {
        let mut at = at;
        let mut rest = words;
        while let Some((frame, word)) = self.locate(at) {
            let (here, beyond) = rest.split_at(rest.len().min(FRAME_WORDS - word));
            let stored = self.frames[frame].words.get().map(|words| words.get());
            let is_same = match stored {
                Some(stored) => stored[word..word + here.len()] == *here,
                None => here.iter().all(|&word| word == poison()),
            };
            if !is_same || beyond.is_empty() {
                return is_same;
            }
            rest = beyond;
            at += here.len() as u64 * 8;
        }
        rest.is_empty()
    }
}
