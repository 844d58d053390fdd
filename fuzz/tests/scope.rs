//! The bounded part of the small scopes. `examples/scope.rs` runs the whole.

use std::thread;

use fuzz::lockstep::Lockstep;
use fuzz::scope::{Scope, scopes};

/// Most operations of a sequence here.
const LENGTH: usize = 2;

/// How many sequences there were, all of which agree.
fn run(scope: &Scope) -> u64 {
    let mut lockstep = Lockstep::new();
    let done = (0..=LENGTH).map(|length| match scope.run(&mut lockstep, length, |_| ()) {
        Ok(done) => done,
        Err(divergence) => panic!("{divergence}"),
    });
    done.sum()
}

#[test]
fn every_sequence_in_the_small_scopes_agrees() {
    let scopes = scopes();
    let total: u64 = thread::scope(|threads| {
        let running: Vec<_> = scopes
            .iter()
            .map(|scope| threads.spawn(|| run(scope)))
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().expect("a scope agrees"))
            .sum()
    });
    println!(
        "{total} sequences of at most {LENGTH} operations, in {} scopes",
        scopes.len()
    );
    assert_eq!(total, 10 * (1 + 32 + 32 * 32));
}
