//! A line of a container's log file in the CRI format:
//! `2026-11-21T12:00:00.000000000Z stdout F text`, with `P` for a part of a line that goes on.

use jiff::Timestamp;

/// Where a line was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'l> {
    /// When.
    pub(crate) at: Timestamp,
    /// Where to.
    pub(crate) stream: Stream,
    /// What, with the line's end unless it goes on in the next record.
    pub(crate) text: &'l [u8],
}

impl<'l> Line<'l> {
    /// Reads a record, which ends with a line feed unless it is the file's last and still being written;
    /// `None` for what is none.
    pub(crate) fn read(record: &'l [u8]) -> Option<Self> {
        let (at, rest) = word(record)?;
        let (stream, rest) = word(rest)?;
        let (tags, text) = word(rest)?;
        let at = std::str::from_utf8(at).ok()?.parse().ok()?;
        let stream = match stream {
            b"stdout" => Stream::Stdout,
            b"stderr" => Stream::Stderr,
            _ => return None,
        };
        // Further tags, after colons, are kept for the future.
        let goes_on = tags.split(|byte| *byte == b':').next() == Some(b"P");
        let text = if goes_on { text.strip_suffix(b"\n").unwrap_or(text) } else { text };
        Some(Self { at, stream, text })
    }
}

fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|byte| *byte == b' ')?;
    Some((&text[..end], &text[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: &str = "2026-11-21T12:00:00.123456789Z";

    #[test]
    fn a_record_is_time_stream_tag_and_text() {
        type Row = (&'static str, &'static str, Option<(Stream, &'static str)>);
        let cases: &[Row] = &[
            ("a whole line", "stdout F hello\n", Some((Stream::Stdout, "hello\n"))),
            ("of standard error", "stderr F oh no\n", Some((Stream::Stderr, "oh no\n"))),
            ("a part", "stdout P hel\n", Some((Stream::Stdout, "hel"))),
            ("with further tags", "stdout P:x:y hel\n", Some((Stream::Stdout, "hel"))),
            ("an empty line", "stdout F \n", Some((Stream::Stdout, "\n"))),
            ("blanks in the text", "stdout F  a  b \n", Some((Stream::Stdout, " a  b \n"))),
            ("still being written", "stdout F hel", Some((Stream::Stdout, "hel"))),
            ("no text at all", "stdout F", None),
            ("an unknown stream", "stdlog F x\n", None),
            ("nothing", "", None),
        ];
        for (name, rest, want) in cases {
            let record = format!("{AT} {rest}");
            let line = Line::read(record.as_bytes());
            let got = line.map(|line| (line.stream, std::str::from_utf8(line.text).unwrap()));
            assert_eq!(got, *want, "{name}");
            assert!(line.is_none_or(|line| line.at == AT.parse().unwrap()), "{name}");
        }
    }

    #[test]
    fn a_time_may_have_an_offset_and_must_be_one() {
        let offset = Line::read(b"2026-11-21T13:00:00.123456789+01:00 stdout F x\n").unwrap();
        assert_eq!(offset.at, AT.parse().unwrap());
        assert_eq!(Line::read(b"yesterday stdout F x\n"), None);
        assert_eq!(Line::read(b"\xff\xfe stdout F x\n"), None);
    }
}
