//! Colours of a report: what is wrong, and which operation did it. The text stays the
//! same; whether they are shown is for `anstream` to decide, which looks for a
//! terminal and for `NO_COLOR`.

use anstyle::{AnsiColor, Style};
use qemu_runner::output::escaped;
use std::io::{self, Write};

const WRONG: Style = AnsiColor::Red.on_default().bold();
const GUILTY: Style = Style::new().bold();

/// Prints a report on standard output with the lines coloured that a reader looks for
/// first.
///
/// # Errors
/// What the system says; how much was written before is unknown.
pub(crate) fn print(report: &str) -> io::Result<()> {
    let mut output = anstream::stdout().lock();
    output.write_all(paint(&escaped(report)).as_bytes())?;
    output.flush()
}

fn paint(report: &str) -> String {
    report.split_inclusive('\n').map(paint_line).collect()
}

fn paint_line(line: &str) -> String {
    let text = line.trim_end_matches('\n');
    let style = match text.trim_start() {
        // The id of a verdict, and below the host's that of the machine.
        verdict if verdict.starts_with("TF-") => WRONG,
        guilty if guilty.starts_with("> ") => GUILTY,
        field if field.starts_with("differs ") => GUILTY,
        _ => return line.to_owned(),
    };
    format!("{style}{text}{style:#}{}", &line[text.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "a.s2: diverges\nTF-123456 leak: x\n  differs    pa: 1\n> vm a\n  free a";

    #[test]
    fn colours_leave_the_text_alone() {
        let painted = paint(REPORT);
        assert_ne!(painted, REPORT);
        assert_eq!(anstream::adapter::strip_str(&painted).to_string(), REPORT);
    }

    #[test]
    fn cause_field_and_guilty_operation_stand_out() {
        let painted = paint(REPORT);
        let plain: Vec<_> = painted
            .lines()
            .filter(|line| !line.contains('\x1b'))
            .collect();
        assert_eq!(plain, ["a.s2: diverges", "  free a"]);
    }
}
