//! What is printed. Control characters are shown, and not obeyed by the terminal: file
//! names, the emulator's messages and its log come from outside. Output that cannot
//! be written is an error for the caller where it is a verdict, and no reason to stop
//! where it is a message.
//!
//! Left out: colours, which are the command line's.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};
use std::io::{self, Write};
use std::path::Path;

/// Prints on standard output, and hands on at once: what is held back until the
/// process ends is lost in silence where it cannot be written.
///
/// # Errors
/// What the system says; how much was written before is unknown.
pub fn print(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(escaped(text).as_bytes())?;
    output.flush()
}

/// Prints a line on standard error, as far as that is possible.
pub fn tell(line: impl Display) {
    let text = format!("{line}\n");
    // There is nowhere left to say so.
    let _ = io::stderr().lock().write_all(escaped(&text).as_bytes());
}

/// The text with what a terminal would obey as `\u001b`, which is the same in JSON:
/// control characters other than line feed and tab, and those that turn the order in
/// which text is read.
#[must_use]
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_obeyed) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match is_obeyed(c) {
            true => escape(&mut shown, c),
            false => shown.push(c),
        }
    }
    shown.into()
}

/// A path as a part of one line of text: a line feed in it starts no line that looks
/// like ours.
#[must_use]
pub fn shown(path: &Path) -> String {
    let name = path.display().to_string();
    escaped(&name).replace('\n', "\\u000a")
}

fn is_obeyed(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\u{61c}' | '\u{200e}' | '\u{200f}' => true,
        '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        other => other.is_control(),
    }
}

/// Four digits are enough for all that `is_obeyed` names.
fn escape(text: &mut String, c: char) {
    let _ = write!(text, "\\u{:04x}", u32::from(c));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown() {
        let hostile = "a\x1b[2Jb\rc\x7f\u{9b}31m\u{202e}d\0";
        let shown = r"a\u001b[2Jb\u000dc\u007f\u009b31m\u202ed\u0000";
        assert_eq!(escaped(hostile), shown);
    }

    #[test]
    fn text_that_is_only_text_stays() {
        let text = "1 × sequence\n\tan “é” …\n";
        assert!(matches!(escaped(text), Cow::Borrowed(same) if same == text));
    }

    #[test]
    fn an_escaped_string_of_json_stays_the_same_string() {
        let hostile = "a\x1b\u{9b}\u{7f}\u{2066}\n";
        let json = serde_json::to_string(hostile).unwrap();
        let printed = escaped(&json);
        assert!(!printed.contains(is_obeyed) && printed != json);
        assert_eq!(serde_json::from_str::<String>(&printed).unwrap(), hostile);
    }

    #[test]
    fn a_path_is_one_line() {
        let path = Path::new("a\n1 agree\x1b");
        assert_eq!(shown(path), r"a\u000a1 agree\u001b");
    }
}
