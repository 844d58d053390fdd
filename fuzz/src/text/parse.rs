//! From text to a sequence.

use super::error::{ErrorKind, ParseError};
use super::expectation;
use super::fields::{Line, Words};
use super::machine::machine_line;
use super::operation::operation;
use crate::sequence::{Sequence, Step};
use crate::wire::MAX_OPERATIONS;

/// The sequence that this text describes.
///
/// # Errors
/// The first place at which something else was expected.
pub fn parse(text: &str) -> Result<Sequence, ParseError> {
    let mut lines = text
        .lines()
        .enumerate()
        .map(without_comment)
        .filter(|line| !line.text.trim().is_empty());
    let end = Line {
        number: text.lines().count().max(1),
        text: "",
    };
    let machine = machine_line(lines.next().unwrap_or(end))?;
    let mut steps = Vec::new();
    for line in lines {
        let mut words = Words::new(line);
        if steps.len() == MAX_OPERATIONS {
            return Err(words.word().error(ErrorKind::TooMany {
                most: MAX_OPERATIONS,
            }));
        }
        steps.push(step(&mut words)?);
        words.finish()?;
    }
    Ok(Sequence { machine, steps })
}

fn without_comment((index, text): (usize, &str)) -> Line<'_> {
    let text = text.split_once('#').map_or(text, |(before, _)| before);
    Line {
        number: index + 1,
        text,
    }
}

fn step(words: &mut Words<'_>) -> Result<Step, ParseError> {
    let operation = operation(words)?;
    let arrow = words.word();
    let expected = match arrow.text {
        "" => None,
        "->" => Some(expectation::parse(words, &operation)?),
        _ => return Err(arrow.expected("the end of the line or \"->\"")),
    };
    Ok(Step {
        operation,
        expected,
    })
}
