//! A line cut into words, and its words into keys and plain words.

use super::error::{ErrorKind, ParseError};
use super::number;

/// A line without its comment.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    /// Its number, from 1.
    pub(super) number: usize,
    /// Its text.
    pub(super) text: &'a str,
}

/// A word of a line, or the place behind the last one.
#[derive(Clone, Copy)]
pub(super) struct Word<'a> {
    line: Line<'a>,
    /// Offset in bytes.
    at: usize,
    pub(super) text: &'a str,
}

impl<'a> Word<'a> {
    /// An error at this word.
    pub(super) fn error(&self, kind: ErrorKind) -> ParseError {
        let column = self.line.text[..self.at].chars().count() + 1;
        ParseError {
            line: self.line.number,
            column,
            kind,
        }
    }

    /// An error: this word stands where `expected` should.
    pub(super) fn expected(&self, expected: impl Into<String>) -> ParseError {
        self.error(ErrorKind::expected(expected, self.text))
    }

    /// The value whose word this is, of a list of values.
    pub(super) fn one_of<T: Copy>(
        &self,
        values: &[T],
        word: impl Fn(T) -> &'static str,
    ) -> Result<T, ParseError> {
        let found = values.iter().find(|value| word(**value) == self.text);
        found.copied().ok_or_else(|| {
            let words: Vec<_> = values.iter().map(|value| word(*value)).collect();
            self.expected(alternatives(&words))
        })
    }

    pub(super) fn address(&self) -> Result<u64, ParseError> {
        number::parse(self.text)
            .ok_or_else(|| self.expected("an address such as 0x1000, below 2^64"))
    }

    pub(super) fn size(&self) -> Result<u64, ParseError> {
        number::parse_size(self.text)
            .ok_or_else(|| self.expected("a size such as 4K or 0x1000, below 2^64"))
    }

    /// A number up to `most`, which `T` can hold.
    pub(super) fn count<T: TryFrom<u64>>(&self, most: u64) -> Result<T, ParseError> {
        let count = number::parse(self.text).filter(|count| *count <= most);
        let count = count.and_then(|count| T::try_from(count).ok());
        count.ok_or_else(|| self.expected(format!("a number from 0 to {most}")))
    }

    /// A level: any signed byte.
    pub(super) fn level(&self) -> Result<i8, ParseError> {
        let (sign, digits) = match self.text.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, self.text),
        };
        let level = number::parse(digits).and_then(|level| i64::try_from(level).ok());
        let level = level.and_then(|level| i8::try_from(sign * level).ok());
        level.ok_or_else(|| self.expected("a level such as 1, from -128 to 127"))
    }

    /// The value behind `key=`, where the word is that.
    pub(super) fn value_of(&self, key: &str) -> Option<Word<'a>> {
        let text = self.text.strip_prefix(key)?.strip_prefix('=')?;
        Some(Word {
            text,
            at: self.at + key.len() + 1,
            ..*self
        })
    }

    /// The word's pieces between `+`, at least one.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Word<'a>> {
        let mut at = self.at;
        self.text.split('+').map(move |text| {
            let piece = Word { text, at, ..*self };
            at += text.len() + 1;
            piece
        })
    }

    /// The word's two sides of a `+`.
    pub(super) fn split_plus(&self, expected: &str) -> Result<(Word<'a>, Word<'a>), ParseError> {
        let (left, right) = self
            .text
            .split_once('+')
            .ok_or_else(|| self.expected(expected))?;
        let behind = self.at + left.len() + 1;
        Ok((
            Word {
                text: left,
                ..*self
            },
            Word {
                text: right,
                at: behind,
                ..*self
            },
        ))
    }
}

/// The words of a line, one by one.
#[derive(Clone)]
pub(super) struct Words<'a> {
    line: Line<'a>,
    at: usize,
}

impl<'a> Words<'a> {
    pub(super) fn new(line: Line<'a>) -> Words<'a> {
        Words { line, at: 0 }
    }

    /// The next word; at the end of the line an empty one behind the last.
    pub(super) fn word(&mut self) -> Word<'a> {
        let end = self.line.text.trim_end().len();
        self.next().unwrap_or(Word {
            line: self.line,
            at: end,
            text: "",
        })
    }

