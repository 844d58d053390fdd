//! Subject and oracle agree on generated sequences, and the generator reaches into
//! tables: a fixed sample of what a fuzzer does without end.

use fuzz::generate;
use fuzz::lockstep::Lockstep;
use fuzz::target::{self, Summary};

const SEQUENCES: u64 = 2000;

#[test]
fn generated_sequences_agree() {
    let mut lockstep = Lockstep::new();
    let mut summary = Summary::new(lockstep.legal_configurations());
    for seed in 0..SEQUENCES {
        let sequence = generate::from_seed(seed);
        let work = target::work(&sequence);
        assert!(work <= target::MOST_WORK, "seed {seed}: {work} descriptors");
        if let Err(verdict) = lockstep.run(&sequence) {
            panic!("seed {seed}:\n{verdict}\n{sequence}");
        }
        summary.count(lockstep.last());
    }
    println!("{summary}");
    assert!(summary.success_percent() >= 70, "{summary}");
    assert!(
        summary.reached() * 2 >= lockstep.legal_configurations(),
        "{summary}"
    );
}
