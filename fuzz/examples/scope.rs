//! `cargo run --release -p fuzz --no-default-features --example scope -- --length N`:
//! every sequence of at most N operations in every small scope, each scope in a thread
//! of its own.
//!
//! Exit status 0 where all agree, 1 at a divergence, which is printed as a sequence,
//! 2 for wrong usage. A scope has 32 operations: each one more in length takes 32 times
//! as long. A length of 3 takes half a minute.

use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use fuzz::lockstep::Lockstep;
use fuzz::scope::{Divergence, Scope, scopes};

/// Sequences between two lines of progress.
const STRIDE: u64 = 100_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let length = match &arguments[..] {
        [option, number] if option == "--length" => number.parse().ok(),
        _ => None,
    };
    let Some(length) = length else {
        eprintln!("usage: scope --length N");
        return ExitCode::from(2);
    };
    let started = Instant::now();
    match run_all(length) {
        Ok(done) => {
            let seconds = started.elapsed().as_secs();
            println!("{done} sequences of at most {length} operations agree, in {seconds} s");
            ExitCode::SUCCESS
        }
        Err(divergence) => {
            println!("{divergence}");
            ExitCode::FAILURE
        }
    }
}

fn run_all(length: u32) -> Result<u64, Box<Divergence>> {
    let scopes = scopes();
    thread::scope(|threads| {
        let running: Vec<_> = scopes
            .iter()
            .map(|scope| threads.spawn(move || run(scope, length)))
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().expect("the subject does not panic"))
            .sum()
    })
}

fn run(scope: &Scope, most: u32) -> Result<u64, Box<Divergence>> {
    let mut lockstep = Lockstep::new();
    let mut total = 0;
    for length in 0..=most {
        let all = scope.sequences(length);
        let done = scope.run(&mut lockstep, length as usize, |done| {
            if done % STRIDE == 0 {
                eprintln!("{scope}: {done} of {all}");
            }
        })?;
        println!("{scope}: all {done} of {length} operations");
        total += done;
    }
    Ok(total)
}
