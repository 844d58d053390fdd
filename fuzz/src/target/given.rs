//! Files that the fuzzer is given to run one by one: `cargo fuzz run stage2_ops FILE`.
//! libFuzzer says that it executed a file whatever the target makes of its bytes, so
//! that text in the place of bytes would look like a file on which all agree.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use crate::wire::WireError;

/// The files on a command line of libFuzzer's: what is neither a flag nor a directory.
pub(super) fn files(arguments: impl Iterator<Item = OsString>) -> Vec<PathBuf> {
    let is_flag = |argument: &OsString| argument.as_encoded_bytes().starts_with(b"-");
    let named = arguments.skip(1).filter(|argument| !is_flag(argument));
    named
        .map(PathBuf::from)
        .filter(|path| path.is_file())
        .collect()
}

/// The line about an input that does not decode, for each of the files that holds it.
/// They are taken out, since libFuzzer runs each file twice.
pub(super) fn told(files: &mut Vec<PathBuf>, input: &[u8], error: WireError) -> String {
    let holds = |path: &mut PathBuf| fs::read(path).is_ok_and(|bytes| bytes == input);
    let line = |path: PathBuf| {
        format!(
            "{path:?} was not run, since it is no sequence in the fuzzer's form: {error}. \
             Text is for `cargo run -p qemu-runner -- replay`\n"
        )
    };
    files.extract_if(.., holds).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_what_is_neither_flag_nor_directory() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.s2");
        fs::write(&file, "machine").unwrap();
        let arguments: [OsString; 5] = [
            std::env::current_exe().unwrap().into(),
            "-runs=1".into(),
            directory.path().into(),
            file.clone().into(),
            directory.path().join("missing").into(),
        ];
        assert_eq!(files(arguments.into_iter()), [file]);
    }

    #[test]
    fn only_the_file_with_these_bytes_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let paths = ["a.s2", "b\x1b.s2"].map(|name| directory.path().join(name));
        for (path, text) in paths.iter().zip(["machine\n", "vm a\n"]) {
            fs::write(path, text).unwrap();
        }
        let error = WireError::Magic(*b"vm");
        let mut given = paths.to_vec();
        let said = told(&mut given, b"vm a\n", error);
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("b\\u{1b}.s2\" was not run"), "{said}");
        assert!(said.contains(&error.to_string()), "{said}");
        assert_eq!(given, paths[..1], "what was told is not told again");
        assert_eq!(told(&mut given, b"", error), "");
    }
}