    /// Checks that nothing is left.
    pub(super) fn finish(mut self) -> Result<(), ParseError> {
        self.next()
            .map_or(Ok(()), |word| Err(word.expected("the end of the line")))
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    fn next(&mut self) -> Option<Word<'a>> {
        let rest = &self.line.text[self.at..];
        let at = self.at + rest.find(|c: char| !c.is_whitespace())?;
        let rest = &self.line.text[at..];
        let text = &rest[..rest.find(char::is_whitespace).unwrap_or(rest.len())];
        self.at = at + text.len();
        Some(Word {
            line: self.line,
            at,
            text,
        })
    }
}

/// Plain words of which a line holds one at most.
pub(super) type Choice = &'static [&'static str];

/// The `key=value` words of a line, up to its end or `->`, and its plain words.
pub(super) struct Fields<'a> {
    keys: &'static [&'static str],
    values: [Option<Word<'a>>; Fields::MOST_KEYS],
    choices: &'static [Choice],
    plain: [Option<Word<'a>>; Fields::MOST_CHOICES],
    /// The place behind the last of them, where a missing one is missed.
    end: Word<'a>,
}

impl<'a> Fields<'a> {
    const MOST_KEYS: usize = 11;
    const MOST_CHOICES: usize = 2;

    /// Takes the words up to the end or `->`: values of `keys`, and at most one
    /// plain word out of each choice.
    pub(super) fn take(
        words: &mut Words<'a>,
        keys: &'static [&'static str],
        choices: &'static [Choice],
    ) -> Result<Fields<'a>, ParseError> {
        let mut fields = Fields {
            keys,
            values: [None; Fields::MOST_KEYS],
            choices,
            plain: [None; Fields::MOST_CHOICES],
            end: words.clone().word(),
        };
        loop {
            let mut ahead = words.clone();
            fields.end = ahead.word();
            if matches!(fields.end.text, "" | "->") {
                return Ok(fields);
            }
            *words = ahead;
            fields.accept(fields.end)?;
        }
    }

    fn accept(&mut self, word: Word<'a>) -> Result<(), ParseError> {
        for (choice, plain) in self.choices.iter().zip(&mut self.plain) {
            if plain.is_none() && choice.contains(&word.text) {
                *plain = Some(word);
                return Ok(());
            }
        }
        let (key, value) = word.text.split_once('=').unwrap_or((word.text, ""));
        let known = self.keys.iter().position(|known| *known == key);
        let Some(index) = known.filter(|_| key.len() < word.text.len()) else {
            return Err(word.expected(self.open()));
        };
        if self.values[index].is_some() {
            return Err(word.error(ErrorKind::Twice(format!("{key}="))));
        }
        self.values[index] = Some(Word {
            text: value,
            at: word.at + key.len() + 1,
            ..word
        });
        Ok(())
    }

    /// What may still come.
    fn open(&self) -> String {
        let free = |index: &usize| self.values[*index].is_none();
        let mut open: Vec<String> = (0..self.keys.len())
            .filter(free)
            .map(|index| format!("{}=", self.keys[index]))
            .collect();
        for (choice, plain) in self.choices.iter().zip(&self.plain) {
            let words = choice.iter().filter(|_| plain.is_none());
            open.extend(words.map(|word| (*word).to_owned()));
        }
        if open.is_empty() {
            "the end of the line or \"->\"".to_owned()
        } else {
            alternatives(&open)
        }
    }

    /// The value of a key that may be left out.
    pub(super) fn value(&self, key: &str) -> Option<Word<'a>> {
        let index = self.keys.iter().position(|known| *known == key)?;
        self.values[index]
    }

    /// The place of a key that may be left out.
    pub(super) fn key(&self, key: &str) -> Option<Word<'a>> {
        let value = self.value(key)?;
        let at = value.at - key.len() - 1;
        let text = &value.line.text[at..value.at - 1];
        Some(Word { at, text, ..value })
    }

    /// The value of a key that must be there.
    pub(super) fn require(&self, key: &str) -> Result<Word<'a>, ParseError> {
        self.value(key)
            .ok_or_else(|| self.end.expected(format!("{key}=")))
    }

    /// The plain word out of a choice, or an empty one at the end of the fields.
    pub(super) fn plain(&self, choice: usize) -> Word<'a> {
        self.plain[choice].unwrap_or(self.end)
    }
}

/// "a, b or c".
pub(super) fn alternatives<S: AsRef<str>>(words: &[S]) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, first)) => format!("{} or {last}", first.join(", ")),
        None => String::new(),
    }
}
