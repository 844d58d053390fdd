//! Files with a sequence in them: `.s2` text, or the bytes of a fuzzer's corpus or
//! artifact, told apart by what is in them.

use crate::error::Error;
use crate::output::shown;
use fuzz::Sequence;
use std::io::Read;
use std::path::Path;

/// No sequence is this long in either form.
const MAX_BYTES: u64 = 1 << 20;

/// With this starts a sequence as bytes, and no text.
const MAGIC: &[u8] = b"s2";

/// Reads a file.
///
/// # Errors
/// `Error::Input`, with file, line and column where it is text.
pub fn read(path: &Path) -> Result<Sequence, Error> {
    let name = shown(path);
    let unreadable =
        |error: std::io::Error| Error::Input(format!("{name}: cannot be read: {error}"));
    // Opening a pipe would wait for a writer, and a device may have no end.
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Error::Input(format!("{name}: is not a regular file")));
    }
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::Input(format!(
            "{name}: is longer than any sequence ({MAX_BYTES} bytes)"
        )));
    }
    parse(&bytes).map_err(|what| Error::Input(format!("{name}:{what}")))
}

/// The sequence, or what completes "FILE:".
fn parse(bytes: &[u8]) -> Result<Sequence, String> {
    if bytes.starts_with(MAGIC) {
        return fuzz::wire::from_bytes(bytes)
            .map_err(|error| format!(" does not decode as an artifact: {error}"));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|_| " is neither `.s2` text nor an artifact: expected UTF-8, or bytes that start with \"s2\"".to_string())?;
    fuzz::text::parse(text)
        .map_err(|error| format!("{}:{}: {}", error.line, error.column, error.kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "machine granule=4K pa=40 ipa=40\nvm a\n";

    #[test]
    fn both_forms_give_the_same_sequence() {
        let sequence = parse(TEXT.as_bytes()).unwrap();
        assert_eq!(parse(&fuzz::wire::to_bytes(&sequence)).unwrap(), sequence);
    }

    #[test]
    fn what_is_no_regular_file_is_refused() {
        for path in ["/dev/zero", "/"] {
            let error = read(Path::new(path)).unwrap_err();
            assert_eq!(error.to_string(), format!("{path}: is not a regular file"));
        }
    }

    #[test]
    fn a_cut_artifact_is_told_as_one() {
        let bytes = fuzz::wire::to_bytes(&parse(TEXT.as_bytes()).unwrap());
        let error = parse(&bytes[..bytes.len() - 1]).unwrap_err();
        assert!(
            error.starts_with(" does not decode as an artifact"),
            "{error}"
        );
    }

    #[test]
    fn text_errors_have_line_and_column() {
        let error = parse(b"machine granule=4K pa=40 ipa=40\nvm z\n").unwrap_err();
        assert!(error.starts_with("2:4: expected "), "{error}");
    }

    #[test]
    fn other_bytes_are_neither() {
        assert!(parse(b"\xff\xfe").unwrap_err().contains("neither"));
    }
}
