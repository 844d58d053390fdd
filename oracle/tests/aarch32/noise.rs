//! Random registers and bytes: nothing panics, and every walk ends.

use std::cell::Cell;

use oracle::aarch32::{Features, Stage1, Stage2, stage1, stage2};
use oracle::walk::{self, Memory};

use crate::builder::{Random, sizes};
use crate::support::*;

/// Memory whose every word is a hash of its address, and often looks like a table.
struct Noise {
    seed: u64,
    reads: Cell<u32>,
}

impl Memory for Noise {
    fn read(&self, at: u64) -> Option<u64> {
        assert_eq!(at % 8, 0);
        self.reads.set(self.reads.get() + 1);
        let hash = Random((at ^ self.seed) | 1).next();
        let small = if hash >> 60 & 1 == 0 {
            0xff_ffff_ffff
        } else {
            u64::MAX
        };
        (!hash.is_multiple_of(64))
            .then_some((hash.rotate_left(32) & small) | (hash >> 62 | hash >> 58) & 3)
    }
}

#[test]
fn no_input_makes_walkers_or_ranges_panic() {
    let mut random = Random(0xf00d);
    let sizes = sizes();
    let (mut longest, mut longest_of_hyp) = (0, 0);
    for case in 0..100_000_u32 {
        let features = Features {
            xnx: random.one_in(2),
            hpd: random.one_in(2),
        };
        let (ipa_bits, sl0) = random.pick(&sizes);
        let valid = vtcr(ipa_bits, sl0);
        let base = random.pick(&[u64::MAX, 0xff_ffff_ffff, 0xff_ffff_0000]);
        let vtcrs = [random.word(), valid, valid ^ 1 << (case % 32)];
        let guest = stage2::Registers {
            vtcr: random.pick(&vtcrs),
            vttbr: random.next() & base,
            hcr: random.word() | VM,
            hcr2: random.word(),
            hsctlr: random.word() & !(EE & random.word()),
        };
        let hyp = stage1::Registers {
            htcr: random.word(),
            httbr: random.next() & base,
            hmair0: random.word(),
            hmair1: random.word(),
            hsctlr: guest.hsctlr | M,
        };
        let noise = Noise {
            seed: random.next(),
            reads: Cell::new(0),
        };
        let stage2 = Stage2::new(features, guest);
        let ipa = random.next() >> random.below(64);
        stage2.translate(&noise, ipa, random.pick(&ALL));
        longest = longest.max(noise.reads.take());
        let stage1 = Stage1::new(features, hyp);
        let va = random.word() >> random.below(32);
        stage1.translate(&noise, va, random.pick(&ALL_OF_HYP));
        longest_of_hyp = longest_of_hyp.max(noise.reads.take());
        if case % 512 == 0 {
            let _ = stage2::ranges_within(&stage2, &noise, 10_000);
            assert!(noise.reads.take() <= 10_000);
            let _ = stage1::ranges_within(&stage1, &noise, 10_000);
            assert!(noise.reads.take() <= 10_000);
            let _ = stage2::trace(&stage2, &noise, ipa, walk::Access::Read);
        }
    }
    let levels = (longest, longest_of_hyp);
    assert_eq!(levels, (3, 3), "the deepest walks have three levels");
}
