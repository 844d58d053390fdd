//! The bounded part of the small scopes. `examples/scope.rs` runs the whole.

use fuzz::lockstep::Lockstep;
use fuzz::scope::scopes;

/// Most operations of a sequence here.
const LENGTH: usize = 2;

#[test]
fn every_sequence_in_the_small_scopes_agrees() {
    let mut lockstep = Lockstep::new();
    let mut total = 0;
    for scope in scopes() {
        for length in 0..=LENGTH {
            match scope.run(&mut lockstep, length, |_| ()) {
                Ok(done) => total += done,
                Err(divergence) => panic!("{divergence}"),
            }
        }
    }
    println!("{total} sequences of at most {LENGTH} operations");
    assert_eq!(total, 6 * (1 + 32 + 32 * 32));
}
