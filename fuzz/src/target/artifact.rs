//! The files of a divergence, beside what the fuzzer itself leaves: the sequence as
//! text, the verdict as JSON, and the input as it was.
//!
//! libFuzzer tells its prefix to nobody, so it is taken from the command line as
//! libFuzzer takes it: put before the name as it is, and empty, which is the current
//! directory, where it is not given. (`cargo fuzz` gives it:
//! `fuzz/artifacts/stage2_ops/`.)

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::{fs, io};

use oracle::verdict::Verdict;
use oracle::verdict::json::Document;

use crate::sequence::Sequence;

const FLAG: &[u8] = b"-artifact_prefix=";

/// What libFuzzer puts before the names of its artifacts, of several the last.
pub(super) fn prefix(arguments: impl Iterator<Item = OsString>) -> OsString {
    let value = |argument: OsString| {
        let value = argument.as_bytes().strip_prefix(FLAG)?;
        Some(OsString::from_vec(value.to_vec()))
    };
    arguments.filter_map(value).last().unwrap_or_default()
}

/// Files of one divergence.
pub(super) struct Files<'a> {
    pub(super) verdict: &'a Verdict,
    pub(super) sequence: &'a Sequence,
    pub(super) input: &'a [u8],
}

impl Files<'_> {
    /// Writes all of them, each as far as that succeeds, in place of those of an
    /// earlier divergence of the same id; the text's path, and one line for a reader
    /// about each.
    pub(super) fn write(&self, prefix: &OsStr) -> (PathBuf, String) {
        let files = [
            ("s2", Ok(self.text())),
            ("json", self.json()),
            ("input", Ok(self.input.to_vec())),
        ];
        let path = |extension| self.path(prefix, extension);
        let lines = files.map(|(extension, contents)| write(&path(extension), contents));
        (path("s2"), lines.concat())
    }

    fn path(&self, prefix: &OsStr, extension: &str) -> PathBuf {
        let mut path = prefix.to_owned();
        path.push(format!("divergence-{}.{extension}", self.verdict.id()));
        path.into()
    }

    fn text(&self) -> Vec<u8> {
        let verdict = self.verdict.to_string();
        let cause = verdict.lines().next().unwrap_or_default();
        format!("# {cause}\n{}", self.sequence).into_bytes()
    }

    fn json(&self) -> io::Result<Vec<u8>> {
        let mut json = serde_json::to_vec_pretty(&Document::from(self.verdict))?;
        json.push(b'\n');
        Ok(json)
    }
}

fn write(path: &Path, contents: io::Result<Vec<u8>>) -> String {
    match contents.and_then(|contents| fs::write(path, contents)) {
        Ok(()) => format!("Wrote {}\n", path.display()),
        Err(error) => format!("{} cannot be written: {error}\n", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lockstep::Lockstep;
    use crate::{text, wire};

    const TEXT: &str = "machine\nvm a -> exists\n";

    fn diverged() -> (Sequence, Verdict) {
        let sequence = text::parse(TEXT).unwrap();
        let verdict = Lockstep::new().run(&sequence).unwrap_err();
        (sequence, *verdict)
    }

    fn prefix_of(arguments: &[&str]) -> OsString {
        prefix(arguments.iter().map(OsString::from))
    }

    #[test]
    fn the_last_prefix_counts_and_none_is_empty() {
        assert_eq!(prefix_of(&["stage2_ops", "-runs=1"]), "");
        let twice = [
            "stage2_ops",
            "-artifact_prefix=a/",
            "-artifact_prefix=b/c-",
            "x",
        ];
        assert_eq!(prefix_of(&twice), "b/c-");
        assert_eq!(prefix_of(&["stage2_ops", "--artifact_prefix=a/"]), "");
    }

    #[test]
    fn text_json_and_input_are_written_and_say_the_same() {
        let (sequence, verdict) = diverged();
        let input = wire::to_bytes(&sequence);
        let directory = tempfile::tempdir().unwrap();
        let prefix = directory.path().join("of-");
        let files = Files {
            verdict: &verdict,
            sequence: &sequence,
            input: &input,
        };
        let (text_path, said) = files.write(prefix.as_os_str());
        assert_eq!(said.lines().count(), 3, "{said}");
        let name = format!("of-divergence-{}.s2", verdict.id());
        assert_eq!(text_path, directory.path().join(name));
        let written = fs::read_to_string(&text_path).unwrap();
        assert!(written.starts_with(&format!("# {} return-value: ", verdict.id())));
        assert_eq!(text::parse(&written).unwrap(), sequence);
        let json = fs::read(text_path.with_extension("json")).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json["id"], verdict.id());
        assert_eq!(
            json["machine"]["line"],
            text::Text(&sequence.machine).to_string()
        );
        assert_eq!(fs::read(text_path.with_extension("input")).unwrap(), input);
    }

    #[test]
    fn what_cannot_be_written_is_said() {
        let (sequence, verdict) = diverged();
        let files = Files {
            verdict: &verdict,
            sequence: &sequence,
            input: b"",
        };
        let directory = tempfile::tempdir().unwrap();
        let nowhere = directory.path().join("missing/");
        let (_, said) = files.write(nowhere.as_os_str());
        assert_eq!(said.matches(" cannot be written: ").count(), 3, "{said}");
    }
}
