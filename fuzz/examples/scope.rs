//! `cargo run --release -p fuzz --no-default-features --example scope -- --length N`:
//! every sequence of at most N operations in every small scope.
//!
//! Exit status 0 where all agree, 1 at a divergence, which is printed as a sequence,
//! 2 for wrong usage. A scope has 32 operations: a length of 3 takes minutes, and each
//! one more takes 32 times as long.

use std::process::ExitCode;
use std::time::Instant;

use fuzz::lockstep::Lockstep;
use fuzz::scope::{Divergence, Scope, scopes};

/// Sequences between two lines of progress.
const STRIDE: u64 = 100_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let length = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--length", number] => number.parse().ok(),
        _ => None,
    };
    let Some(length) = length else {
        eprintln!("usage: scope --length N");
        return ExitCode::from(2);
    };
    let started = Instant::now();
    match run(length, started) {
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

fn run(length: u32, started: Instant) -> Result<u64, Box<Divergence>> {
    let mut lockstep = Lockstep::new();
    let mut total = 0;
    for scope in scopes() {
        println!("{scope}");
        for length in 0..=length {
            total += run_length(&scope, &mut lockstep, length, started)?;
        }
    }
    Ok(total)
}

fn run_length(
    scope: &Scope,
    lockstep: &mut Lockstep,
    length: u32,
    started: Instant,
) -> Result<u64, Box<Divergence>> {
    let all = scope.sequences(length);
    let done = scope.run(lockstep, length as usize, |done| {
        if done % STRIDE == 0 {
            eprintln!("  {done} of {all}, at {} s", started.elapsed().as_secs());
        }
    })?;
    println!(
        "  {done} of {length} operations, at {} s",
        started.elapsed().as_secs()
    );
    Ok(done)
}
